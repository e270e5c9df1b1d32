"""Blocks of H as irreducible tensors (Wigner-Eckart), in one layout for all elements.

A block between shells of l_a and l_b holds the irreps |l_a - l_b| .. l_a + l_b, all of parity
(-1)^(l_a + l_b). The layout is made for the union of all elements' shells, so that one output layer
serves every pair of elements and a pair of elements reads the channels its shells need.

A coefficient vector is ordered by degree L, then component M = -L..L, then channel: the channels of
natural parity (-1)^L first, then those of the other parity.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core import OrbitalBasis
from ase_mlham.core.harmonics import clebsch_gordan

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
    """

    a: int
    b: int
    L: int
    natural: bool


class BlockLayout:
    """Irreducible decomposition of the blocks of an orbital basis.

    Parameters
    ----------
    basis : OrbitalBasis
        The elements and their shells.
    """

    def __init__(self, basis: OrbitalBasis) -> None:
        self.basis = basis
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
        channels: list[list[Channel]] = [[] for _ in range(2 * self.l_max_shell + 1)]
        for a, l_a in enumerate(self.union_l):
            for b, l_b in enumerate(self.union_l):
                for L in range(abs(l_a - l_b), l_a + l_b + 1):
                    channels[L].append(Channel(a, b, L, (l_a + l_b + L) % 2 == 0))
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
        """Numbers in a coefficient vector: orbitals of the union, squared."""
        return self.starts[-1]

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
        (n_coefficients, n_i * n_j) float
            Rows of channels that the pair lacks are zero; the others are orthonormal, so the
            transpose takes blocks to coefficients.
        """
        i, j = self.basis.species[species_i], self.basis.species[species_j]
        out = np.zeros((self.n_coefficients, i.n_orbitals, j.n_orbitals))
        shells_i = {u: n for n, u in enumerate(self.union_shells[species_i])}
        shells_j = {u: n for n, u in enumerate(self.union_shells[species_j])}
        for L, entries in enumerate(self.channels):
            for index, channel in enumerate(entries):
                if channel.a in shells_i and channel.b in shells_j:
                    a, b = shells_i[channel.a], shells_j[channel.b]
                    rows = slice(i.offsets[a], i.offsets[a + 1])
                    columns = slice(j.offsets[b], j.offsets[b + 1])
                    coupling = clebsch_gordan(i.l[a], j.l[b], L)
                    out[self._position(L, index), rows, columns] = coupling.transpose(2, 0, 1)
        return out.reshape(self.n_coefficients, -1)

    @cached_property
    def reversal(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """How the coefficients of the transposed block follow: `c_reversed = sign * c[index]`."""
        index = np.empty(self.n_coefficients, dtype=np.int64)
        sign = np.empty(self.n_coefficients)
        for L, entries in enumerate(self.channels):
            where = {(channel.a, channel.b): n for n, channel in enumerate(entries)}
            for n, channel in enumerate(entries):
                index[self._position(L, n)] = self._position(L, where[channel.b, channel.a])
                sign[self._position(L, n)] = 1.0 if channel.natural else -1.0
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

    @property
    def n_channels(self) -> int:
        """Channels of all degrees."""
        return sum(len(entries) for entries in self.channels)
