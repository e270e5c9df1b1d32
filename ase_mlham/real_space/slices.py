"""A field on a plane, for pictures: cubic interpolation between the points of its grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_mlham.core.structure import Structure, frozen_array
from ase_mlham.errors import InputError
from ase_mlham.real_space.field import Field

__all__ = ["Slice", "plane_normal", "slice_field"]

_MARGIN = 12
"""Points by which periodic directions are continued: the spline has forgotten its end there."""


@final
@dataclass(frozen=True, eq=False)
class Slice:
    """Values on a rectangle.

    Attributes
    ----------
    x, y : (n_x,) and (n_y,) float
        Distances in Å along `right` and `up` from `centre`.
    values : (n_y, n_x) float
        In the unit of the field; NaN outside of a box that does not repeat itself.
    centre, right, up : (3,) float
        A point of the plane, and two unit vectors in it.
    name, unit : str
        Of the field.
    structure : Structure
        The atoms.
    signed : bool
        Whether the field has two signs.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    values: NDArray[np.float64]
    centre: NDArray[np.float64]
    right: NDArray[np.float64]
    up: NDArray[np.float64]
    name: str
    unit: str
    structure: Structure
    signed: bool = False

    def __post_init__(self) -> None:
        for name in ("x", "y", "values", "centre", "right", "up"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.float64))

    def atoms_near(
        self, distance: float
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Atoms of all cells near the rectangle.

        Parameters
        ----------
        distance : float
            How far from the plane, Å.

        Returns
        -------
        atom : (n,) int
            Which atoms.
        places : (n, 2) float
            Where they are on the rectangle, Å.
        height : (n,) float
            Their distance from the plane, Å, with its sign.
        """
        structure = self.structure
        corners = [
            self.centre + a * self.right + b * self.up
            for a, b in product(self.x[[0, -1]], self.y[[0, -1]])
        ]
        inverse = np.linalg.inv(structure.full_cell)
        scaled = np.array(corners) @ inverse
        reach = distance * np.linalg.norm(inverse, axis=0)
        own = structure.positions @ inverse
        low = np.floor(scaled.min(axis=0) - reach - own.max(axis=0)).astype(int)
        high = np.ceil(scaled.max(axis=0) + reach - own.min(axis=0)).astype(int)
        spans = [
            range(a, b + 1) if periodic else range(1)
            for a, b, periodic in zip(low, high, structure.pbc, strict=True)
        ]
        R = np.array(list(product(*spans))) @ structure.full_cell
        relative = (structure.positions + R[:, None] - self.centre).reshape(-1, 3)
        atom = np.tile(np.arange(structure.n_atoms), len(R))
        places = np.stack([relative @ self.right, relative @ self.up], axis=1)
        height = relative @ np.cross(self.right, self.up)
        inside = (
            (abs(height) <= distance)
            & (places[:, 0] >= self.x[0])
            & (places[:, 0] <= self.x[-1])
            & (places[:, 1] >= self.y[0])
            & (places[:, 1] <= self.y[-1])
        )
        return atom[inside], places[inside], height[inside]


def plane_normal(structure: Structure, miller: Sequence[float]) -> NDArray[np.float64]:
    """Unit vector normal to the lattice planes (h k l) of the cell.

    Raises
    ------
    InputError
        Not three numbers, or all of them zero.
    """
    hkl = np.asarray(miller, dtype=np.float64)
    if hkl.shape != (3,) or not hkl.any() or not np.isfinite(hkl).all():
        raise InputError(f"indices {tuple(miller)} of a plane; give three numbers, not all zero")
    normal = hkl @ np.linalg.inv(structure.full_cell).T
    return np.asarray(normal / np.linalg.norm(normal))


def _default_plane(structure: Structure) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Normal and a point: through the atoms of molecules and layers, (1 -1 0) of crystals."""
    if structure.pbc.all():
        return plane_normal(structure, (1, -1, 0)), structure.positions[0]
    centre = structure.positions.mean(axis=0)
    flat = np.flatnonzero(~structure.pbc)
    if len(flat) == 1:
        index = [0, 0, 0]
        index[int(flat[0])] = 1
        top = structure.positions @ plane_normal(structure, index)
        return plane_normal(structure, index), structure.positions[int(np.argmax(top))]
    # the direction in which the atoms are spread least
    spread = np.linalg.svd(structure.positions - centre, full_matrices=True)[2]
    return np.asarray(spread[2]), centre


def slice_field(
    field: Field,
    normal: ArrayLike | None = None,
    through: ArrayLike | None = None,
    *,
    up: ArrayLike | None = None,
    size: float | None = None,
    spacing: float = 0.05,
    part: str = "density",
) -> Slice:
    """Values of a field on a plane.

    Parameters
    ----------
    field : Field
        Any; of several components take one, but for the density of spinors.
    normal : (3,) float, optional
        Direction normal to the plane; `plane_normal` gives those of lattice planes. By default the
        plane of a molecule's or layer's atoms, and (1 -1 0) of a crystal.
    through : (3,) float, optional
        A point of the plane, Å: the middle of the picture.
    up : (3,) float, optional
        Which direction points upwards in the picture.
    size : float, optional
        Edge of the square, Å; by default what shows the atoms of a molecule, or some cells.
    spacing : float
        Distance of the points of the picture, Å.
    part : {"density", "real", "imaginary", "modulus"}
        What of a wave function, see `Field.part`; real fields are shown as they are.

    Raises
    ------
    InputError
        It is not said which component is meant, or directions are parallel.
    """
    bloch = field.kpt is not None and part in ("real", "imaginary")
    shown = field.part(part) if field.kpt is not None else field
    if shown.components:
        raise InputError(
            f"the {field.name} has the components {', '.join(field.components)}: take one of them, "
            "field.component(name)"
        )
    structure = field.structure
    default_normal, default_point = _default_plane(structure)
    n = default_normal if normal is None else np.asarray(normal, dtype=np.float64)
    if n.shape != (3,) or not np.linalg.norm(n) > 0:
        raise InputError(f"a normal {n}; give three numbers, not all zero")
    n = n / np.linalg.norm(n)
    centre = default_point if through is None else np.asarray(through, dtype=np.float64)
    right, upwards = _directions(structure, n, up)
    half = (size if size is not None else _size(field)) / 2
    steps = np.arange(-half, half + spacing / 2, spacing)
    points = centre + steps[None, :, None] * right + steps[:, None, None] * upwards
    values = _bloch_part(field, points, part) if bloch else _interpolated(shown, points)
    signed = bool(shown.values.min() < -1e-6 * abs(shown.values).max())
    if not signed:
        # a cubic may swing below zero beside a peak
        values = np.maximum(values, 0.0)
    inside = np.isfinite(values)
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        raise InputError("the plane does not meet the grid")
    y, x = (slice(one[0], one[-1] + 1) for one in (rows, columns))
    return Slice(
        steps[x],
        steps[y],
        values[y, x],
        centre,
        right,
        upwards,
        shown.name,
        shown.unit,
        structure,
        signed,
    )


def _bloch_part(field: Field, points: NDArray[np.float64], part: str) -> NDArray[np.float64]:
    """Real or imaginary part of a Bloch function: its periodic part, and the phase at the point."""
    inverse = np.linalg.inv(field.structure.full_cell)
    here = np.exp(2j * np.pi * ((field.grid.points() @ inverse) @ field.kpt))
    periodic = field.values / here
    real, imaginary = (
        _interpolated(replace(field, values=values, components=(), kpt=None), points)
        for values in (periodic.real.copy(), periodic.imag.copy())
    )
    out = (real + 1j * imaginary) * np.exp(2j * np.pi * ((points @ inverse) @ field.kpt))
    return np.asarray(out.real if part == "real" else out.imag)


def _directions(
    structure: Structure, n: NDArray[np.float64], up: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors to the right and upwards; the third lattice vector upwards if it can be."""
    if up is not None:
        wanted = [np.asarray(up, dtype=np.float64)]
    else:
        wanted = [structure.full_cell[axis] for axis in (2, 1, 0)]
    for direction in wanted:
        flat = direction - (direction @ n) * n
        if np.linalg.norm(flat) > 0.2 * np.linalg.norm(direction):
            upwards = flat / np.linalg.norm(flat)
            return np.cross(upwards, n), upwards
    raise InputError("the direction upwards is normal to the plane: give another one")


def _size(field: Field) -> float:
    """Edge of a square that shows what there is."""
    structure = field.structure
    if structure.pbc.any():
        lengths = np.linalg.norm(structure.cell[structure.pbc], axis=1)
        return float(np.clip(2.2 * lengths.max(), 8.0, 16.0))
    extent = np.ptp(structure.positions, axis=0)
    return float(np.linalg.norm(extent) + 4.0)


def _interpolated(field: Field, points: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.ndimage import map_coordinates

    grid = field.grid
    shape = np.array(grid.shape)
    index = (points - grid.origin) @ np.linalg.inv(grid.cell) * shape
    pad = [(_MARGIN, _MARGIN) if periodic else (0, 0) for periodic in grid.pbc]
    values = np.asarray(field.values, dtype=np.float64)
    for axis, periodic in enumerate(grid.pbc):
        if periodic:
            index[..., axis] = index[..., axis] % shape[axis] + _MARGIN
    values = np.pad(values, pad, mode="wrap")
    out = map_coordinates(values, np.moveaxis(index, -1, 0), order=3, mode="constant", cval=np.nan)
    return np.asarray(out)
