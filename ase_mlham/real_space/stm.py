"""Pictures of a scanning tunnelling microscope, after Tersoff and Hamann.

The current at a small bias is proportional to the local density of states at the tip, between the
Fermi level and the bias (J. Tersoff and D. R. Hamann, Phys. Rev. B 31, 805, 1985). Orbitals of a
basis end a few Å above a surface, and where they end the picture does: heights beyond are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.structure import Structure, frozen_array
from ase_mlham.core.system import LCAOSystem
from ase_mlham.electronic.fermi import Occupation
from ase_mlham.errors import InputError
from ase_mlham.real_space.densities import matrix_on_grid
from ase_mlham.real_space.density_matrices import DensityMatrix, energy_density_matrix
from ase_mlham.real_space.grid import DEFAULT_SPACING, Grid
from ase_mlham.real_space.orbitals import WORKING_MEMORY, orbital_reach

__all__ = ["STMImage", "bias_window", "stm_image", "stm_of"]

STEP = 0.1
"""Å between the planes in which a constant current is looked for; logarithms are interpolated."""

LOWEST = 0.5
"""Å above the highest atom: no tip comes closer."""


@final
@dataclass(frozen=True, eq=False)
class STMImage:
    """A scan over one cell of a surface.

    Attributes
    ----------
    positions : (n1, n2, 3) float
        Where the tip is, Å; at constant current with its height.
    values : (n1, n2) float
        At constant height the local density of states, Å^-3; at constant current the height above
        the highest atom, Å, NaN where the tip would touch the surface without finding that much.
    mode : {"height", "current"}
        What is constant.
    setting : float
        The constant height in Å, or the constant density in Å^-3.
    bias : float
        V; electrons of the sample are seen where it is negative.
    structure : Structure
        The surface.
    warnings : tuple of str
        What the source has to say against its numbers.
    """

    positions: NDArray[np.float64]
    values: NDArray[np.float64]
    mode: str
    setting: float
    bias: float
    structure: Structure
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("positions", "values"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.float64))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers: positions, values (None where there are none), and how they were taken."""
        values = [[x if np.isfinite(x) else None for x in row] for row in self.values.tolist()]
        return {
            "positions": self.positions.tolist(),
            "values": values,
            "mode": self.mode,
            "setting": self.setting,
            "bias": self.bias,
        }


def stm_image(
    system: LCAOSystem,
    bias: float,
    kpts: Any = None,
    *,
    height: float | None = None,
    current: float | None = None,
    spacing: float = DEFAULT_SPACING,
    smearing: float | None = None,
    method: Occupation | str | None = None,
    memory: float = WORKING_MEMORY,
    overlap_floor: float | None = None,
    solver: str | None = None,
) -> STMImage:
    """Image at constant height or at constant current.

    Parameters
    ----------
    system : LCAOSystem
        A slab, whose third lattice vector leads out of the surface; its top is seen.
    bias : float
        V: states from the Fermi level to it are seen, occupied ones if it is negative.
    kpts : as for `k_points`
        A mesh; by default Gamma-centred with 5 points per Å^-1.
    height : float, optional
        Å above the highest atom; 2 Å if no current is given.
    current : float, optional
        Density of states in Å^-3 that is followed instead, 1e-4 for example.
    spacing : float
        Largest distance of points in the plane, Å.
    smearing, method
        For the Fermi level, as for `fermi_level`.
    memory, overlap_floor, solver
        As for `charge_density`.

    Raises
    ------
    InputError
        Height and current are both given, no orbital reaches the height, or the density is nowhere
        as large as the current asks for, or still larger where orbitals end.
    """
    window = bias_window(bias)
    _check_constant(height, current)
    found = energy_density_matrix(
        system,
        window,
        kpts,
        smearing=smearing,
        method=method,
        overlap_floor=overlap_floor,
        solver=solver,
    )
    return stm_of(
        system, found, bias, height=height, current=current, spacing=spacing, memory=memory
    )


def bias_window(bias: float) -> tuple[float, float]:
    """Energies in eV from the Fermi level that are seen at a bias.

    Raises
    ------
    InputError
        There are none.
    """
    if bias == 0 or not np.isfinite(bias):
        raise InputError(f"a bias of {bias} V: no states lie between the Fermi level and it")
    return min(bias, 0.0), max(bias, 0.0)


