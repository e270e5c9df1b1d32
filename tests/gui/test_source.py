"""Which structure is shown, and which Hamiltonian belongs to it; no window is needed."""

from __future__ import annotations

import os

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ase_mlham.errors import InputError
from ase_mlham.formats import write_system
from ase_mlham.gui.source import Hamiltonians, shown, structure_key


@pytest.fixture
def images(home):
    from ase.gui.images import Images

    return lambda *atoms, names=None: _named(Images(list(atoms)), names)


def _named(images, names):
    if names is not None:
        images.filenames = names
    return images


def test_the_first_atoms_of_a_repeated_view(images, silicon):
    silicon.set_initial_magnetic_moments([1.0, -1.0])
    alone = shown(images(silicon.copy()), 0)
    view = images(silicon.copy())
    view.repeat_images([2, 1, 3])
    what = shown(view, 0)
    assert what.repeat == (2, 1, 3)
    assert what.copies == 6
    assert what.atoms == silicon
    assert what.key == alone.key
    assert what.atoms.calc is None


def test_the_structure_is_a_copy(images, silicon):
    view = images(silicon)
    what = shown(view, 0)
    silicon.positions += 1.0
    assert not np.allclose(what.atoms.positions, silicon.positions)


def test_atoms_of_a_repeated_view_that_were_edited_one_by_one(images, silicon):
    view = images(silicon)
    view.repeat_images([2, 1, 1])
    view[0].positions[3] += 0.1
    with pytest.raises(InputError, match="edited one by one"):
        shown(view, 0)
    # as many atoms as one cell has are left, and yet they are none
    view = images(bulk("Si"))
    view.repeat_images([2, 1, 1])
    del view[0][[0, 1]]
    with pytest.raises(InputError, match="edited one by one"):
        shown(view, 0)


def test_nothing_to_compute(images):
    with pytest.raises(InputError, match="no atoms"):
        shown(images(Atoms()), 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.positions.__iadd__(1e-12),
        lambda a: a.set_cell(np.asarray(a.cell) * (1 + 1e-12)),
        lambda a: a.set_pbc(False),
        lambda a: a.numbers.__setitem__(0, 32),
        lambda a: a.set_initial_magnetic_moments([0.0, 0.0]),
    ],
)
def test_the_key_sees_every_change_that_matters(silicon, change):
    before = structure_key(silicon)
    assert structure_key(silicon.copy()) == before
    change(silicon)
    assert structure_key(silicon) != before


@pytest.fixture
def native(tmp_path, toys, silicon):
    path = tmp_path / "silicon.h5"
    system = toys().predict(silicon)
    write_system(system, path)
    return str(path)


def test_a_file_with_its_own_hamiltonian_is_taken_at_its_word(images, native, silicon):
    hamiltonians = Hamiltonians()
    what = shown(images(silicon, names=[f"{native}@0"]), 0)
    assert what.file == native
    assert hamiltonians.name(what) == "silicon.h5"
    calculator = hamiltonians.calculator(what)
    assert calculator.system(what.atoms).source == "tight binding"
    assert hamiltonians.calculator(what) is calculator


def test_moved_atoms_of_such_a_file_are_refused_with_the_remedy(images, native, silicon):
    silicon.positions[1] += 0.01
    what = shown(images(silicon, names=[f"{native}@0"]), 0)
    with pytest.raises(
        InputError, match=r"silicon.h5.*open the file again.*model: Electronic structure > Source"
    ):
        Hamiltonians().calculator(what).system(what.atoms)


def test_a_model_that_was_chosen_predicts_for_files_with_a_hamiltonian_too(
    images, native, silicon, toys
):
    toy = toys()
    hamiltonians = Hamiltonians(toy)
    what = shown(images(silicon, names=[f"{native}@0"]), 0)
    assert hamiltonians.name(what) == "model toy"
    hamiltonians.calculator(what).system(what.atoms)
    assert toy.calls == 1


def test_other_structures_are_predicted_by_the_default_model(images, silicon, tmp_path):
    from ase.io import write

    write(tmp_path / "a.cif", silicon)
    hamiltonians = Hamiltonians()
    for name in (None, "gone.h5@0", f"{tmp_path}/a.cif@0"):
        assert hamiltonians.name(shown(images(silicon, names=[name]), 0)) == "model sige"


def test_a_file_that_was_written_again_is_another_source(images, native, silicon):
    hamiltonians = Hamiltonians()
    what = shown(images(silicon, names=[f"{native}@0"]), 0)
    first = hamiltonians.calculator(what)
    os.utime(native, (1, 1))
    assert hamiltonians.calculator(what) is not first
