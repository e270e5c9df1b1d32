"""What a network predicts: H less a baseline, scaled to order one.

The baseline has three parts. Operators that are exact without learning (the kinetic energy) are
subtracted as matrices. Off site, two-centre tables t(d) for every shell pair and degree are
fitted in the edge frame. On site, a linear sum over neighbours, held back as far as it carries over
to structures left out. The tables of different pairs of elements share a common part and depart
from it only where there are data: free tables are harmful at the distances that a pair of elements
lacks in training.

Parts of H that are odd in the magnetic moments have no baseline: it knows no moments, and what
does not turn with them would break time reversal.

The Hamiltonian is defined up to mu S, so one shift mu for each training structure is fitted
together with the tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ase_mlham.core.harmonics import real_harmonics
from ase_mlham.learning.family import Coefficients
from ase_mlham.learning.graph import HamiltonianGraph
from ase_mlham.learning.layout import BlockLayout, Channel
from ase_mlham.learning.ridge import carried_over
from ase_mlham.learning.spin_form import SpinForm
from ase_mlham.learning.spin_orbit import SpinOrbitStrength
from ase_mlham.learning.tables import (
    between_bins,
    bin_scales,
    spline_basis,
    uniform_knots,
)

__all__ = ["Crystal", "TargetConfig", "TargetTransform", "TrainingExample"]

_PORTION = 2048
"""Pairs restored at once."""

_GROUPS = 5
"""Into which structures are divided to choose the penalty of the on-site sums."""

_ONSITE_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Of the on-site sums, in units of the mean square of their features."""

_ROUNDING = 1e-8
"""Squares of features below this, relative to the largest, are zeros of single precision."""


@dataclass(frozen=True)
class TargetConfig:
    """Choices of the baseline.

    Attributes
    ----------
    operators : tuple of str
        Matrices subtracted before anything is fitted, names as in `core.system.OPERATORS`.
    tables : bool
        Fit the two-centre tables and the on-site sums. Without them, and with no operators, the
        network learns H as it is, which is what most publications do.
    n_splines : int
        Functions of distance in a two-centre table.
    onsite_cutoff : float
        Range of the linear on-site sums, Å. Longer ones fit better and carry over worse.
    n_onsite_splines : int
        Functions of distance in them.
    pair_cutoff : float
        Range of the network's part of off-site blocks, Å; beyond it the tables are all there is.
    smoothness, sharing, ridge : float
        Penalties, relative to the data: on the curvature of tables, on departures from the table
        that is common to all pairs of elements, and on size.
    bin_width : float
        Of the histogram of training distances and of the scale table, Å.
    """

    operators: tuple[str, ...] = ("kinetic",)
    tables: bool = True
    n_splines: int = 24
    onsite_cutoff: float = 5.0
    n_onsite_splines: int = 9
    pair_cutoff: float = 7.4
    smoothness: float = 1e-4
    sharing: float = 3e-3
    ridge: float = 1e-9
    bin_width: float = 0.2


@dataclass(frozen=True)
class TrainingExample:
    """One structure to fit or train on.

    Attributes
    ----------
    graph : HamiltonianGraph
        Double precision vectors give the best tables.
    target : Coefficients
        Of H less the baseline operators, eV.
    overlap : Coefficients
        Of S, on the same pairs.
    crystal : Crystal, optional
        What band energies need besides.
    momentum : Coefficients, optional
        `spin_orbit.half_angular_momentum`, where the form of B needs it.
    """

    graph: HamiltonianGraph
    target: Coefficients
    overlap: Coefficients
    crystal: Crystal | None = None
    momentum: Coefficients | None = None


@dataclass(frozen=True)
class Crystal:
    """What the bands of a training structure need.

    Attributes
    ----------
    hamiltonian : Coefficients
        Of the whole H, eV.
    cell : (3, 3)
        Å.
    pbc : (3,) bool
        Periodic directions.
    fermi_level : float
        eV.
    """

    hamiltonian: Coefficients
    cell: NDArray[np.float64]
    pbc: NDArray[np.bool_]
    fermi_level: float


