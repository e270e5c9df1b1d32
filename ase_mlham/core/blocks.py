"""Values of an operator on a block pattern.

One contiguous array [component, block, a, b] for each pair of species, so that every kernel is a
batched matrix operation. The partner (j, i, -R) of a stored block is its adjoint, times `symmetry`:
+1 for H, S, positions and all Hermitian operators, -1 for the gradient.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_mlham.core.pattern import BlockPattern
from ase_mlham.errors import InputError

__all__ = ["BlockMatrix"]


@final
@dataclass(frozen=True, eq=False)
class BlockMatrix:
    """An operator in the orbital basis, in real space.

    `matrix[i, j, R]` is <phi_i in the home cell | X | phi_j in the cell R>, for stored blocks and
    for their partners alike.

    Parameters
    ----------
    pattern : BlockPattern
        Which blocks exist.
    values : tuple of (n_components, n_blocks, n_a, n_b) arrays
        One for each group of the pattern, in its order. Components are Pauli components for H, the
        Cartesian axes x, y, z for vector operators, one for the overlap.
    symmetry : int
        Factor +1 or -1 between a block and the adjoint of its partner.

    Raises
    ------
    InputError
        Shapes or dtypes do not fit, or a number is not finite.
    """

    pattern: BlockPattern
    values: tuple[NDArray, ...]
    symmetry: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(np.asarray(v) for v in self.values))
        groups = self.pattern.groups
        if len(self.values) != len(groups) or self.symmetry not in (1, -1):
            raise InputError(
                f"{len(self.values)} arrays for {len(groups)} groups, symmetry {self.symmetry}"
            )
        n, dtype = self.values[0].shape[0], self.values[0].dtype
        for group, array in zip(groups, self.values, strict=True):
            expected = (n, group.n_blocks, *self.pattern.block_shape(group))
            if array.shape != expected or array.dtype != dtype:
                raise InputError(
                    f"blocks of species {group.species_i}-{group.species_j}: shape {array.shape}, "
                    f"{array.dtype}; expected {expected}, {dtype}"
                )
            # a sum visits every number without a boolean array of their size
            with np.errstate(invalid="ignore", over="ignore"):
                finite = np.isfinite(array.sum())
            if not finite:
                raise InputError(
                    f"blocks of species {group.species_i}-{group.species_j}: a matrix element is "
                    "not a finite number"
                )

    def __repr__(self) -> str:
        kind = "Hermitian" if self.symmetry == 1 else "anti-Hermitian"
        return (
            f"<BlockMatrix {kind}, {self.n_components} x {self.pattern.n_blocks} blocks, "
            f"{self.dtype}>"
        )

    # ------------------------------------------------------------------ making one
    @classmethod
    def zeros(
        cls,
        pattern: BlockPattern,
        n_components: int = 1,
        dtype: type | np.dtype = np.float64,
        symmetry: int = 1,
    ) -> BlockMatrix:
        """A matrix of zeros."""
        return cls(
            pattern,
            tuple(
                np.zeros((n_components, g.n_blocks, *pattern.block_shape(g)), dtype)
                for g in pattern.groups
            ),
            symmetry,
        )

    @classmethod
    def from_flat(
        cls,
        pattern: BlockPattern,
        i: ArrayLike,
        j: ArrayLike,
        R: ArrayLike,
        flat: NDArray,
        symmetry: int = 1,
    ) -> tuple[BlockMatrix, float]:
        """Matrix from a directed list of blocks, the form in which most files hold them.

        Parameters
        ----------
        pattern : BlockPattern
            Must contain every block of the list; its other blocks are zero.
        i, j : (n,) int
            Atoms of each block in the list.
        R : (n, 3) int
            Lattice vectors.
        flat : (n_components, n_numbers) array
            Blocks one after another in the order of the list, each row-major.
        symmetry : int
            As for the matrix.

        Returns
        -------
        matrix : BlockMatrix
            Where both members of a Hermitian pair are given, their mean.
        asymmetry : float
            Largest deviation between the two members of a pair, in the units of the matrix.

        Raises
        ------
        InputError
            A block is not in the pattern or is given twice, or the count of numbers does not fit.
        """
        flat = np.atleast_2d(flat)
        i, j = np.asarray(i, dtype=np.int64), np.asarray(j, dtype=np.int64)
        index, swapped = pattern.find(i, j, R)
        if np.any(index < 0):
            raise InputError("the list holds a block that its pattern does not have")
        if len(np.unique(2 * index + swapped)) != len(index):
            raise InputError("the list holds a block twice")
        n_i, n_j = pattern.sizes[pattern.species[i]], pattern.sizes[pattern.species[j]]
        starts = np.concatenate([[0], np.cumsum(n_i * n_j)])
        if starts[-1] != flat.shape[1]:
            raise InputError(f"{flat.shape[1]} numbers given for blocks that hold {starts[-1]}")
        arrays = []
        asymmetry = 0.0
        for group in pattern.groups:
            n_a, n_b = pattern.block_shape(group)
            values = np.zeros((len(flat), group.n_blocks, n_a, n_b), flat.dtype)
            arrays.append(values)
            here = (index >= group.start) & (index < group.stop)
            # overlapping windows make the gather one copy without an index per number
            windows = np.lib.stride_tricks.sliding_window_view(flat, n_a * n_b, axis=1)
            rows = np.flatnonzero(here & ~swapped)
            slots = index[rows] - group.start
            values[:, slots] = windows[:, starts[rows]].reshape(len(flat), -1, n_a, n_b)
            seen = np.zeros(group.n_blocks, dtype=bool)
            seen[slots] = True
            rows = np.flatnonzero(here & swapped)
            slots = index[rows] - group.start
            partner = windows[:, starts[rows]].reshape(len(flat), -1, n_b, n_a)
            partner = symmetry * partner.conj().swapaxes(-1, -2)
            both = seen[slots]
            given = values[:, slots[both]]
            asymmetry = max(asymmetry, float(abs(given - partner[:, both]).max(initial=0.0)))
            values[:, slots[both]] = (given + partner[:, both]) / 2
            values[:, slots[~both]] = partner[:, ~both]
        for group, values in zip(pattern.groups, arrays, strict=True):
            if group.species_i == group.species_j:
                onsite = np.flatnonzero(pattern.onsite[group.slice])
                adjoint = symmetry * values[:, onsite].conj().swapaxes(-1, -2)
                deviation = abs(values[:, onsite] - adjoint).max(initial=0.0)
                asymmetry = max(asymmetry, float(deviation))
                values[:, onsite] = (values[:, onsite] + adjoint) / 2
        return cls(pattern, tuple(arrays), symmetry), asymmetry

    # ------------------------------------------------------------------ what it holds
    @property
    def n_components(self) -> int:
        """Pauli or Cartesian components."""
        return self.values[0].shape[0]

    @property
    def dtype(self) -> np.dtype:
        """Type of the numbers."""
        return self.values[0].dtype

    @property
    def nbytes(self) -> int:
        """Memory of the values."""
        return sum(array.nbytes for array in self.values)

    def __getitem__(self, key: tuple[int, int, Sequence[int]]) -> NDArray:
        """Block (n_components, n_i, n_j) of `matrix[i, j, R]`."""
        i, j, R = key
        index, swapped = self.pattern.find([i], [j], [R])
        if index[0] < 0:
            raise KeyError(f"no block between atom {i} and atom {j} in cell {tuple(R)}")
        number = int(
            np.searchsorted([group.stop for group in self.pattern.groups], index, "right")[0]
        )
        block = self.values[number][:, index[0] - self.pattern.groups[number].start]
        return self.symmetry * block.conj().swapaxes(-1, -2) if swapped[0] else block

    def blocks(self, species_i: int, species_j: int) -> NDArray:
        """View of all blocks between two species (species indices, species_i <= species_j)."""
        for group, array in zip(self.pattern.groups, self.values, strict=True):
            if (group.species_i, group.species_j) == (species_i, species_j):
                return array
        raise KeyError(f"no blocks between species {species_i} and {species_j}")

    # ------------------------------------------------------------------ sums over cells
    def _sum_over_cells(self, weights: NDArray) -> NDArray:
        """Matrix between all orbitals from sum_R w(R) X(R), where the partner has the weight w*.

        Parameters
        ----------
        weights : (n_blocks,) float or complex
            Factor of each stored block.
        """
        p = self.pattern
        dtype = np.result_type(self.dtype, weights.dtype)
        out = np.zeros((self.n_components, p.n_orbitals, p.n_orbitals), dtype)
        # an on-site block is its own partner and would be counted twice
        weights = np.where(p.onsite, 0.5, 1.0) * weights
        for group, array in zip(p.groups, self.values, strict=True):
            n_a, n_b = p.block_shape(group)
            i, j = p.i[group.slice], p.j[group.slice]
            run = np.concatenate([[0], np.flatnonzero(np.diff(i) | np.diff(j)) + 1])
            weighted = array * weights[group.slice][None, :, None, None]
            summed = np.add.reduceat(weighted, run, axis=1)
            adjoint = self.symmetry * summed.conj().swapaxes(-1, -2)
            if group.species_i == group.species_j:
                own = np.flatnonzero(i[run] == j[run])
                summed[:, own] += adjoint[:, own]
            rows = p.offsets[i[run]][:, None] + np.arange(n_a)
            columns = p.offsets[j[run]][:, None] + np.arange(n_b)
            out[:, columns[:, :, None], rows[:, None, :]] = adjoint
            out[:, rows[:, :, None], columns[:, None, :]] = summed
        return out

    def at_k(self, k: ArrayLike) -> NDArray[np.complex128]:
        """Bloch sum X(k) = sum_R exp(2 pi i k.R) X(R).

        Parameters
        ----------
        k : (3,) or (n_k, 3) float
            Fractions of the reciprocal lattice vectors.

        Returns
        -------
        (n_components, n, n) or (n_k, n_components, n, n) complex
        """
        k = np.asarray(k, dtype=np.float64)
        if k.ndim not in (1, 2) or k.shape[-1] != 3 or not np.isfinite(k).all():
            raise InputError(
                f"k-points of shape {k.shape}; expected (3,) or (n_k, 3), finite numbers"
            )
        if k.ndim == 2:
            return np.stack([self.at_k(point) for point in k])
        return self._sum_over_cells(np.exp(2j * np.pi * (self.pattern.R @ k)))

    def dense(self, R: Sequence[int] = (0, 0, 0)) -> NDArray:
        """Matrix X(R) between all orbitals of the home cell and of the cell R, (n_c, n, n)."""
        cell = np.asarray(R)
        if cell.shape != (3,):
            raise InputError(f"a cell of shape {cell.shape}; expected three integers")
        p = self.pattern
        out = np.zeros((self.n_components, p.n_orbitals, p.n_orbitals), self.dtype)
        for group, array in zip(p.groups, self.values, strict=True):
            n_a, n_b = p.block_shape(group)
            for sign in (-1, 1):
                here = np.flatnonzero(np.equal(p.R[group.slice], sign * cell).all(axis=1))
                block = array[:, here]
                rows = p.offsets[p.i[group.slice][here]][:, None] + np.arange(n_a)
                columns = p.offsets[p.j[group.slice][here]][:, None] + np.arange(n_b)
                if sign == 1:
                    out[:, rows[:, :, None], columns[:, None, :]] = block
                else:
                    adjoint = self.symmetry * block.conj().swapaxes(-1, -2)
                    out[:, columns[:, :, None], rows[:, None, :]] = adjoint
        return out

    @property
    def cells(self) -> NDArray[np.int32]:
        """All R with a block, partners included, sorted: (n_R, 3)."""
        return np.unique(np.concatenate([self.pattern.R, -self.pattern.R]), axis=0)

    # ------------------------------------------------------------------ algebra
    def _with(self, arrays: Iterable[NDArray], symmetry: int | None = None) -> BlockMatrix:
        return BlockMatrix(
            self.pattern, tuple(arrays), self.symmetry if symmetry is None else symmetry
        )

    def _same_pattern(self, other: BlockMatrix) -> None:
        if self.pattern != other.pattern:
            raise InputError("matrices on different block patterns: bring one `on_pattern` first")
        if self.symmetry != other.symmetry:
            raise InputError("a Hermitian and an anti-Hermitian matrix cannot be added")

    def __add__(self, other: BlockMatrix) -> BlockMatrix:
        self._same_pattern(other)
        return self._with(a + b for a, b in zip(self.values, other.values, strict=True))

    def __sub__(self, other: BlockMatrix) -> BlockMatrix:
        self._same_pattern(other)
        return self._with(a - b for a, b in zip(self.values, other.values, strict=True))

    def __mul__(self, factor: float) -> BlockMatrix:
        return self._with(array * float(factor) for array in self.values)

    __rmul__ = __mul__

    def adjoint(self) -> BlockMatrix:
        """X^H, on the same pattern."""
        return self._with(self.symmetry * array for array in self.values)

    def astype(self, dtype: type | np.dtype) -> BlockMatrix:
        """The same numbers in another type."""
        return self._with(array.astype(dtype) for array in self.values)

    def component(self, index: int) -> BlockMatrix:
        """One component as a matrix of its own."""
        return self._with(array[index : index + 1] for array in self.values)

    def inner(self, other: BlockMatrix) -> float:
        """Re sum X* Y over all blocks, both members of each Hermitian pair, all components."""
        self._same_pattern(other)
        total = 0.0
        for group, a, b in zip(self.pattern.groups, self.values, other.values, strict=True):
            weight = np.where(self.pattern.onsite[group.slice], 1.0, 2.0)
            total += float(np.einsum("n,cnab,cnab->", weight, a.conj(), b, optimize=True).real)
        return total

    def _scatter(
        self, pattern: BlockPattern, index: NDArray[np.int64], swapped: NDArray[np.bool_]
    ) -> BlockMatrix:
        """Matrix on another pattern of the same species, each block copied to one or more places.

        Parameters
        ----------
        pattern : BlockPattern
            Where the blocks go; blocks that nothing goes to are zero.
        index : (n_copies, n_blocks) int
            Place in `pattern`, -1 for none.
        swapped : (n_copies, n_blocks) bool
            Whether the adjoint goes there.
        """
        out = BlockMatrix.zeros(pattern, self.n_components, self.dtype, self.symmetry)
        targets = {
            (group.species_i, group.species_j): (group.start, values)
            for group, values in zip(pattern.groups, out.values, strict=True)
        }
        for group, array in zip(self.pattern.groups, self.values, strict=True):
            slots, partner = index[:, group.slice], swapped[:, group.slice]
            if not np.any(slots >= 0):
                continue
            start, values = targets[group.species_i, group.species_j]
            copy, block = np.nonzero((slots >= 0) & ~partner)
            values[:, slots[copy, block] - start] = array[:, block]
            copy, block = np.nonzero((slots >= 0) & partner)
            if len(block):
                adjoint = self.symmetry * array[:, block].conj().swapaxes(-1, -2)
                values[:, slots[copy, block] - start] = adjoint
        return out

    def relabelled(
        self, pattern: BlockPattern, i: ArrayLike, j: ArrayLike, R: ArrayLike
    ) -> BlockMatrix:
        """The same blocks under other names: stored block n becomes the block (i[n], j[n], R[n]).

        Parameters
        ----------
        pattern : BlockPattern
            Has all the new names.
        i, j : (n_blocks,) or (n_copies, n_blocks) int
            New atoms of each stored block, of the same species as the old; several copies make a
            supercell.
        R : (n_blocks, 3) or (n_copies, n_blocks, 3) int
            New lattice vectors.

        Raises
        ------
        InputError
            A name is not in the pattern, or an atom is of another species.
        """
        old = self.pattern
        i, j = np.asarray(i, dtype=np.int64), np.asarray(j, dtype=np.int64)
        index, swapped = pattern.find(i.ravel(), j.ravel(), R)
        if np.any(index < 0):
            raise InputError("a relabelled block is not in the new pattern")
        if not np.array_equal(pattern.sizes, old.sizes) or np.any(
            (pattern.species[i] != old.species[old.i]) | (pattern.species[j] != old.species[old.j])
        ):
            raise InputError("a block cannot move to atoms of other species")
        shape = (-1, old.n_blocks)
        return self._scatter(pattern, index.reshape(shape), swapped.reshape(shape))

    def on_pattern(self, pattern: BlockPattern, *, drop: bool = False) -> BlockMatrix:
        """The matrix on another pattern of the same atoms: new blocks are zero.

        Raises
        ------
        InputError
            The atoms differ, or blocks would be lost and `drop` is not set: they are never cut
            silently.
        """
        if pattern == self.pattern:
            return self
        if not np.array_equal(pattern.species, self.pattern.species) or not np.array_equal(
            pattern.sizes, self.pattern.sizes
        ):
            raise InputError("the new pattern belongs to other atoms or another basis")
        index, swapped = pattern.find(self.pattern.i, self.pattern.j, self.pattern.R)
        lost = int(np.count_nonzero(index < 0))
        if lost and not drop:
            raise InputError(
                f"{lost} of {self.pattern.n_blocks} blocks do not exist in the new pattern; use "
                "the union of both patterns, or drop=True to cut them"
            )
        return self._scatter(pattern, index[None], swapped[None])
