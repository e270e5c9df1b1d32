"""What a file says of a system besides its matrices.

Whoever wants to see the atoms of a file should not wait for a gigabyte of H to be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ase_mlham.core.spin import SpinKind
from ase_mlham.core.structure import Structure
from ase_mlham.core.system import LCAOSystem

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["Outline"]


@dataclass(frozen=True, eq=False)
class Outline:
    """A system without its matrices and orbitals.

    Attributes
    ----------
    structure : Structure
        The atoms, with their moments if the file has them.
    spin : SpinKind
        Of the Hamiltonian.
    n_electrons : float
        Valence electrons in the cell.
    fermi_level : float or None
        That the source states, eV.
    source : str
        Code or model that made it.
    """

    structure: Structure
    spin: SpinKind
    n_electrons: float
    fermi_level: float | None
    source: str

    @classmethod
    def of(cls, system: LCAOSystem) -> Outline:
        """Outline of a system that was read already."""
        return cls(
            system.structure, system.spin, system.n_electrons, system.fermi_level, system.source
        )

    def to_atoms(self) -> Atoms:
        """The atoms; `info` says which code, how many electrons, and the Fermi level if known.

        There is no energy in it, nor a calculator: a file with H and S has neither.
        """
        atoms = self.structure.to_atoms()
        atoms.info = {"source": self.source, "n_electrons": self.n_electrons}
        if self.fermi_level is not None:
            atoms.info["fermi_level"] = self.fermi_level
        return atoms
