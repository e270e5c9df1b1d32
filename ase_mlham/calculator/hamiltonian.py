"""The calculator's foundation: source of H, parameters, the live structure, and what is kept.

Two things are expensive and kept: H and S of a structure, and the eigenvalues of a structure on a
set of k-points. A band plot therefore needs no second prediction, and does not throw away the mesh
that the Fermi level came from. What follows from them (Fermi level, charges) is kept as well, and
is all that a change of smearing or charge makes wrong. Nothing is ever deleted because something
changed: keys say what a value was made from, so that what comes back is found again.

The electronic getters of ASE carry no atoms: they answer for the structure that the calculator is
attached to, as it is at that moment.

Methods for one kind of result live in modules of their own, in a class derived from
`CachedHamiltonian`: they ask `self.system(atoms)` for H, `self.states(...)` for eigenvalues, pass
`self._solving` on to every function that diagonalises, and may keep what they made with
`self._kept(name, make, atoms)`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable
from dataclasses import replace
from os import PathLike
from typing import Any, Self, TypeVar

from ase import Atoms
from ase.calculators import calculator as ase_calculator

from ase_mlham.calculator.caches import Recent
from ase_mlham.calculator.parameters import (
    DEFAULTS,
    CalculatorInputError,
    configured,
    is_path,
    kpts_key,
    plain_parameters,
)
from ase_mlham.calculator.sources import (
    ModelSource,
    PredictsHamiltonian,
    Source,
    open_source,
)
from ase_mlham.core import BlockMatrix, LCAOSystem
from ase_mlham.electronic.fermi import mesh_of
from ase_mlham.electronic.kpoints import KPoints, ascending, k_points
from ase_mlham.electronic.states import EigenStates, eigenstates

__all__ = ["CachedHamiltonian"]

Value = TypeVar("Value")

POPULATIONS = ("charges", "magmom", "magmoms")
DELEGATED = tuple(n for n in ase_calculator.all_properties if n not in POPULATIONS)
_KEPT = {"_systems": 2, "_states": 8, "_views": 8, "_derived": 16, "_grids": 2}


class CachedHamiltonian(ase_calculator.Calculator):
    """H, S and eigenvalues of structures; parameters and constructor as for `MLHamiltonian`."""

    default_parameters = dict(DEFAULTS)  # noqa: RUF012 - declared by the base class
    # no model sees them; whoever makes one that does must remove this
    ignored_changes = {"initial_charges"}  # noqa: RUF012 - likewise
    accepts_bandpath_keyword = True

    def __init__(
        self,
        model: str | PathLike[str] | PredictsHamiltonian | None = None,
        *,
        atoms: Atoms | None = None,
        directory: str | PathLike[str] = ".",
        label: str | None = None,
        **parameters: Any,
    ) -> None:
        self._opened: Source | None = None
        self._potential: ase_calculator.Calculator | None = None
        self._live: Atoms | None = None
        self._mesh: Any = None
        self._forget()
        if model is None and parameters.get("system") is None:
            model = configured().get("model", DEFAULTS["model"])
        if isinstance(model, str | PathLike):
            for name, value in configured().items():
                if name != "model":
                    parameters.setdefault(name, value)
        super().__init__(atoms=atoms, directory=directory, label=label, model=model, **parameters)

    def _forget(self) -> None:
        self._systems, self._states = Recent(_KEPT["_systems"]), Recent(_KEPT["_states"])
        self._views, self._derived = Recent(_KEPT["_views"]), Recent(_KEPT["_derived"])
        self._grids = Recent(_KEPT["_grids"])

    # ------------------------------------------------------------------ parameters
    def set(self, **parameters: Any) -> dict[str, Any]:
        """Change parameters; what remains right is kept.

        Returns
        -------
        dict
            Those that were changed.
        """
        plain = plain_parameters(parameters)
        given = [n for n in ("model", "system") if parameters.get(n) is not None]
        if len(given) == 2:
            raise CalculatorInputError("give a model or a system, not both")
        if given:
            plain["system" if given == ["model"] else "model"] = None
        wanted = {**self.parameters, **plain}
        if wanted["model"] is None and wanted["system"] is None:
            raise CalculatorInputError("no source of H is left: give a model or a system")
        source = parameters[given[0]] if given else None
        new = self._new_source(source, wanted)
        changed: dict[str, Any] = super().set(**plain)
        if new is not None:
            self._opened = new
            self._forget()
        elif changed.keys() & {"model", "system", "device", "dtype"}:
            self._opened = None
            self._forget()
        if "potential" in parameters and parameters["potential"] is not self._potential:
            self._potential = parameters["potential"]
            self.results.clear()
        if "kpts" in changed and not is_path(changed["kpts"]):
            self._mesh = changed["kpts"]
        if new is not None or changed.keys() - {"bandpath", "potential", "spacing"}:
            for name in POPULATIONS:
                self.results.pop(name, None)
        self.implemented_properties = list(POPULATIONS)
        if self._potential is not None:
            provided = self._potential.implemented_properties
            self.implemented_properties += [name for name in provided if name in DELEGATED]
        return changed

    def _new_source(self, source: Any, wanted: dict[str, Any]) -> Source | None:
        """Source made of an object, if one was given; names are opened when first used."""
        new: Source | None = None
        if source is not None and not isinstance(source, str | PathLike):
            new = open_source(source)
        kept = self._opened if source is None else new
        if isinstance(kept, ModelSource) and kept.name is None:
            for name in ("device", "dtype"):
                if wanted[name] != DEFAULTS[name]:
                    raise CalculatorInputError(
                        f"{name}={wanted[name]!r} for a model that was given as an object, which "
                        f"is where it is: load it so, load_model(..., {name}={wanted[name]!r}), or "
                        "give its name"
                    )
        return new

    def todict(self, skip_default: bool = True) -> dict[str, Any]:
        """Parameters that differ from the defaults, and always where H comes from."""
        found: dict[str, Any] = super().todict(skip_default)
        if skip_default:
            for name in ("model", "system"):
                found.pop(name, None)
                if self.parameters[name] is not None:
                    found[name] = self.parameters[name]
        return found

    @property
    def _solving(self) -> dict[str, Any]:
        """Keyword arguments of everything that diagonalises."""
        return {"overlap_floor": self.parameters.overlap_floor, "solver": self.parameters.solver}

    # ------------------------------------------------------------------ source
    @property
    def _source(self) -> Source:
        if self._opened is None:
            p = self.parameters
            self._opened = open_source(p.model, p.device, p.dtype)
        return self._opened

    @property
    def model(self) -> PredictsHamiltonian:
        """The model, loaded when first used.

        Raises
        ------
        CalculatorInputError
            The Hamiltonian is that of a file or system.
        """
        if not isinstance(self._source, ModelSource):
            where = self.parameters.model or self.parameters.system
            raise CalculatorInputError(f"the Hamiltonian comes from {where}: there is no model")
        return self._source.model

    # ------------------------------------------------------------------ which structure
    def set_atoms(self, atoms: Atoms) -> None:
        """Called by `atoms.calc = calculator`: the getters without atoms answer for these."""
        self._live = atoms
        self._follow(atoms)

    def _follow(self, atoms: Atoms) -> None:
        """Have `calculator.atoms`, which ASE's tools read beside the getters, be of these."""
        if self.check_state(atoms):
            self.reset()
            self.atoms = atoms.copy()

    def get_atoms(self) -> Atoms:
        """Copy of the atoms with this calculator attached, which stays with the original.

        Before any are attached, those of the file or system that H comes from.
        """
        live = self._current(None)
        atoms = live.copy()
        atoms.calc = self
        self._live = live
        return atoms

    def _current(self, atoms: Atoms | None) -> Atoms:
        for candidate in (atoms, self._live, self.atoms):
            if candidate is not None:
                return candidate
        own = self._source.structure()
        if own is None:
            raise ase_calculator.PropertyNotPresent(
                "this calculator has no atoms: attach it with `atoms.calc = calculator`, or give "
                "atoms="
            )
        self._live = own.to_atoms()
        return self._live

    # ------------------------------------------------------------------ what is kept
    def _structure_key(self, atoms: Atoms) -> Hashable:
        return self._source.key(atoms, self.parameters.on_unknown)

    def system(self, atoms: Atoms | None = None) -> LCAOSystem:
        """System of a structure, with `charge` taken from its electrons.

        Initial magnetic moments are what a magnetic model predicts for, vectors too if it is a
        spinor model; one that sees no moments ignores them, with a `DomainWarning`.

        Parameters
        ----------
        atoms : ase.Atoms, optional
            Those that the calculator is attached to if not given; likewise in all methods below.

        Raises
        ------
        CalculatorInputError
            H comes from a file or system, and the atoms are not those that it was computed for.
        DomainError
            The model does not know an element or a distance.
        """
        atoms = self._current(atoms)
        source, p = self._source, self.parameters
        neutral: LCAOSystem = self._systems.get(
            self._structure_key(atoms), lambda: source.system(atoms, p.on_unknown)
        )
        neutral = source.reservations(neutral, atoms)
        return neutral.replace(n_electrons=neutral.n_electrons - p.charge) if p.charge else neutral

    def hamiltonian(self, atoms: Atoms | None = None) -> tuple[BlockMatrix, BlockMatrix]:
        """H(R) in eV and S(R)."""
        system = self.system(atoms)
        return system.hamiltonian, system.overlap

    def states(self, kpts: Any = None, *, atoms: Atoms | None = None) -> EigenStates:
        """Eigenvalues on some k-points.

        Parameters
        ----------
        kpts : as for `ase_mlham.electronic.kpoints.k_points`
            The mesh of the calculator if not given.
        """
        atoms = self._current(atoms)
        p = self.parameters
        structure = self._structure_key(atoms)
        solving = (p.solver, p.overlap_floor)
        mesh = ("mesh", p.symmetry, *kpts_key(self._mesh))
        chosen = mesh if kpts is None else kpts_key(kpts)

        def solved() -> EigenStates:
            system = self.system(atoms)
            points = self._points(system, kpts)
            found: EigenStates = self._states.get(
                (structure, points.kpts.tobytes(), *solving),
                lambda: eigenstates(system, points, **self._solving),
            )
            return replace(
                found, path=points.path, mesh=points.mesh, n_electrons=system.n_electrons
            )

        return self._views.get((structure, chosen, *solving, p.charge), solved)

    def _points(self, system: LCAOSystem, kpts: Any) -> KPoints:
        if kpts is not None:
            return k_points(kpts, system.structure)
        if self.parameters.symmetry == "off":
            # the whole mesh, in the order in which ASE lists it
            return ascending(mesh_of(system, self._mesh, reduce=False))
        return mesh_of(system, self._mesh)

    def _kept(
        self, name: str, make: Callable[[], Value], atoms: Atoms | None, *, large: bool = False
    ) -> Value:
        """Something that follows from the states on the mesh, their filling included.

        Parameters
        ----------
        name : str
            What it is, different for everything that differs.
        make : callable
            Makes it, if it is not there.
        atoms : ase.Atoms, optional
            Whose it is.
        large : bool
            Whether only the last two such things may stay in memory.
        """
        p = self.parameters
        key = (
            name,
            self._structure_key(self._current(atoms)),
            kpts_key(self._mesh),
            p.symmetry,
            p.solver,
            p.overlap_floor,
            p.smearing,
            p.occupation,
            p.charge,
        )
        return (self._grids if large else self._derived).get(key, make)

    def _active(self) -> EigenStates:
        """States that the getters without atoms speak of: on the path if `kpts` is one."""
        self._follow(self._current(None))
        kpts = self.parameters.kpts
        return self.states(kpts if is_path(kpts) else None)

    # ------------------------------------------------------------------ copies
    def fixed_density(self, **parameters: Any) -> Self:
        """A calculator with other parameters that shares H and eigenvalues; GPAW's name for it."""
        # opened before it is shared: a model that is not loaded yet is then loaded once for both
        self._opened = self._source
        new = type(self).__new__(type(self))
        new.__dict__.update(self.__dict__)
        new.parameters = copy.copy(self.parameters)
        new.results = {}
        new.set(**parameters)
        return new

    def __getstate__(self) -> dict[str, Any]:
        """Parameters and links; what can be made again is left out."""
        return {**self.__dict__, **{name: Recent(size) for name, size in _KEPT.items()}}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        new.__dict__.update(copy.deepcopy(self.__getstate__(), memo))
        return new
