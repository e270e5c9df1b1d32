"""`MLHamiltonian`: a model of the Hamiltonian behind ASE's calculator interface.

    from ase.build import bulk
    import ase_mlham as mh

    silicon = bulk("Si")
    silicon.calc = mh.MLHamiltonian("sige")
    print(silicon.calc.gap())
    silicon.calc.band_structure().plot(filename="bands.png")

Two things are expensive and kept: H and S of a structure, and the eigenvalues of a structure on a
set of k-points. A band plot therefore needs no second prediction, and does not throw away the mesh
that the Fermi level came from. The electronic getters of ASE carry no atoms: they answer for the
structure that the calculator is attached to, as it is at that moment. A model of the Hamiltonian
has no total energy: energies and forces come from another calculator, given as `potential`, or are
refused.
"""

from __future__ import annotations

import copy
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import numpy as np
from ase import Atoms
from ase.calculators import calculator as ase_calculator
from numpy.typing import NDArray

from ase_mlham import errors
from ase_mlham.core import BlockMatrix, LCAOSystem, SpinKind
from ase_mlham.electronic.fermi import (
    DEFAULT_SMEARING,
    band_edges,
    fermi_level_of_states,
    mesh_of,
    occupations,
)
from ase_mlham.electronic.kpoints import KPoints, k_points
from ase_mlham.electronic.states import EigenStates, eigenstates

if TYPE_CHECKING:
    from ase.spectrum.band_structure import BandStructure
    from ase.spectrum.doscollection import GridDOSCollection

    from ase_mlham.electronic.gap import Gap
    from ase_mlham.electronic.spin_texture import SpinTexture

__all__ = [
    "CalculatorInputError",
    "MLHamiltonian",
    "PredictsHamiltonian",
    "mention_ignored_moments",
]

Value = TypeVar("Value")


class CalculatorInputError(errors.InputError, ase_calculator.InputError):
    """Parameters that cannot be used; ASE's InputError and the package's in one."""


class PredictsHamiltonian(Protocol):
    """What the calculator needs of a model: `ase_mlham.HamiltonianModel`, or anything like it.

    One whose prediction depends on the magnetic moments of the atoms says so with a true attribute
    `sees_moments`.
    """

    @property
    def identity(self) -> Hashable:
        """A text, or name, version and content hash: equal for equal predictions."""
        ...

    def predict(self, atoms: Atoms, *, on_unknown: Literal["error", "warn"]) -> LCAOSystem:
        """H and S of a structure."""
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


class _Recent:
    """A few values that were used last, by key."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.values: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key, made if it is not there."""
        if key not in self.values:
            self.values[key] = make()
            while len(self.values) > self.size:
                self.values.popitem(last=False)
        self.values.move_to_end(key)
        value: Value = self.values[key]
        return value


_POPULATIONS = ("charges", "magmom", "magmoms")
_DELEGATED = ("energy", "free_energy", "energies", "forces", "stress", "stresses")
_KEPT_SYSTEMS, _KEPT_STATES = 2, 8


