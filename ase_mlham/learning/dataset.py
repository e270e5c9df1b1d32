"""Reference systems as training examples: read when needed, kept in memory up to a stated bound.

`learning` knows no file formats. Whoever makes a data set gives either systems or paths together
with the function that reads one (`ase_mlham.formats.read_system`).
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ase_mlham.core import (
    BlockMatrix,
    BlockPattern,
    LCAOSystem,
    OrbitalBasis,
    SpeciesBasis,
    SpinKind,
)
from ase_mlham.core.neighbours import neighbour_list
from ase_mlham.core.spin_space import to_spinor
from ase_mlham.core.system import basis_pattern
from ase_mlham.errors import BasisError, FormatError, InputError
from ase_mlham.learning.band_loss import BandProblem
from ase_mlham.learning.family import Coefficients
from ase_mlham.learning.graph import HamiltonianGraph, build_graph
from ase_mlham.learning.layout import BlockLayout
from ase_mlham.learning.losses import ElementIndex, OrbitalElements
from ase_mlham.learning.parts import part_names
from ase_mlham.learning.spin_form import SpinForm
from ase_mlham.learning.spin_orbit import half_angular_momentum
from ase_mlham.learning.splits import structure_group
from ase_mlham.learning.targets import Crystal, TargetTransform, TrainingExample
from ase_mlham.learning.tensors import left_out, to_coefficients

__all__ = [
    "PreparedData",
    "PreparedExample",
    "ReferenceData",
    "StructureSummary",
    "common_basis",
    "known_operator",
    "onto_basis",
    "read_reference",
    "subtract_operators",
    "tensor_bytes",
    "with_mulliken_moments",
]

_log = logging.getLogger(__name__)

_NEGLIGIBLE = 1e-4
"""What a self-consistent cycle leaves in parts that are zero by symmetry, eV."""

T = TypeVar("T")


def tensor_bytes(value: Any) -> int:
    """Memory of the tensors in nested tuples, dictionaries and dataclasses."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, dict):
        return sum(tensor_bytes(entry) for entry in value.values())
    if isinstance(value, tuple | list):
        return sum(tensor_bytes(entry) for entry in value)
    if hasattr(value, "__dataclass_fields__"):
        return sum(tensor_bytes(getattr(value, entry.name)) for entry in fields(value))
    return 0


class _Bounded(Generic[T]):
    """Items by index, made when asked for; the least recently used are dropped beyond a bound."""

    def __init__(self, make: Callable[[int], T], limit: float) -> None:
        self._make, self._limit = make, limit
        self._items: OrderedDict[int, tuple[T, int]] = OrderedDict()
        self._used = 0
        self._complained = False

    def __getitem__(self, index: int) -> T:
        if index in self._items:
            self._items.move_to_end(index)
            return self._items[index][0]
        item = self._make(index)
        size = tensor_bytes(item)
        self._items[index] = (item, size)
        self._used += size
        while self._used > self._limit and len(self._items) > 1:
            _, (_, dropped) = self._items.popitem(last=False)
            self._used -= dropped
            if not self._complained:
                self._complained = True
                _log.warning(
                    "the training data exceed the memory limit of %.1f GB: structures are read "
                    "again in every epoch; raise `memory_gb` if there is memory",
                    self._limit / 1e9,
                )
        return item


# ---------------------------------------------------------------------- reading
def _same_species(a: SpeciesBasis, b: SpeciesBasis) -> bool:
    """Whether two bases of an element have the same shells and radial functions."""
    if (a.l, a.valence) != (b.l, b.valence):
        return False
    for one, other in zip(a.shells, b.shells, strict=True):
        if abs(one.cutoff - other.cutoff) > 1e-6 or (one.radial is None) != (other.radial is None):
            return False
        if one.radial is not None and other.radial is not None:
            r = np.linspace(0.05, one.cutoff, 60)
            if abs(one.radial(r) - other.radial(r)).max() > 1e-6:
                return False
    return True


