"""The checks of the conformance kit: what every family must obey, measured on small structures.

`learning.testing.check_family` runs them. A check returns a number and the limit it must not
exceed; the numbers are relative to the size of the network's own output, so that they mean the same
for all families. Weights are random: a symmetry that holds only after training does not hold.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ase_mlham.core import BlockMatrix, BlockPattern, OrbitalBasis, SpinKind, Structure
from ase_mlham.core.spin import spin_blocks
from ase_mlham.core.spin_space import spin_rotated_matrix
from ase_mlham.core.system import basis_pattern
from ase_mlham.core.transform import permuted, rotated_matrix, shifted, supercell
from ase_mlham.integrals import overlap as overlap_of
from ase_mlham.learning.family import Coefficients
from ase_mlham.learning.graph import HamiltonianGraph, build_graph
from ase_mlham.learning.layout import BlockLayout
from ase_mlham.learning.nn.chunks import set_recompute
from ase_mlham.learning.spin_form import SpinForm
from ase_mlham.learning.spin_orbit import half_angular_momentum, spin_orbit_rows
from ase_mlham.learning.tensors import to_matrix

__all__ = ["CHECKS", "Measurement", "Skip", "Subject"]

# sums of a few thousand terms in double precision, in units of the output's root mean square
_EXACT = 1e-9
_SINGLE = 2e-3
# bfloat16 rounds by up to 0.4 %; a network of ten to a hundred operations one after another adds up
# independent errors of that size
_MIXED = 0.05


class Measurement(NamedTuple):
    """What a check found."""

    value: float
    limit: float
    detail: str = ""


class Skip(Exception):  # noqa: N818 - not an error
    """A check does not apply on this machine."""


@dataclass(frozen=True)
class Subject:
    """A family with random weights, ready to be measured.

    Attributes
    ----------
    spec : FamilySpec
        The family.
    config : object
        Its configuration.
    basis : OrbitalBasis
        Orbitals of the probe structures.
    layout : BlockLayout
        Irreps of the blocks.
    form : SpinForm
        Of the spin parts.
    make : callable
        `make(seed, **changes) -> Module` in double precision and evaluation mode, weights random;
        the changes are to the configuration.
    steps : int
        Optimiser steps of the overfitting check.
    """

    spec: Any
    config: Any
    basis: OrbitalBasis
    layout: BlockLayout
    form: SpinForm
    make: Callable[..., Any]
    steps: int

    @property
    def magnetic(self) -> bool:
        """Whether H has parts that are odd in the magnetic moments."""
        return bool(self.layout.odd.any())

    def network(self) -> Any:
        """The network that all checks look at."""
        return self.make(0)

    def graph(
        self,
        structure: Structure,
        pattern: BlockPattern | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> HamiltonianGraph:
        """Graph of a probe structure."""
        pattern = basis_pattern(structure, self.basis) if pattern is None else pattern
        return build_graph(structure, self.basis, pattern, self.network().message_cutoff, dtype)

    def blocks(
        self, structure: Structure, pattern: BlockPattern | None = None
    ) -> tuple[BlockMatrix, float]:
        """Blocks that the network predicts, and their root mean square."""
        pattern = basis_pattern(structure, self.basis) if pattern is None else pattern
        with torch.no_grad():
            output = self.network()(self.graph(structure, pattern))
        if self.strengths is not None:
            overlap = overlap_of(structure, self.basis, pattern)
            l = half_angular_momentum(self.layout, structure, self.basis, overlap)
            for part, factor in zip(output, l, strict=True):
                part[:, self.strengths] *= factor
        matrix = to_matrix(self.layout, pattern, output)
        return matrix, _rms(matrix)

    @property
    def strengths(self) -> torch.Tensor | None:
        """Coefficients that the network gives as strengths xi, which multiply <L> / 2."""
        if self.form.spin_orbit != "angular_momentum":
            return None
        return spin_orbit_rows(self.layout)

    @property
    def reversal(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """`BlockLayout.reversal` of what the network gives: xi is the same from both ends."""
        index, sign = self.layout.reversal
        if self.strengths is not None:
            sign = sign.copy()
            sign[self.strengths.numpy()] = 1.0
        return index, sign


def _rms(matrix: BlockMatrix) -> float:
    flat = np.concatenate([array.ravel() for array in matrix.values])
    return float(np.sqrt(np.mean(abs(flat) ** 2)))


def _deviation(a: BlockMatrix, b: BlockMatrix) -> float:
    """Largest difference of two matrices on one pattern."""
    if a.pattern != b.pattern:
        return float("inf")
    return max(float(abs(x - y).max()) for x, y in zip(a.values, b.values, strict=True))


def _largest(a: Coefficients, b: Coefficients) -> float:
    return max(float((x - y).abs().max()) if x.numel() else 0.0 for x, y in zip(a, b, strict=True))


def _size(output: Coefficients) -> float:
    return float(torch.cat([part.flatten() for part in output]).pow(2).mean().sqrt())


# ---------------------------------------------------------------------- probe structures
def _elements(subject: Subject) -> tuple[int, int]:
    return int(subject.basis.numbers[0]), int(subject.basis.numbers[-1])


def _structure(
    subject: Subject, numbers: list[int], positions: ArrayLike, cell: ArrayLike | None = None
) -> Structure:
    """Periodic with a cell, a molecule without; moments where H has parts odd in them."""
    moments = None
    if subject.magnetic:
        moments = np.random.default_rng(len(numbers)).normal(size=(len(numbers), 3))
        if subject.layout.spin is SpinKind.COLLINEAR:
            moments[:, :2] = 0.0
    return Structure(
        np.array(numbers),
        np.array(positions, dtype=float),
        np.zeros((3, 3)) if cell is None else np.array(cell),
        np.full(3, cell is not None),
        moments,
    )


def _crystal(subject: Subject) -> Structure:
    """Undistorted rock salt: edges along all axes, where edge frames have their poles."""
    a, b = _elements(subject)
    cell = 2.3 * np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]])
    return _structure(subject, [a, b], [[0.0, 0, 0], [2.3, 0, 0]], cell)


def _disordered(subject: Subject) -> Structure:
    """Triclinic cell without any symmetry; one atom outside the cell."""
    a, b = _elements(subject)
    cell = np.array([[4.3, 0.2, -0.4], [0.5, 4.6, 0.3], [-0.3, 0.6, 4.9]])
    scaled = np.array(
        [[0.02, 0.05, -0.03], [0.51, 0.47, 0.06], [0.46, 0.04, 0.55], [1.05, 0.5, 0.52]]
    )
    return _structure(subject, [a, b, b, a], scaled @ cell, cell)


def _molecule(subject: Subject) -> Structure:
    """Not periodic; bonds along +z and -z."""
    a, b = _elements(subject)
    positions = [[0.0, 0, 0], [0, 0, 2.1], [0, 0, -1.9], [1.6, 0.4, 0.9]]
    return _structure(subject, [a, b, a, b], positions)


def _probes(subject: Subject) -> dict[str, Structure]:
    return {
        "crystal": _crystal(subject),
        "disordered": _disordered(subject),
        "molecule": _molecule(subject),
    }


def _moved(structure: Structure, positions: NDArray[np.float64]) -> Structure:
    return replace(structure, positions=positions)


# ---------------------------------------------------------------------- symmetry
def _worst(measured: Mapping[str, float]) -> Measurement:
    name = max(measured, key=lambda key: measured[key])
    return Measurement(measured[name], _EXACT, f"worst on {name}")


def _turn(angle: float, axis: tuple[float, float, float]) -> NDArray[np.float64]:
    x, y, z = np.array(axis) / np.linalg.norm(axis)
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


def _rotated(subject: Subject, turns: Mapping[str, NDArray[np.float64]]) -> Measurement:
    measured = {}
    for probe, structure in _probes(subject).items():
        pattern = basis_pattern(structure, subject.basis)
        reference, size = subject.blocks(structure, pattern)
        for turn, Q in turns.items():
            turned = replace(
                structure,
                positions=structure.positions @ Q.T,
                cell=structure.cell @ Q.T,
                moments=_turned_moments(subject, structure, Q),
            )
            expected = rotated_matrix(reference, subject.basis, Q, "pauli")
            found, _ = subject.blocks(turned, pattern)
            measured[f"{probe}, {turn}"] = _deviation(found, expected) / size
    return _worst(measured)


def _turned_moments(
    subject: Subject, structure: Structure, Q: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Axial vectors; collinear ones have an axis of their own."""
    if structure.moments is None or subject.layout.spin is SpinKind.COLLINEAR:
        return structure.moments
    return np.linalg.det(Q) * structure.moments @ Q.T


