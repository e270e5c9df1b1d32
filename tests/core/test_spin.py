"""Pauli components, the matrices made of them, and how spinors turn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from ase_mlham.core import SpinKind
from ase_mlham.core.spin import PAULI, spin_blocks, su2
from ase_mlham.errors import InputError
from ase_mlham.testing.strategies import rotations, spin_kinds
from ase_mlham.testing.tolerances import tolerance

EXACT = tolerance().algebra


def test_pauli_matrices_multiply_as_they_should() -> None:
    _, x, y, z = PAULI
    for a, b, c in ((x, y, z), (y, z, x), (z, x, y)):
        assert np.array_equal(a @ b, 1j * c)
        assert np.array_equal(a @ a, np.eye(2))


@given(spin_kinds())
def test_names_and_counts(kind: SpinKind) -> None:
    assert SpinKind.parse(kind) is kind
    assert SpinKind.parse(kind.value.upper()) is kind
    assert kind.n_components == len(kind.components)
    # a full set of orbitals holds two electrons each, whatever the spin kind
    states = {"none": 1, "collinear": 2, "spinor": 2}[kind.value]
    assert states * kind.electrons_per_state == 2


def test_unknown_spin_kind_lists_the_known() -> None:
    with pytest.raises(InputError, match="accepted: none, collinear, spinor"):
        SpinKind.parse("soc")


def test_blocks_are_the_sum_over_pauli_matrices() -> None:
    """X = sum_mu sigma_mu (x) X_mu, all up orbitals first."""
    rng = np.random.default_rng(0)
    components = rng.standard_normal((4, 3, 3)) + 1j * rng.standard_normal((4, 3, 3))
    spinor = sum(np.kron(PAULI[mu], components[mu]) for mu in range(4))
    assert abs(spin_blocks(components, SpinKind.SPINOR)[0] - spinor).max() < EXACT
    up, down = spin_blocks(components[[0, 3]], SpinKind.COLLINEAR)
    assert np.array_equal(up, components[0] + components[3])
    assert np.array_equal(down, components[0] - components[3])
    assert spin_blocks(components[:1], SpinKind.NONE) is not None
    assert np.array_equal(spin_blocks(components[:1], SpinKind.NONE), components[:1])


def test_a_collinear_system_is_a_spinor_without_x_and_y() -> None:
    components = np.random.default_rng(0).standard_normal((2, 3, 3))
    four = np.zeros((4, 3, 3))
    four[[0, 3]] = components
    spinor = spin_blocks(four, SpinKind.SPINOR)[0]
    up, down = spin_blocks(components, SpinKind.COLLINEAR)
    assert np.array_equal(spinor[:3, :3], up)
    assert np.array_equal(spinor[3:, 3:], down)
    assert not spinor[:3, 3:].any()


@given(rotations())
def test_su2_turns_pauli_matrices_as_a_pseudo_vector(turn: np.ndarray) -> None:
    u = su2(turn)
    assert abs(u @ u.conj().T - np.eye(2)).max() < EXACT
    assert abs(np.linalg.det(u) - 1.0) < EXACT
    assert u.trace().real >= -EXACT
    proper = np.linalg.det(turn) * turn
    for a in range(3):
        expected = np.einsum("b,bij->ij", proper[:, a], PAULI[1:])
        assert abs(u @ PAULI[a + 1] @ u.conj().T - expected).max() < EXACT


@given(rotations(), rotations())
def test_su2_composes_up_to_its_sign(a: np.ndarray, b: np.ndarray) -> None:
    product, direct = su2(a) @ su2(b), su2(a @ b)
    assert min(abs(product - direct).max(), abs(product + direct).max()) < EXACT


def test_time_reversal_in_a_real_basis() -> None:
    """With T = i sigma_y K: T X T^-1 = X for real X_1 and imaginary X_x, X_y, X_z."""
    rng = np.random.default_rng(0)
    components = rng.standard_normal((4, 3, 3)).astype(complex)
    components[1:] *= 1j
    spinor = spin_blocks(components, SpinKind.SPINOR)[0]
    flip = np.kron(1j * PAULI[2], np.eye(3))
    assert abs(flip @ spinor.conj() @ np.linalg.inv(flip) - spinor).max() < EXACT
