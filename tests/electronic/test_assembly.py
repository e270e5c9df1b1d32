"""The fast Bloch sums against their definition, `BlockMatrix.at_k`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_mlham.core import LCAOSystem, SpinKind
from ase_mlham.core.spin import spin_blocks
from ase_mlham.electronic import assembly
from ase_mlham.electronic.assembly import Assembly, BlochSum, is_time_reversal_invariant
from ase_mlham.errors import InputError
from ase_mlham.testing.strategies import k_points, matrices, systems
from ase_mlham.testing.tolerances import tolerance

ALGEBRA = tolerance().algebra


@pytest.mark.parametrize("scattered", [True, False])
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_sum_is_the_definition(scattered: bool, data: st.DataObject) -> None:
    matrix = data.draw(matrices(symmetry=1))
    kpts = np.array(data.draw(st.lists(k_points(), min_size=1, max_size=3)))
    limit = assembly.SCATTERED_LIMIT
    assembly.SCATTERED_LIMIT = limit if scattered else -1
    try:
        result = BlochSum(matrix).at(kpts)
    finally:
        assembly.SCATTERED_LIMIT = limit
    assert np.allclose(result, matrix.at_k(kpts), rtol=0, atol=ALGEBRA)


@pytest.mark.parametrize("scattered", [True, False])
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_real_where_k_is_minus_k(scattered: bool, data: st.DataObject) -> None:
    matrix = data.draw(matrices(symmetry=1, is_complex=False))
    k = np.array([data.draw(st.sampled_from([0.0, 0.5, -0.5, 1.0])) for _ in range(3)])
    limit = assembly.SCATTERED_LIMIT
    assembly.SCATTERED_LIMIT = limit if scattered else -1
    try:
        sums = BlochSum(matrix)
        special, general = sums.at(k[None]), sums.at(np.array([[0.1, 0.2, 0.3]]))
    finally:
        assembly.SCATTERED_LIMIT = limit
    assert special.dtype == np.float64
    assert general.dtype == np.complex128
    assert np.allclose(special[0], matrix.at_k(k), rtol=0, atol=ALGEBRA)


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_channels_of_a_system(data: st.DataObject) -> None:
    system: LCAOSystem = data.draw(systems())
    k = data.draw(k_points())
    hamiltonian, overlap = Assembly(system).at(k[None])
    expected = spin_blocks(system.hamiltonian.at_k(k), system.spin)
    assert hamiltonian.shape[1:] == expected.shape
    assert np.allclose(hamiltonian[0], expected, rtol=0, atol=ALGEBRA)
    assert np.allclose(overlap[0], system.overlap.at_k(k)[0], rtol=0, atol=ALGEBRA)
    factor = 2 if system.spin is SpinKind.SPINOR else 1
    assert Assembly(system).size == factor * system.n_orbitals


def test_complex_storage_of_a_real_matrix_is_seen(cubic) -> None:
    matrix = cubic().hamiltonian.astype(np.complex128)
    assert BlochSum(matrix).at(np.zeros((1, 3))).dtype == np.float64


def test_anti_hermitian_is_refused(cubic) -> None:
    from ase_mlham.core import BlockMatrix

    gradient = BlockMatrix.zeros(cubic().hamiltonian.pattern, 3, symmetry=-1)
    with pytest.raises(InputError, match="Hermitian"):
        BlochSum(gradient)


def test_which_k_are_their_own_opposite() -> None:
    k = [[0, 0, 0], [0.5, 0, -0.5], [1.0, 0.5, 0], [0.25, 0, 0], [0.5, 0.5, 1 / 3]]
    assert is_time_reversal_invariant(k).tolist() == [True, True, True, False, False]
