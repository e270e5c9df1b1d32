"""Tolerances of tests by dtype, in one place.

A test that needs a looser one says the cause beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

__all__ = ["TOLERANCES", "Tolerance", "tolerance"]


@dataclass(frozen=True)
class Tolerance:
    """How far results may differ when only rounding separates them.

    Attributes
    ----------
    algebra : float
        Sums and products of numbers of order one, up to a few thousand terms: about 1e4 units in
        the last place.
    eigenvalues : float
        Eigenvalues of matrices of order one, up to a few hundred orbitals: ten times more, because
        a generalised eigenproblem divides by the overlap.
    storage : float
        A number written to and read from this type.
    """

    algebra: float
    eigenvalues: float
    storage: float


TOLERANCES = {
    "float32": Tolerance(algebra=1e-3, eigenvalues=1e-2, storage=1e-7),
    "float64": Tolerance(algebra=1e-11, eigenvalues=1e-10, storage=0.0),
}
"""By real dtype; a complex one has that of its parts. Absolute, for numbers of order one."""


def tolerance(dtype: DTypeLike = np.float64) -> Tolerance:
    """Tolerance of a dtype.

    Raises
    ------
    KeyError
        The dtype is neither single nor double precision.
    """
    return TOLERANCES[np.empty(0, dtype).real.dtype.name]
