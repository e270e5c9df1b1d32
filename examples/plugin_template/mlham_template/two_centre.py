"""Two-centre model: a block depends on the vector between its atoms and on what they are.

J. C. Slater and G. F. Koster, Phys. Rev. 94, 1498 (1954), with a small network in place of the
table of integrals. Each irreducible part of degree L of the block between atoms i and j is

    f(|r|, species of i, species of j) * Y_L(r / |r|),

which turns with the structure by construction. Atoms also feel their surroundings: an on-site block
is a constant of its element plus a sum of the same form over neighbours.

What the package asks of a family is in `ase_mlham.learning.family`; normalisation, training, model
files and prediction are not a family's business.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ase_mlham.core.harmonics import real_harmonics
from ase_mlham.learning.family import Coefficients
from ase_mlham.learning.graph import HamiltonianGraph
from ase_mlham.learning.layout import IrrepLayout
from ase_mlham.learning.nn.radial import BesselBasis, cosine_cutoff

__all__ = ["TwoCentre", "TwoCentreConfig"]


@dataclass(frozen=True)
class TwoCentreConfig:
    """Size of the network.

    Parameters
    ----------
    n_radial : int
        Radial functions of the distance.
    width : int
        Neurons of the hidden layer.
    message_cutoff : float
        How far on-site blocks feel their surroundings, Å.
    """

    n_radial: int = 8
    width: int = 32
    message_cutoff: float = 5.0


class _Edges(NamedTuple):
    """Vectors between atoms, with the species at their two ends."""

    species_i: Tensor
    species_j: Tensor
    vectors: Tensor


class _Radial(nn.Module):
    """f: one number for each channel, from a distance and two species."""

    def __init__(self, n_radial: int, cutoff: float, n_species: int, width: int, n: int) -> None:
        super().__init__()
        self.n_species = n_species
        self.bessel = BesselBasis(n_radial, cutoff)
        self.network = nn.Sequential(
            nn.Linear(n_radial + 2 * n_species, width), nn.SiLU(), nn.Linear(width, n)
        )

    def forward(self, edges: _Edges) -> Tensor:
        distance = edges.vectors.norm(dim=1)
        radial = self.bessel(distance)
        ends = [
            nn.functional.one_hot(species, self.n_species).to(radial)
            for species in (edges.species_i, edges.species_j)
        ]
        return self.network(torch.cat([radial, *ends], dim=1))


class TwoCentre(nn.Module):
    """A `ase_mlham.learning.family.FamilyModule`.

    Parameters
    ----------
    config : TwoCentreConfig
        Size of the network.
    layout : IrrepLayout
        Which irreducible parts there are.
    """

    def __init__(self, config: TwoCentreConfig, layout: IrrepLayout) -> None:
        super().__init__()
        self.config = config
        self.channels = [
            (layout.multiplicity(L, natural=True), layout.multiplicity(L, natural=False))
            for L in range(layout.l_max + 1)
        ]
        n = sum(natural for natural, _ in self.channels)
        reach = torch.tensor([entry.cutoff for entry in layout.basis.species])
        n_species = len(reach)
        self.pair = _Radial(config.n_radial, 2 * float(reach.max()), n_species, config.width, n)
        self.surroundings = _Radial(
            config.n_radial, config.message_cutoff, n_species, config.width, n
        )
        self.atom = nn.Parameter(torch.zeros(n_species, self.channels[0][0]))
        index, sign = layout.reversal
        self.register_buffer("reach", reach, persistent=False)
        self.register_buffer("reversed_index", torch.from_numpy(index), persistent=False)
        self.register_buffer("reversed_sign", torch.from_numpy(sign), persistent=False)

    @property
    def message_cutoff(self) -> float:
        """How far on-site blocks feel their surroundings, Å."""
        return self.config.message_cutoff

    def precompute(self, graph: HamiltonianGraph) -> dict[str, Tensor]:
        """Harmonics of all vectors: they do not change while the network learns."""
        return {
            "pair": self._harmonics(graph.pair_vectors),
            "message": self._harmonics(graph.message_vectors),
        }

    def forward(
        self, graph: HamiltonianGraph, precomputed: dict[str, Tensor] | None = None
    ) -> Coefficients:
        """Irreducible parts of all blocks, dimensionless."""
        known = self.precompute(graph) if precomputed is None else precomputed
        return Coefficients(
            self._onsite(graph, known["message"]), self._offsite(graph, known["pair"])
        )

    def _harmonics(self, vectors: Tensor) -> Tensor:
        """Y_LM of the directions, in the order of the package, of mean square one."""
        values = real_harmonics(len(self.channels) - 1, vectors.detach().cpu().double().numpy())
        return torch.from_numpy(values).to(vectors) * math.sqrt(4 * math.pi)

    def _expand(self, radial: Tensor, harmonics: Tensor) -> Tensor:
        """f times Y in the order of the layout; parts of the other parity are zero."""
        parts, start = [], 0
        for L, (natural, other) in enumerate(self.channels):
            rows = harmonics[:, L * L : (L + 1) ** 2, None]
            part = radial[:, None, start : start + natural] * rows
            parts.append(nn.functional.pad(part, (0, other)).flatten(1))
            start += natural
        return torch.cat(parts, dim=1)

    def _reverse(self, coefficients: Tensor) -> Tensor:
        """Coefficients of the transposed blocks."""
        return self.reversed_sign.to(coefficients) * coefficients[..., self.reversed_index]

    def _offsite(self, graph: HamiltonianGraph, harmonics: Tensor) -> Tensor:
        i, j = graph.species[graph.pair_i], graph.species[graph.pair_j]
        there = self._expand(self.pair(_Edges(i, j, graph.pair_vectors)), harmonics)
        # seen from the other end, Y_L changes its sign for odd L
        parity = [(-1.0) ** L for L in range(len(self.channels)) for _ in range(2 * L + 1)]
        backward = harmonics * torch.tensor(parity).to(harmonics)
        back = self._expand(self.pair(_Edges(j, i, -graph.pair_vectors)), backward)
        reach = self.reach[i] + self.reach[j]
        envelope = cosine_cutoff(graph.pair_vectors.norm(dim=1) / reach, 1.0)
        return envelope[:, None] * (there + self._reverse(back)) / 2

    def _onsite(self, graph: HamiltonianGraph, harmonics: Tensor) -> Tensor:
        i, j = graph.species[graph.message_i], graph.species[graph.message_j]
        felt = self._expand(self.surroundings(_Edges(i, j, graph.message_vectors)), harmonics)
        envelope = cosine_cutoff(graph.message_vectors.norm(dim=1), self.message_cutoff)
        total = felt.new_zeros(graph.n_atoms, *felt.shape[1:])
        total = total.index_add(0, graph.message_i, envelope[:, None] * felt)
        # scalars come first in the layout, natural ones first among them
        own = self.atom[graph.species]
        total = total + nn.functional.pad(own, (0, total.shape[-1] - own.shape[-1]))
        return (total + self._reverse(total)) / 2
