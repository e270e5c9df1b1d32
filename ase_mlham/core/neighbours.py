"""Neighbour list: every pair of atoms closer than a distance, periodic images included."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.structure import Structure
from ase_mlham.errors import InputError

__all__ = ["check_no_overlap", "neighbour_list"]


def neighbour_list(
    structure: Structure, cutoff: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Directed pairs closer than a cut-off; an atom is not its own neighbour at R = 0.

    Parameters
    ----------
    structure : Structure
        Where the atoms are; they may lie outside the cell.
    cutoff : float
        Å.

    Returns
    -------
    i, j : (n,) int
        Atoms, sorted by i.
    R : (n, 3) int
        Lattice vector of j, zero along directions that are not periodic.
    distance : (n,) float
        |tau_j + R - tau_i| in Å.
    """
    from matscipy.neighbours import neighbour_list as compiled

    cell = structure.full_cell
    # the library bins atoms in the cell: a direction without periodicity must hold them all
    inverse = np.linalg.inv(cell)
    scaled = structure.positions @ inverse
    origin = np.zeros(3)
    for axis in np.flatnonzero(~structure.pbc):
        low, high = scaled[:, axis].min(), scaled[:, axis].max()
        length = np.linalg.norm(cell[axis])
        origin += (low * length - 1.0) * cell[axis] / length
        cell[axis] *= (high - low) + 2.0 / length
    i, j, R, distance = compiled(
        "ijSd",
        cutoff=float(cutoff),
        positions=np.array(structure.positions),
        cell=cell,
        cell_origin=origin,
        pbc=np.array(structure.pbc),
        numbers=structure.numbers.astype(np.int32),
    )
    return i.astype(np.int64), j.astype(np.int64), R.astype(np.int64), distance


def check_no_overlap(structure: Structure, closest: float = 0.3) -> None:
    """Refuse structures in which two atoms sit on one another.

    Raises
    ------
    InputError
        Names the pair and the distance.
    """
    i, j, R, distance = neighbour_list(structure, closest)
    if len(distance):
        worst = int(np.argmin(distance))
        image = "" if not R[worst].any() else f" (image {tuple(int(n) for n in R[worst])})"
        raise InputError(
            f"atoms {i[worst]} and {j[worst]}{image} are {distance[worst]:.3f} Å apart; atoms "
            f"closer than {closest} Å overlap: check the units, the cell and duplicate atoms"
        )