def common_basis(bases: Iterable[tuple[str, OrbitalBasis]]) -> OrbitalBasis:
    """The basis sets of all elements that occur in some systems.

    Parameters
    ----------
    bases : iterable of (name, basis)
        The name is for messages.

    Raises
    ------
    BasisError
        An element has different basis sets in two systems: one model cannot learn from both.
    """
    found: dict[int, tuple[str, SpeciesBasis]] = {}
    for name, basis in bases:
        for entry in basis.species:
            if entry.number not in found:
                found[entry.number] = (name, entry)
            elif not _same_species(found[entry.number][1], entry):
                raise BasisError(
                    f"{entry.symbol} has another basis in {name} than in {found[entry.number][0]}; "
                    "a model is trained on systems of one basis"
                )
    if not found:
        raise InputError("there are no reference systems to train on")
    return OrbitalBasis(tuple(entry for _, entry in found.values()))


def subtract_operators(system: LCAOSystem, operators: Sequence[str]) -> BlockMatrix:
    """H less exactly known operators, which the system must carry or radial functions must give.

    Raises
    ------
    InputError
        The operator is neither stored nor computable.
    """
    out = system.hamiltonian
    for name in operators:
        matrix = known_operator(system, name)
        if matrix.pattern != out.pattern:
            matrix = matrix.on_pattern(out.pattern, drop=True)
        values = []
        for h, x in zip(out.values, matrix.values, strict=True):
            less = h.copy()
            less[0] -= x[0]
            values.append(less)
        out = BlockMatrix(out.pattern, tuple(values))
    return out


def known_operator(system: LCAOSystem, name: str) -> BlockMatrix:
    """A baseline operator of a system, stored or computed.

    What prediction computes is what training must subtract: radial functions come first, and a
    stored matrix is used where there are none.
    """
    if name == "kinetic" and all(entry.has_radial for entry in system.basis.species):
        from ase_mlham import integrals

        return integrals.kinetic(system.structure, system.basis, system.hamiltonian.pattern)
    if name in system.operators:
        return system.operators[name]
    raise InputError(
        f"the baseline operator {name!r} is not stored in the system and cannot be computed from "
        f"its basis; leave it out of the targets, or store it (stored: "
        f"{', '.join(system.operators) or 'none'})"
    )


@dataclass(frozen=True)
class StructureSummary:
    """What is kept of every structure, for splits and for the domain of a model.

    Attributes
    ----------
    name : str
        File name or number.
    group : str
        Structures of one group must not be divided between training and testing.
    numbers : (n_elements,) int
        Elements that occur.
    n_atoms : int
        Atoms.
    closest : dict
        (number, number) to the shortest distance of such atoms, Å.
    """

    name: str
    group: str
    numbers: tuple[int, ...]
    n_atoms: int
    closest: dict[tuple[int, int], float]


def _closest(system: LCAOSystem, reach: float = 6.0) -> dict[tuple[int, int], float]:
    i, j, _, distance = neighbour_list(system.structure, reach)
    numbers = system.structure.numbers
    a, b = np.minimum(numbers[i], numbers[j]), np.maximum(numbers[i], numbers[j])
    out: dict[tuple[int, int], float] = {}
    for pair in np.unique(np.stack([a, b], 1), axis=0):
        here = (a == pair[0]) & (b == pair[1])
        out[int(pair[0]), int(pair[1])] = float(distance[here].min())
    return out


