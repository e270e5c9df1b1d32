"""Conformance of an eigensolver: what bands, densities and gaps rely on.

    from ase_mlham.testing.solvers import check_solver
    check_solver("my-solver")

The checks raise `AssertionError` with what was asked and what came back.
"""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ase_mlham.core.spin import spin_blocks
from ase_mlham.core.system import LCAOSystem
from ase_mlham.electronic.solvers.problem import Eigenproblem, Solution
from ase_mlham.errors import SolverError
from ase_mlham.hooks import find, load
from ase_mlham.testing.strategies import k_points, systems

__all__ = ["check_solver"]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def _vectors(vectors: NDArray, overlap_vectors: NDArray) -> NDArray:
    return np.concatenate([vectors, overlap_vectors], axis=1).swapaxes(1, 2)


def check_solver(
    name: str, *, window: bool = False, tolerance: float = 1e-8, max_examples: int = 15
) -> None:
    """Check a registered solver on small systems of all spin kinds.

    Parameters
    ----------
    name : str
        As users ask for it.
    window : bool
        It gives states around an energy only (`around` and `n_bands`), not the lowest.
    tolerance : float
        Relative error that its energies may have; residuals may have its square root.
    max_examples : int
        Systems to draw.

    Raises
    ------
    AssertionError
        A k-point is missing or doubled, a state does not solve the problem or is missing, vectors
        are not orthonormal in S, measures do not have their shape, or bands are not ascending.
    """
    solve = load(find("solver", name, SolverError).solve)

    @settings(
        max_examples=max_examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        system = data.draw(systems(max_atoms=3))
        kpts = np.array(data.draw(st.lists(k_points(system.structure.pbc), min_size=1, max_size=3)))
        expected = [_dense(system, k) for k in kpts]
        size = expected[0].shape[1]
        n_bands, around = None, None
        if window:
            assume(size >= 8)
            n_bands, around = 3, float(np.median(expected[0])) + 0.0123
        problem = Eigenproblem(
            system, kpts, n_bands=n_bands, around=around, measures={"vectors": _vectors}
        )
        solutions: list[Solution] = list(solve(problem))
        indices = sorted(one.index for one in solutions)
        _require(
            indices == list(range(len(kpts))),
            f"{name}: {len(kpts)} k-points were asked for, {indices} came back",
        )
        for one in solutions:
            _check_states(name, system, kpts[one.index], one, expected[one.index], tolerance)
            if not window:
                _require(
                    one.energies.shape == expected[one.index].shape,
                    f"{name}: energies of shape {one.energies.shape} where there are "
                    f"{expected[one.index].shape}",
                )

    run()


def _dense(system: LCAOSystem, k: NDArray[np.float64]) -> NDArray[np.float64]:
    """All energies, (n_channels, m), by inversion of the root of S."""
    hamiltonian, overlap = _matrices(system, k)
    s, u = np.linalg.eigh(overlap)
    root = (u / np.sqrt(s)) @ u.conj().T
    return np.linalg.eigvalsh(root @ hamiltonian @ root)


def _matrices(system: LCAOSystem, k: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
    hamiltonian = spin_blocks(system.hamiltonian.at_k(k), system.spin)
    overlap = system.overlap.at_k(k)[0]
    return hamiltonian, np.kron(np.eye(hamiltonian.shape[1] // len(overlap)), overlap)


def _check_states(
    name: str,
    system: LCAOSystem,
    k: NDArray[np.float64],
    solution: Solution,
    expected: NDArray[np.float64],
    tolerance: float,
) -> None:
    scale = max(1.0, float(abs(expected).max()))
    hamiltonian, overlap = _matrices(system, k)
    n = overlap.shape[0]
    measured = solution.measured["vectors"]
    shape = (*solution.energies.shape, 2 * n)
    _require(
        measured.shape == shape,
        f"{name}: a measure that gives {2 * n} numbers a state came back as {measured.shape}, "
        f"expected {shape}",
    )
    for h, energies, both, exact in zip(
        hamiltonian, solution.energies, measured, expected, strict=True
    ):
        where = f"{name}, {system.spin.value} system at k = {tuple(float(x) for x in k)}"
        _require(bool(np.all(np.diff(energies) >= -tolerance)), f"{where}: bands not ascending")
        error = abs(energies[:, None] - exact).min(axis=1).max()
        _require(error <= tolerance * scale, f"{where}: an energy is wrong by {error:.1e} eV")
        if len(energies) == len(exact):
            error = abs(energies - exact).max()
            _require(error <= tolerance * scale, f"{where}: a state is missing")
        c, over = both[:, :n].T, both[:, n:].T
        loose = float(np.sqrt(tolerance))
        _require(bool(np.allclose(over, overlap @ c, atol=loose)), f"{where}: S C is not S times C")
        _require(
            bool(np.allclose(c.conj().T @ over, np.eye(c.shape[1]), atol=loose)),
            f"{where}: vectors are not orthonormal in S",
        )
        residual = abs(h @ c - over * energies).max()
        _require(residual <= loose * scale, f"{where}: residual {residual:.1e} eV")
