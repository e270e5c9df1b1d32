"""Bands in a window: the mouse names a state, a click shows it on the atoms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ase_mlham.gui.band_points import BandPoints, StateAt, band_points
from ase_mlham.gui.plot_window import PlotWindow
from ase_mlham.plots.bands import plot_bands
from ase_mlham.plots.style import REFERENCE

if TYPE_CHECKING:
    from ase_mlham.gui.electronics import Electronics

__all__ = ["BandsWindow"]

HINT = "Point at a band to see k and energy; click it to see the state on the atoms."


class BandsWindow(PlotWindow):
    """Band structure of what the main window shows."""

    def __init__(self, electronics: Electronics) -> None:
        super().__init__(electronics, "Bands")
        import tkinter as tk
        from tkinter import ttk

        ttk.Label(self.head, text="path").pack(side="left", padx=(10, 2))
        self.path = ttk.Entry(self.head, width=14)
        self.path.pack(side="left")
        self.path.bind("<Return>", lambda event: self.compute())
        self.in_space = tk.BooleanVar(self.window.win, value=True)
        ttk.Checkbutton(self.head, text="wave function", variable=self.in_space).pack(
            side="left", padx=8
        )
        self.points: BandPoints | None = None
        self.axes: Any = None
        self.chosen: StateAt | None = None

    def compute(self) -> None:
        """Have the bands computed."""
        what = self.begin()
        hamiltonians, path = self.hamiltonians, self.path.get().strip()
        self.tell("")
        self.electronics.run(
            "bands",
            lambda tell: band_points(hamiltonians.calculator(what), what.atoms, path),
            self.show,
            failed=lambda: self.tell("No bands: see the message."),
            slot=("bands", id(self)),
            wanted=lambda: self.exists,
            strip=self.strip,
        )

    def show(self, points: BandPoints) -> None:
        """Draw bands."""
        self.points, self.chosen = points, None
        self.figure.clear()
        self.axes = self.figure.add_subplot()
        plot_bands(points.bands, ax=self.axes)
        self.axes.annotate(
            "$E_F$", (1.0, 0.0), xycoords=("axes fraction", "data"), xytext=(5, 0),
            textcoords="offset points", ha="left", va="center", fontsize=9, color="0.35",
        )  # fmt: skip
        # what is under the mouse is said below, with names instead of numbers
        self.axes.format_coord = lambda x, y: ""
        common = {"linestyle": "none", "marker": "o", "animated": True, "visible": False}
        self.markers = [
            self.axes.plot([], [], ms=9, mfc="none", mec=REFERENCE, mew=1.5, **common)[0],
            self.axes.plot([], [], ms=8, mfc=REFERENCE, mec="white", mew=1.0, **common)[0],
        ]
        # markers have no part in what the picture shows of its own
        for marker in self.markers:
            marker.set_in_layout(False)
        self.redraw()
        self.tell("\n".join([points.gap, *points.warnings, HINT]))

    def index_at(self, event: Any) -> tuple[int, int, int] | None:
        """Spin, k and band under the mouse."""
        if self.points is None or event.inaxes is not self.axes:
            return None
        return self.points.nearest(self.axes.transData.transform, (event.x, event.y))

    def hover(self, event: Any) -> None:
        """Name the state under the mouse."""
        index = self.index_at(event)
        self._mark(0, index, event)
        if index is not None and self.points is not None:
            self.tell(str(self.points.state(index)))

    def pressed(self, event: Any) -> None:
        """Show the state under the mouse on the atoms."""
        index = self.index_at(event)
        if index is None or self.points is None or self.what is None:
            return
        if not self.is_current:
            self.tell("These bands are of other atoms or of another source: press Refresh first.")
            return
        self._mark(1, index, event)
        self.chosen = self.points.state(index)
        self.tell(str(self.chosen))
        self.electronics.show_state(
            self.what, self.chosen, in_space=bool(self.in_space.get()), strip=self.strip
        )

    def _mark(self, which: int, index: tuple[int, int, int] | None, event: Any) -> None:
        if not self.markers or self.points is None:
            return
        marker = self.markers[which]
        was_there = marker.get_visible()
        marker.set_visible(index is not None)
        if index is not None:
            x = float(self.points.x[index[1]]) if len(self.points.x) > 1 else event.xdata
            marker.set_data([x], [float(self.points.states.energies[index] - self.points.level)])
        if was_there or index is not None:
            self.show_markers()
