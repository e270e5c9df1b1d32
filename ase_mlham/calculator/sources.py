"""Where H comes from: a model, a file with its own Hamiltonian, or a system in memory.

The calculator asks a source three things, and never which of them it is: whether it has atoms of
its own, a key that is equal for structures with equal H, and the system itself. A file or a system
belongs to one structure: atoms that differ from it are refused, for their H is not known.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Hashable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from ase import Atoms
from ase.calculators import calculator as ase_calculator

from ase_mlham import errors
from ase_mlham.calculator.parameters import CalculatorInputError
from ase_mlham.core import LCAOSystem, Structure
from ase_mlham.core.basis import symbol

__all__ = [
    "CalculatorDomainError",
    "FixedSource",
    "ModelSource",
    "PredictsHamiltonian",
    "Source",
    "check_same_structure",
    "mention_ignored_moments",
    "open_source",
]

OnUnknown = Literal["error", "warn"]

_log = logging.getLogger(__name__)

SAME_PLACE = 1e-3
"""Å by which an atom may differ from the one that H was computed for: what text files round."""


class CalculatorDomainError(errors.DomainError, ase_calculator.InputError):
    """Atoms that a model was not trained for; ASE's InputError and the package's in one."""


class PredictsHamiltonian(Protocol):
    """What the calculator needs of a model: `ase_mlham.HamiltonianModel`, or anything like it.

    One whose prediction depends on the magnetic moments of the atoms says so with a true attribute
    `sees_moments`.
    """

    @property
    def identity(self) -> Hashable:
        """A text, or name, version and content hash: equal for equal predictions."""
        ...

    def predict(self, atoms: Atoms, *, on_unknown: OnUnknown) -> LCAOSystem:
        """H and S of a structure."""
        ...


class Source(Protocol):
    """What the calculator asks of a source."""

    def structure(self) -> Structure | None:
        """Atoms that the source belongs to; None if it serves any."""
        ...

    def key(self, atoms: Atoms, on_unknown: OnUnknown) -> Hashable:
        """Equal for atoms of equal H; refuses atoms that it has no H for."""
        ...

    def system(self, atoms: Atoms, on_unknown: OnUnknown) -> LCAOSystem:
        """H and S."""
        ...

    def reservations(self, system: LCAOSystem, atoms: Atoms) -> LCAOSystem:
        """The system with what is to be said about these atoms, which the key does not know."""
        ...


def mention_ignored_moments(
    system: LCAOSystem, model: PredictsHamiltonian, atoms: Atoms
) -> LCAOSystem:
    """The system, with a reservation if atoms have moments and the model did not look at them.

    Moments are often left over from another calculation, so this is a `DomainWarning` and no error.

    Parameters
    ----------
    system : LCAOSystem
        What the model predicted for the atoms.
    model : PredictsHamiltonian
        The model.
    atoms : ase.Atoms
        With `initial_magmoms`, or without.
    """
    if getattr(model, "sees_moments", False) or not atoms.get_initial_magnetic_moments().any():
        return system
    from ase_mlham.learning.domain import DomainWarning

    text = (
        "the atoms have magnetic moments, but the model was not trained on any: H is predicted as "
        "if there were none"
    )
    name = getattr(model, "name", model.identity)
    warnings.warn(f"model {name!r}: {text}", DomainWarning, stacklevel=3)
    return system.replace(warnings=(*system.warnings, text))


class ModelSource:
    """A model, given as an object or loaded when first used.

    Parameters
    ----------
    model : PredictsHamiltonian or str
        The model, its name or its file.
    device, dtype
        As for `ase_mlham.load_model`.
    """

    def __init__(
        self, model: PredictsHamiltonian | str, device: str = "auto", dtype: str | None = None
    ) -> None:
        self.name = model if isinstance(model, str) else None
        self._model = None if isinstance(model, str) else model
        self.device, self.dtype = device, dtype

    @property
    def model(self) -> PredictsHamiltonian:
        """The model, loaded if need be."""
        if self._model is None:
            from ase_mlham.hooks import load

            load_model = load("ase_mlham.learning.model:load_model")
            options = {} if self.dtype is None else {"dtype": self.dtype}
            loaded: PredictsHamiltonian = load_model(self.name, device=self.device, **options)
            _log.info("loaded %r (device %r was asked for)", loaded, self.device)
            self._model = loaded
        return self._model

    def structure(self) -> None:
        """Models serve any atoms."""
        return

    def key(self, atoms: Atoms, on_unknown: OnUnknown) -> Hashable:
        """Identity of the model, and the exact bytes of what it sees."""
        # exact bytes: a rounded key would answer for another structure
        arrays = [atoms.numbers, atoms.positions, np.asarray(atoms.cell), atoms.pbc]
        if getattr(self.model, "sees_moments", False):
            # none at all is refused, and is not the same as zeros
            arrays.append(np.array(atoms.has("initial_magmoms")))
            arrays.append(atoms.get_initial_magnetic_moments())
        return (self.model.identity, on_unknown, *(a.tobytes() for a in arrays))

    def system(self, atoms: Atoms, on_unknown: OnUnknown) -> LCAOSystem:
        """The prediction."""
        try:
            return self.model.predict(atoms, on_unknown=on_unknown)
        except errors.DomainError as error:
            raise CalculatorDomainError(str(error)) from error

    def reservations(self, system: LCAOSystem, atoms: Atoms) -> LCAOSystem:
        """Moments that the model did not look at."""
        return mention_ignored_moments(system, self.model, atoms)

    def __getstate__(self) -> dict[str, Any]:
        """Without the weights if they can be loaded again."""
        return {**self.__dict__, "_model": None if self.name else self._model}

    def __deepcopy__(self, memo: dict[int, Any]) -> ModelSource:
        # weights do not change: copies of a calculator share them
        return self


class FixedSource:
    """H of one structure: a system in memory, or a file that is read when first used.

    Parameters
    ----------
    system : LCAOSystem or str
        The system, or the path of its file.
    """

    def __init__(self, system: LCAOSystem | str) -> None:
        self.path = system if isinstance(system, str) else None
        self._system = None if isinstance(system, str) else system
        self._structure = None if isinstance(system, str) else system.structure

    @property
    def _loaded(self) -> LCAOSystem:
        if self._system is None:
            from ase_mlham.formats import read_system

            self._system = read_system(str(self.path))
            _log.info("read %d atoms from %s", self._system.structure.n_atoms, self.path)
        return self._system

    def structure(self) -> Structure:
        """The atoms of the file or system; the matrices of a file are not read for them."""
        if self._structure is None:
            from ase_mlham.formats import read_outline

            self._structure = read_outline(str(self.path)).structure
        return self._structure

    def key(self, atoms: Atoms, on_unknown: OnUnknown) -> Hashable:
        """One key: there is one H."""
        if self.path is None:
            name, remedy = "the system", "system.structure.to_atoms()"
        else:
            name, remedy = self.path, f"MLHamiltonian({self.path!r}).get_atoms()"
        check_same_structure(self.structure(), atoms, name, remedy)
        return self.path or id(self._system)

    def system(self, atoms: Atoms, on_unknown: OnUnknown) -> LCAOSystem:
        """That of the file; the key has refused atoms of another."""
        return self._loaded

    def reservations(self, system: LCAOSystem, atoms: Atoms) -> LCAOSystem:
        """None beyond those that the system brings."""
        return system

    def __getstate__(self) -> dict[str, Any]:
        """Without what can be read again."""
        again = {"_system": None, "_structure": None} if self.path else {}
        return {**self.__dict__, **again}

    def __deepcopy__(self, memo: dict[int, Any]) -> FixedSource:
        # systems cannot be changed: copies share them
        return self


def check_same_structure(structure: Structure, atoms: Atoms, name: str, remedy: str) -> None:
    """Refuse atoms that are not those which H was computed for.

    Atoms may be moved by lattice vectors, which changes no eigenvalue, and may differ by what text
    files round.

    Parameters
    ----------
    structure : Structure
        Of the source.
    atoms : ase.Atoms
        Of the user.
    name : str
        What the source is called in the message.
    remedy : str
        How to get its atoms.

    Raises
    ------
    CalculatorInputError
        Says what differs.
    """
    difference = _difference(structure, atoms)
    if difference is not None:
        raise CalculatorInputError(
            f"the atoms are not those that the Hamiltonian of {name} was computed for: "
            f"{difference}. It is known for its own structure only: take its atoms, {remedy}, or "
            "predict for other ones with a model"
        )


def _difference(structure: Structure, atoms: Atoms) -> str | None:
    if len(atoms) != structure.n_atoms:
        return f"{len(atoms)} atoms instead of {structure.n_atoms}"
    wrong = np.flatnonzero(atoms.numbers != structure.numbers)
    if len(wrong):
        n = int(wrong[0])
        there, here = symbol(int(structure.numbers[n])), symbol(int(atoms.numbers[n]))
        return f"atom {n} is {here} instead of {there}" + (
            "; the atoms may be in another order" if _sorted_equal(structure, atoms) else ""
        )
    if np.any(atoms.pbc != structure.pbc):
        return f"pbc is {_flags(atoms.pbc)} instead of {_flags(structure.pbc)}"
    cell = np.asarray(atoms.cell)
    periodic = structure.pbc
    apart = np.abs(cell - structure.cell)[periodic]
    if apart.size and apart.max() > SAME_PLACE:
        axis = "abc"[int(np.flatnonzero(periodic)[apart.max(axis=1).argmax()])]
        return f"lattice vector {axis} differs by up to {apart.max():.4f} Å"
    moved = atoms.positions - structure.positions
    # whole lattice vectors of the periodic directions do not count
    steps = np.round(moved @ np.linalg.inv(structure.full_cell)) * periodic
    moved = np.linalg.norm(moved - steps @ structure.full_cell, axis=1)
    if moved.max() > SAME_PLACE:
        n = int(moved.argmax())
        return (
            f"{int((moved > SAME_PLACE).sum())} of the atoms are elsewhere, atom {n} "
            f"({symbol(int(atoms.numbers[n]))}) by {moved[n]:.4f} Å"
        )
    return None


def _sorted_equal(structure: Structure, atoms: Atoms) -> bool:
    return np.array_equal(np.sort(structure.numbers), np.sort(atoms.numbers))


def _flags(pbc: Any) -> str:
    return "(" + ", ".join(str(bool(p)) for p in pbc) + ")"


def open_source(
    model: PredictsHamiltonian | LCAOSystem | str,
    device: str = "auto",
    dtype: str | None = None,
) -> Source:
    """The source that a model, a name or a path stands for; nothing is loaded yet.

    Parameters
    ----------
    model : PredictsHamiltonian, LCAOSystem or str
        An object, the name of a model, a `.mlham` file, or a file with a Hamiltonian.
    device, dtype
        As for `ModelSource`.
    """
    if isinstance(model, LCAOSystem):
        return FixedSource(model)
    if isinstance(model, str) and _holds_hamiltonian(model):
        return FixedSource(str(Path(model).expanduser()))
    return ModelSource(model, device, dtype)


def _holds_hamiltonian(name: str) -> bool:
    """Whether a text is the path of a file with its own H, or the name that such a file has."""
    from ase_mlham import hooks

    path = Path(name).expanduser()
    if path.suffix == ".mlham" or name in hooks.registered("model"):
        return False
    if path.exists():
        from ase_mlham.formats import sniff_formats

        return bool(sniff_formats(path))
    # a missing output is reported as such, and not as an unknown model
    patterns = [p for spec in hooks.registered("format").values() for p in spec.patterns]
    return any(fnmatch(path.name, pattern) for pattern in patterns)
