"""What is asked of an eigensolver, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.system import LCAOSystem
from ase_mlham.errors import SolverError

__all__ = [
    "Eigenproblem",
    "Measure",
    "Orthogonalised",
    "Solution",
    "square_root",
    "take_measures",
]


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
class Orthogonalised:
    """A measure taken in Löwdin's orthonormal orbitals: it is handed S^(1/2) C twice.

    In that basis the overlap is the unit matrix, so the code that gives Mulliken's populations of
    C and S C gives Löwdin's of S^(1/2) C. Solvers know this class, see `take_measures`, and find
    the root of S(k) for it alone.

    Parameters
    ----------
    measure : Measure
        What is taken.
    """

    measure: Measure

    def __call__(self, vectors: NDArray, overlap_vectors: NDArray) -> NDArray:
        """Refused: C and S C of a part of the states do not tell S^(1/2) C.

        Raises
        ------
        SolverError
            Always; a solver has to go through `take_measures`.
        """
        raise SolverError(
            "this eigensolver does not give Löwdin's orbitals (its measures are not taken by "
            "`take_measures`); use solver='dense', or Mulliken's projection"
        )


def square_root(overlap: NDArray) -> NDArray:
    """S^(1/2) of a positive overlap matrix (n, n).

    Eigenvalues that rounding has made negative count as zero: where `overlap_floor` projects them
    out, no state has a part there.
    """
    s, u = np.linalg.eigh(overlap)
    return np.asarray((u * np.sqrt(np.maximum(s, 0.0))) @ u.conj().T)


def take_measures(
    measures: Mapping[str, Measure],
    vectors: NDArray,
    overlap_vectors: NDArray,
    root: Callable[[], NDArray],
) -> dict[str, NDArray]:
    """All measures of the states of one k-point.

    Parameters
    ----------
    measures : mapping
        By name.
    vectors, overlap_vectors : (n_channels, m, n_bands)
        As for `Measure`.
    root : callable
        Gives S^(1/2) between spatial orbitals, (n, n) with m = n, or m = 2 n for spinors (all up
        before all down). Called at most once, and only for an `Orthogonalised` measure.
    """
    measured = {}
    orthogonal: NDArray | None = None
    for name, take in measures.items():
        if not isinstance(take, Orthogonalised):
            measured[name] = take(vectors, overlap_vectors)
            continue
        if orthogonal is None:
            matrix = root()
            n = len(matrix)
            parts = [matrix @ vectors[:, at : at + n] for at in range(0, vectors.shape[1], n)]
            orthogonal = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        measured[name] = take.measure(orthogonal, orthogonal)
    return measured


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