def rotation(subject: Subject) -> Measurement:
    """Turning the structure turns the blocks by the Wigner matrices of their shells."""
    return _rotated(
        subject,
        {
            "general turn": _turn(1.1, (0.3, -0.5, 0.8)),
            "half turn about x": np.diag([1.0, -1.0, -1.0]),
            "quarter turn z to y": _turn(np.pi / 2, (1.0, 0.0, 0.0)),
            "small turn": _turn(1e-7, (1.0, 0.2, 0.0)),
        },
    )


def inversion(subject: Subject) -> Measurement:
    """Inversion and mirrors: every shell carries its parity (-1)^l."""
    return _rotated(
        subject,
        {"inversion": -np.eye(3), "mirror": -_turn(np.pi, (0.2, 0.5, -0.4))},
    )


def translation(subject: Subject) -> Measurement:
    """Moving all atoms together changes nothing."""
    measured = {}
    for probe, structure in _probes(subject).items():
        pattern = basis_pattern(structure, subject.basis)
        reference, size = subject.blocks(structure, pattern)
        moved = _moved(structure, structure.positions + np.array([0.7, -12.3, 3.1]))
        measured[probe] = _deviation(subject.blocks(moved, pattern)[0], reference) / size
    return _worst(measured)


def permutation(subject: Subject) -> Measurement:
    """The order of atoms changes the order of blocks and nothing else."""
    measured = {}
    for probe, structure in _probes(subject).items():
        reference, size = subject.blocks(structure)
        order = np.roll(np.arange(structure.n_atoms)[::-1], 1)
        expected = permuted(reference, order)
        other = replace(
            structure,
            numbers=structure.numbers[order],
            positions=structure.positions[order],
            moments=None if structure.moments is None else structure.moments[order],
        )
        found, _ = subject.blocks(other, expected.pattern)
        measured[probe] = _deviation(found, expected) / size
    return _worst(measured)


