"""Molecules: PySCF's own restricted Kohn-Sham, which is faster and more accurate than a box.

The integration is on atom-centred grids, so `ecut_ry` plays no part. The energy zero is the vacuum.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core import BlockMatrix, LCAOSystem, Structure
from ase_mlham.core.basis import symbol
from ase_mlham.core.system import basis_pattern
from ase_mlham.engines.pyscf.atoms import atomic_density
from ase_mlham.engines.pyscf.basis_sets import (
    SHORT_RANGE,
    core_basis,
    default_eps_cutoff,
    load_basis,
    molecule_basis,
    orbital_order,
    warn_short_range,
)
from ase_mlham.engines.pyscf.cell import Box, build_molecule
from ase_mlham.engines.pyscf.functional import LIBXC, PSEUDO, xc_energy_potential
from ase_mlham.engines.pyscf.images import Images
from ase_mlham.engines.pyscf.kpoints import occupations
from ase_mlham.engines.pyscf.lattice_sums import (
    kinetic_and_overlap,
    known_warnings_ignored,
    nonlocal_potential,
)
from ase_mlham.engines.pyscf.system import engine_versions, extract, largest_outside
from ase_mlham.errors import ConvergenceError, InputError
from ase_mlham.units import CODATA_2018

if TYPE_CHECKING:
    from ase_mlham.engines.pyscf.settings import PyscfSettings

__all__ = ["compute_molecule", "superposition_hamiltonian"]

GRID_LEVEL = 5
"""PySCF's atom-centred grid; level 6 changes no element of H by more than a meV (see the tests)."""


def compute_molecule(structure: Structure, settings: PyscfSettings) -> LCAOSystem:
    """Converged H, S and the operators of a molecule, spin-paired.

    Raises
    ------
    InputError
        The structure is periodic, or has an odd electron count.
    ConvergenceError
        PySCF did not reach the tolerances.
    """
    if structure.pbc.any():
        raise InputError("method='molecule' is for structures without periodic directions")
    symbols = [symbol(int(n)) for n in structure.numbers]
    name = molecule_basis(set(symbols)) if settings.basis == "auto" else settings.basis
    positions = structure.positions / CODATA_2018.bohr
    pseudo = PSEUDO[settings.xc]
    mol = build_molecule(symbols, positions, load_basis(name, set(symbols)), pseudo)
    notes = (warn_short_range(),) if name == SHORT_RANGE else ()
    if mol.nelectron % 2:
        raise InputError(
            f"{mol.nelectron} electrons: molecules are computed spin-paired, radicals are not "
            "covered by this engine"
        )
    begin = time.process_time()
    box = Box(mol, np.eye(3), positions, np.zeros(3, dtype=bool))
    images = Images(box, settings.eps_ao, 0.0)
    T, S = kinetic_and_overlap(images)
    V_nl = nonlocal_potential(images)
    mf = _kohn_sham(mol, settings, structure.n_atoms)
    with known_warnings_ignored():
        H_start = superposition_hamiltonian(mf, positions, settings.xc)
        energies, orbitals = mf.eig(H_start, S[0])
        mf.kernel(dm0=mf.make_rdm1(orbitals, mf.get_occ(energies, orbitals)))
        H = mf.get_fock()
    if not mf.converged:
        raise ConvergenceError(
            f"the molecule did not converge in {settings.max_iterations} iterations; raise "
            "max_iterations or the smearing",
            {"iterations": float(mf.cycles), "free_energy": mf.e_tot * CODATA_2018.hartree},
        )
    seconds = time.process_time() - begin
    level = occupations(
        mf.mo_energy[None],
        np.ones(1),
        mol.nelectron / 2,
        settings.smearing / CODATA_2018.hartree,
    )[1]
    basis = core_basis(mol, name, settings.eps_cutoff)
    pattern = basis_pattern(structure, basis)
    order, reach = orbital_order(mol), np.zeros(3, dtype=np.int64)

    def take(X: NDArray[np.float64], scale: float = CODATA_2018.hartree) -> BlockMatrix:
        return extract(X, pattern, reach, order, scale)

    hartree = CODATA_2018.hartree
    return LCAOSystem(
        structure=structure,
        basis=basis,
        hamiltonian=take(H[None]),
        overlap=take(S, 1.0),
        n_electrons=float(mol.nelectron),
        fermi_level=level * hartree,
        kpts=(1, 1, 1),
        operators={
            "kinetic": take(T),
            "nonlocal": take(V_nl),
            "superposition": take(H_start[None]),
        },
        provenance={
            "source": "pyscf",
            "method": "molecule",
            "versions": engine_versions(),
            "functional": settings.xc,
            "pseudopotential": pseudo,
            "basis": name,
            "cutoffs": {entry.symbol: entry.cutoff for entry in basis.species},
            "grid_level": GRID_LEVEL,
            "smearing": settings.smearing,
            "eps_cutoff": settings.eps_cutoff or default_eps_cutoff(name),
            "converged": True,
            "iterations": int(mf.cycles),
            "free_energy": float(getattr(mf, "e_free", None) or mf.e_tot) * hartree,
            "smallest_overlap_eigenvalue": float(np.linalg.eigvalsh(S[0])[0]),
            "largest_cut_hamiltonian": largest_outside(H[None], pattern, reach) * hartree,
            "largest_cut_overlap": largest_outside(S, pattern, reach),
            "cpu_seconds": {"all": round(seconds, 3)},
        },
        warnings=notes,
    )


