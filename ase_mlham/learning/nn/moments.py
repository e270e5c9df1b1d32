"""Magnetic moments among the features of the atoms."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ase_mlham.errors import ModelError
from ase_mlham.learning.graph import HamiltonianGraph
from ase_mlham.learning.layout import MomentInput
from ase_mlham.learning.nn.features import Channels

__all__ = ["MomentEmbedding"]


class MomentEmbedding(nn.Module):
    """Features of an atom from its magnetic moment.

    Lengths and numbers are invariant. Vectors enter as axial vectors of degree one, scaled by a
    function of their length and element.

    Parameters
    ----------
    channels : Channels
        Of the features.
    n_species : int
        Elements.
    kind : str
        What is seen of them, as in `IrrepLayout.moments`; not "none".
    hidden : int
        Width of the network.

    Raises
    ------
    ModelError
        There are no channels for axial vectors.
    """

    def __init__(self, channels: Channels, n_species: int, kind: MomentInput, hidden: int) -> None:
        super().__init__()
        self.kind, self.channels = kind, channels
        vectors = kind == "vectors"
        if vectors and not any(channels.other[1:2]):
            raise ModelError(
                "magnetic moments are axial vectors, which need channels of the other parity in "
                "degree 1; set `other` to 4 or more"
            )
        self.first = nn.Linear(2, hidden)
        self.species = nn.Embedding(n_species, hidden)
        n_out = channels.natural[0] + (channels.other[1] if vectors else 0)
        self.last = nn.Linear(hidden, n_out)

    def forward(self, x: Tensor, graph: HamiltonianGraph) -> Tensor:
        """Features [n_atoms, size] with those of the moments added."""
        m = graph.moments
        square = m.square().sum(1)
        number = m[:, 2] if self.kind == "numbers" else square
        hidden = self.first(torch.stack([number, square / (1.0 + square)], 1))
        out = self.last(nn.functional.silu(hidden + self.species(graph.species)))
        x = x.clone()
        n_scalars = self.channels.natural[0]
        x[:, :n_scalars] += out[:, :n_scalars]
        if self.kind == "vectors":
            # harmonics of degree one are y, z, x
            vector = m[:, [1, 2, 0], None]
            start, length = self.channels.lengths[:2]
            degree = x[:, start : start + length].unflatten(1, (3, -1))
            degree[..., self.channels.natural[1] :] += vector * out[:, None, n_scalars:]
        return x
