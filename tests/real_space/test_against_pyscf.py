"""Densities and wave functions point by point against PySCF's, in the same basis."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from ase_mlham.electronic.states import eigenstates
from ase_mlham.real_space import (
    Grid,
    charge_density,
    density_matrix,
    spin_density,
    wave_function,
    wave_functions,
)
from ase_mlham.real_space.densities import density_of
from ase_mlham.units import CODATA_2018

pytest.importorskip("pyscf")

BOHR = CODATA_2018.bohr


def pyscf_molecule(atoms: Atoms, basis: str, spin: int = 0):
    from pyscf import gto

    return gto.M(
        atom=[(a.symbol, a.position / BOHR) for a in atoms],
        unit="Bohr",
        basis=basis,
        pseudo="gth-pbe",
        spin=spin,
        verbose=0,
    )


def pyscf_crystal(atoms: Atoms, basis: str):
    from pyscf.pbc import gto

    cell = gto.Cell()
    cell.unit, cell.a = "Bohr", np.asarray(atoms.cell) / BOHR
    cell.atom = [(a.symbol, a.position / BOHR) for a in atoms]
    cell.basis, cell.pseudo, cell.precision, cell.verbose = basis, "gth-pade", 1e-10, 0
    return cell.build()


def coarse(system, spacing=0.45, reach=2.5):
    """A grid for comparing points, too coarse for integrals."""
    return Grid.of(system.structure, spacing, reach=reach)


def values_of_orbitals(mol, grid):
    from pyscf import dft

    return dft.numint.eval_ao(mol, grid.points().reshape(-1, 3) / BOHR)


@pytest.fixture
def any_grid():
    """The warning that the grids of these tests are coarse is meant, and not looked at."""
    import warnings

    from ase_mlham.real_space import CoarseGridWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CoarseGridWarning)
        yield


def converged(mol, method):
    from pyscf import dft

    mf = getattr(dft, method)(mol, xc="pbe")
    mf.grids.level, mf.conv_tol = 4, 1e-11
    mf.kernel()
    return mf


def test_molecule(water, any_grid):
    from pyscf import dft

    from ase_mlham.engines.pyscf.basis_sets import orbital_order

    grid = coarse(water)
    mol = pyscf_molecule(water.structure.to_atoms(), "gth-dzvp")
    orbitals = values_of_orbitals(mol, grid)
    found = density_matrix(water)
    order = orbital_order(mol)
    P = np.zeros((len(order),) * 2)
    P[np.ix_(order, order)] = found.matrix.dense()[0]
    reference = dft.numint.eval_rho(mol, orbitals, P).reshape(grid.shape) / BOHR**3
    mine = density_of(water, found, grid=grid).values
    assert mine.max() > 0.5
    # of O 1e-5 of the tail is given up: 1e-5 times what the other orbital has there
    assert abs(mine - reference).max() < 1e-9

    # PySCF's own calculation: its SCF has converged to 1e-5 in the density matrix
    mf = converged(mol, "RKS")
    own = dft.numint.eval_rho(mol, orbitals, mf.make_rdm1()).reshape(grid.shape) / BOHR**3
    assert abs(mine - own).max() < 2e-4
    for band in range(4):
        psi = wave_function(water, [0, 0, 0], band, grid=grid).values
        assert psi.dtype == np.float64
        reference = (orbitals @ mf.mo_coeff[:, band]).reshape(grid.shape) / BOHR**1.5
        sign = np.sign(np.vdot(reference, psi))
        assert abs(psi - sign * reference).max() < 2e-4


def test_spin_density_of_a_triplet(oxygen, any_grid):
    from pyscf import dft

    grid = coarse(oxygen)
    mol = pyscf_molecule(oxygen.structure.to_atoms(), "gth-dzvp", spin=2)
    up, down = converged(mol, "UKS").make_rdm1()
    orbitals = values_of_orbitals(mol, grid)
    reference = dft.numint.eval_rho(mol, orbitals, up - down).reshape(grid.shape) / BOHR**3
    found = spin_density(oxygen, grid=grid)
    assert found.exact == pytest.approx(2.0, abs=1e-9)
    assert found.values.max() > 0.3
    # convergence of the two SCF cycles
    assert abs(found.values - reference).max() < 1e-4


def test_crystal(silicon, any_grid):
    from pyscf.pbc.dft import numint

    from ase_mlham.engines.pyscf.basis_sets import orbital_order

    k = np.array([[0, 0, 0], [0.5, 0, 0], [0.37, 0.12, 0.05]])
    grid = Grid.of(silicon.structure, 0.4)
    cell = pyscf_crystal(silicon.structure.to_atoms(), "gth-dzvp-molopt-sr")
    orbitals = numint.eval_ao_kpts(cell, grid.points().reshape(-1, 3) / BOHR, cell.get_abs_kpts(k))
    vectors = eigenstates(silicon, k, vectors=True).measured["vectors"][0]
    theirs = np.zeros_like(vectors)
    theirs[..., orbital_order(cell)] = vectors
    states = [a @ c.T / BOHR**1.5 for a, c in zip(orbitals, theirs, strict=True)]

    density = sum(abs(psi[:, :4]) ** 2 for psi in states[:2]).sum(axis=1).reshape(grid.shape)
    mine = charge_density(silicon, (2, 1, 1), grid=grid)
    # orbitals are given up at 1e-5 of r R(r), and their pairs too
    assert abs(mine.values - density).max() < 1e-5
    assert mine.exact == pytest.approx(8, abs=1e-9)

    for band, field in enumerate(wave_functions(silicon, k[2], range(6), grid=grid)):
        reference = states[2][:, band].reshape(grid.shape)
        overlap = np.vdot(reference, field.values)
        assert abs(field.values - overlap / abs(overlap) * reference).max() < 1e-5
