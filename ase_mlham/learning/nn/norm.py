"""Normalisation of features by one length for all degrees.

Layer normalisations of equivariant networks divide the degrees by lengths of their own (Y.-L. Liao
et al., EquiformerV2, 2023). In a crystal that length is zero by symmetry for some degrees: division
by it would turn rounding errors, or displacements of a few mÅ, into features of order one, and
linear response would be lost. Here all degrees of an atom share a length. The invariants are in it,
which never vanish together.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ase_mlham.learning.nn.features import Channels, joined

__all__ = ["IrrepNorm", "frame_norm"]

_FLOOR = 1e-6
"""Added to the mean square: features without any content stay finite."""


class IrrepNorm(nn.Module):
    """Divide features by their root mean square, every degree counted alike.

    Parameters
    ----------
    channels : Channels
        Of input and output.
    """

    def __init__(self, channels: Channels) -> None:
        super().__init__()
        self.channels = channels
        self.weight = nn.Parameter(torch.ones(sum(channels.totals)))
        lengths = torch.tensor(channels.lengths)
        share = 1.0 / (len(lengths) * lengths.clamp(min=1).double())
        share = share.repeat_interleave(lengths)
        self.register_buffer("share", share, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as the input, [n, size]."""
        mean = x.square() @ self.share.to(x.dtype)
        factors = self.weight.split(self.channels.totals)
        scaled = self.channels.degrees(x * torch.rsqrt(mean + _FLOOR)[:, None])
        return joined(a * b for a, b in zip(scaled, factors, strict=True))


def frame_norm(parts: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Features in frames (see `frames.Frames`) divided by their root mean square."""
    total = sum(part.square().sum((1, 2)) for part in parts)
    size = sum(part.shape[1] * part.shape[2] for part in parts)
    factor = torch.rsqrt(total / size + _FLOOR)[:, None, None]
    return tuple(part * factor for part in parts)
