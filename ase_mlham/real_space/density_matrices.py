"""Density matrix P(R) of a system, on the pattern of all pairs of orbitals that overlap.

P[i, j, R] = sum_nk w_k f_nk c_i c_j* exp(-2 pi i k.R), so that N = Tr(P S) and the density at a
point is sum_ijR P[i, j, R] phi_i(r) phi_j(r - R). Spin is carried by the components n, m_x, m_y,
m_z of which a system has one, two or four: with them Tr(P H) is the sum over all components, H in
its Pauli components.

Vectors of a mesh are large and P is not: where they do not fit, energies are found first, and the
vectors once more for as many k-points at a time as there is room for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.blocks import BlockMatrix
from ase_mlham.core.spin import SpinKind
from ase_mlham.core.system import LCAOSystem
from ase_mlham.electronic.fermi import (
    DEFAULT_SMEARING,
    Occupation,
    fermi_filling,
    fermi_level_of_states,
    mesh_of,
)
from ase_mlham.electronic.kpoints import KPoints, has_time_reversal
from ase_mlham.electronic.states import EigenStates, eigenstates
from ase_mlham.errors import InputError

__all__ = ["DensityMatrix", "density_matrix", "energy_density_matrix", "weighted_density_matrix"]

KEPT_VECTORS = 400e6
"""Bytes of eigenvectors that are kept at the same time."""

EDGE = 0.01
"""eV around an end of a window over which the share of a state goes from none to all.

