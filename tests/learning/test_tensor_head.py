"""From features to the irreducible tensors of blocks, and the same pair from its other end."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ase_mlham.core import SpinKind
from ase_mlham.core.harmonics import rotation_matrix
from ase_mlham.learning.layout import BlockLayout
from ase_mlham.learning.nn.tensor_head import TensorHead
from ase_mlham.learning.testing import probe_basis


@pytest.mark.parametrize("spin", list(SpinKind))
@pytest.mark.parametrize("extra", [0, 2])
def test_every_coefficient_is_read_once_and_from_its_own_degree(spin, extra):
    layout = BlockLayout(probe_basis(), spin)
    head = TensorHead(layout, layout.l_max + extra)
    degrees = [torch.full((1, n), float(l)) for l, n in enumerate(head.channels.lengths)]
    found = head.coefficients(torch.cat(degrees, 1))[0]
    for L in range(layout.l_max + 1):
        assert (found[layout.starts[L] : layout.starts[L + 1]] == L).all()
    numbered = torch.arange(head.channels.size, dtype=torch.float64)[None]
    assert len(set(head.coefficients(numbered)[0].tolist())) == layout.n_coefficients


def test_transposing_coefficients_transposes_blocks():
    layout = BlockLayout(probe_basis(), SpinKind.NONE)
    head = TensorHead(layout, layout.l_max)
    values = torch.from_numpy(np.random.default_rng(3).normal(size=(1, layout.n_coefficients)))
    n_i, n_j = (entry.n_orbitals for entry in layout.basis.species)
    block = (values.numpy() @ layout.coupling(0, 1)).reshape(n_i, n_j)
    back = (head.transposed(values).numpy() @ layout.coupling(1, 0)).reshape(n_j, n_i)
    # sums of a few products of numbers of order one in double precision
    np.testing.assert_allclose(back, block.T, atol=1e-13)
    # once more from the other end: where it began
    torch.testing.assert_close(head.transposed(head.transposed(values)), values)


def test_inversion_of_coefficients_inverts_blocks():
    layout = BlockLayout(probe_basis(), SpinKind.NONE)
    head = TensorHead(layout, layout.l_max)
    values = torch.from_numpy(np.random.default_rng(4).normal(size=(1, layout.n_coefficients)))
    inverted = head.transposed_inverted(head.transposed(values)).numpy()
    signs = [
        np.concatenate([np.diag(rotation_matrix(l, -np.eye(3))) for l in entry.l])
        for entry in layout.basis.species
    ]
    shape = [len(sign) for sign in signs]
    block = (values.numpy() @ layout.coupling(0, 1)).reshape(shape)
    seen = (inverted @ layout.coupling(0, 1)).reshape(shape)
    np.testing.assert_allclose(seen, signs[0][:, None] * block * signs[1], atol=1e-13)
