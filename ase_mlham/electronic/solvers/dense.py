"""Dense generalised eigenproblem with LAPACK.

S = L L^H by Cholesky, H' = L^-1 H L^-H, then the standard problem. Done in these steps, and not by
one call, for two reasons: the factor gives the condition of S for nothing, so that a nearly
singular S is refused with its number instead of returning states that do not exist; and NumPy's
eigensolver releases the interpreter lock where SciPy's holds it, so that k-points run in parallel
threads.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, get_lapack_funcs
from threadpoolctl import ThreadpoolController

from ase_mlham.core.spin import SpinKind
from ase_mlham.electronic.assembly import Assembly
from ase_mlham.electronic.solvers.cost import dense_cost, tell, threads_that_fit, threads_worth
from ase_mlham.electronic.solvers.problem import (
    Eigenproblem,
    Solution,
    square_root,
    take_measures,
)
from ase_mlham.errors import InputError, SolverError

__all__ = ["OVERLAP_LIMIT", "processors", "solve"]

OVERLAP_LIMIT = 1e-8
"""Smallest eigenvalue of S that is accepted without `overlap_floor`.

Rounding moves energies by about 1e-16 |H| / s; for s = 1e-8 and |H| = 100 eV that is 1e-6 eV. Below
it the noise of a file or a model (1e-9 at best) is as large as the eigenvalue itself.
"""


def processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


_THREADS_PAY = 512
"""Orbitals from which threads inside one LAPACK call are worth their waiting for one another.

