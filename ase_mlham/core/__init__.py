"""What a Hamiltonian is: structure, orbital basis, spin, block pattern, blocks, system."""

from ase_mlham.core.basis import OrbitalBasis, Projectors, Shell, SpeciesBasis
from ase_mlham.core.blocks import BlockMatrix
from ase_mlham.core.pattern import BlockPattern
from ase_mlham.core.radial import GaussianRadial, RadialFunction, TabulatedRadial
from ase_mlham.core.spin import SpinKind
from ase_mlham.core.structure import Structure
from ase_mlham.core.system import LCAOSystem

__all__ = [
    "BlockMatrix",
    "BlockPattern",
    "GaussianRadial",
    "LCAOSystem",
    "OrbitalBasis",
    "Projectors",
    "RadialFunction",
    "Shell",
    "SpeciesBasis",
    "SpinKind",
    "Structure",
    "TabulatedRadial",
]
