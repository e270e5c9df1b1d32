"""What is laid over the atoms: colours and sizes for a number on each, arrows for a vector on each.

Made of plain numbers; `main_window` draws it. The colours of a number are those of a map that suits
it: from pale to dark for what has no sign, from blue over white to red for what has one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ase_mlham.plots.style import DOWN, UP

__all__ = ["Arrow", "Arrows", "Colouring"]

SIGNED, UNSIGNED = "coolwarm", "YlOrRd"
SMALLEST, GROWTH = 0.35, 0.75
"""Radius of an atom without weight, and what the largest weight adds, in its usual radius."""

SMALLEST_RANGE = 0.01
"""Of the colours, in electrons: the noise of equal atoms must not look like a difference."""

LONGEST = 1.7
"""Å of the longest arrow."""

STEPS = 256


@dataclass(eq=False)
class Colouring:
    """A number on each atom.

    Parameters
    ----------
    key : str
        Of the structure that it belongs to.
    title : str
        What it is, with its unit.
    values : (n_atoms,) float
        Of one cell.
    signed : bool
        Whether zero is the middle of the colours.
    sized : bool
        Whether atoms are drawn larger where there is more.
    mode : str
        The colour mode of ASE's window when it was made: choosing another there ends it.
    """

    key: str
    title: str
    values: NDArray[np.float64]
    signed: bool = False
    sized: bool = False
    mode: str = "jmol"
    _hex: list[str] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        self.values = np.asarray(self.values, dtype=np.float64)

    @property
    def limits(self) -> tuple[float, float]:
        """Numbers of the ends of the colour map."""
        if self.signed:
            top = max(float(abs(self.values).max(initial=0.0)), SMALLEST_RANGE)
            return -top, top
        return 0.0, max(float(self.values.max(initial=0.0)), SMALLEST_RANGE)

    @property
    def map(self) -> Any:
        """Matplotlib's colour map."""
        import matplotlib as mpl

        return mpl.colormaps[SIGNED if self.signed else UNSIGNED]

    @property
    def colours(self) -> list[str]:
        """Of the atoms of one cell, as #rrggbb."""
        if not self._hex:
            low, high = self.limits
            self._hex = self.ramp((self.values - low) / (high - low))
        return self._hex

    def ramp(self, fractions: NDArray[np.float64]) -> list[str]:
        """Colours at some places between the ends of the map."""
        rgb = (255 * self.map(np.clip(fractions, 0.0, 1.0))[:, :3]).round().astype(int)
        return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in rgb]

    @property
    def factors(self) -> NDArray[np.float64]:
        """By which the radii of the atoms of one cell are multiplied; areas follow the number."""
        if not self.sized:
            return np.ones(len(self.values))
        high = self.limits[1]
        return np.asarray(SMALLEST + GROWTH * np.sqrt(np.clip(self.values / high, 0.0, 1.0)))


class Arrow(NamedTuple):
    """One arrow on the screen: from, to (pixels), colour; `depth` if it points at the viewer."""

    start: tuple[float, float]
    end: tuple[float, float]
    colour: str
    depth: float


@dataclass(eq=False)
class Arrows:
    """A vector on each atom.

    Parameters
    ----------
    key : str
        Of the structure that it belongs to.
    title : str
        What it is, with its unit.
    vectors : (n_atoms, 3) float
        Of one cell.
    """

    key: str
    title: str
    vectors: NDArray[np.float64]

    def __post_init__(self) -> None:
        self.vectors = np.asarray(self.vectors, dtype=np.float64)

    @property
    def longest(self) -> float:
        """Length of the longest vector."""
        return float(np.linalg.norm(self.vectors, axis=1).max(initial=0.0))

    def on_screen(
        self,
        places: NDArray[np.float64],
        projection: NDArray[np.float64],
        visible: NDArray[np.bool_],
        scale: float = 1.0,
    ) -> list[Arrow]:
        """Arrows through the middles of the atoms.

        Parameters
        ----------
        places : (n_drawn, 2) float
            Pixels of the atoms.
        projection : (3, 3) float
            From Å to pixels; its last column points at the viewer.
        visible : (n_drawn,) bool
            Atoms that are not hidden.
        scale : float
            All arrows are longer by this factor.
        """
        if not self.longest > 0:
            return []
        copies = len(places) // len(self.vectors)
        # half of each arrow on either side of its atom
        half = 0.5 * scale * LONGEST / self.longest * self.vectors
        steps = np.tile(half @ projection, (copies, 1))
        ups = np.tile(self.vectors[:, 2] >= 0, copies)
        seen = np.tile(np.linalg.norm(self.vectors, axis=1) > 0.02 * self.longest, copies)
        seen &= visible
        return [
            Arrow((x0, y0), (x1, y1), UP if up else DOWN, depth)
            for x0, y0, x1, y1, up, depth, drawn in zip(
                *(places - steps[:, :2]).T.tolist(),
                *(places + steps[:, :2]).T.tolist(),
                ups.tolist(),
                steps[:, 2].tolist(),
                seen.tolist(),
                strict=True,
            )
            if drawn
        ]
