"""Layers of DeepH-2: factors of edges, graph attention, feed-forward, and features of edges.

The publications (Y. Wang et al., arXiv:2401.17015 and Sci. Bull. 69, 2514 (2024)) name the methods
and the sizes; what they leave open follows EquiformerV2 (Y.-L. Liao et al., 2023), which they cite.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ase_mlham.learning.nn.attention import AttentionWeights, head_of_channel
from ase_mlham.learning.nn.features import Channels, FrameGate, Gate, IrrepLinear
from ase_mlham.learning.nn.frames import Frames
from ase_mlham.learning.nn.norm import IrrepNorm, frame_norm
from ase_mlham.learning.nn.so2 import SO2Linear

__all__ = ["EdgeFactors", "EdgeUpdate", "FeedForward", "GraphAttention", "Received", "Sizes"]


class Sizes(NamedTuple):
    """What layers need to know of a configuration.

    Attributes
    ----------
    channels : Channels
        Of the features.
    gaussians, hidden : int
        Functions of distance, and the width of the networks behind them.
    heads, width : int
        Of the attention, and of the vector of invariants behind each of its weights.
    expansion : int
        Channels inside a feed-forward layer, in units of those outside.
    """

    channels: Channels
    gaussians: int
    hidden: int
    heads: int
    width: int
    expansion: int


class EdgeFactors(nn.Module):
    """Numbers of an edge from its length and the invariants of its two atoms.

    The invariants begin as embeddings of the elements, so that any number of elements shares all
    weights but one row of the embedding.

    Parameters
    ----------
    sizes : Sizes
        Of the network.
    n_out : int
        Numbers wanted.
    """

    def __init__(self, sizes: Sizes, n_out: int) -> None:
        super().__init__()
        n_invariants = sizes.channels.natural[0]
        self.receiver = nn.Linear(n_invariants, sizes.hidden, bias=False)
        self.sender = nn.Linear(n_invariants, sizes.hidden, bias=False)
        self.radial = nn.Linear(sizes.gaussians, sizes.hidden)
        self.middle = nn.Linear(sizes.hidden, sizes.hidden)
        self.last = nn.Linear(sizes.hidden, n_out)
        # factors begin near one: what they multiply passes
        nn.init.ones_(self.last.bias)

    def of_atoms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What atoms contribute as receiver and as sender, (n_atoms, hidden) each."""
        invariants = x[:, : self.receiver.in_features]
        return self.receiver(invariants), self.sender(invariants)

    def forward(self, receiver: Tensor, sender: Tensor, gaussians: Tensor) -> Tensor:
        """Numbers (n_edges, n_out) from what the above gave for the two ends."""
        hidden = self.radial(gaussians) + receiver + sender
        hidden = nn.functional.silu(self.middle(nn.functional.silu(hidden)))
        return self.last(hidden)


class Received(NamedTuple):
    """Sums over the edges of each atom.

    Attributes
    ----------
    values : (n_atoms, size)
        Of weighted values.
    weights : (n_atoms, heads)
        Of the weights.
    """

    values: Tensor
    weights: Tensor


class AtomTerms(NamedTuple):
    """What atoms contribute to their edges.

    Attributes
    ----------
    table : (2 n_atoms, size) or (4 n_atoms, size)
        Features of the atoms as receiver and as sender, and the same after inversion.
    receiver, sender : (n_atoms, hidden)
        Their share in the factors.
    """

    table: Tensor
    receiver: Tensor
    sender: Tensor

    def of_edges(self, i: Tensor, j: Tensor, inverted: Tensor | int = 0) -> Tensor:
        """Features of edges, (n_edges, size): receiver and sender added up."""
        n_atoms = len(self.receiver)
        first = 2 * n_atoms * inverted
        # the sum of two rows of a table, without either of them in between
        rows = torch.stack([first + i, first + n_atoms + j], 1)
        return nn.functional.embedding_bag(rows, self.table, mode="sum")


