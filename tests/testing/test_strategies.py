"""What plugin authors are promised of the drawn structures, bases and systems."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from ase_mlham.core import LCAOSystem, OrbitalBasis, SpinKind, Structure
from ase_mlham.core.neighbours import neighbour_list
from ase_mlham.core.system import OPERATORS
from ase_mlham.testing.strategies import bases, k_points, rotations, structures, systems
from ase_mlham.testing.tolerances import TOLERANCES, tolerance

# finding is enough: shrinking what was found takes a minute
SEARCH = settings(max_examples=300, database=None, phases=[Phase.generate])


@given(structures())
def test_atoms_keep_their_distance(structure: Structure) -> None:
    distance = neighbour_list(structure, 3.0)[3]
    assert distance.min(initial=3.0) > 1.3
    assert 1 <= structure.n_atoms <= 6


@given(
    structures(min_atoms=2, max_atoms=3, pbc=(True, False, True), elements=(6, 8), outside=False)
)
def test_structures_are_as_asked(structure: Structure) -> None:
    assert structure.n_atoms in (2, 3)
    assert structure.pbc.tolist() == [True, False, True]
    assert set(structure.numbers) <= {6, 8}


@pytest.mark.parametrize(
    "condition",
    [
        lambda s: not s.pbc.any(),
        lambda s: s.pbc.all() and np.linalg.det(s.cell) < 0,
        lambda s: s.pbc.sum() == 2 and not s.cell.any(axis=1).all(),
        lambda s: s.pbc.all() and np.any(np.abs(s.positions @ np.linalg.inv(s.cell) - 0.5) > 1.0),
    ],
    ids=["molecule", "left-handed", "slab without a third vector", "atoms outside"],
)
def test_the_awkward_cases_are_drawn(condition) -> None:
    find(structures(), condition, settings=SEARCH)


@given(bases(elements=(1, 14), max_l=1, max_shells=2, radial=False))
def test_bases_are_as_asked(basis: OrbitalBasis) -> None:
    assert basis.numbers.tolist() == [1, 14]
    assert all(max(entry.l) <= 1 and len(entry.l) <= 2 for entry in basis.species)
    assert not any(entry.has_radial for entry in basis.species)


@given(systems(), k_points())
def test_overlaps_are_well_conditioned(system: LCAOSystem, k: np.ndarray) -> None:
    levels = np.linalg.eigvalsh(system.overlap.at_k(k)[0])
    assert levels.min() > 0.5 - 1e-9
    assert levels.max() < 1.5 + 1e-9


@given(systems(spin="collinear", operators=OPERATORS, same_pattern=True))
def test_systems_are_as_asked(system: LCAOSystem) -> None:
    assert system.spin is SpinKind.COLLINEAR
    assert set(system.operators) == set(OPERATORS)
    assert all(m.pattern == system.overlap.pattern for m in system.operators.values())


# what is found is described at length, and a large system longer than hypothesis likes
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
def test_different_patterns_are_drawn() -> None:
    shorter = find(
        systems(same_pattern=False),
        lambda s: s.hamiltonian.pattern.n_blocks < s.overlap.pattern.n_blocks,
        settings=SEARCH,
    )
    assert isinstance(shorter, LCAOSystem)


@given(rotations(proper=True), rotations(proper=False))
def test_rotations_are_orthogonal(proper: np.ndarray, improper: np.ndarray) -> None:
    for turn, sign in ((proper, 1), (improper, -1)):
        assert np.allclose(turn @ turn.T, np.eye(3), atol=1e-14)
        assert np.linalg.det(turn) == pytest.approx(sign)


@given(k_points(pbc=(True, False, False)))
def test_k_points_lie_in_periodic_directions(k: np.ndarray) -> None:
    assert k.shape == (3,)
    assert not k[1:].any()


@given(st.sampled_from([np.float32, np.complex64, "f4"]))
def test_tolerances_by_dtype(dtype) -> None:
    assert tolerance(dtype) is TOLERANCES["float32"]
    assert tolerance() is TOLERANCES["float64"]
    with pytest.raises(KeyError):
        tolerance(np.float16)
