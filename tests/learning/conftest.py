"""Small synthetic reference systems for the tests of learning."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch

from ase_mlham import integrals
from ase_mlham.core import BlockMatrix, LCAOSystem, Structure
from ase_mlham.core.system import basis_pattern
from ase_mlham.learning.testing import probe_basis

torch.set_num_threads(1)


def synthetic_system(seed: int, n_atoms: int = 4, shift: float = 0.0, cell_seed: int = 0):
    """Made-up H = T + attractive part that depends on distance and on the neighbourhood."""
    rng = np.random.default_rng(seed)
    basis = probe_basis()
    shape = np.random.default_rng(cell_seed)
    cell = np.diag([2.5 * n_atoms / 2, 5.0, 5.0]) + shape.normal(0, 0.15, (3, 3))
    sites = np.stack(np.meshgrid(np.arange(n_atoms // 2), [0, 1], [0], indexing="ij"), -1)
    scaled = sites.reshape(-1, 3) / np.array([n_atoms / 2, 2, 2])
    positions = scaled @ cell + rng.normal(0, 0.06, (n_atoms, 3))
    numbers = np.where(np.arange(n_atoms) % 3 == 0, 6, 14)
    structure = Structure(numbers, positions, cell, np.array([True] * 3))
    pattern = basis_pattern(structure, basis)
    overlap = integrals.overlap(structure, basis, pattern)
    kinetic = integrals.kinetic(structure, basis, pattern)
    distance = np.linalg.norm(pattern.vectors(structure), axis=1)
    crowd = np.zeros(n_atoms)
    for end in (pattern.i, pattern.j):
        np.add.at(crowd, end, np.where(pattern.onsite, 0, np.exp(-distance)))
    values = []
    for group, s, t in zip(pattern.groups, overlap.values, kinetic.values, strict=True):
        depth = -8.0 - 20.0 * np.sin(4 * crowd[pattern.i] * crowd[pattern.j])[group.slice]
        depth = depth * (1 + 0.2 * np.cos(distance[group.slice]))
        values.append(t + (depth[None, :, None, None] + shift) * s)
    return LCAOSystem(
        structure,
        basis,
        BlockMatrix(pattern, tuple(values)),
        overlap,
        basis.n_electrons(numbers),
        operators={"kinetic": kinetic},
        provenance={"source": f"synthetic {seed}", "group": f"cell {cell_seed}"},
    )


@pytest.fixture(scope="session")
def systems():
    """Eight synthetic systems of four atoms in three cells."""
    return [synthetic_system(n, shift=0.3 * n, cell_seed=n % 3) for n in range(8)]


@pytest.fixture(scope="session")
def make_system():
    """The function that makes one."""
    return synthetic_system


class _Killed(Exception):  # noqa: N818 - not an error
    """The end of a process."""


@pytest.fixture
def train_until_killed():
    """Trains as `learning.training.train`, and dies in a call of the network, mid-epoch."""
    from ase_mlham.learning.training import train

    def run(calls, network, *arguments, **options):
        forward, made = network.forward, [0]

        def dying(*inputs):
            made[0] += 1
            if made[0] > calls:
                raise _Killed
            return forward(*inputs)

        network.forward = dying
        with pytest.raises(_Killed):
            train(network, *arguments, **options)

    return run