def _check_constant(height: float | None, current: float | None) -> None:
    if height is not None and current is not None:
        raise InputError("give a constant height or a constant current, not both")


def stm_of(
    system: LCAOSystem,
    found: DensityMatrix,
    bias: float,
    *,
    height: float | None = None,
    current: float | None = None,
    spacing: float = DEFAULT_SPACING,
    memory: float = WORKING_MEMORY,
) -> STMImage:
    """Image of an energy density matrix of `bias_window` that is at hand; see `stm_image`."""
    _check_constant(height, current)
    matrix = found.matrix.component(0)
    normal, heights = _surface(system.structure)
    # where the last orbital of any atom ends
    limit = float((heights + orbital_reach(system.structure, system.basis)).max() - heights.max())
    if current is None:
        z = np.array([2.0 if height is None else float(height)])
        if not LOWEST <= z[0] < limit:
            raise InputError(
                f"a height of {z[0]:g} Å above the highest atom: orbitals end at {limit:.2f} Å, "
                f"and no tip comes closer than {LOWEST} Å; choose a height between"
            )
    else:
        if not current > 0:
            raise InputError(f"a current of {current} Å^-3; it must be positive")
        z = np.arange(LOWEST, limit, STEP)
    grid = _planes(system.structure, normal, float(heights.max()), z, spacing)
    density = matrix_on_grid(system, matrix, grid, memory=memory)[0]
    positions = grid.points()[:, :, 0]
    if current is None:
        values, mode, setting = density[:, :, 0], "height", float(z[0])
    else:
        values, mode, setting = _follow(density, z, float(current)), "current", float(current)
        # where the tip finds nothing it stays as low as it may come
        rise = np.nan_to_num(values, nan=z[0]) - z[0]
        positions = positions + rise[..., None] * normal
    return STMImage(positions, values, mode, setting, float(bias), system.structure, found.warnings)


def _surface(structure: Structure) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Normal of the plane of the first two lattice vectors, and heights of the atoms along it."""
    cell = structure.full_cell
    if not structure.pbc[:2].all():
        raise InputError(
            "an STM picture needs a surface: the first two directions must be periodic"
        )
    normal = np.cross(cell[0], cell[1])
    normal = normal / np.linalg.norm(normal)
    if normal @ cell[2] < 0:
        normal = -normal
    return normal, structure.positions @ normal


def _planes(
    structure: Structure,
    normal: NDArray[np.float64],
    top: float,
    z: NDArray[np.float64],
    spacing: float,
) -> Grid:
    """Planes at some heights above the highest atom."""
    flat = Grid.of(structure, spacing)
    step = z[1] - z[0] if len(z) > 1 else STEP
    cell = np.stack([structure.cell[0], structure.cell[1], len(z) * step * normal])
    return Grid(
        (top + z[0]) * normal,
        cell,
        (flat.shape[0], flat.shape[1], len(z)),
        np.array([True, True, False]),
    )


def _follow(
    density: NDArray[np.float64], z: NDArray[np.float64], current: float
) -> NDArray[np.float64]:
    """Largest height at which the density is that asked for, (n1, n2)."""
    above = density >= current
    if not above.any():
        raise InputError(
            f"a current of {current:g} Å^-3 is reached nowhere: {z[0]} Å above the highest atom "
            f"the density is {density[:, :, 0].max():.1e} at most; choose a smaller one"
        )
    last = above.shape[2] - 1 - np.argmax(above[:, :, ::-1], axis=2)
    last[~above.any(axis=2)] = 0
    if (last == above.shape[2] - 1).any():
        raise InputError(
            f"a current of {current:g} Å^-3 is reached where orbitals end, "
            f"{z[-1]:.2f} Å above the highest atom: choose a larger one"
        )
    here = np.maximum(np.take_along_axis(density, last[..., None], axis=2)[..., 0], 1e-300)
    there = np.take_along_axis(density, last[..., None] + 1, axis=2)[..., 0]
    # exponential between two planes; where an orbital ends the density may be zero or below
    there = np.maximum(there, 1e-12 * here)
    fraction = np.log(here / current) / np.log(here / there)
    # states may have a node where no tip finds any current
    return np.where(above.any(axis=2), z[last] + fraction * (z[1] - z[0]), np.nan)
