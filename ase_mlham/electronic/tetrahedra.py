"""Linear interpolation of bands between the points of a k mesh.

Each cell of the mesh is cut into simplices: tetrahedra in a crystal, triangles in a slab, segments
in a wire (Lehmann and Taut 1972; Blöchl, Jepsen and Andersen 1994). With sorted corner energies
e_0 <= ... <= e_d the part of a simplex below E is a sum of similar simplices with their tips at the
corners that lie below E,

    n(E) = sum_{e_i < E} prod_{j != i} (E - e_i) / (e_j - e_i),

and the same parts carry the average of any quantity that is linear in the simplex. One formula then
serves all dimensions, the density, its integral, and projections.
"""

from __future__ import annotations

from itertools import permutations
from math import factorial

import numpy as np
from numpy.typing import NDArray

from ase_mlham.electronic.kpoints import Mesh

__all__ = ["Tetrahedra"]

SPREAD = 1e-5
"""eV; corner energies are drawn apart by this, so that no denominator vanishes."""

_BATCH = 30_000


class Tetrahedra:
    """Simplices of a k mesh, with the points of the mesh that are their corners.

    Parameters
    ----------
    mesh : Mesh
        Directions with one point are left out: the bands do not depend on them.
    """

    def __init__(self, mesh: Mesh) -> None:
        n = np.array(mesh.size)
        axes = [int(a) for a in np.flatnonzero(n > 1)]
        self.dimension = len(axes)
        grid = np.stack(np.meshgrid(*(np.arange(s) for s in n), indexing="ij"), -1).reshape(-1, 3)
        simplices = []
        # Kuhn's cut: from one corner of the cell to the opposite one, one step along each axis
        for order in permutations(axes):
            corner = grid.copy()
            corners = [corner]
            for axis in order:
                corner = corner.copy()
                corner[:, axis] += 1
                corners.append(corner)
            simplices.append(np.stack(corners, axis=1))
        points = np.concatenate(simplices) % n
        flat = (points[..., 0] * n[1] + points[..., 1]) * n[2] + points[..., 2]
        self.points: NDArray[np.int64] = mesh.index[flat]
        self.weight = 1.0 / (len(grid) * factorial(self.dimension))

    def corners(self, energies: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sorted corner energies of all simplices and bands, (n_simplices * n_bands, d + 1)."""
        return self._spread(np.sort(self._flat(energies), axis=1))

    def _flat(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values (n_k, n_bands) at the corners, (n_simplices * n_bands, d + 1)."""
        return np.asarray(values[self.points].swapaxes(1, 2).reshape(-1, self.dimension + 1))

    @staticmethod
    def _spread(corners: NDArray[np.float64]) -> NDArray[np.float64]:
        """Corners at least `SPREAD` apart."""
        steps = SPREAD * np.arange(corners.shape[1])
        return np.asarray(np.maximum.accumulate(corners - steps, axis=1) + steps)

    def count(self, corners: NDArray[np.float64], level: float) -> float:
        """States per cell below an energy.

        Parameters
        ----------
        corners : (n, d + 1) float
            From `corners`.
        level : float
            eV.
        """
        full = int((corners[:, -1] <= level).sum())
        cut = corners[(corners[:, 0] < level) & (corners[:, -1] > level)]
        parts, _ = _tips(cut, np.full(len(cut), level), integrated=True)
        return self.weight * (full + float(parts.sum()))

    def density(
        self,
        energies: NDArray[np.float64],
        grid: NDArray[np.float64],
        projections: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """Density of states on an evenly spaced grid of energies.

        Parameters
        ----------
        energies : (n_k, n_bands) float
            Bands of one spin channel, eV.
        grid : (n_energies,) float
            Evenly spaced, ascending, eV.
        projections : (n_k, n_bands, n_projections) float, optional
            Weights of the states; ones if None.

        Returns
        -------
        (n_projections, n_energies) float
            States per eV and cell.
        """
        n_projections = 1 if projections is None else projections.shape[-1]
        out = np.zeros((n_projections, len(grid)))
        raw = self._flat(energies)
        order = np.argsort(raw, axis=1)
        corners = self._spread(np.take_along_axis(raw, order, axis=1))
        if self.dimension == 0:
            return out
        first = np.searchsorted(grid, corners[:, 0], side="right")
        last = np.searchsorted(grid, corners[:, -1], side="left")
        inside = last - first
        rows = np.flatnonzero(inside > 0)
        cuts = np.cumsum(inside[rows]) // _BATCH
        for batch in np.split(rows, np.flatnonzero(np.diff(cuts)) + 1):
            if not len(batch):
                continue
            each = np.repeat(batch, inside[batch])
            start = np.repeat(
                first[batch] - np.cumsum(inside[batch]) + inside[batch], inside[batch]
            )
            at = start + np.arange(len(each))
            density, moments = _tips(
                corners[each], grid[at], integrated=False, moments=projections is not None
            )
            if projections is None:
                out[0] += np.bincount(at, density, minlength=len(grid))
                continue
            n_bands = energies.shape[1]
            points = np.take_along_axis(self.points[each // n_bands], order[each], axis=1)
            values = projections[points, (each % n_bands)[:, None]]
            weighted = np.einsum("nj,njp->pn", moments, values)
            for p in range(n_projections):
                out[p] += np.bincount(at, weighted[p], minlength=len(grid))
        return out * self.weight


def _tips(
    corners: NDArray[np.float64],
    level: NDArray[np.float64],
    *,
    integrated: bool,
    moments: bool = False,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Part of simplices below an energy (or its derivative), and how it falls on the corners.

    Parameters
    ----------
    corners : (n, d + 1) float
        Sorted and distinct.
    level : (n,) float
        Strictly between the lowest and highest corner of each.
    integrated : bool
        The part below, else its derivative.
    moments : bool
        Whether the second result is wanted.

    Returns
    -------
    part : (n,) float
    on_corners : (n, d + 1) float
        Their sum over corners is `part`.
    """
    n, corners_of_one = corners.shape
    d = corners_of_one - 1
    # summed from the side with fewer corners, so that at most half of the terms cancel
    below = corners < level[:, None]
    from_below = 2 * below.sum(axis=1) <= corners_of_one
    active = np.where(from_below[:, None], below, ~below)
    part, on_corners = np.zeros(n), np.zeros((n, corners_of_one if moments else 0))
    for i in range(corners_of_one):
        here = np.flatnonzero(active[:, i])
        if not len(here):
            continue
        distance = level[here] - corners[here, i]
        gaps = np.delete(corners[here], i, axis=1) - corners[here, i][:, None]
        reach = distance[:, None] / gaps
        volume = reach.prod(axis=1)
        if integrated:
            share = reach / (d + 1)
        else:
            # d/dE of prod (E - e_i)/(e_j - e_i); the plane E cuts the edges at `reach`
            volume = d * reach[:, 1:].prod(axis=1) / gaps[:, 0]
            share = reach / d
        sign = np.where(from_below[here], 1.0, -1.0)
        part[here] += sign * volume
        if moments:
            others = np.delete(np.arange(corners_of_one), i)
            on_corners[here, i] += sign * volume * (1 - share.sum(axis=1))
            on_corners[np.ix_(here, others)] += (sign * volume)[:, None] * share
    if integrated:
        # from above the sum is minus the part that is not filled
        part += np.where(from_below, 0.0, 1.0)
        if moments:
            on_corners += np.where(from_below, 0.0, 1 / (d + 1))[:, None]
    return part, on_corners
