"""Random alloys: environments against group theory, and what a search finds and leaves out."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from hypothesis import given
from hypothesis import strategies as st

from ase_mlham.engines.alloys import Mixture, Neighbourhoods, environments, random_alloys
from ase_mlham.errors import InputError
from ase_mlham.testing.strategies import rotations

SIGE = Mixture(("Si", "Ge"))

# the first two shells of diamond, in quarters of the lattice constant
FIRST = [v for v in itertools.product((-1, 1), repeat=3) if np.prod(v) == 1]
SECOND = [v for v in itertools.product((-2, 0, 2), repeat=3) if sum(map(bool, v)) == 2]
NEIGHBOURS = np.array(FIRST + SECOND)
TETRAHEDRAL = [
    matrix
    for order in itertools.permutations(range(3))
    for signs in itertools.product((-1, 1), repeat=3)
    if {tuple(v @ (matrix := np.diag(signs)[:, order])) for v in FIRST} == set(FIRST)
]


def crystal(seed: int) -> Atoms:
    """A few atoms of two elements anywhere, in a cell of no symmetry."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 6))
    cell = 3.5 * np.eye(3) + rng.uniform(-0.6, 0.6, (3, 3))
    return Atoms(rng.choice([14, 32], n), scaled_positions=rng.random((n, 3)), cell=cell, pbc=True)


# ---------------------------------------------------------------------- environments
@given(st.integers(0, 10**6), rotations(), st.integers(1, 3))
def test_environments_see_neither_rotation_order_nor_position(seed, rotation, shells):
    atoms = crystal(seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(atoms))
    moved = atoms[order]
    moved.positions += rng.normal(0, 3, 3)
    # whole lattice vectors, differently for each atom
    moved.positions += rng.integers(-2, 3, (len(atoms), 3)) @ moved.cell.array
    moved.set_cell(moved.cell.array @ rotation, scale_atoms=True)
    found = environments(moved, shells)
    assert found.tolist() == environments(atoms, shells)[order].tolist()


@given(st.integers(0, 10**6), st.integers(0, 2), st.integers(2, 3))
def test_a_supercell_has_each_environment_as_often_as_it_has_cells(seed, shear, n):
    atoms = crystal(seed)
    large = make_supercell(atoms, [[n, 0, 0], [shear, 1, 0], [0, 0, 1]])
    wanted = Counter({e: n * times for e, times in Counter(environments(atoms).tolist()).items()})
    assert Counter(environments(large).tolist()) == wanted


@given(st.integers(0, 10**6))
def test_another_element_is_another_environment(seed):
    atoms = crystal(seed)
    other = atoms.copy()
    other.numbers[0] = 6
    assert environments(atoms)[0] != environments(other)[0]


def test_the_two_environments_of_the_paper():
    """Four neighbours of one atom, two of them of the other element: side by side or opposite."""
    square = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]]
    beside, opposite = (Atoms(formula, positions=square) for formula in ("C3Si2", "C2SiCSi"))
    assert environments(beside, 1)[0] != environments(opposite, 1)[0]
    assert environments(beside, 1)[0] == environments(Atoms("CSi2C2", positions=square), 1)[0]


def test_distances_count_too():
    atoms = bulk("Si")
    stretched = atoms.copy()
    stretched.set_cell(1.05 * atoms.cell.array, scale_atoms=True)
    assert environments(atoms)[0] != environments(stretched)[0]


def test_no_two_occupations_of_two_shells_of_diamond_are_mistaken_for_one():
    """Orbits of the tetrahedral group on all 2^16 occupations, by going through them."""
    places = {tuple(v): n for n, v in enumerate(NEIGHBOURS)}
    turned = [[places[tuple(v @ matrix)] for v in NEIGHBOURS] for matrix in TETRAHEDRAL]
    bits = 1 << np.arange(16)
    everything = np.arange(2**16)
    occupied = (everything[:, None] & bits) > 0
    smallest = np.min([occupied[:, order] @ bits for order in turned], axis=0)
    assert len(TETRAHEDRAL) == 24
    orbits = np.flatnonzero(smallest == everything)
    assert len(orbits) == 3044
    cluster = Atoms("Si17", positions=np.vstack([np.zeros(3), NEIGHBOURS]) * 5.43 / 4)
    around = Neighbourhoods(cluster, 2)

    def at_centre(occupation: int) -> int:
        return int(around.environments(np.r_[14, np.where(occupied[occupation], 32, 14)])[0])

    known = {at_centre(orbit): orbit for orbit in orbits}
    assert len(known) == len(orbits)
    for occupation in np.random.default_rng(0).choice(everything, 200):
        assert known[at_centre(occupation)] == smallest[occupation]


def test_shells_are_those_of_the_lattice():
    """Ge beyond the shells that count changes nothing, within them it does."""
    silicon = bulk("Si", cubic=True) * 2
    distances = silicon.get_distances(0, range(64), mic=True)
    for shells, reach in ((1, 2.4), (2, 3.9), (3, 4.6)):
        beyond, within = silicon.copy(), silicon.copy()
        beyond.numbers[distances > reach] = 32
        within.numbers[np.flatnonzero(distances < reach)[-1]] = 32
        assert environments(beyond, shells)[0] == environments(silicon, shells)[0]
        assert environments(within, shells)[0] != environments(silicon, shells)[0]


# ---------------------------------------------------------------------- searches
def test_nearest_neighbours_in_diamond_have_ten_environments():
    """Two elements at the centre, none to four of four neighbours: all places are alike."""
    for parent in (bulk("Si") * 2, bulk("Ge", cubic=True) * (2, 1, 1)):
        found = random_alloys(parent, [SIGE], shells=1)
        assert found.exhausted
        assert found.n_environments == 10
        assert sum(a.info["new_environments"] for a in found.structures) == 10
        assert found.n_draws == found.n_rejected + len(found.structures)