class ReferenceData(Sequence[TrainingExample]):
    """Lazy list of training examples in double precision.

    Parameters
    ----------
    sources : sequence of LCAOSystem or path
        The systems.
    read : callable, optional
        `read(path) -> LCAOSystem`; needed where sources are paths.
    message_cutoff : float
        Range of messages, Å.
    operators : sequence of str
        Subtracted from H, see `subtract_operators`.
    parts : iterable of str, optional
        Real parts of H to learn, see `learning.parts`; by default those usual for the spin kind.
    form : SpinForm, optional
        Of the spin parts. With `isotropic`, collinear systems are taken as spinors along z.
    bands : bool
        Keep what band energies need.
    memory_limit : float
        Bytes of examples that are kept; others are read again when needed.

    Raises
    ------
    InputError, BasisError
        Systems that one model cannot learn from together.
    """

    def __init__(
        self,
        sources: Sequence[LCAOSystem | Path | str],
        read: Callable[[Path], LCAOSystem] | None = None,
        *,
        message_cutoff: float,
        operators: Sequence[str] = (),
        parts: Iterable[str] | None = None,
        form: SpinForm | None = None,
        bands: bool = False,
        memory_limit: float = 4e9,
    ) -> None:
        self._sources, self._read = list(sources), read
        self._message_cutoff, self._operators = message_cutoff, tuple(operators)
        self._bands = bands
        self.form = SpinForm() if form is None else form
        """Of the spin parts."""
        summaries, bases = [], []
        spins: dict[SpinKind, str] = {}
        for n in range(len(self._sources)):
            system = self.system(n)
            name = self.name(n)
            spins.setdefault(system.spin, name)
            if len(spins) > 1:
                kinds = " and ".join(f"{name} is {spin.value}" for spin, name in spins.items())
                raise InputError(f"{kinds}: a model is trained on systems of one spin kind")
            bases.append((name, system.basis))
            summaries.append(
                StructureSummary(
                    name,
                    structure_group(system.structure, system.provenance),
                    tuple(int(z) for z in np.unique(system.structure.numbers)),
                    system.structure.n_atoms,
                    _closest(system),
                )
            )
        basis = common_basis(bases)
        present = {z for summary in summaries for z in summary.numbers}
        self.basis = OrbitalBasis(tuple(e for e in basis.species if e.number in present))
        """Of the elements that occur."""
        if parts is None and self.form.isotropic:
            parts = ("P", "C")
        self.layout = BlockLayout(self.basis, next(iter(spins)), parts)
        self.form.check(self.layout)
        self.summaries: tuple[StructureSummary, ...] = tuple(summaries)
        self.largest_lost = 0.0
        """Largest |H| in eV of a block beyond the range of the orbitals, which is not learned."""
        self.largest_left_out = 0.0
        """Largest number in eV in parts of H that are not learned."""
        self._cache = _Bounded(self._make, memory_limit)

    def name(self, index: int) -> str:
        """How messages call a system."""
        source = self._sources[index]
        return f"system {index}" if isinstance(source, LCAOSystem) else Path(source).name

    def system(self, index: int) -> LCAOSystem:
        """The reference system itself, with spinors where the form of the spin parts has them."""
        system = self._read_one(index)
        return to_spinor(system) if self.form.isotropic else system

    def _read_one(self, index: int) -> LCAOSystem:
        source = self._sources[index]
        if isinstance(source, LCAOSystem):
            return source
        if self._read is None:
            raise InputError(f"{source}: a function that reads files is needed (`read=`)")
        return self._read(Path(source))

    def pattern(self, system: LCAOSystem) -> BlockPattern:
        """The pairs that a model predicts: all whose orbitals touch."""
        return basis_pattern(system.structure, self.basis)

    def _make(self, index: int) -> TrainingExample:
        system = self.system(index)
        system = onto_basis(system, self.basis)
        if self.layout.odd.any() and system.structure.moments is None:
            system = with_mulliken_moments(system)
        pattern = self.pattern(system)
        rest = subtract_operators(system, self._operators)
        lost, _ = pattern.find(rest.pattern.i, rest.pattern.j, rest.pattern.R)
        if np.any(lost < 0):
            size = _largest_of(system.hamiltonian, lost < 0)
            if size > self.largest_lost:
                self.largest_lost = size
                _log.info(
                    "%s: H has blocks beyond the range of its orbitals, up to %.2g meV; they are "
                    "not learned",
                    self.name(index),
                    1000 * size,
                )
        rest = rest.on_pattern(pattern, drop=True)
        self._complain_of_parts(index, rest)
        graph = build_graph(
            system.structure, self.basis, pattern, self._message_cutoff, torch.float64
        )
        overlap = system.overlap.on_pattern(pattern, drop=True)
        momentum = None
        if self.form.spin_orbit == "angular_momentum":
            momentum = half_angular_momentum(self.layout, system.structure, self.basis, overlap)
        return TrainingExample(
            graph,
            to_coefficients(self.layout, rest),
            to_coefficients(self.layout, overlap),
            self._crystal(system, pattern) if self._bands else None,
            momentum,
        )

    def _crystal(self, system: LCAOSystem, pattern: BlockPattern) -> Crystal:
        """What the bands of a system need."""
        level = system.fermi_level
        if level is None:
            from ase_mlham.electronic.fermi import fermi_level

            level = fermi_level(system)
        return Crystal(
            to_coefficients(self.layout, system.hamiltonian.on_pattern(pattern, drop=True)),
            system.structure.cell,
            system.structure.pbc,
            level,
        )

    def _complain_of_parts(self, index: int, matrix: BlockMatrix) -> None:
        """Say so when H has parts that the layout leaves out."""
        size = left_out(self.layout, matrix)
        if size > _NEGLIGIBLE and size > self.largest_left_out:
            self.largest_left_out = size
            names = ", ".join(part.name for part in self.layout.parts)
            _log.warning(
                "%s: H has up to %.2g meV in parts other than %s, which are not learned; known "
                "parts of %s Hamiltonians: %s",
                self.name(index),
                1000 * size,
                names,
                self.layout.spin.value,
                ", ".join(part_names(self.layout.spin)),
            )

    def __len__(self) -> int:
        return len(self._sources)

    @overload
    def __getitem__(self, index: int) -> TrainingExample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[TrainingExample]: ...
    def __getitem__(self, index: int | slice) -> TrainingExample | Sequence[TrainingExample]:
        if isinstance(index, slice):
            return _Selection(self, range(*index.indices(len(self))))
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self._cache[index % len(self)]

    def select(self, indices: Sequence[int]) -> Sequence[TrainingExample]:
        """Some of the examples, still lazy."""
        return _Selection(self, indices)


