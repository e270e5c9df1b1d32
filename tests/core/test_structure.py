"""What a structure refuses, what it keeps, and its way to and from ASE."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given

from ase_mlham.core import Structure
from ase_mlham.errors import InputError
from ase_mlham.testing.strategies import structures

CUBE = 3.0 * np.eye(3)
FALSE = [False] * 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"numbers": [], "positions": np.zeros((0, 3))}, "no atoms"),
        ({"numbers": [14.5]}, "whole numbers"),
        ({"numbers": [np.nan]}, "whole numbers"),
        ({"numbers": ["Si"]}, "whole numbers"),
        ({"numbers": [-1]}, "atom 0 has the atomic number -1"),
        ({"numbers": [119]}, "0 to 118 are known"),
        ({"numbers": [[14]]}, r"shape \(1, 1\)"),
        ({"positions": np.zeros((2, 3))}, r"shape \(2, 3\)"),
        ({"cell": np.eye(2)}, r"cell \(2, 2\)"),
        ({"pbc": [True, False]}, "three booleans"),
        ({"positions": [[np.nan, 0, 0]]}, "not a finite number"),
        ({"cell": np.full((3, 3), np.inf)}, "not a finite number"),
        ({"cell": np.diag([1.0, 0.0, 1.0]), "pbc": [False, True, False]}, "direction b"),
        ({"cell": [[1, 0, 0], [2, 0, 0], [0, 0, 1]], "pbc": [True] * 3}, "not independent"),
    ],
)
def test_refusals(changes: dict, message: str) -> None:
    given_ = {"numbers": [14], "positions": np.zeros((1, 3)), "cell": CUBE, "pbc": FALSE}
    with pytest.raises(InputError, match=message):
        Structure(**{**given_, **changes})


@given(structures(moments=True))
def test_ase_round_trip(structure: Structure) -> None:
    assert Structure.from_atoms(structure.to_atoms()) == structure


def test_positions_are_kept_outside_the_cell() -> None:
    atoms = bulk("Si")
    atoms.positions += 100.0
    assert np.array_equal(Structure.from_atoms(atoms).positions, atoms.positions)


def test_arrays_are_copies_that_cannot_be_written() -> None:
    positions = np.zeros((1, 3))
    structure = Structure([1], positions, CUBE, FALSE)
    positions[0, 0] = 7.0
    assert structure.positions[0, 0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        structure.positions[0, 0] = 1.0


def test_equality_sees_every_field() -> None:
    one = Structure([1], np.zeros((1, 3)), CUBE, FALSE)
    assert one == Structure([1], np.zeros((1, 3)), CUBE, FALSE)
    assert one != Structure([2], np.zeros((1, 3)), CUBE, FALSE)
    assert one != Structure([1], np.ones((1, 3)), CUBE, FALSE)
    assert one != Structure([1], np.zeros((1, 3)), 2 * CUBE, FALSE)
    assert one != Structure([1], np.zeros((1, 3)), CUBE, [True, False, False])
    assert one != "structure"


@given(structures())
def test_full_cell_keeps_the_lattice_and_adds_unit_normals(structure: Structure) -> None:
    full = structure.full_cell
    rows = np.any(structure.cell != 0, axis=1)
    assert np.array_equal(full[rows], structure.cell[rows])
    # the normals come out of a singular value decomposition
    assert abs(np.linalg.norm(full[~rows], axis=1) - 1.0).max(initial=0.0) < 1e-12
    assert abs(full[~rows] @ full[rows].T).max(initial=0.0) < 1e-12
    assert abs(np.linalg.det(full)) > 1e-6


def test_molecule_without_any_cell() -> None:
    structure = Structure.from_atoms(Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]))
    assert abs(abs(np.linalg.det(structure.full_cell)) - 1.0) < 1e-12


def test_initial_moments_of_ase_are_the_moments() -> None:
    atoms = bulk("Si")
    assert Structure.from_atoms(atoms).moments is None
    atoms.set_initial_magnetic_moments([2.0, -1.5])
    structure = Structure.from_atoms(atoms)
    assert structure.moments.tolist() == [[0, 0, 2.0], [0, 0, -1.5]]
    assert structure.to_atoms().get_initial_magnetic_moments().tolist() == [2.0, -1.5]
    turned = [[0, 1.0, 0], [0, 0, 3.0]]
    atoms = bulk("Si")
    atoms.set_initial_magnetic_moments(turned)
    again = Structure.from_atoms(atoms).to_atoms()
    assert again.get_initial_magnetic_moments().tolist() == turned


def test_moments_of_a_wrong_shape_are_refused() -> None:
    with pytest.raises(InputError, match=r"expected \(1,\) or \(1, 3\)"):
        Structure([14], np.zeros((1, 3)), np.zeros((3, 3)), [False] * 3, [1.0, 2.0])
