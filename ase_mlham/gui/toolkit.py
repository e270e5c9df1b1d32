"""Whether windows can be opened here: tkinter and a display, and if not, how to get them.

tkinter belongs to Python, yet many builds leave it out: Debian and Fedora ship it as a package of
its own, and pyenv builds it only where the headers of Tk are found. pip cannot install it.
"""

from __future__ import annotations

import os
import platform
import sys
from importlib.util import find_spec
from pathlib import Path

from ase_mlham.errors import MissingDependencyError

__all__ = ["check", "display_remedy", "summary", "tkinter_remedy"]


def has_tkinter() -> bool:
    """Whether tkinter and the C module under it are there; neither is imported."""
    return find_spec("tkinter") is not None and find_spec("_tkinter") is not None


def tkinter_remedy() -> str:
    """How to get tkinter for the Python that runs, whose place tells where it came from."""
    prefix = Path(sys.base_prefix)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if (prefix / "conda-meta").is_dir():
        return "run: conda install tk"
    if ".pyenv" in prefix.parts or "pyenv" in prefix.parts:
        full = platform.python_version()
        return (
            "this Python was built without it; run: sudo apt install tk-dev "
            f"(or: sudo dnf install tk-devel; brew install tcl-tk), then: pyenv install --force "
            f"{full}"
        )
    if sys.platform == "darwin":
        return f"run: brew install python-tk@{version} (Python from python.org has it)"
    if sys.platform == "win32":
        return "run Python's installer again, choose Modify, and tick 'tcl/tk and IDLE'"
    if prefix == Path("/usr"):
        return (
            "run: sudo apt install python3-tk (Debian, Ubuntu), sudo dnf install python3-tkinter "
            "(Fedora) or sudo pacman -S tk (Arch)"
        )
    return (
        "this Python was built without it: use one that has it, such as that of conda (conda "
        "install tk) or of your system (sudo apt install python3-tk), or build it again where the "
        "headers of Tk are installed (sudo apt install tk-dev)"
    )


def display_remedy() -> str:
    """What to do where no window can be shown."""
    shown = os.environ.get("DISPLAY")
    found = f"DISPLAY is {shown!r}, which does not answer" if shown else "DISPLAY is not set"
    return (
        f"there is no display to open a window on ({found}); on a remote machine log in with "
        "ssh -Y, or make pictures without a window: mlham bands FILE -o bands.png"
    )


def check() -> None:
    """Refuse to go on where no window can be opened.

    Raises
    ------
    MissingDependencyError
        tkinter is not there, or on a system with X11 no display is named; the message says what to
        do.
    """
    if not has_tkinter():
        raise MissingDependencyError(
            f"windows need tkinter, which this Python ({sys.executable}) does not have; "
            f"{tkinter_remedy()}"
        )
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        raise MissingDependencyError(display_remedy())


def summary() -> str:
    """One line on whether windows can be opened; `mlham doctor` prints it."""
    if not has_tkinter():
        return f"no tkinter, so no mlham gui; {tkinter_remedy()}"
    import tkinter as tk

    text = f"tkinter with Tk {tk.TkVersion}"
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        return f"{text}; DISPLAY is not set, so that none can be opened in this session"
    return text
