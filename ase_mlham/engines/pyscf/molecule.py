"""Molecules: PySCF's own Kohn-Sham (RKS, UKS), which is faster and more accurate than a box.

The integration is on atom-centred grids, so `ecut_ry` plays no part. The energy zero is the vacuum.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core import BlockMatrix, LCAOSystem, SpinKind, Structure
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
from ase_mlham.engines.pyscf.kpoints import occupations, shared_level
from ase_mlham.engines.pyscf.lattice_sums import (
    kinetic_and_overlap,
    known_warnings_ignored,
    nonlocal_potential,
)
from ase_mlham.engines.pyscf.moments import (
    atomic_moments,
    channel_electrons,
    check_valence,
    moments_record,
    pauli,
    uneven_levels,
)
from ase_mlham.engines.pyscf.system import engine_versions, extract, largest_outside
from ase_mlham.errors import ConvergenceError, InputError
from ase_mlham.units import CODATA_2018

if TYPE_CHECKING:
    from ase_mlham.engines.pyscf.settings import PyscfSettings

__all__ = ["compute_molecule", "superposition_hamiltonian"]

GRID_LEVEL = 5
"""PySCF's atom-centred grid; level 6 changes no element of H by more than a meV (see the tests)."""


def compute_molecule(
    structure: Structure, settings: PyscfSettings, moments: NDArray[np.float64] | None
) -> LCAOSystem:
    """Converged H, S and the operators of a molecule.

    Parameters
    ----------
    structure : Structure
        Without periodic directions.
    settings : PyscfSettings
        Those of crystals play no part.
    moments : (n_atoms,) float, optional
        Initial magnetic moments; without them electrons are paired.

    Raises
    ------
    InputError
        The structure is periodic, or an odd electron count would have to be paired.
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
    magnetic = moments is not None
    if moments is not None:
        check_valence(moments, np.asarray(mol.atom_charges(), dtype=float))
    polarised = settings.total_moment is not None or (moments is not None and moments.any())
    if mol.nelectron % 2 and not polarised:
        raise InputError(
            f"{mol.nelectron} electrons cannot all be paired: give the atoms initial magnetic "
            "moments (atoms.set_initial_magnetic_moments), or total_moment and spin='collinear'"
        )
    electrons = channel_electrons(mol.nelectron, magnetic, settings, whole=True)
    begin = time.process_time()
    box = Box(mol, np.eye(3), positions, np.zeros(3, dtype=bool))
    images = Images(box, settings.eps_ao, 0.0)
    T, S = kinetic_and_overlap(images)
    V_nl = nonlocal_potential(images)
    mf = _kohn_sham(mol, settings, electrons, magnetic)
    with known_warnings_ignored():
        H_start = superposition_hamiltonian(mf, positions, settings.xc, moments)
        guess = H_start if magnetic else H_start[0]
        energies, orbitals = mf.eig(guess, S[0])
        mf.kernel(dm0=mf.make_rdm1(orbitals, mf.get_occ(energies, orbitals)))
        H = _channels(mf.get_fock())
    if not mf.converged:
        raise ConvergenceError(
            f"the molecule did not converge in {settings.max_iterations} iterations; raise "
            "max_iterations or the smearing",
            {"iterations": float(mf.cycles), "free_energy": mf.e_tot * CODATA_2018.hartree},
        )
    seconds = time.process_time() - begin
    hartree = CODATA_2018.hartree
    spectrum = np.reshape(mf.mo_energy, (len(H), 1, -1))
    one, sigma = np.ones(1), settings.smearing / hartree
    levels = occupations(spectrum, one, electrons, sigma)[1]
    level: float | None = levels[0]
    found = None
    if len(levels) > 1:
        level = shared_level(spectrum, one, electrons, sigma)
        if level is None:
            notes = (*notes, uneven_levels(electrons, levels * hartree))
    if moments is not None:
        atoms = [label[0] for label in mol.ao_labels(fmt=None)]
        D = _channels(mf.make_rdm1())[:, None]
        found = atomic_moments(D, S, np.array(atoms, dtype=np.int64))
    basis = core_basis(mol, name, settings.eps_cutoff)
    pattern = basis_pattern(structure, basis)
    order, reach = orbital_order(mol), np.zeros(3, dtype=np.int64)

    H, H_start = pauli(H)[:, None], pauli(H_start)[:, None]

    def take(X: NDArray[np.float64], scale: float = hartree) -> BlockMatrix:
        return extract(X, pattern, reach, order, scale)

    return LCAOSystem(
        structure=replace(structure, moments=found),
        basis=basis,
        hamiltonian=take(H),
        overlap=take(S[None], 1.0),
        n_electrons=float(mol.nelectron),
        spin=SpinKind.COLLINEAR if magnetic else SpinKind.NONE,
        fermi_level=None if level is None else level * hartree,
        kpts=(1, 1, 1),
        operators={
            "kinetic": take(T[None]),
            "nonlocal": take(V_nl[None]),
            "superposition": take(H_start),
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
            "largest_cut_hamiltonian": largest_outside(H, pattern, reach) * hartree,
            "largest_cut_overlap": largest_outside(S[None], pattern, reach),
            "cpu_seconds": {"all": round(seconds, 3)},
            **moments_record(moments, found),
        },
        warnings=notes,
    )


def _channels(X: NDArray[np.float64]) -> NDArray[np.float64]:
    """PySCF's matrix, or its pair of matrices, with the channel in front."""
    return np.reshape(X, (-1, *np.shape(X)[-2:]))


