"""Block matrices to irreducible tensors and back, exactly."""

from __future__ import annotations

import numpy as np
import torch

from ase_mlham.core import BlockMatrix, BlockPattern
from ase_mlham.learning.family import Coefficients
from ase_mlham.learning.layout import BlockLayout

__all__ = ["to_coefficients", "to_matrix"]

_PORTION = 2048
"""Blocks converted at once: double precision copies of all coefficients are never made."""


def to_coefficients(
    layout: BlockLayout, matrix: BlockMatrix, dtype: torch.dtype = torch.float64
) -> Coefficients:
    """Coefficients of a real block matrix, on-site and off-site blocks apart.

    Parameters
    ----------
    layout : BlockLayout
        Made for a basis with the species of the matrix.
    matrix : BlockMatrix
        Real; any number of components.
    dtype : torch dtype
        Of the result.
    """
    pattern = matrix.pattern
    out = np.empty((pattern.n_blocks, matrix.n_components, layout.n_coefficients))
    for group, values in zip(pattern.groups, matrix.values, strict=True):
        coupling = layout.coupling(group.species_i, group.species_j)
        flat = values.reshape(matrix.n_components, group.n_blocks, -1)
        out[group.slice] = (flat @ coupling.T).transpose(1, 0, 2)
    onsite = pattern.onsite
    atoms = np.empty((pattern.n_atoms, *out.shape[1:]))
    atoms[pattern.i[onsite]] = out[onsite]
    return Coefficients(torch.from_numpy(atoms).to(dtype), torch.from_numpy(out[~onsite]).to(dtype))


def to_matrix(
    layout: BlockLayout, pattern: BlockPattern, coefficients: Coefficients
) -> BlockMatrix:
    """Block matrix (float64) of coefficients whose pairs are the off-site blocks of the pattern."""
    onsite = coefficients.onsite.detach().cpu().numpy()
    offsite = coefficients.offsite.detach().cpu().numpy()
    # number of off-site blocks before each block
    rank = np.concatenate([[0], np.cumsum(~pattern.onsite)])
    values = []
    for group in pattern.groups:
        coupling = layout.coupling(group.species_i, group.species_j)
        blocks = np.empty((onsite.shape[1], group.n_blocks, *pattern.block_shape(group)))
        flat = blocks.reshape(*blocks.shape[:2], -1)
        for start in range(group.start, group.stop, _PORTION):
            stop = min(start + _PORTION, group.stop)
            here = pattern.onsite[start:stop]
            some = np.empty((onsite.shape[1], stop - start, onsite.shape[2]))
            some[:, here] = onsite[pattern.i[start:stop][here]].transpose(1, 0, 2)
            some[:, ~here] = offsite[rank[start] : rank[stop]].transpose(1, 0, 2)
            part = slice(start - group.start, stop - group.start)
            np.matmul(some, coupling, out=flat[:, part])
        values.append(blocks)
    return BlockMatrix(pattern, tuple(values))
