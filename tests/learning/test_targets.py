"""Targets: nothing may depend on the direction in which a pair happens to be stored."""

from __future__ import annotations

import numpy as np
import torch

from ase_mlham import integrals
from ase_mlham.core import BlockMatrix, LCAOSystem, OrbitalBasis, Structure
from ase_mlham.core.system import basis_pattern
from ase_mlham.core.transform import permuted
from ase_mlham.learning.dataset import ReferenceData
from ase_mlham.learning.model import fitted_transform
from ase_mlham.learning.targets import TargetConfig, TargetTransform
from ase_mlham.learning.testing import probe_basis


def _normalised(transform, system):
    """Normalised target as the network sees it, by atoms and cell of the pair."""
    data = ReferenceData([system], message_cutoff=5.0)
    example = data[0]
    target = transform.normalise(example.graph, example.target).offsite
    pattern = data.pattern(system)
    away = ~pattern.onsite
    names = zip(pattern.i[away], pattern.j[away], map(tuple, pattern.R[away]), strict=True)
    found = {(int(i), int(j), R): row for (i, j, R), row in zip(names, target, strict=True)}
    return data.layout, found


def test_the_target_of_a_reversed_pair_is_the_reversed_target(systems):
    data = ReferenceData(systems[:2], message_cutoff=5.0)
    transform = TargetTransform(data.layout, TargetConfig(n_splines=4, n_onsite_splines=2), 5.2)
    transform.fit(data)
    system = systems[2]
    n_atoms = system.structure.n_atoms
    order = np.arange(n_atoms)[::-1]
    layout, before = _normalised(transform, system)
    _, after = _normalised(transform, permuted(system, order))
    index, sign = (torch.from_numpy(part) for part in layout.reversal)
    reversed_pairs = 0
    for (i, j, R), row in before.items():
        new_i, new_j = n_atoms - 1 - i, n_atoms - 1 - j
        back = (new_j, new_i, tuple(-n for n in R))
        if (new_i, new_j, R) in after:
            expected = after[new_i, new_j, R]
        else:
            reversed_pairs += 1
            expected = sign * after[back][index]
        # the tables of the two directions come from one linear solve: its round-off, divided by
        # scales down to 1e-6 eV
        torch.testing.assert_close(row, expected, atol=1e-6, rtol=1e-6)
    assert reversed_pairs > 5


def test_a_perfect_crystal_is_not_fitted_to_its_rounding_errors():
    """By symmetry most on-site tensors vanish, and what they would be fitted to does as well."""
    basis = OrbitalBasis((probe_basis()[14],))
    cell = 3.1 * np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]])
    structure = Structure(np.array([14]), np.zeros((1, 3)), cell, np.array([True] * 3))
    pattern = basis_pattern(structure, basis)
    overlap = integrals.overlap(structure, basis, pattern)
    rng = np.random.default_rng(5)
    values = []
    for s in overlap.values:
        noise = 1e-7 * rng.normal(size=s.shape) * pattern.onsite[None, :, None, None]
        values.append(-5.0 * s + noise + noise.swapaxes(-1, -2))
    matrix = BlockMatrix(pattern, tuple(values))
    data = ReferenceData([LCAOSystem(structure, basis, matrix, overlap, 4.0)], message_cutoff=5.0)
    transform = fitted_transform(data, TargetConfig(operators=()))
    graph = data[0].graph
    exact = transform.baseline(graph).onsite
    single = transform.baseline(graph.to("cpu", torch.float32)).onsite
    # single precision of numbers of 10 eV; rounding errors blown up were 1e6 eV
    assert float((single - exact).abs().max()) < 1e-4


def test_without_tables_the_target_is_h_in_units_of_its_size(systems):
    data = ReferenceData(systems[:3], message_cutoff=5.0, operators=())
    config = TargetConfig(operators=(), tables=False)
    transform = TargetTransform(data.layout, config, 2 * 2.6)
    assert not transform.fit(data).any()
    assert not transform.tables.any()
    assert transform.histogram.any()
    squares = []
    for example in data:
        for part in transform.baseline(example.graph):
            assert not part.any()
        normal = transform.normalise(example.graph, example.target)
        squares.append(normal.onsite.square())
        back = transform.restore(example.graph, normal)
        for a, b in zip(back, example.target, strict=True):
            # multiplied and divided by one number, double precision
            torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-12)
    # of degree zero, which these on-site blocks hold
    scalars = torch.cat(squares)[:, transform.onsite_scale[transform.channel_of] > 1e-3]
    assert scalars.shape[1] > 5
    torch.testing.assert_close(scalars.mean(0), torch.ones_like(scalars[0]))
