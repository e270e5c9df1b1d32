"""Plane waves between orbitals: against PySCF, limits, and what must hold exactly."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from ase_mlham.core import (
    GaussianRadial,
    OrbitalBasis,
    Shell,
    SpeciesBasis,
    Structure,
    TabulatedRadial,
)
from ase_mlham.errors import InputError
from ase_mlham.integrals import overlap, position
from ase_mlham.integrals.plane_waves import plane_wave
from ase_mlham.units import CODATA_2018


def basis_of_tables():
    """Smooth functions with an end, as tables."""
    r = np.geomspace(1e-3, 3.0, 400)

    def shell(l, power):
        values = r**l * np.exp(-power * r) * (1 - (r / 3.0) ** 2) ** 4
        values /= np.sqrt(np.trapezoid(r**2 * values**2, r))
        return Shell(l, 3.0, TabulatedRadial(r, values, 3.0))

    return OrbitalBasis((SpeciesBasis(6, (shell(0, 0.4), shell(1, 0.2), shell(2, 0.1)), 4.0),))


@pytest.fixture
def pair():
    return Structure([6, 6], [[0, 0, 0], [0.9, -0.4, 1.1]], 4.2 * np.eye(3), [True] * 3)


def test_matrix_on_a_grid(pair):
    """The same numbers by plain summation over a fine grid."""
    basis = basis_of_tables()
    alone = Structure(pair.numbers, pair.positions, np.zeros((3, 3)), [False] * 3)
    b = np.array([0.9, -1.3, 0.5])
    cosine, sine = plane_wave(alone, basis, b).dense()
    axis = np.arange(-3.6, 4.6, 0.16)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    from ase_mlham.core.harmonics import real_harmonics

    columns, centres = [], []
    for place in pair.positions:
        d = points - place
        r, angular = np.linalg.norm(d, axis=1), real_harmonics(2, d)
        for shell in basis.species[0].shells:
            l = shell.l
            columns += list((shell.radial(r)[:, None] * angular[:, l * l : (l + 1) ** 2]).T)
            centres += [place] * (2 * l + 1)
    phi, centres = np.array(columns), np.array(centres)
    sums = (phi * np.exp(-1j * (points @ b))) @ phi.T * 0.16**3
    middle = (centres[:, None] + centres[None]) @ b / 2
    # the grid is what limits it
    assert abs(np.exp(-1j * middle) * (cosine - 1j * sine) - sums).max() < 2e-5


def test_small_vectors_give_overlap_and_position(pair):
    basis = basis_of_tables()
    S, X = overlap(pair, basis), position(pair, basis)
    nothing = plane_wave(pair, basis, np.zeros(3))
    b = 1e-3 * np.array([0.3, -0.5, 0.8])
    little = plane_wave(pair, basis, b)
    for s, x, zero, values in zip(S.values, X.values, nothing.values, little.values, strict=True):
        # tables are right to 5e-9
        assert np.allclose(zero[0], s[0], atol=2e-8)
        assert np.allclose(zero[1], 0, atol=1e-12)
        # second order: (b r)^2 / 2 with r of a few Å
        assert np.allclose(values[0], s[0], atol=2e-6)
        assert np.allclose(values[1], np.einsum("x,xnab->nab", b, x), atol=2e-8)


def test_opposite_vectors_are_conjugate(pair):
    basis = basis_of_tables()
    b = np.array([0.4, 1.1, -0.7])
    for one, other in zip(
        plane_wave(pair, basis, b).values, plane_wave(pair, basis, -b).values, strict=True
    ):
        assert np.allclose(one[0], other[0], atol=2e-8)
        assert np.allclose(one[1], -other[1], atol=2e-8)


@pytest.mark.parametrize("wrap", [(0, 0, 0), (0, 1, 0)])
def test_crystal_against_pyscf(wrap):
    gto = pytest.importorskip("pyscf.pbc.gto")
    from pyscf.pbc.df.ft_ao import ft_aopair_kpts

    from ase_mlham.engines.pyscf.basis_sets import core_basis, orbital_order

    atoms = bulk("Si")
    atoms.positions[1] += [0.05, -0.03, 0.02]
    cell = gto.Cell()
    cell.unit, cell.a = "Bohr", np.asarray(atoms.cell) / CODATA_2018.bohr
    cell.atom = [(a.symbol, a.position / CODATA_2018.bohr) for a in atoms]
    cell.basis, cell.pseudo, cell.precision, cell.verbose = "gth-szv", "gth-pade", 1e-10, 0
    cell.build()
    structure = Structure.from_atoms(atoms)
    basis = core_basis(cell, "gth-szv", 1e-6)
    k, other = np.array([0.25, 0, 0]), np.array([0.5, -0.25, 0.0])
    step = other - k + wrap
    reciprocal = 2 * np.pi * np.linalg.inv(structure.cell).T
    b = step @ reciprocal
    cosine, sine = plane_wave(structure, basis, b).at_k(k + step / 2)
    phase = np.repeat(np.exp(-0.5j * (structure.positions @ b)), basis.species[0].n_orbitals)
    mine = phase[:, None] * (cosine - 1j * sine) * phase
    points = cell.get_abs_kpts(np.array([k, k + step]))
    reference = ft_aopair_kpts(cell, np.zeros((1, 3)), q=points[1] - points[0], kptjs=points[1:])[
        0, 0
    ]
    order = orbital_order(cell)
    # what is cut off by 1e-6 of the orbitals
    assert abs(mine - reference[np.ix_(order, order)]).max() < 1e-6


def test_gaussian_in_closed_form():
    """<s| exp(-i b.r) |s> of one Gaussian is exp(-b^2 / 8 a)."""
    a = 0.7
    shell = Shell(
        0, 5.0, GaussianRadial(0, [a], [2 * (2 * a) ** 0.75 * (4 / np.pi) ** 0.25 / 2**0.5], 5.0)
    )
    basis = OrbitalBasis((SpeciesBasis(1, (shell,), 1.0),))
    atom = Structure([1], [[0.3, 0.1, 0.2]], np.zeros((3, 3)), [False] * 3)
    norm = overlap(atom, basis).values[0][0, 0, 0, 0]
    for length in (0.5, 6.0):
        found = plane_wave(atom, basis, [0, 0, length]).values[0]
        assert found[0, 0, 0, 0] / norm == pytest.approx(np.exp(-(length**2) / (8 * a)), abs=1e-8)
        assert found[1, 0, 0, 0] == pytest.approx(0, abs=1e-9)


def test_refusals(pair):
    with pytest.raises(InputError, match="give three numbers"):
        plane_wave(pair, basis_of_tables(), [1.0, 2.0])
