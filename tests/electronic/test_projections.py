"""Projections on orbitals, atoms and layers, Mulliken's and Löwdin's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ase_mlham as mh
from ase_mlham.core import LCAOSystem, SpinKind, Structure
from ase_mlham.core.spin_space import to_spinor
from ase_mlham.electronic.charges import Charges, charges
from ase_mlham.electronic.degeneracy import degenerate, mean_of_degenerate
from ase_mlham.electronic.layers import find_layers
from ase_mlham.electronic.projections import (
    Grouping,
    GroupSpins,
    GroupWeights,
    Projection,
    atom_groups,
    orbital_groups,
    state_spins,
    state_weights,
)
from ase_mlham.electronic.solvers.problem import Orthogonalised, square_root
from ase_mlham.electronic.states import eigenstates
from ase_mlham.errors import InputError, SolverError
from ase_mlham.testing.strategies import systems

METHODS = list(Projection)
DIMER = Structure([1, 6], [[0, 0, 0], [0, 0, 1.1]], np.zeros((3, 3)), [False] * 3)


def dimer(make_system, overlap: float, split: float = 0.0) -> LCAOSystem:
    """Two s orbitals, at -split and +split eV, that overlap and couple by -1 eV."""
    home = (0, 0, 0)
    hops = [(0, 0, home, -split), (1, 1, home, split), (0, 1, home, -1.0)]
    return make_system(DIMER, hops, 2, [(0, 1, home, overlap)])


@settings(max_examples=15)
@given(data=st.data(), by=st.sampled_from(Grouping), method=st.sampled_from(METHODS))
def test_projections_sum_to_one_in_the_metric_of_s(data, by, method) -> None:
    system = data.draw(systems(max_atoms=3))
    k = np.array([[0.13, 0.21, 0.37]]) * system.structure.pbc
    groups = orbital_groups(system, by)
    measures = {
        "spins": method.measure(GroupSpins(groups, system.spin)),
        "weights": method.measure(GroupWeights(groups, system.spin)),
    }
    states = eigenstates(system, k, measures=measures, spin=True)
    found = states.measured["weights"]
    assert found.shape == (*states.energies.shape, len(groups))
    # C^H S C = 1 to the rounding of LAPACK times the condition of S, 1e4 for what is drawn
    assert np.allclose(found.sum(axis=-1), 1, atol=1e-9)
    if method is Projection.LOWDIN:
        assert found.min() >= 0
    # the measure that knows spins gives the same weights, and the spin of the state in sum
    assert np.allclose(states.measured["spins"][..., 0], found, atol=1e-12)
    total = states.measured["spins"][..., 1:].sum(axis=-2)
    assert np.allclose(total, states.spin_expectation, atol=1e-9)


def test_projections_of_a_dimer_in_closed_form(make_system) -> None:
    s, split = 0.4, 0.7
    system = dimer(make_system, s, split)
    # lower root of det(H - E S) = 0
    e = np.roots([1 - s**2, -2 * s, -(split**2) - 1]).min()
    c = np.array([1.0, (e + split) / (-1 - e * s)])
    c /= np.sqrt(c[0] ** 2 + c[1] ** 2 + 2 * s * c[0] * c[1])
    mulliken = c * (c + s * c[::-1])
    plus, minus = np.sqrt(1 + s), np.sqrt(1 - s)
    root = np.array([[plus + minus, plus - minus], [plus - minus, plus + minus]]) / 2
    found = {m: state_weights(system, (0, 0, 0), 0, method=m) for m in ("mulliken", "löwdin")}
    assert found["mulliken"] == pytest.approx(mulliken, abs=1e-12)
    assert found["löwdin"] == pytest.approx((root @ c) ** 2, abs=1e-12)
    for method in METHODS:
        assert charges(system, projection=method).charges == pytest.approx(
            1 - 2 * found["mulliken" if method is Projection.MULLIKEN else "löwdin"], abs=1e-12
        )


@pytest.mark.parametrize("method", METHODS)
def test_projections_where_s_was_projected(make_system, method) -> None:
    system = dimer(make_system, 0.999)
    measure = method.measure(GroupWeights(atom_groups(system), system.spin))
    states = eigenstates(system, measures={"weights": measure}, overlap_floor=1e-2)
    assert states.n_bands == 1
    # what is left is the symmetric combination, half of it on either atom
    assert np.allclose(states.measured["weights"], 0.5, atol=1e-12)


@settings(max_examples=8)
@given(data=st.data())
def test_sparse_and_dense_solvers_project_alike(data) -> None:
    system = data.draw(systems(max_atoms=3))
    size = system.n_orbitals * (2 if system.spin is SpinKind.SPINOR else 1)
    n = min(3, size - 2)
    if n < 1:
        return
    measures = {
        name: projection.measure(GroupWeights(atom_groups(system), system.spin))
        for name, projection in zip(("m", "l"), METHODS, strict=True)
    }
    k = np.array([[0.13, 0.21, 0.37]]) * system.structure.pbc
    every = eigenstates(system, k, measures=measures)
    around = float(np.median(every.energies)) + 0.0137
    options = {"n_bands": n, "around": around, "measures": measures}
    dense, sparse = (eigenstates(system, k, solver=s, **options) for s in ("dense", "sparse"))
    alone = ~degenerate(dense.energies, 1e-3)
    alone[..., [0, -1]] = False  # their neighbours outside the window are not seen
    for name in measures:
        # Lanczos converges vectors to the square root of 1e-10, weights to its square
        assert np.allclose(dense.measured[name][alone], sparse.measured[name][alone], atol=1e-6)


def test_root_of_an_overlap() -> None:
    rng = np.random.default_rng(3)
    a = rng.normal(size=(5, 5)) + 1j * rng.normal(size=(5, 5))
    s = a @ a.conj().T
    root = square_root(s)
    assert np.allclose(root @ root, s)
    assert np.allclose(root, root.conj().T)


def test_a_solver_that_does_not_know_of_roots_is_refused(make_system) -> None:
    system = dimer(make_system, 0.2)
    measure = Orthogonalised(GroupWeights(atom_groups(system), system.spin))
    with pytest.raises(SolverError, match="use solver='dense', or Mulliken"):
        measure(np.eye(2)[None], np.eye(2)[None])


def test_degenerate_states_share_what_is_measured(make_system) -> None:
    energies = np.array([[0.0, 1e-6, 1.0, 2.0], [0.0, 1.0, 1.00005, 1.0001]])
    assert degenerate(energies).tolist() == [[True, True, False, False], [False, True, True, True]]
    values = np.arange(8.0).reshape(2, 4, 1)
    means = mean_of_degenerate(energies, values)[..., 0]
    assert means.tolist() == [[0.5, 0.5, 2.0, 3.0], [4.0, 6.0, 6.0, 6.0]]
    # two atoms that know nothing of one another: each solver's choice is as good as the other
    system = make_system(DIMER, [(0, 0, (0, 0, 0), -1.0), (1, 1, (0, 0, 0), -1.0)], 2)
    assert state_weights(system, (0, 0, 0), 0) == pytest.approx([0.5, 0.5])
    one = state_weights(system, (0, 0, 0), 0, tolerance=0)
    assert one.sum() == pytest.approx(1.0)


def test_spins_of_a_state_on_atoms(make_system) -> None:
    home = (0, 0, 0)
    field = [(0, 0, home, 0.3), (1, 1, home, -0.5)]
    system = make_system(DIMER, [], 1, None, "spinor", [[], field, [], []])
    # the lowest state is on the second atom, along +x because the field there is -0.5 sigma_x
    assert np.allclose(state_spins(system, (0, 0, 0), 0), [[0, 0, 0], [1, 0, 0]], atol=1e-12)
    assert np.allclose(state_weights(system, (0, 0, 0), 1), [1, 0], atol=1e-12)
    pair = to_spinor(dimer(make_system, 0.3))
    assert np.allclose(state_spins(pair, (0, 0, 0), 0), 0, atol=1e-12)
    collinear = make_system(DIMER, [], 1, None, "collinear", [field, field])
    assert np.allclose(state_spins(collinear, (0, 0, 0), 0, 1)[:, 2].sum(), -1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((0, 0, 0), 2), "bands 0 to 1"),
        (((0, 0, 0), 0, 1), "spin channel 1"),
        ((np.zeros((2, 3)), 0), "2 k-points"),
    ],
)
def test_states_that_do_not_exist(make_system, arguments, message) -> None:
    with pytest.raises(InputError, match=message):
        state_weights(dimer(make_system, 0.1), *arguments)


@settings(max_examples=6)
@given(data=st.data(), by=st.sampled_from(Grouping))
def test_projected_densities_sum_to_the_total(data, by) -> None:
    system = data.draw(systems(max_atoms=2))
    kpts = tuple(2 if p else 1 for p in system.structure.pbc)
    options = {"window": (-5.0, 5.0), "npoints": 21, "width": 0.3}
    total = mh.dos(system, kpts, **options).sum_all().get_weights()
    for method in METHODS:
        found = mh.pdos(system, kpts, by=by, projection=method, **options)
        assert all(curve.info["projection"] == method.value for curve in found)
        # weights sum to one to 1e-9, and a curve is high where states are many
        assert np.allclose(found.sum_all().get_weights(), total, atol=1e-7)


def test_unknown_projection() -> None:
    with pytest.raises(InputError, match="accepted: mulliken, lowdin"):
        Projection.parse("bader")
    assert Charges.from_dict({"charges": [0], "moments": [[0, 0, 1]], "fermi_level": 0}).projection


def test_layers_of_a_slab() -> None:
    cell = np.diag([3.0, 3.0, 20.0])
    z = np.array([19.9, 0.1, 2.0, 2.2, 4.0])
    positions = np.stack([z * 0, z * 0, z], axis=1)
    found = find_layers(Structure([6] * 5, positions, cell, [True] * 3))
    # across the border of the cell, and counted from the vacuum upwards
    assert found.of_atom.tolist() == [0, 0, 1, 1, 2]
    assert found.heights == pytest.approx([0.0, 2.1, 4.0], abs=1e-12)
    open_end = find_layers(Structure([6] * 5, positions, cell, [True, True, False]))
    assert open_end.of_atom.tolist() == [3, 0, 1, 1, 2]
    fine = find_layers(Structure([6] * 5, positions, cell, [True] * 3), tolerance=0.05)
    assert len(fine) == 5
    along_x = find_layers(Structure([6] * 5, positions, cell, [True] * 3), (1, 0, 0))
    assert len(along_x) == 1
    for wrong in ("d", (0, 0, 0), (1, 2)):
        with pytest.raises(InputError, match="accepted: a, b, c or a vector"):
            find_layers(Structure([6] * 5, positions, cell, [True] * 3), wrong)
    with pytest.raises(InputError, match="tolerance"):
        find_layers(Structure([6] * 5, positions, cell, [True] * 3), tolerance=-1)


def test_layers_are_normal_to_the_plane_and_left_handed_cells_too() -> None:
    cell = np.array([[3.0, 0, 0], [0, 3.0, 0], [1.0, 0.5, -10.0]])
    positions = np.array([[0, 0, 0.5], [1, 1, 3.0], [1, 0, 0.4]])
    found = find_layers(Structure([6, 6, 14], positions, cell, [True] * 3))
    assert abs(found.normal[2]) == pytest.approx(1)
    assert found.of_atom[0] == found.of_atom[2] != found.of_atom[1]


@settings(max_examples=10)
@given(data=st.data())
def test_layers_do_not_depend_on_the_image(data) -> None:
    system = data.draw(systems(max_atoms=3))
    structure = system.structure
    if not structure.pbc[2]:
        return
    shift = data.draw(st.integers(-2, 2)) * structure.cell[2]
    positions = structure.positions.copy()
    positions[0] += shift
    moved = Structure(structure.numbers, positions, structure.cell, structure.pbc)
    before, after = find_layers(structure), find_layers(moved)
    together = before.of_atom[:, None] == before.of_atom[None, :]
    assert np.array_equal(together, after.of_atom[:, None] == after.of_atom[None, :])
