"""A wave function cut by a plane, in a window: which plane, and what of it, is chosen there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ase_mlham.gui.band_points import StateAt
from ase_mlham.gui.plot_window import PlotWindow
from ase_mlham.gui.slices import QUANTITIES, Slice, cut, density
from ase_mlham.gui.source import Shown
from ase_mlham.plots.style import STYLE

if TYPE_CHECKING:
    from ase_mlham.gui.electronics import Electronics

__all__ = ["StateWindow"]

PLANES = ("a, b", "a, c", "b, c")
"""Planes by the lattice vectors in them; what leaves them is c, b, a."""


class StateWindow(PlotWindow):
    """The wave function of the state that was clicked last."""

    refresh_button = False

    def __init__(self, electronics: Electronics) -> None:
        super().__init__(electronics, "Wave function", (4.8, 4.0), "compressed")
        from tkinter import ttk

        win = self.window.win
        self.quantity = ttk.Combobox(self.head, values=QUANTITIES, width=13, state="readonly")
        self.quantity.set(QUANTITIES[0])
        self.plane = ttk.Combobox(self.head, values=PLANES, width=5, state="readonly")
        self.plane.set(PLANES[0])
        self.plane.pack(side="right", padx=3)
        self.quantity.pack(side="right", padx=3)
        self.quantity.bind("<<ComboboxSelected>>", lambda event: self.draw())
        self.plane.bind("<<ComboboxSelected>>", lambda event: self.turn())
        row = ttk.Frame(win, padding=(6, 0))
        ttk.Label(row, text="plane at").pack(side="left")
        self.slider = ttk.Scale(row, from_=0.0, to=0.999, command=lambda value: self.draw())
        self.slider.pack(side="left", fill="x", expand=True, padx=6)
        row.pack(side="top", fill="x", before=self.canvas.get_tk_widget())
        self.fields: list[Any] = []
        self.state: StateAt | None = None
        self.drawn: Slice | None = None
        self.axes: Any = None
        self.bar: Any = None
        self._artists: tuple[Any, Any] = (None, None)
        self._kind: tuple[int, bool] | None = None
        self._quiet = False

    @property
    def axis(self) -> int:
        """Lattice vector that leaves the plane."""
        return 2 - PLANES.index(self.plane.get())

    def compute(self) -> None:
        """Nothing: a click in the bands does it."""

    def show(self, what: Shown, state: StateAt, fields: list[Any]) -> None:
        """A new state: the plane through most of it is shown."""
        self.what, self.state, self.fields = what, state, fields
        self._kind = None
        self.source.configure(text="")
        self.turn()
        self.tell(str(state))

    def turn(self) -> None:
        """Another plane: that through most of the state."""
        if not self.fields:
            return
        values = density(self.fields)
        others = tuple(a for a in range(3) if a != self.axis)
        most = int(values.sum(axis=others).argmax())
        self._quiet = True  # to move the slider is to draw
        self.slider.set(most / values.shape[self.axis])
        self._quiet = False
        self.draw()

    def draw(self) -> None:
        """Draw the plane that the slider points at."""
        if self._quiet or not self.fields or self.state is None or self.what is None:
            return
        n = self.fields[0].grid.shape[self.axis]
        self.drawn = cut(
            self.fields,
            axis=self.axis,
            index=min(round(float(self.slider.get()) * n), n - 1),
            quantity=self.quantity.get(),
            repeat=self.what.repeat,
            k=self.state.k,
        )
        self._paint(self.drawn)

    def _paint(self, drawn: Slice) -> None:
        import matplotlib as mpl

        kind = (self.axis, drawn.signed)
        with mpl.rc_context(STYLE):
            if kind == self._kind:
                # the slider was moved: the frame stays
                for artist in self._artists:
                    artist.remove()
                self._fill(drawn)
                self.bar.update_normal(self._artists[0])
                self.canvas.draw()
                return
            self._kind = kind
            self.figure.clear()
            self.axes = self.figure.add_subplot()
            self._fill(drawn)
            label = r"$\psi$ (Å$^{-3/2}$)" if drawn.signed else r"$|\psi|^2$ (Å$^{-3}$)"
            self.bar = self.figure.colorbar(self._artists[0], ax=self.axes, label=label)
            self.axes.set_aspect("equal")
            self.axes.set_xlabel("Å")
            self.axes.set_ylabel("Å")
        self.redraw()

    def _fill(self, drawn: Slice) -> None:
        """The plane and its atoms on the axes."""
        from ase.data.colors import jmol_colors

        largest = self._largest(drawn.signed)
        image = self.axes.pcolormesh(
            drawn.x,
            drawn.y,
            drawn.values,
            cmap="coolwarm" if drawn.signed else "YlOrRd",
            vmin=-largest if drawn.signed else 0.0,
            vmax=largest,
            shading="gouraud" if min(drawn.values.shape) > 1 else "nearest",
        )
        atoms = self.axes.scatter(
            drawn.atoms[:, 0],
            drawn.atoms[:, 1],
            s=28,
            color=jmol_colors[drawn.numbers],
            edgecolors="black",
            linewidths=0.8,
            zorder=3,
        )
        self._artists = (image, atoms)
        self.axes.set_title(drawn.title, fontsize=9)
        # cells whose vectors are not at right angles move sideways with the height of the plane
        margin = 0.04 * float(np.ptp(drawn.x))
        self.axes.set_xlim(drawn.x.min() - margin, drawn.x.max() + margin)
        self.axes.set_ylim(drawn.y.min() - margin, drawn.y.max() + margin)

    def _largest(self, signed: bool) -> float:
        """What the darkest colour means: one scale for all planes."""
        if signed:
            return float(abs(np.asarray(self.fields[0].values)).max()) or 1.0
        return float(density(self.fields).max()) or 1.0
