"""Rotations, permutations, shifts and supercells leave the physics alone."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import block_diag, eigvalsh

from ase_mlham.core import BlockMatrix, LCAOSystem, Structure
from ase_mlham.core.spin import SpinKind, spin_blocks, su2
from ase_mlham.core.transform import (
    orbital_rotation,
    permuted,
    rotated,
    rotated_matrix,
    shifted,
    supercell,
)
from ase_mlham.errors import InputError
from ase_mlham.testing.strategies import bases, k_points, matrices, rotations, structures, systems
from ase_mlham.testing.tolerances import tolerance

EXACT, EIGENVALUES = tolerance().algebra, tolerance().eigenvalues
ALL = ("position", "gradient", "kinetic")


def eigenvalues(system: LCAOSystem, k: np.ndarray) -> np.ndarray:
    """Generalised eigenvalues of each spin channel."""
    overlap = system.overlap.at_k(k)[0]
    blocks = spin_blocks(system.hamiltonian.at_k(k), system.spin)
    repeat = blocks.shape[-1] // len(overlap)
    return np.stack([eigvalsh(h, np.kron(np.eye(repeat), overlap)) for h in blocks])


def operators(system: LCAOSystem) -> dict[str, BlockMatrix]:
    return {"H": system.hamiltonian, "S": system.overlap, **system.operators}


def same(a: LCAOSystem, b: LCAOSystem, atol: float) -> None:
    assert np.array_equal(a.structure.numbers, b.structure.numbers)
    assert np.allclose(a.structure.positions, b.structure.positions, atol=1e-9)
    assert np.allclose(a.structure.cell, b.structure.cell, atol=1e-9)
    assert (a.structure.moments is None) == (b.structure.moments is None)
    if a.structure.moments is not None:
        assert np.allclose(a.structure.moments, b.structure.moments, atol=1e-9)
    for name, matrix in operators(a).items():
        other = operators(b)[name]
        assert matrix.pattern == other.pattern
        for x, y in zip(matrix.values, other.values, strict=True):
            assert abs(x - y).max() <= atol


def whole_rotation(system: LCAOSystem, turn: np.ndarray) -> np.ndarray:
    """Orbital rotation of all atoms, (n_orbitals, n_orbitals)."""
    numbers = system.structure.numbers.tolist()
    return block_diag(*[orbital_rotation(system.basis[number].l, turn) for number in numbers])


# ---------------------------------------------------------------------- rotation
@given(systems(), rotations(), k_points())
def test_rotation_leaves_eigenvalues(system: LCAOSystem, turn: np.ndarray, k: np.ndarray) -> None:
    """Proper and improper, for every spin kind."""
    assert abs(eigenvalues(rotated(system, turn), k) - eigenvalues(system, k)).max() < EIGENVALUES


@given(systems(operators=ALL, moments=True), rotations(), rotations())
def test_rotations_compose(system: LCAOSystem, a: np.ndarray, b: np.ndarray) -> None:
    same(rotated(rotated(system, b), a), rotated(system, a @ b), 10 * EXACT)


@given(systems(operators=ALL), rotations())
def test_rotation_has_an_inverse(system: LCAOSystem, turn: np.ndarray) -> None:
    same(rotated(rotated(system, turn), turn.T), system, 10 * EXACT)


@given(systems(spin="spinor"), rotations(), k_points())
def test_spinor_matrix_turns_by_su2_times_orbitals(
    system: LCAOSystem, turn: np.ndarray, k: np.ndarray
) -> None:
    """(u (x) D) H (u (x) D)^H, which is how eigenvectors turn too."""
    whole = np.kron(su2(turn), whole_rotation(system, turn))
    before = spin_blocks(system.hamiltonian.at_k(k), SpinKind.SPINOR)[0]
    after = spin_blocks(rotated(system, turn).hamiltonian.at_k(k), SpinKind.SPINOR)[0]
    assert abs(whole @ before @ whole.conj().T - after).max() < EXACT


@given(systems(operators=ALL, moments=True), rotations(), k_points())
def test_vector_operators_turn_as_vectors(
    system: LCAOSystem, turn: np.ndarray, k: np.ndarray
) -> None:
    D = whole_rotation(system, turn)
    after = rotated(system, turn)
    for name in ("position", "gradient"):
        expected = np.einsum("ab,bij->aij", turn, D @ system.operators[name].at_k(k) @ D.T)
        assert abs(after.operators[name].at_k(k) - expected).max() < EXACT
    expected = D @ system.operators["kinetic"].at_k(k) @ D.T
    assert abs(after.operators["kinetic"].at_k(k) - expected).max() < EXACT


@given(structures(max_atoms=3), bases(radial=True), rotations())
def test_orbitals_turn_with_their_atom(structure: Structure, basis, turn: np.ndarray) -> None:
    """phi_m of the turned atom at Q r: sum_n D_mn phi_n of the atom at r."""
    from ase_mlham.core.harmonics import real_harmonics

    points = np.random.default_rng(0).standard_normal((5, 3))
    for entry in basis.species:
        values = {
            label: np.concatenate(
                [
                    shell.radial(np.linalg.norm(where, axis=1))[:, None]
                    * real_harmonics(shell.l, where)[:, shell.l**2 :]
                    for shell in entry.shells
                ],
                axis=1,
            )
            for label, where in (("before", points), ("after", points @ turn.T))
        }
        D = orbital_rotation(entry.l, turn)
        assert abs(values["after"] - values["before"] @ D.T).max() < EXACT


def test_vector_of_the_wrong_length_and_no_rotation() -> None:
    from ase_mlham.core import BlockPattern, OrbitalBasis, Shell, SpeciesBasis

    matrix = BlockMatrix.zeros(BlockPattern.from_pairs([0], [1], [], [], []), n_components=2)
    basis = OrbitalBasis((SpeciesBasis(1, (Shell(0, 1.0),), 1.0),))
    with pytest.raises(InputError, match="3 components, this one 2"):
        rotated_matrix(matrix, basis, np.eye(3), "vector")
    with pytest.raises(InputError, match="orthogonal"):
        rotated_matrix(matrix, basis, 2 * np.eye(3))


# ---------------------------------------------------------------------- relabelling
@given(systems(operators=ALL, moments=True), st.randoms(use_true_random=False), k_points())
def test_permutation_of_atoms(system: LCAOSystem, random, k: np.ndarray) -> None:
    order = list(range(system.structure.n_atoms))
    random.shuffle(order)
    after = permuted(system, order)
    offsets = system.overlap.pattern.offsets
    orbitals = np.concatenate([np.arange(offsets[a], offsets[a + 1]) for a in order])
    assert np.array_equal(after.structure.positions, system.structure.positions[order])
    for name, matrix in operators(system).items():
        expected = matrix.at_k(k)[:, orbitals][:, :, orbitals]
        assert abs(operators(after)[name].at_k(k) - expected).max() < EXACT
    same(permuted(after, np.argsort(order)), system, 0.0)


cells = st.lists(st.tuples(*[st.integers(-2, 2)] * 3), min_size=4, max_size=4)


@given(systems(operators=ALL), cells, k_points())
def test_shift_by_lattice_vectors(system: LCAOSystem, cells: list, k: np.ndarray) -> None:
    """H'_ij(k) = exp(2 pi i k.(c_i - c_j)) H_ij(k): atoms move, blocks keep their vectors."""
    whole = np.array(cells)[: system.structure.n_atoms] * system.structure.pbc
    after = shifted(system, whole)
    sizes = system.overlap.pattern.sizes[system.overlap.pattern.species]
    phase = np.exp(2j * np.pi * np.repeat(whole @ k, sizes))
    for name, matrix in operators(system).items():
        moved = operators(after)[name]
        expected = phase[:, None] * matrix.at_k(k) * phase.conj()
        assert abs(moved.at_k(k) - expected).max() < EXACT
        lengths = [
            np.sort(np.linalg.norm(m.pattern.vectors(s.structure), axis=1))
            for m, s in ((matrix, system), (moved, after))
        ]
        assert np.allclose(*lengths, atol=1e-9)
    assert abs(eigenvalues(after, k) - eigenvalues(system, k)).max() < EIGENVALUES
    same(shifted(after, -whole), system, 0.0)


