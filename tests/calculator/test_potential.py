"""Energy and forces of another calculator, electronic structure of ours, evaluated when asked."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, PropertyNotImplementedError
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.calculators.tersoff import Tersoff, TersoffParameters
from ase.filters import FrechetCellFilter
from ase.io import read
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from ase.spectrum.band_structure import calculate_band_structure
from ase.units import fs  # noqa: TID251 - in which the dynamics of ASE counts

from ase_mlham.calculator import MLHamiltonian

SILICON = TersoffParameters(
    A=1830.8, B=471.18, lambda1=2.4799, lambda2=1.7322, lambda3=0.0, beta=1.1e-6, gamma=1.0,
    m=3.0, n=0.78734, c=1.0039e5, d=16.217, h=-0.59825, R=2.85, D=0.15,
)  # fmt: skip
"""J. Tersoff, Phys. Rev. B 38, 9902 (1988)."""


def heat(atoms: Atoms) -> None:
    """About 600 K: 0.05 eV of kinetic energy an atom."""
    momenta = np.random.default_rng(0).normal(size=(len(atoms), 3))
    atoms.set_momenta(momenta - momenta.mean(axis=0))
    atoms.set_momenta(atoms.get_momenta() * np.sqrt(0.1 / atoms.get_kinetic_energy()))


def tersoff() -> Tersoff:
    return Tersoff({("Si", "Si", "Si"): SILICON})


@pytest.mark.parametrize("name", ["energy", "forces", "stress", "free_energy", "dipole"])
def test_1_8_without_a_potential_nothing_is_invented(toy, silicon, name):
    silicon.calc = MLHamiltonian(toy, kpts=(2, 2, 2))
    with pytest.raises(PropertyNotImplementedError, match="potential="):
        silicon.calc.get_property(name, silicon)
    silicon.get_charges()
    assert name not in silicon.calc.results
    with pytest.raises(PropertyNotImplementedError, match="potential="):
        BFGS(silicon, logfile=None).run(steps=1)


@pytest.mark.parametrize("make", [EMT, LennardJones])
def test_all_numbers_are_those_of_the_potential(toy, make):
    ours, theirs = bulk("Cu", cubic=True), bulk("Cu", cubic=True)
    ours.rattle(0.05, seed=1)
    theirs.positions = ours.positions
    ours.calc, theirs.calc = MLHamiltonian(toy, potential=make()), make()
    assert ours.get_potential_energy() == theirs.get_potential_energy()
    np.testing.assert_array_equal(ours.get_forces(), theirs.get_forces())
    np.testing.assert_array_equal(ours.get_stress(), theirs.get_stress())
    np.testing.assert_array_equal(ours.get_potential_energies(), theirs.get_potential_energies())
    # copper is unknown to the model: it was never asked
    assert toy.calls == 0


def test_relaxation(toy, silicon, tmp_path):
    silicon.rattle(0.05, seed=0)
    silicon.calc = MLHamiltonian(toy, kpts=(2, 2, 2), potential=tersoff())
    assert BFGS(silicon, trajectory=tmp_path / "run.traj", logfile=None).run(fmax=0.01)
    assert toy.calls == 0
    images = read(tmp_path / "run.traj", ":")
    assert len(images) > 2
    assert images[-1].get_potential_energy() < images[0].get_potential_energy()
    assert images[-1].calc.parameters["potential"] == "tersoff"
    silicon.calc.get_fermi_level()
    assert toy.calls == 1


def test_relaxation_of_the_cell(toy):
    silicon = bulk("Si", a=5.6)
    silicon.calc = MLHamiltonian(toy, kpts=(2, 2, 2), potential=tersoff())
    assert BFGS(FrechetCellFilter(silicon), logfile=None).run(fmax=0.005)
    # the lattice constant of Tersoff's silicon, to which the potential was fitted
    assert np.linalg.norm(silicon.cell[0]) * np.sqrt(2) == pytest.approx(5.432, abs=2e-3)
    assert toy.calls == 0
    assert silicon.calc.gap().fundamental > 0


def test_dynamics_with_the_gap_on_the_fly(toy, silicon):
    silicon.calc = MLHamiltonian(toy, kpts=(2, 2, 2), potential=tersoff())
    heat(silicon)
    run = Langevin(
        silicon, 1 * fs, temperature_K=600, friction=0.01 / fs,
        rng=np.random.default_rng(1), fixcm=False,
    )  # fmt: skip
    gaps = []
    run.attach(lambda: gaps.append(silicon.calc.get_homo_lumo()), interval=5)
    run.run(10)
    assert toy.calls == len(gaps) == 3
    assert len(set(gaps)) == 3


def test_dynamics_conserves_the_energy_of_the_potential(toy, silicon):
    trajectories = []
    for calculator in (tersoff(), MLHamiltonian(toy, potential=tersoff())):
        atoms = silicon.copy()
        heat(atoms)
        atoms.calc = calculator
        VelocityVerlet(atoms, 1 * fs).run(20)
        trajectories.append(atoms.positions)
    np.testing.assert_array_equal(*trajectories)
    assert toy.calls == 0


def test_2_4_band_structure_of_ase_runs_with_a_potential(toy, silicon):
    silicon.calc = MLHamiltonian(toy, kpts=(3, 3, 3), potential=tersoff())
    found = calculate_band_structure(silicon, silicon.cell.bandpath("GX", npoints=6))
    ours = silicon.calc.band_structure("GX", npoints=6)
    np.testing.assert_array_equal(found.energies, ours.energies)
    assert found.reference == ours.reference
    assert silicon.calc.parameters.kpts == (3, 3, 3)


class Counting(Calculator):
    """Energy 1 eV, forces that grow with the call, and a dipole."""

    implemented_properties = ["energy", "forces", "dipole"]  # noqa: RUF012 - as ASE declares it

    def __init__(self):
        super().__init__()
        self.calls = 0

    def calculate(self, atoms=None, properties=None, system_changes=()):
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        self.results = {
            "energy": 1.0,
            "forces": np.full((len(atoms), 3), float(self.calls)),
            "dipole": np.array([0.1, 0.2, 0.3]),
        }


def test_the_potential_is_called_once_a_structure(toy, silicon):
    potential = Counting()
    silicon.calc = MLHamiltonian(toy, kpts=(2, 2, 2), potential=potential)
    silicon.get_forces()
    silicon.get_potential_energy()
    silicon.get_charges()
    silicon.get_dipole_moment()
    silicon.calc.set(kpts=(3, 3, 3), smearing=0.1)
    silicon.get_forces()
    assert potential.calls == 1
    silicon.positions[1] += 0.1
    np.testing.assert_array_equal(silicon.get_forces(), np.full((2, 3), 2.0))
    with pytest.raises(PropertyNotImplementedError):
        silicon.get_stress()


def test_another_potential_forgets_the_energies(toy, silicon):
    silicon.calc = MLHamiltonian(toy, potential=Counting())
    assert silicon.get_potential_energy() == 1.0
    silicon.calc.set(potential=tersoff())
    assert silicon.get_potential_energy() < -4
    silicon.calc.set(potential=None)
    with pytest.raises(PropertyNotImplementedError, match="potential="):
        silicon.get_potential_energy()


def test_forces_go_on_where_the_hamiltonian_is_known_for_one_structure_only(toy, silicon):
    system = toy.predict(silicon)
    silicon.calc = MLHamiltonian(system=system, potential=tersoff())
    silicon.rattle(0.05, seed=0)
    assert abs(silicon.get_forces()).max() > 0.01


def test_charges_are_ours_even_if_the_potential_has_some(toy):
    class Charged(Counting):
        implemented_properties = ["energy", "charges"]  # noqa: RUF012 - as ASE declares it

        def calculate(self, atoms=None, properties=None, system_changes=()):
            super().calculate(atoms, properties, system_changes)
            self.results["charges"] = np.full(len(atoms), 9.0)

    pair = Atoms("H2", positions=[(0, 0, 0), (0, 0, 1.0)])
    pair.calc = MLHamiltonian(toy, potential=Charged())
    pair.get_potential_energy()
    np.testing.assert_allclose(pair.get_charges(), 0, atol=1e-9)
