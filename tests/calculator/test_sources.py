"""Where H comes from makes no difference to what the calculator answers."""

from __future__ import annotations

import copy
import json
import logging
import pickle  # noqa: TID251 - as processes that share work do; nothing is stored
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.calculator import PropertyNotPresent
from ase.dft.bandgap import bandgap
from ase.io import read, write
from ase.io.jsonio import encode

import ase_mlham as mh
from ase_mlham.calculator import CalculatorInputError, MLHamiltonian, sources
from ase_mlham.errors import FormatError, ModelError

O2 = Path(__file__).resolve().parents[1] / "data" / "openmx" / "o2_triplet.scfout"
"""Triplet oxygen, collinear, not periodic."""


@pytest.fixture
def system(toy, silicon):
    return toy.predict(silicon)


# ---------------------------------------------------------------------- equal sources
def test_a_system_answers_as_the_model_that_made_it(toy, silicon, system):
    by_model, by_system = MLHamiltonian(toy, kpts=(3, 3, 3)), MLHamiltonian(system=system)
    by_system.set(kpts=(3, 3, 3))
    other = silicon.copy()
    silicon.calc, other.calc = by_model, by_system
    assert by_system.get_fermi_level() == by_model.get_fermi_level()
    assert bandgap(by_system) == bandgap(by_model)
    assert by_system.gap() == by_model.gap()
    np.testing.assert_array_equal(
        by_system.band_structure("GX", 5).energies, by_model.band_structure("GX", 5).energies
    )
    np.testing.assert_array_equal(other.get_charges(), silicon.get_charges())


@pytest.mark.parametrize("suffix", [".scfout", ".h5"])
def test_a_file_answers_as_the_system_in_it(tmp_path, suffix):
    system = mh.read_system(O2)
    path = O2 if suffix == ".scfout" else tmp_path / "oxygen.h5"
    if suffix == ".h5":
        mh.write_system(system, path)
    calculator = MLHamiltonian(path)
    assert calculator.get_fermi_level() == mh.fermi_level(system)
    assert calculator.gap() == mh.gap(system)
    assert calculator.get_number_of_spins() == 2
    # the moment of the triplet: a whole number, to the convergence of the SCF
    assert calculator.get_atoms().get_magnetic_moment() == pytest.approx(2.0, abs=1e-6)


def test_a_file_brings_its_atoms():
    atoms = MLHamiltonian(O2).get_atoms()
    assert str(atoms.symbols) == "O2"
    assert atoms.calc.get_number_of_bands() == len(atoms.calc.get_eigenvalues())


def test_atoms_of_a_file_are_compared_without_its_matrices(monkeypatch):
    monkeypatch.setattr("ase_mlham.formats.read_system", None)
    calculator = MLHamiltonian(O2)
    oxygen = calculator.get_atoms()
    oxygen.positions[0] += 0.1
    with pytest.raises(CalculatorInputError, match="elsewhere"):
        calculator.fermi_level(oxygen)


def test_a_model_has_no_atoms_before_they_are_attached(toy):
    calculator = MLHamiltonian(toy)
    for ask in (
        calculator.get_fermi_level,
        calculator.get_atoms,
        calculator.get_eigenvalues,
        calculator.get_ibz_k_points,
        calculator.band_structure,
        calculator.gap,
        calculator.get_charges,
    ):
        with pytest.raises(PropertyNotPresent, match="attach it"):
            ask()


def test_charge_is_taken_from_any_source(system):
    assert MLHamiltonian(system=system, charge=1).system().n_electrons == system.n_electrons - 1


# ---------------------------------------------------------------------- the structure it is for
def other_number(atoms):
    del atoms[1]


def other_element(atoms):
    atoms.symbols[1] = "H"


def moved(atoms):
    atoms.positions[1] += (0.0, 0.05, 0.0)


def strained(atoms):
    atoms.cell[2] *= 1.01