def _kohn_sham(
    mol: Any, settings: PyscfSettings, electrons: NDArray[np.float64], magnetic: bool
) -> Any:
    from pyscf import dft
    from pyscf.scf.addons import smearing

    mf = dft.UKS(mol) if magnetic else dft.RKS(mol)
    leftover = getattr(mf, "_chkfile", None)
    if leftover is not None:  # a temporary file that nobody would close
        leftover.close()
    fixed = len(electrons) > 1
    if fixed:
        mf.nelec = tuple(round(n) for n in electrons)
    mf.xc = LIBXC[settings.xc]
    mf.grids.level = GRID_LEVEL
    mf.max_cycle = settings.max_iterations
    mf.conv_tol = settings.tol_energy * mol.natm / CODATA_2018.hartree
    # PySCF's criterion is the norm of the gradient: four times the commutator or more, of one
    # channel twice
    mf.conv_tol_grad = (2 if magnetic else 4) * settings.tol_commutator / CODATA_2018.hartree
    mf.chkfile = None
    if settings.smearing:
        width = settings.smearing / CODATA_2018.hartree
        mf = smearing(mf, sigma=width, method="fermi", fix_spin=fixed)
    mf.verbose = 0
    return mf


def superposition_hamiltonian(
    mf: Any, positions: NDArray, xc: str, moments: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """H of superposed spherical atoms on the molecule's integration grid.

    Parameters
    ----------
    mf : pyscf.dft.rks.RKS or pyscf.dft.uks.UKS
        Its molecule and grid are used.
    positions : (n_atoms, 3) float
        Bohr.
    xc : str
        "pbe" or "lda".
    moments : (n_atoms,) float, optional
        Magnetic moments of the atoms; with them there are two channels.

    Returns
    -------
    (n_channels, n, n) float
        Hartree.
    """
    from pyscf.dft.numint import eval_ao

    mol, grids = mf.mol, mf.grids
    if grids.coords is None:
        grids.build()
    # density and magnetisation, each with its gradient
    rho, spin = np.zeros((2, 4, len(grids.weights)))
    hartree = np.zeros(len(grids.weights))
    for atom in range(mol.natm):
        element = mol.atom_pure_symbol(atom)
        density = atomic_density(element, mol._pseudo[element], xc)  # noqa: SLF001
        d = grids.coords - positions[atom]
        r = np.linalg.norm(d, axis=1)
        direction = d.T / np.maximum(r, 1e-12)
        value, slope, potential = density.at(r)
        whole = np.vstack([value[None], slope * direction])
        rho += whole
        hartree += potential
        if moments is not None and moments[atom]:
            weights = density.spin_weights(moments[atom])
            value, slope = density.open_at(r)
            spin += weights[0] * whole
            spin += weights[1] * np.vstack([value[None], slope * direction])
    fields = rho[None] if moments is None else np.stack([rho + spin, rho - spin]) / 2
    _, scalar, vector = xc_energy_potential(xc, fields[:, 0], fields[:, 1:])
    out = np.repeat(mf.get_hcore()[None], len(fields), axis=0)
    for start in range(0, len(hartree), 20000):
        part = slice(start, start + 20000)
        ao = eval_ao(mol, grids.coords[part], deriv=1)
        w = grids.weights[part]
        for channel, local, gradient in zip(out, scalar + hartree, vector, strict=True):
            # half of the local part, so that adding the transpose counts it once
            field = ao[0] * (0.5 * w * local[part])[:, None]
            field = field + np.einsum("cpi,cp->pi", ao[1:], w * gradient[:, part])
            v = ao[0].T @ field
            channel += v + v.T
    return out
