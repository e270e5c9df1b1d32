"""What is drawn on grids in real space, as methods of the calculator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from ase_mlham.calculator.hamiltonian import CachedHamiltonian
from ase_mlham.calculator.parameters import CalculatorInputError

if TYPE_CHECKING:
    from ase_mlham.real_space import DensityMatrix, Field, Grid, STMImage

__all__ = ["RealSpaceMethods"]


class RealSpaceMethods(CachedHamiltonian):
    """Wave functions and densities."""

    @property
    def _occupying(self) -> dict[str, Any]:
        """Keyword arguments of everything that fills states."""
        p = self.parameters
        method = None if p.occupation == "tetrahedron" else p.occupation
        return {"smearing": p.smearing, "method": method, **self._solving}

    def wave_function(
        self,
        kpt: ArrayLike | int = 0,
        band: int = 0,
        spin: int = 0,
        *,
        spacing: float | None = None,
        grid: Grid | None = None,
        atoms: Atoms | None = None,
    ) -> Field:
        """A Bloch state in space, see `ase_mlham.real_space.wave_function`.

        Parameters
        ----------
        kpt : (3,) float or int
            Fractions of the reciprocal lattice vectors, or a place in `get_ibz_k_points`.
        band, spin : int
            Counted from 0.
        spacing : float, optional
            Å; that of the calculator if not given.
        grid : Grid, optional
            The points; by default one cell, with a box around what is not periodic.
        """
        from ase_mlham.real_space import wave_function

        if isinstance(kpt, int | np.integer):
            kpts = self.states(atoms=atoms).kpts if atoms is not None else self._active().kpts
            if not 0 <= kpt < len(kpts):
                raise CalculatorInputError(f"k-point {kpt} of {len(kpts)}, counted from 0")
            kpt = kpts[kpt]
        return wave_function(
            self.system(atoms),
            kpt,
            band,
            spin,
            spacing=self._spacing(spacing),
            grid=grid,
            **self._solving,
        )

    def _spacing(self, spacing: float | None) -> float:
        return float(self.parameters.spacing if spacing is None else spacing)

    def density_matrix(self, *, atoms: Atoms | None = None) -> DensityMatrix:
        """Density matrix of the occupied states, see `ase_mlham.real_space.density_matrix`."""
        from ase_mlham.real_space import density_matrix

        return self._kept(
            "density matrix",
            lambda: density_matrix(self.system(atoms), self._mesh, **self._occupying),
            atoms,
        )

    def density(
        self,
        *,
        spacing: float | None = None,
        grid: Grid | None = None,
        atoms: Atoms | None = None,
    ) -> Field:
        """Density of the valence electrons, see `ase_mlham.real_space.charge_density`.

        Parameters
        ----------
        spacing, grid
            As for `wave_function`.
        """
        from ase_mlham.real_space.densities import charge_of

        found = self.density_matrix(atoms=atoms)
        return charge_of(self.system(atoms), found, spacing=self._spacing(spacing), grid=grid)

    def spin_density(
        self,
        *,
        spacing: float | None = None,
        grid: Grid | None = None,
        atoms: Atoms | None = None,
    ) -> Field:
        """Density of spin moments, see `ase_mlham.real_space.spin_density`.

        Parameters
        ----------
        spacing, grid
            As for `wave_function`.

        Raises
        ------
        InputError
            The source knows no spin.
        """
        from ase_mlham.real_space.densities import check_has_spin, spin_of

        system = self.system(atoms)
        check_has_spin(system)
        found = self.density_matrix(atoms=atoms)
        return spin_of(system, found, spacing=self._spacing(spacing), grid=grid)

    def local_dos(
        self,
        energy_window: tuple[float, float] | float,
        *,
        width: float | None = None,
        spacing: float | None = None,
        grid: Grid | None = None,
        atoms: Atoms | None = None,
    ) -> Field:
        """Density of the states at some energies, see `ase_mlham.real_space.local_dos`.

        Parameters
        ----------
        energy_window : (2,) float or float
            eV from the Fermi level.
        width : float, optional
            Standard deviation in eV at a single energy.
        spacing, grid
            As for `wave_function`.
        """
        from ase_mlham.real_space import local_dos

        return local_dos(
            self.system(atoms),
            energy_window,
            self._mesh,
            width=width,
            spacing=self._spacing(spacing),
            grid=grid,
            **self._occupying,
        )

    def difference_density(
        self,
        *,
        filling: Any = None,
        spacing: float | None = None,
        grid: Grid | None = None,
        atoms: Atoms | None = None,
    ) -> Field:
        """Density minus that of free atoms, see `ase_mlham.real_space.difference_density`.

        Parameters
        ----------
        filling : mapping, optional
            Electrons in the shells of elements, where the ground state of the atom will not do.
        spacing, grid
            As for `wave_function`.
        """
        from ase_mlham.real_space.densities import difference_of

        found = self.density_matrix(atoms=atoms)
        return difference_of(
            self.system(atoms),
            found,
            filling=filling,
            spacing=self._spacing(spacing),
            grid=grid,
        )

    def stm(
        self,
        bias: float,
        *,
        height: float | None = None,
        current: float | None = None,
        spacing: float | None = None,
        atoms: Atoms | None = None,
    ) -> STMImage:
        """Picture of a scanning tunnelling microscope, see `ase_mlham.real_space.stm_image`.

        Parameters
        ----------
        bias : float
            V, negative for occupied states.
        height, current : float, optional
            Which of them is constant: Å above the highest atom, or Å^-3.
        spacing
            As for `wave_function`.
        """
        from ase_mlham.real_space import stm_image

        return stm_image(
            self.system(atoms),
            bias,
            self._mesh,
            height=height,
            current=current,
            spacing=self._spacing(spacing),
            **self._occupying,
        )
