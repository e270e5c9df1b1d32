"""Losses and metrics: equal to plain loops, blind to the gauge, and to nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_mlham.core import SpinKind
from ase_mlham.electronic.comparison import compare_matrices
from ase_mlham.errors import InputError
from ase_mlham.learning.graph import build_graph
from ase_mlham.learning.layout import BlockLayout
from ase_mlham.learning.losses import LossConfig, OrbitalElements, block_loss, gauge_shift
from ase_mlham.learning.metrics import MatrixErrors, matrix_errors
from ase_mlham.learning.tensors import to_coefficients
from ase_mlham.testing.strategies import systems as drawn_systems


def elements_of(system, matrix):
    layout = BlockLayout(system.basis)
    graph = build_graph(system.structure, system.basis, matrix.pattern, 3.0, torch.float64)
    convert = OrbitalElements(layout, torch.float64)
    index = convert.index(graph)
    return convert(index, to_coefficients(layout, matrix)), index


@settings(max_examples=25, deadline=None)
@given(system=drawn_systems(spin="none", same_pattern=True, max_l=2))
def test_elements_are_the_matrix_elements(system):
    h = system.hamiltonian
    flat, index = elements_of(system, h)
    on, off = [], []
    for group, array in zip(h.pattern.groups, h.values, strict=True):
        here = h.pattern.onsite[group.slice]
        on.append(array[:, here].ravel())
        off.append(array[:, ~here].ravel())
    assert index.n_onsite == sum(map(len, on))
    assert np.allclose(np.sort(flat[0, : index.n_onsite]), np.sort(np.concatenate(on)), atol=1e-12)
    assert np.allclose(np.sort(flat[0, index.n_onsite :]), np.sort(np.concatenate(off)), atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    system=drawn_systems(spin="none", same_pattern=True, max_l=1),
    mu=st.floats(-5, 5),
    seed=st.integers(0, 99),
)
def test_shift_is_found_and_the_loss_is_blind_to_it(system, mu, seed):
    error, index = elements_of(system, system.hamiltonian)
    overlap, _ = elements_of(system, system.overlap)
    overlap, n = overlap[0], index.n_onsite
    moved = error + mu * overlap
    found = gauge_shift(moved, overlap, n) - gauge_shift(error, overlap, n)
    # float64 sums of a few hundred terms
    assert found == pytest.approx(mu, abs=1e-9)
    config = LossConfig()
    a, b = (block_loss(e, overlap, n, config) for e in (error, moved))
    assert float(a) == pytest.approx(float(b), rel=1e-9, abs=1e-6)
    blunt = LossConfig(gauge_free=False)
    plain = block_loss(error, overlap, n, blunt)
    by_hand = 1e3 * error.abs().mean() + 300 * error.square().mean().sqrt()
    assert float(plain) == pytest.approx(float(by_hand), rel=1e-9)


def test_huber_is_smooth_and_approaches_the_mean():
    overlap, n = torch.zeros(4, dtype=torch.float64), 2
    overlap[0] = 1.0
    error = torch.tensor([[0.0, 1e-3, 2e-3, 5e-2]], dtype=torch.float64)
    config = LossConfig(rms=0.0, huber=1.5, gauge_free=False)
    # below 1.5 meV e^2/3 + 0.75, above |e|
    expected = (0.75 + (1 / 3 + 0.75) + 2.0 + 50.0) / 4
    assert float(block_loss(error, overlap, n, config)) == pytest.approx(expected)


def test_focal_loss_is_that_of_the_publication():
    overlap, n = torch.tensor([1.0, 0.3, 0.2, 0.1], dtype=torch.float64), 2
    error = torch.tensor([[0.0, 0.5, -2.0, 30.0]], dtype=torch.float64)
    config = LossConfig(rms=0.0, focal_gamma=2.0, focal_beta=0.25, gauge_free=False)
    size = np.abs(error.numpy())
    # eq. 6 in eV, times 1000
    expected = 1e3 * np.mean((1 / (1 + np.exp(-0.25 * size))) ** 2 * size)
    assert float(block_loss(error, overlap, n, config)) == pytest.approx(expected, rel=1e-12)
    free = LossConfig(rms=0.0, focal_gamma=2.0, focal_beta=0.25)
    a, b = (block_loss(e, overlap, n, free) for e in (error, error + 0.7 * overlap))
    # rounding of the best shift
    assert float(a) == pytest.approx(float(b), rel=1e-12)
    off = LossConfig(focal_beta=3.0)
    assert block_loss(error, overlap, n, off) == block_loss(error, overlap, n, LossConfig())
    with pytest.raises(InputError, match="focal_gamma"):
        LossConfig(focal_gamma=-1.0)


def test_gradient_of_a_perfect_prediction_is_finite():
    error = torch.zeros(1, 6, requires_grad=True)
    block_loss(error, torch.ones(6), 2, LossConfig()).backward()
    assert torch.isfinite(error.grad).all()


@pytest.mark.parametrize("options", [{"mean": 0.0, "rms": 0.0}, {"huber": -1.0}])
def test_impossible_losses(options):
    with pytest.raises(InputError, match="loss"):
        LossConfig(**options)


@settings(max_examples=25, deadline=None)
@given(system=drawn_systems(max_l=2), seed=st.integers(0, 99), mu=st.floats(-3, 3))
def test_matrix_errors_agree_with_the_electronic_room(system, seed, mu):
    rng = np.random.default_rng(seed)
    noisy = []
    for group, array in zip(
        system.hamiltonian.pattern.groups, system.hamiltonian.values, strict=True
    ):
        noise = 1e-3 * rng.standard_normal(array.shape)
        here = system.hamiltonian.pattern.onsite[group.slice]
        if here.any():
            noise[:, here] = noise[:, here] + noise[:, here].swapaxes(-1, -2)
        noisy.append(array + noise)
    h = type(system.hamiltonian)(system.hamiltonian.pattern, tuple(noisy))
    other = (
        system.replace(hamiltonian=h).shift_energy(mu)
        if _covers(system)
        else system.replace(hamiltonian=h)
    )
    errors = matrix_errors(
        other.hamiltonian, system.hamiltonian, system.overlap, system.structure, system.basis
    )
    oracle = compare_matrices(other, system)
    assert errors.shifts[0] == pytest.approx(oracle.shift, abs=1e-10)
    for mine, theirs in (
        (errors.overall, oracle.error),
        (errors.onsite, oracle.onsite),
        (errors.offsite, oracle.offsite),
    ):
        if theirs.count:
            assert mine.mae == pytest.approx(1000 * theirs.mean, rel=1e-9)
            assert mine.rms == pytest.approx(1000 * theirs.rms, rel=1e-9)
    for tallies in (errors.by_elements, errors.by_shells):
        assert sum(t.n for t in tallies.values()) == errors.overall.n
        assert sum(t.total for t in tallies.values()) == pytest.approx(errors.overall.total)
    assert sum(t.n for t in errors.by_distance.values()) == errors.offsite.n
    assert bool(errors.by_part) == (system.spin is not SpinKind.NONE)
    if errors.by_part:
        # |e|^2 is the sum of the squares of its real parts
        squares = sum(t.squares for t in errors.by_part.values())
        assert squares == pytest.approx(errors.overall.squares)


def _covers(system) -> bool:
    """Whether H has all blocks of S, so that a shift loses nothing."""
    p, q = system.overlap.pattern, system.hamiltonian.pattern
    return bool((q.find(p.i, p.j, p.R)[0] >= 0).all())


def test_errors_of_several_structures_add_up(systems):
    def errors(a, b):
        return matrix_errors(a.hamiltonian * 1.001, a.hamiltonian, a.overlap, a.structure, b.basis)

    one, two = errors(systems[0], systems[0]), errors(systems[1], systems[1])
    both = MatrixErrors.total([one, two])
    assert both.overall.n == one.overall.n + two.overall.n
    assert both.overall.largest == max(one.overall.largest, two.overall.largest)
    assert both.shifts == one.shifts + two.shifts
    assert set(both.by_elements) == {"C-C", "C-Si", "Si-Si"}
    assert both.to_dict()["overall"]["mae"] == both.overall.mae


def test_different_kinds_cannot_be_compared(systems):
    system = systems[0]
    zeros = [np.zeros_like(v) for v in system.hamiltonian.values]
    spin = type(system.hamiltonian)(
        system.hamiltonian.pattern,
        tuple(
            np.concatenate([v, z]) for v, z in zip(system.hamiltonian.values, zeros, strict=True)
        ),
    )
    assert SpinKind.COLLINEAR.n_components == spin.n_components
    with pytest.raises(InputError, match="spin kind"):
        matrix_errors(spin, system.hamiltonian, system.overlap, system.structure, system.basis)
