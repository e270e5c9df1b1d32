"""How good a model is: matrix elements, bands and gap, on structures with known Hamiltonians.

A small error of matrix elements does not bound the error of bands: both are always reported.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_mlham.core import LCAOSystem
from ase_mlham.core.spin_space import to_spinor
from ase_mlham.errors import DomainError
from ase_mlham.learning.dataset import onto_basis, with_mulliken_moments
from ase_mlham.learning.domain import DomainWarning, OnUnknown
from ase_mlham.learning.metrics import MatrixErrors, matrix_errors
from ase_mlham.progress import track

if TYPE_CHECKING:
    from ase_mlham.electronic.collapse import Collapse
    from ase_mlham.electronic.comparison import BandComparison
    from ase_mlham.learning.model import HamiltonianModel

__all__ = ["Evaluation", "StructureErrors", "evaluate"]


@dataclass(frozen=True)
class StructureErrors:
    """Errors on one structure.

    Attributes
    ----------
    name : str
        What the reference is called.
    n_atoms : int
        Atoms.
    matrix : MatrixErrors
        Of H, after the best shift.
    overlap : float
        Largest difference of S.
    bands : BandComparison or None
        Of eigenvalues and gap.
    collapse : Collapse or None
        Whether spurious states lie among the predicted bands.
    warnings : tuple of str
        Reservations of the model.
    """

    name: str
    n_atoms: int
    matrix: MatrixErrors
    overlap: float
    bands: BandComparison | None
    collapse: Collapse | None
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values; matrix errors in meV, the rest as their own classes say."""
        return {
            "name": self.name,
            "n_atoms": self.n_atoms,
            "matrix": self.matrix.to_dict(),
            "overlap": self.overlap,
            "bands": None if self.bands is None else self.bands.to_dict(),
            "collapse": None if self.collapse is None else self.collapse.to_dict(),
            "warnings": list(self.warnings),
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
    """

    model: str
    structures: tuple[StructureErrors, ...]

    @property
    def total(self) -> MatrixErrors:
        """Matrix errors of all structures together."""
        return MatrixErrors.total(entry.matrix for entry in self.structures)

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
        known = [e for e in self.structures if e.bands is not None]
        if known:
            out["collapsed"] = sum(bool(e.collapse and e.collapse.collapsed) for e in known)
            good = [e.bands for e in known if not (e.collapse and e.collapse.collapsed)]
            bands = [band for band in good if band is not None]
            if bands:
                out["occupied bands MAE"] = 1000 * float(np.mean([b.occupied.mean for b in bands]))
                for window in bands[0].windows:
                    means = [b.windows[window].mean for b in bands]
                    out[f"bands within {window} MAE"] = 1000 * float(np.mean(means))
                    largest = [b.windows[window].max for b in bands]
                    out[f"bands within {window} largest"] = 1000 * float(np.max(largest))
                out["gap MAE"] = 1000 * float(np.mean([abs(b.gap_error) for b in bands]))
        return out

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return {
            "model": self.model,
            "units": "meV",
            "summary": self.summary(),
            "matrix": self.total.to_dict(),
            "structures": [entry.to_dict() for entry in self.structures],
        }

    def to_markdown(self) -> str:
        """Tables for a report: the summary, and the errors by kind of block."""
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


def evaluate(
    model: HamiltonianModel,
    systems: Iterable[LCAOSystem | tuple[str, LCAOSystem]],
    *,
    kpts: Any = 2.0,
    bands: bool = True,
    max_orbitals: int = 2000,
    on_unknown: OnUnknown = "warn",
) -> Evaluation:
    """Compare predictions of a model with known Hamiltonians.

    Parameters
    ----------
    model : HamiltonianModel
        Anything with `predict`.
    systems : iterable of LCAOSystem or (name, LCAOSystem)
        References in the basis of the model.
    kpts : as for `electronic.kpoints.k_points`
        Mesh for eigenvalues: three integers, or points per 1/Å.
    bands : bool
        Compare eigenvalues.
    max_orbitals : int
        Eigenvalues of larger systems are left out.
    on_unknown : "error" or "warn"
        As for `HamiltonianModel.predict`; what the model says is kept with the result.

    Raises
    ------
    DomainError
        A reference has another spin kind, basis or element than the model.
    """
    out = []
    entries = list(systems)
    for number, entry in enumerate(track(entries, len(entries), "structures")):
        name, reference = entry if isinstance(entry, tuple) else (f"structure {number}", entry)
        if getattr(model, "sees_moments", False) and reference.structure.moments is None:
            reference = with_mulliken_moments(reference)
        form = getattr(model, "form", None)
        if form is not None and form.isotropic:
            reference = to_spinor(reference)
        with warnings.catch_warnings():
            # what it says is in system.warnings
            warnings.simplefilter("ignore", DomainWarning)
            predicted = model.predict(reference.structure, on_unknown=on_unknown)
        out.append(_compare(name, predicted, reference, kpts, bands, max_orbitals))
    return Evaluation(f"{model.file.name} {model.file.version}", tuple(out))


def _compare(
    name: str,
    predicted: LCAOSystem,
    reference: LCAOSystem,
    kpts: Any,
    bands: bool,
    max_orbitals: int,
) -> StructureErrors:
    if predicted.spin is not reference.spin:
        raise DomainError(
            f"{name}: a {reference.spin.value} Hamiltonian; the model predicts "
            f"{predicted.spin.value} ones"
        )
    if predicted.orbital_labels() != reference.orbital_labels():
        raise DomainError(f"{name}: its orbitals are not those of the model")
    aligned = onto_basis(reference, predicted.basis)
    matrix = matrix_errors(
        predicted.hamiltonian,
        aligned.hamiltonian,
        aligned.overlap,
        reference.structure,
        predicted.basis,
    )
    pattern = predicted.overlap.pattern.union(aligned.overlap.pattern)
    difference = predicted.overlap.on_pattern(pattern) - aligned.overlap.on_pattern(pattern)
    comparison = collapse = None
    if bands and predicted.n_orbitals <= max_orbitals:
        from ase_mlham.electronic.collapse import check_collapse
        from ase_mlham.electronic.comparison import compare_bands
        from ase_mlham.electronic.fermi import fermi_level_of_states, mesh_of
        from ase_mlham.electronic.states import eigenstates

        points = mesh_of(reference, kpts, reduce=False)
        states = eigenstates(predicted, points)
        comparison = compare_bands(states, eigenstates(reference, points))
        collapse = check_collapse(predicted, fermi_level_of_states(states))
    return StructureErrors(
        name=name,
        n_atoms=reference.structure.n_atoms,
        matrix=matrix,
        overlap=max(float(abs(array).max()) for array in difference.values),
        bands=comparison,
        collapse=collapse,
        warnings=predicted.warnings,
    )
