"""Block matrices to irreducible tensors and back, exactly."""

from __future__ import annotations

import numpy as np
import torch

from ase_mlham.core import BlockMatrix, BlockPattern
from ase_mlham.learning.family import Coefficients
from ase_mlham.learning.layout import BlockLayout
from ase_mlham.learning.parts import real_parts, to_components

__all__ = ["left_out", "to_coefficients", "to_matrix"]

_PORTION = 2048
"""Blocks converted at once: double precision copies of all coefficients are never made."""


def to_coefficients(
    layout: BlockLayout, matrix: BlockMatrix, dtype: torch.dtype = torch.float64
) -> Coefficients:
    """Coefficients of a block matrix, on-site and off-site blocks apart.

    Parameters
    ----------
    layout : BlockLayout
        Made for a basis with the species of the matrix.
    matrix : BlockMatrix
        Pauli components as the spin kind of the layout has them, or the one without spin. Real
        parts that the layout does not have are left out (see `left_out`).
    dtype : torch dtype
        Of the result.
    """
    pattern = matrix.pattern
    out = np.empty((pattern.n_blocks, layout.n_coefficients))
    for group, values in zip(pattern.groups, matrix.values, strict=True):
        coupling = layout.coupling(group.species_i, group.species_j)
        for start in range(0, group.n_blocks, _PORTION):
            part = slice(start, min(start + _PORTION, group.n_blocks))
            real, _ = real_parts(values[:, part], layout.parts)
            flat = real.swapaxes(0, 1).reshape(real.shape[1], -1)
            np.matmul(flat, coupling.T, out=out[group.start + part.start : group.start + part.stop])
    onsite = pattern.onsite
    atoms = np.empty((pattern.n_atoms, out.shape[1]))
    atoms[pattern.i[onsite]] = out[onsite]
    return Coefficients(torch.from_numpy(atoms).to(dtype), torch.from_numpy(out[~onsite]).to(dtype))


def left_out(layout: BlockLayout, matrix: BlockMatrix) -> float:
    """Largest number of a matrix that is in none of the parts of a layout."""
    return max((real_parts(values, layout.parts)[1] for values in matrix.values), default=0.0)


def to_matrix(
    layout: BlockLayout, pattern: BlockPattern, coefficients: Coefficients
) -> BlockMatrix:
    """Block matrix (double precision) of coefficients.

    Their pairs are the off-site blocks of the pattern. Real without spin and for collinear spin,
    complex with spin-orbit coupling.
    """
    onsite = coefficients.onsite.detach().cpu().numpy()
    offsite = coefficients.offsite.detach().cpu().numpy()
    # number of off-site blocks before each block
    rank = np.concatenate([[0], np.cumsum(~pattern.onsite)])
    dtype = np.complex128 if any(part.imaginary for part in layout.parts) else np.float64
    values = []
    for group in pattern.groups:
        coupling = layout.coupling(group.species_i, group.species_j)
        shape = pattern.block_shape(group)
        blocks = np.empty((layout.spin.n_components, group.n_blocks, *shape), dtype)
        for start in range(group.start, group.stop, _PORTION):
            stop = min(start + _PORTION, group.stop)
            here = pattern.onsite[start:stop]
            some = np.empty((stop - start, layout.n_coefficients))
            some[here] = onsite[pattern.i[start:stop][here]]
            some[~here] = offsite[rank[start] : rank[stop]]
            real = (some @ coupling).reshape(stop - start, layout.n_real, *shape)
            part = slice(start - group.start, stop - group.start)
            blocks[:, part] = to_components(real.swapaxes(0, 1), layout.parts, layout.spin)
        values.append(blocks)
    return BlockMatrix(pattern, tuple(values))
