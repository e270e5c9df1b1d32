"""Plane waves between orbitals: <phi_i| exp(-i b.r) |phi_j(R)>, without any grid.

A plane wave times an orbital is a sum of orbitals on the same atom,

    exp(-i b.r) R(r) Y_lm = 4 pi sum_LM (-i)^L Y_LM(b) R(r) j_L(b r) Y_LM(r) Y_lm(r),

with harmonics of degree l - L to l + L after their product is taken apart. Each is a shell like any
other, so that the elements are two-centre integrals, as exact as the overlap; the sum over L ends
where j_L(b r) has become small within the orbital. Maximally localised Wannier functions need these
elements for the few vectors b that join neighbouring k-points.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_mlham.core.basis import OrbitalBasis
from ase_mlham.core.blocks import BlockMatrix
from ase_mlham.core.harmonics import gaunt, real_harmonics
from ase_mlham.core.pattern import BlockPattern
from ase_mlham.core.radial import GaussianRadial, RadialFunction
from ase_mlham.core.structure import Structure
from ase_mlham.core.system import basis_pattern
from ase_mlham.errors import BasisError, InputError
from ase_mlham.integrals.bessel import spherical_bessel
from ase_mlham.integrals.tables import PairTable, tables_of
from ase_mlham.integrals.transforms import Channels, RadialTransform, radial_panels

__all__ = ["PlaneWaveChannels", "plane_wave"]

_NEGLECTED = 1e-9
"""Norm of what is left out of a plane wave times an orbital."""

_PORTION = 256
"""Pairs at a time."""

_KERNEL_NUMBERS = 4_000_000
"""Bessel functions in memory at a time."""


@dataclass(frozen=True, eq=False)
class PlaneWaveChannels(Channels):
    """Shells multiplied by exp(-i b.r) about their own atom: real and imaginary part.

    Parameters
    ----------
    vector : (3,) float
        b in 1/Å.
    """

    vector: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))

    @classmethod
    def of_channels(cls, plain: Channels, vector: NDArray[np.float64]) -> PlaneWaveChannels:
        """The same shells times a plane wave."""
        return cls(plain.transforms, "plane wave", plain, vector=vector)

    @cached_property
    def length(self) -> float:
        """|b| in 1/Å."""
        return float(np.linalg.norm(self.vector))

    @cached_property
    def _products(self) -> tuple[tuple[int, int, int], ...]:
        """Shell, degree L of the plane wave, and degree of the channel."""
        out = []
        for n, transform in enumerate(self.transforms):
            for L in range(self._last_degree(transform) + 1):
                for degree in range(abs(transform.l - L), transform.l + L + 1, 2):
                    out.append((n, L, degree))  # noqa: PERF401 - three loops read better so
        return tuple(out)

    def _last_degree(self, transform: RadialTransform) -> int:
        """Where the sum over L may end: sum_L (2 L + 1) j_L(x)^2 = 1 gives what is left."""
        radial, reach = _untruncated(transform)
        r, weights = radial_panels(radial, reach, 20.0)
        density = weights * r * r * radial(r) ** 2
        most = int(np.ceil(self.length * reach)) + 30
        j = spherical_bessel(most, self.length * r)
        parts = np.array([(2 * L + 1) * (density @ j[L] ** 2) for L in range(most + 1)])
        beyond = np.cumsum(parts[::-1])[::-1]
        return int(np.argmax(beyond <= _NEGLECTED**2)) - 1

    @cached_property
    def sources(self) -> tuple[tuple[int, int], ...]:
        """Shell index and degree of each channel."""
        return tuple((n, degree) for n, _, degree in self._products)

    @property
    def n_components(self) -> int:
        """Real and imaginary part."""
        return 2

    @cached_property
    def coupling(self) -> NDArray[np.float64]:
        """Orbitals times plane wave from channels, (2, n_orbitals, n_functions)."""
        out = np.zeros((2, int(self.orbital_offsets[-1]), int(self.offsets[-1])))
        last = max(L for _, L, _ in self._products)
        directions = real_harmonics(last, self.vector[None])[0]
        for c, (n, L, degree) in enumerate(self._products):
            rows = slice(self.orbital_offsets[n], self.orbital_offsets[n + 1])
            columns = slice(self.offsets[c], self.offsets[c + 1])
            turn = 4 * np.pi * directions[L * L : (L + 1) ** 2]
            # powers of -i: real for even L, imaginary for odd, and + - - + in turn
            sign = 1.0 if L % 4 in (0, 3) else -1.0
            product = gaunt(L, self.transforms[n].l, degree)
            out[L % 2, rows, columns] = sign * np.einsum("M,Mab->ab", turn, product)
        return out

    def k_max(self, power: int) -> float:
        """Wave vector beyond which no channel contributes, 1/Å: that of the shells, moved by b."""
        if self.plain is None:
            raise BasisError("a plane wave multiplies plain channels")
        return self.plain.k_max(power) + self.length

    def __call__(self, k: NDArray[np.float64]) -> NDArray[np.float64]:
        """Transforms of all channels at equidistant k > 0, (n_channels, n_k)."""
        out = np.empty((len(self._products), len(k)))
        for n, transform in enumerate(self.transforms):
            mine = [(c, L, q) for c, (m, L, q) in enumerate(self._products) if m == n]
            radial, reach = _untruncated(transform)
            r, weights = radial_panels(radial, reach, float(k[-1]) + self.length)
            weights = np.sqrt(2 / np.pi) * weights * r * r * radial(r)
            highest = max(q for _, _, q in mine)
            waves = weights * spherical_bessel(max(L for _, L, _ in mine), self.length * r)
            sums = np.zeros((len(mine), len(k)))
            step = max(1, _KERNEL_NUMBERS // (len(k) * (highest + 1)))
            for start in range(0, len(r), step):
                part = slice(start, start + step)
                kernels = spherical_bessel(highest, np.outer(r[part], k))
                for row, (_, L, q) in enumerate(mine):
                    sums[row] += waves[L, part] @ kernels[q]
            out[[c for c, _, _ in mine]] = sums
        return out


def _untruncated(transform: RadialTransform) -> tuple[RadialFunction, float]:
    """The radial function as the integrals take it, and where it ends."""
    radial, reach = transform.radial, transform.reach
    if isinstance(radial, GaussianRadial):
        return replace(radial, cutoff=2 * reach), reach
    return radial, reach


def plane_wave(
    structure: Structure,
    basis: OrbitalBasis,
    vector: ArrayLike,
    pattern: BlockPattern | None = None,
) -> BlockMatrix:
    """Cosine and sine of b.(r - m) between orbitals, m the middle of the pair.

    Parameters
    ----------
    structure : Structure
        Where the atoms are.
    basis : OrbitalBasis
        Every shell needs a radial function.
    vector : (3,) float
        b in 1/Å.
    pattern : BlockPattern, optional
        Which blocks to compute; by default all pairs of atoms whose orbitals touch.

    Returns
    -------
    BlockMatrix
        Components cos and sin, real and Hermitian. Then <phi_i|exp(-i b.r)|phi_j(R)> =
        exp(-i b.m) (cos - i sin) with m = (tau_i + tau_j + R) / 2.

    Raises
    ------
    InputError
        The vector is not three finite numbers, or the pattern belongs to another basis.
    BasisError
        A shell has no radial function.
    """
    b = np.asarray(vector, dtype=np.float64)
    if b.shape != (3,) or not np.isfinite(b).all():
        raise InputError(f"a wave vector of shape {b.shape}; give three numbers in 1/Å")
    if pattern is None:
        pattern = basis_pattern(structure, basis)
    if not np.array_equal(pattern.species, basis.species_index(structure.numbers)):
        raise InputError("the block pattern does not fit the structure and its basis")
    tables = tables_of(basis)
    vectors = pattern.vectors(structure)
    acted: dict[int, PlaneWaveChannels] = {}
    values = []
    for group in pattern.groups:
        a = group.species_i
        if a not in acted:
            acted[a] = PlaneWaveChannels.of_channels(tables.channels(a), b)
        table = PairTable.build(acted[a], tables.channels(group.species_j))
        here = vectors[group.slice]
        # many features a pair: few pairs at a time
        parts = [table.blocks(here[n : n + _PORTION]) for n in range(0, len(here), _PORTION)]
        real, imaginary = np.concatenate(parts, axis=1)
        half = (here @ b)[:, None, None] / 2
        # exp(-i b.r) about the first atom, moved to the middle of the pair
        cosine = np.cos(half) * real - np.sin(half) * imaginary
        sine = -(np.cos(half) * imaginary + np.sin(half) * real)
        array = np.stack([cosine, sine])
        onsite = np.flatnonzero(pattern.onsite[group.slice])
        blocks = array[:, onsite]
        array[:, onsite] = (blocks + blocks.swapaxes(-1, -2)) / 2
        values.append(array)
    return BlockMatrix(pattern, tuple(values))