def not_periodic(atoms):
    atoms.pbc = (True, True, False)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other_number, "1 atoms instead of 2"),
        (other_element, "atom 1 is H instead of Si"),
        (moved, r"1 of the atoms are elsewhere, atom 1 \(Si\) by 0.0500 Å"),
        (strained, "lattice vector c differs by up to 0.0272 Å"),
        (not_periodic, r"pbc is \(True, True, False\) instead of \(True, True, True\)"),
    ],
)
def test_other_atoms_are_refused_and_what_differs_is_said(silicon, system, change, said):
    change(silicon)
    silicon.calc = MLHamiltonian(system=system)
    with pytest.raises(CalculatorInputError, match=rf"{said}.*structure\.to_atoms\(\).*model"):
        silicon.calc.get_fermi_level()


def test_another_order_is_guessed(toy):
    pair = Atoms("SiH", positions=[(0, 0, 0), (0, 0, 1.5)])
    calculator = MLHamiltonian(system=toy.predict(pair))
    with pytest.raises(CalculatorInputError, match="another order"):
        calculator.fermi_level(pair[[1, 0]])


def test_atoms_that_move_under_the_calculator_are_refused(silicon, system):
    silicon.calc = MLHamiltonian(system=system, kpts=(2, 2, 2))
    silicon.calc.get_fermi_level()
    silicon.rattle(0.1, seed=1)
    with pytest.raises(CalculatorInputError, match="elsewhere"):
        silicon.calc.get_fermi_level()


def test_6_3_lattice_vectors_and_rounding_do_not_matter(silicon, system, tmp_path):
    expected = MLHamiltonian(system=system, kpts=(2, 2, 2)).get_fermi_level()
    silicon.positions[1] -= silicon.cell[0]
    write(tmp_path / "POSCAR", silicon)
    again = read(tmp_path / "POSCAR")
    again.calc = MLHamiltonian(system=system, kpts=(2, 2, 2))
    assert again.calc.get_fermi_level() == expected


def test_a_molecule_is_not_moved_by_its_box():
    atoms = MLHamiltonian(O2).get_atoms()
    atoms.positions += atoms.cell[0]
    with pytest.raises(CalculatorInputError, match="elsewhere"):
        atoms.calc.fermi_level(atoms)


# ---------------------------------------------------------------------- choosing
def test_one_source_replaces_another(toy, silicon, system):
    calculator = MLHamiltonian(toy, kpts=(2, 2, 2))
    silicon.calc = calculator
    level = calculator.get_fermi_level()
    calculator.set(system=system.shift_energy(1.0))
    assert calculator.parameters.model is None
    assert calculator.get_fermi_level() == pytest.approx(level + 1.0)
    calculator.set(model=toy)
    assert calculator.parameters.system is None
    assert calculator.get_fermi_level() == pytest.approx(level)


def test_two_sources_or_none_are_refused(toy, system):
    with pytest.raises(CalculatorInputError, match="not both"):
        MLHamiltonian(toy, system=system)
    with pytest.raises(CalculatorInputError, match="no source"):
        MLHamiltonian(toy).set(model=None)
    with pytest.raises(CalculatorInputError, match="system=system"):
        MLHamiltonian(system)
    with pytest.raises(CalculatorInputError, match="there is no model"):
        _ = MLHamiltonian(system=system).model


def test_a_missing_file_and_an_unknown_model_are_told_apart(tmp_path):
    with pytest.raises(FormatError, match="no such file"):
        MLHamiltonian(tmp_path / "silicon.scfout").get_fermi_level()
    pytest.importorskip("torch")
    with pytest.raises(ModelError, match="unknown model"):
        MLHamiltonian("no-such-model").gap(bulk("Si"))


def test_a_model_wins_over_a_folder_of_its_name(tmp_path, monkeypatch):
    from ase_mlham.hooks import registered

    installed = list(registered("model"))
    if not installed:
        pytest.skip("no model is installed")
    monkeypatch.chdir(tmp_path)
    Path(installed[0]).mkdir()
    assert isinstance(sources.open_source(installed[0]), sources.ModelSource)


def test_6_3_the_device_that_was_chosen_is_logged(model_file, caplog):
    calculator = MLHamiltonian(model_file, device="cpu")
    with caplog.at_level(logging.INFO, logger="ase_mlham"):
        _ = calculator.model
    assert "on cpu" in caplog.text


