"""Fat bands: how much of each state along a path lies on which orbitals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from ase_mlham.electronic.degeneracy import DEGENERACY_TOLERANCE, mean_of_degenerate
from ase_mlham.electronic.layers import LAYER_TOLERANCE
from ase_mlham.electronic.path import band_path
from ase_mlham.electronic.projections import (
    Grouping,
    GroupWeights,
    OrbitalGroups,
    Projection,
    atom_groups,
    orbital_groups,
)
from ase_mlham.errors import InputError
from ase_mlham.machine import available_memory, size

if TYPE_CHECKING:
    from ase.spectrum.band_structure import BandStructure

__all__ = ["FatBands", "fat_bands"]


@dataclass(frozen=True, eq=False)
class FatBands:
    """A band structure with the weights of its states on groups of orbitals.

    Attributes
    ----------
    bands : ase.spectrum.band_structure.BandStructure
        Energies (n_spin, n_k, n_bands) in eV; `reference` is the Fermi level, for an insulator the
        middle of the gap.
    weights : (n_spin, n_k, n_bands, n_groups) float
        Sum to one over all groups. In a degenerate level they are means over its states: those of a
        single one are arbitrary.
    info : tuple of mapping
        What each group is: "symbol", "orbital", "index" (of the atom), "layer" and "height" (Å) as
        they apply.
    method : Projection
        Mulliken or Löwdin.
    warnings : tuple of str
        What is to be said against the numbers.
    """

    bands: BandStructure
    weights: NDArray[np.float64]
    info: tuple[Mapping[str, str], ...]
    method: Projection
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", frozen_array(self.weights, np.float64))
        object.__setattr__(self, "info", tuple(dict(one) for one in self.info))
        object.__setattr__(self, "method", Projection.parse(self.method))
        expected = (*np.shape(self.bands.energies), len(self.info))
        if self.weights.shape != expected:
            raise InputError(f"weights of shape {self.weights.shape}; expected {expected}")

    def select(self, **info: str) -> FatBands:
        """Those groups whose info has these values, for example `select(symbol="Si")`.

        Raises
        ------
        InputError
            No group has them.
        """
        wanted = {key: str(value) for key, value in info.items()}
        chosen = [n for n, one in enumerate(self.info) if wanted.items() <= one.items()]
        if not chosen:
            raise InputError(f"no group is {wanted}; there are {[dict(one) for one in self.info]}")
        return replace(
            self,
            weights=self.weights[..., chosen],
            info=tuple(self.info[n] for n in chosen),
        )

    def sum_by(self, *keys: str) -> FatBands:
        """Groups with the same values of some keys added up, for example `sum_by("symbol")`.

        Raises
        ------
        InputError
            A group has no such key.
        """
        merged: dict[tuple[tuple[str, str], ...], list[int]] = {}
        for n, one in enumerate(self.info):
            missing = [key for key in keys if key not in one]
            if missing:
                raise InputError(f"groups have {', '.join(one)}, and no {missing[0]!r}")
            merged.setdefault(tuple((key, one[key]) for key in keys), []).append(n)
        parts = [self.weights[..., members].sum(axis=-1) for members in merged.values()]
        return replace(
            self, weights=np.stack(parts, axis=-1), info=tuple(dict(key) for key in merged)
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values that `from_dict` reads."""
        return {
            "bands": bands_to_dict(self.bands),
            "weights": self.weights.tolist(),
            "info": [dict(one) for one in self.info],
            "method": self.method.value,
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FatBands:
        """Inverse of `to_dict`."""
        return cls(
            bands_from_dict(data["bands"]),
            np.asarray(data["weights"]),
            tuple(data["info"]),
            Projection.parse(data["method"]),
            tuple(data.get("warnings", ())),
        )


def fat_bands(
    system: LCAOSystem,
    path: Any = None,
    by: Grouping | OrbitalGroups | str = Grouping.ELEMENT,
    method: Projection | str = Projection.MULLIKEN,
    *,
    npoints: int | None = None,
    density: float | None = None,
    eps: float = 2e-4,
    kpts: Any = None,
    reference: float | None = None,
    n_bands: int | None = None,
    direction: str | Sequence[float] = "c",
    tolerance: float = LAYER_TOLERANCE,
    overlap_floor: float | None = None,
    solver: str | None = None,
) -> FatBands:
    """Band structure with the weights of its states on orbitals, atoms or layers.

    Parameters
    ----------
    system : LCAOSystem
        From a file, an engine or a model.
    path, npoints, density, eps, kpts, reference, n_bands, overlap_floor, solver
        As for `bands`.
    by : {"element", "shell", "orbital", "atom", "layer"} or OrbitalGroups
        What the orbitals are collected by: elements, angular momenta of an element, single orbitals
        such as px of an element, atoms, or layers of atoms.
    method : {"mulliken", "lowdin"}
        How the charge between two orbitals is shared, see `ase_mlham.electronic.projections`.
    direction, tolerance
        Of layers, as for `find_layers`.

    Returns
    -------
    FatBands

    Raises
    ------
    InputError
        The path or the grouping is not understood, or the weights do not fit in memory.
    SolverError
        S is ill-conditioned, or the problem does not fit in memory.
    """
    chosen = Projection.parse(method)
    along = band_path(system.structure, path, npoints=npoints, density=density, eps=eps)
    if isinstance(by, OrbitalGroups):
        groups = by
    elif Grouping.parse(by) is Grouping.ATOM:
        groups = atom_groups(system)
    else:
        groups = orbital_groups(system, by, direction=direction, tolerance=tolerance)
    states = n_bands or system.n_orbitals * (2 if system.spin.n_components == 4 else 1)
    _check_memory(system.spin.n_channels * len(along.kpts) * states, len(groups))
    found = band_states(
        system,
        along,
        n_bands=n_bands,
        measures={"groups": chosen.measure(GroupWeights(groups, system.spin))},
        overlap_floor=overlap_floor,
        solver=solver,
    )
    if reference is None:
        reference = path_level(system, found, kpts, solver=solver)
    warnings = attach(system, found, reference)
    weights = mean_of_degenerate(found.energies, found.measured["groups"], DEGENERACY_TOLERANCE)
    return FatBands(to_band_structure(found, reference), weights, groups.info, chosen, warnings)


def _check_memory(n_states: int, n_groups: int) -> None:
    """Refuse weights that would fill the memory, before anything is computed."""
    # measured, stacked over k, averaged over degenerate levels, and kept
    needs, free = 3 * 8 * n_states * n_groups, available_memory()
    if free is not None and needs > 0.8 * free:
        raise InputError(
            f"weights of {n_states} states on {n_groups} groups need {size(needs)}, and "
            f"{size(free)} are free; project by elements or layers, or ask for fewer bands "
            "(n_bands) or points"
        )
