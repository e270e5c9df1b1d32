"""From a structure to PySCF's cell: which directions are periodic, where there is vacuum.

A direction without periodicity gets a lattice vector normal to the others, long enough that no
orbital's tail meets its image. The electrostatics stay three-dimensional, with zero average over
that cell, so the energy zero of a slab depends on how much vacuum there is: `vacuum_level` in the
provenance is the potential far from the atoms on the scale of H.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core import Structure
from ase_mlham.core.basis import symbol
from ase_mlham.engines.pyscf.basis_sets import shell_radii
from ase_mlham.units import CODATA_2018

__all__ = ["Box", "build_molecule", "make_box", "vacuum_directions", "vacuum_potential"]

BOHR = CODATA_2018.bohr

VACUUM = 6.0
"""An empty layer thicker than this (Å) counts as vacuum: no bond spans it."""


@dataclass(frozen=True, eq=False)
class Box:
    """The periodic box of a calculation, in bohr.

    Attributes
    ----------
    cell : pyscf.pbc.gto.Cell
        Built; its lattice is `lattice`, its atoms are in the order of the structure.
    lattice : (3, 3) float
        Rows.
    positions : (n_atoms, 3) float
        Possibly moved along directions without periodicity, to the middle of the box.
    periodic : (3,) bool
        Along which directions orbitals have images.
    """

    cell: Any
    lattice: NDArray[np.float64]
    positions: NDArray[np.float64]
    periodic: NDArray[np.bool_]

    @property
    def volume(self) -> float:
        """Of the box, bohr^3."""
        return float(abs(np.linalg.det(self.lattice)))

    @property
    def heights(self) -> NDArray[np.float64]:
        """Distances between opposite faces, bohr."""
        return 1.0 / np.linalg.norm(np.linalg.inv(self.lattice), axis=0)


def vacuum_directions(structure: Structure) -> NDArray[np.bool_]:
    """Periodic directions along which an empty layer separates the structure from its image.

    Only layers normal to the other two lattice vectors are looked for.
    """
    cell = structure.full_cell
    scaled = structure.positions @ np.linalg.inv(cell)
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    out = np.zeros(3, dtype=bool)
    for axis in np.flatnonzero(structure.pbc):
        s = np.sort(scaled[:, axis] % 1.0)
        gap = np.diff(np.concatenate([s, s[:1] + 1.0])).max()
        out[axis] = len(s) > 1 and gap * heights[axis] > VACUUM
        if len(s) == 1:
            out[axis] = heights[axis] > VACUUM
    return out


def vacuum_potential(potential: NDArray[np.float64], box: Box, axis: int) -> tuple[float, float]:
    """Electrostatic potential in the middle of the vacuum, and its slope there.

    Parameters
    ----------
    potential : (mesh) float
        On the grid of the box, hartree.
    box : Box
        With a vacuum along `axis`.
    axis : int
        Lattice direction.

    Returns
    -------
    level : float
        Average over the plane farthest from the atoms, hartree.
    slope : float
        Field there, hartree per bohr: not zero if the slab has a dipole, and then there are two
        vacuum levels, of which this is neither.
    """
    n = potential.shape[axis]
    profile = potential.mean(axis=tuple(a for a in range(3) if a != axis))
    s = np.sort((box.positions @ np.linalg.inv(box.lattice))[:, axis] % 1.0)
    gaps = np.diff(np.concatenate([s, s[:1] + 1.0]))
    widest = int(np.argmax(gaps))
    middle = round((s[widest] + gaps[widest] / 2) * n)
    reach = max(1, int(0.1 * gaps[widest] * n))
    step = profile[(middle + reach) % n] - profile[(middle - reach) % n]
    distance = 2 * reach / n * box.heights[axis]
    return float(profile[middle % n]), float(step / distance)


def build_molecule(symbols: list[str], positions: NDArray, basis: dict, pseudo: str) -> Any:
    """A PySCF molecule from positions in bohr, spin-paired if that is possible."""
    from pyscf import gto

    mol = gto.Mole()
    mol.unit, mol.basis, mol.pseudo, mol.verbose = "Bohr", basis, pseudo, 0
    mol.atom = [(s, tuple(x)) for s, x in zip(symbols, positions, strict=True)]
    mol.spin = None  # PySCF then takes the lowest spin that the electron count allows
    mol.build(dump_input=False, parse_arg=False)
    return mol


def make_box(structure: Structure, basis: dict, pseudo: str, eps_ao: float) -> Box:
    """The periodic box of a structure with at least one periodic direction."""
    from pyscf.pbc import gto

    symbols = [symbol(int(n)) for n in structure.numbers]
    positions = structure.positions / BOHR
    lattice = structure.cell / BOHR
    periodic = np.array(structure.pbc)
    if not periodic.all():
        reach = shell_radii(build_molecule(symbols, positions, basis, pseudo), eps_ao).max()
        lattice, positions = _pad(lattice, positions, periodic, reach)
    cell = gto.Cell()
    # PySCF wants right-handed axes; only the Ewald sum sees them, and their order does not matter
    axes = lattice if np.linalg.det(lattice) > 0 else lattice[[1, 0, 2]]
    cell.unit, cell.a, cell.basis, cell.pseudo = "Bohr", axes, basis, pseudo
    cell.atom = [(s, tuple(x)) for s, x in zip(symbols, positions, strict=True)]
    cell.verbose, cell.mesh, cell.precision = 0, [3, 3, 3], 1e-8  # PySCF's own grids are not used
    cell.spin = None
    cell.build(dump_input=False, parse_arg=False)
    return Box(cell, lattice, positions, periodic)


def _pad(
    lattice: NDArray, positions: NDArray, periodic: NDArray, reach: float
) -> tuple[NDArray, NDArray]:
    """Lattice with normal vectors where there is no periodicity, and atoms in the middle of it."""
    given = lattice.copy()
    lattice = np.where(periodic[:, None], lattice, 0.0)
    normals = np.linalg.svd(lattice)[2][int(periodic.sum()) :]
    for axis, normal in zip(np.flatnonzero(~periodic), normals, strict=True):
        along = positions @ normal
        length = max(np.ptp(along) + 2 * reach, abs(given[axis] @ normal))
        lattice[axis] = length * normal
        positions = positions + (length / 2 - (along.max() + along.min()) / 2) * normal
    return lattice, positions
