"""What a user can set for a PySCF calculation, with defaults that are safe for training labels."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ase_mlham.errors import InputError

__all__ = ["PyscfSettings"]


@dataclass(frozen=True, kw_only=True)
class PyscfSettings:
    """Settings of the engine "pyscf".

    Parameters
    ----------
    xc : str
        "pbe" or "lda" (Teter's parametrisation, for which GTH's LDA pseudopotentials were made).
    basis : str
        "auto", "short-range" (made for this package: bulk Si, Ge and C only), or a name that PySCF
        knows. "auto" takes "short-range" where it is valid, "gth-dzvp-molopt" for molecules of
        the elements that have it, else "gth-dzvp-molopt-sr".
    ecut_ry : float, optional
        Plane-wave cut-off of the grid that carries density and potential, rydberg; by default what
        the most demanding element needs for labels (150 for Si and Ge, 350 for the first row).
    kpts : (3,) int, optional
        Gamma-centred k mesh; by default from `kspacing`.
    kspacing : float
        Largest distance of k-points along a reciprocal lattice vector, 1/Å (with 2 pi). One point
        along directions that are not periodic or hold a vacuum.
    smearing : float
        Width of the Fermi-Dirac occupation, eV; zero for integer occupation.
    spin : str
        "none", "collinear", or "auto": "collinear" exactly if an atom carries an initial magnetic
        moment (`Atoms.set_initial_magnetic_moments`, Bohr magnetons, positive where up electrons
        are in the majority). The initial moments polarise the first density; without any the
        symmetry of up and down remains. The structure of the result carries Mulliken's moments.
    total_moment : float, optional
        Up minus down electrons in the cell, kept fixed; by default it is free and follows from one
        Fermi level for both. Needed without smearing.
    method : str
        "crystal" (real-space driver), "molecule" (PySCF's molecular RKS and UKS), or "auto":
        "molecule" if no direction is periodic.
    eps_ao, eps_pair : float
        Orbital values, and products of two orbital values, below which quadrature leaves them out
        (atomic units).
    eps_cutoff : float, optional
        Where r |R(r)| stays below this (bohr^(-1/2)) the orbital is taken as zero: it fixes the
        cut-off radii of the basis and with them which blocks are kept. By default 3e-3 for the
        short-range basis and 5e-4 for others, whose overlap is closer to singular. What is cut off
        is stated in the provenance.
    tol_energy : float
        Change of the free energy in the last iteration, eV per atom.
    tol_commutator : float
        Largest element of F D S - S D F in an orthonormal basis, eV, with what F changes in the
        occupations.
    max_iterations : int
        Of the self-consistency cycle.
    """

    xc: str = "pbe"
    basis: str = "auto"
    ecut_ry: float | None = None
    kpts: tuple[int, int, int] | None = None
    kspacing: float = 0.29
    smearing: float = 0.05
    spin: str = "auto"
    total_moment: float | None = None
    method: str = "auto"
    eps_ao: float = 1e-6
    eps_pair: float = 1e-8
    eps_cutoff: float | None = None
    tol_energy: float = 1e-6
    tol_commutator: float = 1e-4
    max_iterations: int = 60

    def __post_init__(self) -> None:
        if self.xc not in ("pbe", "lda"):
            raise InputError(f"xc={self.xc!r}: this engine computes 'pbe' and 'lda'")
        if self.method not in ("auto", "crystal", "molecule"):
            raise InputError(f"method={self.method!r}: give 'auto', 'crystal' or 'molecule'")
        if self.spin not in ("auto", "none", "collinear"):
            raise InputError(
                f"spin={self.spin!r}: give 'auto', 'none' or 'collinear' (this engine has no "
                "spinors)"
            )
        if self.total_moment is not None:
            if self.spin == "none":
                raise InputError("total_moment is given, but spin='none' has no moment")
            if not math.isfinite(self.total_moment):
                raise InputError(f"total_moment={self.total_moment!r} must be a number")
        if self.kpts is not None:
            mesh = tuple(int(n) for n in self.kpts)
            if len(mesh) != 3 or min(mesh) < 1 or mesh != tuple(self.kpts):
                raise InputError(f"kpts={self.kpts!r}: give three positive integers")
            object.__setattr__(self, "kpts", mesh)
        for name in (
            "kspacing",
            "eps_ao",
            "eps_pair",
            "tol_energy",
            "tol_commutator",
            "max_iterations",
        ):
            if not getattr(self, name) > 0:
                raise InputError(f"{name}={getattr(self, name)!r} must be positive")
        if self.eps_cutoff is not None and not self.eps_cutoff > 0:
            raise InputError(f"eps_cutoff={self.eps_cutoff!r} must be positive")
        if not self.smearing >= 0:
            raise InputError(f"smearing={self.smearing!r} eV must not be negative")
        if self.ecut_ry is not None and not self.ecut_ry >= 10:
            raise InputError(f"ecut_ry={self.ecut_ry!r}: a density grid needs at least 10 Ry")
