"""The calculator's foundation: source of H, parameters, the live structure, and the two caches.

Two things are expensive and kept: H and S of a structure, and the eigenvalues of a structure on a
set of k-points. A band plot therefore needs no second prediction, and does not throw away the mesh
that the Fermi level came from. The electronic getters of ASE carry no atoms: they answer for the
structure that the calculator is attached to, as it is at that moment.

Methods for one kind of result live in modules of their own, in a class derived from
`CachedHamiltonian`: they ask `self.system(atoms)` for H, `self.states(...)` for eigenvalues, and
pass `self._solving` on to every function that diagonalises.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable
from dataclasses import replace
from os import PathLike
from typing import Any, Self

import numpy as np
from ase import Atoms
from ase.calculators import calculator as ase_calculator

from ase_mlham.calculator.caches import Recent
from ase_mlham.calculator.parameters import DEFAULTS, is_path, plain_parameters
from ase_mlham.calculator.sources import PredictsHamiltonian, mention_ignored_moments
from ase_mlham.core import BlockMatrix, LCAOSystem
from ase_mlham.electronic.fermi import mesh_of
from ase_mlham.electronic.kpoints import KPoints, k_points
from ase_mlham.electronic.states import EigenStates, eigenstates

__all__ = ["CachedHamiltonian"]

POPULATIONS = ("charges", "magmom", "magmoms")
DELEGATED = ("energy", "free_energy", "energies", "forces", "stress", "stresses")
_KEPT_SYSTEMS, _KEPT_STATES = 2, 8


class CachedHamiltonian(ase_calculator.Calculator):
    """H, S and eigenvalues of structures; parameters and constructor as for `MLHamiltonian`."""

    default_parameters = dict(DEFAULTS)  # noqa: RUF012 - declared by the base class
    # no model sees them; whoever makes one that does must remove this
    ignored_changes = {"initial_charges"}  # noqa: RUF012 - likewise
    accepts_bandpath_keyword = True

    def __init__(
        self,
        model: str | PathLike[str] | PredictsHamiltonian = "sige",
        *,
        atoms: Atoms | None = None,
        directory: str | PathLike[str] = ".",
        label: str | None = None,
        **parameters: Any,
    ) -> None:
        self._model: PredictsHamiltonian | None = None
        self._model_is_given = False
        self._potential: ase_calculator.Calculator | None = None
        self._live: Atoms | None = None
        self._mesh: Any = None
        self._forget()
        super().__init__(atoms=atoms, directory=directory, label=label, model=model, **parameters)

    def _forget(self) -> None:
        self._systems, self._states = Recent(_KEPT_SYSTEMS), Recent(_KEPT_STATES)

    # ------------------------------------------------------------------ parameters
    def set(self, **parameters: Any) -> dict[str, Any]:
        """Change parameters; what remains right is kept.

        Returns
        -------
        dict
            Those that were changed.
        """
        plain = plain_parameters(parameters)
        changed: dict[str, Any] = super().set(**plain)
        if "model" in parameters and not isinstance(parameters["model"], str | PathLike):
            self._model, self._model_is_given = parameters["model"], True
        elif {"model", "device", "dtype"} & changed.keys() and (
            "model" in changed or not self._model_is_given
        ):
            self._model, self._model_is_given = None, False
        if {"model", "device", "dtype"} & changed.keys():
            self._forget()
        if "potential" in parameters and parameters["potential"] is not self._potential:
            self._potential = parameters["potential"]
            self.results.clear()
        if "kpts" in changed and not is_path(changed["kpts"]):
            self._mesh = changed["kpts"]
        if changed.keys() - {"bandpath", "potential"}:
            for name in POPULATIONS:
                self.results.pop(name, None)
        self.implemented_properties = list(POPULATIONS)
        if self._potential is not None:
            provided = self._potential.implemented_properties
            self.implemented_properties += [name for name in provided if name in DELEGATED]
        return changed

    @property
    def _solving(self) -> dict[str, Any]:
        """Keyword arguments of everything that diagonalises."""
        return {"overlap_floor": self.parameters.overlap_floor, "solver": self.parameters.solver}

    @property
    def model(self) -> PredictsHamiltonian:
        """The model, loaded when first used."""
        if self._model is None:
            from ase_mlham.hooks import load

            load_model = load("ase_mlham.learning.model:load_model")
            options = {} if self.parameters.dtype is None else {"dtype": self.parameters.dtype}
            self._model = load_model(
                self.parameters.model, device=self.parameters.device, **options
            )
        return self._model

    # ------------------------------------------------------------------ which structure
    def set_atoms(self, atoms: Atoms) -> None:
        """Called by `atoms.calc = calculator`: the getters without atoms answer for these."""
        self._live = atoms

    def get_atoms(self) -> Atoms:
        """Copy of the atoms with this calculator attached, which stays with the original."""
        live = self._current(None)
        atoms = live.copy()
        atoms.calc = self
        self._live = live
        return atoms

    def _current(self, atoms: Atoms | None) -> Atoms:
        for candidate in (atoms, self._live, self.atoms):
            if candidate is not None:
                return candidate
        raise ase_calculator.PropertyNotPresent(
            "this calculator has no atoms: attach it with `atoms.calc = calculator`, or give atoms="
        )

    # ------------------------------------------------------------------ the two caches
    def system(self, atoms: Atoms | None = None) -> LCAOSystem:
        """Predicted system of a structure, with `charge` taken from its electrons.

        Initial magnetic moments are what a magnetic model predicts for, vectors too if it is a
        spinor model; one that sees no moments ignores them, with a `DomainWarning`.

        Parameters
        ----------
        atoms : ase.Atoms, optional
            Those that the calculator is attached to if not given; likewise in all methods below.
        """
        atoms = self._current(atoms)
        charge = self.parameters.charge
        neutral: LCAOSystem = self._systems.get(
            self._structure_key(atoms),
            lambda: self.model.predict(atoms, on_unknown=self.parameters.on_unknown),
        )
        neutral = mention_ignored_moments(neutral, self.model, atoms)
        return neutral.replace(n_electrons=neutral.n_electrons - charge) if charge else neutral

    def hamiltonian(self, atoms: Atoms | None = None) -> tuple[BlockMatrix, BlockMatrix]:
        """H(R) in eV and S(R)."""
        system = self.system(atoms)
        return system.hamiltonian, system.overlap

    def _structure_key(self, atoms: Atoms) -> tuple[Hashable, ...]:
        p = self.parameters
        # exact bytes: a rounded key would answer for another structure
        arrays = [atoms.numbers, atoms.positions, np.asarray(atoms.cell), atoms.pbc]
        if getattr(self.model, "sees_moments", False):
            # none at all is refused, and is not the same as zeros
            arrays.append(np.array(atoms.has("initial_magmoms")))
            arrays.append(atoms.get_initial_magnetic_moments())
        return (
            self.model.identity,
            p.device,
            p.dtype,
            p.on_unknown,
            *(a.tobytes() for a in arrays),
        )

    def states(self, kpts: Any = None, *, atoms: Atoms | None = None) -> EigenStates:
        """Eigenvalues on some k-points; on the mesh if not given."""
        atoms = self._current(atoms)
        system = self.system(atoms)
        points = mesh_of(system, self._mesh) if kpts is None else k_points(kpts, system.structure)
        states = self._eigenstates(atoms, system, points)
        return replace(states, path=points.path, mesh=points.mesh, n_electrons=system.n_electrons)

    def _eigenstates(self, atoms: Atoms, system: LCAOSystem, points: KPoints) -> EigenStates:
        p = self.parameters
        key = (*self._structure_key(atoms), points.kpts.tobytes(), p.solver, p.overlap_floor)
        return self._states.get(
            key,
            lambda: eigenstates(system, points, solver=p.solver, overlap_floor=p.overlap_floor),
        )

    def _active(self) -> EigenStates:
        """States that the getters without atoms speak of: on the path if `kpts` is one."""
        atoms = self._current(None)
        if self.check_state(atoms):
            # ASE's tools read `calculator.atoms` beside the getters: both must be of one structure
            self.reset()
            self.atoms = atoms.copy()
        kpts = self.parameters.kpts
        return self.states(kpts if is_path(kpts) else None)

    # ------------------------------------------------------------------ copies
    def fixed_density(self, **parameters: Any) -> Self:
        """A calculator with other parameters that shares H and eigenvalues; GPAW's name for it."""
        new = type(self).__new__(type(self))
        new.__dict__.update(self.__dict__)
        new.parameters = copy.copy(self.parameters)
        new.results = {}
        new.set(**parameters)
        return new

    def __getstate__(self) -> dict[str, Any]:
        """Parameters and links; what can be made again is left out."""
        state = dict(self.__dict__)
        state["_systems"], state["_states"] = Recent(_KEPT_SYSTEMS), Recent(_KEPT_STATES)
        if not self._model_is_given:
            state["_model"] = None
        return state

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        # weights do not change: copies of a calculator share them
        memo[id(self._model)] = self._model
        state = {**self.__getstate__(), "_model": self._model}
        new.__dict__.update(copy.deepcopy(state, memo))
        return new
