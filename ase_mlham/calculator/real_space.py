"""What is drawn on grids in real space, as methods of the calculator."""

from __future__ import annotations

from ase_mlham.calculator.hamiltonian import CachedHamiltonian

__all__ = ["RealSpaceMethods"]


class RealSpaceMethods(CachedHamiltonian):
    """Wave functions and densities."""