def hermiticity(subject: Subject) -> Measurement:
    """On-site blocks are symmetric; a pair seen from its other end gives the transposed block."""
    layout, network = subject.layout, subject.network()
    measured = {}
    for probe, structure in _probes(subject).items():
        graph = subject.graph(structure)
        swapped = HamiltonianGraph(
            **{
                **{field.name: getattr(graph, field.name) for field in fields(graph)},
                "pair_i": graph.pair_j,
                "pair_j": graph.pair_i,
                "pair_vectors": -graph.pair_vectors,
            }
        )
        with torch.no_grad():
            there, back = network(graph), network(swapped)
        size = _size(there)
        index, sign = subject.reversal
        turned = (back.offsite[..., index] * torch.from_numpy(sign)).numpy()
        difference = abs(turned - there.offsite.numpy())
        onsite = there.onsite.numpy()
        worst = 0.0
        # channels that a pair of elements lacks carry no meaning
        for a in range(len(subject.basis.species)):
            own = abs(layout.coupling(a, a)).max(axis=1) > 0
            atoms = graph.species.numpy() == a
            symmetric = (onsite[..., index] * sign)[atoms][..., own]
            if atoms.any():
                worst = max(worst, float(abs(symmetric - onsite[atoms][..., own]).max()))
            for b in range(len(subject.basis.species)):
                used = abs(layout.coupling(a, b)).max(axis=1) > 0
                pairs = (graph.species[graph.pair_i] == a) & (graph.species[graph.pair_j] == b)
                if pairs.any():
                    worst = max(worst, float(difference[pairs.numpy()][..., used].max()))
        measured[probe] = worst / size
    return _worst(measured)


def supercells(subject: Subject) -> Measurement:
    """A larger cell of the same crystal has the same blocks."""
    measured = {}
    for probe in ("crystal", "disordered"):
        structure = _probes(subject)[probe]
        reference, size = subject.blocks(structure)
        expected = supercell(reference, (2, 1, 1))
        doubled = Structure(
            np.tile(structure.numbers, 2),
            np.concatenate([structure.positions, structure.positions + structure.cell[0]]),
            structure.cell * np.array([[2.0], [1.0], [1.0]]),
            structure.pbc,
            None if structure.moments is None else np.tile(structure.moments, (2, 1)),
        )
        found, _ = subject.blocks(doubled, expected.pattern)
        measured[probe] = _deviation(found, expected) / size
    return _worst(measured)