class MLHamiltonian(ase_calculator.Calculator):
    """ASE calculator on a model of the Hamiltonian.

    Everything but the model is given by keyword, and may be changed with `set`, which drops no more
    than what the change makes wrong.

    Parameters
    ----------
    model : str, path or HamiltonianModel
        Name of an installed model, a `.mlham` file, or a model object.
    kpts : as for `ase_mlham.electronic.kpoints.k_points`
        Mesh for Fermi level, gap, DOS and charges; by default Gamma-centred with 5 points per Å^-1.
        A path may be given too, as ASE's tools do: then the getters for eigenvalues answer for the
        path, and Fermi level and the like for the mesh that was set before.
    smearing : float, optional
        Width in eV of the occupations; by default none: the middle of the gap of an insulator,
        tetrahedra for a metal.
    occupation : {"tetrahedron", "fermi-dirac", "gaussian"}, optional
        How states around the Fermi level are filled; "fermi-dirac" with a width, else tetrahedra.
    charge : float
        Of the cell in e: so many electrons fewer than the model counts.
    device : str
        "auto", "cpu", "cuda" or "cuda:1".
    dtype : {"float32", "float64"}, optional
        In which the model computes; its own choice if None.
    solver : str, optional
        A registered eigensolver.
    overlap_floor : float, optional
        Project out eigenvectors of S below this, see `eigenstates`.
    on_unknown : {"error", "warn"}
        What to do about distances shorter than any that the model was trained on.
    bandpath : BandPath, str, optional
        Path of `band_structure()`; set by ASE's `calculate_band_structure`.
    potential : ase.calculators.calculator.Calculator, optional
        Gives energy, forces and stress, for relaxations and dynamics.
    atoms : ase.Atoms, optional
        Attach the calculator to these atoms.
    directory, label : str
        Accepted as for all calculators of ASE; no files are written.

    Raises
    ------
    CalculatorInputError
        A keyword is unknown (the message names the nearest one) or its value cannot be used.
    """

    default_parameters = {  # noqa: RUF012 - declared by the base class
        "model": "sige",
        "kpts": None,
        "smearing": None,
        "occupation": None,
        "charge": 0.0,
        "device": "auto",
        "dtype": None,
        "solver": None,
        "overlap_floor": None,
        "on_unknown": "error",
        "bandpath": None,
        "potential": None,
    }
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
        self._systems = _Recent(_KEPT_SYSTEMS)
        self._states = _Recent(_KEPT_STATES)
        super().__init__(atoms=atoms, directory=directory, label=label, model=model, **parameters)

    # ------------------------------------------------------------------ parameters
    def set(self, **parameters: Any) -> dict[str, Any]:
        """Change parameters; what remains right is kept.

        Returns
        -------
        dict
            Those that were changed.
        """
        for name in parameters:
            if name not in self.default_parameters:
                close = get_close_matches(name, self.default_parameters, n=1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                raise CalculatorInputError(
                    f"MLHamiltonian has no parameter {name!r}{hint} "
                    f"(known: {', '.join(self.default_parameters)})"
                )
        live = dict(parameters)
        if "model" in parameters:
            parameters["model"] = _plain_model(live["model"])
        if "potential" in parameters:
            parameters["potential"] = _plain_potential(live["potential"])
        if isinstance(parameters.get("kpts"), np.ndarray):
            parameters["kpts"] = parameters["kpts"].tolist()
        if isinstance(parameters.get("smearing"), tuple | list):
            # ASE's usual form: ("Fermi-Dirac", 0.1)
            parameters["occupation"], parameters["smearing"] = parameters["smearing"]
        for name in ("charge", "smearing", "overlap_floor"):
            if name in parameters:
                parameters[name] = _number(name, parameters[name])
        changed: dict[str, Any] = super().set(**parameters)
        if "model" in live and not isinstance(live["model"], str | PathLike):
            self._model, self._model_is_given = live["model"], True
        elif {"model", "device", "dtype"} & changed.keys() and (
            "model" in changed or not self._model_is_given
        ):
            self._model, self._model_is_given = None, False
        if {"model", "device", "dtype"} & changed.keys():
            self._systems, self._states = _Recent(_KEPT_SYSTEMS), _Recent(_KEPT_STATES)
        if "potential" in live and live["potential"] is not self._potential:
            self._potential = live["potential"]
            self.results.clear()
        if "kpts" in changed and not _is_path(changed["kpts"]):
            self._mesh = changed["kpts"]
        if changed.keys() - {"bandpath", "potential"}:
            for name in _POPULATIONS:
                self.results.pop(name, None)
        self.implemented_properties = list(_POPULATIONS)
        if self._potential is not None:
            provided = self._potential.implemented_properties
            self.implemented_properties += [name for name in provided if name in _DELEGATED]
        return changed

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
        return self.states(kpts if _is_path(kpts) else None)

    # ------------------------------------------------------------------ results of our own
    def band_structure(
        self,
        path: Any = None,
        npoints: int | None = None,
        *,
        density: float | None = None,
        eps: float = 2e-4,
        atoms: Atoms | None = None,
    ) -> BandStructure:
        """Bands along a path, with the Fermi level of the mesh as reference.

        Parameters
        ----------
        path, npoints, density, eps
            As for `ase_mlham.electronic.path.band_path`; by default the path set as `bandpath` or
            `kpts`, or else that of the lattice.
        """
        from ase_mlham.electronic.bands import reference_level, to_band_structure
        from ase_mlham.electronic.path import band_path, path_points

        p = self.parameters
        if path is None:
            path = p.bandpath if p.bandpath is not None else p.kpts if _is_path(p.kpts) else None
        structure = self.system(atoms).structure
        if _is_mapping(path):
            points = k_points(path, structure)
        else:
            points = path_points(
                band_path(structure, path, npoints=npoints, density=density, eps=eps)
            )
        along = self.states(points, atoms=atoms)
        if p.smearing is None and p.occupation is None:
            reference = reference_level(self.states(atoms=atoms), along)
        else:
            reference = self.fermi_level(atoms)
        return to_band_structure(along, reference)

    def fermi_level(self, atoms: Atoms | None = None) -> float:
        """Fermi level on the mesh, eV."""
        p = self.parameters
        return float(fermi_level_of_states(self.states(atoms=atoms), p.smearing, p.occupation))

    def gap(self, atoms: Atoms | None = None) -> Gap:
        """Band gap, searched for between the points of the mesh too in small cells."""
        from ase_mlham.electronic.gap import gap

        p = self.parameters
        return gap(self.system(atoms), self._mesh, overlap_floor=p.overlap_floor, solver=p.solver)

    def dos(
        self,
        *,
        window: tuple[float, float] | None = None,
        npoints: int | None = None,
        width: float | None = None,
        atoms: Atoms | None = None,
    ) -> GridDOSCollection:
        """Density of states on the mesh, see `ase_mlham.electronic.dos.dos`.

        Parameters
        ----------
        window, npoints, width
            Energies in eV, their number, and the width of Gaussians (tetrahedra if None).
        """
        from ase_mlham.electronic.dos import dos_of_states

        states = self.states(atoms=atoms)
        if width is None and (states.mesh is None or max(states.mesh.size) == 1):
            width = DEFAULT_SMEARING
        level = self.fermi_level(atoms)
        return dos_of_states(states, level, window=window, npoints=npoints, width=width)

    def pdos(
        self, by: str = "shell", *, atoms: Atoms | None = None, **options: Any
    ) -> GridDOSCollection:
        """Projected density of states on the mesh, see `ase_mlham.electronic.dos.pdos`.

        Parameters
        ----------
        by : {"element", "shell", "orbital", "atom"}
            What the orbitals are collected by.
        **options
            window, npoints, width, method.
        """
        from ase_mlham.electronic.dos import pdos

        p = self.parameters
        return pdos(
            self.system(atoms),
            self._mesh,
            by=by,
            overlap_floor=p.overlap_floor,
            solver=p.solver,
            **options,
        )

    def spin_texture(
        self, kpts: Any = None, bands: Sequence[int] | None = None, *, atoms: Atoms | None = None
    ) -> SpinTexture:
        """Spin expectation values of states, see `ase_mlham.electronic.spin_texture.spin_texture`.

        Parameters
        ----------
        kpts : as for `k_points`
            Points, a mesh, or a path; the mesh of the calculator if not given.
        bands : sequence of int, optional
            Which bands, counted from 0; all by default.

        Returns
        -------
        SpinTexture
            Its `spin`, (n_spin, n_k, n_bands, 3), holds <sigma> = <S> / (hbar / 2) along x, y, z.

        Raises
        ------
        InputError
            The model predicts no spin.
        """
        from ase_mlham.electronic.spin_texture import spin_texture

        p = self.parameters
        return spin_texture(
            self.system(atoms),
            self._mesh if kpts is None else kpts,
            bands,
            overlap_floor=p.overlap_floor,
            solver=p.solver,
        )

    # ------------------------------------------------------------------ ASE's electronic getters
    def get_fermi_level(self) -> float:
        """Fermi level on the mesh, eV; never of a path."""
        return self.fermi_level()

    def get_eigenvalues(self, kpt: int = 0, spin: int = 0) -> NDArray[np.float64]:
        """Energies (n_bands,) in eV at a point of `get_ibz_k_points`."""
        return np.array(self._active().energies[spin, kpt])

    def get_occupation_numbers(self, kpt: int = 0, spin: int = 0) -> NDArray[np.float64]:
        """Electrons (n_bands,) in each state at a k-point: up to 2, or 1 where states have spin."""
        states = self._active()
        filling = occupations(states, *self._filling(self.states()))
        return np.array(states.degeneracy * filling[spin, kpt])

    def _filling(self, mesh: EigenStates) -> tuple[float, float, str]:
        """Fermi level, width and method for occupation numbers that count the electrons exactly."""
        p = self.parameters
        method = "fermi-dirac" if p.occupation in (None, "tetrahedron") else p.occupation
        width = p.smearing
        if width is None:
            # tetrahedra weight states without filling them; an insulator needs no width at all
            width = DEFAULT_SMEARING if band_edges(mesh) is None else 1e-3
        return fermi_level_of_states(mesh, width, method), width, method

    def get_ibz_k_points(self) -> NDArray[np.float64]:
        """k-points (n_k, 3) with eigenvalues, fractions: of k and -k one, where both are equal."""
        return np.array(self._active().kpts)

    def get_k_point_weights(self) -> NDArray[np.float64]:
        """Weights (n_k,) of those points.

        Raises
        ------
        CalculatorInputError
            `kpts` is a path: a density of states from it would mean nothing.
        """
        return np.array(self._sampling().weights)

    def get_bz_k_points(self) -> NDArray[np.float64]:
        """All points (n_bz, 3) of the mesh, in the order of ASE's Monkhorst-Pack meshes."""
        from ase.dft.kpoints import monkhorst_pack

        states = self._sampling()
        if states.mesh is None:
            return np.array(states.kpts)
        n = np.array(states.mesh.size)
        return monkhorst_pack(n) + self._offset(states) / n

    def get_bz_to_ibz_map(self) -> NDArray[np.int64]:
        """For each of these, its place (n_bz,) in `get_ibz_k_points`."""
        states = self._sampling()
        if states.mesh is None:
            return np.arange(len(states.kpts))
        n = np.array(states.mesh.size)
        steps = (self.get_bz_k_points() - self._first(states)) * n
        a, b, c = np.round(steps).astype(np.int64).T % n[:, None]
        return states.mesh.index[(a * n[1] + b) * n[2] + c]

    def _first(self, states: EigenStates) -> NDArray[np.float64]:
        """The mesh point of index (0, 0, 0)."""
        if states.mesh is None:
            raise AssertionError("only meshes have a first point")
        return states.kpts[states.mesh.index[0]]

    def _offset(self, states: EigenStates) -> NDArray[np.float64]:
        """Shift of the mesh against ASE's, in steps: half a one if Gamma-centred and even."""
        if states.mesh is None:
            raise AssertionError("only meshes have an offset")
        n = np.array(states.mesh.size)
        # ASE's first point is (1 - n) / 2n
        return (self._first(states) * n - (1 - n) / 2) % 1.0

    def _sampling(self) -> EigenStates:
        states = self._active()
        if states.path is not None and len(states.kpts) > 1:
            raise CalculatorInputError(
                "kpts is a path, which does not sample the zone; set a mesh, for example "
                "set(kpts=(8, 8, 8)), or use dos(), which keeps its own mesh"
            )
        return states

    def get_number_of_spins(self) -> int:
        """1, or 2 for collinear systems."""
        return len(self._active().energies)

    def get_number_of_bands(self) -> int:
        """States at each k-point."""
        return self._active().n_bands

    def get_spin_polarized(self) -> bool:
        """Whether up and down have energies of their own."""
        return self.get_number_of_spins() == 2

    def get_homo_lumo(self) -> tuple[float, float]:
        """Highest energy at or below the Fermi level and lowest above, eV, on the mesh."""
        energies, level = self.states().energies, self.fermi_level()
        below, above = energies[energies <= level], energies[energies > level]
        if not (below.size and above.size):
            raise CalculatorInputError("all states are filled, or none: there is no HOMO or LUMO")
        return float(below.max()), float(above.min())

    # ------------------------------------------------------------------ ASE's properties
    def get_property(
        self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True
    ) -> Any:
        """A property of ASE: charges and moments from H, energy and forces from `potential`."""
        if name in _DELEGATED and self._potential is None:
            raise ase_calculator.PropertyNotImplementedError(
                f"a model of the Hamiltonian predicts no {name}: the sum of band energies is not a "
                "total energy. Give a calculator that does: MLHamiltonian(..., potential=...)"
            )
        if atoms is None and allow_calculation:
            atoms = self._current(None)
        return super().get_property(name, atoms, allow_calculation)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] | None = None,
        system_changes: Sequence[str] = ase_calculator.all_changes,
    ) -> None:
        """Put properties into `results`; called by ASE."""
        atoms = self._current(atoms)
        if properties is None:
            properties = ["charges"] if self._potential is None else ["energy"]
        super().calculate(atoms, list(properties), list(system_changes))
        for name in properties:
            if name in _POPULATIONS:
                self.results.update(self._populations())
            elif self._potential is not None:
                self.results[name] = self._potential.get_property(name, self.atoms)
            else:
                self.get_property(name, self.atoms)

    def _populations(self) -> dict[str, Any]:
        """Mulliken charges in e and spin moments in Bohr magnetons, in ASE's forms.

        Moments are numbers without spin and for collinear spin, vectors for spinors.
        """
        from ase_mlham.electronic.charges import charges

        p = self.parameters
        system = self.system(self.atoms)
        found = charges(
            system,
            self._mesh,
            p.smearing,
            None if p.occupation == "tetrahedron" else p.occupation,
            overlap_floor=p.overlap_floor,
            solver=p.solver,
        )
        moments = found.moments if system.spin is SpinKind.SPINOR else found.moments[:, 2]
        total = moments.sum(axis=0)
        return {
            "charges": np.array(found.charges),
            "magmoms": np.array(moments),
            "magmom": np.array(total) if system.spin is SpinKind.SPINOR else float(total),
        }

    # ------------------------------------------------------------------ copies
    def fixed_density(self, **parameters: Any) -> MLHamiltonian:
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
        state["_systems"], state["_states"] = _Recent(_KEPT_SYSTEMS), _Recent(_KEPT_STATES)
        if not self._model_is_given:
            state["_model"] = None
        return state

    def __deepcopy__(self, memo: dict[int, Any]) -> MLHamiltonian:
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        # weights do not change: copies of a calculator share them
        memo[id(self._model)] = self._model
        state = {**self.__getstate__(), "_model": self._model}
        new.__dict__.update(copy.deepcopy(state, memo))
        return new


