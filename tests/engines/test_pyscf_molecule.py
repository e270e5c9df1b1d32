"""Molecules: conversion of PySCF's molecular result, and agreement of the two methods."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from scipy.linalg import eigh

from ase_mlham.engines import compute_system
from ase_mlham.engines.pyscf.atoms import atomic_density, gth_projector
from ase_mlham.engines.pyscf.basis_sets import VacuumBasisWarning
from ase_mlham.errors import ConvergenceError, InputError
from ase_mlham.integrals import kinetic, nonlocal_potential, overlap
from ase_mlham.units import CODATA_2018

pytest.importorskip("pyscf")


def levels(system, matrix=None):
    matrix = matrix or system.hamiltonian
    return eigh(matrix.dense()[0], system.overlap.dense()[0], eigvals_only=True)


@pytest.fixture(scope="module")
def methane():
    return compute_system(molecule("CH4"), basis="gth-dzvp-molopt-sr", smearing=0.0)


def test_levels_equal_pyscf(methane):
    from pyscf import dft, gto

    atoms = molecule("CH4")
    mol = gto.M(
        atom=[(a.symbol, a.position / CODATA_2018.bohr) for a in atoms],
        unit="Bohr",
        basis="gth-dzvp-molopt-sr",
        pseudo="gth-pbe",
        verbose=0,
    )
    mf = dft.RKS(mol, xc="pbe").run(conv_tol=1e-10)
    # PySCF's default grid is two levels coarser than the engine's: 0.2 meV
    np.testing.assert_allclose(
        levels(methane)[:8], mf.mo_energy[:8] * CODATA_2018.hartree, atol=1e-3
    )
    assert methane.provenance["free_energy"] == pytest.approx(
        mf.e_tot * CODATA_2018.hartree, abs=1e-3
    )
    assert methane.fermi_level == pytest.approx(levels(methane)[3:5].mean(), abs=1e-5)


def test_operators_can_be_made_again(methane):
    structure, basis = methane.structure, methane.basis
    pattern = methane.overlap.pattern
    for mine, made, tolerance in (
        (methane.overlap, overlap(structure, basis, pattern), 1e-7),
        (methane.operators["kinetic"], kinetic(structure, basis, pattern), 1e-5),
        (methane.operators["nonlocal"], nonlocal_potential(structure, basis, pattern), 1e-5),
    ):
        for a, b in zip(mine.values, made.values, strict=True):
            np.testing.assert_allclose(a, b, atol=tolerance)


def test_superposition_of_one_atom_is_the_atom():
    """For a closed shell the molecule of one atom is the spherical atom, up to the basis."""
    system = compute_system(Atoms("Ne"), smearing=0.0)
    from pyscf.pbc.gto.pseudo import load

    free = atomic_density("Ne", load("gth-pbe", "Ne"), "pbe")
    s, p = (e[0] * CODATA_2018.hartree for e in free.eigenvalues[:2])
    start = levels(system, system.operators["superposition"])
    # the basis of the molecule is smaller than that of the atom
    np.testing.assert_allclose(start[:4], [s, p, p, p], atol=0.5)
    assert np.ptp(start[1:4]) < 1e-3
    np.testing.assert_allclose(levels(system)[:4], start[:4], atol=0.5)


def test_defaults_and_refusals():
    hydrogen = Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.74]])
    system = compute_system(hydrogen)
    assert system.provenance["basis"] == "gth-dzvp-molopt"
    assert system.provenance["method"] == "molecule"
    # PBE at the basis set limit: -10.3 eV
    assert levels(system)[0] == pytest.approx(-10.34, abs=0.05)
    with pytest.raises(InputError, match="1 electrons cannot all be paired: give the"):
        compute_system(Atoms("H"))
    with pytest.raises(InputError, match="needs a periodic direction"):
        compute_system(hydrogen, method="crystal")
    with pytest.raises(ConvergenceError, match="raise max_iterations") as error:
        compute_system(hydrogen, max_iterations=1)
    assert error.value.reached["free_energy"] < 0
    with pytest.raises(InputError, match=r"0\.100 Å apart"):
        compute_system(Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.1]]))


def test_short_range_basis_warns():
    silane = molecule("SiH4")
    with pytest.raises(InputError, match="not H"):
        compute_system(silane, basis="short-range")
    with pytest.warns(VacuumBasisWarning):
        compute_system(Atoms("C2", positions=[[0, 0, 0], [0, 0, 1.25]]), basis="short-range")


@pytest.mark.slow
def test_molecule_and_crystal_agree():
    """Methane in a large periodic cell, after the best shift of the energy zero."""
    atoms = molecule("CH4")
    alone = compute_system(atoms, basis="gth-dzvp-molopt-sr", smearing=0.0)
    atoms.set_cell([11.0, 11.0, 11.0])
    atoms.center()
    atoms.pbc = True
    boxed = compute_system(atoms, kpts=(1, 1, 1), ecut_ry=350.0, smearing=0.0)
    for a, b in (
        (levels(alone), levels(boxed)),
        (
            levels(alone, alone.operators["superposition"]),
            levels(boxed, boxed.operators["superposition"]),
        ),
    ):
        difference = a[:5] - b[:5]
        # images at 11 Å and grid: a few meV
        assert np.ptp(difference) < 0.02


def test_projectors_are_normalised():
    r = np.linspace(0, 6, 4001)
    for l in range(3):
        for index in range(3):
            p = gth_projector(r, l, index, 0.44)
            assert np.trapezoid(p**2 * r**2, r) == pytest.approx(1, abs=1e-6)