class _Selection(Sequence[TrainingExample]):
    """Some examples of a list."""

    def __init__(self, data: ReferenceData, indices: Sequence[int]) -> None:
        self._data, self._indices = data, list(indices)

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return _Selection(self._data, self._indices[index])
        return self._data[self._indices[index]]


def with_mulliken_moments(system: LCAOSystem) -> LCAOSystem:
    """The system with the moments of its own ground state, for files that do not state any."""
    from ase_mlham.electronic.charges import charges

    found = charges(system).moments
    _log.info(
        "moments of the atoms are not stored; Mulliken's: %s",
        np.array2string(found[:, 2] if system.spin is SpinKind.COLLINEAR else found, precision=2),
    )
    return system.replace(structure=replace(system.structure, moments=found))


def onto_basis(system: LCAOSystem, basis: OrbitalBasis) -> LCAOSystem:
    """The same system with species counted in another basis, which covers its elements."""
    if np.array_equal(system.basis.numbers, basis.numbers):
        return system.replace(basis=basis)
    species = basis.species_index(system.structure.numbers)

    def move(matrix: BlockMatrix) -> BlockMatrix:
        old = matrix.pattern
        pattern = BlockPattern.from_pairs(species, basis.sizes, old.i, old.j, old.R)
        # both are sorted by atomic number, so blocks keep their order and orientation
        return BlockMatrix(pattern, matrix.values, matrix.symmetry)

    return system.replace(
        basis=basis,
        hamiltonian=move(system.hamiltonian),
        overlap=move(system.overlap),
        operators={name: move(matrix) for name, matrix in system.operators.items()},
    )


def _largest_of(matrix: BlockMatrix, chosen: NDArray[np.bool_]) -> float:
    return max(
        (
            float(abs(array[:, chosen[group.slice]]).max(initial=0.0))
            for group, array in zip(matrix.pattern.groups, matrix.values, strict=True)
        ),
        default=0.0,
    )


