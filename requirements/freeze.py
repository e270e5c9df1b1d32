"""Write the pinned requirement files from the environment that runs this script.

    .venv/bin/python requirements/freeze.py

Each file lists what one extra of `pyproject.toml` needs, with everything below it, at the versions
installed here: change an environment until the tests pass in it, then write it down.
"""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

HERE = Path(__file__).parent
OURS = {"ase-mlham", "ase-mlham-deeph2", "ase-mlham-hamgnn", "ase-mlham-lcnet"}

# torch comes first: a reader sees at once which build decides how large the installation is
FILES = {
    "run": (None, ["torch", "ase-mlham[models]", "hatchling", "editables"]),
    "test": ("run", ["ase-mlham[models,train,pyscf,test]", "build"]),
    "check": ("test", ["ruff", "mypy", "import-linter", "codespell"]),
    "docs": ("test", ["sphinx", "myst-parser", "furo"]),
}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(requirements: list[str]) -> dict[str, str]:
    """Name and version of everything that the requirements bring."""
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    todo = [Requirement(line) for line in requirements]
    while todo:
        wanted = todo.pop()
        name = canonical(wanted.name)
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            raise SystemExit(f"{name} is not installed here: install it, then freeze") from None
        # a build tag such as +cpu is this machine's, not the pin's
        found[name] = installed.version.partition("+")[0]
        for extra in ("", *wanted.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            for line in installed.requires or []:
                needed = Requirement(line)
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    todo.append(needed)
    return {name: version for name, version in found.items() if name not in OURS}


def main() -> None:
    written: dict[str, dict[str, str]] = {}
    for label, (below, requirements) in FILES.items():
        pins = closure(requirements)
        inherited = written[below] if below else {}
        written[label] = {**inherited, **pins}
        lines = ["# written by requirements/freeze.py: exact versions that the tests pass with"]
        lines += [f"-r {below}.txt"] if below else []
        new = sorted(set(pins) - set(inherited), key=lambda name: (name != "torch", name))
        lines += [f"{name}=={pins[name]}" for name in new]
        (HERE / f"{label}.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
