"""Density of states of a mesh together with the share of each atom in each state.

One diagonalisation serves the picture and every click in it: what an energy window holds on each
atom is a sum over what is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ase_mlham.electronic.collapse import complaints
from ase_mlham.electronic.dos import dos_of_states
from ase_mlham.electronic.fermi import DEFAULT_SMEARING, band_edges, fermi_level_of_states, mesh_of
from ase_mlham.electronic.projections import GroupWeights, atom_groups, orbital_groups
from ase_mlham.electronic.states import EigenStates, eigenstates
from ase_mlham.errors import InputError
from ase_mlham.machine import available_memory, size

if TYPE_CHECKING:
    from ase import Atoms
    from ase.spectrum.doscollection import GridDOSCollection

    from ase_mlham.calculator import MLHamiltonian

__all__ = ["LocalDensity", "local_density"]

MARGIN = 12.0
"""eV around the Fermi level for which curves are made."""


@dataclass(frozen=True, eq=False)
class LocalDensity:
    """States on a mesh and their weights on the atoms.

    Attributes
    ----------
    states : EigenStates
        With "atoms" measured, (n_spin, n_k, n_bands, n_atoms).
    level : float
        Fermi level, eV.
    curves : GridDOSCollection
        Density of states of each element.
    warnings : tuple of str
        What is to be said against the numbers.
    """

    states: EigenStates
    level: float
    curves: GridDOSCollection
    warnings: tuple[str, ...] = ()

    def on_atoms(
        self, low: float, high: float, broadening: float = DEFAULT_SMEARING
    ) -> NDArray[np.float64]:
        """Electrons per atom that the states between two energies hold if they are filled.

        Parameters
        ----------
        low, high : float
            eV above the Fermi level.
        broadening : float
            Each state is spread by a Gaussian of this standard deviation, eV.

        Returns
        -------
        (n_atoms,) float
        """
        if not low < high:
            raise InputError(f"an energy window from {low:g} to {high:g} eV; it must have a width")
        from scipy.special import erf

        energies = self.states.energies - self.level
        scale = np.sqrt(2.0) * broadening
        inside = 0.5 * (erf((high - energies) / scale) - erf((low - energies) / scale))
        return np.asarray(
            self.states.degeneracy
            * np.einsum(
                "k,skb,skba->a",
                self.states.weights,
                inside,
                self.states.measured["atoms"],
                optimize=True,
            )
        )

    def around_fermi_level(self, half: float = 0.1) -> tuple[float, float]:
        """Window in eV above the Fermi level with its states; both band edges of an insulator.

        Parameters
        ----------
        half : float
            eV on either side.
        """
        edges = band_edges(self.states)
        if edges is None:
            return -half, half
        return edges.vbm - self.level - half, edges.cbm - self.level + half


def local_density(calculator: MLHamiltonian, atoms: Atoms) -> LocalDensity:
    """States of a structure on the calculator's default mesh, with their weights on the atoms.

    Raises
    ------
    InputError
        The weights of all states on all atoms do not fit into memory.
    """
    system = calculator.system(atoms)
    points = mesh_of(system)
    needs = len(points) * (2.0 * system.n_orbitals) * system.structure.n_atoms * 8
    free = available_memory()
    if free is not None and needs > free / 2:
        raise InputError(
            f"the weights of all states on {system.structure.n_atoms} atoms take {size(needs)} and "
            f"{size(free)} are free; use a smaller cell, or mlham dos FILE --project element"
        )
    by_element = orbital_groups(system, "element")
    states = eigenstates(
        system,
        points,
        measures={
            "atoms": GroupWeights(atom_groups(system), system.spin),
            "elements": GroupWeights(by_element, system.spin),
        },
    )
    level = fermi_level_of_states(states)
    regular = states.mesh is not None and max(states.mesh.size) > 1
    curves = dos_of_states(
        states,
        level,
        window=(level - MARGIN, level + MARGIN),
        width=None if regular else DEFAULT_SMEARING,
        projection="elements",
        labels=tuple(dict(info) for info in by_element.info),
    )
    texts = tuple(text for text, _ in complaints(system, states, level))
    return LocalDensity(states, level, curves, texts)
