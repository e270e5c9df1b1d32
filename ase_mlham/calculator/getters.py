"""The electronic getters that ASE's own tools call: `bandgap`, `DOS`, `Wannier` and others.

They carry no atoms, and answer for the live structure. Indices of k-points are those of
`get_ibz_k_points`, energies are eV on the scale of the Hamiltonian.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_mlham.calculator.bands_and_dos import BandsAndDOS
from ase_mlham.calculator.parameters import CalculatorInputError
from ase_mlham.electronic.fermi import (
    DEFAULT_SMEARING,
    band_edges,
    fermi_level_of_states,
    occupations,
)
from ase_mlham.electronic.states import EigenStates

__all__ = ["ElectronicGetters"]


class ElectronicGetters(BandsAndDOS):
    """ASE's getters for eigenvalues, k-points and occupations."""

    def get_fermi_level(self) -> float:
        """Fermi level on the mesh, eV; never of a path."""
        return self.fermi_level()

    def get_eigenvalues(self, kpt: int = 0, spin: int = 0) -> NDArray[np.float64]:
        """Energies (n_bands,) in eV at a point of `get_ibz_k_points`."""
        return np.array(self._active().energies[spin, kpt])

    def get_occupation_numbers(self, kpt: int = 0, spin: int = 0) -> NDArray[np.float64]:
        """Electrons (n_bands,) in each state at a k-point: up to 2, or 1 where states have spin."""
        states = self._active()
        filling = occupations(states, *self._filling(None))
        return np.array(states.degeneracy * filling[spin, kpt])

    def _filling(self, atoms: Atoms | None) -> tuple[float, float, str]:
        """Fermi level, width and method for occupation numbers that count the electrons exactly."""

        def found() -> tuple[float, float, str]:
            p, mesh = self.parameters, self.states(atoms=atoms)
            method = "fermi-dirac" if p.occupation in (None, "tetrahedron") else p.occupation
            width = p.smearing
            if width is None:
                # tetrahedra weight states without filling them; an insulator needs no width at all
                width = DEFAULT_SMEARING if band_edges(mesh) is None else 1e-3
            return fermi_level_of_states(mesh, width, method), width, method

        return self._kept("filling", found, atoms)

    def get_ibz_k_points(self) -> NDArray[np.float64]:
        """k-points (n_k, 3) with eigenvalues, fractions: of k and -k one, where both are equal."""
        return np.array(self._active().kpts)

    def get_k_point_weights(self) -> NDArray[np.float64]:
        """Weights (n_k,) of those points.

        Raises
        ------
        CalculatorInputError
            `kpts` is a path: a density of states from it would mean nothing.
        """
        return np.array(self._sampling().weights)

    def get_bz_k_points(self) -> NDArray[np.float64]:
        """All points (n_bz, 3) of the mesh, in the order of ASE's Monkhorst-Pack meshes."""
        return self._whole_mesh(self._sampling())[0]

    def get_bz_to_ibz_map(self) -> NDArray[np.int64]:
        """For each of these, its place (n_bz,) in `get_ibz_k_points`."""
        return self._whole_mesh(self._sampling())[1]

    def _whole_mesh(self, states: EigenStates) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Both of the above."""
        if states.mesh is None:
            return np.array(states.kpts), np.arange(len(states.kpts))
        from ase.dft.kpoints import monkhorst_pack

        n = np.array(states.mesh.size)
        first = states.kpts[states.mesh.index[0]]
        # ASE's first point is (1 - n) / 2n: ours is shifted against it if Gamma-centred and even
        points = monkhorst_pack(n) + (first * n - (1 - n) / 2) % 1.0 / n
        a, b, c = np.round((points - first) * n).astype(np.int64).T % n[:, None]
        return points, states.mesh.index[(a * n[1] + b) * n[2] + c]

    def _sampling(self) -> EigenStates:
        states = self._active()
        if states.path is not None and len(states.kpts) > 1:
            raise CalculatorInputError(
                "kpts is a path, which does not sample the zone; set a mesh, for example "
                "set(kpts=(8, 8, 8)), or use dos(), which keeps its own mesh"
            )
        return states

    def get_number_of_spins(self) -> int:
        """1, or 2 for collinear systems."""
        return len(self._active().energies)

    def get_number_of_bands(self) -> int:
        """States at each k-point."""
        return self._active().n_bands

    def get_spin_polarized(self) -> bool:
        """Whether up and down have energies of their own."""
        return self.get_number_of_spins() == 2

    def get_homo_lumo(self) -> tuple[float, float]:
        """Highest energy at or below the Fermi level and lowest above, eV, on the mesh."""
        energies, level = self.states().energies, self.fermi_level()
        below, above = energies[energies <= level], energies[energies > level]
        if not (below.size and above.size):
            raise CalculatorInputError("all states are filled, or none: there is no HOMO or LUMO")
        return float(below.max()), float(above.min())
