"""Functions of distance: Bessel basis, Gaussians, and smooth cut-off."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["BesselBasis", "GaussianSmearing", "cosine_cutoff"]


def cosine_cutoff(distance: Tensor, cutoff: float, start: float = 0.0) -> Tensor:
    """Envelope 1 up to `start` and 0 from the cut-off on, with zero slope at both."""
    x = ((distance - start) / (cutoff - start)).clamp(min=0.0, max=1.0)
    return 0.5 * (1.0 + torch.cos(math.pi * x))


class BesselBasis(nn.Module):
    """Radial Bessel functions sin(n pi r / r_c) / r with a cosine envelope (HamGNN eq. 19).

    Normalised so that each function is of order one.

    Parameters
    ----------
    n : int
        Number of functions.
    cutoff : float
        r_c in Å.
    start : float
        Where the envelope begins to fall, Å.
    """

    def __init__(self, n: int, cutoff: float, start: float = 0.0) -> None:
        super().__init__()
        self.cutoff, self.start = cutoff, start
        self.register_buffer("order", torch.arange(1, n + 1), persistent=False)

    def forward(self, distance: Tensor) -> Tensor:
        """(n_edges,) to (n_edges, n)."""
        x = (distance / self.cutoff).clamp(max=1.0)[:, None]
        wave = torch.sin(math.pi * self.order.to(x.dtype) * x) / (x * math.sqrt(10.0))
        return wave * cosine_cutoff(distance, self.cutoff, self.start)[:, None]


class GaussianSmearing(nn.Module):
    """Gaussians with evenly spaced centres from 0 to the last one.

    They do not fall to zero at a cut-off: what they feed must.

    Parameters
    ----------
    n : int
        Number of functions, at least two.
    last : float
        Last centre, Å.
    width : float
        Standard deviation, in units of the distance between two centres.
    """

    def __init__(self, n: int, last: float, width: float = 2.0) -> None:
        super().__init__()
        centres = torch.linspace(0.0, last, n, dtype=torch.float64)
        # exp(-x^2) of scaled distances
        self.scale = (n - 1) / (last * width * math.sqrt(2.0))
        self.register_buffer("centres", centres * self.scale, persistent=False)

    def forward(self, distance: Tensor) -> Tensor:
        """(n_edges,) to (n_edges, n)."""
        x = distance[:, None] * self.scale - self.centres.to(distance.dtype)
        return torch.exp(-x.square())
