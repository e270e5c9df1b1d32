"""Errors of a model on many structures: what `learning.evaluate` finds, tables and files of it.

Everything is free of the gauge: matrix elements are compared after the best shift mu S of each
structure, energies after the common shift of `electronic.comparison.compare_bands`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.basis import symbol
from ase_mlham.learning.domain import Domain
from ase_mlham.learning.histograms import ElementHistograms
from ase_mlham.learning.metrics import MatrixErrors, Tally

if TYPE_CHECKING:
    from ase_mlham.electronic.collapse import Collapse
    from ase_mlham.electronic.comparison import BandComparison

__all__ = [
    "Correlation",
    "ElementErrors",
    "EnergyErrors",
    "Evaluation",
    "StructureErrors",
    "rank_correlation",
    "training_pairs",
]

HIGHEST = 10.0
"""eV above the Fermi level up to which eigenvalues are compared by distance."""


@dataclass(frozen=True)
class EnergyErrors:
    """Errors of eigenvalues by their distance to the Fermi level, and of the number of electrons.

    Attributes
    ----------
    by_distance : dict of Tally
        Key n: states whose reference energy lies n to n + 1 bins from the reference's Fermi level
        (the middle of the gap of an insulator); none more than 10 eV above it.
    electrons : float
        The predicted bands, shifted by the common shift, hold so many electrons more up to the
        reference's Fermi level than the reference's own, in one cell. Zero if no band has moved
        across that level.
    bin_width : float
        eV.
    """

    by_distance: Mapping[int, Tally]
    electrons: float
    bin_width: float = 1.0

    @classmethod
    def of(
        cls,
        errors: NDArray[np.float64],
        distances: NDArray[np.float64],
        electrons: float,
        bin_width: float = 1.0,
    ) -> EnergyErrors:
        """From the errors of single states and their distances to the Fermi level, eV."""
        chosen = distances <= HIGHEST
        errors, bins = errors[chosen], np.floor(distances[chosen] / bin_width).astype(int)
        tallies = {int(n): Tally.of(errors[bins == n]) for n in np.unique(bins)}
        return cls(tallies, electrons, bin_width)

    def to_dict(self) -> dict[str, Any]:
        """Plain values: distances in eV, errors in meV, electrons a cell."""
        return {
            "electrons": self.electrons,
            "by_distance": _by_energy(self.by_distance, self.bin_width),
        }


def _by_energy(tallies: Mapping[int, Tally], width: float) -> list[dict[str, float]]:
    return [
        {"from": n * width, "to": (n + 1) * width, **tallies[n].to_dict()} for n in sorted(tallies)
    ]


@dataclass(frozen=True)
class StructureErrors:
    """Errors on one structure.

    Attributes
    ----------
    name : str
        What the reference is called.
    formula : str
        Chemical formula.
    elements : tuple of str
        That occur, by atomic number.
    n_atoms : int
        Atoms.
    matrix : MatrixErrors
        Of H, after the best shift.
    overlap : float
        Largest difference of S.
    bands : BandComparison or None
        Of eigenvalues and gap.
    energies : EnergyErrors or None
        Of eigenvalues by distance to the Fermi level.
    collapse : Collapse or None
        Whether spurious states lie among the predicted bands.
    warnings : tuple of str
        Reservations of the model.
    seconds : float
        That the prediction of H and S took, on the clock.
    peak_memory : float or None
        Largest memory of the process up to the end of this prediction, bytes; None where the
        system does not tell. It contains the model, the libraries, and the reference.
    """

    name: str
    formula: str
    elements: tuple[str, ...]
    n_atoms: int
    matrix: MatrixErrors
    overlap: float
    bands: BandComparison | None
    energies: EnergyErrors | None
    collapse: Collapse | None
    warnings: tuple[str, ...]
    seconds: float
    peak_memory: float | None = None

    @property
    def collapsed(self) -> bool:
        """Whether spurious states lie among the filled bands; False where it was not looked."""
        return bool(self.collapse and self.collapse.collapsed)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; matrix errors in meV, the rest as their own classes say."""
        return {
            "name": self.name,
            "formula": self.formula,
            "elements": list(self.elements),
            "n_atoms": self.n_atoms,
            "matrix": self.matrix.to_dict(),
            "overlap": self.overlap,
            "bands": None if self.bands is None else self.bands.to_dict(),
            "energies": None if self.energies is None else self.energies.to_dict(),
            "collapse": None if self.collapse is None else self.collapse.to_dict(),
            "warnings": list(self.warnings),
            "seconds": self.seconds,
            "peak_memory": self.peak_memory,
        }


