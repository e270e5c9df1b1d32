"""Functions of distance that are fitted to training data: cubic B-splines, and scales in bins."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["between_bins", "bin_scales", "spline_basis", "uniform_knots"]


def uniform_knots(n: int, cutoff: float) -> Tensor:
    """Centres of n splines whose values and slopes vanish at the cut-off: (n,), double."""
    return cutoff / (n + 2) * (1.0 + torch.arange(n)).double()


def spline_basis(distance: Tensor, knots: Tensor) -> Tensor:
    """Cubic B-splines on uniform knots, (n, n_knots); zero outside their support."""
    step = knots[1] - knots[0]
    u = (distance[:, None] - knots[None, :]).abs() / step
    inner = 2.0 / 3.0 - u * u + 0.5 * u**3
    outer = (2.0 - u).clamp(min=0.0) ** 3 / 6.0
    return torch.where(u < 1.0, inner, outer)


def bin_scales(squares: Tensor, weights: Tensor, floor: float) -> Tensor:
    """Root mean square in bins of distance, at their edges: (n_bins + 1, n).

    Parameters
    ----------
    squares, weights : (n_bins, n)
        Sums in each bin. Neighbouring bins lend to one another: a bin with few pairs must not have
        a wild scale.
    floor : float
        Smallest scale.
    """
    bins = torch.arange(len(squares))
    kernel = torch.exp(-0.5 * ((bins[:, None] - bins[None]) / 2.0) ** 2).double()
    rms = torch.sqrt(kernel @ squares / (kernel @ weights).clamp(min=1e-12))
    edges = torch.cat([rms[:1], 0.5 * (rms[1:] + rms[:-1]), rms[-1:]])
    return edges.clamp(min=floor)


def between_bins(distance: Tensor, table: Tensor, width: float) -> Tensor:
    """Values of a table at the edges of bins, linear between them: (n, columns)."""
    position = (distance / width).clamp(max=float(len(table) - 1) - 1e-6)
    low = position.floor()
    index = low.long()
    t = (position - low)[:, None]
    return torch.lerp(table.index_select(0, index), table.index_select(0, index + 1), t)
