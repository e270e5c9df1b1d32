"""The Electronic structure menu."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ase_mlham.gui.electronics import Electronics

__all__ = ["electronic_menu"]


def electronic_menu(electronics: Electronics) -> tuple[str, list[Any]]:
    """Title and entries, in the form that ASE's window takes."""
    from ase.gui.ui import MenuItem

    return (
        "E_lectronic structure",
        [
            MenuItem("_Source ...", electronics.choose_source),
            MenuItem("---"),
            MenuItem("_Bands ...", electronics.show_bands, "Ctrl+L"),
            MenuItem("_Density of states ...", electronics.show_dos, "Ctrl+D"),
            MenuItem("_Gap ...", electronics.show_gap),
            MenuItem("Gap along the _frames ...", electronics.show_frames),
            MenuItem("---"),
            MenuItem("Colour by _charge", electronics.colour_by_charge),
            MenuItem("Colour by magnetic _moment", electronics.colour_by_moment),
            MenuItem("Colour by density at the Fermi _level", electronics.colour_at_fermi_level),
            MenuItem("Spin _arrows", electronics.toggle_spin_arrows, value=False),
            MenuItem("_Plain atoms", electronics.clear),
            MenuItem("---"),
            MenuItem("S_top", electronics.stop),
        ],
    )
