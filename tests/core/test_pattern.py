"""Which blocks exist: canonical order, finding, unions, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given

from ase_mlham.core import BlockPattern, OrbitalBasis, Structure
from ase_mlham.errors import InputError
from ase_mlham.testing.strategies import bases, patterns, structures


def directed(pattern: BlockPattern) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All blocks, both members of each pair, on-site blocks once."""
    other = ~pattern.onsite
    return (
        np.concatenate([pattern.i, pattern.j[other]]),
        np.concatenate([pattern.j, pattern.i[other]]),
        np.concatenate([pattern.R, -pattern.R[other]]),
    )


@given(patterns())
def test_one_of_each_pair_is_stored_and_both_are_found(pattern: BlockPattern) -> None:
    i, j, R = directed(pattern)
    index, swapped = pattern.find(i, j, R)
    stored = pattern.n_blocks
    assert np.array_equal(index[:stored], np.arange(stored))
    assert not swapped[:stored].any()
    assert np.array_equal(index[stored:], np.flatnonzero(~pattern.onsite))
    assert swapped[stored:].all()


@given(patterns())
def test_blocks_are_in_canonical_order(pattern: BlockPattern) -> None:
    """(species i, i) < (species j, j), own images with R >= 0: the rule of docs/conventions.md."""
    for i, j, R in zip(pattern.i, pattern.j, pattern.R, strict=True):
        bra, ket = (pattern.species[i], i), (pattern.species[j], j)
        assert bra < ket or (bra == ket and tuple(R) >= (0, 0, 0))
    keys = [
        (pattern.species[i], pattern.species[j], i, j, *R)
        for i, j, R in zip(pattern.i, pattern.j, pattern.R.tolist(), strict=True)
    ]
    assert keys == sorted(set(keys))


@given(patterns())
def test_groups_are_runs_of_one_shape(pattern: BlockPattern) -> None:
    covered = 0
    for group in pattern.groups:
        assert group.start == covered
        covered = group.stop
        assert group.n_blocks == group.stop - group.start > 0
        assert set(pattern.species[pattern.i[group.slice]]) == {group.species_i}
        assert set(pattern.species[pattern.j[group.slice]]) == {group.species_j}
    assert covered == pattern.n_blocks
    assert len({group[:2] for group in pattern.groups}) == len(pattern.groups)
    assert pattern.onsite.sum() == pattern.n_atoms


@given(structures(), bases())
def test_cutoffs_decide_what_exists(structure: Structure, basis: OrbitalBasis) -> None:
    from ase_mlham.core.system import basis_pattern

    pattern = basis_pattern(structure, basis)
    species = basis.species_index(structure.numbers)
    cutoff = np.array([entry.cutoff for entry in basis.species])[species]
    distance = np.linalg.norm(pattern.vectors(structure), axis=1)
    assert np.all(distance < cutoff[pattern.i] + cutoff[pattern.j])
    # every pair of a brute-force search over the cells that the pattern reaches, and one further
    reach = abs(pattern.R).max(axis=0) + structure.pbc
    cells = np.array(list(np.ndindex(*(2 * reach + 1)))) - reach
    shift = structure.positions[None, :] - structure.positions[:, None]
    separation = np.linalg.norm(shift[None] + (cells @ structure.cell)[:, None, None], axis=-1)
    touch = separation < cutoff[:, None] + cutoff[None, :]
    on_site = np.eye(structure.n_atoms, dtype=bool)[None] & ~cells.any(axis=1)[:, None, None]
    assert (touch & ~on_site).sum() == 2 * (pattern.n_blocks - structure.n_atoms)


@given(patterns())
def test_pairs_may_be_given_in_any_order_once_or_twice(pattern: BlockPattern) -> None:
    i, j, R = directed(pattern)
    order = np.random.default_rng(0).permutation(len(i))
    again = BlockPattern.from_pairs(pattern.species, pattern.sizes, i[order], j[order], R[order])
    assert again == pattern


