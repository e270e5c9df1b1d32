"""The HamGNN network, its tensor products evaluated in the frames of the edges.

Orbital convolutions refine the features of the atoms; a pair interaction mixes the features of two
atoms along their edge; on-site and off-site layers turn both into the irreducible parts of the
blocks of H, which are symmetrised at the end (Y. Zhong et al., npj Comput. Mater. 9, 182 (2023),
eqs. 19-23). Every map is equivariant under rotations and reflections.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ase_mlham.errors import ModelError
from ase_mlham.learning.family import Coefficients
from ase_mlham.learning.graph import HamiltonianGraph
from ase_mlham.learning.layout import IrrepLayout
from ase_mlham.learning.nn.chunks import in_portions, rows_at_once
from ase_mlham.learning.nn.features import (
    Channels,
    FrameGate,
    Gate,
    IrrepLinear,
    NormActivation,
    parity_signs,
)
from ase_mlham.learning.nn.frames import EdgeFrames, Frames
from ase_mlham.learning.nn.moments import MomentEmbedding
from ase_mlham.learning.nn.radial import BesselBasis, cosine_cutoff
from ase_mlham.learning.nn.so2 import SO2Linear
from ase_mlham.learning.nn.tensor_head import TensorHead

__all__ = ["HamGNN", "HamGNNConfig"]

_CACHED_EDGES = 512
"""Edges whose features stay in a processor's cache from one operation to the next."""

_SWITCH = 1.5
"""Width of the range over which the network's part of a pair goes to zero, Å."""


@dataclass(frozen=True)
class HamGNNConfig:
    """Size of the network.

    Attributes
    ----------
    natural, other : int or list of int
        Channels with parity (-1)^l, and with the opposite one: a number for all degrees, or a list
        with one for each of l = 0..l_max.
    l_max : int
        Largest degree of the features; 0 takes that of the lists, and without lists the largest
        degree in a block.
    layers : int
        Orbital convolutions.
    bessel : int
        Radial functions.
    hidden : int
        Width of the radial networks.
    message_cutoff : float
        Range of the convolutions, Å.
    pair_cutoff : float
        Range of the predicted pairs, Å; beyond it the output is zero.
    chunk : int
        Most pairs evaluated at once in prediction, which bounds the memory.
    """

    natural: int | tuple[int, ...] = 32
    other: int | tuple[int, ...] = 12
    l_max: int = 0
    layers: int = 3
    bessel: int = 16
    hidden: int = 64
    message_cutoff: float = 5.0
    pair_cutoff: float = 7.4
    chunk: int = 4096

    def channels(self, l_max: int) -> Channels:
        """Channels of the features in a network whose blocks hold degrees up to `l_max`.

        Raises
        ------
        ModelError
            The features lack degrees, or a list has not one number for each of them.
        """
        numbers = {"natural": self.natural, "other": self.other}
        lists = {name: tuple(n) for name, n in numbers.items() if not isinstance(n, int)}
        implied = len(next(iter(lists.values()))) - 1 if lists else l_max
        largest = self.l_max or implied
        for name, entries in lists.items():
            if len(entries) != largest + 1:
                raise ModelError(
                    f"`{name}` lists the channels of {len(entries)} degrees, the features have "
                    f"{largest + 1} (l = 0..{largest}); give {largest + 1} numbers, or one for all"
                )
        if largest < l_max:
            every = ", with as many channels in each list as degrees" if lists else ""
            raise ModelError(
                f"l_max = {largest} of the features is below the degree {l_max} that blocks of "
                f"this basis contain; set l_max = {l_max}{every}"
            )
        alike = {name: (n,) * (largest + 1) for name, n in numbers.items() if isinstance(n, int)}
        return Channels(**lists, **alike)


class Edges(NamedTuple):
    """Directed edges.

    Attributes
    ----------
    i, j : (n,) int64
        Receiver or bra, and sender or ket.
    kind : (n,) int64
        Running number of the pair of elements.
    distance : (n,)
        Å.
    """

    i: Tensor
    j: Tensor
    kind: Tensor
    distance: Tensor


