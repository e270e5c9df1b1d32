"""Linear fits with a penalty on size that other structures choose.

A table with more numbers than there are data fits them and says nothing about the next structure;
what is left for a network to learn is then much smaller than the errors that it should correct. So
the data are divided by structure, and a penalty counts by what it does to those left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["chosen_penalty", "ridge"]

_AS_GOOD = 1.1
"""Squared errors within this factor of the smallest are as good: the largest penalty is taken."""


def ridge(gram: Tensor, moment: Tensor, penalty: Tensor) -> Tensor:
    """Coefficients w that minimise |x w - y|^2 + sum penalty w^2.

    Parameters
    ----------
    gram : (n, n)
        x^T x.
    moment : (n, k)
        x^T y.
    penalty : (n,)
        Of each coefficient.
    """
    return torch.linalg.solve(gram + torch.diag(penalty), moment)


def chosen_penalty(
    gram: Tensor, moment: Tensor, squares: Tensor, penalties: Sequence[Tensor]
) -> int:
    """Which of several penalties carries over best from some groups of data to another.

    Parameters
    ----------
    gram : (groups, n, n)
        x^T x of each group.
    moment : (groups, n, k)
        x^T y.
    squares : (groups, k)
        Sums of y^2.
    penalties : sequence of (n,)
        In ascending order.

    Returns
    -------
    int
        Of the penalties that are as good as the best, the largest. The smallest if less than two
        groups hold data, when nothing can be said.
    """
    if int((gram.diagonal(dim1=1, dim2=2).sum(1) > 0).sum()) < 2:
        return 0
    errors = []
    for penalty in penalties:
        total = 0.0
        for own, target, square in zip(gram, moment, squares, strict=True):
            w = ridge(gram.sum(0) - own, moment.sum(0) - target, penalty)
            total += float((square - 2 * (target * w).sum(0) + (w * (own @ w)).sum(0)).sum())
        errors.append(total)
    least = min(errors)
    return max(n for n, error in enumerate(errors) if error <= _AS_GOOD * least)
