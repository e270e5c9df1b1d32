"""Errors of predicted blocks, by kind of block: in eV inside, in meV where people read them.

The error is what is left after the best shift mu S: H is defined up to it. Both members of each
Hermitian pair count, as in `electronic.comparison` and in published figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core import BlockMatrix, OrbitalBasis, SpinKind, Structure
from ase_mlham.core.basis import LETTERS
from ase_mlham.errors import InputError
from ase_mlham.learning.histograms import ElementHistograms
from ase_mlham.learning.parts import Part, part_names, parts_of, real_parts

__all__ = ["MatrixErrors", "Tally", "best_shift", "matrix_errors"]


@dataclass
class Tally:
    """Sums over some matrix elements, from which means follow; two tallies add up.

    Attributes
    ----------
    n : int
        Elements, both members of each pair.
    total : float
        Sum of |e|, eV.
    squares : float
        Sum of e^2, eV^2.
    largest : float
        Largest |e|, eV.
    """

    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    largest: float = 0.0

    @classmethod
    def of(cls, errors: NDArray, times: int = 1) -> Tally:
        """Tally of an array of errors in eV, each of which stands for `times` elements."""
        size = abs(errors)
        return cls(
            times * size.size,
            times * float(size.sum()),
            times * float((size * size).sum()),
            float(size.max(initial=0.0)),
        )

    def __add__(self, other: Tally) -> Tally:
        out = Tally(self.n, self.total, self.squares, self.largest)
        out.add(other)
        return out

    def add(self, other: Tally) -> None:
        """Include the elements of another tally."""
        self.n += other.n
        self.total += other.total
        self.squares += other.squares
        self.largest = max(self.largest, other.largest)

    @property
    def mae(self) -> float:
        """Mean absolute error, meV."""
        return 1000.0 * self.total / self.n if self.n else float("nan")

    @property
    def rms(self) -> float:
        """Root mean square error, meV."""
        return 1000.0 * float(np.sqrt(self.squares / self.n)) if self.n else float("nan")

    def to_dict(self) -> dict[str, float]:
        """MAE, rms and largest error in meV, and the number of elements."""
        return {"mae": self.mae, "rms": self.rms, "max": 1000.0 * self.largest, "n": self.n}


_NEGLIGIBLE = 1e-6
"""eV; what rounding leaves of a part of H that is not there."""

_TABLES = (
    "by_elements",
    "by_shells",
    "by_distance",
    "by_part",
    "onsite_by_element",
    "offsite_by_elements",
)


def _tallies() -> dict[str, Tally]:
    return {}


@dataclass
class MatrixErrors:
    """Errors of H, overall and by kind of block.

    Attributes
    ----------
    overall, onsite, offsite : Tally
        All elements; those of on-site blocks; the rest.
    by_elements, by_shells, by_distance, by_part : dict of Tally
        By pair of elements ("Si-Ge"), by angular momenta ("s-p", on-site blocks included), by
        distance of the atoms ("2-3", off-site only, Å), and, with spin, by real part of H (P, B, C,
        K; see `learning.parts`).
    onsite_by_element, offsite_by_elements : dict of Tally
        `onsite` by element ("Si") and `offsite` by pair of elements ("Si-Ge"): together they are
        `by_elements`.
    not_shifted : Tally
        All elements before the shift.
    shifts : list of float
        mu of each structure, eV.
    """

    overall: Tally = field(default_factory=Tally)
    onsite: Tally = field(default_factory=Tally)
    offsite: Tally = field(default_factory=Tally)
    by_elements: dict[str, Tally] = field(default_factory=_tallies)
    by_shells: dict[str, Tally] = field(default_factory=_tallies)
    by_distance: dict[str, Tally] = field(default_factory=_tallies)
    by_part: dict[str, Tally] = field(default_factory=_tallies)
    onsite_by_element: dict[str, Tally] = field(default_factory=_tallies)
    offsite_by_elements: dict[str, Tally] = field(default_factory=_tallies)
    not_shifted: Tally = field(default_factory=Tally)
    shifts: list[float] = field(default_factory=list)

    def add(self, other: MatrixErrors) -> None:
        """Include another structure."""
        for name in ("overall", "onsite", "offsite", "not_shifted"):
            getattr(self, name).add(getattr(other, name))
        for name in _TABLES:
            mine, theirs = getattr(self, name), getattr(other, name)
            for key, tally in theirs.items():
                mine.setdefault(key, Tally()).add(tally)
        self.shifts += other.shifts

    def to_dict(self) -> dict[str, Any]:
        """Plain values, in meV."""

        def table(tallies: Mapping[str, Tally]) -> dict[str, Any]:
            return {key: tallies[key].to_dict() for key in sorted(tallies)}

        return {
            "overall": self.overall.to_dict(),
            "onsite": self.onsite.to_dict(),
            "offsite": self.offsite.to_dict(),
            **{name: table(getattr(self, name)) for name in _TABLES},
            "not_shifted": self.not_shifted.to_dict(),
            "shifts": [1000.0 * mu for mu in self.shifts],
        }

    @classmethod
    def total(cls, errors: Iterable[MatrixErrors]) -> MatrixErrors:
        """Errors of several structures together."""
        out = cls()
        for entry in errors:
            out.add(entry)
        return out


def best_shift(error: BlockMatrix, overlap: BlockMatrix) -> float:
    """The mu, in eV, for which error - mu S is smallest over all blocks, both of each pair."""
    # only the part without spin can be shifted
    return error.component(0).inner(overlap) / overlap.inner(overlap)


def matrix_errors(
    predicted: BlockMatrix,
    reference: BlockMatrix,
    overlap: BlockMatrix,
    structure: Structure,
    basis: OrbitalBasis,
    bin_width: float = 1.0,
    histograms: ElementHistograms | None = None,
) -> MatrixErrors:
    """Errors of a Hamiltonian.

    Parameters
    ----------
    predicted, reference : BlockMatrix
        H in eV; a block that one of them lacks counts as zero there.
    overlap : BlockMatrix
        S of the reference.
    structure, basis
        What they belong to.
    bin_width : float
        Of the table by distance, Å.
    histograms : ElementHistograms, optional
        Counts every real number, both members of each pair; of a Hamiltonian with spin the parts
        that either of the two has.

    Raises
    ------
    InputError
        The two do not have the same spin components or atoms.
    """
    if predicted.n_components != reference.n_components:
        raise InputError(
            f"{predicted.n_components} and {reference.n_components} spin components: the two "
            "Hamiltonians are not of one spin kind"
        )
    if not np.array_equal(predicted.pattern.species, reference.pattern.species):
        raise InputError("the two Hamiltonians are not of the same atoms")
    pattern = predicted.pattern.union(reference.pattern).union(overlap.pattern)
    reference = reference.on_pattern(pattern)
    difference = predicted.on_pattern(pattern) - reference
    overlap = overlap.on_pattern(pattern)
    mu = best_shift(difference, overlap)
    bins = np.floor(np.linalg.norm(pattern.vectors(structure), axis=1) / bin_width).astype(int)
    out = MatrixErrors(shifts=[mu])
    parts = _parts_there(difference, reference)
    for group, raw, s, known in zip(
        pattern.groups, difference.values, overlap.values, reference.values, strict=True
    ):
        here = pattern.onsite[group.slice]

        def tally(values: NDArray, here: NDArray = here) -> Tally:
            return Tally.of(values[:, here]) + Tally.of(values[:, ~here], 2)

        out.not_shifted.add(tally(raw))
        error = raw.copy()
        error[0] -= mu * s[0]
        a, b = basis.species[group.species_i], basis.species[group.species_j]
        out.overall.add(tally(error))
        out.by_elements.setdefault(f"{a.symbol}-{b.symbol}", Tally()).add(tally(error))
        onsite, offsite = Tally.of(error[:, here]), Tally.of(error[:, ~here], 2)
        out.onsite.add(onsite)
        out.offsite.add(offsite)
        if onsite.n:
            out.onsite_by_element.setdefault(a.symbol, Tally()).add(onsite)
        if offsite.n:
            name = f"{a.symbol}-{b.symbol}"
            out.offsite_by_elements.setdefault(name, Tally()).add(offsite)
        for name, values in _by_part(error):
            out.by_part.setdefault(name, Tally()).add(tally(values))
        for index in np.unique(bins[group.slice][~here]):
            low = index * bin_width
            chosen = ~here & (bins[group.slice] == index)
            key = f"{low:g}-{low + bin_width:g}"
            out.by_distance.setdefault(key, Tally()).add(Tally.of(error[:, chosen], 2))
        for la, rows in _by_degree(a.l, a.offsets):
            for lb, columns in _by_degree(b.l, b.offsets):
                key = "-".join(LETTERS[l] for l in sorted((la, lb)))
                part = error[:, :, rows][..., columns]
                out.by_shells.setdefault(key, Tally()).add(tally(part))
        if histograms is not None:
            for chosen, times in ((here, 1), (~here, 2)):
                right = _real(known[:, chosen], parts)
                histograms.add(right + _real(error[:, chosen], parts), right, times)
    return out


def _known_parts(values: NDArray) -> tuple[Part, ...]:
    """All parts that a Hamiltonian with so many Pauli components can have."""
    spin = next(kind for kind in SpinKind if kind.n_components == len(values))
    return parts_of(spin, part_names(spin))


def _parts_there(*matrices: BlockMatrix) -> tuple[Part, ...]:
    """Parts in which one of the matrices is not zero: a crystal at rest has no exchange field."""
    if matrices[0].n_components == 1:
        return ()
    there = set()
    for matrix in matrices:
        for values in matrix.values:
            for name, numbers in _by_part(values):
                if abs(numbers).max(initial=0.0) > _NEGLIGIBLE:
                    there.add(name)
    return tuple(part for part in _known_parts(matrices[0].values[0]) if part.name in there)


def _real(values: NDArray, parts: tuple[Part, ...]) -> NDArray[np.float64]:
    """The real numbers that blocks consist of."""
    return real_parts(values, parts)[0] if parts else values.real


def _by_part(error: NDArray) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Each real part of blocks with spin, or of their errors, (n, blocks, n_a, n_b)."""
    if len(error) == 1:
        return
    parts = _known_parts(error)
    real, _ = real_parts(error, parts)
    first = 0
    for part in parts:
        yield part.name, real[first : first + len(part.components)]
        first += len(part.components)


def _by_degree(
    degrees: tuple[int, ...], offsets: NDArray[np.int64]
) -> list[tuple[int, NDArray[np.int64]]]:
    """Orbitals of each angular momentum."""
    return [
        (
            l,
            np.concatenate(
                [
                    np.arange(offsets[n], offsets[n + 1])
                    for n, other in enumerate(degrees)
                    if other == l
                ]
            ),
        )
        for l in sorted(set(degrees))
    ]
