"""Attention of atoms to their neighbours, smooth where a neighbour comes into range.

The weights of a softmax add up to one, so that a single neighbour has all the weight however far
it is, and loses it in a jump at the cut-off. Here every neighbour counts with an envelope, and the
atom itself stands in the sum with a weight of one:

    alpha_ij = f(d_ij) exp(a_ij) / (1 + sum_k f(d_ik) exp(a_ik)).

Numerator and denominator are sums over edges, which may be evaluated portion after portion.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ase_mlham.learning.nn.features import Channels

__all__ = ["AttentionWeights", "head_of_channel", "smooth_leaky_relu"]

_LARGEST = 10.0
"""Bound of the logits: one neighbour may outweigh 20,000, and nothing can overflow."""


def smooth_leaky_relu(x: Tensor, slope: float = 0.2) -> Tensor:
    """Slope one far above zero and `slope` far below, without a kink between."""
    return 0.5 * ((1.0 + slope) * x + (1.0 - slope) * x * (2.0 * torch.sigmoid(x) - 1.0))


class AttentionWeights(nn.Module):
    """Weights of edges, before the division by their sum, from invariants of the edges.

    For each head a vector of invariants is mapped linearly, normalised, bent and projected: the
    graph attention of S. Brody et al. (2022) with the normalisation of EquiformerV2.

    Parameters
    ----------
    n_invariants : int
        Of an edge.
    heads : int
        Number of heads.
    width : int
        Of the vector of a head.
    """

    def __init__(self, n_invariants: int, heads: int, width: int) -> None:
        super().__init__()
        self.shape = (heads, width)
        self.linear = nn.Linear(n_invariants, heads * width)
        self.norm = nn.LayerNorm(width)
        self.projection = nn.Parameter(torch.randn(heads, width) / width**0.5)

    def forward(self, invariants: Tensor, envelope: Tensor) -> Tensor:
        """Positive weights (n_edges, heads); zero where the envelope (n_edges,) is."""
        vectors = self.norm(self.linear(invariants).unflatten(1, self.shape))
        logits = (smooth_leaky_relu(vectors) * self.projection).sum(2)
        bounded = _LARGEST * torch.tanh(logits / _LARGEST)
        return torch.exp(bounded) * envelope[:, None]


def head_of_channel(channels: Channels, heads: int) -> Tensor:
    """Head that each channel of a degree belongs to: (channels,), for even channels."""
    return torch.cat(
        [torch.arange(n) * heads // max(n, 1) for n in (channels.natural[0], channels.other[0])]
    )