class _OnsiteSums(NamedTuple):
    """Normal equations of the on-site sums, for each group of structures and each species.

    Attributes
    ----------
    gram : (groups, n_species, degrees, n, n)
        Of the features.
    moment : (groups, n_species, n, n_channels)
        Of features and values.
    squares : (groups, n_species, n_channels)
        Of the values.
    """

    gram: Tensor
    moment: Tensor
    squares: Tensor

    @classmethod
    def zero(cls, groups: int, n_species: int, degrees: int, n: int, n_channels: int) -> Self:
        """Nothing collected yet."""
        shapes = (
            (groups, n_species, degrees, n, n),
            (groups, n_species, n, n_channels),
            (groups, n_species, n_channels),
        )
        return cls(*(torch.zeros(shape, dtype=torch.float64) for shape in shapes))

    def of_group(self, n: int) -> Self:
        """Views of the group of the n-th structure."""
        return type(self)(*(sums[n % len(sums)] for sums in self))


class _Affine(NamedTuple):
    """base + scale * output, eV."""

    base: Tensor
    scale: Tensor


def _given(momentum: Coefficients | None) -> Coefficients:
    if momentum is None:
        raise ValueError("this form of the spin-orbit part needs the angular momentum")
    return momentum


def _normalised_harmonics(layout: BlockLayout, vectors: Tensor) -> Tensor:
    """sqrt(4 pi / (2 L + 1)) Y_LM, whose squares sum to one over M."""
    y = real_harmonics(layout.l_max, vectors.detach().cpu().double().numpy())
    scale = np.concatenate(
        [np.full(2 * L + 1, np.sqrt(4 * np.pi / (2 * L + 1))) for L in range(layout.l_max + 1)]
    )
    return torch.from_numpy(y * scale).to(vectors)


def _inner(layout_weight: float, a: Coefficients, b: Coefficients) -> float:
    """Sum over both members of each Hermitian pair."""
    onsite = (a.onsite * b.onsite).sum()
    return float(onsite + layout_weight * (a.offsite * b.offsite).sum())