def images(subject: Subject) -> Measurement:
    """Replacing atoms by their periodic images relabels blocks and changes nothing else."""
    measured = {}
    for probe in ("crystal", "disordered"):
        structure = _probes(subject)[probe]
        reference, size = subject.blocks(structure)
        cells = np.array([[1, 0, -2], [0, -1, 0], [0, 0, 0], [-1, 1, 1]])[: structure.n_atoms]
        expected = shifted(reference, cells)
        moved = _moved(structure, structure.positions + cells @ structure.cell)
        found, _ = subject.blocks(moved, expected.pattern)
        measured[probe] = _deviation(found, expected) / size
    return _worst(measured)


def _reversed_moments(
    subject: Subject, deviation: Callable[[NDArray, NDArray], float]
) -> Measurement:
    """Compare blocks for moments turned round with those before; `deviation(after, before)`."""
    measured = {}
    for probe, structure in _probes(subject).items():
        reference, size = subject.blocks(structure)
        flipped = None if structure.moments is None else -structure.moments
        found, _ = subject.blocks(replace(structure, moments=flipped))
        pairs = zip(found.values, reference.values, strict=True)
        measured[probe] = max(deviation(a, b) for a, b in pairs) / size
    return _worst(measured)


def time_reversal(subject: Subject) -> Measurement:
    """Turning all moments round conjugates H and turns its spin; without any, spin is B alone."""
    if subject.layout.spin is SpinKind.NONE:
        raise Skip("Hamiltonians without spin")

    def deviation(a: NDArray, b: NDArray) -> float:
        expected = b.conj().copy()
        expected[1:] *= -1
        return float(abs(a - expected).max())

    return _reversed_moments(subject, deviation)


def spinless_limit(subject: Subject) -> Measurement:
    """Without moments all parts that are odd in them vanish."""
    if not subject.magnetic:
        raise Skip("no part of H is odd in the moments")
    measured = {}
    for probe, structure in _probes(subject).items():
        graph = subject.graph(structure)
        with torch.no_grad():
            size = _size(subject.network()(graph))
            none = subject.network()(replace(graph, moments=torch.zeros_like(graph.moments)))
        odd = [part[:, subject.layout.odd] for part in none]
        measured[probe] = max(float(x.abs().max()) if x.numel() else 0.0 for x in odd) / size
    return _worst(measured)


def moments(subject: Subject) -> Measurement:
    """The moments are felt: otherwise the two checks above would see nothing."""
    if not subject.magnetic:
        raise Skip("no part of H is odd in the moments")
    odd, smallest = subject.layout.odd, np.inf
    for structure in _probes(subject).values():
        with torch.no_grad():
            output = subject.network()(subject.graph(structure))
        parts = Coefficients(*(part[:, odd] for part in output))
        smallest = min(smallest, _size(parts) / _size(output))
    return Measurement(1e-4 / max(smallest, 1e-300), 1.0, f"odd parts {smallest:.1g} of the whole")


def collinear_flip(subject: Subject) -> Measurement:
    """Turning collinear moments round exchanges up and down."""
    if not subject.magnetic or subject.layout.spin is not SpinKind.COLLINEAR:
        raise Skip("no collinear spin")

    def deviation(a: NDArray, b: NDArray) -> float:
        up, down = b[0] + b[1], b[0] - b[1]
        return float(max(abs(a[0] + a[1] - down).max(), abs(a[0] - a[1] - up).max()))

    return _reversed_moments(subject, deviation)


def kramers(subject: Subject) -> Measurement:
    """Without moments, levels come in pairs where k and -k are the same."""
    if subject.layout.spin is not SpinKind.SPINOR:
        raise Skip("Hamiltonians without spinors")
    measured = {}
    for probe in ("crystal", "disordered"):
        structure = _probes(subject)[probe]
        if structure.moments is not None:
            structure = replace(structure, moments=np.zeros_like(structure.moments))
        matrix, size = subject.blocks(structure)
        k = np.array([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [0.5, 0.5, 0.0]])
        worst = 0.0
        for components in matrix.at_k(k):
            levels = np.linalg.eigvalsh(spin_blocks(components, SpinKind.SPINOR)[0])
            worst = max(worst, float(abs(levels[::2] - levels[1::2]).max()))
        measured[probe] = worst / size
    return _worst(measured)


