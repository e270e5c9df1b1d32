"""Charge and spin density, local density of states, and difference density."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.blocks import BlockMatrix
from ase_mlham.core.spin import SpinKind
from ase_mlham.core.system import LCAOSystem
from ase_mlham.electronic.fermi import Occupation
from ase_mlham.errors import InputError
from ase_mlham.real_space.density_matrices import (
    DensityMatrix,
    density_matrix,
    energy_density_matrix,
)
from ase_mlham.real_space.field import CoarseGridWarning, Field
from ase_mlham.real_space.free_atoms import superposed_atoms
from ase_mlham.real_space.grid import DEFAULT_SPACING, Grid
from ase_mlham.real_space.orbitals import WORKING_MEMORY, OrbitalsOnGrid
from ase_mlham.real_space.quantities import DENSITY, SPECTRAL_DENSITY
from ase_mlham.real_space.wave_functions import grid_of

__all__ = [
    "charge_density",
    "charge_of",
    "check_has_spin",
    "density_of",
    "difference_density",
    "difference_of",
    "local_dos",
    "local_dos_of",
    "matrix_on_grid",
    "spin_density",
    "spin_of",
]

ACCEPTED_ERROR = 1e-3
"""Part of the electrons by which a sum over the grid may be wrong without a warning."""


def matrix_on_grid(
    system: LCAOSystem, matrix: BlockMatrix, grid: Grid, *, memory: float = WORKING_MEMORY
) -> NDArray[np.float64]:
    """sum_ijR P[i, j, R] phi_i(r) phi_j(r - R) at all points, (n_components, n1, n2, n3).

    Parameters
    ----------
    system : LCAOSystem
        For structure and basis.
    matrix : BlockMatrix
        Hermitian; its real part contributes.
    grid : Grid
        The points.
    memory : float
        As for `OrbitalsOnGrid`.
    """
    n = matrix.n_components
    orbitals = OrbitalsOnGrid(
        system.structure, system.basis, grid, memory=memory, n_components=n, n_matrices=n
    )
    out = np.zeros((matrix.n_components, *grid.shape))
    for box in orbitals.boxes():
        out[:, box.part[0], box.part[1], box.part[2]] = box.density(matrix)
    return out


def density_of(
    system: LCAOSystem,
    found: DensityMatrix,
    *,
    spacing: float = DEFAULT_SPACING,
    grid: Grid | None = None,
    memory: float = WORKING_MEMORY,
) -> Field:
    """Densities of a density matrix that is at hand: all its components from one pass.

    Parameters
    ----------
    system : LCAOSystem
        Whose density matrix it is.
    found : DensityMatrix
        From `density_matrix` or `energy_density_matrix`.
    spacing, grid, memory
        As for `charge_density`.

    Returns
    -------
    Field
        With as many of the components "n", "x", "y", "z" as the system has; one without spin has
        none to name.
    """
    grid = grid_of(system, spacing, grid)
    values = matrix_on_grid(system, found.matrix, grid, memory=memory)
    alone = system.spin is SpinKind.NONE
    names = {SpinKind.COLLINEAR: ("n", "z"), SpinKind.SPINOR: ("n", "x", "y", "z")}
    field = Field(
        grid,
        values[0] if alone else values,
        "charge density" if alone else "charge and spin density",
        DENSITY,
        system.structure,
        names.get(system.spin, ()),
        exact=float(found.trace[0]) if alone else found.trace,
        warnings=found.warnings,
    )
    return _checked(field, found.n_electrons, system)


def _checked(field: Field, electrons: float, system: LCAOSystem) -> Field:
    """The field, with a warning if the grid misses electrons (of one whole cell)."""
    error = field.integral_error
    if error is None or not _covers_a_cell(field.grid, system):
        return field
    if error <= ACCEPTED_ERROR * max(abs(electrons), 1e-3):
        return field
    exact = np.asarray(field.exact, dtype=np.float64)
    text = (
        f"the {field.name} on points {max(field.grid.spacing):.2f} Å apart sums to "
        f"{np.round(field.integral(), 4)} and not to {np.round(exact, 4)}: make the spacing "
        "smaller, or the box larger where it cuts orbitals; if that does not help, the radial "
        "functions are not those that S was made with"
    )
    warnings.warn(text, CoarseGridWarning, stacklevel=4)
    return replace(field, warnings=(*field.warnings, text))


def _covers_a_cell(grid: Grid, system: LCAOSystem) -> bool:
    """Whether a sum over the grid is meant to be the integral over one cell."""
    axes = np.flatnonzero(system.structure.pbc)
    return bool(np.allclose(grid.cell[axes], system.structure.cell[axes], atol=1e-6))


def charge_density(
    system: LCAOSystem,
    kpts: Any = None,
    *,
    spacing: float = DEFAULT_SPACING,
    grid: Grid | None = None,
    smearing: float | None = None,
    method: Occupation | str | None = None,
    memory: float = WORKING_MEMORY,
    overlap_floor: float | None = None,
    solver: str | None = None,
) -> Field:
    """Density of the valence electrons.

    Parameters
    ----------
    system : LCAOSystem
        Its basis needs radial functions.
    kpts : as for `k_points`
        A mesh; by default Gamma-centred with 5 points per Å^-1.
    spacing : float
        Largest distance of points, Å.
    grid : Grid, optional
        The points; by default one cell, with a box around what is not periodic.
    smearing, method
        Occupations, as for `density_matrix`.
    memory : float
        Largest memory of the calculation on the grid beside the result, bytes.
    overlap_floor, solver
        As for `eigenstates`.

    Returns
    -------
    Field
        Electrons per Å^3. Its `exact` is Tr(P S), the number of electrons; `integral()` is the sum
        over the grid.

    Warns
    -----
    CoarseGridWarning
        These two differ by more than 0.1 %.

    Raises
    ------
    BasisError
        A shell has no radial function.
    """
    found = density_matrix(
        system, kpts, smearing, method, overlap_floor=overlap_floor, solver=solver
    )
    return charge_of(system, found, spacing=spacing, grid=grid, memory=memory)


def charge_of(
    system: LCAOSystem,
    found: DensityMatrix,
    *,
    spacing: float = DEFAULT_SPACING,
    grid: Grid | None = None,
    memory: float = WORKING_MEMORY,
) -> Field:
    """Charge density of a density matrix that is at hand; see `charge_density`."""
    return _single(system, found, "charge density", DENSITY, spacing, grid, memory)


def _single(
    system: LCAOSystem,
    found: DensityMatrix,
    name: str,
    unit: str,
    spacing: float,
    grid: Grid | None,
    memory: float,
) -> Field:
    """The first component alone."""
    grid = grid_of(system, spacing, grid)
    values = matrix_on_grid(system, found.matrix.component(0), grid, memory=memory)[0]
    field = Field(
        grid,
        values,
        name,
        unit,
        system.structure,
        exact=found.n_electrons,
        warnings=found.warnings,
    )
    return _checked(field, found.n_electrons, system)


def spin_density(
    system: LCAOSystem,
    kpts: Any = None,
    *,
    spacing: float = DEFAULT_SPACING,
    grid: Grid | None = None,
    smearing: float | None = None,
    method: Occupation | str | None = None,
    memory: float = WORKING_MEMORY,
    overlap_floor: float | None = None,
    solver: str | None = None,
) -> Field:
    """Density of spin moments, in Bohr magnetons per Å^3.

    Parameters
    ----------
    system : LCAOSystem
        Collinear or with spinors.
    kpts, spacing, grid, smearing, method, memory, overlap_floor, solver
        As for `charge_density`.

    Returns
    -------
    Field
        Up minus down of a collinear system; components "x", "y", "z" of spinors.

    Raises
    ------
    InputError
        The system has no spin.
    """
    check_has_spin(system)
    found = density_matrix(
        system, kpts, smearing, method, overlap_floor=overlap_floor, solver=solver
    )
    return spin_of(system, found, spacing=spacing, grid=grid, memory=memory)


def check_has_spin(system: LCAOSystem) -> None:
    """Refuse a system without spin."""
    if system.spin is SpinKind.NONE:
        raise InputError(
            "this system has no spin, and so no spin density: it needs a magnetic source"
        )


def spin_of(
    system: LCAOSystem,
    found: DensityMatrix,
    *,
    spacing: float = DEFAULT_SPACING,
    grid: Grid | None = None,
    memory: float = WORKING_MEMORY,
) -> Field:
    """Spin density of a density matrix that is at hand; see `spin_density`."""
    check_has_spin(system)
    both = density_of(system, found, spacing=spacing, grid=grid, memory=memory)
    exact = np.asarray(both.exact)[1:]
    collinear = system.spin is SpinKind.COLLINEAR
    return Field(
        both.grid,
        both.values[1] if collinear else both.values[1:],
        "spin density",
        DENSITY,
        system.structure,
        () if collinear else ("x", "y", "z"),
        float(exact[0]) if collinear else exact,
        both.warnings,
    )


def local_dos(
    system: LCAOSystem,
    energy_window: tuple[float, float] | float,
    kpts: Any = None,
    *,
    width: float | None = None,
    spacing: float = DEFAULT_SPACING,
    grid: Grid | None = None,
    smearing: float | None = None,
    method: Occupation | str | None = None,
    memory: float = WORKING_MEMORY,
    overlap_floor: float | None = None,
    solver: str | None = None,
) -> Field:
    """Density of the states at some energies: where they are.

    Parameters
    ----------
    system : LCAOSystem
        Its basis needs radial functions.
    energy_window : (2,) float or float
        Lowest and highest energy, eV from the Fermi level: the sum of |psi|^2 of the states between
        (times two without spin). Or one energy: then per eV, with a Gaussian.
    kpts, spacing, grid, smearing, method, memory, overlap_floor, solver
        As for `charge_density`.
    width : float, optional
        Standard deviation of the Gaussian at a single energy, eV; 0.1 eV if not given.

    Returns
    -------
    Field
        Å^-3 of a window, eV^-1 Å^-3 of a single energy. `exact` is the number of states.

    Raises
    ------
    InputError
        The window is empty.
    """
    found = energy_density_matrix(
        system,
        energy_window,
        kpts,
        width=width,
        smearing=smearing,
        method=method,
        overlap_floor=overlap_floor,
        solver=solver,
    )
    return local_dos_of(system, found, energy_window, spacing=spacing, grid=grid, memory=memory)


def local_dos_of(
    system: LCAOSystem,
    found: DensityMatrix,
    energy_window: tuple[float, float] | float,
    *,
    spacing: float = DEFAULT_SPACING,
    grid: Grid | None = None,
    memory: float = WORKING_MEMORY,
) -> Field:
    """Local density of states of an energy density matrix that is at hand; see `local_dos`."""
    if isinstance(energy_window, tuple | list | np.ndarray):
        low, high = energy_window
        name, unit = f"local density of states, {low:g} to {high:g} eV", DENSITY
    else:
        name, unit = f"local density of states at {energy_window:g} eV", SPECTRAL_DENSITY
    return _single(system, found, name, unit, spacing, grid, memory)


def difference_density(
    system: LCAOSystem,
    kpts: Any = None,
    *,
    filling: Mapping[str, Mapping[int, float]] | None = None,
    spacing: float = DEFAULT_SPACING,
    grid: Grid | None = None,
    smearing: float | None = None,
    method: Occupation | str | None = None,
    memory: float = WORKING_MEMORY,
    overlap_floor: float | None = None,
    solver: str | None = None,
) -> Field:
    """Charge density minus that of superposed spherical atoms: where bonds draw electrons.

    Parameters
    ----------
    system : LCAOSystem
        Its basis needs radial functions.
    kpts, spacing, grid, smearing, method, memory, overlap_floor, solver
        As for `charge_density`.
    filling : mapping, optional
        Electrons in each shell of some elements, for example {"Si": {0: 2, 2: 2}}: two in the first
        shell of the basis and two in the third. By default the ground state of the free atom.

    Returns
    -------
    Field
        Electrons per Å^3, positive where there are more than in the atoms. Its `exact` integral is
        the charge of the cell, zero for neutral ones.

    Raises
    ------
    BasisError
        The shells of an element do not fit its ground state: give `filling`.

    Notes
    -----
    The atoms have the orbitals of the basis, filled evenly over m. The first shells of each l are
    taken for those of the atom, which is what they are in the bases of OpenMX and in contracted
    Gaussians; the picture depends on the basis as far as that is not so.
    """
    found = density_matrix(
        system, kpts, smearing, method, overlap_floor=overlap_floor, solver=solver
    )
    return difference_of(system, found, filling=filling, spacing=spacing, grid=grid, memory=memory)


def difference_of(
    system: LCAOSystem,
    found: DensityMatrix,
    *,
    filling: Mapping[str, Mapping[int, float]] | None = None,
    spacing: float = DEFAULT_SPACING,
    grid: Grid | None = None,
    memory: float = WORKING_MEMORY,
) -> Field:
    """Difference density of a density matrix that is at hand; see `difference_density`."""
    atoms = superposed_atoms(system, found.matrix.pattern, filling)
    values = tuple(p[:1].real - a for p, a in zip(found.matrix.values, atoms.values, strict=True))
    overlap = system.overlap.on_pattern(found.matrix.pattern)
    charge = found.n_electrons - overlap.inner(atoms)
    difference = BlockMatrix(found.matrix.pattern, values)
    grid = grid_of(system, spacing, grid)
    field = Field(
        grid,
        matrix_on_grid(system, difference, grid, memory=memory)[0],
        "difference density",
        DENSITY,
        system.structure,
        exact=charge,
        warnings=found.warnings,
    )
    return _checked(field, found.n_electrons, system)
