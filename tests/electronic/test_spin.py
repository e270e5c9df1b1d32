"""Spin expectation values, charges and moments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ase_mlham as mh
from ase_mlham.core import Structure
from ase_mlham.electronic.bands import band_states
from ase_mlham.electronic.charges import Charges, charges
from ase_mlham.electronic.spin_texture import SpinTexture
from ase_mlham.errors import InputError
from ase_mlham.testing.strategies import systems

ATOM = Structure([1], np.zeros((1, 3)), np.zeros((3, 3)), [False] * 3)
FIELD = np.array([0.3, -0.2, 0.6])


def test_spin_follows_a_field(make_system) -> None:
    components = [[], *([(0, 0, (0, 0, 0), value)] for value in FIELD)]
    system = make_system(ATOM, [], 1, None, "spinor", components)
    texture = mh.spin_texture(system)
    assert np.allclose(texture.energies.ravel(), [-0.7, 0.7])
    # the lower state is antiparallel to the field that acts as B . sigma
    assert np.allclose(texture.spin[0, 0], [-FIELD / 0.7, FIELD / 0.7])
    found = charges(system)
    assert np.allclose(found.moments, -FIELD / 0.7)
    assert np.allclose(found.charges, 0)
    again = SpinTexture.from_dict(texture.to_dict())
    assert np.array_equal(again.spin, texture.spin)
    assert np.allclose(Charges.from_dict(found.to_dict()).moments, found.moments)


def test_collinear_and_spinor_agree(make_system) -> None:
    one, z = [(0, 0, (0, 0, 0), -1.0)], [(0, 0, (0, 0, 0), -0.4)]
    collinear = make_system(ATOM, [], 1, None, "collinear", [one, z])
    spinor = make_system(ATOM, [], 1, None, "spinor", [one, [], [], z])
    for system in (collinear, spinor):
        assert np.allclose(charges(system).moments, [[0, 0, 1]])
    assert mh.gap(collinear).fundamental == pytest.approx(0.8)
    assert mh.gap(spinor).fundamental == pytest.approx(0.8)
    texture = mh.spin_texture(collinear)
    assert texture.spin[:, 0, 0, 2].tolist() == [1.0, -1.0]


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_charges_add_up(data: st.DataObject) -> None:
    system = data.draw(systems(max_atoms=3))
    kpts = tuple(2 if p else 1 for p in system.structure.pbc)
    found = charges(system, kpts, smearing=0.3)
    # bisection of the Fermi level leaves 1e-9 of the electrons
    missing = system.basis.n_electrons(system.structure.numbers) - system.n_electrons
    assert found.charges.sum() == pytest.approx(missing, abs=1e-6)


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_time_reversal_turns_spins(data: st.DataObject) -> None:
    system = data.draw(systems(spin="spinor", time_reversal=True, max_atoms=2))
    k = np.array([0.11, 0.23, 0.31]) * system.structure.pbc
    there, back = (mh.spin_texture(system, sign * k[None]) for sign in (1, -1))
    gaps = np.diff(there.energies[0, 0])
    alone = np.ones(len(gaps) + 1, dtype=bool)
    # the spin of one state of a degenerate pair is arbitrary
    alone[:-1] &= gaps > 1e-3
    alone[1:] &= gaps > 1e-3
    # eigenvectors lose 1/gap of the precision of eigenvalues
    assert np.allclose(there.spin[0, 0, alone], -back.spin[0, 0, alone], atol=1e-6)


def test_graphene_splitting_of_kane_and_mele(make_system, honeycomb) -> None:
    # i lambda (d1 x d2)_z sigma_z between second neighbours opens a gap of 6 sqrt(3) lambda at K
    strength = 0.02
    plain = honeycomb()
    hops = [(0, 1, R, -2.7) for R in ((0, 0, 0), (0, -1, 0), (-1, -1, 0))]
    around = [(1, 0, 0), (0, 1, 0), (-1, -1, 0)]
    z = [(a, a, R, sign * 1j * strength) for a, sign in ((0, 1), (1, -1)) for R in around]
    system = make_system(plain.structure, [], 2, None, "spinor", [hops, [], [], z])
    states = band_states(system, [[1 / 3, 1 / 3, 0]], spin=True)
    energies = states.energies[0, 0]
    assert energies[2] - energies[1] == pytest.approx(6 * np.sqrt(3) * strength, abs=1e-9)
    # both filled (and both empty) states are pairs of opposite spin
    assert abs(states.spin_expectation[0, 0, :, 2]).min() < 1 + 1e-9
    assert np.allclose(states.spin_expectation[0, 0, :2].sum(axis=0), 0, atol=1e-9)


def test_texture_needs_spin_and_bands(chain) -> None:
    with pytest.raises(InputError, match="without spin"):
        mh.spin_texture(chain())
    with pytest.raises(InputError, match="bands 0 to 0"):
        mh.spin_texture(chain(spin="collinear"), [[0.1, 0, 0]], bands=[1])
    states = band_states(chain(spin="spinor"), "GX", npoints=3)
    with pytest.raises(InputError, match="spin=True"):
        _ = states.spin_expectation
