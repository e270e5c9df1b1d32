"""Layers of LC-Net as printed (M. Su et al., eqs. 2-5): text-CNN, attention, edge update, output.

What is added to the printed equations, so that predictions are continuous where atoms come into
range: an envelope in the attention and on the orientational vectors. Nothing is added for atoms
within `message_cutoff` - 1.5 Å.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ase_mlham.learning.nn.chunks import evaluated, in_portions
from ase_mlham_lcnet.config import LCNetConfig

__all__ = [
    "Bonds",
    "Edges",
    "GaussianBasis",
    "LocalNetwork",
    "NeighbourSentence",
    "PairLinear",
    "Portion",
]

AtomShares = tuple[Tensor, Tensor]
"""What atoms contribute to a `PairLinear` as first and as second atom."""


class Edges(NamedTuple):
    """Pairs of atoms, the anchor of the local coordinates first.

    Attributes
    ----------
    a, b : (n,) int64
        Atoms.
    distance : (n,)
        Å.
    rows : (n, 2, neighbours, harmonics)
        Orientational vectors of the neighbours of both atoms in the local coordinates of the edge.
    species : (n, 2, neighbours) int64
        Elements of these neighbours.
    moments : (n, 2, 3), or None
        Magnetic moments of both atoms in these coordinates.
    """

    a: Tensor
    b: Tensor
    distance: Tensor
    rows: Tensor
    species: Tensor
    moments: Tensor | None


class Portion(NamedTuple):
    """How edges are evaluated, see `learning.nn.chunks.in_portions`.

    Attributes
    ----------
    step : int
        Edges at once.
    recompute : bool
        Again on the way back.
    """

    step: int
    recompute: bool


class Bonds(NamedTuple):
    """Edges along which messages go, each once.

    Attributes
    ----------
    a, b : (n,) int64
        Atoms, the anchor of the local coordinates first.
    distance : (n,)
        Å.
    """

    a: Tensor
    b: Tensor
    distance: Tensor


def _linear(n_in: int, n_out: int, gain: float = 1.0) -> nn.Linear:
    """Dense layer whose output has the size of its input."""
    out = nn.Linear(n_in, n_out)
    nn.init.normal_(out.weight, std=gain / math.sqrt(n_in))
    nn.init.zeros_(out.bias)
    return out


class GaussianBasis(nn.Module):
    """exp(-(r - r_n)^2 / sigma^2), centres r_n linear from 0 to the cut-off.

    Parameters
    ----------
    n : int
        Functions.
    cutoff : float
        Å.
    variance : float
        sigma^2, Å^2.
    """

    def __init__(self, n: int, cutoff: float, variance: float) -> None:
        super().__init__()
        self.variance = variance
        centres = torch.linspace(0.0, cutoff, n, dtype=torch.float64)
        self.register_buffer("centres", centres, persistent=False)

    def forward(self, distance: Tensor) -> Tensor:
        """(n_edges,) to (n_edges, n)."""
        return torch.exp(-((distance[:, None] - self.centres.to(distance)) ** 2) / self.variance)


class NeighbourSentence(nn.Module):
    """Text-CNN: neighbours are words, filters slide over windows of them, the largest value stays.

    Shorter lists are padded with zeros, as short sentences are.

    Parameters
    ----------
    words : int
        Length of the list of neighbours.
    width : int
        Length of a word.
    windows : tuple of int
        Sizes of the filters.
    filters : int
        Of each size.
    n_out : int
        Features of an atom in the coordinates of an edge.
    """

    def __init__(
        self, words: int, width: int, windows: tuple[int, ...], filters: int, n_out: int
    ) -> None:
        super().__init__()
        self.width = width
        self.longest, shortest = max(windows), min(windows)
        # a window may reach beyond the end of the list if the shortest would not
        self.padding = self.longest - shortest
        self.positions = max(1, words - shortest + 1)
        self.convolutions = nn.ModuleList(nn.Linear(h * width, filters) for h in windows)
        for layer in self.convolutions:
            # orientational vectors are short: their norm is 1.4 / (1 + r)
            nn.init.normal_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.dense = _linear(len(windows) * filters, n_out)

    def filters(self) -> tuple[Tensor, Tensor]:
        """All filters as if of the largest size: (n_filters, longest * width), and biases."""
        width = self.longest * self.width
        weights = [
            nn.functional.pad(layer.weight, (0, width - layer.in_features))
            for layer in self.convolutions
        ]
        return torch.cat(weights), torch.cat([layer.bias for layer in self.convolutions])

    def windows(self, rows: Tensor) -> Tensor:
        """Windows of lists (n, words, width): (n, positions, longest * width)."""
        missing = self.positions + self.longest - 1 - rows.shape[1]
        flat = nn.functional.pad(rows, (0, 0, 0, max(0, missing))).flatten(1)
        # copied: a matrix product of overlapping rows would go through them one list at a time
        return flat.unfold(1, self.longest * self.width, self.width).contiguous()

    def forward(self, windows: Tensor, filters: tuple[Tensor, Tensor]) -> Tensor:
        """Features of lists (n, n_out) from their `windows`."""
        weight, bias = filters
        # the largest value is the same before its bias is added, and there are fewer to add it to
        found = nn.functional.linear(windows, weight).amax(1) + bias
        return self.dense(torch.relu(found))


class PairLinear(nn.Module):
    """Dense layer of [v_a || v_b || e_ab || s_ab]; what atoms contribute is computed once an atom.

    Parameters
    ----------
    node, edge, n_out : int
        Widths.
    """

    def __init__(self, node: int, edge: int, n_out: int) -> None:
        super().__init__()
        self.widths = [node, node, edge]
        self.linear = _linear(2 * node + edge, n_out)

    def of_atoms(self, v: Tensor) -> AtomShares:
        """Shares of all atoms as first and as second of a pair."""
        first, second, _ = self.linear.weight.split(self.widths, 1)
        return nn.functional.linear(v, first), nn.functional.linear(v, second)

    def forward(self, atoms: AtomShares, a: Tensor, b: Tensor, edge: Tensor) -> Tensor:
        """Values for pairs.

        Parameters
        ----------
        atoms
            As `of_atoms` gives them.
        a, b : (n,) int64
            Atoms.
        edge : (n, edge)
            e_ab || s_ab.
        """
        weight = self.linear.weight[:, -self.widths[2] :]
        out = nn.functional.linear(edge, weight, self.linear.bias)
        return out + atoms[0].index_select(0, a) + atoms[1].index_select(0, b)


class Interaction(nn.Module):
    """One interaction layer: attention over neighbours, then the edges (eqs. 2-4)."""

    def __init__(self, node: int, edge: int, local: int) -> None:
        super().__init__()
        self.attention = PairLinear(node, edge + 2 * local, node)
        self.score = nn.Linear(node, 1, bias=False)
        self.value = _linear(node, node)
        self.first = PairLinear(node, edge + 2 * local, edge)
        self.second = _linear(edge, edge, gain=1.5)

    def nodes(
        self, v: Tensor, e: Tensor, s: Tensor, bonds: Bonds, envelope: Tensor, portion: Portion
    ) -> Tensor:
        """New features of atoms from messages in both directions of each edge.

        Parameters
        ----------
        v, e : (n_atoms, node), (n, edge)
            Features of atoms and edges.
        s : (n, 2, local)
            Local features, the anchor's first.
        bonds : Bonds
            Ends.
        envelope : (n,)
            One for near atoms, zero at the end of the range.
        portion : Portion
            Of the edges.
        """
        score = evaluated(
            self._scores,
            len(e),
            portion.step,
            *(self.attention.of_atoms(v), e, s, bonds),
            recompute=portion.recompute,
        ).to(v.dtype)
        receiver, near = torch.stack([bonds.a, bonds.b], 1), envelope[:, None]
        top = torch.full_like(v[:, 0], -torch.inf)
        top = top.scatter_reduce(0, receiver.flatten(), score.detach().flatten(), "amax")
        weight = near * torch.exp(score - top[receiver])
        total = torch.zeros_like(v[:, 0]).index_add(0, receiver.flatten(), weight.flatten())
        total = total.clamp(min=torch.finfo(v.dtype).tiny)
        # the envelope once more: without it the last neighbour to leave would keep its full share
        alpha = near * weight / total[receiver]
        received, value = torch.zeros_like(v), self.value(v)
        for part, (to_a, to_b) in in_portions(
            self._sent, len(e), portion.step, value, bonds, alpha, recompute=portion.recompute
        ):
            received.index_add_(0, bonds.a[part], to_a.to(v.dtype))
            received.index_add_(0, bonds.b[part], to_b.to(v.dtype))
        return v + received

    def _scores(self, part: slice, atoms: AtomShares, e: Tensor, s: Tensor, bonds: Bonds) -> Tensor:
        """Logits of some edges, (n, 2): of what the first atom receives, and the second."""
        a, b, local = bonds.a[part], bonds.b[part], s[part]
        hidden = [
            self.attention(atoms, *ends, torch.cat([e[part], seen.flatten(1)], 1))
            for ends, seen in (((a, b), local), ((b, a), local.flip(1)))
        ]
        return torch.cat([self.score(nn.functional.leaky_relu(h)) for h in hidden], 1)

    def _sent(
        self, part: slice, value: Tensor, bonds: Bonds, alpha: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What the atoms of some edges receive along them, (n, node) each."""
        share, (a, b) = alpha[part], (bonds.a[part], bonds.b[part])
        return (
            value.index_select(0, b) * share[:, :1],
            value.index_select(0, a) * share[:, 1:],
        )

    def edges(self, atoms: AtomShares, a: Tensor, b: Tensor, e: Tensor, s: Tensor) -> Tensor:
        """New features of edges; `atoms` are `first.of_atoms` of the new features of atoms."""
        hidden = self.first(atoms, a, b, torch.cat([e, s], 1))
        return self.second(nn.functional.hardswish(hidden))

    def some_edges(
        self, part: slice, atoms: AtomShares, e: Tensor, s: Tensor, bonds: Bonds
    ) -> Tensor:
        """New features of some of the edges along which messages go."""
        return self.edges(atoms, bonds.a[part], bonds.b[part], e[part], s[part].flatten(1))


