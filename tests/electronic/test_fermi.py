"""Fermi level of metals and insulators, by all methods, and ASE's opinion on gaps."""

from __future__ import annotations

import numpy as np
import pytest
from ase.dft.bandgap import GapInfo
from hypothesis import given, settings
from hypothesis import strategies as st

import ase_mlham as mh
from ase_mlham.core import SpinKind
from ase_mlham.electronic.fermi import (
    band_edges,
    electron_count,
    fermi_level_of_states,
    occupations,
)
from ase_mlham.electronic.gap import gap_of_states
from ase_mlham.electronic.states import EigenStates, eigenstates
from ase_mlham.errors import InputError
from ase_mlham.testing.strategies import systems


def states_of(energies, n_electrons, spin="none", mesh=None) -> EigenStates:
    energies = np.array(energies, dtype=float)
    n_k = energies.shape[1]
    return EigenStates(
        np.zeros((n_k, 3)), np.full(n_k, 1 / n_k), energies, SpinKind(spin), n_electrons, mesh=mesh
    )


def test_insulator_is_in_the_middle_of_its_gap() -> None:
    states = states_of([[[-2, 0, 1.0], [-3, 0.4, 2.0]]], 4)
    edges = band_edges(states)
    assert (edges.vbm, edges.cbm, edges.vbm_at, edges.cbm_at) == (
        0.4,
        1.0,
        (0, 1, 1),
        (0, 0, 2),
    )
    assert fermi_level_of_states(states) == pytest.approx(0.7)
    assert fermi_level_of_states(states, 0.01) == pytest.approx(0.7, abs=0.02)


def test_gap_between_the_channels_of_a_magnet() -> None:
    # 3 electrons: two bands up, one down, at every k
    states = states_of(
        [[[-2, -1, 3], [-2, -0.5, 3]], [[-1.5, 1, 4], [-1.2, 0.8, 4]]], 3, "collinear"
    )
    edges = band_edges(states)
    assert (edges.vbm, edges.cbm) == (-0.5, 0.8)
    assert edges.vbm_at == (0, 1, 1)
    assert edges.cbm_at == (1, 1, 1)
    found = gap_of_states(states, edges.middle, edges)
    assert [channel.fundamental for channel in found.channels] == [3.5, 2.0]
    assert found.direct == 2.0
    assert "between spin channels" in str(found)


def test_half_metal() -> None:
    states = states_of([[[-2, -0.5], [-2, 0.5]], [[-2, 3], [-2, 3]]], 2.5, "collinear")
    level = fermi_level_of_states(states, 0.05)
    found = gap_of_states(states, level, band_edges(states))
    assert found.is_metal
    assert [channel.fundamental for channel in found.channels] == [0.0, 5.0]
    assert "spin up: conducts" in str(found)


def test_overlapping_bands_are_a_metal() -> None:
    states = states_of([[[-2, 0, 1], [-2, 1.5, 1.8]]], 4)
    assert band_edges(states) is None
    # an odd electron in a system without spin has a half-filled band
    assert band_edges(states_of([[[-2, 0, 1]]], 3)) is None


@pytest.mark.parametrize("method", ["fermi-dirac", "gaussian"])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), width=st.floats(0.01, 1.0), spin=st.sampled_from(SpinKind))
def test_smeared_level_holds_the_electrons(method, seed, width, spin) -> None:
    rng = np.random.default_rng(seed)
    energies = np.sort(rng.normal(size=(spin.n_channels, 5, 6)) * 3, axis=2)
    room = spin.electrons_per_state * spin.n_channels * 6
    states = states_of(energies, rng.uniform(0.5, room - 0.5), spin)
    level = fermi_level_of_states(states, width, method)
    filling = occupations(states, level, width, method)
    total = states.degeneracy * np.einsum("k,skb->", states.weights, filling)
    assert total == pytest.approx(states.n_electrons, abs=1e-6)


