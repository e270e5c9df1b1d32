"""Spin, charges and projections of states as methods of the calculator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from ase_mlham.calculator.hamiltonian import CachedHamiltonian

if TYPE_CHECKING:
    from ase_mlham.electronic.charges import Charges
    from ase_mlham.electronic.fat_bands import FatBands
    from ase_mlham.electronic.spin_bands import SpinBands
    from ase_mlham.electronic.spin_plane import SpinContour, SpinPlane
    from ase_mlham.electronic.spin_texture import SpinTexture

__all__ = ["SpinMethods"]


class SpinMethods(CachedHamiltonian):
    """What states carry: spin, and weight on atoms and orbitals."""

    def spin_texture(
        self, kpts: Any = None, bands: Sequence[int] | None = None, *, atoms: Atoms | None = None
    ) -> SpinTexture:
        """Spin expectation values of states, see `ase_mlham.electronic.spin_texture.spin_texture`.

        Parameters
        ----------
        kpts : as for `k_points`
            Points, a mesh, or a path; the mesh of the calculator if not given.
        bands : sequence of int, optional
            Which bands, counted from 0; all by default.

        Returns
        -------
        SpinTexture
            Its `spin`, (n_spin, n_k, n_bands, 3), holds <sigma> = <S> / (hbar / 2) along x, y, z.

        Raises
        ------
        InputError
            The model predicts no spin.
        """
        from ase_mlham.electronic.spin_texture import spin_texture

        p = self.parameters
        return spin_texture(
            self.system(atoms),
            self._mesh if kpts is None else kpts,
            bands,
            overlap_floor=p.overlap_floor,
            solver=p.solver,
        )

    def spin_bands(
        self, path: Any = None, *, atoms: Atoms | None = None, **options: Any
    ) -> SpinBands:
        """Bands with the spin of their states, see `ase_mlham.electronic.spin_bands.spin_bands`.

        Parameters
        ----------
        path : None, str, (n, 3) float or BandPath
            As for `band_structure`.
        **options
            npoints, density, eps, n_bands, reference, tolerance. `along("z")` of the result is what
            ASE's `BandStructure.plot(point_colors=...)` takes.
        """
        from ase_mlham.electronic.spin_bands import spin_bands

        return spin_bands(self.system(atoms), path, **self._path_options(options, atoms))

    def spin_plane(
        self,
        center: str | Sequence[float] = "G",
        bands: Sequence[int] | None = None,
        *,
        tolerance: float | None = None,
        atoms: Atoms | None = None,
        **plane: Any,
    ) -> SpinPlane:
        """Spin of states on a plane of k-points, see `ase_mlham.electronic.spin_plane.spin_plane`.

        Parameters
        ----------
        center : str or (3,) float
            Middle of the plane: a special point, or fractions.
        bands : sequence of int, optional
            Which bands, counted from 0; all by default.
        tolerance : float, optional
            States within so many eV are degenerate; 1e-4 by default.
        **plane
            normal, vectors, extent, size, as for `ase_mlham.electronic.k_plane.k_plane`.
        """
        from ase_mlham.electronic.k_plane import k_plane
        from ase_mlham.electronic.spin_plane import spin_plane

        system = self.system(atoms)
        where = k_plane(system.structure, center, **plane)
        return spin_plane(system, where, bands, **self._spin_options(tolerance))

    def spin_contour(
        self,
        energy: float | None = None,
        center: str | Sequence[float] = "G",
        bands: Sequence[int] | None = None,
        *,
        tolerance: float | None = None,
        atoms: Atoms | None = None,
        **plane: Any,
    ) -> SpinContour:
        """Lines of one energy in a plane with the spin on them, for example a Fermi contour.

        Parameters
        ----------
        energy : float, optional
            eV on the scale of H; the Fermi level if not given.
        center, bands, tolerance, **plane
            As for `spin_plane`.
        """
        from ase_mlham.electronic.k_plane import k_plane
        from ase_mlham.electronic.spin_plane import spin_contour

        system = self.system(atoms)
        level = self._level(atoms) if energy is None else energy
        where = k_plane(system.structure, center, **plane)
        return spin_contour(system, level, where, bands, **self._spin_options(tolerance))

    def fat_bands(
        self,
        path: Any = None,
        by: str = "element",
        method: str = "mulliken",
        *,
        atoms: Atoms | None = None,
        **options: Any,
    ) -> FatBands:
        """Bands with their weights on orbitals, see `ase_mlham.electronic.fat_bands.fat_bands`.

        Parameters
        ----------
        path : None, str, (n, 3) float or BandPath
            As for `band_structure`.
        by : {"element", "shell", "orbital", "atom", "layer"}
            What the orbitals are collected by.
        method : {"mulliken", "lowdin"}
            Projection.
        **options
            npoints, density, eps, n_bands, reference, direction, tolerance.
        """
        from ase_mlham.electronic.fat_bands import fat_bands

        return fat_bands(self.system(atoms), path, by, method, **self._path_options(options, atoms))

    def state_weights(
        self,
        kpt: ArrayLike,
        band: int,
        spin: int = 0,
        *,
        method: str = "mulliken",
        atoms: Atoms | None = None,
    ) -> NDArray:
        """Weights of one state on the atoms, (n_atoms,), see `electronic.projections`.

        Parameters
        ----------
        kpt : (3,) float
            Fractions of the reciprocal lattice vectors.
        band, spin : int
            Counted from 0.
        method : {"mulliken", "lowdin"}
            Projection.
        """
        from ase_mlham.electronic.projections import state_weights

        floor = self.parameters.overlap_floor
        return state_weights(
            self.system(atoms), kpt, band, spin, method=method, overlap_floor=floor
        )

    def _path_options(self, options: dict[str, Any], atoms: Atoms | None) -> dict[str, Any]:
        """Options of what runs along a path; the zero of energy is that of `band_structure`."""
        p = self.parameters
        zero: dict[str, Any] = {}
        if "reference" not in options:
            plain = p.smearing is None and p.occupation is None
            zero = {"kpts": self._mesh} if plain else {"reference": self._level(atoms)}
        return {**self._solving, **zero, **options}

    def _level(self, atoms: Atoms | None) -> float:
        """Fermi level on the mesh, eV, with the calculator's own occupations."""
        from ase_mlham.electronic.fermi import fermi_level_of_states

        p = self.parameters
        return float(fermi_level_of_states(self.states(atoms=atoms), p.smearing, p.occupation))

    def _spin_options(self, tolerance: float | None) -> dict[str, Any]:
        return {**self._solving, **({} if tolerance is None else {"tolerance": tolerance})}

    def charges(self, *, atoms: Atoms | None = None, **options: Any) -> Charges:
        """Charges in e and spin moments in Bohr magnetons of the atoms, on the mesh.

        Parameters
        ----------
        **options
            As for `ase_mlham.electronic.charges.charges`, in place of the calculator's own;
            `projection="lowdin"` for those of Löwdin.

        Returns
        -------
        Charges
            Its `moments` are vectors, (n_atoms, 3), where `get_magnetic_moments` has numbers.
        """
        from ase_mlham.electronic.charges import charges

        p = self.parameters
        chosen = {
            "kpts": self._mesh,
            "smearing": p.smearing,
            "method": None if p.occupation == "tetrahedron" else p.occupation,
            **self._solving,
            **options,
        }
        return charges(self.system(atoms), **chosen)
