"""Spin turned by itself, where nothing couples it to space."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import eigh
from scipy.spatial.transform import Rotation

from ase_mlham.core import SpinKind
from ase_mlham.core.spin import spin_blocks
from ase_mlham.core.spin_space import spin_rotated, to_spinor
from ase_mlham.errors import InputError
from ase_mlham.testing.strategies import systems

K = np.array([[0.13, -0.21, 0.34]])


def _levels(system):
    overlap = system.overlap.at_k(K)[0][0]
    levels = []
    for h in spin_blocks(system.hamiltonian.at_k(K)[0], system.spin):
        s = np.kron(np.eye(len(h) // len(overlap)), overlap)
        levels.append(eigh(h, s, eigvals_only=True))
    return np.sort(np.concatenate(levels))


@settings(max_examples=10, deadline=None)
@given(
    st.data(),
    st.sampled_from([SpinKind.NONE, SpinKind.COLLINEAR]),
    st.tuples(*[st.floats(-3, 3)] * 3),
)
def test_levels_do_not_know_the_axis_of_spin(data, spin, vector):
    system = data.draw(systems(spin=spin, max_atoms=3))
    spinors = to_spinor(system)
    turned = spin_rotated(spinors, Rotation.from_rotvec(vector).as_matrix())
    levels = _levels(system)
    if spin is SpinKind.NONE:
        levels = np.repeat(levels, 2)
    # levels of a generalised problem whose S may be close to singular
    scale = 1e-9 * max(1.0, abs(levels).max())
    np.testing.assert_allclose(_levels(spinors), levels, atol=scale)
    np.testing.assert_allclose(_levels(turned), levels, atol=scale)
    assert to_spinor(spinors) is spinors


@settings(max_examples=1, deadline=None)
@given(systems(spin=SpinKind.COLLINEAR, max_atoms=2))
def test_what_cannot_be_turned(system):
    with pytest.raises(InputError, match="to_spinor"):
        spin_rotated(system, np.eye(3))
    with pytest.raises(InputError, match="proper rotation"):
        spin_rotated(to_spinor(system), -np.eye(3))