def moments_turned(subject: Subject) -> Measurement:
    """Without spin-orbit coupling, moments turned alone turn the spin of H and nothing else."""
    if not subject.form.isotropic or subject.layout.spin is not SpinKind.SPINOR:
        raise Skip("spin is coupled to space, or has an axis of its own")
    Q = _turn(0.9, (0.5, 0.2, -0.7))
    measured = {}
    for probe, structure in _probes(subject).items():
        pattern = basis_pattern(structure, subject.basis)
        reference, size = subject.blocks(structure, pattern)
        turned = replace(structure, moments=_turned_moments(subject, structure, Q))
        found, _ = subject.blocks(turned, pattern)
        measured[probe] = _deviation(found, spin_rotated_matrix(reference, Q)) / size
    return _worst(measured)


# ---------------------------------------------------------------------- smoothness and range
def _approach(subject: Subject, distance: float) -> Structure:
    """The molecule, and one atom more at a distance from its first atom, far from the others."""
    base = _molecule(subject)
    direction = np.array([-0.6, -0.8, 0.0])
    positions = np.concatenate([base.positions, [distance * direction]])
    numbers = np.append(base.numbers, _elements(subject)[0])
    moments = None if base.moments is None else np.append(base.moments, base.moments[:1], axis=0)
    return replace(base, numbers=numbers, positions=positions, moments=moments)


def message_cutoff(subject: Subject) -> Measurement:
    """An atom that enters the range of messages does so without a jump in value or slope."""
    cutoff = subject.network().message_cutoff
    pattern = basis_pattern(_molecule(subject), subject.basis)
    species = subject.basis.species_index(_approach(subject, cutoff).numbers)
    pattern = BlockPattern.from_pairs(species, subject.basis.sizes, pattern.i, pattern.j, pattern.R)
    step = 1e-4
    values = [
        subject.blocks(_approach(subject, cutoff + n * step), pattern) for n in (-2, -1, 1e-3, 1)
    ]
    size = values[0][1]
    inside = _deviation(values[1][0], values[0][0]) / step
    across = _deviation(values[2][0], values[1][0]) / step
    beyond = _deviation(values[3][0], values[2][0]) / step
    kink = max(across, beyond, inside) / size
    detail = f"slope inside {inside / size:.1e}, across {across / size:.1e} of the size an angstrom"
    # a smooth cut-off has slope of order step; a jump of one part in a thousand gives 10 here
    return Measurement(kink, 0.1, detail)


def pair_cutoff(subject: Subject) -> Measurement:
    """A pair that comes into the range of orbitals leaves all other blocks as they are."""
    first, last = subject.basis.species[0], subject.basis.species[0]
    reach = first.cutoff + last.cutoff
    outside, inside = _approach(subject, reach + 1e-7), _approach(subject, reach - 1e-7)
    before, size = subject.blocks(outside)
    after, _ = subject.blocks(inside)
    if after.pattern.n_blocks == before.pattern.n_blocks:
        return Measurement(float("inf"), 1e-5, "the probe does not cross the cut-off")
    after = after.on_pattern(before.pattern, drop=True)
    # the distances themselves differ by 2e-7 Å
    return Measurement(_deviation(after, before) / size, 1e-5)


def pair_range(subject: Subject) -> Measurement:
    """At the end of a network's own range of pairs blocks fade, and not long before it."""
    end = getattr(subject.config, "pair_cutoff", None)
    if end is None:
        raise Skip("pairs of every distance are predicted (no option `pair_cutoff`)")
    graph, network = subject.graph(_disordered(subject)), subject.network()
    direction = torch.tensor([[0.36, 0.48, 0.8]], dtype=torch.float64)

    def size_at(distance: float) -> float:
        one = replace(
            graph,
            pair_i=graph.pair_i[:1],
            pair_j=graph.pair_j[:1],
            pair_vectors=distance * direction,
        )
        with torch.no_grad():
            return float(network(one).offsite.pow(2).mean().sqrt())

    usual = size_at(end / 2)
    if size_at(end + 1e-6):
        return Measurement(float("inf"), 1e-6, "there are blocks beyond the range")
    # what far pairs lack in size is in the scales of the targets
    if size_at(0.8 * end) < 0.2 * usual:
        return Measurement(float("inf"), 1e-6, "blocks are small long before the end")
    # a straight line to zero over 10 Å would have left 1e-5
    return Measurement(size_at(end - 1e-4) / usual, 1e-6)


