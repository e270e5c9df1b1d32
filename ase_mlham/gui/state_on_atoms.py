"""A state seen on the atoms and in space: its weights, its spin, its wave function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.spin import SpinKind
from ase_mlham.electronic import projections

if TYPE_CHECKING:
    from ase import Atoms

    from ase_mlham.calculator import MLHamiltonian
    from ase_mlham.gui.band_points import StateAt
    from ase_mlham.real_space import Field

__all__ = ["StateOnAtoms", "spacing_of", "state_on_atoms", "state_wave_functions"]

FINE, POINTS = 0.2, 4e5
"""Å between the points of a grid, and how many there may be before it gets coarser."""


@dataclass(frozen=True, eq=False)
class StateOnAtoms:
    """Where a state lives.

    Attributes
    ----------
    state : StateAt
        Which.
    weights : (n_atoms,) float
        Sum to one; of a degenerate level the mean.
    spins : (n_atoms, 3) float or None
        <sigma> of a spinor state on each atom.
    """

    state: StateAt
    weights: NDArray[np.float64]
    spins: NDArray[np.float64] | None = None

    def __str__(self) -> str:
        n = self.state.degeneracy
        return f"{self.state}" + (f"; mean over {n} states" if n > 1 else "")


def state_on_atoms(calculator: MLHamiltonian, atoms: Atoms, state: StateAt) -> StateOnAtoms:
    """Weights of a state, and its spin if states have a direction."""
    system = calculator.system(atoms)
    found = projections.state_on_atoms(system, state.k, state.band, state.spin)
    spins = found[:, 1:] if system.spin is SpinKind.SPINOR else None
    return StateOnAtoms(state, found[:, 0], spins)


def spacing_of(volume: float) -> float:
    """Å between the points of a grid in a cell of so many Å^3: fine, and coarser in a large one."""
    return float(max(FINE, (volume / POINTS) ** (1 / 3)))


def state_wave_functions(calculator: MLHamiltonian, atoms: Atoms, state: StateAt) -> list[Field]:
    """Wave functions of a state, and of those that share its energy, which come after it.

    Raises
    ------
    BasisError
        The basis has no radial functions.
    """
    from ase_mlham.real_space.wave_functions import wave_functions

    system = calculator.system(atoms)
    volume = abs(float(np.linalg.det(system.structure.full_cell)))
    level = range(state.first, state.first + state.degeneracy)
    bands = [state.band, *(band for band in level if band != state.band)]
    return wave_functions(system, state.k, bands, state.spin, spacing=spacing_of(volume))
