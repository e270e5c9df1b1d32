"""`import ase_mlham.gui.patch`: plain `ase gui` of this process has the Electronic structure menu.

For a line in `~/.ase/gui.py`, see `user_file`. The class that ASE's command opens is replaced by
its subclass of this package; no file of ASE is touched. MLHAM_GUI_MENU=0 in the environment
switches it off. Nothing is raised here: ASE itself says what is missing where there is no tkinter.
"""

from __future__ import annotations

import os

from ase_mlham.gui.toolkit import has_tkinter

__all__ = ["SWITCH", "wanted"]

SWITCH = "MLHAM_GUI_MENU"
"""Environment variable: 0, no or off leaves `ase gui` as it is."""


def wanted() -> bool:
    """Whether the menu is to be there."""
    return os.environ.get(SWITCH, "1").strip().lower() not in ("0", "no", "off", "false")


if wanted() and has_tkinter():
    import ase.gui.gui

    from ase_mlham.gui.main_window import MLHamGUI

    ase.gui.gui.GUI = MLHamGUI
