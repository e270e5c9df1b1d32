"""What a density must not depend on: order of atoms, choice of cell, orientation, gauge."""

from __future__ import annotations

from math import gamma

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ase_mlham.core import (
    BlockMatrix,
    GaussianRadial,
    LCAOSystem,
    OrbitalBasis,
    Shell,
    SpeciesBasis,
    SpinKind,
    Structure,
)
from ase_mlham.core.system import basis_pattern
from ase_mlham.core.transform import permuted, rotated, shifted, supercell
from ase_mlham.integrals import overlap
from ase_mlham.real_space import Grid, density_matrix
from ase_mlham.real_space.densities import density_of

KPTS, WIDTH = (2, 1, 1), 0.5
CELL = np.array([[2.9, 0.1, 0.0], [-0.4, 3.1, 0.2], [0.3, 0.0, 3.3]])


def gaussian(l: int, exponent: float) -> Shell:
    norm = np.sqrt(2 * (2 * exponent) ** (l + 1.5) / gamma(l + 1.5))
    return Shell(l, 5.0, GaussianRadial(l, [exponent], [norm], 5.0))


def drawn_system(spin: str, seed: int) -> LCAOSystem:
    random = np.random.default_rng(seed)
    basis = OrbitalBasis(
        (
            SpeciesBasis(6, (gaussian(0, 1.1), gaussian(1, 1.0)), 4.0),
            SpeciesBasis(8, (gaussian(0, 1.2), gaussian(2, 1.3)), 2.0),
        )
    )
    places = np.array([[0.1, 0.2, 0.3], [1.3, 1.5, 1.6], [0.3, 2.0, 0.1]])
    positions = places + random.uniform(0, 0.5, (3, 3))
    structure = Structure([6, 8, 6], positions, CELL, [True] * 3)
    pattern = basis_pattern(structure, basis)
    kind = SpinKind.parse(spin)
    values = []
    for group in pattern.groups:
        shape = (kind.n_components, group.n_blocks, *pattern.block_shape(group))
        array = random.normal(size=shape) * 0.1
        if kind is SpinKind.SPINOR:
            array = array + 0.1j * random.normal(size=shape)
        for n in np.flatnonzero(pattern.onsite[group.slice]):
            array[:, n] = (array[:, n] + array[:, n].conj().swapaxes(-1, -2)) / 2
        values.append(array)
    H = BlockMatrix(pattern, tuple(values))
    return LCAOSystem(structure, basis, H, overlap(structure, basis, pattern), 10.0, kind)


def density(system: LCAOSystem, grid: Grid, kpts=KPTS):
    found = density_matrix(system, kpts, smearing=WIDTH)
    values = density_of(system, found, grid=grid).values
    return values.reshape(-1, *grid.shape)


systems = st.builds(
    drawn_system, st.sampled_from(["none", "collinear", "spinor"]), st.integers(0, 2**20)
)
GRID = Grid(np.zeros(3), CELL, (5, 6, 7), [True] * 3)


@given(systems, st.permutations(range(3)), st.integers(-1, 1))
def test_order_of_atoms_and_their_cells(system, order, cell):
    before = density(system, GRID)
    assert abs(before).max() > 0.05
    # rounding of the eigenvectors, which are found in another order
    assert np.allclose(density(permuted(system, order), GRID), before, atol=1e-9)
    moved = shifted(system, [[cell, 0, 0], [0, -cell, 1], [0, 0, 0]])
    assert np.allclose(density(moved, GRID), before, atol=1e-9)


@given(systems)
def test_supercell(system):
    """Two cells at Gamma and one at two k-points are one crystal."""
    twice = GRID.repeated((2, 1, 1))
    small, large = density(system, GRID), density(supercell(system, (2, 1, 1)), twice, (1, 1, 1))
    # folded k-points have the same energies to rounding, and the level is found to 1e-9 electrons
    assert np.allclose(large, np.tile(small, (1, 2, 1, 1)), atol=1e-8)


@given(systems, st.integers(0, 2**20))
def test_orientation(system, seed):
    """Turned with everything else the charge is the same, and the moments turn along."""
    random = np.random.default_rng(seed)
    Q = np.linalg.qr(random.normal(size=(3, 3)))[0]
    Q *= np.sign(np.linalg.det(Q))
    turned_grid = Grid(GRID.origin @ Q.T, GRID.cell @ Q.T, GRID.shape, GRID.pbc)
    before, after = density(system, GRID), density(rotated(system, Q), turned_grid)
    assert np.allclose(after[0], before[0], atol=1e-9)
    if system.spin is SpinKind.SPINOR:
        assert np.allclose(after[1:], np.einsum("ab,b...->a...", Q, before[1:]), atol=1e-9)


@pytest.mark.parametrize("spin", ["none", "collinear", "spinor"])
def test_zero_of_energy(spin):
    system = drawn_system(spin, 3)
    shift = system.shift_energy(7.3)
    assert np.allclose(density(shift, GRID), density(system, GRID), atol=1e-8)