def _plain_model(model: Any) -> str:
    """What is stored of a model: a name, a path, or its identity."""
    if isinstance(model, str | PathLike):
        return str(model)
    identity = getattr(model, "identity", None)
    if isinstance(identity, tuple):
        identity = " ".join(str(part)[:12] for part in identity)
    if not isinstance(identity, str) or not callable(getattr(model, "predict", None)):
        raise CalculatorInputError(
            f"model {model!r}: give the name of an installed model (`mlham models` lists them), a "
            ".mlham file, or an object with `predict(atoms)` and `identity`"
        )
    return identity


def _plain_potential(potential: Any) -> str | None:
    """What is stored of a potential: its name."""
    if potential is None:
        return None
    if not hasattr(potential, "get_property") or not hasattr(potential, "implemented_properties"):
        raise CalculatorInputError(f"potential {potential!r} is not a calculator of ASE")
    return str(potential.name)


def _number(name: str, value: Any) -> float | None:
    if value is None and name != "charge":
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        raise CalculatorInputError(f"{name}={value!r}: expected a number") from None


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_path(kpts: Any) -> bool:
    """Whether k-points are given as a path."""
    if _is_mapping(kpts):
        return "path" in kpts
    return isinstance(kpts, str) or hasattr(kpts, "special_points")
