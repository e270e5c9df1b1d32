"""The frame of the command: what it imports, how it fails, what its examples promise."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys

import pytest

from ase_mlham.cli import main as cli
from ase_mlham.errors import DomainError, MissingDependencyError
from ase_mlham.hooks import CommandSpec, registered

COMMANDS = sorted(registered("command"))
HEAVY = {
    "ase",
    "ase.io",
    "e3nn",
    "h5py",
    "lightning",
    "matplotlib",
    "numpy",
    "pyscf",
    "scipy",
    "spglib",
    "torch",
    "torch_geometric",
}


def heavy_modules(*calls: list[str]) -> dict[str, list[str]]:
    """Heavy modules in memory after each of some calls of `mlham`, in one new interpreter."""
    program = (
        "import io, json, sys\n"
        "from contextlib import redirect_stdout, redirect_stderr\n"
        "from ase_mlham.cli.main import main\n"
        "found = {}\n"
        f"for call in {list(calls)!r}:\n"
        "    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):\n"
        "        main(call)\n"
        f"    found[' '.join(call)] = sorted({HEAVY!r} & set(sys.modules))\n"
        "print(json.dumps({'parsed': 'argparse' in sys.modules, 'found': found}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    answer = json.loads(done.stdout)
    assert answer["parsed"]
    return answer["found"]


def test_help_loads_nothing_heavy():
    calls = [
        ["--help"],
        ["--version"],
        ["no-such-command"],
        *([name, "--help"] for name in COMMANDS),
    ]
    found = heavy_modules(*calls)
    assert found == {" ".join(call): [] for call in calls}


def test_importing_the_package_loads_nothing_heavy():
    program = "import sys, ase_mlham; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(done.stdout.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_help_lists_the_command(command, capsys):
    assert cli.main(["--help"]) == 0
    assert re.search(rf"^    {command}\s", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_in_the_help_are_valid(command):
    """Every example of a command's help is accepted by its parser."""
    parser = cli.build_parser(command)
    actions = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    epilog = actions[0].choices[command].epilog
    lines = re.findall(r"^  (mlham .*?)(?:  .*)?$", epilog, re.MULTILINE)
    assert lines, f"mlham {command} --help has no examples"
    for line in lines:
        words = shlex.split(line)
        assert words[1] == command
        assert cli.build_parser(command).parse_args(words[1:]).command == command


def fail_with(monkeypatch, error: Exception) -> None:
    """Make a command that raises."""

    def run(options):
        raise error

    module = sys.modules[__name__]
    monkeypatch.setattr(module, "_failing_run", run, raising=False)
    monkeypatch.setitem(sys.modules, "failing_command", module)
    spec = CommandSpec(
        name="fail",
        description="fail",
        add_arguments="failing_command:_no_arguments",
        run="failing_command:_failing_run",
    )
    monkeypatch.setattr(cli, "_commands", lambda: {"fail": spec})


def _no_arguments(parser):
    parser.epilog = ""


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DomainError("atom 3 (Ga): unknown"), 1, "mlham: atom 3 (Ga): unknown\n"),
        (MissingDependencyError("install it"), 3, "mlham: install it\n"),
        (ModuleNotFoundError("No module named 'pyscf'", name="pyscf"), 3, "ase-mlham[pyscf]"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (FileNotFoundError(2, "No such file or directory", "x.cif"), 1, "x.cif: No such file"),
        (MemoryError("9 GB"), 1, "not enough memory"),
        (RuntimeError("CUDA out of memory"), 1, "--device cpu"),
        (ZeroDivisionError("division by zero"), 1, "internal error, ZeroDivisionError"),
    ],
)
def test_exit_codes(monkeypatch, capsys, error, code, message):
    fail_with(monkeypatch, error)
    assert cli.main(["fail"]) == code
    printed = capsys.readouterr().err
    assert message in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("arguments", [["--debug", "fail"], ["fail", "--debug"]])
def test_debug_shows_the_traceback(monkeypatch, capsys, arguments):
    fail_with(monkeypatch, DomainError("too short"))
    assert cli.main(arguments) == 1
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert "too short" in printed


def test_unknown_command_names_the_nearest(capsys):
    assert cli.main(["bnads", "x.cif"]) == 2
    assert "did you mean 'bands'?" in capsys.readouterr().err


def test_no_command_is_a_usage_error(capsys):
    assert cli.main([]) == 2
    assert "mlham --help" in capsys.readouterr().err


def test_unknown_option_names_the_nearest(capsys):
    assert cli.main(["plugins", "--jsn", "x"]) == 2
    assert "did you mean --json?" in capsys.readouterr().err


def test_a_closed_pipe_is_no_error():
    program = (
        f"{shlex.quote(sys.executable)} -m ase_mlham plugins | head -c 1 >/dev/null; "
        "echo ${PIPESTATUS[0]}"
    )
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
