"""What is left of results in the files of ASE, and in those of our own."""

from __future__ import annotations

import json
import pickle  # noqa: TID251 - as processes that share work do; nothing is stored
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import (
    PropertyNotImplementedError,
    PropertyNotPresent,
)
from ase.calculators.lj import LennardJones
from ase.db import connect
from ase.dft.bandgap import GapInfo, bandgap
from ase.dft.dos import DOS
from ase.io import read, write

from ase_mlham.calculator import FrozenResult, MLHamiltonian
from ase_mlham.core import SpinKind
from ase_mlham.errors import FormatError, InputError

O2 = Path(__file__).resolve().parents[1] / "data" / "openmx" / "o2_triplet.scfout"
O2_NC = O2.with_name("o2_nc.scfout.zst")
SUFFIXES = ["traj", "extxyz", "json", "db"]


def through_file(atoms, folder, suffix):
    path = folder / f"atoms.{suffix}"
    write(path, atoms)
    return read(path)


# ---------------------------------------------------------------------- files of ASE
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_1_7_charges_and_collinear_moments_are_kept(tmp_path, suffix):
    atoms = MLHamiltonian(O2).get_atoms()
    charges, moments = atoms.get_charges(), atoms.get_magnetic_moments()
    again = through_file(atoms, tmp_path, suffix)
    # eight digits: extended XYZ
    np.testing.assert_allclose(again.get_charges(), charges, atol=1e-8)
    np.testing.assert_allclose(again.get_magnetic_moments(), moments, atol=1e-8)
    assert again.get_magnetic_moment() == pytest.approx(2.0, abs=1e-6)
    with pytest.raises(PropertyNotImplementedError):
        again.get_potential_energy()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_1_7_energies_are_those_of_the_potential(toy, silicon, tmp_path, suffix):
    silicon.calc = MLHamiltonian(toy, kpts=(2, 2, 2), potential=LennardJones())
    silicon.rattle(0.01, seed=0)
    energy, forces = silicon.get_potential_energy(), silicon.get_forces()
    silicon.get_charges()
    again = through_file(silicon, tmp_path, suffix)
    assert again.get_potential_energy() == pytest.approx(energy, abs=1e-8)
    np.testing.assert_allclose(again.get_forces(), forces, atol=1e-8)
    assert again.get_charges().shape == (2,)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_1_7_writing_starts_no_calculation_and_invents_nothing(toy, silicon, tmp_path, suffix):
    silicon.calc = MLHamiltonian(toy, kpts=(2, 2, 2))
    silicon.calc.get_fermi_level()
    again = through_file(silicon, tmp_path, suffix)
    assert toy.calls == 1
    assert again.calc is None or again.calc.results == {}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_1_7_vector_moments_are_not_written_as_something_else(tmp_path, suffix):
    atoms = MLHamiltonian(O2_NC).get_atoms()
    atoms.get_charges()
    assert atoms.get_magnetic_moments().shape == (2, 3)
    # two electrons in parallel, wherever they point; the SCF keeps 1e-3
    assert np.linalg.norm(atoms.get_magnetic_moment()) == pytest.approx(2.0, abs=1e-3)
    assert "magmoms" not in atoms.calc.results
    assert atoms.get_properties(["charges"])["charges"].shape == (2,)
    again = through_file(atoms, tmp_path, suffix)
    np.testing.assert_allclose(again.get_charges(), atoms.get_charges(), atol=1e-8)
    with pytest.raises(PropertyNotImplementedError):
        again.get_magnetic_moments()


def test_7_14_vector_moments_go_into_an_array_of_extended_xyz(tmp_path):
    atoms = MLHamiltonian(O2_NC).get_atoms()
    again = through_file(atoms.calc.annotate(), tmp_path, "extxyz")
    # eight digits in the file
    np.testing.assert_allclose(
        again.arrays["mulliken_moments"], atoms.get_magnetic_moments(), atol=1e-8
    )
    np.testing.assert_allclose(again.arrays["mulliken_charges"], atoms.get_charges(), atol=1e-8)
    assert again.info["fermi_level"] == pytest.approx(atoms.calc.get_fermi_level(), abs=1e-8)
    assert again.info["band_gap"] == pytest.approx(atoms.calc.gap().fundamental, abs=1e-8)
    assert again.info["hamiltonian"] == "OpenMX"
    assert not atoms.info
    assert "mulliken_charges" not in atoms.arrays


