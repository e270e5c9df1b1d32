"""Plane cuts through wave functions on a grid.

The plane is spanned by two lattice vectors and drawn undistorted; a view that repeats the cell
repeats the cut, a wave function with its Bloch phase.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.structure import Structure
from ase_mlham.errors import InputError

if TYPE_CHECKING:
    from ase_mlham.real_space import Field, Grid

__all__ = ["QUANTITIES", "Slice", "cut", "density"]

QUANTITIES = ("density", "real part", "imaginary part")
"""What is drawn of a wave function."""

NEAR = 0.7
"""Å from the plane within which atoms are marked."""


@dataclass(frozen=True, eq=False)
class Slice:
    """Values on a plane.

    Attributes
    ----------
    x, y : (n, m) float
        Å along the first lattice vector of the plane, and across.
    values : (n, m) float
        Å^-3 of a density, Å^-3/2 of a part.
    atoms : (n_near, 2) float
        Places of the atoms within 0.7 Å of the plane.
    numbers : (n_near,) int
        Their atomic numbers.
    signed : bool
        Whether negative values have a meaning.
    title : str
        Which plane.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    values: NDArray[np.float64]
    atoms: NDArray[np.float64]
    numbers: NDArray[np.int64]
    signed: bool
    title: str


def _components(field: Field) -> NDArray:
    """Values with an axis of components, (n_components, n1, n2, n3)."""
    return np.asarray(field.values).reshape((-1, *field.grid.shape))


def density(fields: Sequence[Field]) -> NDArray[np.float64]:
    """Mean density of some states, (n1, n2, n3): of a whole level it does not depend on the states.

    Parameters
    ----------
    fields : sequence of Field
        Wave functions on one grid.
    """
    total = sum((abs(_components(field)) ** 2).sum(axis=0) for field in fields)
    return np.asarray(total) / len(fields)


def cut(
    fields: Sequence[Field],
    *,
    axis: int = 2,
    index: int = 0,
    quantity: str = "density",
    repeat: tuple[int, int, int] = (1, 1, 1),
    k: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Slice:
    """A plane of wave functions.

    Parameters
    ----------
    fields : sequence of Field
        States of one level; of the first one real and imaginary part are drawn, of all the mean
        density.
    axis : int
        Lattice vector that leaves the plane.
    index : int
        Plane of the grid along that vector.
    quantity : str
        One of `QUANTITIES`; parts of a spinor are those of its larger component.
    repeat : (3,) int
        Cells that are drawn in periodic directions; that along `axis` does not matter.
    k : (3,) float
        Of the states, in fractions, for the phase in the other cells.

    Raises
    ------
    InputError
        There is no such plane or quantity.
    """
    if quantity not in QUANTITIES:
        raise InputError(f"quantity {quantity!r} is unknown; accepted: {', '.join(QUANTITIES)}")
    grid, structure = fields[0].grid, fields[0].structure
    if not 0 <= index < grid.shape[axis]:
        raise InputError(f"plane {index} of a grid that has planes 0 to {grid.shape[axis] - 1}")
    first, second = (a for a in range(3) if a != axis)
    cells = [repeat[a] if grid.pbc[a] else 1 for a in (first, second)]
    # a periodic direction ends with the point that begins the next cell: no seam is left open
    counts = [
        cells[n] * grid.shape[a] + (1 if grid.pbc[a] else 0) for n, a in enumerate((first, second))
    ]
    tiles = [cells[n] + (1 if grid.pbc[a] else 0) for n, a in enumerate((first, second))]
    if quantity == "density":
        plane = np.take(density(fields), index, axis=axis)
        values = np.tile(plane, tiles)
    else:
        components = _components(fields[0])
        largest = int((abs(components) ** 2).sum(axis=(1, 2, 3)).argmax())
        plane = np.take(components[largest], index, axis=axis)
        tiled = _with_phases(plane, tiles, (k[first], k[second]))
        values = tiled.real if quantity == "real part" else tiled.imag
    values = values[: counts[0], : counts[1]]
    u, v = grid.cell[first], grid.cell[second]
    e1 = u / np.linalg.norm(u)
    e2 = np.cross(np.cross(u, v), e1)
    e2 /= np.linalg.norm(e2)
    start = grid.origin + index / grid.shape[axis] * grid.cell[axis]
    a = np.arange(values.shape[0])[:, None, None] / plane.shape[0]
    b = np.arange(values.shape[1])[None, :, None] / plane.shape[1]
    places = start + a * u + b * v
    atoms, numbers = _near(structure, grid, start, (first, second), cells)
    return Slice(
        places @ e1,
        places @ e2,
        np.asarray(values, dtype=np.float64),
        np.column_stack([atoms @ e1, atoms @ e2]),
        numbers,
        quantity != "density",
        f"{'abc'[first]}, {'abc'[second]} plane at {index / grid.shape[axis]:.3f} {'abc'[axis]}",
    )


def _with_phases(plane: NDArray, cells: list[int], k: tuple[float, float]) -> NDArray:
    """Cells side by side: psi(r + R) = exp(2 pi i k.R) psi(r)."""
    rows = []
    for i in range(cells[0]):
        phases = [np.exp(2j * np.pi * (i * k[0] + j * k[1])) for j in range(cells[1])]
        rows.append(np.concatenate([phase * plane for phase in phases], axis=1))
    return np.concatenate(rows, axis=0)


def _near(
    structure: Structure,
    grid: Grid,
    start: NDArray[np.float64],
    axes: tuple[int, int],
    cells: list[int],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Atoms near the plane in the cells that are drawn, those on their borders included."""
    first, second = axes
    normal = np.cross(grid.cell[first], grid.cell[second])
    normal /= np.linalg.norm(normal)
    scaled = (structure.positions - grid.origin) @ np.linalg.inv(grid.cell)
    scaled[:, grid.pbc] %= 1.0
    ends = np.ones(3)
    ends[[first, second]] = cells
    ranges = [range(-1, int(ends[a]) + 1) if grid.pbc[a] else range(1) for a in range(3)]
    images = np.array(list(product(*ranges)))
    candidates = (scaled[None] + images[:, None]).reshape(-1, 3)
    numbers = np.tile(structure.numbers, len(images))
    inside = np.all(
        (candidates[:, [first, second]] > -0.02)
        & (candidates[:, [first, second]] < ends[[first, second]] + 0.02),
        axis=1,
    )
    places = grid.origin + candidates @ grid.cell
    near = inside & (abs((places - start) @ normal) <= NEAR)
    return places[near], numbers[near]