class EdgeWeights(nn.Module):
    """Weights of an edge from its length, its elements and the invariants of its atoms.

    They fall to zero between `start` and `cutoff` (Å).
    """

    def __init__(
        self,
        config: HamGNNConfig,
        channels: Channels,
        n_species: int,
        cutoff: float,
        start: float = 0.0,
    ) -> None:
        super().__init__()
        self.bessel = BesselBasis(config.bessel, cutoff, start)
        self.cutoff, self.start = cutoff, start
        self.radial = nn.Linear(config.bessel, config.hidden)
        self.species = nn.Embedding(n_species * n_species, config.hidden)
        self.receiver = nn.Linear(channels.natural[0], config.hidden, bias=False)
        self.sender = nn.Linear(channels.natural[0], config.hidden, bias=False)
        self.middle = nn.Linear(config.hidden, config.hidden)
        self.last = nn.Linear(config.hidden, SO2Linear.n_factors(channels))

    def of_atoms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the atoms contribute as receiver and as sender, (n_atoms, hidden) each."""
        invariants = x[:, : self.receiver.in_features]
        return self.receiver(invariants), self.sender(invariants)

    def of_distance(self, distance: Tensor) -> Tensor:
        """What the length contributes, (n_edges, hidden)."""
        return self.radial(self.bessel(distance))

    def forward(self, atoms: tuple[Tensor, Tensor], radial: Tensor, edges: Edges) -> Tensor:
        """Factors for an SO(2) map, (n_edges, n_factors), zero with zero slope at the cut-off.

        Parameters
        ----------
        atoms, radial
            Of the atoms and of the lengths, as the methods above give them.
        edges : Edges
            In one direction.
        """
        hidden = radial + self.species(edges.kind)
        hidden = hidden + atoms[0].index_select(0, edges.i) + atoms[1].index_select(0, edges.j)
        hidden = nn.functional.silu(self.middle(nn.functional.silu(hidden)))
        envelope = cosine_cutoff(edges.distance, self.cutoff, self.start)
        return self.last(hidden) * envelope[:, None]


class OrbitalConvolution(nn.Module):
    """Message passing of features along edges and their update (eqs. 20, 21)."""

    def __init__(
        self, config: HamGNNConfig, channels: Channels, n_species: int, neighbours: float
    ) -> None:
        super().__init__()
        self.channels, self.neighbours = channels, neighbours
        self.weights = EdgeWeights(config, channels, n_species, config.message_cutoff)
        self.mix = SO2Linear(channels, channels)
        self.linear = IrrepLinear(channels, channels)
        self.gate = Gate(channels)

    def messages(
        self, x: Tensor, atoms: tuple[Tensor, Tensor], edges: Edges, frames: Frames
    ) -> Tensor:
        """Messages along edges, (n_edges, size).

        Parameters
        ----------
        x : (n_atoms, size)
            Features.
        atoms
            `weights.of_atoms(x)`.
        edges, frames
            From receiver to sender.
        """
        weights = self.weights(atoms, self.weights.of_distance(edges.distance), edges)
        y = frames.into(x.index_select(0, edges.j), self.channels)
        return frames.out_of(self.mix(y, weights), self.channels)

    def update(self, x: Tensor, received: Tensor) -> Tensor:
        """New features of the atoms."""
        return x + self.gate(self.linear(received / self.neighbours))


class ResidualBlock(nn.Module):
    """Equivariant perceptron with a shortcut, for the on-site layer."""

    def __init__(self, channels: Channels) -> None:
        super().__init__()
        self.first = IrrepLinear(channels, channels)
        self.gate = Gate(channels)
        self.norm = NormActivation(channels)
        self.second = IrrepLinear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as the input."""
        return x + self.second(self.norm(self.gate(self.first(x))))


class PairNodes(NamedTuple):
    """What atoms contribute to their pairs.

    Attributes
    ----------
    table : (4 n_atoms, size)
        Features of the atoms as bra and as ket, then the same after inversion.
    weights : ((n_atoms, hidden), (n_atoms, hidden))
        Their share in the weights of a pair.
    """

    table: Tensor
    weights: tuple[Tensor, Tensor]


