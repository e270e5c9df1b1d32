"""ASE's window with the Electronic structure menu, colours, sizes and arrows.

A subclass, as ASE has no hook for menus: it adds to the menu bar, multiplies radii while atoms are
drawn or clicked, gives them colours, and draws arrows and a colour bar on top.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from ase.gui.gui import GUI

from ase_mlham.gui.electronics import Electronics
from ase_mlham.gui.menu import electronic_menu
from ase_mlham.gui.overlay import Arrow, Colouring

# no names for the reference: its pages are made where there may be no tkinter, which ASE's window
# needs to be imported

POINT = 6.0
"""Pixels of projected length below which an arrow is drawn as a point or a cross."""

FEW = 500
"""Arrows up to which they have a white edge, to be seen on atoms of any colour."""


class MLHamGUI(GUI):
    """`ase.gui.gui.GUI` with the electronic structure of what it shows.

    Parameters
    ----------
    images, rotations, show_bonds, expr
        As for ASE's own.
    hamiltonians : ase_mlham.gui.source.Hamiltonians, optional
        Where H comes from; by default the file's own, else the default model.
    """

    def __init__(
        self,
        images: Any = None,
        rotations: str = "",
        show_bonds: bool = False,
        expr: str | None = None,
        *,
        hamiltonians: Any = None,
    ) -> None:
        # ASE's constructor builds the menu and draws: these must exist before
        self.electronics = Electronics(self, hamiltonians)
        self._drawing = False
        super().__init__(images, rotations, show_bonds, expr)
        self.electronics.start()

    def get_menu_data(self) -> list[Any]:
        """ASE's menus, with ours before Help."""
        menu: list[Any] = super().get_menu_data()
        menu.insert(len(menu) - 1, electronic_menu(self.electronics))
        return menu

    # ------------------------------------------------------------------ atoms
    @contextmanager
    def _sized(self) -> Iterator[None]:
        """While atoms are drawn or clicked: bonds and neighbours keep the true radii."""
        before, self._drawing = self._drawing, True
        try:
            yield
        finally:
            self._drawing = before

    def get_covalent_radii(self, atoms: Any = None) -> Any:
        """Radii in Å, larger where the colouring has more."""
        radii = super().get_covalent_radii(atoms)
        colouring = self.electronics.colouring_drawn() if self._drawing else None
        if colouring is not None and colouring.sized:
            radii = radii * np.resize(colouring.factors, len(radii))
        return radii

    def get_colors(self, rgb: bool = False) -> Any:
        """Colours of the atoms, by the colouring if there is one."""
        colouring = None if rgb else self.electronics.colouring_drawn()
        if colouring is None:
            # with rgb, ASE asks again without
            return super().get_colors(rgb)
        colours = colouring.colours
        return colours * (len(self.atoms) // len(colours))

    def release(self, event: Any) -> None:
        """A click: what is drawn larger is hit more easily."""
        with self._sized():
            super().release(event)

    def draw(self, status: bool = True) -> None:
        """Draw everything."""
        with self._sized():
            super().draw(status)
        if self.electronics.plain:
            return
        arrows = self.electronics.arrows_drawn()
        if arrows is not None:
            projection = self.scale * self.axes * (1, -1, 1)
            visible = self.images.visible[: len(self.atoms)]
            scale = self.magmom_vector_scale
            drawn = arrows.on_screen(self.P, projection, visible, scale)
            for arrow in drawn:
                self._arrow(arrow, halo=len(drawn) <= FEW)
        colouring = self.electronics.colouring_drawn()
        if colouring is not None:
            self._colour_bar(colouring)

    # ------------------------------------------------------------------ on top of the atoms
    def _arrow(self, arrow: Arrow, *, halo: bool) -> None:
        canvas = self.window.canvas
        (x0, y0), (x1, y1) = arrow.start, arrow.end
        if abs(x1 - x0) + abs(y1 - y0) > POINT:
            if halo:
                canvas.create_line(
                    x0, y0, x1, y1, width=5, fill="white", arrow="last", arrowshape=(11, 14, 6)
                )
            canvas.create_line(
                x0, y0, x1, y1, width=2, fill=arrow.colour, arrow="last", arrowshape=(9, 11, 4)
            )
            return
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        canvas.create_oval(x - 5, y - 5, x + 5, y + 5, fill="white", outline=arrow.colour, width=2)
        if arrow.depth > 0:
            canvas.create_oval(x - 2, y - 2, x + 2, y + 2, fill=arrow.colour, outline="")
        else:
            for sign in (1, -1):
                canvas.create_line(
                    x - 3, y - 3 * sign, x + 3, y + 3 * sign, width=2, fill=arrow.colour
                )

    def _colour_bar(self, colouring: Colouring) -> None:
        canvas = self.window.canvas
        right, top, height, width, steps = int(self.window.size[0]) - 14, 30, 120, 12, 40
        low, high = colouring.limits
        colours = colouring.ramp(np.linspace(1.0, 0.0, steps))
        for n, colour in enumerate(colours):
            y = top + n * height / steps
            canvas.create_rectangle(
                right - width, y, right, y + height / steps + 1, fill=colour, outline=""
            )
        canvas.create_rectangle(right - width, top, right, top + height, outline=self.window.fg)
        texts: list[tuple[float, str]] = [(top, f"{high:.3g}"), (top + height, f"{low:.3g}")]
        if colouring.signed:
            texts.append((top + height / 2, "0"))
        for y, text in texts:
            canvas.create_text(right - width - 4, y, text=text, anchor="e", fill=self.window.fg)
        canvas.create_text(right, top - 10, text=colouring.title, anchor="se", fill=self.window.fg)

    def exit(self, event: Any = None) -> None:
        """Close everything, and stop what is being computed."""
        self.electronics.close()
        super().exit(event)
