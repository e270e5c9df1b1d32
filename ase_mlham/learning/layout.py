"""What a network predicts as irreducible tensors, and blocks of H in them (Wigner-Eckart).

A block between shells of l_a and l_b holds the irreps |l_a - l_b| .. l_a + l_b, all of parity
(-1)^(l_a + l_b). An axial part of H (see `learning.parts`) has three such blocks, whose irreps K
couple with the axial vector to L = K - 1 .. K + 1, of the same parity. Both changes of basis are
orthogonal: nothing is lost and nothing restricted. The layout is made for the union of all
elements' shells, so that one output layer serves every pair of elements and a pair of elements
reads the channels its shells need.

The general form of H needs these channels and no others. A head of another form (see
`learning.spin_form`) lets the network predict something else, of which it makes the blocks: its
layout has other channels and the same rules.

A coefficient vector is ordered by degree L, then component M = -L..L, then channel: the channels of
natural parity (-1)^L first, then those of the other parity.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core import OrbitalBasis, SpinKind
from ase_mlham.core.harmonics import clebsch_gordan
from ase_mlham.learning.parts import Part, n_real, parts_of

__all__ = ["BlockLayout", "Channel", "IrrepLayout", "UnionShells", "block_channels"]


@dataclass(frozen=True)
class Channel:
    """One irreducible tensor that belongs to every pair of atoms.

    Attributes
    ----------
    a, b : int
        Union shells of bra and ket.
    L : int
        Degree.
    natural : bool
        Whether its parity is (-1)^L.
    K : int
        Degree before coupling with the axial vector; L itself where there is none.
    part : int
        Which of the parts of H, or of what else a layout holds.
    sign : float
        Factor of the tensor of the pair seen from its other end, where it is that of shells b, a.
    odd : bool
        Whether it changes sign with all magnetic moments.
    """

    a: int
    b: int
    L: int
    natural: bool
    K: int
    part: int
    sign: float = 1.0
    odd: bool = False


MomentInput = Literal["none", "lengths", "numbers", "vectors"]


class IrrepLayout:
    """Order of the irreducible tensors that a network gives for every atom and pair.

    Parameters
    ----------
    basis : OrbitalBasis
        The elements.
    channels : iterable of Channel
        Those of one degree and parity keep their order.
    moments : str
        What the network may know of the magnetic moments: nothing ("none"), their "lengths"
        (which are invariant), signed "numbers" along one axis (which are invariant, but odd under
        time reversal), or axial "vectors".
    """

    def __init__(
        self,
        basis: OrbitalBasis,
        channels: Iterable[Channel],
        moments: MomentInput = "none",
    ) -> None:
        self.basis = basis
        self.moments = moments
        channels = tuple(channels)
        self.channels: tuple[tuple[Channel, ...], ...] = tuple(
            tuple(sorted((c for c in channels if c.L == L), key=lambda c: not c.natural))
            for L in range(1 + max(channel.L for channel in channels))
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
        """Numbers in a coefficient vector."""
        return self.starts[-1]

    @property
    def n_channels(self) -> int:
        """Channels of all degrees."""
        return sum(len(entries) for entries in self.channels)

    def multiplicity(self, L: int, *, natural: bool) -> int:
        """Channels of a degree and parity class."""
        return sum(channel.natural == natural for channel in self.channels[L])

    def position(self, L: int, index: int) -> NDArray[np.int64]:
        """Coefficients of a channel, over M."""
        return self.starts[L] + np.arange(2 * L + 1) * len(self.channels[L]) + index

    @cached_property
    def reversal(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """How the coefficients of the pair seen from its other end follow: `sign * c[index]`."""
        index = np.empty(self.n_coefficients, dtype=np.int64)
        sign = np.empty(self.n_coefficients)
        for L, entries in enumerate(self.channels):
            where = {(c.a, c.b, c.K, c.part): n for n, c in enumerate(entries)}
            for n, c in enumerate(entries):
                index[self.position(L, n)] = self.position(L, where[c.b, c.a, c.K, c.part])
                sign[self.position(L, n)] = c.sign
        return index, sign

    @cached_property
    def channel_of(self) -> NDArray[np.int64]:
        """Running number of the channel of each coefficient: (n_coefficients,)."""
        out = np.empty(self.n_coefficients, dtype=np.int64)
        first = 0
        for L, entries in enumerate(self.channels):
            for index in range(len(entries)):
                out[self.position(L, index)] = first + index
            first += len(entries)
        return out

    @cached_property
    def odd(self) -> NDArray[np.bool_]:
        """Whether each coefficient changes sign with all magnetic moments: (n_coefficients,)."""
        out = np.empty(self.n_coefficients, dtype=bool)
        for L, entries in enumerate(self.channels):
            for n, channel in enumerate(entries):
                out[self.position(L, n)] = channel.odd
        return out


class UnionShells:
    """Shells that cover those of all elements of a basis.

    Attributes
    ----------
    l : tuple of int
        Degree of each union shell.
    of : tuple of tuple of int
        Of each species, the union shell of each of its shells.
    """

    def __init__(self, basis: OrbitalBasis) -> None:
        l_max = max(max(entry.l) for entry in basis.species)
        counts = [max(entry.l.count(l) for entry in basis.species) for l in range(l_max + 1)]
        self.l: tuple[int, ...] = tuple(l for l, count in enumerate(counts) for _ in range(count))
        first = {l: self.l.index(l) for l in set(self.l)}
        self.of: tuple[tuple[int, ...], ...] = tuple(
            tuple(first[l] + entry.l[:n].count(l) for n, l in enumerate(entry.l))
            for entry in basis.species
        )


def block_channels(shells: UnionShells, part: Part, number: int) -> list[Channel]:
    """Channels of the blocks of one part of H, which gets a number."""
    out = []
    for a, l_a in enumerate(shells.l):
        for b, l_b in enumerate(shells.l):
            for K in range(abs(l_a - l_b), l_a + l_b + 1):
                sign = (-1.0) ** (l_a + l_b + K) * part.symmetry
                for L in range(abs(K - 1), K + 2) if part.axial else (K,):
                    natural = (l_a + l_b + L) % 2 == 0
                    out.append(Channel(a, b, L, natural, K, number, sign, part.odd))
    return out


class BlockLayout(IrrepLayout):
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
        self.spin = spin
        self.parts: tuple[Part, ...] = parts_of(spin, parts)
        self.shells = UnionShells(basis)
        channels = [
            c for n, part in enumerate(self.parts) for c in block_channels(self.shells, part, n)
        ]
        moments: MomentInput = "none"
        if any(part.odd for part in self.parts):
            moments = "numbers" if spin is SpinKind.COLLINEAR else "vectors"
        super().__init__(basis, channels, moments)

    @property
    def n_real(self) -> int:
        """Real numbers in place of one matrix element."""
        return n_real(self.parts)

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
        shells_i = {u: n for n, u in enumerate(self.shells.of[species_i])}
        shells_j = {u: n for n, u in enumerate(self.shells.of[species_j])}
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
                    out[self.position(L, index), real, rows, columns] = part
        return out.reshape(self.n_coefficients, -1)


def _block_coupling(l_a: int, l_b: int, K: int, L: int, axial: bool) -> NDArray[np.float64]:
    """From the components of a channel to the block of two shells: (2 L + 1, 1 or 3, n_a, n_b)."""
    coupling = clebsch_gordan(l_a, l_b, K)
    if not axial:
        return coupling.transpose(2, 0, 1)[:, None]
    # a vector as harmonics is (y, z, x)
    vector = clebsch_gordan(1, K, L)[[2, 0, 1]]
    return np.einsum("abk,vkm->mvab", coupling, vector)
