"""Blocks of H as irreducible tensors (Wigner-Eckart), in one layout for all elements.

A block between shells of l_a and l_b holds the irreps |l_a - l_b| .. l_a + l_b, all of parity
(-1)^(l_a + l_b). An axial part of H (see `learning.parts`) has three such blocks, whose irreps K
couple with the axial vector to L = K - 1 .. K + 1, of the same parity. Both changes of basis are
orthogonal: nothing is lost and nothing restricted. The layout is made for the union of all
elements' shells, so that one output layer serves every pair of elements and a pair of elements
reads the channels its shells need.

A coefficient vector is ordered by degree L, then component M = -L..L, then channel: the channels of
natural parity (-1)^L first, then those of the other parity.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core import OrbitalBasis, SpinKind
from ase_mlham.core.harmonics import clebsch_gordan
from ase_mlham.learning.parts import Part, n_real, parts_of

__all__ = ["BlockLayout", "Channel"]


@dataclass(frozen=True)
class Channel:
    """One irreducible part of the block between two shells of the union.

    Attributes
    ----------
    a, b : int
        Union shells of bra and ket.
    L : int
        Degree.
    natural : bool
        Whether its parity (-1)^(l_a + l_b) is (-1)^L.
    K : int
        Degree before coupling with the axial vector; L itself for parts that have none.
    part : int
        Which of the parts of H.
    """

    a: int
    b: int
    L: int
    natural: bool
    K: int
    part: int


class BlockLayout:
    """Irreducible decomposition of the blocks of an orbital basis.

    Parameters
    ----------
    basis : OrbitalBasis
        The elements and their shells.
    spin : SpinKind
        Of the Hamiltonian.
    parts : iterable of str, optional
        Its real parts, as for `parts_of`.
    """

    def __init__(
        self,
        basis: OrbitalBasis,
        spin: SpinKind = SpinKind.NONE,
        parts: Iterable[str] | None = None,
    ) -> None:
        self.basis = basis
        self.spin = spin
        self.parts: tuple[Part, ...] = parts_of(spin, parts)
        self.l_max_shell = max(max(entry.l) for entry in basis.species)
        counts = [
            max(entry.l.count(l) for entry in basis.species) for l in range(self.l_max_shell + 1)
        ]
        self.union_l: tuple[int, ...] = tuple(
            l for l, count in enumerate(counts) for _ in range(count)
        )
        first = {l: self.union_l.index(l) for l in set(self.union_l)}
        self.union_shells: tuple[tuple[int, ...], ...] = tuple(
            tuple(first[l] + entry.l[:n].count(l) for n, l in enumerate(entry.l))
            for entry in basis.species
        )
        """Of each species, the union shell of each of its shells."""
        axial = any(part.axial for part in self.parts)
        channels: list[list[Channel]] = [[] for _ in range(2 * self.l_max_shell + 1 + axial)]
        for number, part in enumerate(self.parts):
            for a, l_a in enumerate(self.union_l):
                for b, l_b in enumerate(self.union_l):
                    for K in range(abs(l_a - l_b), l_a + l_b + 1):
                        for L in range(abs(K - 1), K + 2) if part.axial else (K,):
                            natural = (l_a + l_b + L) % 2 == 0
                            channels[L].append(Channel(a, b, L, natural, K, number))
        self.channels: tuple[tuple[Channel, ...], ...] = tuple(
            tuple(sorted(entries, key=lambda c: not c.natural)) for entries in channels
        )
        """Channels of each degree, in storage order."""

    @property
    def l_max(self) -> int:
        """Largest degree of a coefficient."""
        return len(self.channels) - 1

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """First coefficient of each degree, and the total at the end."""
        sizes = [(2 * L + 1) * len(entries) for L, entries in enumerate(self.channels)]
        return tuple(int(n) for n in np.cumsum([0, *sizes]))

    @property
    def n_coefficients(self) -> int:
        """Numbers in a coefficient vector: `n_real` times orbitals of the union, squared."""
        return self.starts[-1]

    @property
    def n_real(self) -> int:
        """Real numbers in place of one matrix element."""
        return n_real(self.parts)

    def multiplicity(self, L: int, *, natural: bool) -> int:
        """Channels of a degree and parity class."""
        return sum(channel.natural == natural for channel in self.channels[L])

    def _position(self, L: int, index: int) -> NDArray[np.int64]:
        """Coefficients of a channel, over M."""
        return self.starts[L] + np.arange(2 * L + 1) * len(self.channels[L]) + index

    def coupling(self, species_i: int, species_j: int) -> NDArray[np.float64]:
        """Matrix from coefficients to a block between two species.

        Returns
        -------
        (n_coefficients, n_real * n_i * n_j) float
            Rows of channels that the pair lacks are zero; the others are orthonormal, so the
            transpose takes blocks to coefficients. Real parts come one after another.
        """
        i, j = self.basis.species[species_i], self.basis.species[species_j]
        out = np.zeros((self.n_coefficients, self.n_real, i.n_orbitals, j.n_orbitals))
        shells_i = {u: n for n, u in enumerate(self.union_shells[species_i])}
        shells_j = {u: n for n, u in enumerate(self.union_shells[species_j])}
        first = np.cumsum([0] + [len(part.components) for part in self.parts])
        for L, entries in enumerate(self.channels):
            for index, channel in enumerate(entries):
                if channel.a in shells_i and channel.b in shells_j:
                    a, b = shells_i[channel.a], shells_j[channel.b]
                    rows = slice(i.offsets[a], i.offsets[a + 1])
                    columns = slice(j.offsets[b], j.offsets[b + 1])
                    axial = self.parts[channel.part].axial
                    start = first[channel.part]
                    real = slice(start, start + (3 if axial else 1))
                    part = _block_coupling(i.l[a], j.l[b], channel.K, L, axial)
                    out[self._position(L, index), real, rows, columns] = part
        return out.reshape(self.n_coefficients, -1)

    @cached_property
    def reversal(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """How the coefficients of the pair seen from its other end follow: `sign * c[index]`."""
        index = np.empty(self.n_coefficients, dtype=np.int64)
        sign = np.empty(self.n_coefficients)
        for L, entries in enumerate(self.channels):
            where = {(c.a, c.b, c.K, c.part): n for n, c in enumerate(entries)}
            for n, c in enumerate(entries):
                index[self._position(L, n)] = self._position(L, where[c.b, c.a, c.K, c.part])
                degrees = self.union_l[c.a] + self.union_l[c.b] + c.K
                sign[self._position(L, n)] = (-1.0) ** degrees * self.parts[c.part].symmetry
        return index, sign

    @cached_property
    def channel_of(self) -> NDArray[np.int64]:
        """Running number of the channel of each coefficient: (n_coefficients,)."""
        out = np.empty(self.n_coefficients, dtype=np.int64)
        first = 0
        for L, entries in enumerate(self.channels):
            for index in range(len(entries)):
                out[self._position(L, index)] = first + index
            first += len(entries)
        return out

    @cached_property
    def odd(self) -> NDArray[np.bool_]:
        """Whether each coefficient changes sign with all magnetic moments: (n_coefficients,)."""
        out = np.empty(self.n_coefficients, dtype=bool)
        for L, entries in enumerate(self.channels):
            for n, channel in enumerate(entries):
                out[self._position(L, n)] = self.parts[channel.part].odd
        return out

    @property
    def n_channels(self) -> int:
        """Channels of all degrees."""
        return sum(len(entries) for entries in self.channels)


def _block_coupling(l_a: int, l_b: int, K: int, L: int, axial: bool) -> NDArray[np.float64]:
    """From the components of a channel to the block of two shells: (2 L + 1, 1 or 3, n_a, n_b)."""
    coupling = clebsch_gordan(l_a, l_b, K)
    if not axial:
        return coupling.transpose(2, 0, 1)[:, None]
    # a vector as harmonics is (y, z, x)
    vector = clebsch_gordan(1, K, L)[[2, 0, 1]]
    return np.einsum("abk,vkm->mvab", coupling, vector)
