"""Bands with the spin of their states: which part of a band is up, and along which axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.structure import frozen_array
from ase_mlham.core.system import LCAOSystem
from ase_mlham.electronic.bands import (
    band_states,
    bands_from_dict,
    bands_to_dict,
    path_level,
    to_band_structure,
)
from ase_mlham.electronic.collapse import attach
from ase_mlham.electronic.degeneracy import DEGENERACY_TOLERANCE
from ase_mlham.electronic.spin_texture import need_spin, spin_axis, texture_of_states
from ase_mlham.errors import InputError

if TYPE_CHECKING:
    from ase.spectrum.band_structure import BandStructure

__all__ = ["SpinBands", "spin_bands"]


@dataclass(frozen=True, eq=False)
class SpinBands:
    """A band structure with the spin of its states.

    Attributes
    ----------
    bands : ase.spectrum.band_structure.BandStructure
        Energies (n_spin, n_k, n_bands) in eV; `reference` is the Fermi level.
    spin : (n_spin, n_k, n_bands, 3) float
        <sigma> along Cartesian axes; of degenerate states the mean over their level.
    degenerate : (n_spin, n_k, n_bands) bool
        Whether a state is not alone in its level, and has no direction of its own.
    warnings : tuple of str
        What is to be said against the numbers.
    """

    bands: BandStructure
    spin: NDArray[np.float64]
    degenerate: NDArray[np.bool_]
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "spin", frozen_array(self.spin, np.float64))
        object.__setattr__(self, "degenerate", frozen_array(self.degenerate, np.bool_))
        shape = np.shape(self.bands.energies)
        if self.spin.shape != (*shape, 3) or self.degenerate.shape != shape:
            raise InputError(f"spins of shape {self.spin.shape}; expected {(*shape, 3)}")

    def along(self, axis: str | Sequence[float] = "z") -> NDArray[np.float64]:
        """Component along an axis, (n_spin, n_k, n_bands), as ASE's `plot(point_colors=)` takes it.

        Parameters
        ----------
        axis : {"x", "y", "z"} or (3,) float
            Cartesian.
        """
        return np.asarray(self.spin @ spin_axis(axis))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values that `from_dict` reads."""
        return {
            "bands": bands_to_dict(self.bands),
            "spin": self.spin.tolist(),
            "degenerate": self.degenerate.tolist(),
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SpinBands:
        """Inverse of `to_dict`."""
        return cls(
            bands_from_dict(data["bands"]),
            np.asarray(data["spin"]),
            np.asarray(data["degenerate"]),
            tuple(data.get("warnings", ())),
        )


def spin_bands(
    system: LCAOSystem,
    path: Any = None,
    *,
    npoints: int | None = None,
    density: float | None = None,
    eps: float = 2e-4,
    kpts: Any = None,
    reference: float | None = None,
    n_bands: int | None = None,
    tolerance: float = DEGENERACY_TOLERANCE,
    overlap_floor: float | None = None,
    solver: str | None = None,
) -> SpinBands:
    """Band structure with the spin of its states.

    Parameters
    ----------
    system : LCAOSystem
        Collinear or spinor.
    path, npoints, density, eps, kpts, reference, n_bands, overlap_floor, solver
        As for `bands`.
    tolerance : float
        States within so many eV of a neighbour are degenerate, see `spin_texture`.

    Raises
    ------
    InputError
        The system has no spin, or the path is not understood.
    """
    need_spin(system)
    found = band_states(
        system,
        path,
        npoints=npoints,
        density=density,
        eps=eps,
        n_bands=n_bands,
        spin=True,
        overlap_floor=overlap_floor,
        solver=solver,
    )
    if reference is None:
        reference = path_level(system, found, kpts, solver=solver)
    warnings = attach(system, found, reference)
    texture = texture_of_states(found, None, tolerance)
    return SpinBands(
        to_band_structure(found, reference), texture.spin, texture.degenerate, warnings
    )
