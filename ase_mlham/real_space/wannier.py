"""What maximally localised Wannier functions are made from: M = <psi_mk| exp(-i b.r) |psi_nk'>.

N. Marzari and D. Vanderbilt, Phys. Rev. B 56, 12847 (1997), equation 25. The elements between
orbitals are those of `ase_mlham.integrals.plane_waves`, so that no grid enters; so are the
projections on trial functions, which are further orbitals to the integrals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gamma

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_mlham.core.basis import LETTERS, OrbitalBasis, Shell, SpeciesBasis
from ase_mlham.core.blocks import BlockMatrix
from ase_mlham.core.radial import GaussianRadial
from ase_mlham.core.spin import SpinKind
from ase_mlham.core.structure import MAX_ATOMIC_NUMBER, Structure
from ase_mlham.core.system import LCAOSystem, basis_pattern
from ase_mlham.errors import InputError
from ase_mlham.integrals import overlap
from ase_mlham.integrals.plane_waves import plane_wave

__all__ = ["TrialFunction", "localization_matrix", "step_elements", "trial_projections"]


def step_elements(system: LCAOSystem, step: ArrayLike) -> BlockMatrix:
    """Elements of a plane wave between orbitals, for a step between k-points.

    Parameters
    ----------
    system : LCAOSystem
        Its basis needs radial functions.
    step : (3,) float
        Fractions of the reciprocal lattice vectors.

    Returns
    -------
    BlockMatrix
        As `plane_wave` gives it, on all pairs that overlap.
    """
    structure = system.structure
    reciprocal = 2 * np.pi * np.linalg.inv(structure.full_cell).T
    pattern = system.overlap.pattern.union(system.pattern_from_basis())
    b = np.asarray(step, dtype=np.float64) @ reciprocal
    return plane_wave(structure, system.basis, b, pattern)


def localization_matrix(
    system: LCAOSystem,
    elements: BlockMatrix,
    k: ArrayLike,
    step: ArrayLike,
    bra: NDArray,
    ket: NDArray,
) -> NDArray[np.complex128]:
    """<psi_mk| exp(-i b.r) |psi_n,k+b> integrated over one cell.

    Parameters
    ----------
    system : LCAOSystem
        Whose states they are.
    elements : BlockMatrix
        From `step_elements` of the same step.
    k, step : (3,) float
        k-point of the bra, and b: fractions of the reciprocal lattice vectors.
    bra, ket : (n_bands, m) float or complex
        Coefficients of the states at k, and at k + b up to a reciprocal lattice vector.

    Returns
    -------
    (n_bands, n_bands) complex

    Notes
    -----
    About the middle of each pair cosine and sine are Hermitian matrices, whose Bloch sums are taken
    half way, at k + b/2: exp(-i b.R/2) of the middle belongs to the phase of the ket.
    """
    k, step = np.asarray(k, dtype=np.float64), np.asarray(step, dtype=np.float64)
    cosine, sine = elements.at_k(k + step / 2)
    structure, pattern = system.structure, elements.pattern
    reciprocal = 2 * np.pi * np.linalg.inv(structure.full_cell).T
    sizes = pattern.sizes[pattern.species]
    phase = np.repeat(np.exp(-0.5j * (structure.positions @ (step @ reciprocal))), sizes)
    between = phase[:, None] * (cosine - 1j * sine) * phase
    if system.spin is not SpinKind.SPINOR:
        return np.asarray(bra.conj() @ between @ ket.T)
    n = len(between)
    parts = (slice(0, n), slice(n, 2 * n))
    return np.asarray(sum(bra[:, p].conj() @ between @ ket[:, p].T for p in parts))


@dataclass(frozen=True)
class TrialFunction:
    """Gaussians r^l exp(-r^2 / 2 w^2) Y_lm, all m, from which Wannier functions start.

    Parameters
    ----------
    position : (3,) float
        Å.
    l : int
        Angular momentum.
    width : float
        w in Å.
    """

    position: tuple[float, float, float]
    l: int
    width: float

    def __post_init__(self) -> None:
        if not 0 <= self.l < len(LETTERS) or not self.width > 0:
            raise InputError(
                f"a trial function with l = {self.l} and width {self.width} Å; l must be 0 to "
                f"{len(LETTERS) - 1} and the width positive"
            )

    def shell(self) -> Shell:
        """The normalised radial function; its end is where the weight has fallen to 1e-12."""
        a = 0.5 / self.width**2
        norm = np.sqrt(2 * (2 * a) ** (self.l + 1.5) / gamma(self.l + 1.5))
        cutoff = self.width * (5.5 + self.l)
        return Shell(self.l, cutoff, GaussianRadial(self.l, [a], [norm], cutoff))  # type: ignore[arg-type]


def trial_projections(
    system: LCAOSystem,
    kpts: ArrayLike,
    vectors: Sequence[NDArray],
    functions: Sequence[TrialFunction],
) -> list[NDArray[np.complex128]]:
    """<psi_nk|f> of states with trial functions in the home cell.

    Parameters
    ----------
    system : LCAOSystem
        Whose states they are; not spinors.
    kpts : (n_k, 3) float
        Fractions of the reciprocal lattice vectors.
    vectors : sequence of (n_bands, m) arrays
        Coefficients at each k.
    functions : sequence of TrialFunction
        Each gives 2 l + 1 columns.

    Returns
    -------
    list of (n_bands, n_functions) complex

    Raises
    ------
    InputError
        The states are spinors, or the elements of the structure leave no room.
    """
    if system.spin is SpinKind.SPINOR:
        raise InputError(
            "trial functions have no spin, and these states are spinors: start Wannier functions "
            "from 'bloch' or 'random'"
        )
    structure = system.structure
    kinds = sorted({(f.l, f.width) for f in functions})
    taken = set(system.basis.numbers.tolist())
    free = [z for z in range(MAX_ATOMIC_NUMBER, 0, -1) if z not in taken][: len(kinds)]
    if len(free) < len(kinds):
        raise InputError(f"{len(kinds)} kinds of trial functions are more than can be told apart")
    number = dict(zip(kinds, free, strict=True))
    species = [SpeciesBasis(number[f.l, f.width], (f.shell(),), 0.0) for f in _one_each(functions)]
    basis = OrbitalBasis((*system.basis.species, *species))
    everything = Structure(
        np.concatenate([structure.numbers, [number[f.l, f.width] for f in functions]]),
        np.concatenate([structure.positions, [f.position for f in functions]]),
        structure.cell,
        structure.pbc,
    )
    S = overlap(everything, basis, basis_pattern(everything, basis))
    # species are sorted by number, atoms are not: orbitals come first whatever the numbers
    n = system.n_orbitals
    return [
        np.asarray(states.conj() @ S.at_k(k)[0, :n, n:])
        for k, states in zip(np.asarray(kpts, dtype=np.float64), vectors, strict=True)
    ]


def _one_each(functions: Sequence[TrialFunction]) -> list[TrialFunction]:
    """One function of each kind."""
    return list({(f.l, f.width): f for f in functions}.values())