# ---------------------------------------------------------------------- identity and copies
def test_1_4_a_system_is_kept_as_a_text_that_identifies_it(toy, silicon, system):
    calculator = MLHamiltonian(system=system)
    text = calculator.parameters.system
    assert text.startswith("Si2, toy tight binding, ")
    assert calculator.todict() == {"system": text}
    assert json.loads(encode(calculator.todict())) == {"system": text}
    assert MLHamiltonian(system=toy.predict(silicon)).parameters.system == text
    assert MLHamiltonian(system=system.shift_energy(1e-9)).parameters.system != text


def test_1_4_a_system_is_asked_for_when_a_calculator_is_built_from_its_parameters(system):
    written = MLHamiltonian(system=system, kpts=(2, 2, 2)).todict()
    with pytest.raises(CalculatorInputError, match="give the system itself again"):
        MLHamiltonian(**written)
    again = MLHamiltonian(**{**written, "system": system})
    assert again.todict() == written


def test_1_4_a_calculator_on_a_file_is_built_from_its_parameters():
    calculator = MLHamiltonian(O2, smearing=0.1)
    again = MLHamiltonian(**json.loads(encode(calculator.todict())))
    assert again.todict() == calculator.todict() == {"model": str(O2), "smearing": 0.1}
    assert again.get_fermi_level() == calculator.get_fermi_level()


def copies(atoms):
    return pickle.loads(pickle.dumps(atoms)), copy.deepcopy(atoms)


def test_1_10_pickle_and_deepcopy_keep_the_link(toy, silicon):
    calc = silicon.calc = MLHamiltonian(toy, kpts=(2, 2, 2))
    level = calc.get_fermi_level()
    for other in copies(silicon):
        assert other.calc is not calc
        assert other.calc._live is other
        assert len(other.calc._systems) == 0
        # 1e-12: the same arithmetic on the same numbers
        assert other.calc.get_fermi_level() == pytest.approx(level, abs=1e-12)
        other.positions[1] += 0.1
        assert other.calc.get_fermi_level() != level
    assert calc.get_fermi_level() == level


def test_1_10_a_system_survives_copies(silicon, system):
    silicon.calc = MLHamiltonian(system=system, kpts=(2, 2, 2))
    level = silicon.calc.get_fermi_level()
    for other in copies(silicon):
        assert other.calc.get_fermi_level() == level
        assert other.calc.todict() == silicon.calc.todict()


def test_1_10_copies_of_a_file_read_it_again_when_asked(monkeypatch):
    atoms = MLHamiltonian(O2).get_atoms()
    level = atoms.calc.get_fermi_level()
    size = len(pickle.dumps(atoms))
    assert size < O2.stat().st_size / 5
    again = pickle.loads(pickle.dumps(atoms))
    assert again.calc._opened._system is None
    assert again.calc.get_fermi_level() == level


def test_1_10_a_named_model_leaves_the_weights_out(toy):
    calculator = MLHamiltonian("some-name")
    calculator._source._model = toy
    again = pickle.loads(pickle.dumps(calculator))
    assert again._source._model is None
    assert again.parameters.model == "some-name"


def test_deepcopy_shares_the_weights(toy):
    assert copy.deepcopy(MLHamiltonian(toy)).model is toy


def test_7_12_get_atoms_does_not_take_the_link_away(toy, silicon):
    silicon.calc = MLHamiltonian(toy)
    taken = silicon.calc.get_atoms()
    assert taken.calc is silicon.calc
    taken.positions[1] += 0.1
    assert silicon.calc._live is silicon


def test_nothing_of_torch_is_loaded_for_a_file():
    code = (
        "import sys, ase_mlham as mh\n"
        f"calculator = mh.MLHamiltonian({str(O2)!r})\n"
        "calculator.gap(), calculator.get_atoms().get_charges(), calculator.dos(npoints=9)\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_structure_from_a_database_is_not_that_of_the_file():
    oxygen = molecule("O2")
    oxygen.calc = MLHamiltonian(O2)
    with pytest.raises(CalculatorInputError, match=r"o2_triplet.scfout was computed for"):
        oxygen.calc.get_fermi_level()
