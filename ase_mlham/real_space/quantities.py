"""Units of what is drawn in space."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["BOHR_POWER", "DENSITY", "ORBITAL", "SPECTRAL_DENSITY"]

DENSITY, ORBITAL, SPECTRAL_DENSITY = "Å^-3", "Å^-3/2", "eV^-1 Å^-3"
"""Of densities, of wave functions, and of densities of states in a volume."""

BOHR_POWER: Mapping[str, float] = {DENSITY: 3.0, ORBITAL: 1.5, SPECTRAL_DENSITY: 3.0}
"""Power of a length by which the number is multiplied in another unit of length."""
