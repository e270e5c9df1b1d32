"""Families with one defect each: every check of the conformance kit must be able to fail."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ase_mlham.learning.family import Coefficients
from ase_mlham.learning.pairwise import PairwiseConfig, PairwiseNetwork


class Turned(PairwiseNetwork):
    """Knows where z is."""

    def forward(self, graph, precomputed=None):
        out = super().forward(graph, precomputed)
        return Coefficients(out.onsite, out.offsite * (1 + 0.01 * graph.pair_vectors[:, 2:] ** 2))


class Mirrored(PairwiseNetwork):
    """Right under rotations, wrong under inversion: knows left from right."""

    def forward(self, graph, precomputed=None):
        out = super().forward(graph, precomputed)
        i, v = graph.message_i, graph.message_vectors
        # triple product of three differently weighted sums over neighbours
        decay = [torch.exp(-n * v.norm(dim=1))[:, None] for n in (0.3, 0.6, 1.2)]
        zero = v.new_zeros(graph.n_atoms, 3)
        sums = torch.stack([zero.index_add(0, i, w * v) for w in decay], 1)
        chirality = 1e3 * torch.linalg.det(sums)
        return Coefficients(out.onsite * (1 + 0.01 * chirality[:, None]), out.offsite)


class Placed(PairwiseNetwork):
    """Remembers the order of atoms."""

    def forward(self, graph, precomputed=None):
        out = super().forward(graph, precomputed)
        order = torch.arange(graph.n_atoms).to(out.onsite)
        return Coefficients(out.onsite * (1 + 0.01 * order[:, None]), out.offsite)


class Directed(PairwiseNetwork):
    """Does not symmetrise: a pair differs from itself seen from the other end."""

    def _reversed(self, coefficients):
        return coefficients * 0.9


class Counting(PairwiseNetwork):
    """Divides by the number of atoms in the cell."""

    def forward(self, graph, precomputed=None):
        out = super().forward(graph, precomputed)
        return Coefficients(out.onsite / graph.n_atoms, out.offsite)


class Jumping(PairwiseNetwork):
    """No envelope at the message cut-off."""

    def precompute(self, graph):
        known = super().precompute(graph)
        known["message_envelope"] = torch.ones_like(known["message_envelope"])
        return known


class Averaging(PairwiseNetwork):
    """Subtracts the mean over all pairs, wherever they are."""

    def forward(self, graph, precomputed=None):
        out = super().forward(graph, precomputed)
        mean = out.offsite[..., :1].mean(0, keepdim=True) if graph.n_pairs else 0.0
        scalar = out.offsite.clone()
        scalar[..., :1] = scalar[..., :1] - mean
        return Coefficients(out.onsite + out.offsite.square().sum() * 1e-4, scalar)


@dataclass(frozen=True)
class RangedConfig(PairwiseConfig):
    """Ends pairs at a range of its own, and bounds how many edges are evaluated at once."""

    pair_cutoff: float = 4.0
    chunk: int = 4096


class Cut(PairwiseNetwork):
    """Ends pairs without an envelope."""

    def forward(self, graph, precomputed=None):
        out = super().forward(graph, precomputed)
        near = graph.pair_vectors.norm(dim=1, keepdim=True) < self.config.pair_cutoff
        return Coefficients(out.onsite, out.offsite * near)


class Endless(PairwiseNetwork):
    """Does not end pairs where it says."""


class Stifled(PairwiseNetwork):
    """Begins to fade at half its range."""

    def forward(self, graph, precomputed=None):
        out = super().forward(graph, precomputed)
        part = graph.pair_vectors.norm(dim=1, keepdim=True) / self.config.pair_cutoff
        fade = (2 - 2 * part).clamp(0, 1) ** 4
        return Coefficients(out.onsite, out.offsite * fade)


class Bounded(PairwiseNetwork):
    """Loses the pairs beyond the first portion."""

    def forward(self, graph, precomputed=None):
        out = super().forward(graph, precomputed)
        first = torch.arange(graph.n_pairs)[:, None] < self.config.chunk
        return Coefficients(out.onsite, out.offsite * first)


class Stale(PairwiseNetwork):
    """Keeps something that has changed meanwhile."""

    def precompute(self, graph):
        known = super().precompute(graph)
        return {**known, "old": torch.ones(1)}

    def forward(self, graph, precomputed=None):
        out = super().forward(graph, precomputed)
        old = precomputed is not None
        return Coefficients(out.onsite * (1.01 if old else 1.0), out.offsite)


class Twice(PairwiseNetwork):
    """Counts what it evaluates again twice in the gradient."""

    recompute = False

    def forward(self, graph, precomputed=None):
        out = super().forward(graph, precomputed)
        onsite = 2 * out.onsite - out.onsite.detach() if self.recompute else out.onsite
        return Coefficients(onsite, out.offsite)


class Coarse(PairwiseNetwork):
    """Computes with eight bits of mantissa whatever it is given."""

    def forward(self, graph, precomputed=None):
        out = super().forward(graph, precomputed)
        if out.offsite.dtype == torch.float32:
            return Coefficients(*(part.bfloat16().float() for part in out))
        return out


class Restless(PairwiseNetwork):
    """Draws random numbers in evaluation."""

    def forward(self, graph, precomputed=None):
        out = super().forward(graph, precomputed)
        return Coefficients(out.onsite * (1 + 1e-6 * torch.rand(1)), out.offsite)


class Careless(PairwiseNetwork):
    """Writes into its input."""

    def forward(self, graph, precomputed=None):
        out = super().forward(graph, precomputed)
        graph.pair_vectors.mul_(1.0 + 1e-13)
        return out


class Blocking(PairwiseNetwork):
    """Hides a part of itself from the gradient."""

    def forward(self, graph, precomputed=None):
        out = super().forward(graph, precomputed)
        return Coefficients(out.onsite, (out.offsite.detach() + out.offsite) / 2)


class Frozen(PairwiseNetwork):
    """Does not learn."""

    def forward(self, graph, precomputed=None):
        out = super().forward(graph, precomputed)
        return Coefficients(out.onsite, out.offsite.detach() + 0 * out.offsite)


class Silent(PairwiseNetwork):
    """Predicts nothing."""

    def forward(self, graph, precomputed=None):
        out = super().forward(graph, precomputed)
        return Coefficients(0 * out.onsite, 0 * out.offsite)


class Crashing(PairwiseNetwork):
    """Cannot do without neighbours."""

    def forward(self, graph, precomputed=None):
        graph.message_vectors.norm(dim=1).min()
        return super().forward(graph, precomputed)


class Forgetful(PairwiseNetwork):
    """Has a number that its state does not contain."""

    def __init__(self, config, layout):
        super().__init__(config, layout)
        self.secret = float(torch.rand(1))

    def forward(self, graph, precomputed=None):
        out = super().forward(graph, precomputed)
        return Coefficients(out.onsite * (1 + self.secret), out.offsite)