def test_annotated_atoms_have_what_else_is_known(toy, silicon):
    silicon.calc = MLHamiltonian(toy, kpts=(2, 2, 2), potential=LennardJones())
    energy = silicon.get_potential_energy()
    marked = silicon.calc.annotate()
    assert marked.get_potential_energy() == energy
    assert "mulliken_moments" not in marked.arrays
    silicon.positions[1] += 0.01
    assert silicon.calc.annotate().calc is None


@pytest.mark.parametrize("name", ["magmom", "magmoms"])
def test_without_spin_there_are_no_moments_to_write(toy, silicon, name):
    silicon.calc = MLHamiltonian(toy, kpts=(2, 2, 2))
    silicon.get_charges()
    assert set(silicon.calc.results) == {"charges"}
    with pytest.raises(PropertyNotImplementedError, match="no spin"):
        silicon.calc.get_property(name, silicon)


def test_1_4_parameters_are_in_trajectories_and_build_the_calculator_again(tmp_path):
    atoms = MLHamiltonian(O2, smearing=0.1, kpts="G").get_atoms()
    level = atoms.calc.get_fermi_level()
    again = through_file(atoms, tmp_path, "traj")
    assert again.calc.name == "mlhamiltonian"
    again.calc = MLHamiltonian(**again.calc.parameters)
    assert again.calc.get_fermi_level() == level


def test_1_4_paths_among_the_parameters_survive_a_trajectory(toy, silicon, tmp_path):
    path = silicon.cell.bandpath("GX", npoints=5)
    silicon.calc = MLHamiltonian(toy, kpts=path, bandpath=silicon.cell.bandpath("GL", npoints=4))
    silicon.get_charges()
    parameters = dict(through_file(silicon, tmp_path, "traj").calc.parameters)
    again = MLHamiltonian(**{**parameters, "model": toy})
    np.testing.assert_array_equal(again.parameters.kpts.kpts, path.kpts)
    assert again.band_structure(atoms=silicon).path.path == "GL"
    result = reopened(silicon.calc.freeze(), tmp_path)
    assert set(result.parameters) == {"model", "kpts", "bandpath"}


def test_1_7_database_row_has_the_parameters(toy, silicon, tmp_path):
    silicon.calc = MLHamiltonian(toy, kpts=(2, 2, 2))
    silicon.get_charges()
    with connect(tmp_path / "some.db") as database:
        database.write(silicon, data={"levels": silicon.calc.get_eigenvalues()})
        row = database.get(1)
    assert row.calculator == "mlhamiltonian"
    assert row.calculator_parameters["model"] == "toy@1"
    assert row.data["levels"].shape == (8,)


def test_7_4_numbers_of_ases_tools_can_be_written(toy, silicon):
    silicon.calc = MLHamiltonian(toy, kpts=(2, 2, 2))
    plain = (silicon.calc.get_fermi_level(), *silicon.calc.get_homo_lumo())
    assert json.loads(json.dumps(plain)) == list(plain)


# ---------------------------------------------------------------------- frozen results
@pytest.fixture
def frozen(toy, silicon):
    silicon.calc = MLHamiltonian(toy, kpts=(3, 3, 3), potential=LennardJones())
    silicon.get_potential_energy()
    return silicon.calc.freeze(["GX", {"path": "GL", "npoints": 5}])


def reopened(result, folder):
    result.write(folder / "result.json")
    return FrozenResult.read(folder / "result.json")


def test_frozen_results_answer_ases_tools_as_the_calculator_does(silicon, frozen, tmp_path):
    calc = silicon.calc
    for result in (frozen, reopened(frozen, tmp_path), pickle.loads(pickle.dumps(frozen))):
        assert result.get_fermi_level() == calc.get_fermi_level()
        assert bandgap(result) == bandgap(calc)
        assert GapInfo.fromcalc(result).gap() == GapInfo.fromcalc(calc).gap()
        assert result.get_homo_lumo() == calc.get_homo_lumo()
        assert result.get_number_of_bands() == 8
        assert result.get_number_of_spins() == 1
        for width in (0.3, 0.0):
            ours, theirs = (DOS(c, width=width, window=(-5, 5), npts=21) for c in (result, calc))
            np.testing.assert_array_equal(ours.get_dos(), theirs.get_dos())
        np.testing.assert_array_equal(
            result.get_occupation_numbers(1), calc.get_occupation_numbers(1)
        )
        np.testing.assert_array_equal(
            result.dos(npoints=50).get_all_weights(), calc.dos(npoints=50).get_all_weights()
        )
        assert result.gap() == calc.gap()
        assert set(result.bands) == {"GX", "GL"}
        np.testing.assert_array_equal(
            result.band_structure("GX").energies, calc.band_structure("GX").energies
        )
        assert result.band_structure("GL").path.kpts.shape == (5, 3)
        np.testing.assert_array_equal(result.charges().charges, calc.charges().charges)
        atoms = result.get_atoms()
        assert atoms.get_potential_energy() == silicon.get_potential_energy()
        assert result.parameters["model"] == "toy@1"
        assert result.source == "toy tight binding"


