"""`ase run mlham`: parameters as ASE parses them, the table, output files, refusals."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import PropertyNotImplementedError, get_calculator_class
from ase.calculators.emt import EMT
from ase.db import connect
from ase.io import read
from ase.optimize import BFGS

from ase_mlham.ase_plugin.run import _by_atom, calculator, table
from ase_mlham.calculator import CalculatorInputError, MLHamiltonian
from ase_mlham.core import Structure
from ase_mlham.electronic.gap import Gap
from ase_mlham.formats import read_system

DATA = Path(__file__).parents[1] / "data" / "openmx"
TRIPLET, WATER, SPINOR = (DATA / n for n in ("o2_triplet.scfout", "h2o.scfout", "o2_nc.scfout.zst"))


def ase(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ase", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=cwd,
    )


def test_the_command_prints_and_writes(tmp_path):
    """A DFT file is atoms and Hamiltonian at once; its own numbers come back."""
    done = ase(
        "run", "mlham", TRIPLET, "-p", f"model={TRIPLET},smearing=0.01", "-o", "out.json",
        "--after", "print('Fermi', round(atoms.calc.get_fermi_level(), 3))", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    expected = MLHamiltonian(TRIPLET, smearing=0.01)
    lines = done.stdout.splitlines()
    assert lines[0] == "O2, 2 atoms (OpenMX)"
    assert str(expected.gap()) in done.stdout
    # the Fermi level of the table and that of --after are one number
    assert f"Fermi {expected.get_fermi_level():.3f}" == lines[-1]
    assert f"{'Fermi level':24s}{expected.get_fermi_level():9.3f} eV" in lines
    assert "2.000 Bohr magnetons" in done.stdout
    written = read(tmp_path / "out.json")
    assert written.calc.name == "mlhamiltonian"
    assert written.get_magnetic_moment() == pytest.approx(2.0, abs=1e-3)  # of the triplet
    np.testing.assert_allclose(
        written.get_charges(), expected.get_property("charges"), rtol=0, atol=1e-9
    )


def test_a_mistake_is_one_line(tmp_path):
    done = ase("run", "mlham", WATER, "-p", "mode=sige", cwd=tmp_path)
    assert done.returncode == 2
    assert "did you mean 'model'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("potential", ["nonsense", {"called": "emt"}])
def test_potentials_that_are_none(potential):
    with pytest.raises(CalculatorInputError, match="ASE can make no calculator of it"):
        calculator(potential=potential, model=str(WATER))


def test_without_a_magnetic_moment_the_table_is_printed_too(capsys):
    atoms = read(WATER)
    atoms.calc = calculator("water", model=str(WATER))
    with pytest.raises(NotImplementedError):
        atoms.get_magnetic_moment()
    first = capsys.readouterr().out
    assert "gap" in first
    # said in the table and not as a Python warning, which would be an error here
    assert "warning: a molecule whose orbitals reach" in first
    assert "Bohr magnetons" not in first
    # and once only
    with pytest.raises(NotImplementedError):
        atoms.get_magnetic_moment()
    assert capsys.readouterr().out == ""
    assert "charges" in atoms.calc.results


def test_vectors_of_moments(capsys):
    atoms = read(SPINOR)
    atoms.calc = calculator(model=str(SPINOR))
    # the moment of the triplet, along the direction of the run
    assert np.linalg.norm(atoms.calc.get_magnetic_moment(atoms)) == pytest.approx(2.0, abs=1e-3)
    assert "2.000 Bohr magnetons" in capsys.readouterr().out


def test_txt_is_a_file_or_nothing(tmp_path, capsys):
    for txt in (tmp_path / "out.txt", None):
        atoms = read(TRIPLET)
        atoms.calc = calculator(model=str(TRIPLET), txt=txt)
        atoms.get_magnetic_moment()
    assert capsys.readouterr().out == ""
    assert (tmp_path / "out.txt").read_text() == table(atoms.calc, atoms)
    assert "txt" not in atoms.calc.todict()


def test_potentials_by_name():
    found = calculator(potential="emt", model=str(WATER))
    assert isinstance(found._potential, EMT)
    assert {"energy", "forces", "charges"} <= set(found.implemented_properties)
    options = {"name": "emt", "asap_cutoff": True}
    found = calculator(potential=options, model=str(WATER))
    assert found._potential.parameters.asap_cutoff is True
    assert options["name"] == "emt", "the caller's mapping is not changed"
    given = EMT()
    assert calculator(potential=given, model=str(WATER))._potential is given


class Counted:
    """A model that gives the same matrices whatever the atoms, and counts how often."""

    identity = "counted"

    def __init__(self) -> None:
        self.asked: list[np.ndarray] = []

    def predict(self, atoms, *, on_unknown):
        self.asked.append(atoms.positions.copy())
        return read_system(TRIPLET).replace(structure=Structure.from_atoms(atoms))


def test_the_table_comes_after_a_relaxation(capsys):
    """H is asked for once, of the relaxed structure."""
    atoms, model = read(TRIPLET), Counted()
    start = atoms.positions.copy()
    atoms.calc = calculator(model=model, potential="emt")
    BFGS(atoms, logfile=None).run(fmax=0.05)
    assert capsys.readouterr().out == ""
    assert not model.asked
    for ask in (atoms.get_potential_energy, atoms.get_forces, atoms.get_magnetic_moment):
        ask()
    assert capsys.readouterr().out.startswith("O2, 2 atoms")
    (asked,) = model.asked
    np.testing.assert_array_equal(asked, atoms.positions)
    assert abs(asked - start).max() > 0.01  # else nothing was relaxed


def test_many_atoms_are_summed_up_by_element():
    atoms = bulk("Si", cubic=True).repeat((2, 1, 1))
    atoms.symbols[::2] = "Ge"
    values = np.where(atoms.symbols == "Ge", -0.1, 0.1) + np.linspace(0, 0.01, 16)
    assert _by_atom(atoms, values) == "Ge -0.100 to -0.091, Si +0.101 to +0.110"
    assert _by_atom(atoms[:2], [-1e-9, 0.25]) == "Ge +0.000, Si +0.250"


def test_a_relaxation_without_a_potential():
    atoms = read(WATER)
    atoms.calc = calculator(model=str(WATER))
    with pytest.raises(PropertyNotImplementedError, match="-p potential=NAME"):
        atoms.get_forces()
    with pytest.raises(PropertyNotImplementedError, match="dipole") as caught:
        atoms.get_dipole_moment()
    assert "-p potential" not in str(caught.value)


def test_ase_gets_a_function_that_makes_it():
    make = get_calculator_class("mlham")
    assert isinstance(make(label="x", model=str(WATER)), MLHamiltonian)


def test_results_in_a_database(tmp_path):
    """Arrays that no column holds go into `data`, as docs/tasks/ase_tools.md shows."""
    atoms = read(TRIPLET)
    atoms.calc = MLHamiltonian(TRIPLET)
    atoms.get_charges()
    found = atoms.calc.gap()
    energies = atoms.calc.states().energies
    with connect(tmp_path / "results.db") as database:
        database.write(
            atoms, band_gap=found.fundamental, data={"gap": found.to_dict(), "levels": energies}
        )
    row = connect(tmp_path / "results.db").get("band_gap>1")
    assert row.calculator == "mlhamiltonian"
    assert Gap.from_dict(row.data["gap"]) == found
    np.testing.assert_array_equal(row.data["levels"], energies)
    np.testing.assert_array_equal(row.toatoms().get_charges(), atoms.get_charges())