@dataclass(frozen=True)
class ElementErrors:
    """Errors of the structures that contain an element.

    Attributes
    ----------
    mae : float
        Mean over these structures of the MAE of all their matrix elements, meV: every structure
        counts the same, and so do blocks between other elements of it.
    structures : int
        How many they are.
    onsite : Tally
        Of the on-site blocks of the element alone.
    """

    mae: float
    structures: int
    onsite: Tally

    def to_dict(self) -> dict[str, Any]:
        """Plain values, meV."""
        return {"mae": self.mae, "structures": self.structures, "onsite": self.onsite.to_dict()}


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation.

    Attributes
    ----------
    coefficient : float
        From -1 (one falls whenever the other rises) to 1.
    p_value : float
        Probability of a coefficient of at least this size, of either sign, if all orders were
        equally likely: counted over all orders of up to eight numbers, from Student's distribution
        for more.
    n : int
        How many pairs of numbers.
    """

    coefficient: float
    p_value: float
    n: int

    def to_dict(self) -> dict[str, float]:
        """Plain values."""
        return {"coefficient": self.coefficient, "p_value": self.p_value, "n": self.n}


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> Correlation | None:
    """Spearman's coefficient of two lists; None for fewer than three, or if one is constant."""
    if len(first) < 3 or len(set(first)) == 1 or len(set(second)) == 1:
        return None
    from scipy.stats import rankdata, spearmanr

    found = spearmanr(first, second)
    coefficient, p_value, n = float(found.statistic), float(found.pvalue), len(first)
    if n <= 8:
        # Student's distribution calls three numbers in perfect order certain
        a, b = rankdata(first) - (n + 1) / 2, rankdata(second) - (n + 1) / 2
        products = a[np.array(list(permutations(range(n))))] @ b
        p_value = float(np.mean(abs(products) >= abs(a @ b) - 1e-9))
    return Correlation(coefficient, p_value, n)


def training_pairs(domain: Domain) -> dict[str, int]:
    """Pairs of atoms in training whose orbitals overlap, by elements ("Si-Ge"), each counted once.

    Parameters
    ----------
    domain : Domain
        Of a model; its histogram counts pairs of like atoms from both ends.
    """
    return {
        f"{symbol(a)}-{symbol(b)}": int(np.sum(counts)) // (2 if a == b else 1)
        for (a, b), counts in domain.histogram.items()
    }


