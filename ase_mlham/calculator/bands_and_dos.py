"""Bands, Fermi level, gap and densities of states as methods of the calculator."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ase import Atoms

from ase_mlham.calculator.hamiltonian import CachedHamiltonian
from ase_mlham.calculator.parameters import is_path
from ase_mlham.electronic.fermi import DEFAULT_SMEARING, fermi_level_of_states
from ase_mlham.electronic.kpoints import k_points

if TYPE_CHECKING:
    from ase.spectrum.band_structure import BandStructure
    from ase.spectrum.doscollection import GridDOSCollection

    from ase_mlham.electronic.gap import Gap

__all__ = ["BandsAndDOS"]


class BandsAndDOS(CachedHamiltonian):
    """Energies of states: along paths, and over the zone."""

    def band_structure(
        self,
        path: Any = None,
        npoints: int | None = None,
        *,
        density: float | None = None,
        eps: float = 2e-4,
        atoms: Atoms | None = None,
    ) -> BandStructure:
        """Bands along a path, with the Fermi level of the mesh as reference.

        Parameters
        ----------
        path, npoints, density, eps
            As for `ase_mlham.electronic.path.band_path`; by default the path set as `bandpath` or
            `kpts`, or else that of the lattice.
        """
        from ase_mlham.electronic.bands import reference_level, to_band_structure
        from ase_mlham.electronic.path import band_path, path_points

        p = self.parameters
        if path is None:
            path = p.bandpath if p.bandpath is not None else p.kpts if is_path(p.kpts) else None
        structure = self.system(atoms).structure
        if isinstance(path, Mapping):
            points = k_points(path, structure)
        else:
            points = path_points(
                band_path(structure, path, npoints=npoints, density=density, eps=eps)
            )
        along = self.states(points, atoms=atoms)
        if p.smearing is None and p.occupation is None:
            reference = reference_level(self.states(atoms=atoms), along)
        else:
            reference = self.fermi_level(atoms)
        self._complain(reference, atoms)
        return to_band_structure(along, reference)

    def fermi_level(self, atoms: Atoms | None = None) -> float:
        """Fermi level on the mesh, eV."""
        p = self.parameters
        return self._kept(
            "Fermi level",
            lambda: float(
                fermi_level_of_states(self.states(atoms=atoms), p.smearing, p.occupation)
            ),
            atoms,
        )

    def gap(self, atoms: Atoms | None = None) -> Gap:
        """Band gap, searched for between the points of the mesh too in small cells."""
        from ase_mlham.electronic.gap import gap

        return self._kept(
            "gap", lambda: gap(self.system(atoms), self._mesh, **self._solving), atoms
        )

    def _complain(self, level: float, atoms: Atoms | None) -> None:
        """Warn of what is to be said against bands and densities of states."""
        from ase_mlham.electronic.collapse import complaints

        found = self._kept(
            "complaints",
            lambda: complaints(self.system(atoms), self.states(atoms=atoms), level),
            atoms,
        )
        for text, kind in found:
            warnings.warn(text, kind, stacklevel=3)

    def dos(
        self,
        *,
        window: tuple[float, float] | None = None,
        npoints: int | None = None,
        width: float | None = None,
        atoms: Atoms | None = None,
    ) -> GridDOSCollection:
        """Density of states on the mesh, see `ase_mlham.electronic.dos.dos`.

        Parameters
        ----------
        window, npoints, width
            Energies in eV, their number, and the width of Gaussians (tetrahedra if None).
        """
        from ase_mlham.electronic.dos import dos_of_states

        states = self.states(atoms=atoms)
        if width is None and (states.mesh is None or max(states.mesh.size) == 1):
            width = DEFAULT_SMEARING
        level = self.fermi_level(atoms)
        self._complain(level, atoms)
        return dos_of_states(states, level, window=window, npoints=npoints, width=width)

    def pdos(
        self, by: str = "shell", *, atoms: Atoms | None = None, **options: Any
    ) -> GridDOSCollection:
        """Projected density of states on the mesh, see `ase_mlham.electronic.dos.pdos`.

        Parameters
        ----------
        by : {"element", "shell", "orbital", "atom"}
            What the orbitals are collected by.
        **options
            window, npoints, width, method.
        """
        from ase_mlham.electronic.dos import pdos

        return pdos(self.system(atoms), self._mesh, by=by, **self._solving, **options)