def locality(subject: Subject) -> Measurement:
    """The end of a long chain of atoms does not feel what happens at its other end."""
    a, _ = _elements(subject)
    n, spacing = 24, 2.2
    positions = np.zeros((n, 3))
    positions[:, 0] = spacing * np.arange(n)
    positions[:, 1] = 0.3 * np.sin(np.arange(n))
    structure = _structure(subject, [a] * n, positions)
    pattern = basis_pattern(structure, subject.basis)
    moved = positions.copy()
    moved[-1] += np.array([0.1, 0.2, -0.1])
    network = subject.network()
    with torch.no_grad():
        before = network(subject.graph(structure, pattern))
        after = network(subject.graph(_moved(structure, moved), pattern))
    change = (after.onsite - before.onsite).abs().amax(dim=1) / _size(before)
    affected = torch.nonzero(change > _EXACT).squeeze(1)
    reach = (n - 1 - int(affected.min())) * spacing if len(affected) else 0.0
    if len(affected) == 0:
        return Measurement(float("inf"), _EXACT, "no atom feels its neighbour move")
    return Measurement(float(change[0]), _EXACT, f"on-site blocks feel atoms within {reach:.0f} Å")


def _joined(graphs: list[HamiltonianGraph]) -> HamiltonianGraph:
    first = np.cumsum([0] + [graph.n_atoms for graph in graphs])
    parts: dict[str, list[torch.Tensor]] = {}
    for n, graph in enumerate(graphs):
        for field in fields(graph):
            tensor = getattr(graph, field.name)
            if field.name in ("message_i", "message_j", "pair_i", "pair_j"):
                tensor = tensor + int(first[n])
            elif field.name == "structure":
                tensor = tensor + n
            parts.setdefault(field.name, []).append(tensor)
    return HamiltonianGraph(**{name: torch.cat(tensors) for name, tensors in parts.items()})


def batching(subject: Subject) -> Measurement:
    """Several structures put into one graph do not know of one another."""
    graphs = [subject.graph(structure) for structure in _probes(subject).values()]
    network = subject.network()
    with torch.no_grad():
        apart = [network(graph) for graph in graphs]
        together = network(_joined(graphs))
    expected = Coefficients(
        torch.cat([output.onsite for output in apart]),
        torch.cat([output.offsite for output in apart]),
    )
    return Measurement(_largest(together, expected) / _size(expected), _EXACT)


