"""Neighbour list against ASE's, in every number of periodic directions."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from ase.neighborlist import neighbor_list
from hypothesis import given
from hypothesis import strategies as st

from ase_mlham.core import Structure
from ase_mlham.core.neighbours import check_no_overlap, neighbour_list
from ase_mlham.errors import InputError
from ase_mlham.testing.strategies import structures


def rows(i: np.ndarray, j: np.ndarray, R: np.ndarray) -> set[tuple[int, ...]]:
    return set(map(tuple, np.column_stack([i, j, R]).tolist()))


def compare(structure: Structure, cutoff: float) -> int:
    i, j, R, distance = neighbour_list(structure, cutoff)
    i_ase, j_ase, R_ase = neighbor_list("ijS", structure.to_atoms(), cutoff)
    assert rows(i, j, R) == rows(i_ase, j_ase, R_ase)
    assert len(i) == len(i_ase) == len(rows(i, j, R))
    vectors = structure.positions[j] + R @ structure.cell - structure.positions[i]
    assert abs(np.linalg.norm(vectors, axis=1) - distance).max(initial=0.0) < 1e-12
    assert np.all(np.diff(i) >= 0)
    return len(i)


@given(structures(), st.floats(1.0, 7.0))
def test_drawn_structures(structure: Structure, cutoff: float) -> None:
    compare(structure, cutoff)


def test_tiny_cell_reaches_over_many_images() -> None:
    """One atom in the primitive cell: 12 + 6 + 24 + 12 neighbours within the fourth fcc shell."""
    structure = Structure.from_atoms(bulk("Al", a=4.05))
    assert compare(structure, 4.05 * np.sqrt(2) + 0.01) == 54


def test_slab_without_a_third_lattice_vector() -> None:
    slab = fcc111("Al", (1, 1, 3))
    assert not slab.cell[2].any()
    assert compare(Structure.from_atoms(slab), 5.0) > 0


def test_wire_along_c_with_atoms_far_outside_the_cell() -> None:
    wire = Atoms("CH", [[50, -70, 3], [51, -70, 3]], cell=[0, 0, 1.3], pbc=[False, False, True])
    assert compare(Structure.from_atoms(wire), 4.0) > 0


def test_molecule_in_a_box_smaller_than_itself() -> None:
    molecule = Atoms("CO", [[0, 0, 0], [0, 0, 1.1]], cell=[0.5, 0.5, 0.5])
    assert compare(Structure.from_atoms(molecule), 2.0) == 2


def test_left_handed_cell() -> None:
    atoms = bulk("Si")
    atoms.cell[:] = atoms.cell[[1, 0, 2]]
    assert np.linalg.det(atoms.cell) < 0
    compare(Structure.from_atoms(atoms), 5.0)


def test_overlapping_atoms_are_named() -> None:
    atoms = bulk("Si", cubic=True)
    atoms.positions[5] = atoms.positions[2] + 0.1
    with pytest.raises(InputError, match=r"atoms 2 and 5 are 0\.173 Å apart"):
        check_no_overlap(Structure.from_atoms(atoms))


def test_overlap_with_an_image_names_the_cell() -> None:
    atoms = Atoms("HH", [[0, 0, 0], [0, 0, 2.9]], cell=[3, 3, 3], pbc=True)
    with pytest.raises(InputError, match=r"\(image \(0, 0, -1\)\)|\(image \(0, 0, 1\)\)"):
        check_no_overlap(Structure.from_atoms(atoms))


@given(structures())
def test_ordinary_structures_do_not_overlap(structure: Structure) -> None:
    check_no_overlap(structure)
