"""A regular grid of points over a cell or a box.

Points lie at origin + sum_i (n_i / N_i) a_i with n_i = 0 .. N_i - 1, along periodic directions and
others alike: the next point after the last one is the first of the next cell. The plain sum over
the points times the volume of one is then the best quadrature there is for a function that is
smooth and periodic, or smooth and zero at the faces of the box.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_mlham.core.structure import Structure, frozen_array, whole_numbers
from ase_mlham.errors import InputError

__all__ = ["DEFAULT_SPACING", "Grid"]

DEFAULT_SPACING = 0.2
"""Å; docs/benchmarks/density.md has the error of the electron count for this and others."""

DEFAULT_REACH = 5.0
"""Å of empty space around atoms where directions are not periodic and orbitals are not known."""


@final
@dataclass(frozen=True, eq=False)
class Grid:
    """Points in space.

    Parameters
    ----------
    origin : (3,) float
        First point, Å.
    cell : (3, 3) float
        Edges of the box as rows, Å.
    shape : (3,) int
        Points along each edge.
    pbc : (3,) bool
        Along which edges functions repeat themselves (up to a phase).

    Raises
    ------
    InputError
        The box has no volume, or a number of points is not positive.
    """

    origin: NDArray[np.float64]
    cell: NDArray[np.float64]
    shape: tuple[int, int, int]
    pbc: NDArray[np.bool_]

    def __post_init__(self) -> None:
        for name, dtype in (("origin", np.float64), ("cell", np.float64), ("pbc", np.bool_)):
            object.__setattr__(self, name, frozen_array(getattr(self, name), dtype))
        shape = whole_numbers(self.shape, "points of a grid")
        if (
            shape.shape != (3,)
            or self.origin.shape != (3,)
            or self.cell.shape != (3, 3)
            or self.pbc.shape != (3,)
        ):
            raise InputError(
                f"grid with origin {self.origin.shape}, cell {self.cell.shape}, shape "
                f"{shape.shape} and pbc {self.pbc.shape}; expected (3,), (3, 3), (3,) and (3,)"
            )
        object.__setattr__(self, "shape", (int(shape[0]), int(shape[1]), int(shape[2])))
        if min(self.shape) < 1:
            raise InputError(f"a grid of {self.shape} points; each number must be positive")
        if not (np.isfinite(self.cell).all() and np.isfinite(self.origin).all()):
            raise InputError("a corner of the grid is not a finite number")
        if abs(np.linalg.det(self.cell)) < 1e-9:
            raise InputError("the edges of the grid span no volume")

    def __repr__(self) -> str:
        n1, n2, n3 = self.shape
        return f"<Grid {n1} x {n2} x {n3}, spacing {max(self.spacing):.3f} Å>"

    # ------------------------------------------------------------------ making one
    @classmethod
    def of(
        cls,
        structure: Structure,
        spacing: float = DEFAULT_SPACING,
        *,
        reach: ArrayLike = DEFAULT_REACH,
    ) -> Grid:
        """Grid over one cell of a structure.

        Parameters
        ----------
        structure : Structure
            Along periodic directions the grid is its cell. Along others it holds the cell, if
            there is one, and all atoms with their orbitals.
        spacing : float
            Largest distance of neighbouring points along a lattice vector, Å; the numbers of
            points are the smallest that divide the cell so.
        reach : float or (n_atoms,) float
            How far orbitals extend from their atoms, Å.
        """
        cell = structure.full_cell.copy()
        inverse = np.linalg.inv(cell)
        scaled = structure.positions @ inverse
        # distance of the planes of constant coordinate: a sphere of radius r spans r / distance
        extent = np.asarray(reach, dtype=np.float64)[..., None] * np.linalg.norm(inverse, axis=0)
        low, high = (scaled - extent).min(axis=0), (scaled + extent).max(axis=0)
        given = structure.cell.any(axis=1)
        low = np.where(structure.pbc, 0.0, np.where(given, np.minimum(low, 0.0), low))
        high = np.where(structure.pbc, 1.0, np.where(given, np.maximum(high, 1.0), high))
        origin = low @ cell
        cell *= (high - low)[:, None]
        return cls(origin, cell, cls._counts(cell, spacing), structure.pbc)

    @classmethod
    def of_cell(cls, structure: Structure, spacing: float = DEFAULT_SPACING) -> Grid:
        """Grid over the cell as it is, whatever is periodic: what ASE's tools expect.

        Raises
        ------
        InputError
            A lattice vector is missing.
        """
        if not structure.cell.any(axis=1).all():
            raise InputError(
                "the structure has no complete cell for a grid: give it one "
                "(atoms.center(vacuum=4)), or use Grid.of, which makes a box"
            )
        cell = structure.cell
        return cls(np.zeros(3), cell, cls._counts(cell, spacing), structure.pbc)

    @staticmethod
    def _counts(cell: NDArray[np.float64], spacing: float) -> tuple[int, int, int]:
        if not (np.isfinite(spacing) and spacing > 0):
            raise InputError(f"a grid spacing of {spacing} Å; it must be positive")
        # 1e-6: a grid must not grow because a lattice constant was rounded
        counts = np.ceil(np.linalg.norm(cell, axis=1) / spacing - 1e-6)
        a, b, c = np.maximum(1, counts).astype(int)
        return int(a), int(b), int(c)

    def repeated(self, times: tuple[int, int, int]) -> Grid:
        """The same points over several cells.

        Raises
        ------
        InputError
            Repeated along a direction that is not periodic, or not a positive number of times.
        """
        n = whole_numbers(times, "repeats of a grid")
        if n.shape != (3,) or n.min() < 1 or np.any((n > 1) & ~self.pbc):
            raise InputError(
                f"a grid repeated {tuple(times)} times; expected three positive integers, 1 along "
                "directions that are not periodic"
            )
        a, b, c = (int(x) for x in n * np.array(self.shape))
        return Grid(self.origin, self.cell * n[:, None], (a, b, c), self.pbc)

    # ------------------------------------------------------------------ what it is
    @property
    def n_points(self) -> int:
        """Number of points."""
        return int(np.prod(self.shape))

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance of neighbouring points along each edge, Å."""
        a, b, c = np.linalg.norm(self.cell, axis=1) / self.shape
        return float(a), float(b), float(c)

    @property
    def element(self) -> float:
        """Volume that belongs to one point, Å^3."""
        return float(abs(np.linalg.det(self.cell))) / self.n_points

    @cached_property
    def steps(self) -> NDArray[np.float64]:
        """Vectors from a point to its neighbours, as rows, Å."""
        return frozen_array(self.cell / np.array(self.shape)[:, None], np.float64)

    def points(self, part: tuple[slice, slice, slice] | None = None) -> NDArray[np.float64]:
        """Positions in Å, (n1, n2, n3, 3), of all points or of a block of them."""
        ranges = [np.arange(n) for n in self.shape]
        if part is not None:
            ranges = [r[s] for r, s in zip(ranges, part, strict=True)]
        a, b, c = (
            r[:, None].astype(np.float64) * step for r, step in zip(ranges, self.steps, strict=True)
        )
        return np.asarray(
            self.origin + a[:, None, None] + b[None, :, None] + c[None, None, :], dtype=np.float64
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        return self.shape == other.shape and all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("origin", "cell", "pbc")
        )

    __hash__ = None  # type: ignore[assignment]  # equality compares arrays