Two threads took twenty times the processor time of one on 104 orbitals, and gained nothing.
"""


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[Any]:
    """While k-points run in parallel, a BLAS call must not start threads of its own."""
    limit: AbstractContextManager[Any] = _blas().limit(limits=1)
    return limit


def solve(problem: Eigenproblem) -> Iterator[Solution]:
    """Lowest states at each k-point; see `ase_mlham.electronic.solvers`.

    Raises
    ------
    SolverError
        S is ill-conditioned and no `overlap_floor` was given, or the matrices do not fit in memory.
    """
    if problem.overlap_floor is not None and not 0 < problem.overlap_floor < 1:
        raise InputError(
            f"overlap_floor = {problem.overlap_floor}; it must lie between 0 and 1 (1e-4 is usual)"
        )
    assembly = Assembly.of(problem.system)
    if problem.n_bands is not None and not 1 <= problem.n_bands <= assembly.size:
        raise InputError(f"{problem.n_bands} bands asked of a basis that gives {assembly.size}")
    chunks = [
        np.arange(start, min(start + assembly.chunk, len(problem.kpts)))
        for start in range(0, len(problem.kpts), assembly.chunk)
    ]
    cost = dense_cost(assembly.size, len(problem.kpts), vectors=bool(problem.measures))
    workers = min(
        problem.workers or processors(),
        threads_worth(cost.seconds),
        len(problem.kpts),
        threads_that_fit(cost),
    )
    tell(cost, workers)
    if workers > 1 and len(chunks) < 2 * workers:
        chunks = np.array_split(np.arange(len(problem.kpts)), min(2 * workers, len(problem.kpts)))
    if workers == 1:
        small = assembly.size < _THREADS_PAY
        for chunk in chunks:
            with one_blas_thread() if small else nullcontext():
                done = _solve_chunk(problem, assembly, chunk)
            yield from done
        return
    with one_blas_thread(), ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(_solve_chunk, problem, assembly, chunk) for chunk in chunks]
        try:
            for future in futures:
                yield from future.result()
        finally:
            for future in futures:
                future.cancel()


def _solve_chunk(
    problem: Eigenproblem, assembly: Assembly, indices: NDArray[np.int64]
) -> list[Solution]:
    """All states of a few k-points."""
    out = []
    for start in range(0, len(indices), assembly.chunk):
        part = indices[start : start + assembly.chunk]
        hamiltonians, overlaps = assembly.at(problem.kpts[part])
        for index, hamiltonian, overlap in zip(part, hamiltonians, overlaps, strict=True):
            out.append(_solve_one(problem, assembly.spin, int(index), hamiltonian, overlap))
    return out


def _solve_one(
    problem: Eigenproblem, spin: SpinKind, index: int, hamiltonian: NDArray, overlap: NDArray
) -> Solution:
    k = problem.kpts[index]
    wanted = bool(problem.measures)
    metric: _Cholesky | _Projection
    if problem.overlap_floor is None:
        metric = _Cholesky(overlap, k, doubled=spin is SpinKind.SPINOR)
    else:
        metric = _Projection(overlap, problem.overlap_floor, doubled=spin is SpinKind.SPINOR)
    energies, vectors = [], []
    for channel in hamiltonian:
        e, c = _standard(metric.reduce(channel), problem.n_bands, problem.around, vectors=wanted)
        energies.append(e)
        if c is not None:
            vectors.append(metric.expand(c))
    measured: dict[str, NDArray] = {}
    if wanted:
        stacked = np.stack(vectors)
        if spin is SpinKind.SPINOR:
            n = len(overlap)
            over = np.concatenate([overlap @ stacked[:, :n], overlap @ stacked[:, n:]], axis=1)
        else:
            over = overlap @ stacked
        measured = take_measures(problem.measures, stacked, over, lambda: square_root(overlap))
    return Solution(index, np.stack(energies), measured)


def _twice(matrix: NDArray) -> NDArray:
    """The matrix for spin up and again for spin down."""
    rows, columns = matrix.shape
    out = np.zeros((2 * rows, 2 * columns), matrix.dtype, order="F")
    out[:rows, :columns] = out[rows:, columns:] = matrix
    return out


class _Cholesky:
    """Reduction of the generalised problem by the Cholesky factor of S."""

    def __init__(self, overlap: NDArray, k: NDArray[np.float64], *, doubled: bool) -> None:
        potrf, pocon = get_lapack_funcs(("potrf", "pocon"), (overlap,))
        factor, info = potrf(overlap, lower=1, clean=1)
        if info == 0:
            norm = float(abs(overlap).sum(axis=0).max())
            rcond, _ = pocon(factor, norm, uplo="L")
            # 1 / |S^-1|_1 is a lower bound of the smallest eigenvalue: only below it ask for that
            if rcond * norm < OVERLAP_LIMIT:
                info = int(np.linalg.eigvalsh(overlap)[0] < OVERLAP_LIMIT)
        if info != 0:
            smallest = float(np.linalg.eigvalsh(overlap)[0])
            point = ", ".join(f"{x:.6g}" for x in k)
            raise SolverError(
                f"the overlap matrix has eigenvalue {smallest:.1e} at k = ({point}), below "
                f"{OVERLAP_LIMIT:.0e}: the basis is linearly dependent there; give "
                "overlap_floor=1e-4 to project such combinations out, or use a smaller basis"
            )
        self.factor = _twice(factor) if doubled else factor

    def reduce(self, hamiltonian: NDArray) -> NDArray:
        """L^-1 H L^-H; only the lower triangle is meant."""
        factor = self.factor.astype(np.result_type(self.factor, hamiltonian), copy=False)
        name = "hegst" if np.iscomplexobj(factor) else "sygst"
        (gst,) = get_lapack_funcs((name,), (factor,))
        reduced, info = gst(np.asarray(hamiltonian, factor.dtype, order="F"), factor, lower=1)
        if info != 0:
            raise SolverError(f"LAPACK {name} refused argument {-info}")
        return np.asarray(reduced)

    def expand(self, vectors: NDArray) -> NDArray:
        """L^-H c."""
        factor = self.factor.astype(np.result_type(self.factor, vectors), copy=False)
        (trtrs,) = get_lapack_funcs(("trtrs",), (factor,))
        out, info = trtrs(factor, vectors, lower=1, trans=2)
        if info != 0:
            raise SolverError("the Cholesky factor of S is singular")
        return np.asarray(out)


class _Projection:
    """Reduction on the eigenvectors of S above a floor."""

    def __init__(self, overlap: NDArray, floor: float, *, doubled: bool) -> None:
        s, u = np.linalg.eigh(overlap)
        kept = s >= floor
        basis = u[:, kept] / np.sqrt(s[kept])
        self.basis = _twice(basis) if doubled else basis

    def reduce(self, hamiltonian: NDArray) -> NDArray:
        """X^H H X."""
        return np.asarray(self.basis.conj().T @ hamiltonian @ self.basis)

    def expand(self, vectors: NDArray) -> NDArray:
        """X c."""
        return np.asarray(self.basis @ vectors)


def _standard(
    matrix: NDArray, n_bands: int | None, around: float | None, *, vectors: bool
) -> tuple[NDArray[np.float64], NDArray | None]:
    """States of a Hermitian matrix, of which the lower triangle is read."""
    n = len(matrix)
    if n_bands is not None and around is None and n > 500 and 4 * n_bands < n:
        # a few states of a large matrix: worth the interpreter lock that SciPy holds
        found = eigh(
            matrix,
            lower=True,
            eigvals_only=not vectors,
            subset_by_index=(0, n_bands - 1),
            check_finite=False,
            overwrite_a=True,
        )
        return (found[0], found[1]) if vectors else (found, None)
    if vectors:
        energies, states = np.linalg.eigh(matrix, UPLO="L")
    else:
        energies, states = np.linalg.eigvalsh(matrix, UPLO="L"), None
    if n_bands is not None:
        first = 0
        if around is not None:
            nearest = np.sort(np.argsort(abs(energies - around), kind="stable")[:n_bands])
            first = int(nearest[0])
        chosen = slice(first, first + n_bands)
        energies = energies[chosen]
        states = None if states is None else states[:, chosen]
    return energies, states
