"""Changes of spin alone: what is allowed where it is not coupled to space."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.blocks import BlockMatrix
from ase_mlham.core.spin import SpinKind
from ase_mlham.core.system import LCAOSystem
from ase_mlham.errors import InputError

__all__ = ["spin_rotated", "spin_rotated_matrix", "to_spinor"]


def to_spinor(system: LCAOSystem) -> LCAOSystem:
    """The same system with spinors; collinear spin lies along z.

    Operators that carry spin themselves are left out.
    """
    if system.spin is SpinKind.SPINOR:
        return system
    values = []
    for h in system.hamiltonian.values:
        whole = np.zeros((4, *h.shape[1:]), dtype=np.complex128)
        whole[0] = h[0]
        if system.spin is SpinKind.COLLINEAR:
            whole[3] = h[1]
        values.append(whole)
    old = system.spin.n_components
    return system.replace(
        spin=SpinKind.SPINOR,
        hamiltonian=BlockMatrix(system.hamiltonian.pattern, tuple(values)),
        operators={
            name: matrix
            for name, matrix in system.operators.items()
            if matrix.n_components != old or old == 1
        },
    )


def spin_rotated_matrix(matrix: BlockMatrix, rotation: NDArray[np.float64]) -> BlockMatrix:
    """A matrix of four Pauli components with those of spin turned: A_a -> sum_b Q_ab A_b."""
    values = tuple(
        np.concatenate([h[:1], np.einsum("ab,b...->a...", rotation, h[1:])]) for h in matrix.values
    )
    return BlockMatrix(matrix.pattern, values)


def spin_rotated(system: LCAOSystem, rotation: NDArray[np.float64]) -> LCAOSystem:
    """The system with its spin turned, and nothing else: A_a -> sum_b Q_ab A_b, moments likewise.

    The same physics where there is no spin-orbit coupling.

    Parameters
    ----------
    system : LCAOSystem
        With spinors, see `to_spinor`.
    rotation : (3, 3) float
        Proper rotation Q.

    Raises
    ------
    InputError
        There are no spinors, or the matrix is not a proper rotation.
    """
    if system.spin is not SpinKind.SPINOR:
        raise InputError("only spinors can be turned; see to_spinor")
    Q = np.asarray(rotation, dtype=float)
    if Q.shape != (3, 3) or abs(Q @ Q.T - np.eye(3)).max() > 1e-8 or np.linalg.det(Q) < 0:
        raise InputError("spin turns by a proper rotation, an orthogonal matrix of determinant 1")
    structure = system.structure
    if structure.moments is not None:
        structure = replace(structure, moments=structure.moments @ Q.T)
    return system.replace(
        structure=structure,
        hamiltonian=spin_rotated_matrix(system.hamiltonian, Q),
        operators={n: m for n, m in system.operators.items() if m.n_components != 4},
    )
