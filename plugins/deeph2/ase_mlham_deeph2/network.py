"""The DeepH-2 network: an equivariant transformer in local coordinates of the edges.

Atoms attend to their neighbours, block after block. The edge between two atoms of a predicted pair
gathers features of both from every block, in the frame that has its z axis along the edge; they are
turned once, at the end, into the irreducible parts of the blocks of H. Every map is equivariant
under rotations and reflections.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ase_mlham.errors import ModelError
from ase_mlham.learning.family import Coefficients
from ase_mlham.learning.graph import HamiltonianGraph
from ase_mlham.learning.layout import IrrepLayout
from ase_mlham.learning.nn.chunks import in_portions, rows_at_once
from ase_mlham.learning.nn.features import Channels, IrrepLinear, parity_signs
from ase_mlham.learning.nn.frames import EdgeFrames, Frames
from ase_mlham.learning.nn.moments import MomentEmbedding
from ase_mlham.learning.nn.norm import IrrepNorm, frame_norm
from ase_mlham.learning.nn.radial import GaussianSmearing, cosine_cutoff
from ase_mlham.learning.nn.so2 import SO2Linear
from ase_mlham.learning.nn.tensor_head import TensorHead
from ase_mlham_deeph2.layers import (
    AtomTerms,
    EdgeFactors,
    EdgeUpdate,
    FeedForward,
    GraphAttention,
    Received,
    Sizes,
)

__all__ = ["DeepH2", "DeepH2Config"]

_CACHED_EDGES = 512
"""Edges whose features stay in a processor's cache from one operation to the next."""

_SWITCH = 1.5
"""Width of the range over which the network's part of a pair goes to zero, Å."""


_FIRST_OUTPUT = 0.1
"""Size of the untrained output: training starts from the baseline, not from noise upon it."""


@dataclass(frozen=True)
class DeepH2Config:
    """Size of the network.

    Attributes
    ----------
    natural, other : int
        Channels of every degree l, with parity (-1)^l and with the opposite one; both are divided
        among the heads.
    l_max : int
        Largest degree of the features; 0 takes the largest degree in a block.
    blocks : int
        Transformer blocks.
    heads : int
        Of the attention.
    attention_width : int
        Of the vector of invariants behind each of its weights.
    expansion : int
        Channels inside a feed-forward layer, in units of those outside.
    gaussians : int
        Functions of distance.
    last_gaussian : float
        Centre of the last of them, Å.
    hidden : int
        Width of the radial networks.
    message_cutoff : float
        Range of the attention, Å.
    pair_cutoff : float
        Range of the predicted pairs, Å; beyond it the output is zero.
    chunk : int
        Most edges evaluated at once in prediction, which bounds the memory.
    """

    natural: int = 24
    other: int = 8
    l_max: int = 0
    blocks: int = 2
    heads: int = 2
    attention_width: int = 16
    expansion: int = 2
    gaussians: int = 32
    last_gaussian: float = 7.4
    hidden: int = 64
    message_cutoff: float = 5.0
    pair_cutoff: float = 7.4
    chunk: int = 4096

    def __post_init__(self) -> None:
        for name in ("natural", "other"):
            number = getattr(self, name)
            if self.heads < 1 or number % self.heads:
                raise ModelError(
                    f"`{name}` = {number} channels cannot be divided among {self.heads} heads; "
                    "give a multiple of the number of heads"
                )
        least = {"gaussians": 2, "blocks": 1, "attention_width": 1, "expansion": 1, "hidden": 1}
        for name, number in least.items():
            if getattr(self, name) < number:
                raise ModelError(
                    f"`{name}` = {getattr(self, name)} is too small; give {number} or more"
                )

    def sizes(self, l_max: int) -> Sizes:
        """Of a network whose blocks hold degrees up to `l_max`.

        Raises
        ------
        ModelError
            The features lack degrees.
        """
        largest = self.l_max or l_max
        if largest < l_max:
            raise ModelError(
                f"l_max = {largest} of the features is below the degree {l_max} that blocks of "
                f"this basis contain; set l_max = {l_max}"
            )
        channels = Channels.even(largest, self.natural, self.other)
        return Sizes(
            channels,
            gaussians=self.gaussians,
            hidden=self.hidden,
            heads=self.heads,
            width=self.attention_width,
            expansion=self.expansion,
        )


class Block(nn.Module):
    """Attention, a feed-forward layer, and what edges take from the atoms after both."""

    def __init__(self, sizes: Sizes, parity: Tensor) -> None:
        super().__init__()
        self.attention = GraphAttention(sizes)
        self.feed_forward = FeedForward(sizes)
        self.edge = EdgeUpdate(sizes, parity)


