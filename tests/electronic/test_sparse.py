"""Sparse assembly and the sparse solver against the dense ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_mlham.core import BlockPattern, Structure
from ase_mlham.core.spin import spin_blocks
from ase_mlham.electronic.sparse_assembly import SparseAssembly, UpperTriangle, full_matrix
from ase_mlham.electronic.states import eigenstates, orbital_norm
from ase_mlham.errors import InputError
from ase_mlham.testing.strategies import k_points, systems
from ase_mlham.testing.tolerances import tolerance

ALGEBRA, EIGENVALUES = tolerance().algebra, tolerance().eigenvalues


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_upper_triangles_are_those_of_the_dense_matrices(data: st.DataObject) -> None:
    system = data.draw(systems())
    k = data.draw(k_points())
    assembly = SparseAssembly(system)
    channels, overlap = assembly.at(k)
    order = assembly.order
    expected = spin_blocks(system.hamiltonian.at_k(k), system.spin)
    assert len(channels) == len(expected)
    for found, dense in zip(channels, expected, strict=True):
        assert np.all(found.indices >= np.repeat(np.arange(assembly.size), np.diff(found.indptr)))
        whole = full_matrix(found).toarray()[np.ix_(order, order)]
        assert np.allclose(whole, dense, rtol=0, atol=ALGEBRA)
    s = system.overlap.at_k(k)[0]
    doubled = np.kron(np.eye(assembly.size // len(s)), s)
    whole = full_matrix(overlap).toarray()[np.ix_(order, order)]
    assert np.allclose(whole, doubled, rtol=0, atol=ALGEBRA)


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_pattern_is_sorted_and_complete(data: st.DataObject) -> None:
    system = data.draw(systems())
    pattern = system.hamiltonian.pattern.union(system.overlap.pattern)
    upper = UpperTriangle(pattern)
    rows = np.repeat(np.arange(upper.n), np.diff(upper.indptr))
    keys = rows * upper.n + upper.indices
    assert np.all(np.diff(keys) > 0)
    assert upper.indptr[-1] == upper.nnz == len(upper.indices)


def test_real_at_gamma_and_complex_elsewhere(cubic) -> None:
    assembly = SparseAssembly(cubic())
    assert assembly.at(np.zeros(3))[0][0].dtype == np.float64
    assert assembly.at(np.array([0.1, 0, 0]))[0][0].dtype == np.complex128


def test_operator_with_further_blocks_is_refused(honeycomb) -> None:
    pattern = honeycomb().hamiltonian.pattern
    onsite = BlockPattern.from_pairs(pattern.species, pattern.sizes, [], [], np.zeros((0, 3)))
    with pytest.raises(InputError, match="outside the prepared pattern"):
        UpperTriangle(onsite).runs(pattern)


@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_window_is_that_of_the_dense_solver(data: st.DataObject) -> None:
    system = data.draw(systems(max_atoms=4, max_shells=2))
    size = SparseAssembly(system).size
    if size < 8:
        return
    k = data.draw(k_points(system.structure.pbc))
    every = eigenstates(system, k[None]).energies
    middle = float(np.median(every)) + 0.01234
    options = {
        "n_bands": 3,
        "around": middle,
        "spin": True,
        "measures": {"norm": orbital_norm},
    }
    found = eigenstates(system, k[None], solver="sparse", **options)
    dense = eigenstates(system, k[None], **options)
    assert found.first_band is None
    for s in range(len(every)):
        nearest = np.sort(every[s, 0][np.argsort(abs(every[s, 0] - middle))[:3]])
        scale = max(1.0, abs(every).max())
        assert np.allclose(dense.energies[s, 0], nearest, atol=EIGENVALUES * scale)
        # ties in distance may be resolved either way: each state found must exist
        distance = abs(found.energies[s, 0][:, None] - every[s, 0]).min(axis=1)
        # ARPACK's tolerance, squared by the Rayleigh quotient
        assert distance.max() < 1e-8 * scale


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "around="),
        ({"around": 0.0}, "n_bands="),
        ({"around": 0.0, "n_bands": 1}, "orbitals"),
        ({"around": 0.0, "n_bands": 1, "overlap_floor": 1e-3}, "dense"),
    ],
)
def test_what_the_sparse_solver_does_not_do(chain, options, message) -> None:
    with pytest.raises(InputError, match=message):
        eigenstates(chain(), [[0.0, 0.0, 0.0]], solver="sparse", **options)


def test_spin_of_sparse_spinors(make_system) -> None:
    # one orbital in a field along x: eigenstates of sigma_x
    structure = Structure([1, 1, 1], np.eye(3) * 3, np.zeros((3, 3)), [False] * 3)
    onsite = [(a, a, (0, 0, 0), float(a)) for a in range(3)]
    field = [(a, a, (0, 0, 0), 0.3) for a in range(3)]
    system = make_system(structure, [], 3, None, "spinor", [onsite, field, [], []])
    states = eigenstates(system, [[0.0, 0, 0]], solver="sparse", around=0.1, n_bands=2, spin=True)
    assert np.allclose(states.energies[0, 0], [-0.3, 0.3], atol=1e-8)
    assert np.allclose(states.spin_expectation[0, 0, :, 0], [-1, 1], atol=1e-8)
