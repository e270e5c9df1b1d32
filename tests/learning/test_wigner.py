"""Wigner matrices of many rotations against those of one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from ase_mlham.core.harmonics import rotation_matrix
from ase_mlham.learning.nn.wigner import WignerMatrices
from ase_mlham.testing.strategies import rotations

L_MAX = 5


def expected(turn: np.ndarray) -> np.ndarray:
    size = (L_MAX + 1) ** 2
    out = np.zeros((size, size))
    for l in range(L_MAX + 1):
        rows = slice(l * l, (l + 1) ** 2)
        out[rows, rows] = rotation_matrix(l, turn)
    return out


@given(st.lists(rotations(proper=True), min_size=1, max_size=4))
def test_matrices_are_those_of_the_core(turns):
    found = WignerMatrices(L_MAX).double()(torch.from_numpy(np.stack(turns)))
    for matrix, turn in zip(found.numpy(), turns, strict=True):
        # products of a few numbers of order one in double precision
        assert abs(matrix - expected(turn)).max() < 1e-12


@pytest.mark.parametrize("tilt", [0.0, 1e-15, 1e-9, 1e-5])
@pytest.mark.parametrize("pole", [1.0, -1.0])
def test_polar_axes_close_to_z(tilt, pole):
    """There two of the three angles are undetermined and their sum is not."""
    axis = np.array([tilt, 0.3 * tilt, pole])
    axis /= np.linalg.norm(axis)
    x = np.cross([0.2, 0.9, 0.1], axis)
    x /= np.linalg.norm(x)
    turn = np.stack([x, np.cross(axis, x), axis], 1)
    found = WignerMatrices(L_MAX).double()(torch.from_numpy(turn)[None])[0].numpy()
    assert abs(found - expected(turn)).max() < 1e-12
    single = WignerMatrices(L_MAX)(torch.from_numpy(turn)[None].float())[0].numpy()
    # single precision, degrees up to five
    assert abs(single - expected(turn)).max() < 1e-5


def test_nothing_and_scalars():
    assert WignerMatrices(3)(torch.zeros(0, 3, 3)).shape == (0, 16, 16)
    assert torch.equal(WignerMatrices(0)(torch.eye(3)[None]), torch.ones(1, 1, 1))
