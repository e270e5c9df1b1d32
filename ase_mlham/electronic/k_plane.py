"""A plane in reciprocal space, with a regular grid of k-points on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_mlham.core.structure import Structure, frozen_array
from ase_mlham.electronic.path import band_path
from ase_mlham.errors import InputError

__all__ = ["KPlane", "k_plane"]

PLANE_POINTS = 41
"""Points along each side of a plane if nothing is asked."""


@dataclass(frozen=True, eq=False)
class KPlane:
    """A rectangle of k-points.

    Attributes
    ----------
    center : (3,) float
        Fractions of the reciprocal lattice vectors.
    axes : (2, 3) float
        Orthonormal Cartesian directions along which the coordinates u and v run.
    extent : (2,) float
        u and v run from -extent to +extent; Å^-1, 2 pi included.
    shape : (2,) int
        Points along u and v.
    cell : (3, 3) float
        Lattice vectors as rows, Å; zero along directions that are not periodic.
    """

    center: NDArray[np.float64]
    axes: NDArray[np.float64]
    extent: NDArray[np.float64]
    shape: tuple[int, int]
    cell: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in ("center", "axes", "extent", "cell"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.float64))
        n_u, n_v = (int(n) for n in self.shape)
        object.__setattr__(self, "shape", (n_u, n_v))
        if min(n_u, n_v) < 2 or not (self.extent > 0).all():
            raise InputError(
                f"a plane of {n_u} x {n_v} points and half widths {self.extent} 1/Å; give at least "
                "2 x 2 points and positive widths"
            )

    @property
    def u(self) -> NDArray[np.float64]:
        """Coordinates along the first axis, (n_u,) Å^-1."""
        return np.linspace(-self.extent[0], self.extent[0], self.shape[0])

    @property
    def v(self) -> NDArray[np.float64]:
        """Coordinates along the second axis, (n_v,) Å^-1."""
        return np.linspace(-self.extent[1], self.extent[1], self.shape[1])

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector normal to the plane: first axis x second axis."""
        return np.cross(self.axes[0], self.axes[1])

    @property
    def grid(self) -> NDArray[np.float64]:
        """Coordinates (u, v) of the points, (n_u * n_v, 2); v runs fastest."""
        return np.stack(np.meshgrid(self.u, self.v, indexing="ij"), axis=-1).reshape(-1, 2)

    @property
    def kpts(self) -> NDArray[np.float64]:
        """The points, (n_u * n_v, 3), fractions of the reciprocal lattice vectors."""
        return self.fractions(self.grid)

    def fractions(self, uv: ArrayLike) -> NDArray[np.float64]:
        """k-points of coordinates (..., 2), fractions of the reciprocal lattice vectors."""
        cartesian = np.asarray(uv, dtype=np.float64) @ self.axes
        return np.asarray(self.center + cartesian @ self.cell.T / (2 * np.pi))

    def directions(self, axis: Any, uv: ArrayLike) -> NDArray[np.float64]:
        """Unit vectors at some coordinates of an axis that may turn with k.

        Parameters
        ----------
        axis : {"radial", "tangential", "normal", "u", "v"} or (3,) float
            "radial" points away from the centre; "tangential" is normal x radial, along which the
            spin of a Rashba band lies; at the centre both are zero. A vector is the same
            everywhere.
        uv : (..., 2) float
            Where.

        Returns
        -------
        (..., 3) float
        """
        uv = np.asarray(uv, dtype=np.float64)
        if isinstance(axis, str) and axis in ("radial", "tangential"):
            length = np.linalg.norm(uv, axis=-1, keepdims=True)
            radial = (uv / np.where(length > 1e-12, length, 1.0)) @ self.axes
            return radial if axis == "radial" else np.cross(self.normal, radial)
        named = {"normal": self.normal, "u": self.axes[0], "v": self.axes[1]}
        one = named[axis] if isinstance(axis, str) else np.asarray(axis, dtype=np.float64)
        return np.broadcast_to(one, (*uv.shape[:-1], 3))

    @property
    def zone(self) -> NDArray[np.float64]:
        """Corners of the Brillouin zone's cut by the plane, (n, 2) coordinates; maybe none at all.

        The zone is that around the reciprocal lattice point nearest to the centre.
        """
        rows = np.flatnonzero(self.cell.any(axis=1))
        reciprocal = 2 * np.pi * np.linalg.pinv(self.cell).T[rows]
        offsets = np.array(list(product((-2, -1, 0, 1, 2), repeat=len(rows)))) @ reciprocal
        centre = self.center[rows] @ reciprocal
        nearest = np.round(self.center[rows]) @ reciprocal + offsets
        origin = nearest[np.linalg.norm(centre - nearest, axis=1).argmin()]
        start = centre - origin
        far = 10 * float(np.linalg.norm(reciprocal, axis=1).max())
        corners = far * np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
        for vector in offsets[np.linalg.norm(offsets, axis=1) > 1e-9]:
            # nearer to the origin than to this lattice point: k . G <= G^2 / 2
            room = vector @ vector / 2 - start @ vector
            corners = _cut(corners, self.axes @ vector, float(room))
        return corners

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values that `from_dict` reads."""
        names = ("center", "axes", "extent", "cell")
        return {**{n: getattr(self, n).tolist() for n in names}, "shape": list(self.shape)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> KPlane:
        """Inverse of `to_dict`."""
        n_u, n_v = data["shape"]
        return cls(data["center"], data["axes"], data["extent"], (n_u, n_v), data["cell"])


def _cut(
    corners: NDArray[np.float64], slope: NDArray[np.float64], room: float
) -> NDArray[np.float64]:
    """The part of a convex polygon (n, 2) in which slope . (u, v) <= room."""
    kept: list[NDArray[np.float64]] = []
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        # a plane may lie in a face of the zone: rounding must not cut it away
        over_a, over_b = (
            0.0 if abs(over) < 1e-9 else over for over in (slope @ a - room, slope @ b - room)
        )
        if over_a <= 0:
            kept.append(a)
        if over_a * over_b < 0:
            kept.append(a + (b - a) * over_a / (over_a - over_b))
    return np.array(kept).reshape(-1, 2)


def k_plane(
    structure: Structure,
    center: str | Sequence[float] = "G",
    *,
    normal: str | Sequence[float] | None = None,
    vectors: ArrayLike | None = None,
    extent: float | tuple[float, float] | None = None,
    size: int | tuple[int, int] = PLANE_POINTS,
) -> KPlane:
    """A plane through a point of the zone of a structure.

    Parameters
    ----------
    structure : Structure
        Periodic along two directions at least.
    center : str or (3,) float
        A special point such as "K", or fractions of the reciprocal lattice vectors.
    normal : {"x", "y", "z", "a", "b", "c"} or (3,) float, optional
        Cartesian, or a lattice vector. By default that of a slab, and in a crystal the third
        lattice vector, so that the first two reciprocal vectors lie in the plane.
    vectors : (2, 3) float, optional
        Two k-vectors in the plane instead, fractions of the reciprocal lattice vectors; the first
        axis runs along the first of them.
    extent : float or (2,) float, optional
        Half width, or half widths, in Å^-1 (2 pi included); by default half the shortest
        reciprocal vector of the periodic directions.
    size : int or (2,) int
        Points along the sides.

    Raises
    ------
    InputError
        The structure has no plane of k-points, the plane leaves its periodic directions, a point
        has no name, or both normal and vectors are given.
    """
    pbc = structure.pbc
    if pbc.sum() < 2:
        raise InputError(
            f"a structure periodic along {int(pbc.sum())} directions has no plane of k-points; use "
            "a path"
        )
    if normal is not None and vectors is not None:
        raise InputError("a plane is given by its normal or by two vectors in it, not by both")
    cell = np.where(pbc[:, None], structure.cell, 0.0)
    reciprocal = 2 * np.pi * np.linalg.pinv(cell).T
    axes = (
        _axes_of_vectors(np.asarray(vectors, dtype=np.float64), reciprocal)
        if vectors is not None
        else _axes_of_normal(_normal(structure, normal))
    )
    rows = cell[pbc]
    inside = axes @ (np.linalg.pinv(rows) @ rows)
    # of unit vectors, where cells from text files are rounded at 1e-6
    if not np.allclose(inside, axes, rtol=0, atol=1e-4):
        raise InputError(
            "this plane of k-points leaves the periodic directions of the structure; leave normal "
            "and vectors out for the plane of the slab"
        )
    half = 0.5 * np.linalg.norm(reciprocal[pbc], axis=1).min() if extent is None else extent
    n_u, n_v = (size, size) if isinstance(size, int) else size
    return KPlane(
        _center(structure, center), axes, np.broadcast_to(half, (2,)), (int(n_u), int(n_v)), cell
    )


def _center(structure: Structure, center: str | Sequence[float]) -> NDArray[np.float64]:
    if isinstance(center, str):
        special = band_path(structure, npoints=1).special_points
        if center not in special:
            raise InputError(
                f"no special point {center!r} in this cell; there are {', '.join(sorted(special))}"
            )
        return np.asarray(special[center], dtype=np.float64)
    point = np.asarray(center, dtype=np.float64)
    if point.shape != (3,) or not np.isfinite(point).all():
        raise InputError(f"a plane around {center!r}; give a special point or three fractions")
    return point


def _normal(structure: Structure, normal: str | Sequence[float] | None) -> NDArray[np.float64]:
    cell = structure.full_cell
    if normal is None:
        open_axes = np.flatnonzero(~structure.pbc)
        axis = int(open_axes[0]) if len(open_axes) else 2
        # of a slab the normal of its two vectors, of a crystal that of two reciprocal ones
        vector = np.cross(cell[axis - 2], cell[axis - 1]) if len(open_axes) else cell[axis]
        return vector * np.sign(vector @ cell[axis])
    if isinstance(normal, str):
        if normal in ("x", "y", "z"):
            return np.eye(3)["xyz".index(normal)]
        if normal in ("a", "b", "c"):
            return np.asarray(cell["abc".index(normal)])
    else:
        vector = np.asarray(normal, dtype=np.float64)
        if vector.shape == (3,) and np.isfinite(vector).all() and vector.any():
            return vector
    raise InputError(f"a plane normal to {normal!r}; accepted: x, y, z, a, b, c or a vector")


def _axes_of_normal(normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Right-handed axes: for the normal z they are x and y, and likewise in turn."""
    normal = normal / np.linalg.norm(normal)
    start = np.eye(3)[(int(abs(normal).argmax()) + 1) % 3]
    first = start - (start @ normal) * normal
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(normal, first)])


def _axes_of_vectors(
    vectors: NDArray[np.float64], reciprocal: NDArray[np.float64]
) -> NDArray[np.float64]:
    if vectors.shape != (2, 3) or not np.isfinite(vectors).all():
        raise InputError(f"vectors of shape {vectors.shape}; expected two k-vectors, (2, 3)")
    first, second = vectors @ reciprocal
    if np.linalg.norm(np.cross(first, second)) < 1e-6 * np.linalg.norm(first) * np.linalg.norm(
        second
    ) or not (first.any() and second.any()):
        raise InputError("the two vectors of a plane of k-points must not be parallel or zero")
    first = first / np.linalg.norm(first)
    second = second - (second @ first) * first
    return np.stack([first, second / np.linalg.norm(second)])
