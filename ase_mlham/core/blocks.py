"""Values of an operator on a block pattern.

One contiguous array [component, block, a, b] for each pair of species, so that every kernel is a
batched matrix operation. The partner (j, i, -R) of a stored block is its adjoint, times `symmetry`:
+1 for H, S, positions and all Hermitian operators, -1 for the gradient.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_mlham.core.pattern import BlockPattern
from ase_mlham.errors import InputError

__all__ = ["BlockMatrix"]


@dataclass(frozen=True, eq=False)
class BlockMatrix:
    """An operator in the orbital basis, in real space.

    `matrix[i, j, R]` is <phi_i in the home cell | X | phi_j in the cell R>, for stored blocks and for
    their partners alike.

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
            if not np.isfinite(array.sum()):
                raise InputError("a matrix element is not a finite number")

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
            Must contain every block of the list.
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
        """
        flat = np.atleast_2d(flat)
        i, j = np.asarray(i, dtype=np.int64), np.asarray(j, dtype=np.int64)
        n_i, n_j = pattern.sizes[pattern.species[i]], pattern.sizes[pattern.species[j]]
        starts = np.concatenate([[0], np.cumsum(n_i * n_j)])
        if starts[-1] != flat.shape[1]:
            raise InputError(f"{flat.shape[1]} numbers given for blocks that hold {starts[-1]}")
        index, swapped = pattern.find(i, j, R)
        if np.any(index < 0):
            raise InputError("the list holds a block that its pattern does not have")
        stored, partner = [], []
        for group in pattern.groups:
            shape = pattern.block_shape(group)
            here = (index >= group.start) & (index < group.stop)
            for target, member in ((stored, ~swapped), (partner, swapped)):
                array = np.zeros((len(flat), group.n_blocks, *shape), flat.dtype)
                seen = np.zeros(group.n_blocks, dtype=bool)
                rows = np.flatnonzero(here & member)
                if len(rows):
                    size = shape[0] * shape[1]
                    # overlapping windows make the gather one copy without an index per number
                    windows = np.lib.stride_tricks.sliding_window_view(flat, size, axis=1)
                    blocks = windows[:, starts[rows]]
                    if member is swapped:
                        blocks = blocks.reshape(len(flat), -1, shape[1], shape[0])
                        blocks = symmetry * blocks.conj().swapaxes(-1, -2)
                    slots = index[rows] - group.start
                    array[:, slots] = blocks.reshape(len(flat), -1, *shape)
                    seen[slots] = True
                target.append((array, seen))
        values, asymmetry = [], 0.0
        for (a, seen_a), (b, seen_b) in zip(stored, partner, strict=True):
            both = seen_a & seen_b
            if both.any():
                asymmetry = max(asymmetry, float(abs(a[:, both] - b[:, both]).max()))
            count = (seen_a.astype(int) + seen_b)[None, :, None, None]
            values.append((a + b) / np.maximum(count, 1))
        matrix = cls(pattern, tuple(values), symmetry)
        return matrix, max(asymmetry, matrix._make_onsite_exact())

    def _make_onsite_exact(self) -> float:
        """Symmetrise on-site blocks in place (only while the matrix is being made)."""
        worst = 0.0
        for group, array in zip(self.pattern.groups, self.values, strict=True):
            here = np.flatnonzero(self.pattern.onsite[group.slice])
            if len(here):
                block = array[:, here]
                adjoint = self.symmetry * block.conj().swapaxes(-1, -2)
                worst = max(worst, float(abs(block - adjoint).max()))
                array[:, here] = (block + adjoint) / 2
        return worst

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
        for group, array in zip(self.pattern.groups, self.values, strict=True):
            if group.start <= index[0] < group.stop:
                block = array[:, index[0] - group.start]
                return self.symmetry * block.conj().swapaxes(-1, -2) if swapped[0] else block
        raise AssertionError("groups cover the pattern")

    def blocks(self, species_i: int, species_j: int) -> NDArray:
        """View of all blocks between two species (species indices, species_i <= species_j)."""
        for group, array in zip(self.pattern.groups, self.values, strict=True):
            if (group.species_i, group.species_j) == (species_i, species_j):
                return array
        raise KeyError(f"no blocks between species {species_i} and {species_j}")

    # ------------------------------------------------------------------ sums over cells
    def _accumulate(self, weights: NDArray) -> NDArray:
        """Full matrix from the weighted sum of stored blocks over R, without the partners."""
        p = self.pattern
        dtype = np.result_type(self.dtype, weights.dtype)
        out = np.zeros((self.n_components, p.n_orbitals, p.n_orbitals), dtype)
        for group, array in zip(p.groups, self.values, strict=True):
            i, j, w = p.i[group.slice], p.j[group.slice], weights[group.slice]
            run = np.concatenate([[0], np.flatnonzero(np.diff(i) | np.diff(j)) + 1])
            summed = np.add.reduceat(array * w[None, :, None, None], run, axis=1)
            n_a, n_b = p.block_shape(group)
            rows = p.offsets[i[run]][:, None] + np.arange(n_a)
            columns = p.offsets[j[run]][:, None] + np.arange(n_b)
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
        if k.ndim == 2:
            return np.stack([self.at_k(point) for point in k])
        if k.shape != (3,):
            raise InputError(f"k-points of shape {k.shape}; expected (3,) or (n_k, 3)")
        phase = np.exp(2j * np.pi * (self.pattern.R @ k))
        # an on-site block is its own partner and would be counted twice
        half = self._accumulate(np.where(self.pattern.onsite, 0.5, 1.0) * phase)
        return half + self.symmetry * half.conj().swapaxes(-1, -2)

    def dense(self, R: Sequence[int] = (0, 0, 0)) -> NDArray:
        """Matrix X(R) between all orbitals of the home cell and of the cell R, (n_c, n, n)."""
        R = np.asarray(R)
        here = (self.pattern.R == R).all(axis=1).astype(np.float64)
        there = (self.pattern.R == -R).all(axis=1).astype(np.float64)
        if not R.any():
            here = there = np.where(self.pattern.onsite, 0.5, here)
        partner = self._accumulate(there).conj().swapaxes(-1, -2)
        return self._accumulate(here) + self.symmetry * partner

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

    def on_pattern(self, pattern: BlockPattern, *, drop: bool = False) -> BlockMatrix:
        """The matrix on another pattern: new blocks are zero.

        Raises
        ------
        InputError
            Blocks would be lost and `drop` is not set: they are never cut silently.
        """
        if pattern == self.pattern:
            return self
        index, _ = pattern.find(self.pattern.i, self.pattern.j, self.pattern.R)
        lost = index < 0
        if lost.any() and not drop:
            raise InputError(
                f"{int(lost.sum())} of {self.pattern.n_blocks} blocks do not exist in the new pattern"
            )
        out = BlockMatrix.zeros(pattern, self.n_components, self.dtype, self.symmetry)
        for group, array in zip(self.pattern.groups, self.values, strict=True):
            slots = index[group.slice]
            for target, values in zip(pattern.groups, out.values, strict=True):
                here = (slots >= target.start) & (slots < target.stop)
                values[:, slots[here] - target.start] = array[:, here]
        return out
