"""What each change costs: predictions of H, diagonalisations, and searches of the Fermi level.

The table is that of the documentation. A getter that gave the number from before the change would
fail here as well: every case that should change the Fermi level says so.
"""

from __future__ import annotations

import numpy as np
import pytest
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms
from ase.dft.bandgap import GapInfo, bandgap
from ase.dft.dos import DOS

from ase_mlham.calculator import MLHamiltonian, hamiltonian
from ase_mlham.calculator import bands_and_dos as bands_module

MESH = (3, 3, 3)


class Counter:
    """Calls of a function."""

    def __init__(self, function):
        self.function, self.calls = function, 0

    def __call__(self, *args, **kwargs):
        self.calls += 1
        return self.function(*args, **kwargs)


@pytest.fixture
def work(toy, monkeypatch):
    """Call it for (predictions, diagonalised sets, searches of the Fermi level) since the last."""
    solved, levels = Counter(hamiltonian.eigenstates), Counter(bands_module.fermi_level_of_states)
    monkeypatch.setattr(hamiltonian, "eigenstates", solved)
    monkeypatch.setattr(bands_module, "fermi_level_of_states", levels)
    before = [0, 0, 0]

    def since() -> tuple[int, int, int]:
        now = [toy.calls, solved.calls, levels.calls]
        done = tuple(n - b for n, b in zip(now, before, strict=True))
        before[:] = now
        return done

    return since


@pytest.fixture
def calc(toy, silicon, work):
    silicon.calc = MLHamiltonian(toy, kpts=MESH)
    silicon.calc.get_fermi_level()
    assert work() == (1, 1, 1)
    return silicon.calc


def move(atoms):
    atoms.positions[1, 0] += 0.05


def by_a_lattice_vector(atoms):
    atoms.positions[1] += atoms.cell[0]


def strain(atoms):
    # a shear: hoppings of the model depend on directions alone
    atoms.set_cell(atoms.cell[:] @ (np.eye(3) + 0.01 * np.eye(3)[[1, 0, 2]]), scale_atoms=True)


def in_place(atoms):
    atoms.cell[0, 1] += 0.02


def exchange(atoms):
    atoms.symbols[1] = "H"


def open_c(atoms):
    atoms.calc.set(kpts=(3, 3, 1))
    atoms.pbc = (True, True, False)


def zero_moments(atoms):
    atoms.set_initial_magnetic_moments([0, 0])


def charges(atoms):
    atoms.set_initial_charges([1.0, -1.0])


def marks(atoms):
    atoms.set_tags([1, 2])
    atoms.set_masses([1.0, 2.0])
    atoms.set_momenta(np.ones((2, 3)))
    atoms.info["field"] = 0.1
    atoms.set_array("weights", np.ones(2))
    atoms.set_constraint(FixAtoms([0]))


STRUCTURE = [
    (move, (1, 1, 1), True),
    (by_a_lattice_vector, (1, 1, 1), False),
    (strain, (1, 1, 1), True),
    (in_place, (1, 1, 1), True),
    (exchange, (1, 1, 1), True),
    (open_c, (1, 1, 1), True),
    (zero_moments, (0, 0, 0), False),
    (charges, (0, 0, 0), False),
    (marks, (0, 0, 0), False),
]


@pytest.mark.parametrize(
    ("change", "cost", "other_level"), STRUCTURE, ids=lambda x: getattr(x, "__name__", None)
)
def test_1_3_changes_of_the_atoms(calc, silicon, work, change, cost, other_level):
    before = calc.get_fermi_level()
    change(silicon)
    # 1e-6 eV: moved by a lattice vector, H is made of other numbers of the same size
    assert (abs(calc.get_fermi_level() - before) > 1e-6) == other_level
    assert work() == cost


PARAMETERS = [
    ({"kpts": (2, 2, 2)}, (0, 1, 1), True),
    ({"kpts": {"size": MESH, "gamma": False}}, (0, 0, 1), False),  # odd: the same points
    ({"kpts": np.array(MESH)}, (0, 0, 0), False),
    ({"kpts": "GX"}, (0, 0, 0), False),
    ({"smearing": 1.0}, (0, 0, 1), True),
    ({"smearing": 1.0, "occupation": "gaussian"}, (0, 0, 1), True),
    ({"charge": 1.0}, (0, 0, 1), True),
    ({"solver": "dense"}, (0, 1, 1), False),
    ({"overlap_floor": 1e-6}, (0, 1, 1), False),
    ({"symmetry": "off"}, (0, 1, 1), False),
    ({"spacing": 0.5}, (0, 0, 0), False),
    ({"bandpath": "GX"}, (0, 0, 0), False),
    ({"potential": LennardJones()}, (0, 0, 0), False),
    ({"on_unknown": "warn"}, (1, 1, 1), False),
    ({}, (0, 0, 0), False),
]


@pytest.mark.parametrize(
    ("changes", "cost", "other_level"),
    PARAMETERS,
    ids=lambda one: ",".join(one) if isinstance(one, dict) else None,
)
def test_1_4_changes_of_parameters(calc, work, changes, cost, other_level):
    before = calc.get_fermi_level()
    calc.set(**changes)
    assert (abs(calc.get_fermi_level() - before) > 1e-6) == other_level
    assert work() == cost


def test_1_9_another_model_and_the_same_again(toy, calc, work):
    other = type(toy)()
    other.identity = "toy@2"
    calc.set(model=other)
    calc.get_fermi_level()
    assert other.calls == 1
    assert work() == (0, 1, 1)