States that symmetry makes equal differ by what a DFT code's grid leaves (graphene at K: 0.7 meV).
If an end of the window, such as the Fermi level, lies between them, a sharp one counts one state of
the pair, and the picture loses the symmetry of the crystal."""

EMPTY = 1e-10
"""Weight below which a state is left out."""

Weights = Callable[[EigenStates], NDArray[np.float64]]


@final
@dataclass(frozen=True, eq=False)
class DensityMatrix:
    """Occupied states of a system as a matrix between orbitals.

    Attributes
    ----------
    matrix : BlockMatrix
        Components n; n, m_z; or n, m_x, m_y, m_z. Real, but for spinors.
    trace : (n_components,) float
        Tr(P S) of each component: electrons, and moments in Bohr magnetons.
    fermi_level : float
        eV.
    warnings : tuple of str
        What the system has to say against its numbers.
    """

    matrix: BlockMatrix
    trace: NDArray[np.float64]
    fermi_level: float
    warnings: tuple[str, ...] = ()

    @property
    def n_electrons(self) -> float:
        """Electrons in the states, Tr(P S)."""
        return float(self.trace[0])


def density_matrix(
    system: LCAOSystem,
    kpts: Any = None,
    smearing: float | None = None,
    method: Occupation | str | None = None,
    *,
    overlap_floor: float | None = None,
    solver: str | None = None,
) -> DensityMatrix:
    """Density matrix of the occupied states.

    Parameters
    ----------
    system : LCAOSystem
        Any.
    kpts : as for `k_points`
        A mesh; by default Gamma-centred with 5 points per Å^-1.
    smearing : float, optional
        Width in eV. An insulator needs none; a metal is smeared by 0.1 eV if nothing is given.
    method : {"fermi-dirac", "gaussian"}, optional
        "fermi-dirac" by default.
    overlap_floor, solver
        As for `eigenstates`.
    """
    level: list[float] = []

    def filling(states: EigenStates) -> NDArray[np.float64]:
        found, occupied = fermi_filling(states, smearing, method)
        level[:] = [found]
        return occupied

    matrix = weighted_density_matrix(
        system, filling, kpts, overlap_floor=overlap_floor, solver=solver, occupied_only=True
    )
    return DensityMatrix(matrix, _trace(system, matrix), level[0], system.warnings)


def energy_density_matrix(
    system: LCAOSystem,
    window: tuple[float, float] | float,
    kpts: Any = None,
    *,
    width: float | None = None,
    smearing: float | None = None,
    method: Occupation | str | None = None,
    overlap_floor: float | None = None,
    solver: str | None = None,
) -> DensityMatrix:
    """Density matrix of the states at some energies, whether occupied or not.

    Parameters
    ----------
    system : LCAOSystem
        Any.
    window : (2,) float or float
        Lowest and highest energy, eV from the Fermi level: each state in it counts fully, and one
        right at an end half, see `EDGE`. Or one energy, with `width`: then a state counts by a
        Gaussian, and the result is per eV.
    kpts, overlap_floor, solver
        As for `density_matrix`.
    width : float, optional
        Standard deviation of the Gaussian, eV; 0.1 eV for one energy if not given.
    smearing, method
        For the Fermi level, as for `fermi_level`.

    Raises
    ------
    InputError
        The window is empty, a width is not positive, or given with a window.
    """
    single = isinstance(window, int | float | np.integer | np.floating)
    low, high = _window((window, window) if single else window, empty=single)
    if width is not None and (not single or not width > 0):
        raise InputError(
            f"a width of {width} eV: it must be positive, and belongs to a single energy; a window "
            "has ends of its own"
        )
    sigma = DEFAULT_SMEARING if width is None else float(width)
    edge = min(EDGE, (high - low) / 4)
    level: list[float] = []

    def weights(states: EigenStates) -> NDArray[np.float64]:
        level[:] = [fermi_level_of_states(states, smearing, method)]
        energies = states.energies - level[0]
        if single:
            x = (energies - low) / sigma
            return np.asarray(np.exp(-0.5 * x * x) / (sigma * np.sqrt(2 * np.pi)))
        return _share(energies - low, edge) * _share(high - energies, edge)

    matrix = weighted_density_matrix(
        system, weights, kpts, overlap_floor=overlap_floor, solver=solver
    )
    return DensityMatrix(matrix, _trace(system, matrix), level[0], system.warnings)


def _share(inside: NDArray[np.float64], edge: float) -> NDArray[np.float64]:
    """How much of a state counts that lies so far inside the end of a window, eV."""
    return np.asarray(np.clip(0.5 + inside / (2 * edge), 0.0, 1.0))


def _window(window: Any, *, empty: bool = False) -> tuple[float, float]:
    try:
        low, high = (float(x) for x in window)
    except (TypeError, ValueError):
        raise InputError(
            f"an energy window {window!r}; give the lowest and the highest energy in eV, or one"
        ) from None
    if not (low < high or empty):
        raise InputError(f"an energy window from {low} to {high} eV; the first must be the lower")
    return low, high


def weighted_density_matrix(
    system: LCAOSystem,
    weights: Weights,
    kpts: Any = None,
    *,
    overlap_floor: float | None = None,
    solver: str | None = None,
    occupied_only: bool = False,
) -> BlockMatrix:
    """Density matrix of states with any weights.

    Parameters
    ----------
    system : LCAOSystem
        Any.
    weights : callable
        From `EigenStates` of all k-points: (n_spin, n_k, n_bands) factors, 0 to 1 for occupations;
        the two electrons of a state without spin are counted here.
    kpts, overlap_floor, solver
        As for `density_matrix`.
    occupied_only : bool
        States well above the Fermi level have no weight, so that the lowest suffice to begin with.
    """
    options: dict[str, Any] = {"overlap_floor": overlap_floor, "solver": solver}
    # moments at k and -k are opposite: neither stands for the other
    points = mesh_of(system, kpts, reduce=system.spin is not SpinKind.SPINOR)
    size = system.n_orbitals * (2 if system.spin is SpinKind.SPINOR else 1)
    sum_ = _Accumulator(system)
    bands = _enough_bands(system, size) if occupied_only else None
    per_band = 16.0 * size * system.spin.n_channels
    if per_band * (bands or size) * len(points) <= KEPT_VECTORS:
        states = eigenstates(system, points, n_bands=bands, vectors=True, **options)
        factors = weights(states)
        if bands is None or factors[..., -1].max() <= EMPTY:
            _add(sum_, states, factors)
            return sum_.matrix()
    states = eigenstates(system, points, **options)
    factors = weights(states)
    used = np.flatnonzero((factors > EMPTY).any(axis=(0, 1)))
    if not len(used):
        return sum_.matrix()
    bands = int(used[-1]) + 1
    step = max(1, int(KEPT_VECTORS / (per_band * bands)))
    for start in range(0, len(points), step):
        here = slice(start, start + step)
        chunk = KPoints(points.kpts[here], points.weights[here])
        part = eigenstates(system, chunk, n_bands=bands, vectors=True, **options)
        _add(sum_, part, factors[:, here, :bands])
    return sum_.matrix()


def _enough_bands(system: LCAOSystem, size: int) -> int | None:
    """Bands that surely hold all electrons of a large system without moments; None for all."""
    if system.spin is SpinKind.COLLINEAR:
        return None
    filled = system.n_electrons / system.spin.electrons_per_state
    bands = int(np.ceil(1.05 * filled)) + 8
    # only then does the dense solver gain
    return bands if size > 500 and 4 * bands < size else None


def _add(sum_: _Accumulator, states: EigenStates, factors: NDArray[np.float64]) -> None:
    vectors = states.measured["vectors"]
    for index, (k, weight) in enumerate(zip(states.kpts, states.weights, strict=True)):
        sum_.add(k, vectors[:, index], weight * states.degeneracy * factors[:, index])


class _Accumulator:
    """Sum over k-points of c c^H exp(-ikR) on a pattern.

    Parameters
    ----------
    system : LCAOSystem
        For the pattern: all blocks of S, and all pairs of atoms whose orbitals touch.
    """

    def __init__(self, system: LCAOSystem) -> None:
        self.pattern = system.overlap.pattern.union(system.pattern_from_basis())
        self.spin = system.spin
        # with time reversal k and -k add up to the real part, whether both are given or one
        self.real = self.spin is not SpinKind.SPINOR and has_time_reversal(system)
        dtype = np.float64 if self.real else np.complex128
        n = self.spin.n_components
        self.values = [
            np.zeros((n, g.n_blocks, *self.pattern.block_shape(g)), dtype)
            for g in self.pattern.groups
        ]

    def add(self, k: NDArray[np.float64], vectors: NDArray, factors: NDArray[np.float64]) -> None:
        """Add the states of one k-point: vectors (n_channels, n_bands, m), factors without m."""
        components = self._components(vectors, factors)
        p = self.pattern
        twice = 2 * k
        phase: NDArray = np.exp(-2j * np.pi * (p.R @ k))
        if not np.iscomplexobj(components) and not np.any(abs(twice - np.round(twice)) > 1e-12):
            phase = np.round(phase.real)
        for group, out in zip(p.groups, self.values, strict=True):
            n_a, n_b = p.block_shape(group)
            # portions keep the gathered copy small
            for start in range(group.start, group.stop, 4096):
                part = slice(start, min(start + 4096, group.stop))
                rows = p.offsets[p.i[part]][:, None, None] + np.arange(n_a)[:, None]
                columns = p.offsets[p.j[part]][:, None, None] + np.arange(n_b)
                blocks = components[:, rows, columns] * phase[part, None, None]
                here = slice(start - group.start, part.stop - group.start)
                out[:, here] += blocks.real if self.real else blocks

    def _components(self, vectors: NDArray, factors: NDArray[np.float64]) -> NDArray:
        """n, m_x, m_y, m_z as far as there are any, between all orbitals: (n_components, n, n)."""
        parts = []
        for states, weight in zip(vectors, factors, strict=True):
            used = weight > EMPTY
            chosen = states[used]
            parts.append((chosen.T * weight[used]) @ chosen.conj())
        if self.spin is SpinKind.NONE:
            return parts[0][None]
        if self.spin is SpinKind.COLLINEAR:
            return np.stack([parts[0] + parts[1], parts[0] - parts[1]])
        n = len(parts[0]) // 2
        up, down = parts[0][:n, :n], parts[0][n:, n:]
        mixed, other = parts[0][:n, n:], parts[0][n:, :n]
        return np.stack([up + down, mixed + other, 1j * (mixed - other), up - down])

    def matrix(self) -> BlockMatrix:
        """The sum; its on-site blocks exactly Hermitian."""
        for group, values in zip(self.pattern.groups, self.values, strict=True):
            onsite = np.flatnonzero(self.pattern.onsite[group.slice])
            if len(onsite):
                blocks = values[:, onsite]
                values[:, onsite] = (blocks + blocks.conj().swapaxes(-1, -2)) / 2
        return BlockMatrix(self.pattern, tuple(self.values))


def _trace(system: LCAOSystem, matrix: BlockMatrix) -> NDArray[np.float64]:
    """Tr(P S) of each component."""
    overlap = system.overlap.on_pattern(matrix.pattern)
    return np.array(
        [overlap.inner(matrix.component(index)) for index in range(matrix.n_components)]
    )
