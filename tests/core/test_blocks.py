"""Values of operators: Bloch sums against a plain double loop, Hermiticity, lists of blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ase_mlham.core import BlockMatrix, BlockPattern
from ase_mlham.errors import InputError
from ase_mlham.testing.strategies import k_points, matrices, patterns
from ase_mlham.testing.tolerances import tolerance

EXACT = tolerance().algebra
HOME = (0, 0, 0)


def naive_cell(matrix: BlockMatrix, R: tuple[int, ...]) -> np.ndarray:
    """X(R) block by block, from the definition of the stored half alone."""
    p = matrix.pattern
    out = np.zeros((matrix.n_components, p.n_orbitals, p.n_orbitals), complex)
    for group, array in zip(p.groups, matrix.values, strict=True):
        for n in range(group.n_blocks):
            i, j, cell = p.i[group.start + n], p.j[group.start + n], p.R[group.start + n]
            rows = slice(p.offsets[i], p.offsets[i + 1])
            columns = slice(p.offsets[j], p.offsets[j + 1])
            if tuple(cell) == tuple(R):
                out[:, rows, columns] = array[:, n]
            if tuple(-cell) == tuple(R):
                adjoint = array[:, n].conj().swapaxes(-1, -2)
                out[:, columns, rows] = matrix.symmetry * adjoint
    return out


@given(matrices(), k_points())
def test_bloch_sum_is_the_double_loop(matrix: BlockMatrix, k: np.ndarray) -> None:
    """H(k) = sum_R exp(2 pi i k.R) H(R)."""
    expected = sum(
        np.exp(2j * np.pi * np.dot(k, R)) * naive_cell(matrix, tuple(R)) for R in matrix.cells
    )
    assert abs(matrix.at_k(k) - expected).max() < EXACT


@given(matrices())
def test_dense_cells_and_their_partners(matrix: BlockMatrix) -> None:
    """X(-R) = X(R)^H."""
    for R in matrix.cells[:: max(1, len(matrix.cells) // 5)]:
        assert np.array_equal(matrix.dense(R), naive_cell(matrix, tuple(R)))
        adjoint = matrix.symmetry * matrix.dense(R).conj().swapaxes(-1, -2)
        assert np.array_equal(matrix.dense(-R), adjoint)
    assert not matrix.dense((50, 0, 0)).any()


@given(matrices(symmetry=1), k_points())
def test_hermitian_at_k(matrix: BlockMatrix, k: np.ndarray) -> None:
    at_k = matrix.at_k(k)
    assert abs(at_k - at_k.conj().swapaxes(-1, -2)).max() < EXACT


@given(matrices(symmetry=-1), k_points())
def test_gradient_like_matrices_are_anti_hermitian(matrix: BlockMatrix, k: np.ndarray) -> None:
    at_k = matrix.at_k(k)
    assert abs(at_k + at_k.conj().swapaxes(-1, -2)).max() < EXACT


@given(matrices(is_complex=False), k_points())
def test_time_reversal_of_real_matrices(matrix: BlockMatrix, k: np.ndarray) -> None:
    """Real X(R): X(-k) = X(k)*."""
    assert abs(matrix.at_k(-k) - matrix.at_k(k).conj()).max() < EXACT


@given(matrices(), k_points(), st.tuples(*[st.integers(-2, 2)] * 3))
def test_periodic_in_k(matrix: BlockMatrix, k: np.ndarray, G: tuple[int, ...]) -> None:
    assert abs(matrix.at_k(k + np.array(G)) - matrix.at_k(k)).max() < EXACT


@given(matrices(), st.lists(k_points(), min_size=1, max_size=3))
def test_several_k_points_at_once(matrix: BlockMatrix, ks: list) -> None:
    together = matrix.at_k(ks)
    for one, k in zip(together, ks, strict=True):
        assert np.array_equal(one, matrix.at_k(k))


@given(matrices(), k_points())
def test_adjoint_is_an_involution(matrix: BlockMatrix, k: np.ndarray) -> None:
    once = matrix.adjoint()
    assert abs(once.at_k(k) - matrix.at_k(k).conj().swapaxes(-1, -2)).max() < EXACT
    for a, b in zip(once.adjoint().values, matrix.values, strict=True):
        assert np.array_equal(a, b)


@given(matrices())
def test_single_blocks_are_those_of_the_dense_matrix(matrix: BlockMatrix) -> None:
    p = matrix.pattern
    for n in range(0, p.n_blocks, max(1, p.n_blocks // 10)):
        i, j, R = p.i[n], p.j[n], p.R[n]
        rows, columns = (slice(p.offsets[a], p.offsets[a + 1]) for a in (i, j))
        assert np.array_equal(matrix[i, j, R], matrix.dense(R)[:, rows, columns])
        assert np.array_equal(matrix[j, i, -R], matrix.dense(-R)[:, columns, rows])


def test_a_block_that_does_not_exist() -> None:
    pattern = BlockPattern.from_pairs([0], [1], [], [], [])
    matrix = BlockMatrix.zeros(pattern)
    with pytest.raises(KeyError, match="no block between atom 0 and atom 0 in cell"):
        matrix[0, 0, (0, 0, 1)]
    with pytest.raises(InputError, match="atoms 0 to 0"):
        matrix[0, 1, HOME]
    with pytest.raises(KeyError, match="species 0 and 1"):
        matrix.blocks(0, 1)
    assert matrix.blocks(0, 0) is matrix.values[0]


# ---------------------------------------------------------------------- lists of blocks
def as_list(matrix: BlockMatrix, both: bool) -> tuple:
    """A shuffled directed list of the blocks, once or with partners."""
    p = matrix.pattern
    names = [(i, j, tuple(R)) for i, j, R in zip(p.i, p.j, p.R, strict=True)]
    if both:
        names += [(j, i, tuple(-R)) for (i, j, _), R in zip(names, p.R, strict=True) if i != j]
        names += [
            (i, i, tuple(-R)) for i, j, R in zip(p.i, p.j, p.R, strict=True) if i == j and R.any()
        ]
    np.random.default_rng(5).shuffle(names)
    names = [(int(i), int(j), tuple(map(int, R))) for i, j, R in names]
    blocks = [matrix[name].reshape(matrix.n_components, -1) for name in names]
    i, j, R = zip(*names, strict=True)
    return i, j, R, np.concatenate(blocks, axis=1)


@given(matrices(), st.booleans())
def test_flat_round_trip(matrix: BlockMatrix, both: bool) -> None:
    again, asymmetry = BlockMatrix.from_flat(
        matrix.pattern, *as_list(matrix, both), symmetry=matrix.symmetry
    )
    assert asymmetry == 0.0
    assert again.dtype == matrix.dtype
    for a, b in zip(again.values, matrix.values, strict=True):
        assert np.array_equal(a, b)


@given(matrices(n_components=1, symmetry=1, is_complex=False))
def test_partners_that_disagree_are_reported_and_averaged(matrix: BlockMatrix) -> None:
    i, j, R, flat = as_list(matrix, both=True)
    noise = np.random.default_rng(1).uniform(-1e-3, 1e-3, flat.shape)
    again, asymmetry = BlockMatrix.from_flat(matrix.pattern, i, j, R, flat + noise)
    sizes = matrix.pattern.sizes[matrix.pattern.species]
    starts = np.cumsum([0] + [sizes[a] * sizes[b] for a, b in zip(i, j, strict=True)])
    noise_of = {
        (a, b, r): noise[0, s : s + sizes[a] * sizes[b]].reshape(sizes[a], sizes[b])
        for a, b, r, s in zip(i, j, R, starts[:-1], strict=True)
    }
    worst = 0.0
    for (a, b, r), first in noise_of.items():
        second = noise_of[b, a, tuple(-x for x in r)].T
        worst = max(worst, abs(first - second).max())
        assert abs(again[a, b, r] - matrix[a, b, r] - (first + second) / 2).max() < EXACT
    assert asymmetry == pytest.approx(worst, abs=1e-15)


def test_on_site_blocks_become_symmetric() -> None:
    pattern = BlockPattern.from_pairs([0], [2], [], [], [])
    matrix, asymmetry = BlockMatrix.from_flat(pattern, [0], [0], [HOME], np.array([1, 2, 4, 3.0]))
    assert matrix[0, 0, HOME].tolist() == [[[1, 3], [3, 3]]]
    assert asymmetry == 2.0
    matrix, asymmetry = BlockMatrix.from_flat(
        pattern, [0], [0], [HOME], np.array([1, 2, -2, 0.0]), symmetry=-1
    )
    assert matrix[0, 0, HOME].tolist() == [[[0, 2], [-2, 0]]]
    assert asymmetry == 2.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_reading_a_list_keeps_its_type(dtype: type) -> None:
    pattern = BlockPattern.from_pairs([0], [2], [], [], [])
    matrix, _ = BlockMatrix.from_flat(pattern, [0], [0], [HOME], np.eye(2, dtype=dtype).ravel())
    assert matrix.dtype == dtype
    assert matrix.astype(np.complex128).at_k(HOME).dtype == np.complex128


@pytest.mark.parametrize(
    ("i", "j", "R", "n", "message"),
    [
        ([0], [0], [HOME], 3, "3 numbers given for blocks that hold 4"),
        ([0], [0], [(0, 0, 1)], 4, "its pattern does not have"),
        ([0, 0], [0, 0], [HOME, HOME], 8, "twice"),
        ([1], [0], [HOME], 4, "atoms 0 to 0"),
    ],
)
def test_lists_that_do_not_fit(i: list, j: list, R: list, n: int, message: str) -> None:
    pattern = BlockPattern.from_pairs([0], [2], [], [], [])
    with pytest.raises(InputError, match=message):
        BlockMatrix.from_flat(pattern, i, j, R, np.zeros(n))


# ---------------------------------------------------------------------- algebra
@given(patterns().flatmap(lambda p: st.tuples(*[matrices(p, None, 2, 1)] * 2)))
def test_inner_product_is_the_full_double_sum(pair: tuple[BlockMatrix, BlockMatrix]) -> None:
    a, b = pair
    expected = sum((a.dense(R).conj() * b.dense(R)).sum().real for R in a.cells)
    # relative, for the sum has some thousand terms
    assert a.inner(b) == pytest.approx(expected, rel=1e-10, abs=1e-10)


@given(matrices(symmetry=1, n_components=2), k_points())
def test_linear_combinations(matrix: BlockMatrix, k: np.ndarray) -> None:
    combined = 2.5 * matrix - matrix * 0.5 + matrix
    assert abs(combined.at_k(k) - 3.0 * matrix.at_k(k)).max() < EXACT
    assert np.array_equal(matrix.component(1).at_k(k)[0], matrix.at_k(k)[1])


def test_sums_of_what_does_not_match_are_refused() -> None:
    one = BlockPattern.from_pairs([0], [1], [], [], [])
    two = BlockPattern.from_pairs([0], [1], [0], [0], [(0, 0, 1)])
    with pytest.raises(InputError, match="on_pattern"):
        BlockMatrix.zeros(one) + BlockMatrix.zeros(two)
    with pytest.raises(InputError, match="anti-Hermitian"):
        BlockMatrix.zeros(one) - BlockMatrix.zeros(one, symmetry=-1)
    with pytest.raises(InputError, match="on_pattern"):
        BlockMatrix.zeros(one).inner(BlockMatrix.zeros(two))


@given(matrices(), k_points())
def test_a_wider_pattern_changes_nothing(matrix: BlockMatrix, k: np.ndarray) -> None:
    p = matrix.pattern
    wide = BlockPattern.from_pairs(
        p.species,
        p.sizes,
        np.concatenate([p.i, p.i]),
        np.concatenate([p.j, p.j]),
        np.concatenate([p.R, p.R + np.array([1, 0, -2])]),
    )
    moved = matrix.on_pattern(wide)
    assert moved.pattern == wide
    assert abs(moved.at_k(k) - matrix.at_k(k)).max() < EXACT
    for a, b in zip(moved.on_pattern(p, drop=True).values, matrix.values, strict=True):
        assert np.array_equal(a, b)
    if wide.n_blocks > p.n_blocks:
        with pytest.raises(InputError, match=f"{wide.n_blocks - p.n_blocks} of {wide.n_blocks}"):
            moved.on_pattern(p)


def test_the_pattern_of_other_atoms_is_refused() -> None:
    one, two = (BlockPattern.from_pairs(s, [1, 1], [], [], []) for s in ([0, 1], [1, 0]))
    with pytest.raises(InputError, match="other atoms"):
        BlockMatrix.zeros(one).on_pattern(two)


def test_relabelling_needs_names_that_exist_and_equal_species() -> None:
    pattern = BlockPattern.from_pairs([0, 1], [1, 2], [], [], [])
    matrix = BlockMatrix.zeros(pattern)
    with pytest.raises(InputError, match="not in the new pattern"):
        matrix.relabelled(pattern, [0, 1], [0, 1], [(0, 0, 0), (0, 0, 1)])
    with pytest.raises(InputError, match="other species"):
        matrix.relabelled(pattern, [1, 0], [1, 0], [HOME, HOME])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((), "0 arrays for 1 groups"),
        ((np.zeros((1, 1, 2, 3)),), r"expected \(1, 1, 2, 2\)"),
        ((np.full((1, 1, 2, 2), np.nan),), "not a finite number"),
        ((np.array([[[[np.inf, 0], [0, -np.inf]]]]),), "not a finite number"),
    ],
)
def test_values_that_do_not_fit(values: tuple, message: str) -> None:
    pattern = BlockPattern.from_pairs([0], [2], [], [], [])
    with pytest.raises(InputError, match=message):
        BlockMatrix(pattern, values)


@pytest.mark.parametrize("k", [(0, 0), 0.5, np.zeros((2, 2, 3)), (0, np.nan, 0)])
def test_k_points_that_are_none(k: object) -> None:
    matrix = BlockMatrix.zeros(BlockPattern.from_pairs([0], [1], [], [], []))
    with pytest.raises(InputError, match="k-points of shape"):
        matrix.at_k(k)
