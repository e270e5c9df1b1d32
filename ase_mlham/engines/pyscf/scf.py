"""The self-consistency cycle, with every lattice sum done on matrices X[R, i, j].

Commutator DIIS (Pulay 1982), to whose error occupations are added, works on H(k) in the
orthonormal basis of each k-point. After the first iteration only the changes of D and V go through
quadrature: being small, they may be single precision and leave out more pairs, which makes late
iterations several times cheaper.

Spin is the leading axis of densities, potentials and of H: one channel whose levels hold two
electrons, or up and down. What has no spin (T, S, V_nl, the orthonormal basis) lacks the axis.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ase_mlham.engines.pyscf.cell import Box
from ase_mlham.engines.pyscf.grid import Quadrature, block_diameter, fft_mesh
from ase_mlham.engines.pyscf.images import Images
from ase_mlham.engines.pyscf.kpoints import (
    occupations,
    shared_level,
    time_reversal_mesh,
)
from ase_mlham.engines.pyscf.lattice_sums import kinetic_and_overlap, nonlocal_potential
from ase_mlham.engines.pyscf.potential import LocalPotential
from ase_mlham.errors import ConvergenceError, EngineError
from ase_mlham.units import CODATA_2018

__all__ = ["SelfConsistency", "Tolerances"]

_log = logging.getLogger(__name__)

SINGULAR = 1e-6
"""Smallest eigenvalue of S(k) below which neglected tails may let the energy collapse."""

_HISTORY = 8

_FRACTIONAL = 1e-3
"""Levels with f (1 - f) above this change their occupation in the cycle."""


@dataclass(frozen=True)
class Tolerances:
    """When the cycle ends; hartree, energy for the whole cell."""

    energy: float
    commutator: float
    iterations: int


@dataclass
class SelfConsistency:
    """A calculation: made by `start`, carried out by `run`.

    Parameters
    ----------
    box : Box
        The crystal.
    xc : str
        "pbe" or "lda".
    kmesh : (3,) int
        Gamma-centred.
    ecut_ry : float
        Of the grid.
    sigma : float
        Fermi-Dirac width, hartree.
    eps_ao, eps_pair : float
        As in the settings.
    electrons : (n_levels,) float
        Of all channels, or of up and down where the total moment is fixed.
    moments : (n_atoms,) float, optional
        Initial magnetic moments; with them there are two channels.

    Attributes
    ----------
    T, S, V_nl : (n_R, n, n) float
        Kinetic, overlap and non-local matrices, hartree.
    H_start, H, D : (n_channels, n_R, n, n) float
        Superposition and converged matrices, hartree, and the density matrix.
    energy : float
        Free energy (with -T S) in hartree.
    levels : (n_levels,) float
        Fermi level, or those of up and down, hartree.
    shared_level : float or None
        Fermi level of all channels, None if the fixed moment does not go with one.
    iterations : int
    smallest_overlap : float
        Smallest eigenvalue of S(k) on the mesh.
    commutator, change : float
        Largest element of the commutator, with what is added for occupations, and |dE|, in the
        last iteration; hartree.
    seconds : dict
        CPU time of the parts.
    """

    box: Box
    xc: str
    kmesh: tuple[int, int, int]
    ecut_ry: float
    sigma: float
    eps_ao: float
    eps_pair: float
    electrons: NDArray[np.float64]
    moments: NDArray[np.float64] | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def start(self) -> SelfConsistency:
        """Integrals, grid and start potential; nothing self-consistent yet."""
        begin = time.process_time()
        self.images = Images(self.box, self.eps_ao, block_diameter(self.box))
        self.T, self.S = kinetic_and_overlap(self.images)
        self.V_nl = nonlocal_potential(self.images)
        self._half = 0.5 * (self.T + self.V_nl)  # each pair once: H = X + X^H
        self.seconds["integrals"] = time.process_time() - begin
        begin = time.process_time()
        self.mesh = fft_mesh(self.box, self.ecut_ry)
        self.quadrature = Quadrature(self.images, self.mesh, self.eps_pair)
        self.seconds["orbitals on the grid"] = time.process_time() - begin
        begin = time.process_time()
        self.potential = LocalPotential(self.box, self.mesh, self.xc, self.moments)
        self.seconds["ions"] = time.process_time() - begin
        begin = time.process_time()
        self.k, self.weights = time_reversal_mesh(self.kmesh)
        R = self.images.lattice_box.R
        self._phase = np.exp(2j * np.pi * self.k @ R.T)
        self._orthonormalise()
        self.seconds["overlap"] = time.process_time() - begin
        return self

    # ---------------------------------------------------------------- R space and k space
    def _to_k(self, half: NDArray[np.float64]) -> NDArray[np.complex128]:
        """(X + X^H)(k) of a matrix (..., n_R, n, n) that holds each pair once, (..., n_k, n, n)."""
        *channels, n_R, n, _ = half.shape
        flat = half.reshape(*channels, n_R, n * n)
        out = np.empty((*channels, len(self.k), n * n), dtype=complex)
        out.real = self._phase.real @ flat
        out.imag = self._phase.imag @ flat
        out = out.reshape(*channels, -1, n, n)
        return out + out.conj().swapaxes(-1, -2)

    def _from_k(self, P: NDArray[np.complex128]) -> NDArray[np.float64]:
        """Density matrices D_ij(R) from sum_n f c_i^* c_j at each k, weights applied."""
        flat = P.reshape(*P.shape[:2], -1)
        phase = self._phase.T * self.weights
        D = phase.real @ flat.real - phase.imag @ flat.imag
        return D.reshape(-1, *self.images.lattice_box.shape)

    def _full(self, half: NDArray[np.float64]) -> NDArray[np.float64]:
        return half + half[:, ::-1].swapaxes(-1, -2)

    def _orthonormalise(self) -> None:
        """X(k) with X^H S X = 1."""
        s, u = np.linalg.eigh(self._to_k(0.5 * self.S))
        worst = np.unravel_index(np.argmin(s), s.shape)[0]
        self.smallest_overlap = float(s.min())
        if self.smallest_overlap < SINGULAR:
            where = ", ".join(f"{x:.4g}" for x in self.k[worst])
            raise EngineError(
                f"the overlap has eigenvalue {self.smallest_overlap:.1e} at k = ({where}); below "
                f"{SINGULAR:.0e} the result is not to be trusted: use a basis with less diffuse "
                "functions (basis='gth-dzvp-molopt-sr' or 'short-range'), and check that no two "
                "atoms are too close"
            )
        self._X = u / np.sqrt(s)[:, None, :]

    # ---------------------------------------------------------------- the cycle
    def run(self, tolerances: Tolerances) -> SelfConsistency:
        """Iterate to convergence.

        Raises
        ------
        ConvergenceError
            Tolerances were not met; its `reached` says how far it came.
        """
        begin = time.process_time()
        V, _ = self.potential(self.potential.start_density)
        channels = len(V)
        matrix = np.repeat(self._half[None], channels, axis=0)
        self.quadrature.add_potential(matrix, V)
        self.H_start = self._full(matrix)
        F = self._reduce(matrix)
        D = rho = np.zeros(0)
        focks: list[NDArray] = []
        errors: list[NDArray] = []
        self.energy = np.inf
        for iteration in range(1, tolerances.iterations + 1):
            occupied, entropy = self._occupy(F)
            orbitals = self._X @ occupied
            P = (2 / channels) * orbitals.conj() @ orbitals.swapaxes(-1, -2)
            before, D = D, self._from_k(P)
            if iteration == 1:
                rho = self.quadrature.density(D)
                self.quadrature.to_single()
            else:
                step = D - before
                rho = rho + self.quadrature.density(step, _relaxed(D, step))
            before, (V, local) = V, self.potential(rho)
            step = V - before
            self.quadrature.add_potential(matrix, step, _relaxed(V, step))
            F = self._reduce(matrix)
            error = self._error(F, occupied)
            last, self.energy = self.energy, self._energy(D, sum(local) + entropy)
            self.commutator, self.change = float(abs(error).max()), abs(self.energy - last)
            self.iterations = iteration
            _log.debug(
                "iteration %d: E = %.9f Ha, dE = %.1e Ha, commutator %.1e Ha",
                iteration,
                self.energy,
                self.change,
                self.commutator,
            )
            if self.commutator < tolerances.commutator and self.change < tolerances.energy:
                break
            weighted = error * np.sqrt(self.weights)[:, None, None]
            if errors and last - self.energy > tolerances.energy:
                # downhill with a growing error: past a saddle, where the history leads back to it
                keep = 0 if np.linalg.norm(weighted) > np.linalg.norm(errors[-1]) else _HISTORY
                focks, errors = focks[:keep], errors[:keep]
            focks = [*focks, F][-_HISTORY:]
            errors = [*errors, weighted][-_HISTORY:]
            F = sum(w * f for w, f in zip(_diis(errors), focks, strict=True))
        else:
            self._complain(tolerances)
        self.H, self.D = self._full(matrix), D
        self.electrons_on_grid = float(rho.sum() * self.quadrature.element)
        self.seconds["cycle"] = time.process_time() - begin
        return self

    def _occupy(self, F: NDArray[np.complex128]) -> tuple[NDArray[np.complex128], float]:
        """Occupied eigenvectors times the root of their occupation, and -T S."""
        e, c = np.linalg.eigh(F)
        f, self.levels, entropy = occupations(e, self.weights, self.electrons, self.sigma)
        self._states = e, c, f
        self.shared_level: float | None = float(self.levels[0])
        if len(self.levels) > 1:
            self.shared_level = shared_level(e, self.weights, self.electrons, self.sigma)
        n = int(np.flatnonzero((f > 1e-13).any(axis=(0, 1))).max()) + 1
        return c[..., :n] * np.sqrt(f[..., None, :n]), entropy

    def _error(
        self, F: NDArray[np.complex128], occupied: NDArray[np.complex128]
    ) -> NDArray[np.complex128]:
        """What a new F has against the states that it was made from, zero at self-consistency.

        The commutator with the density matrix, and, to first order, the change of occupations. The
        commutator alone is blind to electrons that change levels or spin without turning a state.
        """
        product = (F @ occupied) @ occupied.conj().swapaxes(-1, -2)
        error = product - product.conj().swapaxes(-1, -2)
        e, c, f = self._states
        fractional = np.flatnonzero((f * (1 - f) > _FRACTIONAL).any(axis=(0, 1)))
        if not len(fractional):
            return error
        some = slice(fractional[0], fractional[-1] + 1)
        e, c, f = e[..., some], c[..., some], f[..., some]
        adjoint = c.conj().swapaxes(-1, -2)
        change = adjoint @ F @ c
        step = np.einsum("ckbb->ckb", change).real - e
        # -sigma df/de; levels move together with the Fermi level that they share
        softness = f * (1 - f)
        weight = (self.weights[:, None] * softness).reshape(len(self.levels), -1)
        shift = np.sum(weight * step.reshape(weight.shape), axis=1)
        shift /= np.maximum(weight.sum(axis=1), 1e-300)  # a full channel has no soft levels
        shift = np.repeat(shift, len(f) // len(shift))[:, None, None]
        np.einsum("ckbb->ckb", change)[:] -= e + shift
        apart = e[..., :, None] - e[..., None, :]
        near = abs(apart) < 1e-3 * self.sigma
        slope = (f[..., None, :] - f[..., :, None]) * self.sigma / np.where(near, 1.0, apart)
        slope = np.where(near, softness[..., None], slope)
        return error + c @ (4 * slope * change) @ adjoint

    def _energy(self, D: NDArray[np.float64], others: float) -> float:
        """Free energy from the density matrix, hartree."""
        return 2 * float(np.vdot(D.sum(axis=0), self._half)) + others + self.potential.ion_energy

    def _complain(self, tolerances: Tolerances) -> None:
        raise ConvergenceError(
            f"not converged after {self.iterations} iterations: the energy changes by "
            f"{self.change:.1e} Ha (wanted {tolerances.energy:.1e}), the commutator is "
            f"{self.commutator:.1e} Ha (wanted {tolerances.commutator:.1e}); raise "
            "max_iterations, use more k-points or a larger smearing",
            {
                "iterations": self.iterations,
                "free_energy": self.energy * CODATA_2018.hartree,
                "energy_change": self.change * CODATA_2018.hartree,
                "commutator": self.commutator * CODATA_2018.hartree,
            },
        )

    def _reduce(self, half: NDArray[np.float64]) -> NDArray[np.complex128]:
        """H(k) in the orthonormal basis."""
        return self._X.conj().swapaxes(-1, -2) @ self._to_k(half) @ self._X


def _relaxed(whole: NDArray, step: NDArray) -> float:
    """How much coarser the pair threshold may be for a change than for the whole."""
    largest = float(abs(step).max())
    return max(1.0, 0.03 * float(abs(whole).max()) / max(largest, 1e-300))


def _diis(errors: list[NDArray]) -> NDArray:
    """Weights that minimise the combined error, summing to one."""
    n = len(errors)
    B = np.zeros((n + 1, n + 1))
    B[-1, :n] = B[:n, -1] = -1.0
    for a in range(n):
        for b in range(a + 1):
            B[a, b] = B[b, a] = np.vdot(errors[a], errors[b]).real
    B[:n, :n] /= max(B[n - 1, n - 1], 1e-300)
    right = np.zeros(n + 1)
    right[-1] = -1.0
    weights: NDArray = np.linalg.lstsq(B, right, rcond=1e-14)[0][:n]
    return weights
