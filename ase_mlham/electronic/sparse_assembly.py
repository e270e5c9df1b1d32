"""Sparse H(k) and S(k): upper triangles on one fixed pattern, filled run by run.

Inside a block of two atoms each row is a run of numbers that is contiguous in compressed rows.
The place of every run is found once for a structure, one index for n_j numbers; filling a k-point
is then blocks times phases, copied to those places. Building coordinates of single numbers
instead takes twenty times as long and several times the memory of H. Only the upper triangle is
made: factorisations of Hermitian matrices want no more.

Spinors are ordered atom by atom here (all up, then all down orbitals of an atom), which keeps
blocks together; `SparseAssembly.order` leads back to the order of the package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ase_mlham.core.blocks import BlockMatrix
from ase_mlham.core.pattern import BlockPattern
from ase_mlham.core.spin import SpinKind
from ase_mlham.core.system import LCAOSystem
from ase_mlham.electronic.assembly import is_time_reversal_invariant, without_zero_imaginary
from ase_mlham.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["SparseAssembly", "UpperTriangle", "full_matrix"]

_CHUNK = 512
"""Blocks weighted at a time: their product stays in the second-level cache."""

Combine = Callable[[NDArray], NDArray]
"""Pauli components (n_components, n, a, b) of some blocks to the blocks of one matrix (n, a',
b')."""


@dataclass(frozen=True, eq=False)
class _Runs:
    """Where the blocks of one group of a pattern go.

    Attributes
    ----------
    blocks : (n,) int
        Blocks of the group, those of one pair of atoms together.
    first : (n_pairs,) int
        Where each pair begins in `blocks`.
    starts : (n_pairs, n_rows) int
        Place of each row of each pair in the data.
    swapped : bool
        The adjoint of the sum is what belongs there.
    """

    blocks: NDArray[np.int64]
    first: NDArray[np.int64]
    starts: NDArray[np.int64]
    swapped: bool


@dataclass(frozen=True, eq=False)
class _Own:
    """Blocks of atoms with themselves and their images, in one group.

    Attributes
    ----------
    blocks, first
        As for `_Runs`.
    atoms : (n_pairs,) int
        The atoms.
    half : (n,) float
        1/2 for on-site blocks: the adjoint is added to the sum.
    """

    blocks: NDArray[np.int64]
    first: NDArray[np.int64]
    atoms: NDArray[np.int64]
    half: NDArray[np.float64]


class UpperTriangle:
    """Compressed rows that hold the upper triangles of several operators at any k.

    Parameters
    ----------
    pattern : BlockPattern
        Union of the patterns of the operators.
    repeat : int
        2 for spinors: each atom has twice its orbitals.
    """

    def __init__(self, pattern: BlockPattern, repeat: int = 1) -> None:
        self.pattern, self.repeat = pattern, repeat
        size = repeat * pattern.sizes[pattern.species]
        n_atoms = pattern.n_atoms
        self.size = size
        low = np.minimum(pattern.i, pattern.j).astype(np.int64)
        high = np.maximum(pattern.i, pattern.j).astype(np.int64)
        self._keys = np.unique((low * n_atoms + high)[low != high])
        row, column = self._keys // n_atoms, self._keys % n_atoms
        width = size[column]
        before = np.cumsum(width) - width
        beyond = np.bincount(row, width, minlength=n_atoms).astype(np.int64)
        first_pair = np.searchsorted(row, np.arange(n_atoms))
        start_of_row = np.concatenate([before, [int(width.sum())]])[first_pair]
        # pairs of one row of atoms follow one another: how far each is from the first of them
        self._place = before - start_of_row[row]
        self._row_length = size + beyond
        per_atom = size * self._row_length - size * (size - 1) // 2
        self._base = np.concatenate([[0], np.cumsum(per_atom)])
        self.offsets = np.concatenate([[0], np.cumsum(size)])
        self.n = int(self.offsets[-1])
        self.nnz = int(self._base[-1])
        kind = np.int32 if self.nnz < 2**31 else np.int64
        self.indptr = np.empty(self.n + 1, kind)
        self.indices = np.empty(self.nnz, kind)
        self._fill_structure(row, column)

    def _row_starts(self, atoms: NDArray[np.int64]) -> NDArray[np.int64]:
        """First number of each row of some atoms of one size, (n, n_rows)."""
        r = np.arange(int(self.size[atoms[0]]) if len(atoms) else 0)
        return np.asarray(
            self._base[atoms][:, None] + r * self._row_length[atoms][:, None] - r * (r - 1) // 2
        )

    def _fill_structure(self, row: NDArray[np.int64], column: NDArray[np.int64]) -> None:
        """Row pointers and column indices."""
        self.indptr[-1] = self.nnz
        for n in np.unique(self.size):
            atoms = np.flatnonzero(self.size == n)
            starts = self._row_starts(atoms)
            self.indptr[self.offsets[atoms][:, None] + np.arange(n)] = starts
            for r in range(int(n)):
                length = int(n) - r
                window = sliding_window_view(self.indices, length, writeable=True)
                window[starts[:, r]] = self.offsets[atoms][:, None] + np.arange(r, int(n))
        for rows in np.unique(self.size):
            for columns in np.unique(self.size):
                pairs = np.flatnonzero((self.size[row] == rows) & (self.size[column] == columns))
                if not len(pairs):
                    continue
                window = sliding_window_view(self.indices, int(columns), writeable=True)
                for part in np.array_split(pairs, max(1, len(pairs) // 4096)):
                    starts = self._pair_starts(part, row[part])
                    run = self.offsets[column[part]][:, None] + np.arange(int(columns))
                    window[starts] = run[:, None, :]

    def _pair_starts(self, pairs: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """First number of each row of the blocks of some pairs of different atoms."""
        n = int(self.size[rows[0]])
        shrinking = n - np.arange(n)
        return np.asarray(self._row_starts(rows) + shrinking + self._place[pairs][:, None])

    def runs(self, pattern: BlockPattern) -> list[tuple[list[_Runs], _Own | None]]:
        """Where the blocks of a pattern go, group by group.

        Raises
        ------
        InputError
            A pair of atoms has no place here.
        """
        out: list[tuple[list[_Runs], _Own | None]] = []
        for group in pattern.groups:
            i = pattern.i[group.slice].astype(np.int64)
            j = pattern.j[group.slice].astype(np.int64)
            parts = []
            for swapped in (False, True):
                blocks = np.flatnonzero(i > j if swapped else i < j)
                if not len(blocks):
                    continue
                a, b = (j, i) if swapped else (i, j)
                keys = a[blocks] * pattern.n_atoms + b[blocks]
                first = np.concatenate([[0], np.flatnonzero(np.diff(keys)) + 1])
                pairs = np.minimum(
                    np.searchsorted(self._keys, keys[first]), max(0, len(self._keys) - 1)
                )
                if not len(self._keys) or np.any(self._keys[pairs] != keys[first]):
                    raise InputError("the operator has blocks outside the prepared pattern")
                rows = a[blocks[first]]
                parts.append(_Runs(blocks, first, self._pair_starts(pairs, rows), swapped))
            own = None
            blocks = np.flatnonzero(i == j)
            if len(blocks):
                first = np.concatenate([[0], np.flatnonzero(np.diff(i[blocks])) + 1])
                half = np.where(pattern.onsite[group.slice][blocks], 0.5, 1.0)
                own = _Own(blocks, first, i[blocks[first]], half)
            out.append((parts, own))
        return out

    def fill(
        self,
        matrix: BlockMatrix,
        runs: list[tuple[list[_Runs], _Own | None]],
        k: NDArray[np.float64],
        combine: Combine,
        *,
        is_real: bool,
    ) -> NDArray:
        """Numbers of the upper triangle of one matrix at one k.

        Parameters
        ----------
        matrix : BlockMatrix
            Hermitian.
        runs : list
            From `runs` of its pattern.
        k : (3,) float
            Fractions of the reciprocal lattice vectors.
        combine : callable
            Which matrix to make of the components of a block.
        is_real : bool
            The result is real: 2k is a lattice vector, and what is combined is real.

        Returns
        -------
        (nnz,) float or complex
            In double precision.
        """
        data = np.zeros(self.nnz, np.float64 if is_real else np.complex128)
        for group, array, (parts, own) in zip(
            matrix.pattern.groups, matrix.values, runs, strict=True
        ):
            phase: NDArray = np.exp(2j * np.pi * (matrix.pattern.R[group.slice] @ k))
            if is_real:
                phase = np.round(phase.real)
            for part in parts:
                self._fill_runs(data, array, phase, part, combine)
            if own is not None:
                self._fill_own(data, array, phase, own, combine)
        return data

    @staticmethod
    def _fill_runs(
        data: NDArray, array: NDArray, phase: NDArray, part: _Runs, combine: Combine
    ) -> None:
        window = None
        ends = np.concatenate([part.first[1:], [len(part.blocks)]])
        for at in range(0, len(part.first), _CHUNK):
            pairs = slice(at, min(at + _CHUNK, len(part.first)))
            blocks = part.blocks[part.first[at] : ends[pairs.stop - 1]]
            weighted = combine(array[:, blocks]) * phase[blocks, None, None]
            if len(blocks) > pairs.stop - at:
                cuts = part.first[pairs] - part.first[at]
                weighted = np.add.reduceat(weighted, cuts, axis=0)
            if part.swapped:
                weighted = weighted.conj().swapaxes(1, 2)
            if window is None:
                window = sliding_window_view(data, weighted.shape[2], writeable=True)
            window[part.starts[pairs]] = weighted

    def _fill_own(
        self, data: NDArray, array: NDArray, phase: NDArray, own: _Own, combine: Combine
    ) -> None:
        weighted = combine(array[:, own.blocks]) * (own.half * phase[own.blocks])[:, None, None]
        summed = np.add.reduceat(weighted, own.first, axis=0)
        summed = summed + summed.conj().swapaxes(1, 2)
        starts = self._row_starts(own.atoms)
        n = summed.shape[1]
        for r in range(n):
            window = sliding_window_view(data, n - r, writeable=True)
            window[starts[:, r]] = summed[:, r, r:]

    def matrix(self, data: NDArray) -> csr_array:
        """Compressed rows with these numbers; the index arrays are shared."""
        from scipy.sparse import csr_array

        out = csr_array((data, self.indices, self.indptr), shape=(self.n, self.n), copy=False)
        out.has_sorted_indices = True
        out.has_canonical_format = True
        return out


class SparseAssembly:
    """Sparse H(k) and S(k) of a system on one pattern.

    Parameters
    ----------
    system : LCAOSystem
        H and S may have different patterns; both are held on their union.

    Attributes
    ----------
    order : (m,) int
        Index here of each orbital in the order of the package; not the identity for spinors only.
    upper : UpperTriangle
        The common pattern.
    hamiltonian_runs, overlap_runs : list
        Where the blocks of either go.
    """

    def __init__(self, system: LCAOSystem) -> None:
        self.spin = system.spin
        self.hamiltonian = without_zero_imaginary(system.hamiltonian)
        self.overlap = system.overlap
        repeat = 2 if self.spin is SpinKind.SPINOR else 1
        union = self.hamiltonian.pattern.union(self.overlap.pattern)
        self.upper = UpperTriangle(union, repeat)
        self.hamiltonian_runs = self.upper.runs(self.hamiltonian.pattern)
        self.overlap_runs = (
            self.hamiltonian_runs
            if self.overlap.pattern == self.hamiltonian.pattern
            else self.upper.runs(self.overlap.pattern)
        )
        atoms = np.repeat(np.arange(union.n_atoms), np.diff(union.offsets))
        inside = np.arange(union.n_orbitals) - union.offsets[atoms]
        up = self.upper.offsets[atoms] + inside
        self.order = up if repeat == 1 else np.concatenate([up, up + self.upper.size[atoms] // 2])

    @property
    def size(self) -> int:
        """Rows of the matrices."""
        return self.upper.n

    def at(self, k: NDArray[np.float64]) -> tuple[list[csr_array], csr_array]:
        """Upper triangles of H for each spin channel, and of S.

        Real where 2k is a reciprocal lattice vector and H(R) is real.
        """
        k = np.asarray(k, dtype=np.float64)
        special = bool(is_time_reversal_invariant(k))
        real = special and not np.iscomplexobj(self.hamiltonian.values[0])
        real = real and self.spin is not SpinKind.SPINOR
        channels = [
            self.upper.matrix(
                self.upper.fill(self.hamiltonian, self.hamiltonian_runs, k, combine, is_real=real)
            )
            for combine in self._combinations()
        ]
        overlap = self.upper.fill(
            self.overlap, self.overlap_runs, k, self._spinless, is_real=special
        )
        return channels, self.upper.matrix(overlap)

    def _combinations(self) -> list[Combine]:
        if self.spin is SpinKind.NONE:
            return [lambda x: x[0]]
        if self.spin is SpinKind.COLLINEAR:
            return [lambda x: x[0] + x[1], lambda x: x[0] - x[1]]
        return [_spinor]

    def _spinless(self, components: NDArray) -> NDArray:
        """S of a block: for spinors once for up and once for down."""
        block = components[0]
        if self.spin is not SpinKind.SPINOR:
            return block
        n, a, b = block.shape
        out = np.zeros((n, 2 * a, 2 * b), block.dtype)
        out[:, :a, :b] = out[:, a:, b:] = block
        return out


def _spinor(components: NDArray) -> NDArray:
    """Blocks (n, 2a, 2b) of a spinor Hamiltonian."""
    one, x, y, z = components
    n, a, b = one.shape
    out = np.empty((n, 2 * a, 2 * b), np.complex128)
    out[:, :a, :b], out[:, a:, b:] = one + z, one - z
    out[:, :a, b:], out[:, a:, :b] = x - 1j * y, x + 1j * y
    return out


def full_matrix(upper: csr_array) -> csr_array:
    """Hermitian matrix of which the upper triangle is given, for solvers that want all of it."""
    from scipy.sparse import triu

    strict = triu(upper, k=1, format="csr")
    return upper + strict.conj().T.tocsr()
