"""Band structure along a path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_mlham.core.system import LCAOSystem
from ase_mlham.electronic.collapse import attach
from ase_mlham.electronic.fermi import band_edges, fermi_level_of_states, mesh_of
from ase_mlham.electronic.path import band_path, path_points
from ase_mlham.electronic.solvers.problem import Measure
from ase_mlham.electronic.states import EigenStates, eigenstates
from ase_mlham.errors import InputError

if TYPE_CHECKING:
    from ase.spectrum.band_structure import BandStructure

__all__ = [
    "band_states",
    "bands",
    "bands_from_dict",
    "bands_to_dict",
    "path_level",
    "reference_level",
    "to_band_structure",
]


def band_states(
    system: LCAOSystem,
    path: Any = None,
    *,
    npoints: int | None = None,
    density: float | None = None,
    eps: float = 2e-4,
    n_bands: int | None = None,
    spin: bool = False,
    vectors: bool = False,
    measures: Mapping[str, Measure] | None = None,
    overlap_floor: float | None = None,
    solver: str | None = None,
) -> EigenStates:
    """Eigenstates along a path, with their spin or their coefficients if wanted.

    Parameters
    ----------
    system : LCAOSystem
        What is solved.
    path, npoints, density, eps
        As for `band_path`.
    n_bands, spin, vectors, measures, overlap_floor, solver
        As for `eigenstates`.
    """
    points = path_points(
        band_path(system.structure, path, npoints=npoints, density=density, eps=eps)
    )
    return eigenstates(
        system,
        points,
        n_bands=n_bands,
        spin=spin,
        vectors=vectors,
        measures=measures,
        overlap_floor=overlap_floor,
        solver=solver,
    )


def reference_level(mesh: EigenStates, along_path: EigenStates) -> float:
    """Energy that a band structure has as its zero.

    For a metal the Fermi level of the mesh. For an insulator the middle of the gap that remains
    when the points of the path, which reach band edges that a mesh may miss, are seen too.
    """
    on_mesh = band_edges(mesh)
    on_path = None
    if along_path.first_band == 0:
        on_path = band_edges(along_path)
    if on_mesh is None or on_path is None:
        return fermi_level_of_states(mesh)
    vbm, cbm = max(on_mesh.vbm, on_path.vbm), min(on_mesh.cbm, on_path.cbm)
    return (vbm + cbm) / 2 if vbm < cbm else fermi_level_of_states(mesh)


def path_level(
    system: LCAOSystem, along_path: EigenStates, kpts: Any = None, *, solver: str | None = None
) -> float:
    """The zero of a band structure, with the states on a mesh that it takes; see `bands`.

    Parameters
    ----------
    system : LCAOSystem
        Of which the states are.
    along_path : EigenStates
        From `band_states`; their `overlap_floor` is used again.
    kpts : as for `k_points`
        The mesh.
    solver : str, optional
        As for `eigenstates`.
    """
    floor = along_path.overlap_floor
    mesh = eigenstates(system, mesh_of(system, kpts), overlap_floor=floor, solver=solver)
    return reference_level(mesh, along_path)


def to_band_structure(states: EigenStates, reference: float) -> BandStructure:
    """ASE's band structure of states along a path; it holds energies only, and has a JSON form.

    Raises
    ------
    InputError
        The states do not lie along a path.
    """
    from ase.spectrum.band_structure import BandStructure

    if states.path is None:
        raise InputError("these states do not lie along a path: use `band_states`")
    return BandStructure(states.path, np.array(states.energies), reference=float(reference))


def bands_to_dict(bands: BandStructure) -> dict[str, Any]:
    """Plain JSON values of a band structure, its path included, that `bands_from_dict` reads."""
    path = bands.path
    return {
        "energies": np.asarray(bands.energies).tolist(),
        "reference": float(bands.reference),
        "path": path.path,
        "kpts": np.asarray(path.kpts).tolist(),
        "cell": np.asarray(path.cell).tolist(),
        "special_points": {name: np.asarray(k).tolist() for name, k in path.special_points.items()},
    }


def bands_from_dict(data: Mapping[str, Any]) -> BandStructure:
    """Inverse of `bands_to_dict`."""
    from ase.dft.kpoints import BandPath
    from ase.spectrum.band_structure import BandStructure

    path = BandPath(
        np.asarray(data["cell"]),
        np.asarray(data["kpts"]),
        special_points={name: np.asarray(k) for name, k in data["special_points"].items()},
        path=data["path"],
    )
    return BandStructure(path, np.asarray(data["energies"]), reference=float(data["reference"]))


def bands(
    system: LCAOSystem,
    path: Any = None,
    *,
    npoints: int | None = None,
    density: float | None = None,
    eps: float = 2e-4,
    kpts: Any = None,
    reference: float | None = None,
    n_bands: int | None = None,
    overlap_floor: float | None = None,
    solver: str | None = None,
) -> BandStructure:
    """Band structure of a system.

    Parameters
    ----------
    system : LCAOSystem
        From a file, an engine or a model.
    path : None, str, (n, 3) float or BandPath
        None: the special points of the lattice, periodic directions only. "GXL", "GX,UG",
        "seekpath", or k-points; see `band_path`.
    npoints : int, optional
        Total number of points.
    density : float, optional
        Points per Å^-1 instead; 20 by default.
    eps : float
        Tolerance of the recognition of the lattice; 1e-2 for strained cells.
    kpts : as for `k_points`
        Mesh on which the Fermi level is found.
    reference : float, optional
        Fermi level in eV, if it is known; no mesh is computed then.
    n_bands : int, optional
        The lowest bands only.
    overlap_floor : float, optional
        For an ill-conditioned S, see `eigenstates`.
    solver : str, optional
        A registered solver.

    Returns
    -------
    ase.spectrum.band_structure.BandStructure
        Energies (n_spin, n_k, n_bands) in eV as the Hamiltonian has them; `reference` is the Fermi
        level, for an insulator the middle of the gap.

    Raises
    ------
    InputError
        The path or a k-point does not fit the structure.
    SolverError
        S is ill-conditioned, or the problem does not fit in memory.
    """
    along = band_states(
        system,
        path,
        npoints=npoints,
        density=density,
        eps=eps,
        n_bands=n_bands,
        overlap_floor=overlap_floor,
        solver=solver,
    )
    if reference is None:
        reference = path_level(system, along, kpts, solver=solver)
    attach(system, along, reference)
    return to_band_structure(along, reference)
