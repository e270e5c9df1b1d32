"""Node and edge features with both parities, and what acts on them degree by degree.

A feature tensor is [n, size]: degree after degree, in each the orders m = -l..l of
`real_harmonics`, and for each of them its channels: those of the natural parity (-1)^l first, then
those of the other. Both are needed: the antisymmetric part of a p-p block is an axial vector, which
polar features cannot make. Where all degrees have the same channels, the tensor can be viewed as
[n, (l_max + 1)^2, natural + other].
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ase_mlham.errors import ModelError

__all__ = [
    "Channels",
    "FrameGate",
    "Gate",
    "IrrepLinear",
    "NormActivation",
    "parity_signs",
]


@dataclass(frozen=True)
class Channels:
    """Channels of every degree and parity.

    Attributes
    ----------
    natural : tuple of int
        Channels of parity (-1)^l, for l = 0..l_max.
    other : tuple of int
        Channels of parity -(-1)^l.

    Raises
    ------
    ModelError
        Lengths differ, a number is negative, or there are no scalars.
    """

    natural: tuple[int, ...]
    other: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.natural) != len(self.other):
            raise ModelError(
                f"channels of {len(self.natural)} degrees in the natural parity and of "
                f"{len(self.other)} in the other; give both for the same degrees"
            )
        if min(*self.natural, *self.other) < 0 or self.natural[0] < 1:
            raise ModelError(
                f"channels {list(self.natural)} of the natural parity and {list(self.other)} of "
                "the other; degree 0 needs at least one natural channel and no number is negative"
            )

    @classmethod
    def even(cls, l_max: int, natural: int, other: int) -> Channels:
        """The same channels in every degree."""
        return cls((natural,) * (l_max + 1), (other,) * (l_max + 1))

    @property
    def is_even(self) -> bool:
        """Whether all degrees have the same channels."""
        return len(set(self.natural)) == len(set(self.other)) == 1

    @property
    def l_max(self) -> int:
        """Largest degree."""
        return len(self.natural) - 1

    @property
    def totals(self) -> tuple[int, ...]:
        """Channels of each degree."""
        return tuple(a + b for a, b in zip(self.natural, self.other, strict=True))

    @property
    def lengths(self) -> tuple[int, ...]:
        """Columns of each degree."""
        return tuple((2 * l + 1) * n for l, n in enumerate(self.totals))

    @property
    def size(self) -> int:
        """Columns of a feature tensor."""
        return sum(self.lengths)

    @property
    def parts(self) -> tuple[int, ...]:
        """Columns of each part in the frame of an edge, see `frames.Frames`."""
        orders = (sum(self.totals[m:]) for m in range(1, self.l_max + 1))
        return (sum(self.natural), sum(self.other), *orders)

    def degrees(self, x: Tensor) -> list[Tensor]:
        """Views [n, 2 l + 1, channels] of the degrees of a feature tensor."""
        return [
            part.unflatten(1, (2 * l + 1, n))
            for l, (part, n) in enumerate(zip(x.split(self.lengths, 1), self.totals, strict=True))
        ]


def joined(degrees: Iterable[Tensor]) -> Tensor:
    """The feature tensor of which `Channels.degrees` gives the views."""
    return torch.cat([degree.flatten(1) for degree in degrees], 1)


def parity_signs(channels: Channels) -> Tensor:
    """What inversion does to features: (size,) of +1 and -1."""
    return torch.tensor(
        [
            sign
            for l, (a, b) in enumerate(zip(channels.natural, channels.other, strict=True))
            for _ in range(2 * l + 1)
            for sign in [(-1.0) ** l] * a + [-((-1.0) ** l)] * b
        ]
    )


class IrrepLinear(nn.Module):
    """Linear map of channels, its own for every degree and parity.

    Parameters
    ----------
    inputs, outputs : Channels
        Of the same degrees.
    """

    def __init__(self, inputs: Channels, outputs: Channels) -> None:
        super().__init__()
        self.inputs = inputs
        self.natural = _weights(inputs.natural, outputs.natural)
        self.other = _weights(inputs.other, outputs.other)
        self.shapes = (
            list(zip(inputs.natural, outputs.natural, strict=True)),
            list(zip(inputs.other, outputs.other, strict=True)),
        )
        self.is_even = inputs.is_even and outputs.is_even
        degree = [l for l in range(inputs.l_max + 1) for _ in range(2 * l + 1)]
        self.register_buffer("degree", torch.tensor(degree), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, size of inputs] to [n, size of outputs]."""
        if self.is_even:
            # few atoms cost what the number of operations costs: all degrees at once
            rows = x.view(len(x), len(self.degree), self.inputs.totals[0]).transpose(0, 1)
            left, right = rows.split([self.inputs.natural[0], self.inputs.other[0]], 2)
            natural = torch.bmm(left, self.natural[self.degree])
            other = torch.bmm(right, self.other[self.degree])
            return torch.cat([natural.transpose(0, 1), other.transpose(0, 1)], 2).flatten(1)
        out = []
        matrices = (
            _matrices(w, s) for w, s in zip((self.natural, self.other), self.shapes, strict=True)
        )
        for degree, a, b in zip(self.inputs.degrees(x), *matrices, strict=True):
            left, right = degree.split([len(a), len(b)], 2)
            out.append(torch.cat([left @ a, right @ b], 2))
        return joined(out)


