"""The spin-orbit part of H as xi <L> / 2, and the strengths xi between two shells of two atoms.

In the form of Y. Zhong et al., npj Comput. Mater. 9, 182 (2023), eq. 15, the part B of a block is
one number xi times the matrix of the angular momentum. <L> is computed (`integrals`), about the
middle of the pair, where it is Hermitian; xi is a fitted function of distance for every pair of
elements and shells, plus what a network says. Exact for one shell of a free atom; on different
centres it leaves out most of B.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ase_mlham.core import BlockMatrix, OrbitalBasis, Structure
from ase_mlham.learning.family import Coefficients
from ase_mlham.learning.graph import HamiltonianGraph
from ase_mlham.learning.layout import BlockLayout
from ase_mlham.learning.tables import between_bins, bin_scales, spline_basis, uniform_knots
from ase_mlham.learning.tensors import to_coefficients

if TYPE_CHECKING:
    from ase_mlham.learning.targets import TrainingExample

__all__ = ["SpinOrbitStrength", "half_angular_momentum", "spin_orbit_rows"]

_NOISE = 1e-5
"""Norm of a block of <L> / 2 below which it counts as zero: files store S to some 1e-7, and
what is left of B divided by that is no strength."""

_RIDGE = 1e-6
"""Of the fitted functions of distance, relative to the data: most of them see all distances."""


def half_angular_momentum(
    layout: BlockLayout, structure: Structure, basis: OrbitalBasis, overlap: BlockMatrix
) -> Coefficients:
    """<L> / 2 in units of hbar, as coefficients of the part B: what xi in eV multiplies.

    On site it is that of the angular parts of shells of one degree. The radial functions of an atom
    are orthogonal, so <L> between unlike ones is zero, but the integral over xi(r) is not: it is
    what the predicted number stands for.

    Parameters
    ----------
    layout : BlockLayout
        Of a spinor Hamiltonian with the part B.
    structure, basis
        The atoms and their orbitals.
    overlap : BlockMatrix
        S, on the pairs of the result.
    """
    from ase_mlham import integrals

    angular = _angular_onsite(overlap, basis)
    momentum = integrals.angular_momentum(structure, basis, overlap=angular)
    values = tuple(
        np.concatenate([np.zeros_like(array[:1]), 0.5 * array]) for array in momentum.values
    )
    whole = to_coefficients(layout, BlockMatrix(momentum.pattern, values))
    rows = spin_orbit_rows(layout)
    shells = torch.from_numpy(_pairs_of_shells(layout))[rows]
    return Coefficients(*(_without_noise(part[:, rows], shells) for part in whole))


def _angular_onsite(overlap: BlockMatrix, basis: OrbitalBasis) -> BlockMatrix:
    """S with the angular parts alone on site, where shells of one degree have overlap 1."""
    pattern, values = overlap.pattern, []
    for group, s in zip(pattern.groups, overlap.values, strict=True):
        block = np.zeros(s.shape[2:])
        bra, ket = basis.species[group.species_i], basis.species[group.species_j]
        for l_i, first in zip(bra.l, bra.offsets[:-1], strict=True):
            for l_j, second in zip(ket.l, ket.offsets[:-1], strict=True):
                if l_i == l_j:
                    m = np.arange(2 * l_i + 1)
                    block[first + m, second + m] = 1.0
        changed = s.copy()
        changed[0, pattern.onsite[group.slice]] = block
        values.append(changed)
    return BlockMatrix(pattern, tuple(values))


def _without_noise(values: Tensor, shells: Tensor) -> Tensor:
    """<L> with zeros for pairs of shells where it is what rounding left of S."""
    squares = values.new_zeros(len(values), int(shells.max()) + 1)
    squares.index_add_(1, shells, values.square())
    return values * (squares > _NOISE**2)[:, shells]


def spin_orbit_rows(layout: BlockLayout) -> Tensor:
    """Coefficients of the part B."""
    return torch.from_numpy(np.flatnonzero(_pairs_of_shells(layout) >= 0))


def _pairs_of_shells(layout: BlockLayout) -> np.ndarray:
    """Running number of the pair of shells of every coefficient of B, -1 for the others."""
    n = len(layout.shells.l)
    out = np.full(layout.n_coefficients, -1, dtype=np.int64)
    for L, entries in enumerate(layout.channels):
        for index, c in enumerate(entries):
            if layout.parts[c.part].name == "B":
                out[layout.position(L, index)] = c.a * n + c.b
    return out


class SpinOrbitStrength(nn.Module):
    """Baseline and scale of xi, in eV.

    Parameters
    ----------
    layout : BlockLayout
        Of a spinor Hamiltonian with the part B.
    n_splines : int
        Functions of distance.
    cutoff : float
        Where they end, Å.
    bin_width : float
        Of the table of scales, Å.
    """

    def __init__(
        self, layout: BlockLayout, n_splines: int, cutoff: float, bin_width: float
    ) -> None:
        super().__init__()
        n_species, n_shells = len(layout.basis.species), len(layout.shells.l)
        self.n_pairs, self.bin_width = n_shells**2, bin_width
        self.n_bins = int(np.ceil(cutoff / bin_width))
        rows = spin_orbit_rows(layout)
        self.register_buffer("rows", rows, persistent=False)
        shells = torch.from_numpy(_pairs_of_shells(layout))[rows]
        self.register_buffer("shells", shells, persistent=False)
        swapped = torch.arange(self.n_pairs).view(n_shells, n_shells).T.flatten()
        self.register_buffer("swapped", swapped, persistent=False)
        self.register_buffer("knots", uniform_knots(n_splines, cutoff))
        for name, shape in (
            ("tables", (n_species, n_species, n_splines, self.n_pairs)),
            ("onsite", (n_species, self.n_pairs)),
            ("offsite_scale", (self.n_bins + 1, self.n_pairs)),
            ("onsite_scale", (self.n_pairs,)),
        ):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))

    def _between(self, graph: HamiltonianGraph) -> Tensor:
        """Xi of pairs, (n_pairs, pairs of shells)."""
        vectors = graph.pair_vectors
        basis = spline_basis(vectors.norm(dim=1), self.knots.to(vectors.dtype))
        tables = self.tables.to(vectors.dtype)
        out = vectors.new_zeros(len(vectors), self.n_pairs)
        for kind, rows in _kinds(graph, len(tables)):
            out[rows] = basis[rows] @ tables[kind]
        return out

    def baseline_onsite(self, graph: HamiltonianGraph, momentum: Tensor) -> Tensor:
        """Of the atoms, in the order of `rows`; `momentum` is that of `half_angular_momentum`."""
        return momentum * self.onsite.to(momentum.dtype)[graph.species][:, self.shells]

    def baseline_offsite(self, graph: HamiltonianGraph, momentum: Tensor) -> Tensor:
        """Of the pairs."""
        return momentum * self._between(graph).to(momentum.dtype)[:, self.shells]

    def scale_onsite(self, momentum: Tensor) -> Tensor:
        """EV per unit of the network's xi, of the atoms."""
        return momentum * self.onsite_scale.to(momentum.dtype)[self.shells]

    def scale_offsite(self, graph: HamiltonianGraph, momentum: Tensor) -> Tensor:
        """The same for the pairs."""
        table = self.offsite_scale.to(momentum.dtype)
        distance = graph.pair_vectors.norm(dim=1).to(momentum.dtype)
        return momentum * between_bins(distance, table, self.bin_width)[:, self.shells]

    # ------------------------------------------------------------------ fit
    def _sums(self, a: Tensor, b: Tensor) -> Tensor:
        """Products summed over each pair of shells: (n, pairs of shells)."""
        out = a.new_zeros(len(a), self.n_pairs)
        return out.index_add_(1, self.shells, a * b)

    def fit(self, examples: Sequence[TrainingExample], *, tables: bool = True) -> None:
        """Least squares of B over all training structures; without tables, the scales alone."""
        if tables:
            self._fit_tables(examples)
        self._fit_scales(examples)

    def _fit_tables(self, examples: Sequence[TrainingExample]) -> None:
        n_species = len(self.onsite)
        n = len(self.knots)
        shape = (n_species, n_species, self.n_pairs)
        gram = torch.zeros(*shape, n, n, dtype=torch.float64)
        right = torch.zeros(*shape, n, dtype=torch.float64)
        onsite = torch.zeros(2, n_species, self.n_pairs, dtype=torch.float64)
        for example in examples:
            graph, l, b = example.graph, *_both(example, self.rows)
            basis = spline_basis(graph.pair_vectors.norm(dim=1).double(), self.knots)
            weight, product = self._sums(l.offsite, l.offsite), self._sums(b.offsite, l.offsite)
            for (i, j), rows in _kinds(graph, n_species):
                x = basis[rows]
                own = torch.einsum("pn,pm,pc->cnm", x, x, weight[rows])
                moment = torch.einsum("pn,pc->cn", x, product[rows])
                gram[i, j] += own
                right[i, j] += moment
                # seen from the other end, shells change places and nothing else
                gram[j, i] += own[self.swapped]
                right[j, i] += moment[self.swapped]
            for row, other in enumerate((l.onsite, b.onsite)):
                onsite[row].index_add_(0, graph.species, self._sums(other, l.onsite))
        size = gram.diagonal(dim1=-2, dim2=-1).mean(-1)
        # pairs of shells whose <L> is hardly there must not be given huge strengths
        size = size.clamp(min=1e-6 * float(size.max()) + 1e-30)
        ridge = _RIDGE * size[..., None, None] * torch.eye(n)
        self.tables.copy_(torch.linalg.solve(gram + ridge, right).transpose(-1, -2))
        self.onsite.copy_(onsite[1] / onsite[0].clamp(min=1e-30))

    def _fit_scales(self, examples: Sequence[TrainingExample]) -> None:
        """Spread of the best xi of each pair about the baseline, weighted with <L>."""
        squares = torch.zeros(self.n_bins, self.n_pairs, dtype=torch.float64)
        weights, onsite = torch.zeros_like(squares), torch.zeros(2, self.n_pairs).double()
        for example in examples:
            graph, l, b = example.graph, *_both(example, self.rows)
            distance = graph.pair_vectors.norm(dim=1)
            bins = (distance / self.bin_width).long().clamp(max=self.n_bins - 1)
            rest = b.offsite - self.baseline_offsite(graph, l.offsite)
            square, weight = self._squares(rest, l.offsite)
            # both directions of a pair
            squares.index_add_(0, bins, square + square[:, self.swapped])
            weights.index_add_(0, bins, weight + weight[:, self.swapped])
            rest = b.onsite - self.baseline_onsite(graph, l.onsite)
            onsite += torch.stack([part.sum(0) for part in self._squares(rest, l.onsite)])
        floor = 1e-4
        self.offsite_scale.copy_(bin_scales(squares, weights, floor))
        rms = torch.sqrt(onsite[0] / onsite[1].clamp(min=1e-30))
        self.onsite_scale.copy_(rms.clamp(min=floor))

    def _squares(self, rest: Tensor, l: Tensor) -> tuple[Tensor, Tensor]:
        """Weight l^2 times the square of the xi that is missing, and the weight."""
        weight, along = self._sums(l, l), self._sums(rest, l)
        return along**2 / weight.clamp(min=1e-30), weight


def _both(example: TrainingExample, rows: Tensor) -> tuple[Coefficients, Coefficients]:
    """<L> / 2 and B, in double precision."""
    if example.momentum is None:
        raise ValueError("the training examples carry no angular momentum")
    momentum = Coefficients(*(part.double() for part in example.momentum))
    return momentum, Coefficients(*(part[:, rows].double() for part in example.target))


def _kinds(graph: HamiltonianGraph, n_species: int) -> list[tuple[tuple[int, int], Tensor]]:
    """Pairs of each pair of species."""
    kind = graph.species[graph.pair_i] * n_species + graph.species[graph.pair_j]
    found = [
        (divmod(n, n_species), torch.nonzero(kind == n).squeeze(1)) for n in range(n_species**2)
    ]
    return [(pair, rows) for pair, rows in found if len(rows)]
