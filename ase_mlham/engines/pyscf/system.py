"""The result as an `LCAOSystem`: eV and Å, this package's orbital order, pairs in range."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core import BlockMatrix, BlockPattern, LCAOSystem, OrbitalBasis, SpinKind, Structure
from ase_mlham.core.system import basis_pattern
from ase_mlham.engines.pyscf.basis_sets import (
    core_basis,
    default_eps_cutoff,
    orbital_order,
)
from ase_mlham.engines.pyscf.cell import vacuum_directions, vacuum_potential
from ase_mlham.engines.pyscf.functional import PSEUDO
from ase_mlham.engines.pyscf.moments import (
    atomic_moments,
    moments_record,
    pauli,
    uneven_levels,
)
from ase_mlham.engines.pyscf.scf import SelfConsistency
from ase_mlham.engines.pyscf.settings import PyscfSettings
from ase_mlham.units import CODATA_2018

__all__ = ["crystal_system", "engine_versions", "extract", "largest_outside"]

HARTREE = CODATA_2018.hartree


def engine_versions() -> dict[str, str]:
    """Of everything that the numbers depend on."""
    return {name: version(name) for name in ("ase-mlham", "pyscf", "numpy", "scipy")}


def extract(
    X: NDArray[np.float64],
    pattern: BlockPattern,
    reach: NDArray[np.int64],
    order: NDArray[np.int64],
    scale: float,
) -> BlockMatrix:
    """Blocks of a pattern from an array X[component, R, i, j] over a dense box of lattice vectors.

    Parameters
    ----------
    X : (n_components, n_R, n, n) float
        Orbitals in PySCF's order.
    pattern : BlockPattern
        What to take; all of it must lie in the box.
    reach : (3,) int
        The box holds R from -reach to reach.
    order : (n,) int
        PySCF's index of each orbital.
    scale : float
        Factor on the numbers.
    """
    size = 2 * reach + 1
    shifted = pattern.R + reach
    cell = (shifted[:, 0] * size[1] + shifted[:, 1]) * size[2] + shifted[:, 2]
    values = []
    for group in pattern.groups:
        n_a, n_b = pattern.block_shape(group)
        i, j = pattern.i[group.slice], pattern.j[group.slice]
        row = order[pattern.offsets[i][:, None] + np.arange(n_a)]
        column = order[pattern.offsets[j][:, None] + np.arange(n_b)]
        block = X[:, cell[group.slice][:, None, None], row[:, :, None], column[:, None, :]]
        values.append(scale * block)
    return BlockMatrix(pattern, tuple(values))


def largest_outside(
    X: NDArray[np.float64], pattern: BlockPattern, reach: NDArray[np.int64]
) -> float:
    """Largest |element| in blocks that a pattern does not hold, of X as for `extract`."""
    start = pattern.offsets[:-1]
    largest = np.max(
        [np.maximum.reduceat(np.maximum.reduceat(abs(x), start, axis=1), start, axis=2) for x in X],
        axis=0,
    )
    size = 2 * reach + 1
    for i, j, R in ((pattern.i, pattern.j, pattern.R), (pattern.j, pattern.i, -pattern.R)):
        shifted = R + reach
        cell = (shifted[:, 0] * size[1] + shifted[:, 1]) * size[2] + shifted[:, 2]
        largest[cell, i, j] = 0.0
    return float(largest.max())


def crystal_system(
    structure: Structure,
    scf: SelfConsistency,
    settings: PyscfSettings,
    basis_name: str,
    notes: tuple[str, ...],
) -> LCAOSystem:
    """The system of a converged periodic calculation, its structure with the moments found."""
    basis = core_basis(scf.box.cell, basis_name, settings.eps_cutoff)
    pattern = basis_pattern(structure, basis)
    order, reach = orbital_order(scf.box.cell), scf.images.lattice_box.reach
    H = pauli(scf.H)
    moments = None
    if scf.moments is not None:
        atoms = [label[0] for label in scf.box.cell.ao_labels(fmt=None)]
        moments = atomic_moments(scf.D, scf.S, np.array(atoms, dtype=np.int64))
    if scf.shared_level is None:
        notes = (*notes, uneven_levels(scf.electrons, scf.levels * HARTREE))

    def take(X: NDArray[np.float64], scale: float) -> BlockMatrix:
        return extract(X, pattern, reach, order, scale)

    return LCAOSystem(
        structure=replace(structure, moments=moments),
        basis=basis,
        hamiltonian=take(H, HARTREE),
        overlap=take(scf.S[None], 1.0),
        n_electrons=float(scf.box.cell.nelectron),
        spin=SpinKind.NONE if len(H) == 1 else SpinKind.COLLINEAR,
        fermi_level=None if scf.shared_level is None else scf.shared_level * HARTREE,
        kpts=scf.kmesh,
        operators={
            "kinetic": take(scf.T[None], HARTREE),
            "nonlocal": take(scf.V_nl[None], HARTREE),
            "superposition": take(pauli(scf.H_start), HARTREE),
        },
        provenance={
            **_provenance(structure, scf, settings, basis_name, basis),
            **moments_record(scf.moments, moments),
            "largest_cut_hamiltonian": largest_outside(H, pattern, reach) * HARTREE,
            "largest_cut_overlap": largest_outside(scf.S[None], pattern, reach),
        },
        warnings=notes,
    )


def _provenance(
    structure: Structure,
    scf: SelfConsistency,
    settings: PyscfSettings,
    basis_name: str,
    basis: OrbitalBasis,
) -> dict[str, Any]:
    out: dict[str, Any] = {
        "source": "pyscf",
        "method": "crystal",
        "versions": engine_versions(),
        "functional": settings.xc,
        "pseudopotential": PSEUDO[settings.xc],
        "basis": basis_name,
        "cutoffs": {entry.symbol: entry.cutoff for entry in basis.species},
        "ecut_ry": scf.ecut_ry,
        "grid": list(scf.mesh),
        "kpts": list(scf.kmesh),
        "smearing": settings.smearing,
        "eps_ao": settings.eps_ao,
        "eps_pair": settings.eps_pair,
        "eps_cutoff": settings.eps_cutoff or default_eps_cutoff(basis_name),
        "converged": True,
        "iterations": scf.iterations,
        "free_energy": scf.energy * HARTREE,
        "energy_change": scf.change * HARTREE,
        "commutator": scf.commutator * HARTREE,
        "electrons_on_grid": scf.electrons_on_grid,
        "smallest_overlap_eigenvalue": scf.smallest_overlap,
        "cpu_seconds": {name: round(t, 3) for name, t in scf.seconds.items()},
    }
    empty = np.flatnonzero(vacuum_directions(structure) | ~structure.pbc)
    if len(empty) == 1:
        level, slope = vacuum_potential(scf.potential.electrostatic, scf.box, int(empty[0]))
        out["vacuum_level"] = level * HARTREE
        out["vacuum_field"] = slope * HARTREE / CODATA_2018.bohr
    return out