def chunks(subject: Subject) -> Measurement:
    """Predicting some of the pairs gives what predicting all of them gives."""
    if subject.form.exchange != "general":
        raise Skip("exchange fields are sums over all pairs")
    graph, network = subject.graph(_disordered(subject)), subject.network()
    chosen = torch.randperm(graph.n_pairs, generator=torch.Generator().manual_seed(1))
    chosen = chosen[: graph.n_pairs // 3]
    part = HamiltonianGraph(
        **{
            field.name: getattr(graph, field.name)[chosen]
            if field.name.startswith("pair_")
            else getattr(graph, field.name)
            for field in fields(graph)
        }
    )
    with torch.no_grad():
        whole, some = network(graph), network(part)
    expected = Coefficients(whole.onsite, whole.offsite[chosen])
    return Measurement(_largest(some, expected) / _size(whole), _EXACT)


def precomputed(subject: Subject) -> Measurement:
    """What is computed of a structure beforehand changes nothing."""
    measured, network = {}, subject.network()
    for probe, structure in _probes(subject).items():
        graph = subject.graph(structure)
        with torch.no_grad():
            without, known = network(graph), network(graph, network.precompute(graph))
        measured[probe] = _largest(known, without) / _size(without)
    return _worst(measured)


def portions(subject: Subject) -> Measurement:
    """A bound on how many edges are evaluated at once changes nothing."""
    if not hasattr(subject.config, "chunk"):
        raise Skip("the family has no option `chunk`")
    graph = subject.graph(_disordered(subject))
    with torch.no_grad():
        whole, pieces = subject.network()(graph), subject.make(0, chunk=7)(graph)
    return Measurement(_largest(pieces, whole) / _size(whole), _EXACT)


def recompute(subject: Subject) -> Measurement:
    """Layers that are evaluated again on the way back give the same gradients."""
    small = {"chunk": 7} if hasattr(subject.config, "chunk") else {}
    graph, network = subject.graph(_disordered(subject)), subject.make(0, **small).train()
    if not any(hasattr(module, "recompute") for module in network.modules()):
        raise Skip("the network has no attribute `recompute`")
    parameters = [p for p in network.parameters() if p.requires_grad]
    measured = {}
    for name, known in (("nothing", None), ("the geometry", network.precompute(graph))):
        found = []
        for again in (False, True):
            set_recompute(network, again)
            torch.manual_seed(3)
            value = _mixture(network(graph, known))
            gradients = torch.autograd.grad(value, parameters, allow_unused=True)
            found.append(torch.cat([g.flatten() for g in gradients if g is not None]))
        once, twice = found
        measured[f"{name} computed beforehand"] = float((once - twice).norm() / once.norm())
    return _worst(measured)


def isolated_atom(subject: Subject) -> Measurement:
    """One atom alone: no messages, no pairs, finite blocks of the right shape."""
    a, _ = _elements(subject)
    structure = _structure(subject, [a], np.zeros((1, 3)))
    graph = subject.graph(structure)
    with torch.no_grad():
        output = subject.network()(graph)
    shape = (1, subject.layout.n_coefficients)
    good = (
        tuple(output.onsite.shape) == shape
        and tuple(output.offsite.shape) == (0, *shape[1:])
        and bool(torch.isfinite(output.onsite).all())
    )
    return Measurement(0.0 if good else float("inf"), 0.0, f"on-site shape {output.onsite.shape}")


# ---------------------------------------------------------------------- numbers
def precision(subject: Subject) -> Measurement:
    """Single precision agrees with double precision."""
    graph = subject.graph(_disordered(subject))
    double = subject.network()
    single = copy.deepcopy(double).float()
    with torch.no_grad():
        expected = double(graph)
        found = single(graph.to("cpu", torch.float32))
    if found.offsite.dtype != torch.float32:
        return Measurement(float("inf"), _SINGLE, f"output is {found.offsite.dtype}")
    difference = Coefficients(*(part.double() for part in found))
    return Measurement(_largest(difference, expected) / _size(expected), _SINGLE)


def mixed_precision(subject: Subject) -> Measurement:
    """Under autocast to bfloat16 the output is that of single precision, but for its eight bits."""
    graph = subject.graph(_disordered(subject), dtype=torch.float32)
    network = subject.network().float()
    with torch.no_grad():
        expected = network(graph)
        with torch.autocast("cpu", torch.bfloat16):
            found = Coefficients(*(part.float() for part in network(graph)))
    difference = Coefficients(*(a - b for a, b in zip(found, expected, strict=True)))
    state = torch.random.get_rng_state()
    torch.manual_seed(4)
    with torch.autocast("cpu", torch.bfloat16):
        trained = network.train()(graph)
    torch.random.set_rng_state(state)
    sum(part.float().square().mean() for part in trained).backward()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    if not all(bool(torch.isfinite(gradient).all()) for gradient in gradients):
        return Measurement(float("inf"), _MIXED, "a gradient is not finite")
    return Measurement(_size(difference) / _size(expected), _MIXED, "root mean square")


def device(subject: Subject) -> Measurement:
    """A GPU agrees with the CPU."""
    if not torch.cuda.is_available():
        raise Skip("no GPU on this machine")
    graph = subject.graph(_disordered(subject))
    network = subject.network()
    with torch.no_grad():
        expected = network(graph)
        found = copy.deepcopy(network).to("cuda")(graph.to("cuda"))
    difference = Coefficients(*(part.cpu() for part in found))
    return Measurement(_largest(difference, expected) / _size(expected), _EXACT)


def repeatability(subject: Subject) -> Measurement:
    """The same input gives the same bits and is not changed; precomputed tensors change nothing."""
    graph, network = subject.graph(_disordered(subject)), subject.network()
    kept = {field.name: getattr(graph, field.name).clone() for field in fields(graph)}
    with torch.no_grad():
        first, second = network(graph), network(graph)
        prepared = network.precompute(graph)
        third, fourth = network(graph, prepared), network(graph, prepared)
    changed = [
        name for name, tensor in kept.items() if not torch.equal(tensor, getattr(graph, name))
    ]
    if changed:
        return Measurement(float("inf"), _EXACT, f"the input was changed: {', '.join(changed)}")
    if _largest(first, second) or _largest(third, fourth):
        return Measurement(float("inf"), _EXACT, "two calls with one input differ")
    return Measurement(_largest(first, third) / _size(first), _EXACT)


def _mixture(output: Coefficients) -> torch.Tensor:
    """One number in which every coefficient counts."""
    weights = [torch.cos(torch.arange(part.numel(), dtype=part.dtype)) for part in output]
    pairs = zip(output, weights, strict=True)
    return torch.stack([part.flatten() @ weight for part, weight in pairs]).sum()


def gradient(subject: Subject) -> Measurement:
    """Gradients of the weights agree with finite differences."""
    graph, network = subject.graph(_molecule(subject)), subject.network()
    generator = torch.Generator().manual_seed(2)
    parameters = [p for p in network.parameters() if p.requires_grad]
    directions = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]

    value = _mixture(network(graph))
    gradients = torch.autograd.grad(value, parameters, allow_unused=True)
    unused = sum(g is None for g in gradients)
    pairs = zip(gradients, directions, strict=True)
    exact = sum(float((g * d).sum()) for g, d in pairs if g is not None)
    step, shifted_values = 1e-5, []
    with torch.no_grad():
        for sign in (1, -2):
            for p, d in zip(parameters, directions, strict=True):
                p.add_(d, alpha=sign * step)
            shifted_values.append(float(_mixture(network(graph))))
    numeric = (shifted_values[0] - shifted_values[1]) / (2 * step)
    norm = sum(float((g**2).sum()) for g in gradients if g is not None) ** 0.5
    detail = f"{unused} of {len(parameters)} parameters get no gradient" if unused else ""
    # second-order differences: 1e-10 from the step, 1e-11 from rounding, in units of the gradient
    return Measurement(abs(exact - numeric) / max(norm, 1e-300), 1e-5, detail)


