"""Spin of eigenstates over the Brillouin zone.

<sigma> of a state is a vector no longer than one. It belongs to a state alone in its level: of
degenerate states, as all are where inversion and time reversal hold, any mixture is a state too,
and the direction of the one that a solver returns is an accident. So a degenerate state is given
the mean over its level, which no choice changes and which vanishes for a pair of Kramers, and is
marked as such.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.spin import SpinKind
from ase_mlham.core.structure import frozen_array
from ase_mlham.core.system import LCAOSystem
from ase_mlham.electronic.degeneracy import (
    DEGENERACY_TOLERANCE,
    degenerate,
    mean_of_degenerate,
)
from ase_mlham.electronic.kpoints import k_points
from ase_mlham.electronic.states import EigenStates, eigenstates
from ase_mlham.errors import InputError

__all__ = ["SpinTexture", "spin_axis", "spin_texture", "texture_of_states"]

_ABOVE = 8
"""States above the highest asked for that are found with it, to see which share its energy."""

_SHORT = 1e-3
"""Length of <sigma> below which a direction is not spoken of."""


def spin_axis(axis: str | Sequence[float]) -> NDArray[np.float64]:
    """Unit vector of an axis given as "x", "y", "z", or as any Cartesian vector.

    Raises
    ------
    InputError
        It is none of these.
    """
    if isinstance(axis, str):
        if axis in ("x", "y", "z"):
            return np.eye(3)["xyz".index(axis)]
        raise InputError(f"spin along {axis!r}; accepted: x, y, z or a vector (x, y, z)")
    vector = np.asarray(axis, dtype=np.float64)
    if vector.shape != (3,) or not np.isfinite(vector).all() or not vector.any():
        raise InputError(f"spin along {axis!r}; accepted: x, y, z or a vector (x, y, z)")
    return vector / np.linalg.norm(vector)


@dataclass(frozen=True, eq=False)
class SpinTexture:
    """Spin expectation values of some bands.

    Attributes
    ----------
    kpts : (n_k, 3) float
        Fractions of the reciprocal lattice vectors.
    bands : (n_bands,) int
        Which bands, counted from the lowest.
    energies : (n_spin, n_k, n_bands) float
        eV.
    spin : (n_spin, n_k, n_bands, 3) float
        <sigma_x>, <sigma_y>, <sigma_z>, each between -1 and 1, along Cartesian axes; of degenerate
        states the mean over their level.
    degenerate : (n_spin, n_k, n_bands) bool
        Whether the state is not alone in its level, and has no direction of its own. Always false
        for collinear systems, whose axis is given.
    """

    kpts: NDArray[np.float64]
    bands: NDArray[np.int64]
    energies: NDArray[np.float64]
    spin: NDArray[np.float64]
    degenerate: NDArray[np.bool_]

    def __post_init__(self) -> None:
        object.__setattr__(self, "bands", frozen_array(self.bands, np.int64))
        object.__setattr__(self, "degenerate", frozen_array(self.degenerate, np.bool_))
        for name in ("kpts", "energies", "spin"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.float64))

    def along(self, axis: str | Sequence[float]) -> NDArray[np.float64]:
        """Component of the spin along an axis, (n_spin, n_k, n_bands).

        Parameters
        ----------
        axis : {"x", "y", "z"} or (3,) float
            Cartesian.
        """
        return np.asarray(self.spin @ spin_axis(axis))

    def angle(self, axis: str | Sequence[float]) -> NDArray[np.float64]:
        """Angle between the spin and an axis in degrees, (n_spin, n_k, n_bands).

        nan where there is no direction: for degenerate states, and where <sigma> vanishes.
        """
        length = np.linalg.norm(self.spin, axis=-1)
        directed = (length > _SHORT) & ~self.degenerate
        cosine = np.clip(self.along(axis) / np.where(directed, length, 1.0), -1, 1)
        return np.where(directed, np.degrees(np.arccos(cosine)), np.nan)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values that `from_dict` reads."""
        names = ("kpts", "bands", "energies", "spin", "degenerate")
        return {name: getattr(self, name).tolist() for name in names}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SpinTexture:
        """Inverse of `to_dict`; files that do not say which states are degenerate are looked at."""
        alone = data.get("degenerate")
        if alone is None:
            alone = degenerate(np.asarray(data["energies"]))
        return cls(data["kpts"], data["bands"], data["energies"], data["spin"], alone)


def spin_texture(
    system: LCAOSystem,
    kpts: Any = None,
    bands: Sequence[int] | None = None,
    *,
    tolerance: float = DEGENERACY_TOLERANCE,
    overlap_floor: float | None = None,
    solver: str | None = None,
) -> SpinTexture:
    """Spin of the states of a system with spin.

    Parameters
    ----------
    system : LCAOSystem
        Collinear or spinor.
    kpts : as for `k_points`
        Points, a mesh (never reduced: the spin at -k is another) or a path.
    bands : sequence of int, optional
        Which bands, counted from 0; all by default.
    tolerance : float
        States within so many eV of a neighbour are degenerate; 0 takes the states as the solver
        gives them.
    overlap_floor, solver
        As for `eigenstates`.

    Raises
    ------
    InputError
        The system has no spin, or not so many bands.
    """
    need_spin(system)
    states = eigenstates(
        system,
        k_points(kpts, system.structure),
        n_bands=bands_to_find(system, bands, overlap_floor),
        spin=True,
        overlap_floor=overlap_floor,
        solver=solver,
    )
    return texture_of_states(states, bands, tolerance)


def need_spin(system: LCAOSystem) -> None:
    """Refuse a system without spin."""
    if system.spin is SpinKind.NONE:
        raise InputError(
            "a system without spin has no spin texture; compute it collinear or with spin-orbit "
            "coupling"
        )


def bands_to_find(
    system: LCAOSystem, bands: Sequence[int] | None, overlap_floor: float | None
) -> int | None:
    """How many states to ask a solver for: some beyond the highest wanted, to see degeneracy."""
    if bands is None or overlap_floor is not None or not np.size(bands):
        return None
    size = system.n_orbitals * (2 if system.spin is SpinKind.SPINOR else 1)
    return max(1, min(size, int(np.max(bands)) + 1 + _ABOVE))


def texture_of_states(
    states: EigenStates,
    bands: Sequence[int] | None = None,
    tolerance: float = DEGENERACY_TOLERANCE,
) -> SpinTexture:
    """Spin texture of states whose spin was measured; see `spin_texture`.

    Raises
    ------
    InputError
        There are not so many bands, or the spin was not measured.
    """
    chosen = np.arange(states.n_bands) if bands is None else np.asarray(bands, dtype=np.int64)
    if chosen.ndim != 1 or not len(chosen) or chosen.min() < 0 or chosen.max() >= states.n_bands:
        raise InputError(f"bands {bands!r} of a system that has bands 0 to {states.n_bands - 1}")
    spin, energies = states.spin_expectation, states.energies
    together = np.zeros(energies.shape, dtype=bool)
    if states.spin is SpinKind.SPINOR and tolerance > 0:
        together = degenerate(energies, tolerance)
        spin = mean_of_degenerate(energies, spin, tolerance)
    return SpinTexture(
        states.kpts, chosen, energies[..., chosen], spin[:, :, chosen], together[..., chosen]
    )
