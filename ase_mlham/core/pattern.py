"""Which blocks (i, j, R) of an operator exist, one of each Hermitian pair.

The blocks (i, j, R) and (j, i, -R) hold the same numbers, so one of them is stored: the one with
(species i, i) < (species j, j), and for an atom with its own image the one with R >= 0 in
lexicographic order. Blocks of one pair of species lie together, because their matrices have one
shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_mlham.core.structure import Structure, frozen_array, whole_numbers
from ase_mlham.errors import InputError

__all__ = ["BlockGroup", "BlockPattern"]


class BlockGroup(NamedTuple):
    """A run of blocks between two species.

    Attributes
    ----------
    species_i, species_j : int
        Species indices, species_i <= species_j.
    start, stop : int
        The run in the pattern's arrays.
    """

    species_i: int
    species_j: int
    start: int
    stop: int

    @property
    def slice(self) -> slice:
        """The run as a slice."""
        return slice(self.start, self.stop)

    @property
    def n_blocks(self) -> int:
        """Length of the run."""
        return self.stop - self.start


@dataclass(frozen=True, eq=False)
class BlockPattern:
    """Sorted list of stored blocks.

    Make one with `from_pairs` or `from_cutoffs`; the constructor only checks.

    Parameters
    ----------
    species : (n_atoms,) int
        Species index of each atom.
    sizes : (n_species,) int
        Orbitals on an atom of each species.
    i, j : (n_blocks,) int
        Atoms; bra in the home cell, ket in the cell R.
    R : (n_blocks, 3) int
        Lattice vector of the ket.
    """

    species: NDArray[np.int64]
    sizes: NDArray[np.int64]
    i: NDArray[np.int32]
    j: NDArray[np.int32]
    R: NDArray[np.int32]

    def __post_init__(self) -> None:
        for name, dtype in (
            ("species", np.int64),
            ("sizes", np.int64),
            ("i", np.int32),
            ("j", np.int32),
            ("R", np.int32),
        ):
            object.__setattr__(self, name, frozen_array(getattr(self, name), dtype))
        n = len(self.i)
        if self.j.shape != (n,) or self.R.shape != (n, 3):
            raise InputError(
                f"block pattern with {n} i, j of shape {self.j.shape}, R of shape {self.R.shape}"
            )
        if len(self.species) == 0 or n == 0:
            raise InputError("a block pattern needs atoms and blocks")
        if np.any((self.species < 0) | (self.species >= len(self.sizes))):
            raise InputError("a species index lies outside the table of sizes")
        if min(self.i.min(), self.j.min()) < 0 or max(self.i.max(), self.j.max()) >= self.n_atoms:
            raise InputError(f"a block refers to an atom outside 0..{self.n_atoms - 1}")
        if np.any(self._is_partner(self.species, self.i, self.j, self.R)):
            raise InputError("a block pattern stores one of each Hermitian pair: use from_pairs")
        order = self._sorted(self.species, self.i, self.j, self.R)
        if np.any(order[1:] < order[:-1]):
            raise InputError("the blocks of a pattern must be sorted: use from_pairs")
        if np.any(np.diff(self._keys[self._key_order]) == 0):
            raise InputError("a block occurs twice in a pattern")

    def __repr__(self) -> str:
        return (
            f"<BlockPattern {self.n_atoms} atoms, {self.n_orbitals} orbitals, "
            f"{self.n_blocks} blocks>"
        )

    @staticmethod
    def _is_partner(species: NDArray, i: NDArray, j: NDArray, R: NDArray) -> NDArray[np.bool_]:
        """Whether each block is the one of its Hermitian pair that is not stored."""
        a, b = species[i], species[j]
        first = np.where(R[:, 0] != 0, R[:, 0], np.where(R[:, 1] != 0, R[:, 1], R[:, 2]))
        return (a > b) | ((a == b) & ((i > j) | ((i == j) & (first < 0))))

    @staticmethod
    def _sorted(species: NDArray, i: NDArray, j: NDArray, R: NDArray) -> NDArray[np.int64]:
        """Rank of each block in storage order."""
        order = np.lexsort((R[:, 2], R[:, 1], R[:, 0], j, i, species[j], species[i]))
        rank = np.empty(len(i), dtype=np.int64)
        rank[order] = np.arange(len(i))
        return rank

    @classmethod
    def from_pairs(
        cls, species: ArrayLike, sizes: ArrayLike, i: ArrayLike, j: ArrayLike, R: ArrayLike
    ) -> BlockPattern:
        """Pattern of any list of blocks, given once or with their Hermitian partners.

        On-site blocks of all atoms are added.
        """
        species = np.asarray(species, dtype=np.int64)
        n_atoms = len(species)
        atoms = np.arange(n_atoms)
        i = np.concatenate([whole_numbers(i, "atoms i").ravel(), atoms])
        j = np.concatenate([whole_numbers(j, "atoms j").ravel(), atoms])
        cells = whole_numbers(R, "lattice vectors R").reshape(-1, 3)
        R = np.concatenate([cells, np.zeros((n_atoms, 3), dtype=np.int64)])
        if not len(i) == len(j) == len(R):
            raise InputError(
                f"{len(i) - n_atoms} atoms i, {len(j) - n_atoms} j and {len(cells)} R were given"
            )
        if len(i) and (min(i.min(), j.min()) < 0 or max(i.max(), j.max()) >= n_atoms):
            raise InputError(f"a block refers to an atom outside 0..{n_atoms - 1}")
        swap = cls._is_partner(species, i, j, R)
        i, j = np.where(swap, j, i), np.where(swap, i, j)
        R = np.where(swap[:, None], -R, R)
        order = np.lexsort((R[:, 2], R[:, 1], R[:, 0], j, i, species[j], species[i]))
        i, j, R = i[order], j[order], R[order]
        new = np.ones(len(i), dtype=bool)
        new[1:] = (np.diff(i) != 0) | (np.diff(j) != 0) | np.any(np.diff(R, axis=0) != 0, axis=1)
        return cls(species, np.asarray(sizes), i[new], j[new], R[new])

    @classmethod
    def from_cutoffs(
        cls, structure: Structure, species: ArrayLike, sizes: ArrayLike, cutoffs: ArrayLike
    ) -> BlockPattern:
        """All pairs of atoms whose orbitals touch: |tau_j + R - tau_i| < cutoff_i + cutoff_j.

        Parameters
        ----------
        structure : Structure
            Where the atoms are.
        species, sizes : arrays
            As for the pattern itself.
        cutoffs : (n_species,) float
            Largest orbital radius of each species, Å.
        """
        from ase_mlham.core.neighbours import neighbour_list

        species, cutoffs = np.asarray(species, dtype=np.int64), np.asarray(cutoffs, dtype=float)
        i, j, R, distance = neighbour_list(structure, 2 * float(cutoffs[species].max()))
        # the list holds both members of each pair, and sorting half of it takes half the time
        keep = (distance < cutoffs[species[i]] + cutoffs[species[j]]) & ~cls._is_partner(
            species, i, j, R
        )
        return cls.from_pairs(species, sizes, i[keep], j[keep], R[keep])

    def union(self, other: BlockPattern) -> BlockPattern:
        """All blocks of two patterns of the same atoms.

        Raises
        ------
        InputError
            Species or their orbitals differ.
        """
        if self == other:
            return self
        if not np.array_equal(self.species, other.species) or not np.array_equal(
            self.sizes, other.sizes
        ):
            raise InputError("patterns of different atoms or orbitals have no union")
        parts = [np.concatenate([getattr(p, name) for p in (self, other)]) for name in "ijR"]
        return BlockPattern.from_pairs(self.species, self.sizes, *parts)

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.species)

    @property
    def n_blocks(self) -> int:
        """Number of stored blocks."""
        return len(self.i)

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """First orbital of each atom, and the total at the end: (n_atoms + 1,)."""
        return np.concatenate([[0], np.cumsum(self.sizes[self.species])])

    @property
    def n_orbitals(self) -> int:
        """Orbitals in the cell."""
        return int(self.offsets[-1])

    @cached_property
    def groups(self) -> tuple[BlockGroup, ...]:
        """Runs of blocks between two species, in storage order."""
        a, b = self.species[self.i], self.species[self.j]
        cut = np.flatnonzero((np.diff(a) != 0) | (np.diff(b) != 0)) + 1
        starts, stops = np.concatenate([[0], cut]), np.concatenate([cut, [self.n_blocks]])
        return tuple(
            BlockGroup(int(a[s]), int(b[s]), int(s), int(e))
            for s, e in zip(starts, stops, strict=True)
        )

    def block_shape(self, group: BlockGroup) -> tuple[int, int]:
        """Orbitals of the bra's and of the ket's species."""
        return int(self.sizes[group.species_i]), int(self.sizes[group.species_j])

    @cached_property
    def onsite(self) -> NDArray[np.bool_]:
        """Which blocks are on-site: i = j and R = 0."""
        return (self.i == self.j) & ~self.R.any(axis=1)

    @cached_property
    def _reach(self) -> int:
        return int(abs(self.R).max(initial=0)) + 1

    def _encode(self, i: NDArray, j: NDArray, R: NDArray) -> NDArray[np.int64]:
        span = 2 * self._reach + 1
        shifted = R.astype(np.int64) + self._reach
        code = (shifted[:, 0] * span + shifted[:, 1]) * span + shifted[:, 2]
        return (i.astype(np.int64) * self.n_atoms + j) * span**3 + code

    @cached_property
    def _keys(self) -> NDArray[np.int64]:
        return self._encode(self.i, self.j, self.R)

    @cached_property
    def _key_order(self) -> NDArray[np.int64]:
        return np.argsort(self._keys)

    @cached_property
    def _sorted_keys(self) -> NDArray[np.int64]:
        return self._keys[self._key_order]

    def find(
        self, i: ArrayLike, j: ArrayLike, R: ArrayLike
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Where blocks are stored.

        Parameters
        ----------
        i, j : (n,) int
            Atoms.
        R : (n, 3) int
            Lattice vectors.

        Returns
        -------
        index : (n,) int
            Position in the pattern, -1 where the block does not exist.
        swapped : (n,) bool
            Whether the Hermitian partner is what is stored there.

        Raises
        ------
        InputError
            An atom does not exist.
        """
        i = np.atleast_1d(whole_numbers(i, "atoms i"))
        j = np.atleast_1d(whole_numbers(j, "atoms j"))
        R = whole_numbers(R, "lattice vectors R").reshape(-1, 3)
        if len(i) and (min(i.min(), j.min()) < 0 or max(i.max(), j.max()) >= self.n_atoms):
            raise InputError(
                f"there are atoms 0 to {self.n_atoms - 1}; a block of another is sought"
            )
        swapped = self._is_partner(self.species, i, j, R)
        a, b = np.where(swapped, j, i), np.where(swapped, i, j)
        R = np.where(swapped[:, None], -R, R)
        inside = np.less_equal(abs(R), self._reach).all(axis=1)
        keys = self._encode(a, b, np.where(inside[:, None], R, 0))
        slot = np.minimum(np.searchsorted(self._sorted_keys, keys), self.n_blocks - 1)
        found = inside & np.equal(self._sorted_keys[slot], keys)
        return np.where(found, self._key_order[slot], -1), swapped

    def vectors(self, structure: Structure) -> NDArray[np.float64]:
        """tau_j + R - tau_i of each block, (n_blocks, 3) Å."""
        return structure.positions[self.j] - structure.positions[self.i] + self.R @ structure.cell

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BlockPattern):
            return NotImplemented
        return self is other or all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("species", "sizes", "i", "j", "R")
        )

    __hash__ = None  # type: ignore[assignment]  # equality compares arrays
