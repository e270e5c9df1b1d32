"""Local coordinates: cases by hand, and what must hold whatever the structure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from ase_mlham.core.neighbours import neighbour_list
from ase_mlham.core.structure import Structure
from ase_mlham.testing.strategies import rotations, structures
from ase_mlham_lcnet.local_coordinates import AUXILIARY, atom_frames, pair_frames
from ase_mlham_lcnet.neighbours import neighbour_table

CUTOFF = 4.0


def table_of(structure: Structure, cutoff: float = CUTOFF):
    i, j, R, _ = neighbour_list(structure, cutoff)
    vectors = structure.positions[j] - structure.positions[i] + R @ structure.cell
    i, j, vectors = torch.from_numpy(i), torch.from_numpy(j), torch.from_numpy(vectors)
    return i, j, vectors, neighbour_table(i, vectors, structure.n_atoms, cutoff)


def molecule(positions, numbers=None) -> Structure:
    positions = np.array(positions, dtype=float)
    numbers = np.full(len(positions), 6) if numbers is None else np.array(numbers)
    return Structure(numbers, positions, np.zeros((3, 3)), np.zeros(3, bool))


def crystal(kind: str) -> Structure:
    if kind == "graphene":
        a = 2.46
        cell = np.array([[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, 12.0]])
        return Structure(
            np.array([6, 6]),
            np.array([[0.0, 0, 0], [0, a / np.sqrt(3), 0]]),
            cell,
            np.array([True, True, False]),
        )
    cell = 2.77 * np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]])
    positions = np.array([[0.0, 0, 0], [1.385, 1.385, 1.385]])
    return Structure(np.array([14, 32]), positions, cell, np.ones(3, bool))


def frame_of(structure, i, j, species=None, definition="complete", cutoff=CUTOFF):
    *_, table = table_of(structure, cutoff)
    positions = torch.from_numpy(np.array(structure.positions))
    pair = torch.tensor([i]), torch.tensor([j])
    species = torch.zeros(structure.n_atoms, dtype=torch.int64) if species is None else species
    found = pair_frames(*pair, (positions[j] - positions[i])[None], table, species, definition)
    return found.rotation[0].numpy(), bool(found.reversed[0])


# ---------------------------------------------------------------------- by hand
def test_the_anchor_has_the_nearer_neighbour():
    """Eqs. 14 and 15: d_min of atom 1 is 1.0, of atom 0 it is 1.2."""
    structure = molecule([[0, 0, 0], [3.0, 0, 0], [0, 1.2, 0], [3.0, 0, 1.0]])
    axes, turned = frame_of(structure, 0, 1)
    assert turned
    # v1 = r_0 - r_1 = -x, v2 = z: y' = v1 x v2 = y, z' = x' x y' = -z
    np.testing.assert_allclose(axes.T, [[-1, 0, 0], [0, 1, 0], [0, 0, -1]], atol=1e-15)
    same, turned = frame_of(structure, 1, 0)
    assert not turned
    np.testing.assert_array_equal(same, axes)


def test_the_end_with_one_candidate_is_the_anchor():
    """Atom 1 has nearer neighbours, but two at one distance."""
    structure = molecule([[0, 0, 0], [3.0, 0, 0], [0, 1.2, 0], [3.0, 0, 1.0], [3.0, 0, -1.0]])
    axes, turned = frame_of(structure, 0, 1)
    assert not turned
    np.testing.assert_allclose(axes.T, [[1, 0, 0], [0, 0, 1], [0, -1, 0]], atol=1e-15)


def test_the_auxiliary_vector_decides_between_candidates():
    """v1 is along x already, so candidates are compared with (3.4, 4.5, 5.6) as they are."""
    candidates = 1.1 * np.array([[0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1.0]])
    structure = molecule([[0, 0, 0], [2.5, 0, 0], *candidates])
    axes, turned = frame_of(structure, 0, 1, cutoff=2.0)
    assert not turned
    nearest = candidates[np.argmax(candidates @ np.array(AUXILIARY))]
    y = np.cross([1.0, 0, 0], nearest)
    np.testing.assert_allclose(axes[:, 1], y / np.linalg.norm(y), atol=1e-15)


def test_a_neighbour_on_the_bond_defines_no_axis():
    structure = molecule([[0, 0, 0], [2.0, 0, 0], [-0.8, 0.0, 0], [0, 1.5, 0], [2.0, 0, 3.0]])
    axes, turned = frame_of(structure, 0, 1, cutoff=3.5)
    assert not turned
    np.testing.assert_allclose(axes.T, [[1, 0, 0], [0, 0, 1], [0, -1, 0]], atol=1e-15)


def test_equal_ends_are_told_apart_by_their_elements():
    structure = molecule([[0, 0, 0], [2, 0, 0], [0, 1.1, 0], [2, 0, 1.1]])
    species = torch.tensor([0, 1, 0, 0])
    assert frame_of(structure, 0, 1, species, cutoff=1.5)[1]
    assert not frame_of(structure, 0, 1, species.flip(0)[[3, 2, 0, 1]] * 0, cutoff=1.5)[1]


def test_molecule_of_two_atoms():
    """Nobody defines v2: z, unless the bond is along z."""
    for bond, second in (([1.2, 0.1, 0], [0, 0, 1]), ([0, 0, 1.2], [0, 1, 0])):
        axes, turned = frame_of(molecule([[0, 0, 0], bond]), 0, 1)
        # the end from which the bond has the larger x, then y, then z
        assert not turned
        y = np.cross(bond, second)
        np.testing.assert_allclose(axes[:, 1], y / np.linalg.norm(y), atol=1e-15)
        other, turned = frame_of(molecule([bond, [0, 0, 0]]), 0, 1)
        assert turned
        np.testing.assert_array_equal(other, axes)


def test_atoms_with_few_neighbours():
    *_, table = table_of(molecule([[0, 0, 0], [0, 1.2, 0], [30.0, 0, 0]]))
    frames = atom_frames(table).numpy()
    np.testing.assert_allclose(frames[0].T, [[0, 1, 0], [1, 0, 0], [0, 0, -1]], atol=1e-15)
    np.testing.assert_array_equal(frames[2], np.eye(3))


def test_on_site_axes_follow_the_two_nearest_neighbours():
    structure = molecule([[0, 0, 0], [0, 0, 1.0], [1.1, 0, 0.3], [0, 1.3, 0]])
    axes = atom_frames(table_of(structure)[3])[0].numpy()
    np.testing.assert_allclose(axes.T, [[0, 0, 1], [0, 1, 0], [-1, 0, 0]], atol=1e-15)


def test_equal_neighbours_of_an_atom_are_chosen_by_their_components():
    """v1 of graphene's atoms: the largest x of three, then the largest y."""
    frames = atom_frames(table_of(crystal("graphene"))[3]).numpy()
    half, root = 0.5, np.sqrt(3) / 2
    # one atom has neighbours at 90, 210, 330 degrees, the other at 270, 30, 150
    np.testing.assert_allclose(frames[0][:, 0], [root, -half, 0], atol=1e-12)
    np.testing.assert_allclose(frames[1][:, 0], [root, half, 0], atol=1e-12)


