"""Density of states, total and projected, in ASE's collections.

States are counted with the electrons that they hold: two without spin, one for each channel of a
collinear system and for spinors. Energies are those of the Hamiltonian; the Fermi level stands in
the `info` of every curve.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.system import LCAOSystem
from ase_mlham.electronic.collapse import attach
from ase_mlham.electronic.fermi import (
    DEFAULT_SMEARING,
    Occupation,
    fermi_level_of_states,
    mesh_of,
)
from ase_mlham.electronic.projections import (
    Grouping,
    GroupWeights,
    Projection,
    orbital_groups,
)
from ase_mlham.electronic.states import EigenStates, eigenstates
from ase_mlham.electronic.tetrahedra import Tetrahedra
from ase_mlham.errors import InputError

if TYPE_CHECKING:
    from ase.spectrum.doscollection import GridDOSCollection

__all__ = ["dos", "dos_of_states", "pdos"]

ABOVE = 10.0
"""eV above the Fermi level to which the grid reaches if nothing is asked."""

STEP = 0.02
"""eV between the points of the default grid."""


def _grid(
    states: EigenStates, level: float, window: tuple[float, float] | None, npoints: int | None
) -> NDArray[np.float64]:
    low, high = window or (float(states.energies.min()) - 1.0, level + ABOVE)
    if not low < high:
        raise InputError(f"an energy window from {low} to {high} eV; give (lower, upper)")
    if npoints is not None and npoints < 2:
        raise InputError(f"{npoints} energies; at least two are needed")
    return np.linspace(low, high, npoints or max(2, round((high - low) / STEP) + 1))


def _curves(
    states: EigenStates,
    s: int,
    grid: NDArray[np.float64],
    width: float | None,
    projections: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """Curves of one channel, (n_projections or 1, n_energies), for one electron a state."""
    energies = states.energies[s]
    if width is None:
        if states.mesh is None:
            raise InputError("tetrahedra need a regular mesh of k-points: give kpts=(n1, n2, n3)")
        return Tetrahedra(states.mesh).density(energies, grid, projections)
    if not width > 0:
        raise InputError(f"a broadening of {width} eV; it must be positive")
    weights = np.broadcast_to(states.weights[:, None], energies.shape)[..., None]
    if projections is not None:
        weights = weights * projections
    out = np.zeros((weights.shape[-1], len(grid)))
    # beyond eight widths a Gaussian is below 1e-14 of its height
    near = (energies > grid[0] - 8 * width) & (energies < grid[-1] + 8 * width)
    peaks, heights = energies[near], weights[near]
    for start in range(0, len(peaks), 1024):
        here = slice(start, start + 1024)
        shape = np.exp(-0.5 * ((grid - peaks[here, None]) / width) ** 2)
        out += heights[here].T @ shape
    return out / (width * np.sqrt(2 * np.pi))


def dos_of_states(
    states: EigenStates,
    fermi_level: float,
    *,
    window: tuple[float, float] | None = None,
    npoints: int | None = None,
    width: float | None = None,
    projection: str | None = None,
    labels: tuple[dict[str, str], ...] = ({},),
) -> GridDOSCollection:
    """Density of states of states on a mesh; see `dos`.

    Parameters
    ----------
    states : EigenStates
        On a regular mesh unless a width is given.
    fermi_level : float
        For the default window and the `info` of the curves.
    window, npoints, width
        As for `dos`; here None means tetrahedra.
    projection : str, optional
        A measured quantity (n_spin, n_k, n_bands, n) of the states.
    labels : tuple of dict
        `info` of each of its n entries.
    """
    from ase.spectrum.doscollection import GridDOSCollection

    if states.path is not None and len(states.kpts) > 1:
        raise InputError("states along a path have no density: give a mesh of k-points")
    grid = _grid(states, fermi_level, window, npoints)
    names = ("up", "down") if states.energies.shape[0] == 2 else (None,)
    curves, info = [], []
    for s, name in enumerate(names):
        weights = None if projection is None else states.measured[projection][s]
        channel = states.degeneracy * _curves(states, s, grid, width, weights)
        spin = {} if name is None else {"spin": name}
        for curve, label in zip(channel, labels, strict=True):
            curves.append(curve)
            info.append({**label, **spin, "fermi_level": repr(float(fermi_level))})
    return GridDOSCollection.from_data(grid, curves, info=info)


def _broadening(states: EigenStates, width: float | None, method: str | None) -> float | None:
    """Width of Gaussians, or None for tetrahedra."""
    chosen = None if method is None else Occupation.parse(method)
    if chosen is Occupation.FERMI_DIRAC:
        raise InputError("a density of states is broadened by 'tetrahedron' or 'gaussian'")
    if chosen is Occupation.TETRAHEDRON:
        if width is not None:
            raise InputError("tetrahedra have no width: leave width out, or use method='gaussian'")
        return None
    if width is not None:
        return float(width)
    regular = states.mesh is not None and max(states.mesh.size) > 1
    return None if regular and chosen is None else DEFAULT_SMEARING


def dos(
    system: LCAOSystem,
    kpts: Any = None,
    *,
    window: tuple[float, float] | None = None,
    npoints: int | None = None,
    width: float | None = None,
    method: str | None = None,
    overlap_floor: float | None = None,
    solver: str | None = None,
) -> GridDOSCollection:
    """Density of states.

    Parameters
    ----------
    system : LCAOSystem
        From a file, an engine or a model.
    kpts : as for `k_points`
        A mesh; by default Gamma-centred with 5 points per Å^-1.
    window : (2,) float, optional
        Energies in eV on the scale of the Hamiltonian; by default from below the lowest state to
        10 eV above the Fermi level.
    npoints : int, optional
        Energies in the window; by default one every 0.02 eV.
    width : float, optional
        Standard deviation of Gaussians, eV.
    method : {"tetrahedron", "gaussian"}, optional
        By default tetrahedra if no width is given and there is a mesh, else Gaussians (of 0.1 eV).
    overlap_floor, solver
        As for `eigenstates`.

    Returns
    -------
    ase.spectrum.doscollection.GridDOSCollection
        One curve, or two with `info` "spin" up and down, in electrons per eV and cell: integrated
        to the Fermi level they give the number of electrons.

    Raises
    ------
    InputError
        The k-points lie along a path, or the options exclude one another.
    """
    states = eigenstates(system, mesh_of(system, kpts), overlap_floor=overlap_floor, solver=solver)
    level = fermi_level_of_states(states)
    attach(system, states, level)
    return dos_of_states(
        states, level, window=window, npoints=npoints, width=_broadening(states, width, method)
    )


def pdos(
    system: LCAOSystem,
    kpts: Any = None,
    *,
    by: Grouping | str = Grouping.SHELL,
    projection: Projection | str = Projection.MULLIKEN,
    window: tuple[float, float] | None = None,
    npoints: int | None = None,
    width: float | None = None,
    method: str | None = None,
    overlap_floor: float | None = None,
    solver: str | None = None,
) -> GridDOSCollection:
    """Density of states projected on orbitals; the curves sum to that of `dos`.

    Parameters
    ----------
    system, kpts, window, npoints, width, method, overlap_floor, solver
        As for `dos`.
    by : {"element", "shell", "orbital", "atom", "layer"}
        What the orbitals are collected by: elements, angular momenta of an element, single orbitals
        such as px of an element, angular momenta of each atom, or layers of atoms.
    projection : {"mulliken", "lowdin"}
        How the charge between two orbitals is shared, see `ase_mlham.electronic.projections`.

    Returns
    -------
    ase.spectrum.doscollection.GridDOSCollection
        `info` of each curve: "symbol", "orbital", "index" (the atom), "layer" and "spin" as they
        apply, so that `select(symbol="Si")` and `sum_by("orbital")` work; "projection" names the
        method.
    """
    chosen = Projection.parse(projection)
    groups = orbital_groups(system, by)
    states = eigenstates(
        system,
        mesh_of(system, kpts),
        measures={"groups": chosen.measure(GroupWeights(groups, system.spin))},
        overlap_floor=overlap_floor,
        solver=solver,
    )
    level = fermi_level_of_states(states)
    attach(system, states, level)
    return dos_of_states(
        states,
        level,
        window=window,
        npoints=npoints,
        width=_broadening(states, width, method),
        projection="groups",
        labels=tuple({**info, "projection": chosen.value} for info in groups.info),
    )
