"""Bloch states on a grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_mlham.core.spin import SpinKind
from ase_mlham.core.system import LCAOSystem
from ase_mlham.electronic.kpoints import check_periodic
from ase_mlham.electronic.states import eigenstates
from ase_mlham.errors import InputError
from ase_mlham.real_space.field import Field
from ase_mlham.real_space.grid import DEFAULT_SPACING, Grid
from ase_mlham.real_space.orbitals import WORKING_MEMORY, OrbitalsOnGrid, orbital_reach
from ase_mlham.real_space.quantities import ORBITAL

__all__ = ["fixed_phase", "grid_of", "states_on_grid", "wave_function", "wave_functions"]


def grid_of(system: LCAOSystem, spacing: float, grid: Grid | None) -> Grid:
    """The grid given, or one over the cell of a system that holds all its orbitals."""
    if grid is not None:
        return grid
    reach = orbital_reach(system.structure, system.basis)
    return Grid.of(system.structure, spacing, reach=reach)


def fixed_phase(coefficients: NDArray) -> NDArray:
    """States (..., m) with their largest coefficient made real and positive.

    Of several that are equally large (to 1e-6) the first one counts, so that states that symmetry
    makes alike get the same phase on every machine.
    """
    size = abs(coefficients)
    first = np.argmax(size > (1 - 1e-6) * size.max(axis=-1, keepdims=True), axis=-1)
    largest = np.take_along_axis(coefficients, first[..., None], axis=-1)
    return coefficients * (largest.conj() / abs(largest))


def wave_function(
    system: LCAOSystem,
    kpt: ArrayLike,
    band: int,
    spin: int = 0,
    *,
    spacing: float = DEFAULT_SPACING,
    grid: Grid | None = None,
    **options: Any,
) -> Field:
    """A Bloch state in space.

    Parameters
    ----------
    system : LCAOSystem
        Its basis needs radial functions.
    kpt : (3,) float
        Fractions of the reciprocal lattice vectors.
    band : int
        Counted from 0 at the lowest.
    spin : int
        1 for spin down of a collinear system.
    spacing : float
        Largest distance of points, Å.
    grid : Grid, optional
        The points; by default one cell, with a box around what is not periodic.
    **options
        overlap_floor and solver as for `eigenstates`, memory as for `OrbitalsOnGrid`.

    Returns
    -------
    Field
        Complex, Å^(-3/2); real where 2k is a lattice vector and the system has time reversal. Two
        components "up" and "down" for spinors.

    Raises
    ------
    InputError
        There is no such band, spin or k-point.
    BasisError
        A shell has no radial function.

    Notes
    -----
    psi(r) = sum_R exp(2 pi i k.R) sum_j c_j phi_j(r - tau_j - R), so that psi(r + R) =
    exp(2 pi i k.R) psi(r), with the norm one in one cell. The free phase is chosen so that the
    largest coefficient is real and positive. Of degenerate states any combination is as good, and
    which one is given depends on rounding: their summed density does not.
    """
    return wave_functions(system, kpt, [band], spin, spacing=spacing, grid=grid, **options)[0]


def wave_functions(
    system: LCAOSystem,
    kpt: ArrayLike,
    bands: Sequence[int],
    spin: int = 0,
    *,
    spacing: float = DEFAULT_SPACING,
    grid: Grid | None = None,
    memory: float = WORKING_MEMORY,
    overlap_floor: float | None = None,
    solver: str | None = None,
) -> list[Field]:
    """Several states of one k-point, in one pass over the grid; see `wave_function`."""
    k = np.asarray(kpt, dtype=np.float64)
    if k.shape != (3,) or not np.isfinite(k).all():
        raise InputError(f"a k-point of shape {k.shape}; give three fractions")
    check_periodic(system.structure, k[None])
    if not 0 <= spin < system.spin.n_channels:
        raise InputError(
            f"spin {spin} of a {system.spin.value} system, whose states have "
            f"{system.spin.n_channels} channel{'s' * (system.spin.n_channels > 1)} (from 0)"
        )
    total = system.n_orbitals * (2 if system.spin is SpinKind.SPINOR else 1)
    if not len(bands) or min(bands) < 0 or max(bands) >= total:
        raise InputError(f"bands {list(bands)} of {total}, counted from 0")
    states = eigenstates(
        system,
        k[None],
        n_bands=max(bands) + 1,
        vectors=True,
        overlap_floor=overlap_floor,
        solver=solver,
    )
    if states.n_bands <= max(bands):
        raise InputError(f"band {max(bands)} was projected out with S: {states.n_bands} are left")
    vectors = states.measured["vectors"][spin, 0, list(bands)]
    grid = grid_of(system, spacing, grid)
    values = states_on_grid(system, k, fixed_phase(vectors), grid, memory=memory)
    places = ", ".join(f"{x:.4g}" for x in k)
    channel = f", spin {('up', 'down')[spin]}" if system.spin is SpinKind.COLLINEAR else ""
    return [
        Field(
            grid,
            value if system.spin is SpinKind.SPINOR else value[0],
            f"wave function, band {band} at k = ({places}){channel}",
            ORBITAL,
            system.structure,
            ("up", "down") if system.spin is SpinKind.SPINOR else (),
            warnings=system.warnings,
            kpt=k,
        )
        for band, value in zip(bands, values, strict=True)
    ]


def states_on_grid(
    system: LCAOSystem,
    k: NDArray[np.float64],
    vectors: NDArray,
    grid: Grid,
    *,
    memory: float = WORKING_MEMORY,
) -> NDArray:
    """States with given coefficients, (n_states, 1 or 2, n1, n2, n3).

    Parameters
    ----------
    system : LCAOSystem
        For structure, basis and spin.
    k : (3,) float
        Fractions of the reciprocal lattice vectors.
    vectors : (n_states, m) float or complex
        Coefficients; those of spinors are all up before all down.
    grid : Grid
        The points.
    memory : float
        As for `OrbitalsOnGrid`.

    Returns
    -------
    Real if the coefficients are and 2k is a lattice vector, else complex.
    """
    n_parts = 2 if system.spin is SpinKind.SPINOR else 1
    flat = vectors.reshape(len(vectors) * n_parts, -1)
    orbitals = OrbitalsOnGrid(
        system.structure, system.basis, grid, memory=memory, n_components=2 * len(flat)
    )
    twice = 2 * k
    is_real = not np.iscomplexobj(vectors) and not np.any(abs(twice - np.round(twice)) > 1e-12)
    out = np.zeros((len(flat), *grid.shape), np.float64 if is_real else np.complex128)
    for box in orbitals.boxes():
        values = box.combine(flat, k)
        out[:, box.part[0], box.part[1], box.part[2]] = values.real if is_real else values
    return out.reshape(len(vectors), n_parts, *grid.shape)