@pytest.mark.parametrize("path", [O2, O2_NC])
def test_frozen_results_of_systems_with_spin(tmp_path, path):
    atoms = MLHamiltonian(path).get_atoms()
    result = reopened(atoms.calc.freeze(), tmp_path)
    assert result.get_spin_polarized() == (path is O2)
    assert result.get_number_of_spins() == atoms.calc.get_number_of_spins()
    again = result.get_atoms()
    np.testing.assert_array_equal(again.get_magnetic_moments(), atoms.get_magnetic_moments())
    np.testing.assert_array_equal(again.get_charges(), atoms.get_charges())
    assert result.states.spin is (SpinKind.COLLINEAR if path is O2 else SpinKind.SPINOR)
    with pytest.raises(PropertyNotImplementedError):
        again.get_potential_energy()


def test_1_7_frozen_results_notice_atoms_that_move(frozen):
    atoms = frozen.get_atoms()
    frozen.set_atoms(atoms)
    atoms.positions[1] += 0.1
    for ask in (
        frozen.get_fermi_level,
        frozen.get_eigenvalues,
        frozen.get_homo_lumo,
        frozen.gap,
        frozen.charges,
        frozen.dos,
    ):
        with pytest.raises(PropertyNotPresent, match="positions"):
            ask()


def test_bands_that_were_not_frozen(frozen, silicon):
    with pytest.raises(InputError, match="GX, GL"):
        frozen.band_structure("GK")
    with pytest.raises(InputError, match="ask for paths"):
        silicon.calc.freeze().band_structure()
    one = silicon.calc.freeze({"mine": silicon.cell.bandpath("GX", npoints=4)})
    assert one.band_structure().energies.shape == (1, 4, 8)
    assert list(silicon.calc.freeze([[0, 0, 0], [0.5, 0, 0]]).bands) == ["path 1"]


def test_frozen_atoms_go_through_the_files_of_ase(frozen, tmp_path):
    again = through_file(frozen.get_atoms(), tmp_path, "traj")
    assert again.get_potential_energy() == frozen.results["energy"]
    assert again.calc.parameters["model"] == "toy@1"


def test_reopening_loads_no_network_library(frozen, tmp_path):
    frozen.write(tmp_path / "result.json")
    code = (
        "import sys\n"
        "from ase.dft.bandgap import bandgap\n"
        "from ase_mlham.calculator import FrozenResult\n"
        f"result = FrozenResult.read({str(tmp_path / 'result.json')!r})\n"
        "bandgap(result), result.band_structure('GX'), result.gap(), result.get_homo_lumo()\n"
        "for name in ('torch', 'ase_mlham.learning', 'ase_mlham.calculator.mlhamiltonian'):\n"
        "    assert name not in sys.modules, name\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text[: len(text) // 2], "not a file of frozen results"),
        (lambda text: '{"a": 1}', "not a file of frozen results"),
        (lambda text: "[1, 2]", "not a file of frozen results"),
        (lambda text: text.replace('"version": 1', '"version": 2'), "update ase-mlham"),
        (lambda text: text.replace('"states"', '"stages"'), "not complete"),
        (lambda text: text.replace('"weights"', '"heights"'), "not complete"),
        (lambda text: text.replace('"spin": "none"', '"spin": "sideways"'), "not complete"),
    ],
)
def test_damaged_files_are_refused(frozen, tmp_path, damage, said):
    path = tmp_path / "result.json"
    frozen.write(path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(FormatError, match=said):
        FrozenResult.read(path)
    with pytest.raises(FormatError, match="no such file"):
        FrozenResult.read(tmp_path / "other.json")


def test_a_structure_read_from_a_file_takes_frozen_results(frozen, tmp_path):
    write(tmp_path / "silicon.extxyz", bulk("Si", a=5.43))
    atoms = read(tmp_path / "silicon.extxyz")
    atoms.calc = frozen
    # rounding of a text file is a change for ASE: exact results of other numbers are not given
    atoms.positions[:] = frozen.atoms.positions
    atoms.cell[:] = frozen.atoms.cell
    assert atoms.calc.get_fermi_level() == frozen.eFermi
