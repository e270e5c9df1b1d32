"""States of one energy, of which no single one means anything.

Any mixture of degenerate states is a state as well: an eigensolver returns an arbitrary one, and
its spin, its weight on an atom, or its direction is an accident of rounding. What does not depend
on the choice is the sum over all of them, and so the mean.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["DEGENERACY_TOLERANCE", "degenerate", "mean_of_degenerate"]

DEGENERACY_TOLERANCE = 1e-4
"""eV between neighbours in energy that count as one level.

The pairs of Kramers in a converged calculation with inversion are split by 1e-7 to 1e-5 eV."""


def _levels(energies: NDArray[np.float64], tolerance: float) -> NDArray[np.int64]:
    """Number of the level of each state, (..., n_bands), counted along the last axis."""
    new = np.diff(energies, axis=-1) > tolerance
    first = np.zeros((*energies.shape[:-1], 1), dtype=np.int64)
    return np.concatenate([first, np.cumsum(new, axis=-1)], axis=-1)


def degenerate(
    energies: NDArray[np.float64], tolerance: float = DEGENERACY_TOLERANCE
) -> NDArray[np.bool_]:
    """Which states share their energy with a neighbour.

    Parameters
    ----------
    energies : (..., n_bands) float
        eV, ascending along the last axis.
    tolerance : float
        eV.
    """
    close = np.diff(energies, axis=-1) <= tolerance
    out = np.zeros(energies.shape, dtype=bool)
    out[..., :-1] |= close
    out[..., 1:] |= close
    return out


def mean_of_degenerate(
    energies: NDArray[np.float64],
    values: NDArray[np.float64],
    tolerance: float = DEGENERACY_TOLERANCE,
) -> NDArray[np.float64]:
    """Values of states, each replaced by the mean over the states of its level.

    Parameters
    ----------
    energies : (..., n_bands) float
        eV, ascending along the last axis.
    values : (..., n_bands, *n) float
        Expectation values of the states.
    tolerance : float
        eV.
    """
    levels = _levels(energies, tolerance)
    n_bands = energies.shape[-1]
    # levels of different k-points get different numbers, in one row
    flat = (
        levels.reshape(-1, n_bands) + n_bands * np.arange(levels.size // n_bands)[:, None]
    ).ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=-1))
    counts = np.diff(starts, append=len(flat))
    rows = np.ascontiguousarray(values, dtype=np.float64).reshape(len(flat), -1)
    means = np.add.reduceat(rows, starts, axis=0) / counts[:, None]
    return np.asarray(np.repeat(means, counts, axis=0).reshape(values.shape))
