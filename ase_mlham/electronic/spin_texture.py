"""Spin of eigenstates over the Brillouin zone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.spin import SpinKind
from ase_mlham.core.structure import frozen_array
from ase_mlham.core.system import LCAOSystem
from ase_mlham.electronic.kpoints import k_points
from ase_mlham.electronic.states import eigenstates
from ase_mlham.errors import InputError

__all__ = ["SpinTexture", "spin_texture"]


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
        <sigma_x>, <sigma_y>, <sigma_z>, each between -1 and 1, along Cartesian axes. In a
        degenerate pair the direction of a single state means nothing.
    """

    kpts: NDArray[np.float64]
    bands: NDArray[np.int64]
    energies: NDArray[np.float64]
    spin: NDArray[np.float64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "bands", frozen_array(self.bands, np.int64))
        for name in ("kpts", "energies", "spin"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.float64))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values that `from_dict` reads."""
        return {
            name: getattr(self, name).tolist() for name in ("kpts", "bands", "energies", "spin")
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SpinTexture:
        """Inverse of `to_dict`."""
        return cls(data["kpts"], data["bands"], data["energies"], data["spin"])


def spin_texture(
    system: LCAOSystem,
    kpts: Any = None,
    bands: Sequence[int] | None = None,
    *,
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
    overlap_floor, solver
        As for `eigenstates`.

    Raises
    ------
    InputError
        The system has no spin, or not so many bands.
    """
    if system.spin is SpinKind.NONE:
        raise InputError(
            "a system without spin has no spin texture; compute it collinear or with spin-orbit "
            "coupling"
        )
    states = eigenstates(
        system,
        k_points(kpts, system.structure),
        spin=True,
        overlap_floor=overlap_floor,
        solver=solver,
    )
    chosen = np.arange(states.n_bands) if bands is None else np.asarray(bands, dtype=np.int64)
    if chosen.ndim != 1 or not len(chosen) or chosen.min() < 0 or chosen.max() >= states.n_bands:
        raise InputError(f"bands {bands!r} of a system that has bands 0 to {states.n_bands - 1}")
    return SpinTexture(
        states.kpts,
        chosen,
        states.energies[..., chosen],
        states.spin_expectation[:, :, chosen],
    )