@pytest.mark.parametrize("order", [[0, 0], [0], [0, 2], [0, -1]])
def test_orders_that_are_none(order: list) -> None:
    matrix = two_atoms().hamiltonian
    with pytest.raises(InputError, match="0 to 1 once"):
        permuted(matrix, order)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (np.zeros((3, 3)), "2 lattice vectors"),
        (np.full((2, 3), 0.5), "three integers"),
        ([[0, 0, 0], [0, 0, 1]], "not periodic"),
    ],
)
def test_shifts_that_are_none(cells, message: str) -> None:
    with pytest.raises(InputError, match=message):
        shifted(two_atoms(pbc=(True, True, False)), cells)


# ---------------------------------------------------------------------- supercells
def two_atoms(pbc: tuple = (True, True, True)) -> LCAOSystem:
    from ase_mlham.core import OrbitalBasis, Shell, SpeciesBasis
    from ase_mlham.core.system import basis_pattern

    atoms = bulk("Si")
    atoms.pbc = pbc
    structure = Structure.from_atoms(atoms)
    basis = OrbitalBasis((SpeciesBasis(14, (Shell(0, 2.0), Shell(1, 2.0)), 4.0),))
    pattern = basis_pattern(structure, basis)
    rng = np.random.default_rng(0)
    values = rng.standard_normal((1, pattern.n_blocks, 4, 4))
    values[:, pattern.onsite] = np.eye(4)
    overlap = np.where(pattern.onsite[None, :, None, None], values, 0.0)
    return LCAOSystem(
        structure=structure,
        basis=basis,
        hamiltonian=BlockMatrix(pattern, (values,)),
        overlap=BlockMatrix(pattern, (overlap,)),
        n_electrons=8.0,
        kpts=(4, 4, 4),
    )


