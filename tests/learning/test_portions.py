"""Prediction works in portions: they change no number, and memory does not grow with them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from ase_mlham.learning import targets, tensors
from ase_mlham.learning.dataset import ReferenceData
from ase_mlham.learning.family import Coefficients
from ase_mlham.learning.targets import TargetConfig, TargetTransform


@pytest.fixture(scope="module")
def fitted(systems):
    data = ReferenceData(systems[:2], message_cutoff=5.0)
    transform = TargetTransform(data.layout, TargetConfig(n_splines=4, n_onsite_splines=2), 5.2)
    transform.fit(data)
    return data, transform


@pytest.mark.parametrize("portion", [1, 5])
def test_restored_coefficients_do_not_depend_on_portions(fitted, portion, monkeypatch):
    data, transform = fitted
    graph = data[0].graph
    generator = torch.Generator().manual_seed(0)
    output = Coefficients(
        *(torch.randn(part.shape, generator=generator).double() for part in data[0].target)
    )
    base, scales = transform.baseline(graph), transform.scales(graph)
    assert graph.n_pairs > 5
    monkeypatch.setattr(targets, "_PORTION", portion)
    restored = transform.restore(graph, output)
    for part, known, scale, value in zip(restored, base, scales, output, strict=True):
        # double precision of numbers up to tens of eV
        torch.testing.assert_close(part, known + scale * value, atol=1e-12, rtol=0)


@pytest.mark.parametrize("portion", [1, 5])
def test_blocks_do_not_depend_on_portions(fitted, systems, portion, monkeypatch):
    data, _ = fitted
    system = systems[0]
    pattern = data.pattern(system)
    monkeypatch.setattr(tensors, "_PORTION", portion)
    matrix = tensors.to_matrix(data.layout, pattern, data[0].target)
    assert max(group.n_blocks for group in pattern.groups) > 5
    for a, b in zip(matrix.values, system.hamiltonian.on_pattern(pattern).values, strict=True):
        # there and back in double precision
        np.testing.assert_allclose(a, b, atol=1e-12, rtol=0)


_PREDICT = """
import resource, sys, warnings
import numpy as np, torch
from ase.build import bulk
torch.set_num_threads(1)
from ase_mlham import hooks
from ase_mlham.core import Structure
from ase_mlham.learning.layout import BlockLayout
from ase_mlham.learning.model import HamiltonianModel
from ase_mlham.learning.testing import probe_basis

spec = hooks.find("model family", "hamgnn")
config = hooks.load(spec.config)(natural=16, other=8, layers=1, pair_cutoff=5.0)
network = hooks.load(spec.module)(config, BlockLayout(probe_basis()))
cell = bulk("SiC", "zincblende", a=4.4, cubic=True)
model = HamiltonianModel.untrained(
    network, spec, config, probe_basis(), example=Structure.from_atoms(cell)
)
warnings.simplefilter("ignore")
system = model.predict(cell.repeat(int(sys.argv[1])))
matrices = (system.hamiltonian, system.overlap)
result = sum(array.nbytes for matrix in matrices for array in matrix.values)
print(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, result)
"""


@pytest.mark.slow
def test_memory_apart_from_the_result_does_not_grow_with_the_structure():
    pytest.importorskip("ase_mlham_hamgnn")
    rest = []
    for cells in (2, 5):
        command = [sys.executable, "-c", _PREDICT, str(cells)]
        found = subprocess.run(command, check=True, capture_output=True, text=True)
        peak, result = (int(number) for number in found.stdout.split())
        rest.append(peak - result)
    # 64 and 1,000 atoms
    assert rest[1] < 1.2 * rest[0]
