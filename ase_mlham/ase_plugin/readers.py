"""Atoms of files that hold a Hamiltonian, for `ase.io.read` and everything that uses it.

Matrices are not read: opening a large output to look at its atoms takes neither time nor memory for
them. What ASE gets is the structure with the moments that the file gives its atoms; `info` has the
Fermi level, the number of electrons and the program. There is no energy, because no such file has
one. `ase_mlham.read_system` reads the Hamiltonian of the same file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ase_mlham.formats import read_outline

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["read_mlham", "read_openmx_scfout"]


def read_mlham(path: str) -> Atoms:
    """Atoms of a native file.

    Parameters
    ----------
    path : str
        The file.

    Raises
    ------
    FormatError
        Not such a file, incomplete, damaged, or of a newer version.
    """
    return read_outline(path, format="mlham").to_atoms()


def read_openmx_scfout(path: str) -> Atoms:
    """Atoms of a `.scfout` file of OpenMX: plain, .gz or .zst.

    Parameters
    ----------
    path : str
        The file.

    Raises
    ------
    FormatError
        Not such a file, of a version that is not read, cut off or damaged.
    """
    return read_outline(path, format="openmx").to_atoms()