repeats = st.tuples(*[st.integers(1, 2)] * 3)


@given(systems(operators=ALL, max_atoms=2, moments=True), repeats, k_points())
def test_supercell_folds_the_bands(system: LCAOSystem, repeats: tuple, k: np.ndarray) -> None:
    m = np.where(system.structure.pbc, repeats, 1)
    large = supercell(system, m)
    expected = system.structure.to_atoms().repeat(m)
    assert np.allclose(large.structure.positions, expected.positions, atol=1e-9)
    assert large.n_electrons == system.n_electrons * m.prod()
    folded = [eigenvalues(system, (k + np.array(n)) / m) for n in np.ndindex(*m)]
    folded = np.sort(np.concatenate(folded, axis=1), axis=1)
    assert abs(eigenvalues(large, k) - folded).max() < EIGENVALUES
    # every copy of a block is one of the original, so that sums over all blocks multiply
    for name, matrix in operators(system).items():
        total = operators(large)[name]
        assert total.inner(total) == pytest.approx(m.prod() * matrix.inner(matrix), rel=1e-12)


MATRICES = [
    [[-1, 1, 1], [1, -1, 1], [1, 1, -1]],
    [[1, 0, 0], [1, 2, 0], [0, -1, 1]],
    [[0, 1, 0], [1, 0, 0], [0, 0, 1]],
    [[2, 1, 0], [0, -1, 3], [1, 0, 1]],
]


@pytest.mark.parametrize("matrix", MATRICES)
def test_general_supercell_matrix_folds_the_bands(matrix: list) -> None:
    """Left-handed ones too: k' = M k modulo 1."""
    system = two_atoms()
    large = supercell(system, matrix)
    n = large.structure.n_atoms // 2
    assert n == abs(round(np.linalg.det(matrix)))
    assert np.allclose(large.structure.cell, np.array(matrix) @ system.structure.cell)
    k = np.array([0.1, 0.23, -0.4])
    images = np.array(list(np.ndindex(7, 7, 7))) - 3
    candidates = (k + images) @ np.linalg.inv(matrix).T
    points = np.unique(np.round(candidates % 1.0, 9) % 1.0, axis=0)
    assert len(points) == n
    folded = np.sort(np.concatenate([eigenvalues(system, p)[0] for p in points]))
    # the k-points above are rounded to nine digits
    assert abs(eigenvalues(large, k)[0] - folded).max() < 1e-7


@given(matrices(n_components=1), st.tuples(*[st.integers(1, 2)] * 3))
def test_supercell_of_a_supercell(matrix: BlockMatrix, repeats: tuple) -> None:
    """Doubling twice along a is the same as four times at once, up to the order of the copies."""
    twice = supercell(supercell(matrix, (2, 1, 1)), (2, 1, 1))
    once = supercell(matrix, (4, 1, 1))
    for a, b in zip(twice.values, once.values, strict=True):
        assert np.array_equal(a, b)
    assert twice.pattern == once.pattern


@pytest.mark.parametrize(
    ("repeats", "message"),
    [
        ((2, 2), "three integers"),
        ((0.5, 1, 1), "three integers"),
        ((1, 0, 1), "not independent"),
        (np.ones((3, 3)), "not independent"),
        ((1, 1, 2), "not periodic"),
        ([[1, 0, 1], [0, 1, 0], [0, 0, 1]], "not periodic"),
    ],
)
def test_supercells_that_are_none(repeats, message: str) -> None:
    with pytest.raises(InputError, match=message):
        supercell(two_atoms(pbc=(True, True, False)), repeats)