class TargetTransform(nn.Module):
    """Between Hamiltonians in eV and the dimensionless output of a network.

    Parameters
    ----------
    layout : BlockLayout
        Irreps of the blocks.
    config : TargetConfig
        Choices; `cutoff` is the longest distance of a pair.
    cutoff : float
        Where all tables end, Å: the longest pair of the basis.
    form : SpinForm, optional
        Of the spin parts. If it makes B of strengths and angular momenta, then the methods below
        need the latter (`momentum`, see `spin_orbit.half_angular_momentum`).
    """

    def __init__(
        self,
        layout: BlockLayout,
        config: TargetConfig,
        cutoff: float,
        form: SpinForm | None = None,
    ) -> None:
        super().__init__()
        self.layout, self.config, self.cutoff = layout, config, float(cutoff)
        self.strength: SpinOrbitStrength | None = None
        if form is not None and form.spin_orbit == "angular_momentum":
            self.strength = SpinOrbitStrength(
                layout, config.n_splines, self.cutoff, config.bin_width
            )
        n_species = len(layout.basis.species)
        n_channels = layout.n_channels
        n_bins = int(np.ceil(cutoff / config.bin_width))
        self.register_buffer("knots", uniform_knots(config.n_splines, cutoff))
        self.register_buffer(
            "onsite_knots", uniform_knots(config.n_onsite_splines, config.onsite_cutoff)
        )
        for name, shape in (
            ("tables", (n_species, n_species, config.n_splines, n_channels)),
            ("onsite_constant", (n_species, n_channels)),
            ("onsite_tables", (n_species, n_species, config.n_onsite_splines, n_channels)),
            ("offsite_scale", (n_bins + 1, n_channels)),
            ("onsite_scale", (n_channels,)),
            ("histogram", (n_species, n_species, n_bins)),
        ):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))
        harmonic = np.empty(layout.n_coefficients, dtype=np.int64)
        natural = np.empty(layout.n_coefficients)
        for L, entries in enumerate(layout.channels):
            rows = np.arange(layout.starts[L], layout.starts[L + 1])
            harmonic[rows] = L * L + (rows - layout.starts[L]) // len(entries)
            has = [c.natural and not c.odd and not self._made(c) for c in entries]
            natural[rows] = np.tile(np.array(has, dtype=float), 2 * L + 1)
        reverse_index, reverse_sign = layout.reversal
        for name, values in (
            ("harmonic_of", harmonic),
            ("natural", natural),
            ("channel_of", layout.channel_of),
            ("tied", self._tied(form)),
            ("reverse_index", reverse_index),
            ("reverse_sign", reverse_sign),
        ):
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(values)), False)

    def to_config(self) -> dict[str, object]:
        """Plain values from which an empty transform is made again."""
        return {"config": asdict(self.config), "cutoff": self.cutoff}

    def _tied(self, form: SpinForm | None) -> NDArray[np.int64]:
        """Of each channel, the first of those with which it shares its scale: (n_channels,).

        Products of a block and a spin vector stay such products, and spin space turns by itself.
        """
        out, first = np.arange(self.layout.n_channels), dict[tuple[int, int, int], int]()
        if form is None or form.exchange == "general":
            return out
        channels = [c for entries in self.layout.channels for c in entries]
        for n, c in enumerate(channels):
            if self.layout.parts[c.part].name == "C":
                out[n] = first.setdefault((c.a, c.b, c.K), n)
        return out

    def _made(self, channel: Channel) -> bool:
        """Whether a channel is made of strengths and angular momenta."""
        return self.strength is not None and self.layout.parts[channel.part].name == "B"

    # ------------------------------------------------------------------ baseline
    def _tables_at(self, graph: HamiltonianGraph) -> Tensor:
        """Two-centre part of off-site coefficients, (n_pairs, n_coefficients)."""
        vectors = graph.pair_vectors
        dtype = vectors.dtype
        basis = spline_basis(vectors.norm(dim=1), self.knots.to(dtype))
        harmonics = _normalised_harmonics(self.layout, vectors)
        values = vectors.new_zeros(len(vectors), self.layout.n_channels)
        n_species = len(self.tables)
        kind = graph.species[graph.pair_i] * n_species + graph.species[graph.pair_j]
        for pair in range(n_species * n_species):
            rows = torch.nonzero(kind == pair).squeeze(1)
            if len(rows):
                table = self.tables[pair // n_species, pair % n_species].to(dtype)
                values.index_copy_(0, rows, basis.index_select(0, rows) @ table)
        factors = harmonics.index_select(1, self.harmonic_of) * self.natural.to(dtype)
        return values.index_select(1, self.channel_of) * factors

    def _onsite_at(self, graph: HamiltonianGraph) -> Tensor:
        """Linear on-site part, (n_atoms, n_coefficients)."""
        dtype = graph.message_vectors.dtype
        n_species, n_channels = self.onsite_constant.shape
        features = self._onsite_features(graph)
        out = graph.message_vectors.new_zeros(graph.n_atoms, self.layout.n_coefficients)
        for species in range(n_species):
            rows = torch.nonzero(graph.species == species).squeeze(1)
            if len(rows):
                table = self.onsite_tables[species].reshape(-1, n_channels).to(dtype)
                flat = features[rows].flatten(2)
                values = flat @ table
                values[:, 0] += self.onsite_constant[species].to(dtype)
                out[rows] = values[:, self.harmonic_of, self.channel_of]
        return out * self.natural.to(dtype)

    def _onsite_features(self, graph: HamiltonianGraph) -> Tensor:
        """Sum over neighbours of spline(d) Y_LM, (n_atoms, harmonics, n_species, n_splines)."""
        vectors = graph.message_vectors
        distance = vectors.norm(dim=1)
        near = torch.nonzero(distance < self.config.onsite_cutoff).squeeze(1)
        vectors, distance = vectors[near], distance[near]
        basis = spline_basis(distance, self.onsite_knots.to(vectors.dtype))
        harmonics = _normalised_harmonics(self.layout, vectors)
        n_species = len(self.onsite_constant)
        size = harmonics.shape[1]
        out = vectors.new_zeros(graph.n_atoms * n_species, size, basis.shape[1])
        slot = graph.message_i[near] * n_species + graph.species[graph.message_j[near]]
        out.index_add_(0, slot, harmonics[:, :, None] * basis[:, None, :])
        return out.view(graph.n_atoms, n_species, size, -1).transpose(1, 2)

    def _onsite(self, graph: HamiltonianGraph, momentum: Coefficients | None) -> _Affine:
        """Baseline and scale of the atoms."""
        if self.config.tables:
            base = self._onsite_at(graph)
        else:
            base = graph.message_vectors.new_zeros(graph.n_atoms, self.layout.n_coefficients)
        scale = self.onsite_scale.to(base.dtype)[self.channel_of].expand(graph.n_atoms, -1)
        if self.strength is not None:
            l = _given(momentum).onsite
            scale = scale.clone()
            base[:, self.strength.rows] = self.strength.baseline_onsite(graph, l).to(base)
            scale[:, self.strength.rows] = self.strength.scale_onsite(l).to(base)
        return _Affine(base, scale)

    def _offsite(self, graph: HamiltonianGraph, momentum: Coefficients | None) -> _Affine:
        """Baseline and scale of the pairs."""
        if self.config.tables:
            base = self._tables_at(graph)
        else:
            base = graph.pair_vectors.new_zeros(graph.n_pairs, self.layout.n_coefficients)
        table = self.offsite_scale.to(base.dtype)
        distance = graph.pair_vectors.norm(dim=1)
        scale = between_bins(distance, table, self.config.bin_width)
        scale = scale.index_select(1, self.channel_of)
        if self.strength is not None:
            l = _given(momentum).offsite
            base[:, self.strength.rows] = self.strength.baseline_offsite(graph, l).to(base)
            scale[:, self.strength.rows] = self.strength.scale_offsite(graph, l).to(base)
        return _Affine(base, scale)

    def baseline(
        self, graph: HamiltonianGraph, momentum: Coefficients | None = None
    ) -> Coefficients:
        """Fitted part of the target in eV, without the operators."""
        return Coefficients(self._onsite(graph, momentum).base, self._offsite(graph, momentum).base)

    def scales(
        self, graph: HamiltonianGraph, momentum: Coefficients | None = None
    ) -> tuple[Tensor, Tensor]:
        """What one unit of network output means in eV, for every coefficient."""
        return self._onsite(graph, momentum).scale, self._offsite(graph, momentum).scale

    def normalise(self, graph: HamiltonianGraph, target: Coefficients) -> Coefficients:
        """Coefficients in eV (operators already subtracted) to network units.

        The general form only: angular momenta cannot be divided by.
        """
        onsite, offsite = self._onsite(graph, None), self._offsite(graph, None)
        return Coefficients(
            (target.onsite - onsite.base) / onsite.scale,
            (target.offsite - offsite.base) / offsite.scale,
        )

    def restore(
        self,
        graph: HamiltonianGraph,
        output: Coefficients,
        momentum: Coefficients | None = None,
    ) -> Coefficients:
        """Network output to coefficients in eV (operators still to be added)."""
        atoms = self._onsite(graph, momentum)
        # in portions: tables and scales of all pairs at once would be larger than the result
        offsite = torch.empty_like(output.offsite)
        for start in range(0, graph.n_pairs, _PORTION):
            part = slice(start, start + _PORTION)
            own = None
            if momentum is not None:
                own = Coefficients(momentum.onsite, momentum.offsite[part])
            pairs = self._offsite(graph.some_pairs(part), own)
            offsite[part] = pairs.base + pairs.scale * output.offsite[part]
        return Coefficients(atoms.base + atoms.scale * output.onsite, offsite)

    # ------------------------------------------------------------------ fit
    def fit(self, examples: Sequence[TrainingExample], rounds: int = 4) -> NDArray[np.float64]:
        """Fit tables, scales and histogram to training structures.

        Returns
        -------
        (n_examples,) float
            The shift mu of each structure, eV: its target is H - mu S. Zero without tables, where
            the target is H.
        """
        if self.strength is not None:
            self.strength.fit(examples, tables=self.config.tables)
        shifts = np.zeros(len(examples))
        for step in range(rounds if self.config.tables else 0):
            self._fit_tables(examples, shifts)
            if step == rounds - 1:
                break
            for n, example in enumerate(examples):
                base = self.baseline(example.graph, example.momentum)
                rest = Coefficients(
                    example.target.onsite - base.onsite, example.target.offsite - base.offsite
                )
                shifts[n] = _inner(2.0, rest, example.overlap) / _inner(
                    2.0, example.overlap, example.overlap
                )
        self._fit_scales(examples, shifts)
        return shifts

    def _fit_tables(self, examples: Sequence[TrainingExample], shifts: NDArray) -> None:
        n_species, _, n_splines, n_channels = self.tables.shape
        n_pairs = n_species * n_species
        gram = torch.zeros(n_pairs, n_splines, n_splines, dtype=torch.float64)
        moment = torch.zeros(n_pairs, n_splines, n_channels, dtype=torch.float64)
        n_on = self.onsite_tables.shape[2] * n_species
        # degrees couple only through the constant of L = 0, which rides along as one more feature
        onsite = _OnsiteSums.zero(
            min(_GROUPS, len(examples)), n_species, self.layout.l_max + 1, n_on + 1, n_channels
        )
        for n, (example, mu) in enumerate(zip(examples, shifts, strict=True)):
            graph = example.graph
            rest = (example.target.offsite - mu * example.overlap.offsite).double()
            vectors = graph.pair_vectors.double()
            harmonics = _normalised_harmonics(self.layout, vectors)[:, self.harmonic_of]
            basis = spline_basis(vectors.norm(dim=1), self.knots)
            forward = graph.species[graph.pair_i] * n_species + graph.species[graph.pair_j]
            backward = graph.species[graph.pair_j] * n_species + graph.species[graph.pair_i]
            # the harmonics of the reversed edge carry (-1)^L, which the sum over M must see
            parity = (-1.0) ** torch.from_numpy(self._degree_of_coefficient())
            reverse = rest[:, self.reverse_index] * self.reverse_sign * parity
            for kind, values in ((forward, rest), (backward, reverse)):
                along = self._sum_over_components(values * harmonics * self.natural)
                for pair in range(n_pairs):
                    rows = torch.nonzero(kind == pair).squeeze(1)
                    if len(rows):
                        gram[pair] += basis[rows].T @ basis[rows]
                        moment[pair] += basis[rows].T @ along[rows]
            self._collect_onsite(example, mu, onsite.of_group(n))
        self._solve_tables(gram, moment)
        self._solve_onsite(onsite)

    def _degree_of_coefficient(self) -> NDArray[np.int64]:
        return np.sqrt(self.harmonic_of.numpy()).astype(np.int64)

    def _sum_over_components(self, values: Tensor) -> Tensor:
        """Sum the coefficients of each channel over M: (n, n_channels)."""
        out = values.new_zeros(len(values), self.layout.n_channels)
        return out.index_add_(1, self.channel_of, values)

    def _solve_tables(self, gram: Tensor, moment: Tensor) -> None:
        n_species, _, n_splines, n_channels = self.tables.shape
        n_pairs = n_species * n_species
        config = self.config
        weight = float(gram.diagonal(dim1=1, dim2=2).sum() / n_splines)
        second = torch.zeros(n_splines - 2, n_splines, dtype=torch.float64)
        for row in range(n_splines - 2):
            second[row, row : row + 3] = torch.tensor([1.0, -2.0, 1.0])
        smooth = config.smoothness * weight * second.T @ second
        ridge = config.ridge * weight * torch.eye(n_splines, dtype=torch.float64)
        # unknowns: the common table, then the departure of each pair of elements
        size = (1 + n_pairs) * n_splines
        system = torch.zeros(size, size, dtype=torch.float64)
        right = torch.zeros(size, n_channels, dtype=torch.float64)
        common = slice(0, n_splines)
        system[common, common] = gram.sum(0) + smooth + ridge
        right[common] = moment.sum(0)
        share = config.sharing * weight / n_pairs * torch.eye(n_splines, dtype=torch.float64)
        for pair in range(n_pairs):
            own = slice((1 + pair) * n_splines, (2 + pair) * n_splines)
            system[own, own] = gram[pair] + share + smooth
            system[common, own] = gram[pair]
            system[own, common] = gram[pair]
            right[own] = moment[pair]
        solution = torch.linalg.solve(system, right)
        tables = solution[common] + solution[n_splines:].view(n_pairs, n_splines, n_channels)
        self.tables.copy_(tables.view(n_species, n_species, n_splines, n_channels))

    def _collect_onsite(self, example: TrainingExample, mu: float, sums: _OnsiteSums) -> None:
        graph = example.graph
        values = (example.target.onsite - mu * example.overlap.onsite).double()
        values = values * self.natural
        features = self._onsite_features(graph.to("cpu", torch.float64)).flatten(2)
        constant = torch.zeros(*features.shape[:2], 1, dtype=torch.float64)
        constant[:, 0] = 1.0
        features = torch.cat([features, constant], 2)
        start = self.layout.starts
        for species in range(len(sums.gram)):
            rows = torch.nonzero(graph.species == species).squeeze(1)
            if not len(rows):
                continue
            first = 0
            for L, entries in enumerate(self.layout.channels):
                x = features[rows, L * L : (L + 1) ** 2].flatten(0, 1)
                y = values[rows, start[L] : start[L + 1]].view(-1, len(entries))
                own = slice(first, first + len(entries))
                sums.gram[species, L] += x.T @ x
                sums.moment[species, :, own] += x.T @ y
                sums.squares[species, own] += y.square().sum(0)
                first += len(entries)

    def _solve_onsite(self, sums: _OnsiteSums) -> None:
        n_species, size = len(self.onsite_constant), sums.gram.shape[-1]
        shape = self.onsite_tables.shape[1:3]
        diagonal = sums.gram.sum(0).diagonal(dim1=-2, dim2=-1)[..., :-1].mean(-1)
        for species in range(n_species):
            first = 0
            # in a perfect crystal most degrees have features of rounding size, which must not be
            # blown up to fit targets of that size
            least = _ROUNDING * float(diagonal[species].max())
            for L, entries in enumerate(self.layout.channels):
                own = slice(first, first + len(entries))
                first += len(entries)
                scale = max(float(diagonal[species, L]), least)
                if scale == 0.0:
                    continue
                penalties = []
                for relative in _ONSITE_PENALTIES:
                    penalty = torch.full((size,), relative * scale, dtype=torch.float64)
                    penalty[-1] = 1e-12 * scale + (0.0 if L == 0 else 1.0)
                    penalties.append(penalty)
                gram, moment = sums.gram[:, species, L], sums.moment[:, species, :, own]
                solution = carried_over(gram, moment, sums.squares[:, species, own], penalties)
                self.onsite_tables[species, :, :, own] = solution[:-1].view(*shape, -1)
                self.onsite_constant[species, own] = solution[-1] if L == 0 else 0.0

    def _fit_scales(self, examples: Sequence[TrainingExample], shifts: NDArray) -> None:
        n_bins = self.histogram.shape[2]
        width = self.config.bin_width
        n_channels = self.layout.n_channels
        squares = torch.zeros(n_bins, n_channels, dtype=torch.float64)
        counts = torch.zeros(n_bins, dtype=torch.float64)
        onsite = torch.zeros(n_channels, dtype=torch.float64)
        n_atoms = 0
        components = torch.zeros(n_channels, dtype=torch.float64)
        components.index_add_(
            0, self.channel_of, torch.ones(len(self.channel_of), dtype=torch.float64)
        )
        self.histogram.zero_()
        for example, mu in zip(examples, shifts, strict=True):
            graph = example.graph
            base = self.baseline(graph, example.momentum)
            rest = example.target.offsite - mu * example.overlap.offsite - base.offsite
            bins = (graph.pair_vectors.norm(dim=1) / width).long().clamp(max=n_bins - 1)
            # both directions: which of them a pair of like atoms is stored in must not matter
            both = rest.double() ** 2
            both = 0.5 * (both + both[:, self.reverse_index])
            squares.index_add_(0, bins, self._sum_over_components(both))
            counts.index_add_(0, bins, torch.ones(len(bins), dtype=torch.float64))
            rest = example.target.onsite - mu * example.overlap.onsite - base.onsite
            onsite += self._sum_over_components(rest.double() ** 2).sum(0)
            n_atoms += graph.n_atoms
            a, b = graph.species[graph.pair_i], graph.species[graph.pair_j]
            ones = torch.ones(len(bins), dtype=torch.float64)
            self.histogram.index_put_((a, b, bins), ones, accumulate=True)
            self.histogram.index_put_((b, a, bins), ones, accumulate=True)
        squares, components, onsite = (
            part.new_zeros(part.shape).index_add_(-1, self.tied, part)[..., self.tied]
            for part in (squares, components, onsite)
        )
        floor = 1e-6
        self.offsite_scale.copy_(bin_scales(squares, counts[:, None] * components, floor))
        self.onsite_scale.copy_(torch.sqrt(onsite / (n_atoms * components)).clamp(min=floor))