class DeepH2(nn.Module):
    """Graph to the irreducible parts of H.

    Parameters
    ----------
    config : DeepH2Config
        Sizes.
    layout : IrrepLayout
        Irreps of the blocks.

    Raises
    ------
    ModelError
        The features cannot make the blocks.

    Attributes
    ----------
    recompute : bool
        In training, keep the inputs of portions of edges alone and evaluate them again on the way
        back.
    """

    def __init__(self, config: DeepH2Config, layout: IrrepLayout) -> None:
        super().__init__()
        sizes = config.sizes(layout.l_max)
        channels = sizes.channels
        self.channels = channels
        self.config = replace(config, l_max=channels.l_max)
        self.recompute = False
        n_species = len(layout.basis.species)
        self.embedding = nn.Embedding(n_species, channels.natural[0])
        self.moments = None
        if layout.moments != "none":
            self.moments = MomentEmbedding(channels, n_species, layout.moments, config.hidden)
        self.frames = EdgeFrames(channels.l_max)
        self.smearing = GaussianSmearing(config.gaussians, config.last_gaussian)
        parity = parity_signs(channels)
        self.blocks = nn.ModuleList(Block(sizes, parity) for _ in range(config.blocks))
        self.edge_embedding = EdgeFactors(sizes, sum(channels.natural))
        self.head = TensorHead(layout, channels.l_max)
        self.onsite_norm = IrrepNorm(channels)
        self.onsite_last = IrrepLinear(channels, self.head.channels)
        self.offsite_last = SO2Linear(channels, self.head.channels)
        with torch.no_grad():
            for weights in (*self.onsite_last.parameters(), *self.offsite_last.parameters()):
                weights.mul_(_FIRST_OUTPUT)

    @property
    def message_cutoff(self) -> float:
        """Range of messages, Å."""
        return self.config.message_cutoff

    def precompute(self, graph: HamiltonianGraph) -> dict[str, Tensor]:
        """Frames of messages and pairs, and which pairs are within range."""
        return self.frames.precompute(graph, self.config.pair_cutoff)

    def memory_bytes(self, graph: HamiltonianGraph) -> float:
        """Bytes of a prediction besides its output: features of atoms and one portion of edges."""
        size, head, blocks = self.channels.size, self.head.channels.size, len(self.blocks)
        # features before and after every block, what pairs take of them as they are and inverted,
        # and the halves of the last of these tables
        atoms = ((blocks + 1) + 4 * blocks + 3) * size * graph.n_atoms
        rows = min(self._step(graph.n_pairs), max(graph.n_pairs, len(graph.message_i)))
        # maps of features have inputs, outputs and both in another order at once
        edge = (self.channels.l_max + 1) ** 4 + self.config.gaussians + 8 * size + 4 * head
        return 4.0 * (atoms + rows * edge)

    def _step(self, n_edges: int) -> int:
        """Edges at once."""
        if self.training and not self.recompute:
            return n_edges
        if self.training:
            return self.config.chunk
        return rows_at_once(self.config.chunk, _CACHED_EDGES, self.embedding.weight.device)

    def _frames(self, vectors: Tensor, kept: Tensor | None, part: slice) -> Frames:
        return self.frames(vectors) if kept is None else self.frames.of(kept[part])

    # ------------------------------------------------------------------ atoms
    def atom_features(
        self, graph: HamiltonianGraph, precomputed: dict[str, Tensor] | None
    ) -> list[Tensor]:
        """Features of the atoms (n_atoms, size), before the first block and after every one."""
        x = graph.message_vectors.new_zeros(graph.n_atoms, self.channels.size)
        x[:, : self.channels.natural[0]] = self.embedding(graph.species)
        if self.moments is not None:
            x = self.moments(x, graph)
        kept = None if precomputed is None else precomputed["message_frames"]
        out = [x]
        for block in self.blocks:
            x = x + self._attended(block.attention, x, graph, kept)
            x = x + block.feed_forward(x)
            out.append(x)
        return out

    def _attended(
        self, attention: GraphAttention, x: Tensor, graph: HamiltonianGraph, kept: Tensor | None
    ) -> Tensor:
        """What attention adds to the features."""
        n_edges = len(graph.message_i)
        values = torch.zeros_like(x)
        weights = x.new_zeros(len(x), self.config.heads)
        for part, (value, weight) in in_portions(
            self._messages,
            n_edges,
            self._step(n_edges),
            attention,
            attention.of_atoms(x),
            graph,
            kept,
            recompute=self.training and self.recompute,
        ):
            i = graph.message_i[part]
            values.index_add_(0, i, value.to(x.dtype))
            weights.index_add_(0, i, weight.to(x.dtype))
        return attention.update(Received(values, weights))

    def _messages(
        self,
        part: slice,
        attention: GraphAttention,
        atoms: AtomTerms,
        graph: HamiltonianGraph,
        kept: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Weighted values and weights of some messages."""
        vectors = graph.message_vectors[part]
        distance = vectors.norm(dim=1)
        frames = self._frames(vectors, kept, part)
        envelope = cosine_cutoff(distance, self.config.message_cutoff)
        i, j = graph.message_i[part], graph.message_j[part]
        messages: tuple[Tensor, Tensor] = attention(
            atoms, i, j, self.smearing(distance), envelope, frames
        )
        return messages

    # ------------------------------------------------------------------ pairs
    def forward(
        self, graph: HamiltonianGraph, precomputed: dict[str, Tensor] | None = None
    ) -> Coefficients:
        """Predict; in training each pair is evaluated in one direction, drawn at random."""
        first, *states = self.atom_features(graph, precomputed)
        onsite = self.head.coefficients(self.onsite_last(self.onsite_norm(states[-1])))
        onsite = 0.5 * (onsite + self.head.transposed(onsite))
        atoms = [block.edge.of_atoms(x) for block, x in zip(self.blocks, states, strict=True)]
        rows = (
            graph.pairs_within(self.config.pair_cutoff)
            if precomputed is None
            else precomputed["pairs"]
        )
        turned = None
        if self.training:
            turned = torch.rand(len(rows), device=rows.device) < 0.5
        out = onsite.new_zeros(graph.n_pairs, onsite.shape[1])
        for part, values in in_portions(
            self._pairs,
            len(rows),
            self._step(len(rows)),
            rows,
            turned,
            atoms,
            self.edge_embedding.of_atoms(first),
            graph,
            None if precomputed is None else precomputed["pair_frames"],
            recompute=self.training and self.recompute,
        ):
            out.index_copy_(0, rows[part], values.to(out.dtype))
        return Coefficients(onsite, out)

    def _pairs(
        self,
        part: slice,
        rows: Tensor,
        turned: Tensor | None,
        atoms: list[AtomTerms],
        elements: tuple[Tensor, Tensor],
        graph: HamiltonianGraph,
        kept: Tensor | None,
    ) -> Tensor:
        """Coefficients of some pairs, in their stored direction.

        Where `turned` is given and true, they are evaluated in the other one; without it, in both.
        """
        own = rows[part]
        i, j = graph.pair_i.index_select(0, own), graph.pair_j.index_select(0, own)
        vectors = graph.pair_vectors.index_select(0, own)
        distance = vectors.norm(dim=1)
        frames = self._frames(vectors, kept, part)
        gaussians = self.smearing(distance)
        cutoff = self.config.pair_cutoff
        # far pairs have small targets, which `learning.targets` scales to order one
        envelope = cosine_cutoff(distance, cutoff, max(0.0, cutoff - _SWITCH))[:, None]
        if turned is not None:
            there = turned[part]
            a, b = torch.where(there, j, i), torch.where(there, i, j)
            value = self._directed(atoms, elements, a, b, gaussians, frames, there.long())
            reverse = self.head.transposed_inverted(value)
            return torch.where(there[:, None], reverse, value) * envelope
        one = self._directed(atoms, elements, i, j, gaussians, frames, 0)
        two = self._directed(atoms, elements, j, i, gaussians, frames, 1)
        return 0.5 * (one + self.head.transposed_inverted(two)) * envelope

    def _directed(
        self,
        atoms: list[AtomTerms],
        elements: tuple[Tensor, Tensor],
        i: Tensor,
        j: Tensor,
        gaussians: Tensor,
        frames: Frames,
        inverted: Tensor | int,
    ) -> Tensor:
        """Coefficients of directed pairs, see `EdgeUpdate`."""
        bra, ket = elements
        invariants = self.edge_embedding(bra.index_select(0, i), ket.index_select(0, j), gaussians)
        n = len(i)
        edge: tuple[Tensor, ...] = (
            invariants[:, None],
            *(
                invariants.new_zeros(n, 2 if part else 1, size)
                for part, size in enumerate(self.channels.parts[1:])
            ),
        )
        for block, terms in zip(self.blocks, atoms, strict=True):
            edge = block.edge(edge, terms, i, j, gaussians, frames, inverted)
        y = self.offsite_last(frame_norm(edge))
        return self.head.coefficients(frames.out_of(y, self.head.channels))