class HamGNN(nn.Module):
    """Graph to the irreducible parts of H.

    Parameters
    ----------
    config : HamGNNConfig
        Sizes.
    layout : IrrepLayout
        Irreps of the blocks.

    Attributes
    ----------
    recompute : bool
        Evaluate messages and pairs in portions in training too, see `learning.nn.chunks`.

    Raises
    ------
    ModelError
        The features cannot make the blocks.
    """

    def __init__(self, config: HamGNNConfig, layout: IrrepLayout) -> None:
        super().__init__()
        channels = config.channels(layout.l_max)
        self.channels = channels
        self.config = replace(config, l_max=channels.l_max)
        n_species = len(layout.basis.species)
        self.n_species = n_species
        self.recompute = False
        self.embedding = nn.Embedding(n_species, channels.natural[0])
        self.moments = None
        if layout.moments != "none":
            self.moments = MomentEmbedding(channels, n_species, layout.moments, config.hidden)
        self.frames = EdgeFrames(channels.l_max, even=channels.is_even)
        self.convolutions = nn.ModuleList(
            OrbitalConvolution(config, channels, n_species, 5.0) for _ in range(config.layers)
        )
        self.onsite_block = ResidualBlock(channels)
        self.pair_bra = IrrepLinear(channels, channels)
        self.pair_ket = IrrepLinear(channels, channels)
        self.pair_weights = EdgeWeights(
            config,
            channels,
            n_species,
            config.pair_cutoff,
            # far pairs have small targets, which `learning.targets` scales to order one
            start=max(0.0, config.pair_cutoff - _SWITCH),
        )
        self.pair_first = SO2Linear(channels, channels)
        self.pair_gate = FrameGate(channels)
        self.head = TensorHead(layout, channels.l_max)
        self.pair_last = SO2Linear(channels, self.head.channels)
        self.onsite_last = IrrepLinear(channels, self.head.channels)
        self.register_buffer("parity", parity_signs(channels), persistent=False)

    @property
    def message_cutoff(self) -> float:
        """Range of messages, Å."""
        return self.config.message_cutoff

    def precompute(self, graph: HamiltonianGraph) -> dict[str, Tensor]:
        """Frames of messages and pairs, and which pairs are within range."""
        return self.frames.precompute(graph, self.config.pair_cutoff)

    def _edges(self, species: Tensor, i: Tensor, j: Tensor, distance: Tensor) -> Edges:
        kind = species.index_select(0, i) * self.n_species + species.index_select(0, j)
        return Edges(i, j, kind, distance)

    def atom_features(
        self, graph: HamiltonianGraph, precomputed: dict[str, Tensor] | None
    ) -> Tensor:
        """Features of the atoms after all convolutions, (n_atoms, size)."""
        x = graph.message_vectors.new_zeros(graph.n_atoms, self.channels.size)
        x[:, : self.channels.natural[0]] = self.embedding(graph.species)
        if self.moments is not None:
            x = self.moments(x, graph)
        kept = None if precomputed is None else precomputed["message_frames"]
        n_edges = len(graph.message_i)
        step = self._step if self._bounded(precomputed) else n_edges
        for convolution in self.convolutions:
            received = torch.zeros_like(x)
            atoms = convolution.weights.of_atoms(x)
            portions = in_portions(
                self._messages,
                n_edges,
                step,
                *(graph, kept, convolution, x, atoms),
                recompute=self.recompute,
            )
            for part, messages in portions:
                received = received.index_add_(0, graph.message_i[part], messages)
            x = convolution.update(x, received)
        return x

    def _messages(
        self,
        part: slice,
        graph: HamiltonianGraph,
        kept: Tensor | None,
        convolution: OrbitalConvolution,
        x: Tensor,
        atoms: tuple[Tensor, Tensor],
    ) -> Tensor:
        """Messages of a convolution along some edges."""
        vectors = graph.message_vectors[part]
        frames = self.frames(vectors) if kept is None else self.frames.of(kept[part])
        edges = self._edges(
            graph.species,
            graph.message_i[part],
            graph.message_j[part],
            vectors.norm(dim=1),
        )
        return convolution.messages(x, atoms, edges, frames).to(x.dtype)

    def _bounded(self, precomputed: dict[str, Tensor] | None) -> bool:
        """Whether edges and pairs are evaluated in portions."""
        return self.recompute or not (self.training or precomputed is not None)

    def memory_bytes(self, graph: HamiltonianGraph) -> float:
        """Bytes of a prediction besides its output: features of atoms and one portion of edges."""
        size, head = self.channels.size, self.head.channels.size
        # features, messages received, those of both ends of a pair and their table of both parities
        atoms = 8 * size * graph.n_atoms
        frame = sum((2 * l + 1) ** 2 for l in range(self.channels.l_max + 1))
        if self.channels.is_even:
            frame = (self.channels.l_max + 1) ** 4
        # a map of features has inputs, outputs and both in another order at once
        rows = min(self._step, max(graph.n_pairs, len(graph.message_i)))
        return 4.0 * (atoms + rows * (frame + 4 * size + 4 * head))

    @property
    def _step(self) -> int:
        """Edges at once in prediction."""
        return rows_at_once(self.config.chunk, _CACHED_EDGES, self.parity.device)

    def forward(
        self, graph: HamiltonianGraph, precomputed: dict[str, Tensor] | None = None
    ) -> Coefficients:
        """Predict; in training each pair is evaluated in one direction, drawn at random."""
        x = self.atom_features(graph, precomputed)
        onsite = self.head.coefficients(self.onsite_last(self.onsite_block(x)))
        onsite = 0.5 * (onsite + self.head.transposed(onsite)).to(x.dtype)
        table = torch.cat([self.pair_bra(x), self.pair_ket(x)])
        table = torch.cat([table, table * self.parity.to(x.dtype)])
        nodes = PairNodes(table, self.pair_weights.of_atoms(x))
        out = x.new_zeros(graph.n_pairs, onsite.shape[1])
        selected = (
            graph.pairs_within(self.config.pair_cutoff)
            if precomputed is None
            else precomputed["pairs"]
        )
        turned = None
        if self.training:
            turned = torch.rand(len(selected), device=x.device) < 0.5
        kept = None if precomputed is None else precomputed["pair_frames"]
        portions = in_portions(
            self._pairs,
            len(selected),
            self._step if self._bounded(precomputed) else len(selected),
            *(graph, nodes, selected, turned, kept),
            recompute=self.recompute,
        )
        for part, values in portions:
            out.index_copy_(0, selected[part], values)
        return Coefficients(onsite, out)

    def _pairs(
        self,
        part: slice,
        graph: HamiltonianGraph,
        nodes: PairNodes,
        selected: Tensor,
        turned: Tensor | None,
        kept: Tensor | None,
    ) -> Tensor:
        """Coefficients of some pairs, in their stored direction.

        Where `turned` is given and true, they are evaluated in the other one; without it, in both.
        """
        rows = selected[part]
        i, j = graph.pair_i.index_select(0, rows), graph.pair_j.index_select(0, rows)
        vectors = graph.pair_vectors.index_select(0, rows)
        distance = vectors.norm(dim=1)
        frames = self.frames(vectors) if kept is None else self.frames.of(kept[part])
        radial = self.pair_weights.of_distance(distance)
        dtype = vectors.dtype
        if turned is not None:
            there = turned[part]
            a, b = torch.where(there, j, i), torch.where(there, i, j)
            edges = self._edges(graph.species, a, b, distance)
            value = self._directed(nodes, radial, edges, frames, there.long()).to(dtype)
            reverse = self.head.transposed_inverted(value)
            return torch.where(there[:, None], reverse, value)
        forward = self._edges(graph.species, i, j, distance)
        backward = self._edges(graph.species, j, i, distance)
        one = self._directed(nodes, radial, forward, frames, 0)
        two = self._directed(nodes, radial, backward, frames, 1)
        return 0.5 * (one + self.head.transposed_inverted(two)).to(dtype)

    def _directed(
        self,
        nodes: PairNodes,
        radial: Tensor,
        edges: Edges,
        frames: Frames,
        reversed_: Tensor | int,
    ) -> Tensor:
        """Coefficients of directed pairs (eq. 22 and the off-site layer).

        Where `reversed_` is one, the frame is that of the other direction, and everything is seen
        inverted.
        """
        weights = self.pair_weights(nodes.weights, radial, edges)
        n_atoms = len(nodes.table) // 4
        first = 2 * n_atoms * reversed_
        # the sum of two rows of a table, without either of them in between
        rows = torch.stack([first + edges.i, first + n_atoms + edges.j], 1)
        x = nn.functional.embedding_bag(rows, nodes.table, mode="sum")
        y = frames.into(x, self.channels)
        y = self.pair_last(self.pair_gate(self.pair_first(y, weights)))
        return self.head.coefficients(frames.out_of(y, self.head.channels))
