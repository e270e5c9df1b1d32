"""Eigenstates of a system at many k-points, and what is measured on each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_mlham.core.spin import SpinKind
from ase_mlham.core.structure import frozen_array
from ase_mlham.core.system import LCAOSystem
from ase_mlham.electronic.kpoints import KPoints, Mesh, k_points
from ase_mlham.electronic.solvers.problem import Eigenproblem, Measure
from ase_mlham.errors import InputError, SolverError
from ase_mlham.hooks import find, load
from ase_mlham.progress import track

if TYPE_CHECKING:
    from ase.dft.kpoints import BandPath

__all__ = ["EigenStates", "coefficients", "eigenstates", "orbital_norm", "spin_expectation"]


@dataclass(frozen=True, eq=False)
class EigenStates:
    """Energies of the states at some k-points, with what was measured on them.

    Attributes
    ----------
    kpts : (n_k, 3) float
        Fractions of the reciprocal lattice vectors.
    weights : (n_k,) float
        Sum to one.
    energies : (n_spin, n_k, n_bands) float
        eV, ascending at each k. n_spin is 2 (up, down) for collinear systems, else 1.
    spin : SpinKind
        Of the system; `spin.electrons_per_state` electrons fill a state.
    n_electrons : float
        Of the system.
    measured : mapping
        By name, (n_spin, n_k, n_bands, ...) each: "spin" is <sigma_x, sigma_y, sigma_z>,
        "vectors" the coefficients (last axis: orbitals, all up before all down for spinors).
    mesh : Mesh, optional
        If the points cover the zone regularly.
    path : ase.dft.kpoints.BandPath, optional
        If they lie along a path.
    first_band : int, optional
        Index of the lowest state given; None if a solver could not know it.
    overlap_floor : float, optional
        Eigenvectors of S below this were projected out.
    warnings : tuple of str
        What is to be said against the numbers.
    """

    kpts: NDArray[np.float64]
    weights: NDArray[np.float64]
    energies: NDArray[np.float64]
    spin: SpinKind
    n_electrons: float
    measured: Mapping[str, NDArray] = field(default_factory=dict)
    mesh: Mesh | None = None
    path: BandPath | None = None
    first_band: int | None = 0
    overlap_floor: float | None = None
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "spin", SpinKind.parse(self.spin))
        for name in ("kpts", "weights", "energies"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.float64))
        expected = (self.spin.n_channels, len(self.kpts))
        if self.energies.ndim != 3 or self.energies.shape[:2] != expected:
            raise InputError(
                f"energies of shape {self.energies.shape}; expected {expected} and bands"
            )
        for name, array in self.measured.items():
            if array.shape[:3] != self.energies.shape:
                raise InputError(f"{name!r} has shape {array.shape}; one value a state is expected")

    @property
    def n_bands(self) -> int:
        """States at each k."""
        return self.energies.shape[2]

    @property
    def degeneracy(self) -> int:
        """Electrons that fill a state."""
        return self.spin.electrons_per_state

    @property
    def spin_expectation(self) -> NDArray[np.float64]:
        """<sigma_x, sigma_y, sigma_z> of each state, (n_spin, n_k, n_bands, 3); zero without spin.

        Raises
        ------
        InputError
            Spinor states whose vectors were not measured.
        """
        if self.spin is not SpinKind.SPINOR:
            out = np.zeros((*self.energies.shape, 3))
            if self.spin is SpinKind.COLLINEAR:
                out[0, ..., 2], out[1, ..., 2] = 1.0, -1.0
            return out
        if "spin" not in self.measured:
            raise InputError("the spin of these states was not measured: ask for spin=True")
        return np.asarray(self.measured["spin"])

    def to_dict(self) -> dict[str, Any]:
        """Plain values and arrays that `from_dict` reads; the path is not among them."""
        return {
            "kpts": self.kpts,
            "weights": self.weights,
            "energies": self.energies,
            "spin": self.spin.value,
            "n_electrons": self.n_electrons,
            "measured": dict(self.measured),
            "mesh": None
            if self.mesh is None
            else {"size": list(self.mesh.size), "index": self.mesh.index},
            "first_band": self.first_band,
            "overlap_floor": self.overlap_floor,
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> EigenStates:
        """Inverse of `to_dict`."""
        mesh = data.get("mesh")
        return cls(
            kpts=data["kpts"],
            weights=data["weights"],
            energies=data["energies"],
            spin=SpinKind.parse(data["spin"]),
            n_electrons=float(data["n_electrons"]),
            measured={name: np.asarray(value) for name, value in data["measured"].items()},
            mesh=None if mesh is None else Mesh(tuple(mesh["size"]), np.asarray(mesh["index"])),
            first_band=data.get("first_band"),
            overlap_floor=data.get("overlap_floor"),
            warnings=tuple(data.get("warnings", ())),
        )


def coefficients(vectors: NDArray, overlap_vectors: NDArray) -> NDArray:
    """Measure: the eigenvectors themselves, (n_channels, n_bands, m)."""
    return np.ascontiguousarray(vectors.swapaxes(-1, -2))


def orbital_norm(vectors: NDArray, overlap_vectors: NDArray) -> NDArray[np.float64]:
    """Measure: C^H C of each state, (n_channels, n_bands).

    With C^H S C = 1 it is about one for a state that the basis describes without strain, and up to
    the inverse of the smallest eigenvalue of S for one that lives on what is left of functions that
    nearly cancel. It bounds what an error of H does to the energy: |dE| <= |dH| C^H C.
    """
    return np.asarray(np.einsum("cmb,cmb->cb", vectors.conj(), vectors).real)


def spin_expectation(vectors: NDArray, overlap_vectors: NDArray) -> NDArray[np.float64]:
    """Measure: <sigma_x>, <sigma_y>, <sigma_z> of spinor states, (1, n_bands, 3)."""
    n = vectors.shape[1] // 2
    up, down = vectors[:, :n], vectors[:, n:]
    over_up, over_down = overlap_vectors[:, :n], overlap_vectors[:, n:]

    def product(a: NDArray, b: NDArray) -> NDArray:
        return np.asarray(np.einsum("cmb,cmb->cb", a.conj(), b))

    cross = product(up, over_down)
    z = (product(up, over_up) - product(down, over_down)).real
    return np.stack([2 * cross.real, 2 * cross.imag, z], axis=-1)


def choose_solver(system: LCAOSystem, solver: str | None) -> Callable[..., Any]:
    """The function of a solver by name; "dense" if none is asked for."""
    chosen: Callable[..., Any] = load(find("solver", solver or "dense", SolverError).solve)
    return chosen


def eigenstates(
    system: LCAOSystem,
    kpts: KPoints | ArrayLike | None = None,
    *,
    n_bands: int | None = None,
    around: float | None = None,
    spin: bool = False,
    vectors: bool = False,
    measures: Mapping[str, Measure] | None = None,
    overlap_floor: float | None = None,
    solver: str | None = None,
    workers: int | None = None,
) -> EigenStates:
    """Eigenstates of a system.

    Parameters
    ----------
    system : LCAOSystem
        What is solved.
    kpts : as for `k_points`
        A mesh is not reduced: make it with `k_mesh` to do that.
    n_bands : int, optional
        States at each k: the lowest, or with `around` the nearest; all if None.
    around : float, optional
        Energy in eV.
    spin : bool
        Measure <sigma> of spinor states (costs the vectors; collinear states need none).
    vectors : bool
        Keep the coefficients: n_k * m * n_bands numbers.
    measures : mapping, optional
        Further measures by name.
    overlap_floor : float, optional
        Project out eigenvectors of S with smaller eigenvalues, for an ill-conditioned S.
    solver : str, optional
        A registered solver; "dense" if None.
    workers : int, optional
        Parallel threads over k-points.

    Returns
    -------
    EigenStates
        Where S was projected, the number of bands is that of the poorest k-point.

    Raises
    ------
    SolverError
        S is ill-conditioned, the problem does not fit in memory, or the solver is unknown.
    """
    points = k_points(kpts, system.structure)
    wanted: dict[str, Measure] = dict(measures or {})
    if vectors:
        wanted["vectors"] = coefficients
    if spin and system.spin is SpinKind.SPINOR:
        wanted["spin"] = spin_expectation
    problem = Eigenproblem(system, points.kpts, n_bands, around, wanted, overlap_floor, workers)
    found = track(choose_solver(system, solver)(problem), len(points), "k-points")
    solutions = sorted(found, key=lambda one: one.index)
    if len(solutions) != len(points):
        raise SolverError(f"the solver returned {len(solutions)} of {len(points)} k-points")
    bands = min(one.energies.shape[1] for one in solutions)
    return EigenStates(
        kpts=points.kpts,
        weights=points.weights,
        energies=np.stack([one.energies[:, :bands] for one in solutions], axis=1),
        spin=system.spin,
        n_electrons=system.n_electrons,
        measured={
            name: np.stack([one.measured[name][:, :bands] for one in solutions], axis=1)
            for name in wanted
        },
        mesh=points.mesh,
        path=points.path,
        first_band=0 if around is None else None,
        overlap_floor=overlap_floor,
        warnings=system.warnings,
    )