class GraphAttention(nn.Module):
    """Attention of atoms to their neighbours.

    Receiver and sender are seen in the frame of their edge, and mixed by an SO(2) map with factors
    of the edge. The invariants of the result give the weights of the heads; its gated form, mixed
    again, the values. The sum over neighbours is that of `learning.nn.attention`.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        channels = sizes.channels
        self.channels = channels
        self.norm = IrrepNorm(channels)
        self.receiver = IrrepLinear(channels, channels)
        self.sender = IrrepLinear(channels, channels)
        self.factors = EdgeFactors(sizes, SO2Linear.n_factors(channels))
        self.first = SO2Linear(channels, channels)
        self.gate = FrameGate(channels)
        self.weights = AttentionWeights(sum(channels.natural), sizes.heads, sizes.width)
        self.second = SO2Linear(channels, channels)
        self.amount = nn.Linear(sizes.heads, channels.natural[0], bias=False)
        self.last = IrrepLinear(channels, channels)
        self.register_buffer("head", head_of_channel(channels, sizes.heads), persistent=False)

    def of_atoms(self, x: Tensor) -> AtomTerms:
        """What atoms with features x (n_atoms, size) contribute."""
        x = self.norm(x)
        table = torch.cat([self.receiver(x), self.sender(x)])
        return AtomTerms(table, *self.factors.of_atoms(x))

    def forward(
        self,
        atoms: AtomTerms,
        i: Tensor,
        j: Tensor,
        gaussians: Tensor,
        envelope: Tensor,
        frames: Frames,
    ) -> tuple[Tensor, Tensor]:
        """Weighted values (n_edges, size) and weights (n_edges, heads) of edges from j to i."""
        factors = self.factors(
            atoms.receiver.index_select(0, i), atoms.sender.index_select(0, j), gaussians
        )
        mixed = self.first(frames.into(atoms.of_edges(i, j), self.channels), factors)
        weights = self.weights(mixed[0].flatten(1), envelope)
        values = frames.out_of(self.second(self.gate(mixed)), self.channels)
        return self._by_head(values, weights), weights

    def _by_head(self, values: Tensor, numbers: Tensor) -> Tensor:
        """Features (n, size) times a number (n, heads) for each head."""
        rows = values.unflatten(1, ((self.channels.l_max + 1) ** 2, len(self.head)))
        return (rows * numbers.index_select(1, self.head)[:, None]).flatten(1)

    def update(self, received: Received) -> Tensor:
        """What is added to the features of the atoms, (n_atoms, size)."""
        total = 1.0 + received.weights
        y = self._by_head(received.values, 1.0 / total)
        # what the division took away: how much there was to attend to
        amount = self.amount(torch.log(total))
        return self.last(y + nn.functional.pad(amount, (0, y.shape[1] - amount.shape[1])))


class FeedForward(nn.Module):
    """Equivariant perceptron with a gate, for each atom by itself."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        channels = sizes.channels
        wide = Channels.even(
            channels.l_max,
            sizes.expansion * channels.natural[0],
            sizes.expansion * channels.other[0],
        )
        self.norm = IrrepNorm(channels)
        self.first = IrrepLinear(channels, wide)
        self.gate = Gate(wide)
        self.second = IrrepLinear(wide, channels)

    def forward(self, x: Tensor) -> Tensor:
        """What is added to the features."""
        return self.second(self.gate(self.first(self.norm(x))))


class EdgeUpdate(nn.Module):
    """Features of an edge, from those of its atoms and its own; they never leave its frame."""

    def __init__(self, sizes: Sizes, parity: Tensor) -> None:
        super().__init__()
        channels = sizes.channels
        self.channels = channels
        self.norm = IrrepNorm(channels)
        self.bra = IrrepLinear(channels, channels)
        self.ket = IrrepLinear(channels, channels)
        self.factors = EdgeFactors(sizes, SO2Linear.n_factors(channels))
        self.mix = SO2Linear(channels, channels)
        self.gate = FrameGate(channels)
        self.register_buffer("parity", parity, persistent=False)

    def of_atoms(self, x: Tensor) -> AtomTerms:
        """What atoms with features x (n_atoms, size) contribute, as they are and inverted."""
        x = self.norm(x)
        table = torch.cat([self.bra(x), self.ket(x)])
        table = torch.cat([table, table * self.parity.to(x.dtype)])
        return AtomTerms(table, *self.factors.of_atoms(x))

    def forward(
        self,
        edge: Sequence[Tensor],
        atoms: AtomTerms,
        i: Tensor,
        j: Tensor,
        gaussians: Tensor,
        frames: Frames,
        inverted: Tensor | int,
    ) -> tuple[Tensor, ...]:
        """New features of edges in their frames.

        Where `inverted` is one the frame is that of the other direction, and everything is seen
        inverted.
        """
        factors = self.factors(
            atoms.receiver.index_select(0, i), atoms.sender.index_select(0, j), gaussians
        )
        ends = frames.into(atoms.of_edges(i, j, inverted), self.channels)
        seen = [a + b for a, b in zip(ends, frame_norm(edge), strict=True)]
        change = self.gate(self.mix(seen, factors))
        return tuple(a + b for a, b in zip(edge, change, strict=True))
