"""Every block of code in README and documentation is run, in order, page by page.

    ```python     executed; blocks of a page share their names
    ```console    lines after "$ " are run by bash; what follows must be what they print ("..."
                  matches anything); nothing after a command: its output does not matter
    ```toml, ```yaml, ```json, ```text
                  not run, unless a comment before the block names a file to write it to

A comment in the line above a block says more:

    <!-- file: NAME -->      write the block to this file first
    <!-- needs: sige -->     skip the rest of the page if this model is not installed
    <!-- needs: pyscf -->    or this module
    <!-- not run: REASON --> only for what no test can run
"""

from __future__ import annotations

import contextlib
import dataclasses
import doctest
import io
import os
import re
import shutil
import subprocess
import sys
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from ase_mlham.errors import MLHamWarning

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = [
    REPOSITORY / "README.md",
    *sorted(
        path
        for path in (REPOSITORY / "docs").rglob("*.md")
        if not {"generated", "_build", "decisions"} & set(path.relative_to(REPOSITORY).parts)
    ),
]
RUN = {"python", "console"}
SHOWN = {"toml", "yaml", "json", "text", "bash"}
# more than these would mean that the documentation drifts away from what is tested
MOST_BLOCKS_NOT_RUN = 6

BLOCK = re.compile(
    r"(?:^<!-- (?P<key>[a-z ]+): (?P<value>[^\n]+?) -->\n)?"
    r"^```(?P<language>[a-z]+)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A block of code and the comment above it."""

    language: str
    code: str
    line: int
    key: str
    value: str


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            found["language"],
            found["code"],
            text.count("\n", 0, found.start("code")) + 1,
            found["key"] or "",
            found["value"] or "",
        )
        for found in BLOCK.finditer(text)
    ]


def runnable(page: Path) -> bool:
    return any(block.language in RUN and block.key != "not run" for block in blocks(page))


def available(name: str) -> bool:
    if find_spec(name) is not None:
        return True
    from ase_mlham.hooks import registered

    return name in registered("model")


def run_console(block: Block, folder: Path, where: str) -> None:
    commands: list[tuple[str, list[str]]] = []
    for line in block.code.splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], []))
        elif line.startswith("> ") and not commands[-1][1]:
            commands[-1] = (commands[-1][0] + "\n" + line[2:], [])
        else:
            assert commands, f"{where}: output before the first command: {line!r}"
            commands[-1][1].append(line)
    # the command of the environment that runs the tests, wherever its scripts are
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "MPLBACKEND": "Agg", "COLUMNS": "100"}
    for command, expected in commands:
        done = subprocess.run(
            ["bash", "-e", "-c", command], cwd=folder, env=environment, text=True, timeout=300,
            capture_output=True, check=False,
        )  # fmt: skip
        said = f"{where}: $ {command}\n{done.stdout}{done.stderr}"
        assert done.returncode == 0, said
        if expected:
            same(done.stdout, "\n".join(expected) + "\n", said)


def run_python(block: Block, names: dict, where: str) -> None:
    code, _, expected = block.code.partition("# prints:\n")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        # what a source has to say against its numbers is shown to readers as well
        warnings.simplefilter("ignore", MLHamWarning)
        # the line numbers of a traceback are those of the page
        exec(compile("\n" * (block.line - 1) + code, where, "exec"), names)
    if expected:
        wanted = "".join(line.removeprefix("# ") for line in expected.splitlines(keepends=True))
        same(printed.getvalue(), wanted, where)


def same(got: str, wanted: str, where: str) -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.OutputChecker().check_output(wanted, got, flags), (
        f"{where}\n--- expected\n{wanted}--- got\n{got}"
    )


@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=lambda p: p.stem)
def test_code_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    for folder in ("examples/structures", "tests/data/openmx"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    names: dict = {"__name__": "__main__"}
    for block in blocks(page):
        where = f"{page.relative_to(REPOSITORY)}:{block.line}"
        match block.key:
            case "not run":
                continue
            case "needs" if not available(block.value):
                pytest.skip(f"{where} needs {block.value!r}, which is not installed")
            case "file":
                (tmp_path / block.value).write_text(block.code, encoding="utf-8")
        if block.language == "console":
            run_console(block, tmp_path, where)
        elif block.language == "python":
            run_python(block, names, where)


def test_few_blocks_are_not_run_and_all_comments_are_known():
    left_out = []
    for page in PAGES:
        for block in blocks(page):
            where = f"{page.relative_to(REPOSITORY)}:{block.line}"
            assert block.key in {"", "file", "needs", "not run"}, f"{where}: {block.key!r}"
            assert block.language in RUN | SHOWN, f"{where}: {block.language!r}"
            if block.key == "not run":
                left_out.append(where)
    assert len(left_out) <= MOST_BLOCKS_NOT_RUN, left_out


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_links_between_files_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    missing = [
        target
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", text)
        if ":" not in target and "generated" not in target and not (page.parent / target).exists()
    ]
    assert not missing, f"{page.relative_to(REPOSITORY)} refers to {missing}"


def test_every_option_is_described(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "docs")
    import reference

    from ase_mlham import hooks

    pytest.importorskip("torch")
    for kind, attribute in (
        ("model family", "config"),
        ("recipe", "config"),
        ("engine", "settings"),
    ):
        for name, spec in hooks.registered(kind).items():
            todo = [hooks.load(getattr(spec, attribute))]
            for config in todo:
                said = reference.described(config)
                for field in dataclasses.fields(config):
                    assert len(said.get(field.name, "")) > 5, f"{kind} {name}: option {field.name}"
                todo += reference.sections(config).values()