# ---------------------------------------------------------------------- prepared for training
@dataclass(frozen=True)
class PreparedExample:
    """One structure with everything that does not change during training, in single precision.

    The error of a prediction is `offset + scale * output`, in eV.

    Attributes
    ----------
    index : int
        Number of the structure in its data set.
    graph : HamiltonianGraph
        Of this structure alone.
    precomputed : dict or None
        What the network made of the graph beforehand.
    offset : Coefficients
        Baseline less target, eV.
    scale : (Tensor, Tensor)
        eV per unit of output, on-site and off-site.
    elements : ElementIndex
        Rows of each pair of species.
    overlap : (n_elements,)
        S in the orbital basis.
    bands : BandProblem or None
        For band energies in the loss.
    """

    index: int
    graph: HamiltonianGraph
    precomputed: dict[str, Tensor] | None
    offset: Coefficients
    scale: tuple[Tensor, Tensor]
    elements: ElementIndex
    overlap: Tensor
    bands: BandProblem | None = None

    def error(self, output: Coefficients, elements: OrbitalElements) -> Tensor:
        """Predicted minus reference matrix elements, (n_real, n_elements) eV."""
        onsite, offsite = self.scale
        wrong = Coefficients(
            torch.addcmul(self.offset.onsite, onsite, output.onsite),
            torch.addcmul(self.offset.offsite, offsite, output.offsite),
        )
        return elements(self.elements, wrong)


class PreparedData(torch.utils.data.Dataset):
    """Examples ready for training steps, made once and kept in memory up to a bound.

    Parameters
    ----------
    examples : sequence of TrainingExample
        The structures.
    transform : TargetTransform
        Fitted.
    module : Module, optional
        Network whose `precompute` is asked for each structure; None leaves that to every step.
    device : str
        Where the tensors live.
    memory_limit : float
        Bytes.
    """

    def __init__(
        self,
        examples: Sequence[TrainingExample],
        transform: TargetTransform,
        module: nn.Module | None = None,
        device: torch.device | str = "cpu",
        memory_limit: float = 8e9,
    ) -> None:
        self._examples, self._transform, self._module = examples, transform, module
        self.device = torch.device(device)
        self.elements = OrbitalElements(transform.layout, torch.float32, self.device)
        self._cache = _Bounded(self._make, memory_limit)

    def _make(self, index: int) -> PreparedExample:
        example = self._examples[index]
        with torch.no_grad():
            base = self._transform.baseline(example.graph, example.momentum)
            scales = self._transform.scales(example.graph, example.momentum)

            def single(tensor: Tensor) -> Tensor:
                return tensor.to(self.device, torch.float32)

            graph = example.graph.to(self.device, torch.float32)
            exact = OrbitalElements(self._transform.layout, torch.float64)
            index_cpu = exact.index(example.graph)
            overlap = exact(index_cpu, example.overlap)[0]
            return PreparedExample(
                index=index,
                graph=graph,
                precomputed=None if self._module is None else self._module.precompute(graph),
                offset=Coefficients(
                    single(base.onsite - example.target.onsite),
                    single(base.offsite - example.target.offsite),
                ),
                scale=(single(scales[0]), single(scales[1])),
                elements=self.elements.index(graph),
                overlap=single(overlap),
                bands=self._band_problem(example, exact, overlap),
            )

    def _band_problem(
        self, example: TrainingExample, exact: OrbitalElements, overlap: Tensor
    ) -> BandProblem | None:
        crystal = example.crystal
        if crystal is None:
            return None
        index = exact.index(example.graph)
        return BandProblem.of(
            self._transform.layout,
            example.graph,
            index,
            exact(index, crystal.hamiltonian),
            overlap,
            crystal.cell,
            crystal.pbc,
            crystal.fermi_level,
        )

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> PreparedExample:
        return self._cache[index]


def read_reference(path: Path) -> LCAOSystem:
    """Read a file with whichever installed format is surest that it is its own.

    The rooms of formats and of learning do not know each other; both know the hooks.

    Raises
    ------
    FormatError
        No format knows the file, or it is damaged.
    """
    from ase_mlham import hooks

    path = Path(path)
    if not path.is_file():
        raise FormatError(f"{path} does not exist or is not a file")
    table = hooks.registered("format")
    sure = {name: float(hooks.load(spec.sniff)(path)) for name, spec in table.items()}
    best = max(sure, key=lambda name: sure[name], default="")
    if not best or sure[best] <= 0:
        raise FormatError(f"{path}: no installed format ({', '.join(table)}) knows this file")
    system: LCAOSystem = hooks.load(table[best].read)(path)
    return system
