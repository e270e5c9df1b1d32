"""Spin kinds, Pauli components, and the views of a Hamiltonian in spin space.

A matrix is stored as X = sum_mu X_mu (x) sigma_mu with mu in (1) for no spin, (1, z) for collinear
and (1, x, y, z) for spinors. In a real orbital basis time reversal then reads: X_1 real, X_x, X_y,
X_z imaginary; and a rotation acts on X_1 as on a scalar and on (X_x, X_y, X_z) as on a
pseudo-vector.
"""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import NDArray

from ase_mlham.errors import InputError

__all__ = ["PAULI", "SpinKind", "spin_blocks", "su2"]

PAULI: NDArray[np.complex128] = np.array(
    [[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]]
)
"""sigma_1 (the unit matrix), sigma_x, sigma_y, sigma_z: (4, 2, 2)."""


class SpinKind(Enum):
    """How the electrons' spin enters a system."""

    NONE = "none"
    COLLINEAR = "collinear"
    SPINOR = "spinor"

    @classmethod
    def parse(cls, value: SpinKind | str) -> SpinKind:
        """Spin kind from its name; a clear refusal of anything else."""
        if isinstance(value, cls):
            return value
        try:
            return cls(str(value).lower())
        except ValueError:
            accepted = ", ".join(kind.value for kind in cls)
            raise InputError(f"spin kind {value!r} is unknown; accepted: {accepted}") from None

    @property
    def components(self) -> tuple[str, ...]:
        """Names of the stored Pauli components, in order."""
        return {"none": ("1",), "collinear": ("1", "z"), "spinor": ("1", "x", "y", "z")}[self.value]

    @property
    def n_components(self) -> int:
        """Number of stored Pauli components: 1, 2 or 4."""
        return len(self.components)

    @property
    def n_channels(self) -> int:
        """Independent eigenvalue problems at one k: 2 for collinear, else 1."""
        return 2 if self is SpinKind.COLLINEAR else 1

    @property
    def electrons_per_state(self) -> int:
        """Electrons that fill one eigenstate: 2 without spin, else 1."""
        return 2 if self is SpinKind.NONE else 1


def spin_blocks(components: NDArray, kind: SpinKind) -> NDArray:
    """Matrices of the independent eigenvalue problems.

    Parameters
    ----------
    components : (n_components, n, n)
        Pauli components of an operator at one k (or one R).
    kind : SpinKind
        What the components are.

    Returns
    -------
    (n_channels, m, m)
        Without spin the matrix itself; collinear: up, down; spinor: one matrix of size 2 n, all up
        orbitals first, then all down.
    """
    if kind is SpinKind.NONE:
        return components
    if kind is SpinKind.COLLINEAR:
        return np.stack([components[0] + components[1], components[0] - components[1]])
    one, x, y, z = components
    n = one.shape[-1]
    out = np.empty((1, 2 * n, 2 * n), dtype=np.result_type(components.dtype, np.complex64))
    out[0, :n, :n] = one + z
    out[0, n:, n:] = one - z
    out[0, :n, n:] = x - 1j * y
    out[0, n:, :n] = x + 1j * y
    return out


def su2(rotation: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Spinor rotation u with u sigma_a u^H = sum_b det(Q) Q_ba sigma_b.

    Inversion does not act on spin, so only the proper part det(Q) Q enters. The sign of u is free;
    the one with non-negative real trace is returned.

    Parameters
    ----------
    rotation : (3, 3) float
        Orthogonal matrix Q, proper or improper.
    """
    proper = np.linalg.det(rotation) * rotation
    # quaternion from the eigenvector of the symmetric 4 x 4 matrix (Bar-Itzhack, 2000): no branch
    # cut at rotations by pi, where the axis-angle formula divides by zero
    m = proper
    k = np.array(
        [
            [m[0, 0] + m[1, 1] + m[2, 2], m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], m[0, 0] - m[1, 1] - m[2, 2], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0]],
            [m[0, 2] - m[2, 0], m[0, 1] + m[1, 0], m[1, 1] - m[0, 0] - m[2, 2], m[1, 2] + m[2, 1]],
            [m[1, 0] - m[0, 1], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], m[2, 2] - m[0, 0] - m[1, 1]],
        ]
    )
    w, x, y, z = np.linalg.eigh(k)[1][:, -1]
    if w < 0:
        w, x, y, z = -w, -x, -y, -z
    return w * PAULI[0] - 1j * (x * PAULI[1] + y * PAULI[2] + z * PAULI[3])
