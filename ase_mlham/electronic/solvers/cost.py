"""Memory and time of an eigenvalue problem, told before it starts."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from ase_mlham.errors import SolverError
from ase_mlham.machine import total_memory

__all__ = [
    "Cost",
    "dense_cost",
    "sparse_cost",
    "tell",
    "threads_that_fit",
    "threads_worth",
]

_log = logging.getLogger(__name__)

_UNKNOWN_MEMORY = 8 * 2**30
"""What a machine is taken to have that does not tell."""


@dataclass(frozen=True)
class Cost:
    """What a calculation will take.

    Attributes
    ----------
    size : int
        Rows of the matrix.
    n_kpts : int
        k-points.
    memory : float
        Bytes for each k-point in work at the same time.
    seconds : float
        Processor seconds for all k-points, one thread, a core of 2020: an estimate within a factor
        of two.
    """

    size: int
    n_kpts: int
    memory: float
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.n_kpts} k-point{'s' * (self.n_kpts != 1)} of {self.size} orbitals: about "
            f"{_duration(self.seconds)} of one core, {self.memory / 2**30:.1f} GiB for each k-point"
        )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def dense_cost(size: int, n_kpts: int, *, vectors: bool) -> Cost:
    """Cost of dense diagonalisation at complex k.

    From measurements at 500 to 3,000 orbitals: a complex problem takes 0.9e-9 n^3 s for values,
    2.2e-9 n^3 s with vectors, and holds six matrices.
    """
    per_k = (2.2e-9 if vectors else 0.9e-9) * size**3 + 5e-5
    return Cost(size, n_kpts, 6 * 16.0 * size**2, per_k * n_kpts)


def sparse_cost(size: int, n_kpts: int, n_states: int) -> Cost:
    """Cost of a window of states by LU factorisation at complex k.

    Orbitals of 7 Å reach so far that the factors are nearly dense up to a thousand atoms.
    Measured at 2,808 orbitals (real): 1.9 s to factor, 6 s for 50 states.
    """
    factor = 3.5e-10 * size**3
    solves = 3.0e-8 * size**2 * 6 * n_states
    return Cost(size, n_kpts, 2 * 16.0 * size**2, (factor + solves) * n_kpts)


def threads_worth(seconds: float) -> int:
    """Threads worth starting: one for each tenth of a second of work."""
    return max(1, int(seconds / 0.1))


def threads_that_fit(cost: Cost) -> int:
    """k-points that fit in memory at the same time.

    Raises
    ------
    SolverError
        Not even one does: it needs more than 80 % of the machine's memory.
    """
    memory = total_memory() or _UNKNOWN_MEMORY
    fit = int(0.8 * memory / cost.memory)
    if fit < 1:
        raise SolverError(
            f"{cost.size} orbitals need {cost.memory / 2**30:.0f} GiB as dense matrices, and this "
            f"machine has {memory / 2**30:.0f} GiB; use a smaller cell or basis, or a machine with "
            "more memory"
        )
    return fit


def tell(cost: Cost, workers: int) -> None:
    """Log what a run of more than two seconds will take, before it starts."""
    if cost.seconds > 2:
        _log.info("diagonalising %s, %d at a time", cost, workers)
