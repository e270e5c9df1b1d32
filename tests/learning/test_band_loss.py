"""Band energies in the loss: the same numbers as elsewhere, and derivatives that stay finite."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import eigh

from ase_mlham.core import SpinKind
from ase_mlham.core.spin import spin_blocks
from ase_mlham.errors import InputError
from ase_mlham.learning.band_loss import BandLossConfig, BandProblem, band_loss, energies
from ase_mlham.learning.graph import build_graph
from ase_mlham.learning.layout import BlockLayout
from ase_mlham.learning.losses import OrbitalElements
from ase_mlham.learning.parts import part_names
from ase_mlham.learning.tensors import to_coefficients
from ase_mlham.testing.strategies import systems


def problem_of(system):
    layout = BlockLayout(system.basis, system.spin, part_names(system.spin))
    pattern = system.hamiltonian.pattern
    graph = build_graph(system.structure, system.basis, pattern, 3.0, torch.float64)
    elements = OrbitalElements(layout, torch.float64)
    index = elements.index(graph)
    h = elements(index, to_coefficients(layout, system.hamiltonian))
    s = elements(index, to_coefficients(layout, system.overlap))[0]
    structure = system.structure
    return BandProblem.of(layout, graph, index, h, s, structure.cell, structure.pbc, 0.0)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(list(SpinKind)), st.data())
def test_energies_are_those_of_the_system(spin, data):
    system = data.draw(systems(spin=spin, max_atoms=3, same_pattern=True))
    problem = problem_of(system)
    k = np.where(system.structure.pbc, [0.17, -0.36, 0.41], 0.0)
    found = energies(problem, problem.reference, problem.phases(torch.from_numpy(k)))
    overlap = system.overlap.at_k(k[None])[0][0]
    blocks = spin_blocks(system.hamiltonian.at_k(k[None])[0], spin)
    repeat = blocks.shape[-1] // len(overlap)
    expected = [eigh(h, np.kron(np.eye(repeat), overlap), eigvals_only=True) for h in blocks]
    # eigenvalues of a few eV from matrices that were taken to irreps and back
    np.testing.assert_allclose(found.numpy(), np.array(expected), atol=1e-9)


def silicon_like(systems):
    return problem_of(systems[0])


def test_the_gradient_is_that_of_finite_differences(systems):
    problem = silicon_like(systems)
    phases = problem.phases(torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64))
    direction = torch.randn(
        problem.reference.shape, generator=torch.Generator().manual_seed(0)
    ).double()
    weights = torch.linspace(0, 1, problem.n_orbitals, dtype=torch.float64)

    def value(step):
        return (energies(problem, problem.reference + step * direction, phases) * weights).sum()

    step = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (exact,) = torch.autograd.grad(value(step), step)
    numeric = (value(torch.tensor(1e-5)) - value(torch.tensor(-1e-5))) / 2e-5
    # central differences of step 1e-5 of smooth eigenvalues
    assert float(exact) == pytest.approx(float(numeric), rel=1e-5)


def test_gradients_are_finite_where_bands_cross(systems):
    problem = silicon_like(systems)
    # without the Hamiltonian all energies coincide: S c = e S c
    error = -problem.reference + 3.0 * problem.overlap[None]
    error = error.clone().requires_grad_()
    loss = band_loss(problem, error, BandLossConfig(weight=1.0, kpts=2))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(error.grad).all()
    assert error.grad.abs().max() > 0


def test_a_shift_of_h_costs_nothing_and_the_window_selects(systems):
    problem = silicon_like(systems)
    shift = 0.01 * problem.overlap[None]
    config = BandLossConfig(weight=1.0, kpts=2)
    # meV; rounding of eigenvalues of tens of eV
    assert float(band_loss(problem, shift, config)) < 1e-6
    noise = (
        0.01
        * torch.randn(problem.reference.shape, generator=torch.Generator().manual_seed(1)).double()
    )
    torch.manual_seed(0)
    everything = float(band_loss(problem, noise, config))
    torch.manual_seed(0)
    near = float(band_loss(problem, noise, BandLossConfig(1.0, 2, below=5.0, above=5.0)))
    assert everything > 1.0
    assert near != everything
    nothing = BandLossConfig(1.0, 2, below=1e-9, above=1e-9)
    assert float(band_loss(problem, noise, nothing)) == 0.0


def test_negative_weights_are_refused():
    with pytest.raises(InputError, match="must not be negative"):
        BandLossConfig(weight=-1.0)
