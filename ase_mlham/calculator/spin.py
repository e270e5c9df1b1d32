"""Spin, charges and projections of states as methods of the calculator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ase import Atoms

from ase_mlham.calculator.hamiltonian import CachedHamiltonian

if TYPE_CHECKING:
    from ase_mlham.electronic.charges import Charges
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

    def charges(self, *, atoms: Atoms | None = None, **options: Any) -> Charges:
        """Charges in e and spin moments in Bohr magnetons of the atoms, on the mesh.

        Parameters
        ----------
        **options
            As for `ase_mlham.electronic.charges.charges`, in place of the calculator's own.
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
