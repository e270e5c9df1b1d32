"""Linear fits with a penalty on size that other structures choose.

A table with more numbers than there are data fits them and says nothing about the next structure;
what is left for a network to learn is then much smaller than the errors that it should correct. So
the data are divided by structure, and a penalty counts by what it does to those left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["carried_over"]

_AS_GOOD = 1.1
"""Squared errors within this factor of the smallest are as good: the largest penalty is taken."""

_ROUNDING = 1e-12
"""Squared errors below this, relative to the squares of the data, are zero."""


def _ridge(gram: Tensor, moment: Tensor, penalty: Tensor) -> Tensor:
    """Coefficients w that minimise |x w - y|^2 + sum penalty w^2: (n, k)."""
    return torch.linalg.solve(gram + torch.diag(penalty), moment)


def carried_over(
    gram: Tensor, moment: Tensor, squares: Tensor, penalties: Sequence[Tensor]
) -> Tensor:
    """Fit to all data, each column with the penalty that carries over from group to group.

    Parameters
    ----------
    gram : (groups, n, n)
        x^T x of each group of data.
    moment : (groups, n, k)
        x^T y.
    squares : (groups, k)
        Sums of y^2.
    penalties : sequence of (n,)
        Of each coefficient, in ascending order.

    Returns
    -------
    (n, k)
        Of the penalties that are as good as the best for a column, the largest is taken; the
        smallest if less than two groups hold data, when nothing can be said.
    """
    whole, target = gram.sum(0), moment.sum(0)
    if int((gram.diagonal(dim1=1, dim2=2).sum(1) > 0).sum()) < 2:
        return _ridge(whole, target, penalties[0])
    errors = torch.zeros(len(penalties), squares.shape[1], dtype=squares.dtype)
    for penalty, error in zip(penalties, errors, strict=True):
        for own, along, square in zip(gram, moment, squares, strict=True):
            w = _ridge(whole - own, target - along, penalty)
            error += square - 2 * (along * w).sum(0) + (w * (own @ w)).sum(0)
    # differences of large sums: an exact fit may come out below zero
    rounding = _ROUNDING * squares.sum(0)
    good = errors <= _AS_GOOD * errors.min(0).values.clamp(min=0.0) + rounding
    rank = torch.arange(len(penalties))[:, None]
    best = torch.where(good, rank, -1).max(0).values
    fits = torch.stack([_ridge(whole, target, penalty) for penalty in penalties])
    return fits[best, :, torch.arange(len(best))].T