def _kohn_sham(mol: Any, settings: PyscfSettings, n_atoms: int) -> Any:
    from pyscf import dft
    from pyscf.scf.addons import smearing

    mf = dft.RKS(mol)
    leftover = getattr(mf, "_chkfile", None)
    if leftover is not None:  # a temporary file that nobody would close
        leftover.close()
    mf.xc = LIBXC[settings.xc]
    mf.grids.level = GRID_LEVEL
    mf.max_cycle = settings.max_iterations
    mf.conv_tol = settings.tol_energy * n_atoms / CODATA_2018.hartree
    # PySCF's criterion is the norm of the gradient, which is four times the commutator or more
    mf.conv_tol_grad = 4 * settings.tol_commutator / CODATA_2018.hartree
    mf.chkfile = None
    if settings.smearing:
        mf = smearing(mf, sigma=settings.smearing / CODATA_2018.hartree, method="fermi")
    mf.verbose = 0
    return mf


def superposition_hamiltonian(mf: Any, positions: NDArray, xc: str) -> NDArray[np.float64]:
    """H of superposed spherical atoms on the molecule's integration grid, hartree."""
    from pyscf.dft.numint import eval_ao

    mol, grids = mf.mol, mf.grids
    if grids.coords is None:
        grids.build()
    rho = np.zeros((4, len(grids.weights)))
    hartree = np.zeros(len(grids.weights))
    for atom in range(mol.natm):
        element = mol.atom_pure_symbol(atom)
        density = atomic_density(element, mol._pseudo[element], xc)  # noqa: SLF001
        d = grids.coords - positions[atom]
        r = np.linalg.norm(d, axis=1)
        value, slope, potential = density.at(r)
        rho[0] += value
        rho[1:] += slope * d.T / np.maximum(r, 1e-12)
        hartree += potential
    _, scalar, vector = xc_energy_potential(xc, rho[0], rho[1:])
    out = mf.get_hcore()
    for start in range(0, len(hartree), 20000):
        part = slice(start, start + 20000)
        ao = eval_ao(mol, grids.coords[part], deriv=1)
        w = grids.weights[part]
        # half of the local part, so that adding the transpose counts it once
        field = ao[0] * (0.5 * w * (hartree[part] + scalar[part]))[:, None]
        field = field + np.einsum("cpi,cp->pi", ao[1:], w * vector[:, part])
        v = ao[0].T @ field
        out = out + v + v.T
    return out