def _weights(n_in: Sequence[int], n_out: Sequence[int]) -> nn.Parameter:
    """Matrices of all degrees: (l_max + 1, n_in, n_out), or one row if their shapes differ."""
    lengths = torch.tensor([a * b for a, b in zip(n_in, n_out, strict=True)])
    scales = torch.tensor([math.sqrt(max(a, 1)) for a in n_in]).repeat_interleave(lengths)
    values = torch.randn(len(scales)) / scales
    if len(set(n_in)) == len(set(n_out)) == 1:
        values = values.view(len(n_in), n_in[0], n_out[0])
    return nn.Parameter(values)


def _matrices(weights: Tensor, shapes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """The matrix of each degree."""
    parts = weights.flatten().split([a * b for a, b in shapes])
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


class Gate(nn.Module):
    """Gate nonlinearity: invariants pass through SiLU and scale the other degrees.

    The invariants are the natural channels of l = 0. Pseudo-scalars (the other channels of l = 0)
    are scaled like every other degree: an odd function of them would be allowed but never needed
    here.

    Parameters
    ----------
    channels : Channels
        Of input and output.
    """

    def __init__(self, channels: Channels) -> None:
        super().__init__()
        self.channels = channels
        self.linear = nn.Linear(channels.natural[0], sum(channels.totals))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as the input."""
        gates = 2.0 * torch.sigmoid(self.linear(x[:, : self.channels.natural[0]]))
        factors = gates[:, None].split(self.channels.totals, 2)
        return joined(a * b for a, b in zip(self.channels.degrees(x), factors, strict=True))


class FrameGate(nn.Module):
    """Gate nonlinearity in the frame of an edge.

    There all natural channels with m = 0 are invariants, whatever their degree, and each may
    scale all rows of any |m|. A factor belongs to a channel of an |m|, in all degrees that have
    this channel.

    Parameters
    ----------
    channels : Channels
        Of input and output.
    """

    def __init__(self, channels: Channels) -> None:
        super().__init__()
        natural, other, orders = channels.natural, channels.other, range(1, channels.l_max + 1)
        widths = [(max(natural), 0), (0, max(other))]
        widths += [(max(natural[m:]), max(other[m:])) for m in orders]
        self.parts, self.widths = channels.parts, [a + b for a, b in widths]
        self.linear = nn.Linear(sum(natural), sum(self.widths))
        columns: list[int] = []
        start = 0
        for part, (a, b) in enumerate(widths):
            for l in range(max(part - 1, 0), channels.l_max + 1):
                columns += range(start, start + min(a, natural[l]))
                columns += range(start + a, start + a + min(b, other[l]))
            start += a + b
        self.is_even = channels.is_even
        self.register_buffer("columns", torch.tensor(columns), persistent=False)

    def forward(self, parts: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Features in frames, see `frames.Frames`; same shapes as the input."""
        gates = 2.0 * torch.sigmoid(self.linear(parts[0].flatten(1)))
        if self.is_even:
            # every degree of a part is scaled alike: no need to repeat the factors
            factors = gates.split(self.widths, 1)
        else:
            factors = gates.index_select(1, self.columns).split(self.parts, 1)
        return tuple(_scaled(part, factor) for part, factor in zip(parts, factors, strict=True))


def _scaled(part: Tensor, factor: Tensor) -> Tensor:
    """A part [n, rows, columns] times factors of its first columns, repeated."""
    n, rows, columns = part.shape
    width = factor.shape[1]
    repeated = part.reshape(n, rows, columns // max(width, 1), width)
    return (repeated * factor[:, None, None]).view(part.shape)


class NormActivation(nn.Module):
    """Scale every irrep by a function of its norm, as HamGNN's on- and off-site layers do.

    Parameters
    ----------
    channels : Channels
        Of input and output.
    """

    def __init__(self, channels: Channels) -> None:
        super().__init__()
        self.channels = channels
        n = sum(channels.totals)
        shape = (channels.l_max + 1, channels.totals[0]) if channels.is_even else (n,)
        self.bias = nn.Parameter(torch.zeros(shape))
        self.slope = nn.Parameter(torch.ones(shape))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as the input."""
        degrees = self.channels.degrees(x)
        squares = torch.cat([degree.square().sum(1) for degree in degrees], 1)
        # smooth at zero, where the norm itself has a kink
        norm = torch.sqrt(squares + 0.01)
        gates = torch.sigmoid(self.slope.flatten() * norm + self.bias.flatten())
        factors = gates[:, None].split(self.channels.totals, 2)
        return joined(a * b for a, b in zip(degrees, factors, strict=True))
