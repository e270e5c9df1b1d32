"""What identifies a system that is held in memory, in one line of text."""

from __future__ import annotations

import hashlib

import numpy as np

from ase_mlham.core import LCAOSystem

__all__ = ["system_identity"]


def system_identity(system: LCAOSystem) -> str:
    """Text for a system in memory: formula, source, and a hash of its content.

    Parameters
    ----------
    system : LCAOSystem
        Any.

    Returns
    -------
    str
        Equal for equal systems, for example "Si2, OpenMX, 3f6a09c1b2d4".
    """
    digest = hashlib.blake2b(digest_size=6)
    structure = system.structure
    for array in (structure.numbers, structure.positions, structure.cell, structure.pbc):
        digest.update(array.tobytes())
    for matrix in (system.hamiltonian, system.overlap):
        digest.update(np.ascontiguousarray(matrix.pattern.R).tobytes())
        for values in matrix.values:
            digest.update(np.ascontiguousarray(values).data)
    digest.update(f"{system.n_electrons!r} {system.spin.value}".encode())
    formula = structure.to_atoms().get_chemical_formula()
    return f"{formula}, {system.source}, {digest.hexdigest()}"