class LocalNetwork(nn.Module):
    """The forward or the backward network.

    Parameters
    ----------
    config : LCNetConfig
        Sizes.
    n_species : int
        Elements.
    n_out : int
        Elements of a block that it predicts.
    moments : str
        What it sees of the magnetic moments, as in `IrrepLayout.moments`.
    """

    def __init__(self, config: LCNetConfig, n_species: int, n_out: int, moments: str) -> None:
        super().__init__()
        node, edge, local = config.node, config.edge, config.local
        self.embedding = nn.Embedding(n_species, node)
        self.radial = GaussianBasis(edge, config.pair_cutoff, config.variance)
        width = (config.degree + 1) ** 2 * (1 + config.elements)
        self.sentence = NeighbourSentence(
            config.neighbours, width, config.windows, config.filters, local
        )
        self.layers = nn.ModuleList(Interaction(node, edge, local) for _ in range(config.layers))
        self.output_first = PairLinear(node, edge + 2 * local, config.output)
        self.output_second = _linear(config.output, n_out, gain=0.5)
        self.kind = moments
        if moments != "none":
            self.moment_of_atom = nn.Sequential(
                _linear(2, node), nn.Hardswish(), _linear(node, node)
            )
        if moments == "vectors":
            self.moment_of_edge = nn.Sequential(
                _linear(3, local), nn.Hardswish(), _linear(local, local)
            )

    def local_features(self, windows: Tensor, moments: Tensor | None) -> Tensor:
        """Features s_ab of edges, (n, 2, local).

        Parameters
        ----------
        windows : (2 n, positions, width)
            Of both atoms of each edge.
        moments : (n, 2, 3), optional
            In the coordinates of the edge.
        """
        s = self.sentence(windows, self.sentence.filters()).unflatten(0, (-1, 2))
        return s if moments is None else s + self.moment_of_edge(moments)

    def atoms(self, species: Tensor, moments: Tensor) -> Tensor:
        """First features of atoms, (n_atoms, node)."""
        v = self.embedding(species)
        if self.kind == "none":
            return v
        square = moments.square().sum(1)
        number = moments[:, 2] if self.kind == "numbers" else square
        seen = torch.stack([number, square / (1.0 + square)], 1)
        return v + self.moment_of_atom(seen).to(v.dtype)

    def messages(
        self, v: Tensor, s: Tensor, bonds: Bonds, envelope: Tensor, portion: Portion
    ) -> list[AtomShares]:
        """What atoms contribute to pairs after each layer, and to the output."""
        e = self.radial(bonds.distance)
        shares = []
        for n, layer in enumerate(self.layers):
            v = layer.nodes(v, e, s, bonds, envelope, portion)
            shares.append(layer.first.of_atoms(v))
            if n + 1 < len(self.layers):
                e = evaluated(
                    layer.some_edges,
                    len(e),
                    portion.step,
                    *(shares[-1], e, s, bonds),
                    recompute=portion.recompute,
                )
        return [*shares, self.output_first.of_atoms(v)]

    def pairs(
        self, shares: list[AtomShares], a: Tensor, b: Tensor, distance: Tensor, s: Tensor
    ) -> Tensor:
        """Elements of the blocks of pairs, (n, n_out); `shares` are those of `messages`."""
        e, flat = self.radial(distance), s.flatten(1)
        for atoms, layer in zip(shares, self.layers, strict=False):
            e = layer.edges(atoms, a, b, e, flat)
        hidden = self.output_first(shares[-1], a, b, torch.cat([e, flat], 1))
        return self.output_second(nn.functional.hardswish(hidden))
