"""What a user is told when something cannot be done: the message with its remedy, no traceback.

What nobody foresaw comes with the traceback, to be reported.
"""

from __future__ import annotations

from typing import Any

from ase_mlham.errors import MLHamError
from ase_mlham.hooks import missing_dependency

__all__ = ["explain", "show_error", "show_text"]

WIDTH = 96
"""Characters of a line in a window of text."""


def explain(error: Exception) -> tuple[str, bool]:
    """Message for an error, and whether it was foreseen.

    Parameters
    ----------
    error : Exception
        From a job.
    """
    if isinstance(error, MLHamError):
        return str(error), True
    if isinstance(error, ModuleNotFoundError) and not f"{error.name}.".startswith("ase_mlham."):
        return str(missing_dependency("this", error)), True
    if isinstance(error, MemoryError):
        return f"not enough memory ({error}); try a smaller structure or fewer k-points", True
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}", True
    if isinstance(error, RuntimeError) and "out of memory" in str(error):
        return (
            "the device is out of memory: choose cpu in Electronic structure > Source, or show a "
            "smaller structure"
        ), True
    return f"internal error, {type(error).__name__}: {error}", False


def show_error(title: str, error: Exception, traceback: str) -> None:
    """Dialogue for what can be mended; a window with the traceback for what must be reported."""
    from ase.gui import ui

    message, foreseen = explain(error)
    if foreseen:
        ui.error(title, message)
    else:
        show_text(
            title, f"{message}\n\nPlease report this with all that stands here.\n\n{traceback}"
        )


def show_text(title: str, text: str) -> Any:
    """A window of text that can be selected and copied.

    Returns
    -------
    ase.gui.ui.Window
    """
    import tkinter as tk

    from ase.gui import ui

    window = ui.Window(title)
    lines = text.count("\n") + 1
    longest = max(len(line) for line in text.splitlines() or [""])
    box = tk.Text(
        window.win,
        width=min(WIDTH, max(40, longest + 2)),
        height=min(36, lines + 1),
        wrap="word",
        padx=8,
        pady=6,
        font="TkFixedFont",
    )
    box.insert("1.0", text)
    box.configure(state="disabled")
    box.pack(fill="both", expand=True)
    window.text = text
    return window
