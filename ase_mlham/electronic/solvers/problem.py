"""What is asked of an eigensolver, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.system import LCAOSystem

__all__ = ["Eigenproblem", "Measure", "Solution"]


class Measure(Protocol):
    """A number (or several) for each eigenstate of one k-point, taken where the vectors are made.

    Vectors of a mesh are too large to keep; what is wanted of them is small.
    """

    def __call__(self, vectors: NDArray, overlap_vectors: NDArray) -> NDArray:
        """Values (n_channels, n_bands, ...).

        Parameters
        ----------
        vectors, overlap_vectors : (n_channels, m, n_bands)
            Eigenvectors C with C^H S C = 1, and S C.
        """
        ...


@dataclass(frozen=True, eq=False)
class Eigenproblem:
    """H(k) c = E S(k) c at several k-points.

    Parameters
    ----------
    system : LCAOSystem
        H and S.
    kpts : (n_k, 3) float
        Fractions of the reciprocal lattice vectors.
    n_bands : int, optional
        How many states; all if None.
    around : float, optional
        Energy (eV) to which the states should be nearest; the lowest if None.
    measures : mapping
        What to take from the eigenvectors, by name.
    overlap_floor : float, optional
        Project out eigenvectors of S below this; None refuses an ill-conditioned S.
    workers : int, optional
        Parallel threads over k; as many as there are processors if None.
    """

    system: LCAOSystem
    kpts: NDArray[np.float64]
    n_bands: int | None = None
    around: float | None = None
    measures: Mapping[str, Measure] = field(default_factory=dict)
    overlap_floor: float | None = None
    workers: int | None = None


@dataclass(frozen=True, eq=False)
class Solution:
    """Eigenstates of one k-point.

    Attributes
    ----------
    index : int
        Which k-point of the problem.
    energies : (n_channels, n_bands) float
        eV, ascending; the number of bands may differ between k-points where S was projected.
    measured : mapping
        Result of each measure, (n_channels, n_bands, ...).
    """

    index: int
    energies: NDArray[np.float64]
    measured: Mapping[str, NDArray]
