"""States around an energy of a large system: shift-invert Lanczos on sparse matrices.

(H - E S)^-1 S has its largest eigenvalues where those of the problem are nearest to E. It is
factored once for each k by SuperLU, which comes with SciPy; ARPACK then needs a few hundred
solves. In bulk silicon at Gamma 40 states of 1,664 orbitals take 3.6 s, where dense algebra gives
the energies of all in 1.0 s: the two meet near 3,000 orbitals, and beyond them, or where vectors
are wanted, this one is for windows.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse import csr_array
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh, splu

from ase_mlham.electronic.assembly import Assembly
from ase_mlham.electronic.solvers.cost import sparse_cost, tell, threads_that_fit
from ase_mlham.electronic.solvers.problem import (
    Eigenproblem,
    Solution,
    square_root,
    take_measures,
)
from ase_mlham.electronic.sparse_assembly import SparseAssembly, full_matrix
from ase_mlham.errors import InputError, SolverError

__all__ = ["solve"]

TOLERANCE = 1e-10
"""Of ARPACK, relative to the inverted eigenvalues: micro-eV at the edge of a window of some eV."""


def solve(problem: Eigenproblem) -> Iterator[Solution]:
    """The `n_bands` states nearest to `around` at each k; see `ase_mlham.electronic.solvers`.

    Raises
    ------
    InputError
        `around` or `n_bands` is missing, or `overlap_floor` is asked for.
    SolverError
        The factorisation does not fit in memory, or Lanczos did not converge.
    """
    if problem.around is None or problem.n_bands is None:
        raise InputError(
            "the sparse solver finds states around an energy: give around= (eV) and n_bands=, or "
            "use solver='dense'"
        )
    if problem.overlap_floor is not None:
        raise InputError("overlap_floor needs solver='dense'")
    assembly = SparseAssembly(problem.system)
    if not 1 <= problem.n_bands < assembly.size - 1:
        raise InputError(
            f"{problem.n_bands} states asked of {assembly.size} orbitals; the sparse solver gives "
            f"at most {assembly.size - 2}"
        )
    cost = sparse_cost(assembly.size, len(problem.kpts), problem.n_bands)
    threads_that_fit(cost)
    tell(cost, 1)
    for index, k in enumerate(problem.kpts):
        yield _solve_one(problem, assembly, index, k)


def _solve_one(
    problem: Eigenproblem, assembly: SparseAssembly, index: int, k: NDArray[np.float64]
) -> Solution:
    hamiltonians, upper = assembly.at(k)
    overlap = full_matrix(upper)
    energies, vectors = [], []
    for hamiltonian in hamiltonians:
        e, c = _window(full_matrix(hamiltonian), overlap, problem, k)
        energies.append(e)
        vectors.append(c)
    measured: dict[str, NDArray] = {}
    if problem.measures:
        over = np.stack([overlap @ c for c in vectors])[:, assembly.order]
        stacked = np.stack(vectors)[:, assembly.order]

        def root() -> NDArray:
            # of a dense matrix: the factors of H - E S are nearly as large
            return square_root(Assembly.of(problem.system).overlap.at(k[None])[0, 0])

        measured = take_measures(problem.measures, stacked, over, root)
    return Solution(index, np.stack(energies), measured)


def _window(
    hamiltonian: csr_array, overlap: csr_array, problem: Eigenproblem, k: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray]:
    """States nearest to the energy asked for, orthonormal in S."""
    n = hamiltonian.shape[0]
    shifted = (hamiltonian - problem.around * overlap).tocsc()
    start = np.random.default_rng(n).standard_normal(n)
    point = ", ".join(f"{x:.6g}" for x in k)
    try:
        factor = splu(shifted, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
        inverse = LinearOperator((n, n), matvec=factor.solve, dtype=shifted.dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            energies, vectors = eigsh(
                hamiltonian,
                k=problem.n_bands,
                M=overlap,
                sigma=problem.around,
                OPinv=inverse,
                v0=start.astype(shifted.dtype),
                tol=TOLERANCE,
            )
    except (ArpackError, RuntimeError, RuntimeWarning) as error:
        raise SolverError(
            f"states around {problem.around} eV at k = ({point}) were not found ({error}); move "
            "`around` by a few hundredths of an eV, ask for fewer states, or use solver='dense'"
        ) from error
    order = np.argsort(energies)
    energies, vectors = np.asarray(energies)[order].real, np.asarray(vectors)[:, order]
    # one Rayleigh-Ritz step makes the states orthonormal in S and their energies exact to 2nd order
    small_h = vectors.conj().T @ (hamiltonian @ vectors)
    small_s = vectors.conj().T @ (overlap @ vectors)
    energies, turn = eigh((small_h + small_h.conj().T) / 2, (small_s + small_s.conj().T) / 2)
    return energies, vectors @ turn
