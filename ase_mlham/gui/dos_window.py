"""Density of states in a window: a click, or a drag over energies, shows which atoms hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ase_mlham.gui.local_density import LocalDensity, local_density
from ase_mlham.gui.plot_window import PlotWindow
from ase_mlham.plots.dos import plot_dos
from ase_mlham.plots.style import REFERENCE

if TYPE_CHECKING:
    from ase_mlham.gui.electronics import Electronics

__all__ = ["DosWindow"]

HINT = "Click an energy, or drag over some, to see which atoms hold those states."
HALF = 0.1
"""eV on either side of a click."""

DRAG = 5
"""Pixels from which on a movement is a drag."""


class DosWindow(PlotWindow):
    """Density of states of what the main window shows, by element."""

    def __init__(self, electronics: Electronics) -> None:
        super().__init__(electronics, "Density of states", (5.6, 3.6))
        self.found: LocalDensity | None = None
        self.axes: Any = None
        self.window_shown: tuple[float, float] | None = None
        self._from: tuple[float, float] | None = None

    def compute(self) -> None:
        """Have the density of states computed."""
        what = self.begin()
        hamiltonians = self.hamiltonians
        self.tell("")
        self.electronics.run(
            "density of states",
            lambda tell: local_density(hamiltonians.calculator(what), what.atoms),
            self.show,
            failed=lambda: self.tell("No density of states: see the message."),
            slot=("dos", id(self)),
            wanted=lambda: self.exists,
            strip=self.strip,
        )

    def show(self, found: LocalDensity) -> None:
        """Draw the curves."""
        self.found, self.window_shown = found, None
        self.figure.clear()
        self.axes = self.figure.add_subplot()
        plot_dos(found.curves, ax=self.axes)
        self.axes.axvline(0.0, color="0.45", linewidth=0.6, linestyle=(0, (1, 2)))
        self.axes.format_coord = lambda x, y: ""
        line = self.axes.axvline(0.0, color=REFERENCE, linewidth=1.0, animated=True, visible=False)
        span = self.axes.axvspan(
            0.0, 0.0, color=REFERENCE, alpha=0.25, linewidth=0, animated=True, visible=False
        )
        self.markers = [line, span]
        self.redraw()
        self.tell("\n".join([f"E_F = {found.level:.3f} eV", *found.warnings, HINT]))

    def hover(self, event: Any) -> None:
        """Read off the energy and the densities, or stretch the window that is being dragged."""
        inside = self.found is not None and event.inaxes is self.axes
        if not self.markers:
            return
        self.markers[0].set_visible(inside)
        if inside:
            self.markers[0].set_xdata([event.xdata, event.xdata])
            if self._from is not None and abs(event.x - self._from[0]) > DRAG:
                self._mark_window(*sorted((self._from[1], float(event.xdata))))
            self.tell(self._reading(float(event.xdata)))
        self.show_markers()

    def _reading(self, energy: float) -> str:
        """Densities at an energy above the Fermi level, in words."""
        if self.found is None:
            return ""
        curves = self.found.curves
        at = np.asarray(curves.get_energies()) - self.found.level
        values: dict[str, float] = {}
        for curve in curves:
            symbol = str(curve.info.get("symbol", "all"))
            here = float(np.interp(energy, at, curve.get_weights()))
            values[symbol] = values.get(symbol, 0.0) + here
        each = ", ".join(f"{symbol} {value:.3g}" for symbol, value in values.items())
        total = sum(values.values())
        return f"E − E_F = {energy:.3f} eV: {total:.3g} electrons/eV ({each})"

    def pressed(self, event: Any) -> None:
        """A click or a drag begins."""
        if self.found is not None and event.inaxes is self.axes:
            self._from = (float(event.x), float(event.xdata))

    def released(self, event: Any) -> None:
        """Show the energies that were clicked or dragged over on the atoms."""
        began, self._from = self._from, None
        if began is None or self.found is None or self.what is None:
            return
        if not self.is_current:
            self.tell("This density is of other atoms or of another source: press Refresh first.")
            return
        if event.inaxes is self.axes and abs(event.x - began[0]) > DRAG:
            low, high = sorted((began[1], float(event.xdata)))
        else:
            low, high = began[1] - HALF, began[1] + HALF
        self._mark_window(low, high)
        self.window_shown = (low, high)
        self.show_markers()
        values = self.found.on_atoms(low, high)
        self.electronics.following = None
        self.electronics.colour(
            self.what.key, f"electrons, {low:.2f} to {high:.2f} eV", values, sized=True
        )
        self.tell(f"{values.sum():.3g} electrons in states from {low:.2f} to {high:.2f} eV")

    def _mark_window(self, low: float, high: float) -> None:
        span = self.markers[1]
        span.set_x(low)
        span.set_width(high - low)
        span.set_visible(True)