@pytest.mark.parametrize("changes", [{"smearing": 0.5}, {"charge": 0.5}])
def test_1_9_smearing_and_charge_change_occupations(calc, work, changes):
    weights = calc.get_k_point_weights()

    def electrons():
        return sum(w * calc.get_occupation_numbers(k).sum() for k, w in enumerate(weights))

    before = np.array([calc.get_occupation_numbers(k) for k in range(len(weights))])
    calc.set(**changes)
    after = np.array([calc.get_occupation_numbers(k) for k in range(len(weights))])
    assert abs(after - before).max() > 0.01
    # 1e-6: the level is found by bisection
    assert electrons() == pytest.approx(8 - changes.get("charge", 0), abs=1e-6)
    assert work()[:2] == (0, 0)


def test_1_9_one_prediction_serves_all_tools_of_ase(calc, work):
    bandgap(calc)
    GapInfo.fromcalc(calc)
    DOS(calc, width=0.1).get_dos()
    calc.get_homo_lumo()
    calc.get_occupation_numbers()
    calc.dos(npoints=10)
    assert work() == (0, 0, 0)


def test_1_9_bands_leave_the_mesh_alone(calc, work):
    calc.band_structure("GX", npoints=5)
    assert work() == (0, 1, 0)
    calc.band_structure("GX", npoints=5)
    calc.get_fermi_level()
    calc.dos(npoints=10)
    assert work() == (0, 0, 0)


def test_1_9_back_to_the_structure_before(calc, silicon, work):
    before = calc.get_fermi_level()
    move(silicon)
    calc.get_fermi_level()
    silicon.positions[1, 0] -= 0.05
    # the sum and its inverse may differ in the last bit: put the very number back
    silicon.positions[1, 0] = 5.43 / 4
    work()
    assert calc.get_fermi_level() == before
    assert work() == (0, 0, 0)


def test_1_2_one_calculator_on_two_structures(toy, silicon, work):
    other = silicon.copy()
    move(other)
    calculator = MLHamiltonian(toy, kpts=MESH)
    levels = [calculator.fermi_level(atoms) for atoms in (silicon, other, silicon, other)]
    assert levels[0] == levels[2] != levels[1] == levels[3]
    assert work() == (2, 2, 2)


def test_1_9_the_energy_does_not_cost_the_hamiltonian(calc, silicon, work):
    calc.set(potential=LennardJones())
    silicon.get_potential_energy()
    silicon.get_forces()
    calc.get_fermi_level()
    assert work() == (0, 0, 0)


def test_1_4_stale_populations_are_never_given(calc, silicon):
    before = silicon.get_charges()
    calc.set(charge=1.0)
    assert silicon.get_charges().sum() == pytest.approx(1.0, abs=1e-6)
    calc.set(charge=0.0)
    np.testing.assert_allclose(silicon.get_charges(), before, atol=1e-12)


def test_1_2_results_are_added_to(calc, silicon):
    calc.set(potential=LennardJones())
    silicon.get_potential_energy()
    silicon.get_charges()
    silicon.get_forces()
    assert {"energy", "charges", "forces"} <= calc.results.keys()


def test_1_2_arrays_are_copies(calc, silicon):
    silicon.get_charges()[:] = 9.0
    calc.get_eigenvalues()[:] = 9.0
    calc.get_ibz_k_points()[:] = 9.0
    assert abs(silicon.get_charges()).max() < 1
    assert calc.get_eigenvalues().max() != 9.0
    assert calc.get_ibz_k_points().max() < 1


def test_7_7_results_cleared_from_outside(calc, work):
    calc.results.clear()
    calc.get_fermi_level()
    assert work() == (0, 0, 0)


def test_fixed_density_shares_what_is_kept(calc, work):
    other = calc.fixed_density(kpts=(2, 2, 2))
    other.get_fermi_level()
    assert work() == (0, 1, 1)
    assert calc.parameters.kpts == MESH
    calc.get_fermi_level()
    bands = calc.fixed_density(kpts={"path": "GX", "npoints": 5}).band_structure()
    assert bands.reference == calc.band_structure("GX", npoints=5).reference
    assert work() == (0, 1, 0)


def test_fixed_density_loads_a_model_once(silicon, model_file, monkeypatch):
    from ase_mlham.learning import model

    loads = Counter(model.load_model)
    monkeypatch.setattr(model, "load_model", loads)
    calculator = MLHamiltonian(model_file, kpts=MESH)
    silicon.calc = calculator.fixed_density(kpts=(2, 2, 2))
    silicon.calc.get_fermi_level()
    calculator.fermi_level(silicon)
    assert loads.calls == 1


def test_2_4_a_path_is_never_the_mesh_of_the_fermi_level(calc, work):
    before = calc.get_fermi_level()
    calc.set(kpts={"path": "GX", "npoints": 7})
    assert len(calc.get_ibz_k_points()) == 7
    assert calc.get_fermi_level() == before
    assert work() == (0, 1, 0)


def test_many_getters_of_one_mesh_cost_no_more(calc, monkeypatch):
    """Getters are called for each k-point and spin: nothing of the size of H may be touched."""
    calc.get_eigenvalues()
    touched = Counter(hamiltonian.mesh_of)
    monkeypatch.setattr(hamiltonian, "mesh_of", touched)
    for k in range(len(calc.get_ibz_k_points())):
        calc.get_eigenvalues(kpt=k, spin=0)
        calc.get_occupation_numbers(kpt=k)
    assert touched.calls == 0
