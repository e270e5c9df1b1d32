"""Getters on grids that ASE's tools call: `ase.dft.stm.STM` and `ase.dft.wannier.Wannier`.

Their grid is the cell of the atoms, whatever is periodic, with points at most `spacing` apart.
Indices of k-points are those of `get_ibz_k_points`. States are computed once for all k-points and
kept, for ASE asks for one after the other, and degenerate ones must be the same each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.calculator.parameters import CalculatorInputError
from ase_mlham.calculator.real_space import RealSpaceMethods
from ase_mlham.core import SpinKind
from ase_mlham.electronic.kpoints import KPoints

__all__ = ["GridGetters"]

BLOCK = 200e6
"""Bytes of wave functions that are computed in one pass over the grid, and kept."""

TOGETHER = 8
"""States in one pass at most: orbitals take the time of as many, and more may not be wanted."""


class GridGetters(RealSpaceMethods):
    """ASE's getters for wave functions, densities and Wannier functions."""

    def _cell_grid(self) -> Any:
        from ase_mlham.real_space import Grid

        return Grid.of_cell(self.system().structure, self.parameters.spacing)

    def get_number_of_grid_points(self) -> NDArray[np.int64]:
        """Points along the lattice vectors, (3,)."""
        return np.array(self._cell_grid().shape)

    def _vectors(self) -> NDArray:
        """Coefficients at all k-points with eigenvalues, (n_spin, n_k, n_bands, m)."""
        from ase_mlham.electronic.states import eigenstates
        from ase_mlham.real_space.wave_functions import fixed_phase

        active = self._active()
        points = KPoints(active.kpts, active.weights)

        def solved() -> NDArray:
            found = eigenstates(self.system(), points, vectors=True, **self._solving)
            return fixed_phase(found.measured["vectors"])

        return self._kept(f"vectors {active.kpts.tobytes().hex()}", solved, None)

    def _check_state(self, kpt: int, spin: int, band: int = 0) -> None:
        active = self._active()
        n_spin, n_k, n_bands = active.energies.shape
        if not (0 <= kpt < n_k and 0 <= spin < n_spin and 0 <= band < n_bands):
            raise CalculatorInputError(
                f"band {band} of spin {spin} at k-point {kpt}: there are {n_bands} bands, {n_spin} "
                f"spins and {n_k} k-points, counted from 0"
            )

    def get_pseudo_wave_function(
        self, band: int = 0, kpt: int = 0, spin: int = 0, broadcast: bool = True, pad: bool = True
    ) -> NDArray:
        """Bloch state on the grid in Å^(-3/2), (n1, n2, n3); its square integrates to one.

        Spinors have two components, and ASE's tools look at one number a point: of these states it
        is the modulus. `wave_function` gives both components.

        Parameters
        ----------
        band, kpt, spin : int
            Which state.
        broadcast, pad : bool
            Accepted as other calculators do; there is nothing to distribute and no point missing.
        """
        from ase_mlham.real_space.wave_functions import states_on_grid

        self._check_state(kpt, spin, band)
        grid = self._cell_grid()
        system = self.system()
        parts = 2 if system.spin is SpinKind.SPINOR else 1
        n = min(TOGETHER, max(1, int(BLOCK / (16 * parts * grid.n_points))))
        k = self._active().kpts[kpt]
        first = band - band % n

        def computed() -> NDArray:
            chosen = self._vectors()[spin, kpt, first : first + n]
            values = states_on_grid(system, k, chosen, grid)
            return values[:, 0] if parts == 1 else np.sqrt((abs(values) ** 2).sum(axis=1))

        name = f"states {first} {n} {spin} {k.tobytes().hex()} {grid.shape}"
        return np.array(self._kept(name, computed, None, large=True)[band - first])

    def get_pseudo_density(self, spin: int | None = None, pad: bool = True) -> NDArray[np.float64]:
        """Density of the valence electrons on the grid in Å^-3, (n1, n2, n3).

        Parameters
        ----------
        spin : int, optional
            0 or 1: of the electrons with spin up or down along z only.
        pad : bool
            Accepted as other calculators do.
        """
        grid = self._cell_grid()
        charge = self.density(grid=grid).values
        if spin is None:
            return np.array(charge)
        kind = self.system().spin
        if spin not in (0, 1):
            raise CalculatorInputError(f"spin {spin}; 0 is up and 1 is down")
        if kind is SpinKind.NONE:
            return np.array(charge / 2)
        moment = self.spin_density(grid=grid).values
        along_z = moment if kind is SpinKind.COLLINEAR else moment[2]
        return np.array((charge + (1 - 2 * spin) * along_z) / 2)

    # ------------------------------------------------------------------ Wannier functions
    def get_wannier_localization_matrix(
        self,
        nbands: int,
        dirG: Sequence[float],
        kpoint: int,
        nextkpoint: int,
        G_I: Sequence[int],
        spin: int = 0,
    ) -> NDArray[np.complex128]:
        """<psi_mk| exp(-i b.r) |psi_nk'> between the lowest states of two k-points.

        Parameters
        ----------
        nbands : int
            How many states.
        dirG : (3,) int
            Direction of the step; it follows from the others.
        kpoint, nextkpoint : int
            k-points of bra and ket.
        G_I : (3,) int
            Reciprocal lattice vector by which the step leaves the mesh: b = k' - k - G_I.
        spin : int
            Channel.

        Returns
        -------
        (nbands, nbands) complex
        """
        from ase_mlham.real_space.wannier import localization_matrix, step_elements

        self._check_state(kpoint, spin, nbands - 1)
        self._check_state(nextkpoint, spin)
        kpts, vectors, system = self._active().kpts, self._vectors(), self.system()
        step = kpts[nextkpoint] - kpts[kpoint] - np.asarray(G_I, dtype=np.float64)
        # rounded, so that a step has one name; zero without a sign
        step = np.round(step, 12) + 0.0
        elements = self._kept(
            f"step {step.tobytes().hex()}", lambda: step_elements(system, step), None
        )
        bra, ket = vectors[spin, kpoint, :nbands], vectors[spin, nextkpoint, :nbands]
        return localization_matrix(system, elements, kpts[kpoint], step, bra, ket)

    def initial_wannier(
        self,
        initialwannier: Sequence[Sequence[Any]],
        kpointgrid: Sequence[int],
        fixedstates: Sequence[int],
        edf: Sequence[int],
        spin: int,
        nbands: int,
    ) -> tuple[list[NDArray], NDArray]:
        """Rotations from which Wannier functions start, by projection on trial functions.

        Parameters
        ----------
        initialwannier : sequence of (place, l, width)
            Place: an atom, or three fractions of the cell. The functions are
            r^l exp(-r^2 / 2 w^2) Y_lm with all m, w in Å.
        kpointgrid, fixedstates, edf, spin, nbands
            As `ase.dft.wannier.Wannier` gives them.

        Returns
        -------
        C_kul, U_kww
            As `Wannier` takes them.
        """
        from ase.dft.wannier import rotation_from_projection

        from ase_mlham.real_space.wannier import TrialFunction, trial_projections

        self._check_state(0, spin, nbands - 1)
        atoms = self._current(None)
        functions = []
        for place, l, width in initialwannier:
            if isinstance(place, int | np.integer):
                position = atoms.positions[place]
            else:
                position = np.asarray(place, dtype=np.float64) @ np.asarray(atoms.cell)
            x, y, z = (float(value) for value in position)
            functions.append(TrialFunction((x, y, z), int(l), float(width)))
        kpts, vectors = self._active().kpts, self._vectors()[spin, :, :nbands]
        rotations, extra = [], []
        found = trial_projections(self.system(), kpts, list(vectors), functions)
        for fixed, projection in zip(fixedstates, found, strict=True):
            U, C = rotation_from_projection(projection, fixed, ortho=True)
            rotations.append(U)
            extra.append(C)
        return extra, np.array(rotations)