# ---------------------------------------------------------------------- whatever the structure
def checked_frames(structure: Structure, definition="complete"):
    i, j, vectors, table = table_of(structure)
    species = torch.from_numpy(structure.numbers.astype(np.int64))
    return i, j, vectors, pair_frames(i, j, vectors, table, species, definition), table, species


@settings(deadline=None, max_examples=20)
@given(structures(max_atoms=5))
def test_frames_are_right_handed_and_start_along_the_bond(structure):
    _, _, vectors, (axes, turned), table, _ = checked_frames(structure)
    unit = torch.eye(3, dtype=axes.dtype)
    for frames in (axes, atom_frames(table)):
        # rounding of a few products in double precision, divided by sines of 0.1 and more
        torch.testing.assert_close(frames @ frames.mT, unit.expand_as(frames), atol=1e-12, rtol=0)
        assert (torch.linalg.det(frames) > 0).all()
    along = (axes[:, :, 0] * vectors).sum(1) / vectors.norm(dim=1)
    torch.testing.assert_close(along, torch.where(turned, -1.0, 1.0).double(), atol=1e-12, rtol=0)


@pytest.mark.parametrize("kind", ["graphene", "zincblende"])
def test_a_pair_of_a_perfect_crystal_has_one_frame(kind):
    structure = crystal(kind)
    i, j, vectors, (axes, turned), table, species = checked_frames(structure)
    other = pair_frames(j, i, -vectors, table, species)
    assert torch.equal(other.reversed, ~turned)
    torch.testing.assert_close(other.rotation, axes, atol=1e-12, rtol=0)


