"""Densities of states against closed forms and sum rules."""

from __future__ import annotations

import numpy as np
import pytest
from ase.spectrum.doscollection import GridDOSCollection
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import ase_mlham as mh
from ase_mlham.electronic.fermi import fermi_level_of_states
from ase_mlham.electronic.kpoints import Mesh, k_mesh
from ase_mlham.electronic.projections import orbital_groups, orbital_name
from ase_mlham.electronic.states import eigenstates
from ase_mlham.electronic.tetrahedra import Tetrahedra
from ase_mlham.errors import InputError
from ase_mlham.testing.strategies import systems
from ase_mlham.testing.tolerances import tolerance


def integral(curve, up_to: float = np.inf) -> float:
    e, w = curve.get_energies(), curve.get_weights()
    return float(np.trapezoid(np.where(e <= up_to, w, 0), e))


def test_chain_has_inverse_square_roots_at_its_edges(chain) -> None:
    # g(E) = (2 / pi) / sqrt(4 t^2 - E^2), with two electrons a state
    curve = mh.dos(chain(), kpts=(400, 1, 1), window=(-1.5, 1.5), npoints=31)[0]
    exact = 2 / np.pi / np.sqrt(4 - curve.get_energies() ** 2)
    # constant within each step of 0.03 eV, over which the exact one changes by up to 2.7 %
    assert np.allclose(curve.get_weights(), exact, rtol=1.5e-2)


def test_three_dimensional_count_of_a_linear_band() -> None:
    # the integral over a cube of theta(E - x - y - z) is a polynomial, which simplices give exactly
    n = 4
    mesh = Mesh((n, n, n), np.arange(n**3))
    simplices = Tetrahedra(mesh)
    assert simplices.dimension == 3
    corners = np.array([[0.0, 1.0, 1.0, 2.0]])
    spread = simplices._spread(corners)
    # n(1) of e = 0, 1, 1, 2: half of the volume by symmetry
    assert simplices.count(spread, 1.0) / simplices.weight == pytest.approx(0.5, abs=1e-4)
    assert simplices.count(spread, 2.1) / simplices.weight == pytest.approx(1.0)
    assert simplices.count(spread, -0.1) == 0


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_simplices_fill_the_zone(dimension: int) -> None:
    size = tuple([3] * dimension + [1] * (3 - dimension))
    simplices = Tetrahedra(Mesh(size, np.arange(3**dimension)))
    assert len(simplices.points) * simplices.weight == pytest.approx(1.0)
    counts = np.bincount(simplices.points.ravel())
    assert np.all(counts == counts[0])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), dimension=st.integers(1, 3))
@example(seed=86573, dimension=1)
def test_density_is_the_derivative_of_the_count(seed: int, dimension: int) -> None:
    rng = np.random.default_rng(seed)
    size = tuple([2] * dimension + [1] * (3 - dimension))
    energies = rng.normal(size=(2**dimension, 2))
    # between corners of nearly one energy the density is a spike that the grid below misses
    assume(np.diff(np.sort(energies, axis=0), axis=0).min() > 0.02)
    simplices = Tetrahedra(Mesh(size, np.arange(2**dimension)))
    corners = simplices.corners(energies)
    grid = np.linspace(energies.min() - 0.1, energies.max() + 0.1, 4001)
    weights = rng.random((2**dimension, 2, 3))
    weights /= weights.sum(axis=2, keepdims=True)
    total = simplices.density(energies, grid)[0]
    parts = simplices.density(energies, grid, weights)
    assert np.allclose(parts.sum(axis=0), total, atol=1e-8)
    # a trapezoid across a jump of the density is wrong by half a step times the jump; two bands
    # have four, and where there are none the steps are fine enough
    missed = 1e-3 + 2 * (grid[1] - grid[0]) * total.max()
    at = rng.integers(100, 3900, 5)
    for i in at:
        below = np.trapezoid(total[: i + 1], grid[: i + 1])
        assert below == pytest.approx(simplices.count(corners, grid[i]), abs=missed)
    # every state is somewhere, and its projections carry what it had on average
    assert np.trapezoid(total, grid) == pytest.approx(2.0, abs=missed)
    assert np.trapezoid(parts, grid, axis=1) == pytest.approx(
        weights.mean(axis=0).sum(axis=0), abs=missed
    )


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_projections_sum_to_the_total(data: st.DataObject) -> None:
    system = data.draw(systems(max_atoms=2))
    by = data.draw(st.sampled_from(["element", "shell", "orbital", "atom"]))
    kpts = tuple(2 if p else 1 for p in system.structure.pbc)
    options = {"kpts": kpts, "window": (-4.0, 4.0), "npoints": 50, "width": 0.3}
    total, parts = mh.dos(system, **options), mh.pdos(system, by=by, **options)
    assert isinstance(parts, GridDOSCollection)
    for channel in total:
        spin = channel.info.get("spin")
        chosen = parts if spin is None else parts.select(spin=spin)
        summed = np.sum([curve.get_weights() for curve in chosen], axis=0)
        scale = max(1.0, channel.get_weights().max())
        assert np.allclose(summed, channel.get_weights(), atol=tolerance().eigenvalues * scale)