def overfitting(subject: Subject) -> Measurement:
    """The network can be brought to what another one of its kind says about one structure."""
    graph = subject.graph(_disordered(subject), dtype=torch.float32)
    teacher, student = subject.make(7).float(), subject.make(0).float()
    with torch.no_grad():
        target = teacher(graph)
    optimiser = torch.optim.Adam(student.parameters(), lr=5e-3, betas=(0.9, 0.99))
    scale = sum(float(part.pow(2).mean()) for part in target)

    def loss() -> torch.Tensor:
        found = student(graph, prepared)
        return sum((a - b).pow(2).mean() for a, b in zip(found, target, strict=True)) / scale

    with torch.no_grad():
        prepared = student.precompute(graph)
        before = float(loss())
    student.train()
    state = torch.random.get_rng_state()
    torch.manual_seed(3)
    for _ in range(subject.steps):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
    torch.random.set_rng_state(state)
    student.eval()
    with torch.no_grad():
        after = float(loss())
    detail = f"squared error {before:.2f} to {after:.3f} in {subject.steps} steps"
    return Measurement(after / before, 0.3, detail)


def size(subject: Subject) -> Measurement:
    """With random weights the output is not zero: otherwise no check above would see anything."""
    network = subject.network()
    with torch.no_grad():
        outputs = [network(subject.graph(s)) for s in _probes(subject).values()]
    smallest = min(min(_size(Coefficients(p, p)) for p in output) for output in outputs)
    n = sum(p.numel() for p in network.parameters())
    return Measurement(1e-6 / max(smallest, 1e-300), 1.0, f"rms {smallest:.2g}, {n:,} weights")


CHECKS: Mapping[str, Callable[[Subject], Measurement]] = {
    "size": size,
    "rotation": rotation,
    "inversion": inversion,
    "translation": translation,
    "permutation": permutation,
    "hermiticity": hermiticity,
    "supercell": supercells,
    "images": images,
    "time_reversal": time_reversal,
    "collinear_flip": collinear_flip,
    "kramers": kramers,
    "spinless_limit": spinless_limit,
    "moments": moments,
    "moments_turned": moments_turned,
    "message_cutoff": message_cutoff,
    "pair_cutoff": pair_cutoff,
    "pair_range": pair_range,
    "locality": locality,
    "batching": batching,
    "chunks": chunks,
    "portions": portions,
    "precomputed": precomputed,
    "recompute": recompute,
    "isolated_atom": isolated_atom,
    "precision": precision,
    "mixed_precision": mixed_precision,
    "device": device,
    "repeatability": repeatability,
    "gradient": gradient,
    "overfitting": overfitting,
}
"""All checks by name, in the order of the report; `learning.testing` adds the model file."""
