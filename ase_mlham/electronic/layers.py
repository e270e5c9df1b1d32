"""Atoms in layers: those that lie at one height along a direction.

Two atoms share a layer where a chain of atoms, each within the tolerance of the next in height,
leads from one to the other. Along a periodic axis heights are cyclic: an atom just below the top of
the cell is a neighbour of one just above its bottom, and the layers are counted from the widest
empty space upwards, which for a slab is its vacuum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.structure import Structure, frozen_array
from ase_mlham.errors import InputError

__all__ = ["LAYER_TOLERANCE", "Layers", "find_layers"]

LAYER_TOLERANCE = 0.3
"""Å between neighbours in height that still belong to one layer."""


@dataclass(frozen=True, eq=False)
class Layers:
    """Which layer each atom belongs to.

    Attributes
    ----------
    of_atom : (n_atoms,) int
        Layer of each atom, counted from the lowest.
    heights : (n_layers,) float
        Mean height of the atoms of each layer, Å, ascending.
    normal : (3,) float
        Unit vector along which heights are measured.
    """

    of_atom: NDArray[np.int64]
    heights: NDArray[np.float64]
    normal: NDArray[np.float64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "of_atom", frozen_array(self.of_atom, np.int64))
        for name in ("heights", "normal"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.float64))

    def __len__(self) -> int:
        return len(self.heights)


def find_layers(
    structure: Structure,
    direction: str | Sequence[float] = "c",
    tolerance: float = LAYER_TOLERANCE,
) -> Layers:
    """Layers of a structure.

    Parameters
    ----------
    structure : Structure
        Any.
    direction : {"a", "b", "c"} or (3,) float
        "c": normal to the plane of the other two lattice vectors, the normal of a slab; heights are
        cyclic if that axis is periodic. A vector: Cartesian, heights are those of the positions as
        they are.
    tolerance : float
        Å, see above.

    Raises
    ------
    InputError
        The direction is none of these, or the tolerance is negative.
    """
    if not tolerance >= 0:
        raise InputError(f"layers with a tolerance of {tolerance} Å; give a distance")
    normal, period = _direction(structure, direction)
    heights = structure.positions @ normal
    cyclic = heights if period is None else heights % period
    order = np.argsort(cyclic, kind="stable")
    ordered = cyclic[order]
    if period is not None:
        # start above the widest gap, so that what lies across the border of the cell is together
        gaps = np.diff(ordered, append=ordered[0] + period)
        start = (int(gaps.argmax()) + 1) % len(order)
        order = np.roll(order, -start)
        ordered = np.roll(ordered, -start)
        ordered = np.where(ordered < ordered[0] - 1e-12, ordered + period, ordered)
        ordered = ordered + period * round(float(np.mean(heights[order] - ordered)) / period)
    of_ordered = np.concatenate([[0], np.cumsum(np.diff(ordered) > tolerance)])
    of_atom = np.empty(len(order), dtype=np.int64)
    of_atom[order] = of_ordered
    count = np.bincount(of_ordered)
    return Layers(of_atom, np.bincount(of_ordered, ordered) / count, normal)


def _direction(
    structure: Structure, direction: str | Sequence[float]
) -> tuple[NDArray[np.float64], float | None]:
    """Unit vector, and the period of heights along it if there is one."""
    if isinstance(direction, str):
        if direction not in ("a", "b", "c"):
            raise InputError(f"layers along {direction!r}; accepted: a, b, c or a vector (x, y, z)")
        axis = "abc".index(direction)
        rows = structure.cell[structure.cell.any(axis=1)]
        if not structure.cell[axis].any():
            # no lattice vector: x, y or z itself, or what of it is normal to the others
            unit = np.eye(3)[axis]
            normal = unit - np.linalg.pinv(rows) @ (rows @ unit) if len(rows) else unit
            if np.linalg.norm(normal) > 1e-6:
                return normal / np.linalg.norm(normal), None
        cell = structure.full_cell
        normal = np.cross(cell[axis - 2], cell[axis - 1])
        normal /= np.linalg.norm(normal)
        height = float(cell[axis] @ normal)
        normal = normal if height > 0 else -normal
        return normal, abs(height) if structure.pbc[axis] else None
    vector = np.asarray(direction, dtype=np.float64)
    if vector.shape != (3,) or not np.isfinite(vector).all() or not vector.any():
        raise InputError(f"layers along {direction!r}; accepted: a, b, c or a vector (x, y, z)")
    return vector / np.linalg.norm(vector), None
