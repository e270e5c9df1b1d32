"""`mlham doctor`: is everything there, and if not, which command installs it."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ase_mlham import __version__
from ase_mlham.cli.output import table
from ase_mlham.errors import PluginError
from ase_mlham.hooks import load, plugins, registered
from ase_mlham.machine import available_memory, cores, size, total_memory

__all__ = ["add_arguments", "run"]

_DISTRIBUTION = "ase-mlham"
_KINDS = (
    "model family",
    "format",
    "engine",
    "recipe",
    "solver",
    "analyser",
    "model",
    "command",
)
_USE = {
    "models": "predict with packaged models",
    "train": "train and evaluate models",
    "pyscf": "compute reference Hamiltonians in process",
    "test": "run the tests",
}


@dataclass(frozen=True)
class _Requirement:
    """One line of the distribution's metadata."""

    name: str
    minimum: str
    extra: str

    @property
    def found(self) -> str:
        """Installed version, empty if there is none."""
        try:
            return metadata.version(self.name)
        except metadata.PackageNotFoundError:
            return ""

    @property
    def met(self) -> bool:
        """Whether the installed version is new enough."""
        return bool(self.found) and _numbers(self.found) >= _numbers(self.minimum)


def _numbers(version: str) -> tuple[int, ...]:
    """Leading numbers of a version: enough to compare with a lower bound."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def requirements() -> list[_Requirement]:
    """What the installed distribution asks for, optional parts included."""
    out = []
    for line in metadata.requires(_DISTRIBUTION) or []:
        match = re.match(r"([A-Za-z0-9._-]+)(\[[^]]*])?\s*(?:>=\s*([0-9.]+))?", line)
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", line)
        if match and match.group(1) != _DISTRIBUTION:
            name, minimum = match.group(1), match.group(3) or ""
            out.append(_Requirement(name, minimum, extra.group(1) if extra else ""))
    return out


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mlham doctor`."""
    parser.epilog = """\
examples:
  mlham doctor

The exit code is 0 if everything that is needed is there (optional parts may be absent), 1 if not.
"""


def run(options: argparse.Namespace) -> int:
    """Print the state of the installation."""
    problems: list[str] = []
    print(f"ase-mlham {__version__} in {Path(__file__).parents[1]}")
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"Python {version} ({sys.executable}) on {platform.platform()}\n")
    _required(problems)
    _optional()
    _machine(problems)
    _plugins(problems)
    _in_ase(problems)
    for problem in problems:
        print(f"PROBLEM: {problem}")
    if not problems:
        print("No problems found.")
    return 1 if problems else 0


def _required(problems: list[str]) -> None:
    rows = []
    for needed in requirements():
        if needed.extra:
            continue
        rows.append((needed.name, needed.found or "absent", f">= {needed.minimum}"))
        if not needed.met:
            what = f"{needed.name} {needed.found}" if needed.found else f"no {needed.name}"
            problems.append(
                f"{what}, at least {needed.minimum} is needed; run: "
                f"{sys.executable} -m pip install '{needed.name}>={needed.minimum}'"
            )
    print(table(("needed", "version", "wanted"), rows) + "\n")


def _optional() -> None:
    rows = []
    for extra, use in _USE.items():
        parts = [needed for needed in requirements() if needed.extra == extra]
        missing = [needed.name for needed in parts if not needed.met]
        state = "present" if not missing else f"absent ({', '.join(missing)})"
        install = f"{sys.executable} -m pip install '{_DISTRIBUTION}[{extra}]'" if missing else ""
        rows.append((extra, use, state, install))
    print(table(("optional part", "to", "state", "install with"), rows) + "\n")


def _machine(problems: list[str]) -> None:
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    print(f"processors     {cores()} (OMP_NUM_THREADS {threads})")
    total, free = total_memory(), available_memory()
    if total is not None and free is not None:
        print(f"memory         {size(total)}, {size(free)} free")
    for name, folder in (("here", Path.cwd()), ("temporary", Path(tempfile.gettempdir()))):
        space = shutil.disk_usage(folder).free
        print(f"disk {name:10s}{size(space)} free in {folder}")
        if space < 1e8:
            problems.append(f"only {size(space)} free in {folder}; results may not fit")
        if not os.access(folder, os.W_OK):
            problems.append(f"{folder} cannot be written to; start mlham in another folder")
    print(f"accelerator    {_accelerator()}")
    # the windows are a room beside this one: asked by name
    print(f"windows        {load('ase_mlham.gui.toolkit:summary')()}\n")


def _accelerator() -> str:
    try:
        torch = importlib.import_module("torch")
    except ModuleNotFoundError:
        return "none (torch is not installed)"
    except (ImportError, OSError) as error:
        return f"none (torch cannot be loaded: {error})"
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name(0)} (torch {torch.__version__})"
    return f"none (torch {torch.__version__} sees no CUDA device)"


def _plugins(problems: list[str]) -> None:
    records = plugins()
    working = sum(not record.error for record in records)
    print(f"plugins        {working} of {len(records)} work (mlham plugins lists them)")
    problems += [
        f"plugin {record.name} ({record.distribution}) is skipped: {record.error}; "
        "reinstall or uninstall that distribution"
        for record in records
        if record.error
    ]
    if not any(needed.extra == "models" and not needed.met for needed in requirements()):
        cards = load("ase_mlham.learning.model:models")()
        print(f"models         {', '.join(cards) or 'none installed'}")
        problems += [
            f"model {name}: {card['error']}" for name, card in cards.items() if "error" in card
        ]
    for kind in _KINDS:
        try:
            registered(kind)
        except PluginError as error:
            problems.append(str(error))


def _in_ase(problems: list[str]) -> None:
    """What ASE's own tools find: entry points that installations before them do not have."""
    found = [
        point.name
        for point in metadata.entry_points(group="ase.ioformats")
        if point.value.startswith("ase_mlham.")
    ]
    if found:
        print(f"in ASE         formats {', '.join(sorted(found))}; `ase run mlham`; viewer mlham\n")
        return
    problems.append(
        "ASE does not know the package, so that `ase run mlham` and `ase gui FILE.scfout` fail; "
        f"install it again: {sys.executable} -m pip install --force-reinstall --no-deps "
        f"{_DISTRIBUTION}"
    )
