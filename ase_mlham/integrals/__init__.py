"""S(R), kinetic energy, position, momentum and V_nl between orbitals, from radial functions."""

from ase_mlham.integrals.pseudopotential import nonlocal_pattern, nonlocal_potential
from ase_mlham.integrals.tables import PairTable, TwoCentreTables, tables_of
from ase_mlham.integrals.two_centre import (
    add_kinetic,
    angular_generators,
    angular_momentum,
    gradient,
    kinetic,
    overlap,
    position,
)

__all__ = [
    "PairTable",
    "TwoCentreTables",
    "add_kinetic",
    "angular_generators",
    "angular_momentum",
    "gradient",
    "kinetic",
    "nonlocal_pattern",
    "nonlocal_potential",
    "overlap",
    "position",
    "tables_of",
]