def test_half_filled_cubic_band(cubic) -> None:
    # electron-hole symmetry of the band puts the level at its middle, for every method
    for options in ({}, {"smearing": 0.2}, {"smearing": 0.2, "method": "gaussian"}):
        level = mh.fermi_level(cubic(), kpts=(6, 6, 6), **options)
        # tetrahedra draw degenerate corners apart by 1e-5 eV
        assert level == pytest.approx(0, abs=2e-5)


def test_tetrahedra_converge_to_the_chain(chain) -> None:
    # a quarter of the states below -2 cos(pi / 4)
    level = mh.fermi_level(chain(n_electrons=0.5), kpts=(60, 1, 1))
    assert level == pytest.approx(-np.sqrt(2), abs=2e-3)


def test_electrons_up_to_a_level(chain) -> None:
    states = eigenstates(chain(), (24, 1, 1))
    # E = -2 cos(2 pi k): half of the band below its middle, a third below -1 eV. Tetrahedra on 24
    # points are off by 1e-3 where the band is curved
    assert electron_count(states, 0.0) == pytest.approx(1.0, abs=1e-9)
    assert electron_count(states, -1.0) == pytest.approx(2 / 3, abs=5e-3)
    assert electron_count(states, 9.0) == pytest.approx(2.0)
    smeared = electron_count(states, 9.0, 0.1, "gaussian")
    assert smeared == pytest.approx(2.0)
    assert electron_count(states, fermi_level_of_states(states)) == pytest.approx(1.0, abs=1e-6)
    with pytest.raises(InputError, match="from the lowest"):
        electron_count(eigenstates(chain(), (24, 1, 1), n_bands=1, around=0.0), 0.0)


def test_more_electrons_than_states() -> None:
    with pytest.raises(InputError, match="do not fit"):
        fermi_level_of_states(states_of([[[0.0]]], 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "cold"}, "accepted: tetrahedron"),
        ({"method": "tetrahedron", "smearing": 0.1}, "no width"),
        ({"smearing": -1.0}, "positive"),
        ({"method": "tetrahedron"}, "regular mesh"),
    ],
)
def test_methods_that_cannot_be(options, message) -> None:
    states = states_of([[[0.0, 1], [0.5, 0.6]]], 1)
    with pytest.raises(InputError, match=message):
        fermi_level_of_states(states, **options)


def test_level_needs_the_lowest_states(cubic) -> None:
    states = eigenstates(cubic(), [[0.0, 0, 0]], n_bands=1, around=0.0)
    with pytest.raises(InputError, match="from the lowest"):
        fermi_level_of_states(states)


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_ase_finds_the_same_gap(data: st.DataObject) -> None:
    system = data.draw(systems())
    points = tuple(2 if p else 1 for p in system.structure.pbc)
    states = eigenstates(system, points)
    level = fermi_level_of_states(states)
    edges = band_edges(states)
    below = (states.energies <= level).sum(axis=2)
    if edges is None or np.any((below == 0) | (below == states.n_bands)):
        # ASE takes accidental gaps of a few k-points for gaps, and wants filled and empty states
        return
    theirs = GapInfo(states.energies - level)
    assert theirs.gap()[0] == pytest.approx(edges.gap, abs=1e-9)
    if len(states.energies) == 1:
        # ASE's direct gap may turn the spin
        ours = gap_of_states(states, level, edges)
        assert theirs.direct_gap()[0] == pytest.approx(ours.direct, abs=1e-9)


def test_states_survive_their_dictionary(chain) -> None:
    states = eigenstates(chain(), (4, 1, 1))
    again = EigenStates.from_dict(states.to_dict())
    assert np.array_equal(again.energies, states.energies)
    assert again.mesh.size == states.mesh.size
    assert again.n_electrons == states.n_electrons


def test_shapes_are_checked() -> None:
    with pytest.raises(InputError, match="energies of shape"):
        states_of(np.zeros((2, 3, 4)), 2, "none")
    with pytest.raises(InputError, match="one value a state"):
        EigenStates(
            np.zeros((1, 3)), np.ones(1), np.zeros((1, 1, 2)), "none", 2, {"spin": np.zeros(3)}
        )