def test_electrons_below_the_fermi_level(cubic) -> None:
    system = cubic(n_electrons=0.7)
    curve = mh.dos(system, kpts=(12, 12, 12), npoints=2000)[0]
    level = float(curve.info["fermi_level"])
    # both by tetrahedra; the grid cuts the last interval
    assert integral(curve, level) == pytest.approx(0.7, abs=5e-3)
    assert integral(curve) == pytest.approx(2.0, abs=1e-3)


def test_spin_kinds_of_one_system_agree(cubic, make_system) -> None:
    plain, collinear, spinor = (cubic(spin=spin) for spin in ("none", "collinear", "spinor"))
    options = {"kpts": (4, 4, 4), "window": (-7.0, 7.0), "npoints": 141, "width": 0.3}
    reference = mh.dos(plain, **options)[0].get_weights()
    up, down = mh.dos(collinear, **options)
    assert (up.info["spin"], down.info["spin"]) == ("up", "down")
    assert np.allclose(up.get_weights() + down.get_weights(), reference)
    assert np.allclose(mh.dos(spinor, **options)[0].get_weights(), reference)
    levels = [mh.fermi_level(one, kpts=(4, 4, 4)) for one in (plain, collinear, spinor)]
    assert np.allclose(levels, levels[0], atol=1e-8)


def test_a_path_has_no_density(chain) -> None:
    with pytest.raises(InputError, match="give a mesh"):
        mh.dos(chain(), kpts="GX")
    states = eigenstates(chain(), {"path": "GX", "npoints": 5})
    with pytest.raises(InputError, match="mesh"):
        fermi_level_of_states(states, method="tetrahedron")


def test_molecule_is_broadened(make_system) -> None:
    structure = mh.Structure([1, 1], [[0, 0, 0], [1, 0, 0]], np.zeros((3, 3)), [False] * 3)
    system = make_system(structure, [(0, 1, (0, 0, 0), -1.5)], 2)
    curve = mh.dos(system, window=(-4, 4), npoints=801)[0]
    assert integral(curve) == pytest.approx(4.0, abs=1e-6)
    assert curve.get_energies()[curve.get_weights()[:400].argmax()] == pytest.approx(-1.5)


def test_names_of_orbitals_and_groups() -> None:
    assert [orbital_name(1, m) for m in (-1, 0, 1)] == ["py", "pz", "px"]
    assert orbital_name(2, 0) == "dz2"
    assert orbital_name(3, -3) == "f-3"


def test_groups_carry_what_asks_for_them(honeycomb) -> None:
    system = honeycomb()
    assert orbital_groups(system, "atom").info == (
        {"symbol": "C", "orbital": "s", "index": "0"},
        {"symbol": "C", "orbital": "s", "index": "1"},
    )
    with pytest.raises(InputError, match="accepted: element, shell, orbital, atom"):
        orbital_groups(system, "colour")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": (1.0, -1.0)}, "lower, upper"),
        ({"npoints": 1}, "at least two"),
        ({"width": -0.1}, "must be positive"),
        ({"width": 0.1, "method": "tetrahedron"}, "no width"),
        ({"method": "fermi-dirac"}, "tetrahedron.*gaussian"),
        ({"method": "magic"}, "accepted"),
    ],
)
def test_options_that_make_no_sense(chain, options, message) -> None:
    with pytest.raises(InputError, match=message):
        mh.dos(chain(), kpts=(4, 1, 1), **options)


def test_reduced_and_full_meshes_agree(honeycomb) -> None:
    system = honeycomb(mass=0.2)
    structure = system.structure
    full = k_mesh(structure, (6, 6, 1))
    half = k_mesh(structure, (6, 6, 1), time_reversal=True)
    assert len(half) < len(full)
    grid = np.linspace(-9, 9, 200)
    a, b = (
        Tetrahedra(points.mesh).density(eigenstates(system, points).energies[0], grid)
        for points in (full, half)
    )
    assert np.allclose(a, b, atol=tolerance().eigenvalues)
