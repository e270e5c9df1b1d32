"""Node and edge features with both parities, and what acts on them degree by degree.

A feature tensor is [n, (l_max + 1)^2, natural + other]: rows are (l, m) in the order of
`real_harmonics`, the first columns have the natural parity (-1)^l, the last ones the other. Both
are needed: the antisymmetric part of a p-p block is an axial vector, which polar features cannot
make.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = [
    "Channels",
    "FrameGate",
    "Gate",
    "IrrepLinear",
    "NormActivation",
    "degree_of_row",
    "parity_signs",
]


class Channels(NamedTuple):
    """Columns of a feature tensor.

    Attributes
    ----------
    natural : int
        Channels of parity (-1)^l in every degree.
    other : int
        Channels of parity -(-1)^l in every degree.
    """

    natural: int
    other: int

    @property
    def total(self) -> int:
        """All columns."""
        return self.natural + self.other


def degree_of_row(l_max: int) -> Tensor:
    """Degree l of each row: ((l_max + 1)^2,) int64."""
    return torch.tensor([l for l in range(l_max + 1) for _ in range(2 * l + 1)])


def parity_signs(l_max: int, channels: Channels) -> Tensor:
    """What inversion does to features: (rows, channels) of +1 and -1."""
    natural = 1.0 - 2.0 * (degree_of_row(l_max) % 2)[:, None]
    return torch.cat([natural.expand(-1, channels.natural), -natural.expand(-1, channels.other)], 1)


class IrrepLinear(nn.Module):
    """Linear map of channels, its own for every degree and parity.

    Parameters
    ----------
    l_max : int
        Degrees of input and output.
    inputs, outputs : Channels
        Columns.
    """

    def __init__(self, l_max: int, inputs: Channels, outputs: Channels) -> None:
        super().__init__()
        self.inputs = inputs
        self.natural = nn.Parameter(
            torch.randn(l_max + 1, inputs.natural, outputs.natural) / math.sqrt(inputs.natural)
        )
        self.other = nn.Parameter(
            torch.randn(l_max + 1, inputs.other, outputs.other) / math.sqrt(max(inputs.other, 1))
        )
        self.register_buffer("degree", degree_of_row(l_max), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, rows, inputs] to [n, rows, outputs]."""
        split = self.inputs.natural
        rows = x.transpose(0, 1)
        natural = torch.bmm(rows[..., :split], self.natural[self.degree])
        other = torch.bmm(rows[..., split:], self.other[self.degree])
        # contiguous: rows of the result are gathered many times
        return torch.cat([natural.transpose(0, 1), other.transpose(0, 1)], 2)


class Gate(nn.Module):
    """Gate nonlinearity: invariants pass through SiLU and scale the other degrees.

    The invariants are the natural channels of l = 0. Pseudo-scalars (the other channels of l = 0)
    are scaled like every other degree: an odd function of them would be allowed but never needed
    here.

    Parameters
    ----------
    l_max : int
        Degrees.
    channels : Channels
        Columns of input and output.
    """

    def __init__(self, l_max: int, channels: Channels) -> None:
        super().__init__()
        self.channels, self.n_degrees = channels, l_max + 1
        self.linear = nn.Linear(channels.natural, self.n_degrees * channels.total)
        self.register_buffer("degree", degree_of_row(l_max), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as the input."""
        invariants = x[:, 0, : self.channels.natural]
        gates = torch.sigmoid(self.linear(invariants)).view(-1, self.n_degrees, self.channels.total)
        return x * gates[:, self.degree] * 2.0


class FrameGate(nn.Module):
    """Gate nonlinearity in the frame of an edge.

    There all natural channels with m = 0 are invariants, whatever their degree, and each may
    scale all rows of any |m|.

    Parameters
    ----------
    l_max : int
        Degrees.
    channels : Channels
        Columns of input and output.
    """

    def __init__(self, l_max: int, channels: Channels) -> None:
        super().__init__()
        self.l_max, self.channels = l_max, channels
        self.linear = nn.Linear((l_max + 1) * channels.natural, (l_max + 1) * channels.total)

    def forward(self, parts: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Features in frames, one tensor for each |m|; same shapes as the input."""
        n = len(parts[0])
        invariants = parts[0][..., : self.channels.natural].reshape(n, -1)
        gates = 2.0 * torch.sigmoid(self.linear(invariants))
        factors = gates.view(n, self.l_max + 1, 1, self.channels.total).unbind(1)
        return tuple(part * factor for part, factor in zip(parts, factors, strict=True))


class NormActivation(nn.Module):
    """Scale every irrep by a function of its norm, as HamGNN's on- and off-site layers do.

    Parameters
    ----------
    l_max : int
        Degrees.
    channels : Channels
        Columns.
    """

    def __init__(self, l_max: int, channels: Channels) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(l_max + 1, channels.total))
        self.slope = nn.Parameter(torch.ones(l_max + 1, channels.total))
        self.register_buffer("degree", degree_of_row(l_max), persistent=False)
        self.n_degrees = l_max + 1

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as the input."""
        squares = x.new_zeros(len(x), self.n_degrees, x.shape[2])
        squares.index_add_(1, self.degree, x * x)
        # smooth at zero, where the norm itself has a kink
        norm = torch.sqrt(squares + 0.01)
        return x * torch.sigmoid(self.slope * norm + self.bias)[:, self.degree]