@settings(deadline=None, max_examples=20)
@given(structures(max_atoms=5), st.randoms(use_true_random=False))
def test_the_way_pairs_and_atoms_are_stored_does_not_matter(structure, random):
    i, j, vectors, (axes, turned), table, species = checked_frames(structure)
    other = pair_frames(j, i, -vectors, table, species)
    assert torch.equal(other.reversed, ~turned)
    assert torch.equal(other.rotation, axes)
    order = list(range(structure.n_atoms))
    random.shuffle(order)
    place = torch.empty(len(order), dtype=torch.int64)
    place[torch.tensor(order)] = torch.arange(len(order))
    shuffle = torch.randperm(len(i), generator=torch.Generator().manual_seed(1))
    own = neighbour_table(place[i][shuffle], vectors[shuffle], structure.n_atoms, CUTOFF)
    moved = pair_frames(place[i], place[j], vectors, own, species[torch.tensor(order)])
    assert torch.equal(moved.reversed, turned)
    assert torch.equal(moved.rotation, axes)
    assert torch.equal(atom_frames(own)[place], atom_frames(table))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), rotations(proper=True))
def test_frames_turn_with_structures_without_ties(seed, turn):
    generator = np.random.default_rng(seed)
    structure = crystal("zincblende")
    positions = structure.positions + generator.normal(scale=0.1, size=(2, 3))
    # four atoms of different surroundings
    positions = np.concatenate([positions, positions + structure.cell[0]])
    positions += generator.normal(scale=0.1, size=(4, 3))
    structure = Structure(
        np.array([14, 32, 14, 14]),
        positions,
        structure.cell * [[2.0], [1.03], [0.98]],
        np.ones(3, bool),
    )
    i, j, vectors, (axes, _), table, species = checked_frames(structure)
    q = torch.from_numpy(turn)
    turned = neighbour_table(i, vectors @ q.T, 4, CUTOFF)
    found = pair_frames(i, j, vectors @ q.T, turned, species).rotation
    # mutual nearest neighbours, and atoms with their own images: further criteria tell ends apart
    torch.testing.assert_close(found, q @ axes, atol=1e-9, rtol=0)
    torch.testing.assert_close(atom_frames(turned), q @ atom_frames(table), atol=1e-9, rtol=0)


def test_plain_coordinates_of_a_perfect_crystal_depend_on_the_order_of_atoms():
    """The degeneration problem: why the complete definition exists."""
    structure = crystal("graphene")
    i, j, vectors, (axes, _), _, species = checked_frames(structure, "plain")
    shuffle = torch.randperm(len(i), generator=torch.Generator().manual_seed(1))
    # rounding would decide otherwise: exactly equal lengths
    exact = torch.round(vectors * 2**20) / 2**20
    own = neighbour_table(i[shuffle], exact[shuffle], 2, CUTOFF, tie=-1.0)
    other = pair_frames(i, j, exact, own, species, "plain").rotation
    assert (other - axes).abs().max() > 0.5