@dataclass(frozen=True)
class Evaluation:
    """Errors of a model on several structures.

    Attributes
    ----------
    model : str
        Name and version.
    structures : tuple of StructureErrors
        In the order given.
    training_pairs : mapping
        Pairs of atoms that the model was trained on, see `training_pairs`.
    histograms : ElementHistograms
        Of all matrix elements.
    """

    model: str
    structures: tuple[StructureErrors, ...]
    training_pairs: Mapping[str, int] = field(default_factory=dict)
    histograms: ElementHistograms = field(default_factory=ElementHistograms)

    @property
    def total(self) -> MatrixErrors:
        """Matrix errors of all structures together."""
        return MatrixErrors.total(entry.matrix for entry in self.structures)

    @property
    def with_bands(self) -> tuple[StructureErrors, ...]:
        """Structures whose bands were compared and did not collapse."""
        return tuple(e for e in self.structures if e.bands is not None and not e.collapsed)

    # ------------------------------------------------------------------ tables
    def element_errors(self) -> dict[str, ElementErrors]:
        """By element, in the order of atomic numbers."""
        from ase.data import atomic_numbers

        onsite = self.total.onsite_by_element
        found = {element for entry in self.structures for element in entry.elements}
        out = {}
        for element in sorted(found, key=atomic_numbers.__getitem__):
            maes = [e.matrix.overall.mae for e in self.structures if element in e.elements]
            out[element] = ElementErrors(
                float(np.mean(maes)), len(maes), onsite.get(element, Tally())
            )
        return out

    def pair_errors(self) -> dict[str, Tally]:
        """By pair of elements ("Si-Ge"): all elements of blocks between such atoms."""
        return self.total.offsite_by_elements

    def pair_correlation(self) -> Correlation | None:
        """Of the number of training pairs and the MAE, over pairs of elements that occur here."""
        errors = self.pair_errors()
        known = [pair for pair in errors if pair in self.training_pairs]
        return rank_correlation(
            [self.training_pairs[pair] for pair in known], [errors[pair].mae for pair in known]
        )

    def energy_errors(self) -> dict[float, Tally]:
        """Of eigenvalues, by the lower end of the bin of E - E_F in eV.

        All states of all structures that did not collapse count the same.
        """
        out: dict[float, Tally] = {}
        for entry in self.with_bands:
            if entry.energies is not None:
                for n, tally in entry.energies.by_distance.items():
                    out.setdefault(n * entry.energies.bin_width, Tally()).add(tally)
        return dict(sorted(out.items()))

    def summary(self) -> dict[str, float]:
        """The numbers to quote, in meV (the difference of S has no unit).

        Band errors are means over structures that did not collapse; how many did is stated.
        """
        total = self.total
        out: dict[str, float] = {
            "structures": len(self.structures),
            "H MAE": total.overall.mae,
            "H rms": total.overall.rms,
            "H on-site MAE": total.onsite.mae,
            "H off-site MAE": total.offsite.mae,
            "H worst structure MAE": max(e.matrix.overall.mae for e in self.structures),
            "S largest difference": max(e.overlap for e in self.structures),
        }
        if any(e.bands is not None for e in self.structures):
            out["collapsed"] = sum(e.collapsed for e in self.structures if e.bands is not None)
            bands = [e.bands for e in self.with_bands if e.bands is not None]
            if bands:
                out["occupied bands MAE"] = 1000 * float(np.mean([b.occupied.mean for b in bands]))
                for window in bands[0].windows:
                    means = [b.windows[window].mean for b in bands]
                    out[f"bands within {window} MAE"] = 1000 * float(np.mean(means))
                    largest = [b.windows[window].max for b in bands]
                    out[f"bands within {window} largest"] = 1000 * float(np.max(largest))
                out["gap MAE"] = 1000 * float(np.mean([abs(b.gap_error) for b in bands]))
        return out

    def cost(self) -> dict[str, float | None]:
        """Seconds and seconds an atom (medians over structures), and the peak memory in bytes.

        The first prediction, which also loads tables and warms up, is left out if there are more.
        """
        timed = self.structures[1:] or self.structures
        peaks = [e.peak_memory for e in self.structures if e.peak_memory is not None]
        return {
            "seconds": float(np.median([e.seconds for e in timed])),
            "seconds_per_atom": float(np.median([e.seconds / e.n_atoms for e in timed])),
            "peak_memory": max(peaks, default=None),
        }

    # ------------------------------------------------------------------ files
    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain values; errors in meV unless a key says otherwise."""
        correlation = self.pair_correlation()
        energies = {round(low): tally for low, tally in self.energy_errors().items()}
        return {
            "model": self.model,
            "units": "meV",
            "summary": self.summary(),
            "cost": self.cost(),
            "matrix": self.total.to_dict(),
            "by_element": {name: e.to_dict() for name, e in self.element_errors().items()},
            "training_pairs": dict(self.training_pairs),
            "pair_correlation": None if correlation is None else correlation.to_dict(),
            "energies": _by_energy(energies, 1.0),
            "histograms": self.histograms.to_dict(),
            "structures": [entry.to_dict() for entry in self.structures],
        }

    def to_markdown(self) -> str:
        """Tables in short: the summary, and the errors by kind of block.

        `ase_mlham.plots.evaluation.report` writes the long form, with pictures.
        """
        lines = [f"Errors of {self.model}, meV, after the best shift H + mu S.", ""]
        lines += ["| | |", "|---|---|"]
        lines += [f"| {name} | {value:.3g} |" for name, value in self.summary().items()]
        total = self.total
        for title, tallies in (
            ("elements", total.by_elements),
            ("shells", total.by_shells),
            ("distance, Å", total.by_distance),
            ("part of H", total.by_part),
        ):
            if not tallies:
                continue
            lines += ["", f"| {title} | MAE | rms | largest |", "|---|---|---|---|"]
            order = sorted(tallies, key=lambda key: (len(key.partition("-")[0]), key))
            for key in order if title.startswith("distance") else sorted(tallies):
                t = tallies[key]
                lines.append(f"| {key} | {t.mae:.3g} | {t.rms:.3g} | {1000 * t.largest:.3g} |")
        return "\n".join(lines) + "\n"