def test_a_second_shell_has_many_more():
    found = random_alloys(bulk("Si", cubic=True) * 2, [SIGE], shells=2, count=60)
    assert not found.exhausted
    assert len(found.structures) == 60
    # 2 x 3044 are all that there are (the test of the orbits above)
    assert 1000 < found.n_environments < 6088


def test_every_structure_brings_something_new():
    found = random_alloys(bulk("Si") * 2, [SIGE], shells=2)
    known: set[int] = set()
    for atoms in found.structures:
        here = set(environments(atoms).tolist())
        assert len(here - known) == atoms.info["new_environments"] > 0
        known |= here
    assert len(known) == found.n_environments


def test_a_longer_list_begins_with_the_shorter_one():
    parent = bulk("Si") * 2
    few = random_alloys(parent, [SIGE], count=3, seed=5, rattle=0.1)
    many = random_alloys(parent, [SIGE], count=9, seed=5, rattle=0.1)
    other = random_alloys(parent, [SIGE], count=3, seed=6, rattle=0.1)
    assert list(few.structures) == list(many.structures[:3])
    assert few.structures[0] != other.structures[0]


def test_fractions_are_met():
    found = random_alloys(bulk("Si") * 2, [Mixture(("Si", "Ge"), (0.75, 0.25))])
    assert {a.get_chemical_formula() for a in found.structures} == {"Ge4Si12"}
    thirds = Mixture(("Si", "Ge", "C"), (1 / 3, 1 / 3, 1 / 3))
    counts = Counter(
        tuple(np.bincount(thirds.draw(4, np.random.default_rng(n)), minlength=33)[[6, 14, 32]])
        for n in range(30)
    )
    assert set(counts) == {(2, 1, 1), (1, 2, 1), (1, 1, 2)}


def test_sublattices_keep_to_themselves():
    parent = bulk("GaAs", "zincblende", a=5.65) * 2
    found = random_alloys(parent, [Mixture(("Ga", "Al")), Mixture(("As", "P"))], count=5)
    for atoms in found.structures:
        assert set(atoms.symbols[::2]) <= {"Ga", "Al"}
        assert set(atoms.symbols[1::2]) <= {"As", "P"}


def test_cells_follow_the_composition():
    parent = bulk("Si", a=5.431) * 2
    lengths = {"Si": 5.431, "Ge": 5.658}
    found = random_alloys(parent, [SIGE], lengths=lengths, count=8)
    shares = [np.mean(a.numbers == 32) for a in found.structures]
    assert len(set(shares)) > 2
    for atoms, share in zip(found.structures, shares, strict=True):
        wanted = (1 - share) * 5.431 + share * 5.658
        # sixteen atoms are two cubes; rounding of a sum of squares
        assert abs((atoms.get_volume() / 2) ** (1 / 3) - wanted) < 1e-10
        scaled = [a.get_scaled_positions(wrap=False) for a in (atoms, parent)]
        assert np.allclose(*scaled)


def test_displacements_have_the_width_asked_for():
    parent = bulk("Si") * 3
    (atoms,) = random_alloys(parent, [SIGE], count=1, rattle=0.05).structures
    moved = (atoms.positions - parent.positions).ravel()
    # 162 numbers: five standard errors of a standard deviation
    assert abs(moved.std() - 0.05) < 5 * 0.05 / np.sqrt(2 * len(moved))


def test_moments_stay_and_other_notes_of_a_file_go():
    parent = bulk("Fe", cubic=True)
    parent.set_initial_magnetic_moments([2.0, -2.0])
    parent.new_array("spacegroup_kinds", np.zeros(2, int))
    for atoms in random_alloys(parent, [Mixture(("Fe", "Co"))]).structures:
        assert atoms.get_initial_magnetic_moments().tolist() == [2.0, -2.0]
        assert not atoms.has("spacegroup_kinds")


@pytest.mark.parametrize(
    ("mixtures", "options", "message"),
    [
        ([], {}, "at least one mixture"),
        ([SIGE, Mixture(("Ge", "C"))], {}, "Ge is in two alloys"),
        ([Mixture(("Ga", "Al"))], {}, "Si2 has no site with Ga or Al"),
        ([SIGE], {"shells": 0}, "shells=0"),
        ([SIGE], {"count": 0}, "count=0"),
        ([SIGE], {"patience": 0}, "patience=0"),
        ([SIGE], {"rattle": -0.1}, "rattle=-0.1"),
        ([SIGE], {"lengths": {"Si": 5.4}}, "no length of Ge"),
        ([SIGE], {"lengths": {"Si": 5.4, "Ge": 0.0}}, "0.0 of Ge must be positive"),
        ([SIGE], {"lengths": {"C": 3.6}}, "length of C, which is not mixed"),
    ],
)
def test_what_cannot_be_is_refused(mixtures, options, message):
    with pytest.raises(InputError, match=message):
        random_alloys(bulk("Si"), mixtures, **options)


@pytest.mark.parametrize(
    ("elements", "fractions", "message"),
    [
        (("Si",), None, "at least two"),
        (("Si", "Si"), None, "named twice"),
        (("Si", "Xx"), None, "Xx is no chemical symbol"),
        (("Si", "Ge"), (1.0,), "1 fractions"),
        (("Si", "Ge"), (0.5, 0.6), r"sum to 1\.1"),
        (("Si", "Ge"), (1.5, -0.5), "shares of the sites"),
    ],
)
def test_mixtures_that_are_none(elements, fractions, message):
    with pytest.raises(InputError, match=message):
        Mixture(elements, fractions)