def test_blocks_that_do_not_exist_are_not_found() -> None:
    pattern = BlockPattern.from_pairs([0, 1], [1, 2], [0], [1], [[0, 0, 1]])
    index, _ = pattern.find(
        [0, 0, 1, 0], [1, 1, 0, 0], [[0, 0, 0], [0, 0, 9], [0, 0, 1], [5, 5, 5]]
    )
    assert index.tolist() == [-1, -1, -1, -1]
    assert pattern.find([1], [0], [[0, 0, -1]])[0].tolist() == [1]


@pytest.mark.parametrize("atom", [-1, 2])
def test_an_atom_that_does_not_exist_is_named_as_such(atom: int) -> None:
    pattern = BlockPattern.from_pairs([0, 1], [1, 2], [0], [1], [[0, 0, 1]])
    with pytest.raises(InputError, match="atoms 0 to 1"):
        pattern.find([0], [atom], [[0, 0, 0]])
    with pytest.raises(InputError, match=r"outside 0\.\.1"):
        BlockPattern.from_pairs([0, 1], [1, 2], [0], [atom], [[0, 0, 1]])


@pytest.mark.parametrize(
    ("i", "j", "R", "message"),
    [
        ([0, 0, 1, 1], [0, 1, 0, 1], [[0, 0, 0]] * 4, "one of each Hermitian pair"),
        ([0, 0, 1], [0, 0, 1], [[0, 0, 0], [0, 0, -1], [0, 0, 0]], "one of each Hermitian pair"),
        ([0, 1, 0], [0, 1, 1], [[0, 0, 0]] * 3, "sorted"),
        ([0, 0, 0, 1], [0, 1, 1, 1], [[0, 0, 0]] * 4, "twice"),
        ([0, 1, 2], [0, 1, 2], [[0, 0, 0]] * 3, "outside"),
        ([0, 1], [0, 1], [[0, 0, 0]] * 3, "shape"),
        ([], [], np.zeros((0, 3)), "needs atoms and blocks"),
    ],
)
def test_the_constructor_refuses(i: list, j: list, R: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        BlockPattern([0, 0], [1], i, j, R)


def test_labels_are_never_rounded() -> None:
    """A lattice vector that came out as 0.9999 is an error of the caller, not the cell 0."""
    pattern = BlockPattern.from_pairs([0], [1], [0.0], [0.0], [[0.0, 0.0, 1.0]])
    assert pattern.R.tolist() == [[0, 0, 0], [0, 0, 1]]
    with pytest.raises(InputError, match="lattice vectors R must be whole numbers"):
        BlockPattern.from_pairs([0], [1], [0], [0], [[0, 0, 0.9999]])
    with pytest.raises(InputError, match="lattice vectors R must be whole numbers"):
        pattern.find([0], [0], [[0, 0, 0.9999]])
    with pytest.raises(InputError, match="1 atoms i, 1 j and 2 R"):
        BlockPattern.from_pairs([0], [1], [0], [0], [[0, 0, 1], [0, 0, 2]])


def test_a_species_must_have_a_size() -> None:
    with pytest.raises(InputError, match="table of sizes"):
        BlockPattern.from_pairs([0, 1], [4], [], [], [])


@given(structures(), bases())
def test_union_holds_both(structure: Structure, basis: OrbitalBasis) -> None:
    species = basis.species_index(structure.numbers)
    short, long = (
        BlockPattern.from_cutoffs(structure, species, basis.sizes, factor * np.ones(3))
        for factor in (1.0, 2.0)
    )
    assert short.union(long) == long
    assert long.union(short) == long
    assert long.union(long) is long


def test_union_of_different_atoms_is_refused() -> None:
    one, two = (BlockPattern.from_pairs(species, [1, 2], [], [], []) for species in ([0], [1]))
    with pytest.raises(InputError, match="no union"):
        one.union(two)


def test_count_for_a_known_crystal() -> None:
    """Zincblende within 7.4 Å: 86 neighbours of each atom, as in the published SiGe sets."""
    atoms = bulk("SiGe", "zincblende", a=5.54, cubic=True).repeat(2)
    structure = Structure.from_atoms(atoms)
    pattern = BlockPattern.from_cutoffs(
        structure, (structure.numbers == 32).astype(int), [13, 13], [3.7, 3.7]
    )
    assert pattern.n_blocks == 64 + 64 * 86 // 2
    assert pattern.n_orbitals == 64 * 13
