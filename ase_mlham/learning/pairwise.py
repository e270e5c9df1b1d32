"""Family "pairwise": blocks that depend on a pair's distance and on how crowded its two atoms are.

The smallest family that keeps every symmetry, a Slater-Koster model whose distance functions are a
small network. It has no three-centre terms, so it is a lower bound for what a family must achieve,
an example for authors of families, and quick enough for the tests of everything around networks.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ase_mlham.core.harmonics import real_harmonics
from ase_mlham.errors import InputError, ModelError
from ase_mlham.learning.family import Coefficients
from ase_mlham.learning.graph import HamiltonianGraph
from ase_mlham.learning.layout import IrrepLayout
from ase_mlham.learning.nn.radial import BesselBasis, cosine_cutoff

__all__ = ["PairwiseConfig", "PairwiseNetwork"]


@dataclass(frozen=True)
class PairwiseConfig:
    """Options of the family.

    Parameters
    ----------
    message_cutoff : float
        Range within which neighbours count, Å.
    n_radial : int
        Functions of distance.
    hidden : int
        Width of the networks.
    """

    message_cutoff: float = 4.0
    n_radial: int = 8
    hidden: int = 32

    def __post_init__(self) -> None:
        if not (self.message_cutoff > 0 and self.n_radial > 0 and self.hidden > 0):
            raise InputError("message_cutoff, n_radial and hidden must be positive")


def _harmonics(l_max: int, vectors: Tensor) -> Tensor:
    """Real harmonics of unit norm per degree, (n, (l_max + 1)^2), in the type of the vectors."""
    values = real_harmonics(l_max, vectors.detach().double().cpu().numpy())
    return torch.from_numpy(values).to(vectors) * (4 * torch.pi) ** 0.5


class PairwiseNetwork(nn.Module):
    """Radial network times spherical harmonics, symmetric under exchange of the two atoms.

    Parameters
    ----------
    config : PairwiseConfig
        Options.
    layout : IrrepLayout
        Irreducible tensors to predict.

    Raises
    ------
    ModelError
        They follow the directions of magnetic moments.
    """

    def __init__(self, config: PairwiseConfig, layout: IrrepLayout) -> None:
        super().__init__()
        if layout.moments == "vectors":
            raise ModelError(
                "family pairwise does not see the directions of magnetic moments; choose the form "
                'exchange = "heisenberg" in section [spin], or another family'
            )
        self.moments = layout.moments
        self.config = config
        self.l_max, self.starts = layout.l_max, layout.starts
        self.n_natural = [layout.multiplicity(L, natural=True) for L in range(layout.l_max + 1)]
        self.n_all = [len(entries) for entries in layout.channels]
        n_species = len(layout.basis.species)
        reach = 2 * max(entry.cutoff for entry in layout.basis.species)
        width, n_out = config.hidden, sum(self.n_natural)
        n_atom = 4 if self.moments == "none" else 5
        self.embedding = nn.Embedding(n_species, 4)
        self.message_basis = BesselBasis(config.n_radial, config.message_cutoff)
        self.pair_basis = BesselBasis(config.n_radial, reach)
        self.crowding = nn.Sequential(
            nn.Linear(config.n_radial + 2 * n_atom, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.pair = nn.Sequential(
            nn.Linear(config.n_radial + 2 * n_atom + 2 * width, width),
            nn.SiLU(),
            nn.Linear(width, n_out),
        )
        self.neighbour = nn.Sequential(
            nn.Linear(config.n_radial + 2 * n_atom, width), nn.SiLU(), nn.Linear(width, n_out)
        )
        self.atom = nn.Linear(n_atom + width, self.n_natural[0])
        index, sign = layout.reversal
        self.register_buffer("reversed_index", torch.from_numpy(index), persistent=False)
        self.register_buffer("reversed_sign", torch.from_numpy(sign), persistent=False)

    @property
    def message_cutoff(self) -> float:
        """Range of messages, Å."""
        return self.config.message_cutoff

    def precompute(self, graph: HamiltonianGraph) -> dict[str, Tensor]:
        """Distances, radial functions and harmonics."""
        message, pair = graph.message_vectors, graph.pair_vectors
        distance = message.norm(dim=1)
        return {
            "message_radial": self.message_basis(distance),
            "message_envelope": cosine_cutoff(distance, self.message_cutoff)[:, None],
            "message_harmonics": _harmonics(self.l_max, message),
            "pair_radial": self.pair_basis(pair.norm(dim=1)),
            "pair_harmonics": _harmonics(self.l_max, pair),
        }

    def _tensors(self, radial: Tensor, harmonics: Tensor) -> Tensor:
        """Invariants of each natural channel times harmonics, in the order of the layout."""
        out = radial.new_zeros(len(radial), self.starts[-1])
        first = 0
        for L, (n, total) in enumerate(zip(self.n_natural, self.n_all, strict=True)):
            y = harmonics[:, L * L : (L + 1) ** 2, None]
            part = out[:, self.starts[L] : self.starts[L + 1]].unflatten(1, (2 * L + 1, total))
            part[..., :n] = y * radial[:, None, first : first + n]
            first += n
        return out

    def _reversed(self, coefficients: Tensor) -> Tensor:
        index: Tensor = self.get_buffer("reversed_index")
        sign = self.get_buffer("reversed_sign").to(coefficients.dtype)
        return coefficients[..., index] * sign

    def _atoms(self, graph: HamiltonianGraph) -> Tensor:
        """What an atom is: its element and its moment, (n_atoms, n)."""
        z = self.embedding(graph.species)
        if self.moments == "none":
            return z
        m = graph.moments
        number = m[:, 2] if self.moments == "numbers" else m.square().sum(1)
        return torch.cat([z, number[:, None]], 1)

    def forward(
        self, graph: HamiltonianGraph, precomputed: dict[str, Tensor] | None = None
    ) -> Coefficients:
        """Predict the coefficients of all atoms and pairs."""
        known = self.precompute(graph) if precomputed is None else precomputed
        z = self._atoms(graph)
        i, j = graph.message_i, graph.message_j
        features = torch.cat([known["message_radial"], z[i], z[j]], 1)
        crowd = z.new_zeros(graph.n_atoms, self.config.hidden)
        crowd = crowd.index_add(0, i, self.crowding(features) * known["message_envelope"])
        crowd = torch.tanh(crowd / 8)

        def one_way(a: Tensor, b: Tensor, harmonics: Tensor) -> Tensor:
            parts = [known["pair_radial"], z[a], z[b], crowd[a], crowd[b]]
            return self._tensors(self.pair(torch.cat(parts, 1)), harmonics)

        harmonics = known["pair_harmonics"]
        degrees = torch.arange(self.l_max + 1, device=z.device)
        parity = torch.repeat_interleave(1 - 2 * (degrees % 2), 2 * degrees + 1)
        there = one_way(graph.pair_i, graph.pair_j, harmonics)
        back = one_way(graph.pair_j, graph.pair_i, harmonics * parity.to(harmonics.dtype))
        offsite = (there + self._reversed(back)) / 2

        around = self._tensors(
            self.neighbour(features) * known["message_envelope"], known["message_harmonics"]
        )
        onsite = around.new_zeros(graph.n_atoms, around.shape[1]).index_add(0, i, around) / 4
        own = self.atom(torch.cat([z, crowd], 1))
        onsite[..., : self.n_natural[0]] += own
        return Coefficients((onsite + self._reversed(onsite)) / 2, offsite)
