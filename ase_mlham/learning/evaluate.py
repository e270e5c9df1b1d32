"""How good models are: matrix elements, bands and gap, on structures with known Hamiltonians.

A small error of matrix elements does not bound the error of bands: both are always reported.
Structures pass by one at a time, and of each only sums are kept.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterable, Sequence, Sized
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_mlham.core import LCAOSystem, SpinKind
from ase_mlham.core.basis import symbol
from ase_mlham.core.spin_space import to_spinor
from ase_mlham.errors import DomainError, InputError
from ase_mlham.learning.dataset import onto_basis, with_mulliken_moments
from ase_mlham.learning.domain import DomainWarning, OnUnknown
from ase_mlham.learning.evaluation import (
    EnergyErrors,
    Evaluation,
    StructureErrors,
    training_pairs,
)
from ase_mlham.learning.histograms import ElementHistograms
from ase_mlham.learning.metrics import MatrixErrors, matrix_errors
from ase_mlham.progress import track

if TYPE_CHECKING:
    from ase_mlham.electronic.collapse import Collapse
    from ase_mlham.electronic.comparison import BandComparison
    from ase_mlham.electronic.states import EigenStates
    from ase_mlham.learning.model import HamiltonianModel

__all__ = ["Evaluation", "StructureErrors", "evaluate", "evaluate_models"]

_SAME_ORBITALS = 1e-3
"""Difference of overlaps up to which orbitals are the same: codes tabulate them to 1e-5 or better,
and other orbitals with the same names differ by 0.1."""


def evaluate(
    model: HamiltonianModel,
    systems: Iterable[LCAOSystem | tuple[str, LCAOSystem]],
    *,
    kpts: Any = 2.0,
    bands: bool = True,
    max_orbitals: int = 2000,
    overlap_floor: float | None = None,
    on_unknown: OnUnknown = "warn",
) -> Evaluation:
    """Compare predictions of a model with known Hamiltonians.

    Parameters
    ----------
    model : HamiltonianModel
        Anything with `predict`.
    systems : iterable of LCAOSystem or (name, LCAOSystem)
        References in the basis of the model; one at a time is held.
    kpts : as for `electronic.kpoints.k_points`
        Mesh for eigenvalues: three integers, or points per 1/Å.
    bands : bool
        Compare eigenvalues.
    max_orbitals : int
        Eigenvalues of larger systems are left out.
    overlap_floor : float, optional
        As for `electronic.eigenstates`, for the predictions alone: errors are then against the
        reference's own bands, and what the floor takes away is among them.
    on_unknown : "error" or "warn"
        As for `HamiltonianModel.predict`; what the model says is kept with the result.

    Raises
    ------
    DomainError
        A reference has another spin kind, basis or element than the model.
    InputError
        There is no reference.
    """
    return evaluate_models(
        [model],
        systems,
        kpts=kpts,
        bands=bands,
        max_orbitals=max_orbitals,
        overlap_floor=overlap_floor,
        on_unknown=on_unknown,
    )[0]


def evaluate_models(
    models: Sequence[HamiltonianModel],
    systems: Iterable[LCAOSystem | tuple[str, LCAOSystem]],
    *,
    names: Sequence[str] | None = None,
    kpts: Any = 2.0,
    bands: bool = True,
    max_orbitals: int = 2000,
    overlap_floor: float | None = None,
    on_unknown: OnUnknown = "warn",
) -> tuple[Evaluation, ...]:
    """Compare predictions of several models with the same known Hamiltonians.

    Parameters
    ----------
    models : sequence of HamiltonianModel
        All see every structure.
    systems, kpts, bands, max_orbitals, overlap_floor, on_unknown
        As for `evaluate`. Each reference is read and solved once.
    names : sequence of str, optional
        What the models are called in the results; by default their names and versions.

    Returns
    -------
    tuple of Evaluation
        In the order of the models.

    Raises
    ------
    DomainError
        A reference has another spin kind, basis or element than one of the models.
    InputError
        There is no model or no reference, or two models have one name.
    """
    called = [f"{m.file.name} {m.file.version}" for m in models] if names is None else list(names)
    if not models or len(called) != len(models) or len(set(called)) != len(called):
        raise InputError(
            f"models named {', '.join(called) or '(none)'}: a comparison needs one or more models, "
            "each with a name of its own (names=)"
        )
    found: list[list[StructureErrors]] = [[] for _ in models]
    histograms = [ElementHistograms() for _ in models]
    steps = track(systems, len(systems), "structures") if isinstance(systems, Sized) else systems
    for number, entry in enumerate(steps):
        name, system = entry if isinstance(entry, tuple) else (f"structure {number}", entry)
        reference = _Reference(name, system, kpts if bands else None, max_orbitals)
        for label, model, errors, counts in zip(called, models, found, histograms, strict=True):
            where = name if len(models) == 1 else f"{name}, model {label}"
            errors.append(
                _one_structure(model, reference, counts, overlap_floor, on_unknown, where)
            )
    if not found[0]:
        raise InputError("there is no structure to evaluate on; give systems with Hamiltonians")
    return tuple(
        Evaluation(label, tuple(errors), training_pairs(model.file.domain), counts)
        for label, model, errors, counts in zip(called, models, found, histograms, strict=True)
    )


class _Reference:
    """A known system in the form that a model predicts, and its eigenstates, solved once."""

    def __init__(self, name: str, system: LCAOSystem, kpts: Any, max_orbitals: int) -> None:
        self.name, self._system, self._kpts = name, system, kpts
        self._solve = kpts is not None and system.n_orbitals <= max_orbitals
        self._solved: dict[SpinKind, EigenStates] = {}

    def for_model(self, model: HamiltonianModel) -> LCAOSystem:
        """With moments if the model sees them, with spinors if it predicts isotropic ones."""
        system = self._system
        if getattr(model, "sees_moments", False) and system.structure.moments is None:
            system = with_mulliken_moments(system)
        form = getattr(model, "form", None)
        return to_spinor(system) if form is not None and form.isotropic else system

    def states(self, system: LCAOSystem) -> EigenStates | None:
        """Of a form of the system, on the mesh; None if energies are not compared."""
        if not self._solve:
            return None
        from ase_mlham.electronic.fermi import mesh_of
        from ase_mlham.electronic.states import eigenstates

        if system.spin not in self._solved:
            points = mesh_of(self._system, self._kpts, reduce=False)
            self._solved[system.spin] = eigenstates(system, points)
        return self._solved[system.spin]


def _one_structure(
    model: HamiltonianModel,
    known: _Reference,
    histograms: ElementHistograms,
    overlap_floor: float | None,
    on_unknown: OnUnknown,
    where: str,
) -> StructureErrors:
    """Predict one structure and compare."""
    reference = known.for_model(model)
    predicted, seconds = _predict(model, reference, on_unknown, where)
    peak = _peak_memory()
    matrix, overlap = _compare_matrices(predicted, reference, histograms, where)
    states = known.states(reference)
    bands = energies = collapse = None
    if states is not None:
        bands, energies, collapse = _compare_energies(predicted, states, overlap_floor)
    structure = reference.structure
    return StructureErrors(
        name=known.name,
        formula=structure.to_atoms().get_chemical_formula("metal"),
        elements=tuple(symbol(int(z)) for z in np.unique(structure.numbers)),
        n_atoms=structure.n_atoms,
        matrix=matrix,
        overlap=overlap,
        bands=bands,
        energies=energies,
        collapse=collapse,
        warnings=predicted.warnings,
        seconds=seconds,
        peak_memory=peak,
    )


def _predict(
    model: HamiltonianModel, reference: LCAOSystem, on_unknown: OnUnknown, where: str
) -> tuple[LCAOSystem, float]:
    """Prediction and the seconds that it took."""
    with warnings.catch_warnings():
        # what it says is in system.warnings
        warnings.simplefilter("ignore", DomainWarning)
        started = time.perf_counter()
        try:
            predicted = model.predict(reference.structure, on_unknown=on_unknown)
        except DomainError as error:
            raise DomainError(f"{where}: {error}") from error
        return predicted, time.perf_counter() - started


def _peak_memory() -> float | None:
    """Largest memory of the process so far, bytes; None where the system does not tell."""
    try:
        import resource
    except ModuleNotFoundError:
        return None
    used = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    # macOS counts bytes, others kibibytes
    return used if sys.platform == "darwin" else 1024.0 * used


def _compare_matrices(
    predicted: LCAOSystem, reference: LCAOSystem, histograms: ElementHistograms, where: str
) -> tuple[MatrixErrors, float]:
    """Errors of H, and the largest difference of S."""
    if predicted.spin is not reference.spin:
        raise DomainError(
            f"{where}: a {reference.spin.value} Hamiltonian; the model predicts "
            f"{predicted.spin.value} ones"
        )
    if predicted.orbital_labels() != reference.orbital_labels():
        raise DomainError(f"{where}: its orbitals are not those of the model")
    aligned = onto_basis(reference, predicted.basis)
    pattern = predicted.overlap.pattern.union(aligned.overlap.pattern)
    difference = predicted.overlap.on_pattern(pattern) - aligned.overlap.on_pattern(pattern)
    largest = max(float(abs(array).max()) for array in difference.values)
    if largest > _SAME_ORBITALS:
        raise DomainError(
            f"{where}: its orbitals have other shapes than those of the model (their overlaps "
            f"differ by up to {largest:.2g}), and H in other orbitals cannot be compared; give "
            "references in the basis that the model was trained in"
        )
    matrix = matrix_errors(
        predicted.hamiltonian,
        aligned.hamiltonian,
        aligned.overlap,
        reference.structure,
        predicted.basis,
        histograms=histograms,
    )
    return matrix, largest


def _compare_energies(
    predicted: LCAOSystem, reference: EigenStates, overlap_floor: float | None
) -> tuple[BandComparison, EnergyErrors, Collapse]:
    """Errors of bands, of single energies and of the electron count; spurious states."""
    from ase_mlham.electronic.collapse import check_collapse
    from ase_mlham.electronic.comparison import compare_bands
    from ase_mlham.electronic.fermi import electron_count, fermi_level_of_states
    from ase_mlham.electronic.kpoints import KPoints
    from ase_mlham.electronic.states import eigenstates

    points = KPoints(reference.kpts, reference.weights, reference.mesh)
    states = eigenstates(predicted, points, overlap_floor=overlap_floor)
    bands = compare_bands(states, reference)
    level = fermi_level_of_states(reference)
    n = min(states.n_bands, reference.n_bands)
    first, second = states.energies[..., :n], reference.energies[..., :n]
    # the same count of both: at the middle of a gap or a level of tetrahedra it is the true number,
    # but not where a Fermi function fills the few levels of a molecule
    electrons = electron_count(states, level + bands.shift) - electron_count(reference, level)
    energies = EnergyErrors.of(
        (first - second - bands.shift).ravel(), (second - level).ravel(), electrons
    )
    verdict = check_collapse(predicted, fermi_level_of_states(states), overlap_floor=overlap_floor)
    return bands, energies, verdict
