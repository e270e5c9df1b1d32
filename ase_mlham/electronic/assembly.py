"""Dense H(k) and S(k), many k-points at a time.

`BlockMatrix.at_k` is the definition; this is the same sum arranged for speed. In a small cell the
blocks are scattered once to [R, n, n] and all k follow by one product with the phases; in a large
one, where every pair of atoms has one or two R, the blocks are weighted and added where they
belong, and the other triangle is filled by conjugation. Where 2k is a lattice vector the phases
are +1 and -1: the matrices of a system with time reversal are then real, and the eigenproblem
three to six times cheaper.
"""

from __future__ import annotations

from itertools import pairwise
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_mlham.core.blocks import BlockMatrix
from ase_mlham.core.spin import SpinKind, spin_blocks
from ase_mlham.core.system import LCAOSystem
from ase_mlham.errors import InputError

__all__ = ["Assembly", "BlochSum", "is_time_reversal_invariant", "without_zero_imaginary"]

SCATTERED_LIMIT = 2_000_000
"""Numbers in [R, component, n, n] up to which the blocks of a small cell are scattered (16 MB)."""

CHUNK = 1_000_000
"""Numbers of H(k) that are made at a time."""


def is_time_reversal_invariant(k: ArrayLike) -> NDArray[np.bool_]:
    """Whether 2k is a reciprocal lattice vector, for k-points (..., 3) in fractions."""
    twice = 2 * np.asarray(k, dtype=np.float64)
    # rounding of k itself is forgiven, nothing more: phases are exact to 1e-12
    return np.asarray(np.all(abs(twice - np.round(twice)) < 1e-13, axis=-1))


def without_zero_imaginary(matrix: BlockMatrix) -> BlockMatrix:
    """The matrix stored as real numbers if it is real."""
    if not np.iscomplexobj(matrix.values[0]) or any(v.imag.any() for v in matrix.values):
        return matrix
    arrays = tuple(np.ascontiguousarray(v.real) for v in matrix.values)
    return BlockMatrix(matrix.pattern, arrays, matrix.symmetry)


class BlochSum:
    """An operator prepared for sums X(k) = sum_R exp(2 pi i k.R) X(R) at many k.

    Parameters
    ----------
    matrix : BlockMatrix
        Hermitian.

    Raises
    ------
    InputError
        The matrix is anti-Hermitian.
    """

    def __init__(self, matrix: BlockMatrix) -> None:
        if matrix.symmetry != 1:
            raise InputError("Bloch sums are prepared for Hermitian operators")
        self.matrix = without_zero_imaginary(matrix)
        self.is_real = not np.iscomplexobj(self.matrix.values[0])
        p = self.matrix.pattern
        self.shape = (self.matrix.n_components, p.n_orbitals, p.n_orbitals)
        cells, self._cell_of_block = np.unique(p.R, axis=0, return_inverse=True)
        self._cells = cells.astype(np.float64)
        self._scattered: NDArray | None = None
        if len(cells) * int(np.prod(self.shape)) <= SCATTERED_LIMIT:
            self._scattered = self._scatter()

    def _scatter(self) -> NDArray:
        """Stored blocks as [R, component * n * n], on-site blocks halved: partners come later."""
        p = self.matrix.pattern
        out = np.zeros((len(self._cells), *self.shape), np.result_type(self.matrix.dtype, float))
        for group, array in zip(p.groups, self.matrix.values, strict=True):
            n_a, n_b = p.block_shape(group)
            rows = p.offsets[p.i[group.slice]][:, None, None] + np.arange(n_a)[:, None]
            columns = p.offsets[p.j[group.slice]][:, None, None] + np.arange(n_b)
            half = np.where(p.onsite[group.slice], 0.5, 1.0)[:, None, None]
            cell = self._cell_of_block[group.slice][:, None, None]
            for component, blocks in enumerate(array):
                out[cell, component, rows, columns] = half * blocks
        return out.reshape(len(self._cells), -1)

    def at(self, kpts: NDArray[np.float64]) -> NDArray:
        """X at several k-points.

        Parameters
        ----------
        kpts : (n_k, 3) float
            Fractions of the reciprocal lattice vectors.

        Returns
        -------
        (n_k, n_components, n, n)
            Full Hermitian matrices; real if the operator is real and every k is equal to -k.
        """
        if self._scattered is not None:
            angle = 2 * np.pi * (kpts @ self._cells.T)
            half = self._phase_sum(angle, real=bool(is_time_reversal_invariant(kpts).all()))
            return half + half.conj().swapaxes(-1, -2)
        parts = [self._large(k) for k in kpts]
        return parts[0][None] if len(parts) == 1 else np.stack(parts)

    def _phase_sum(self, angle: NDArray[np.float64], *, real: bool) -> NDArray:
        """Sum over stored blocks with the phases of some angles (n_k, n_R)."""
        scattered = self._scattered
        if scattered is None:
            raise AssertionError("only small cells are scattered")
        shape = (len(angle), *self.shape)
        if not self.is_real:
            return (np.exp(1j * angle) @ scattered).reshape(shape)
        if real:
            return np.asarray(np.round(np.cos(angle)) @ scattered).reshape(shape)
        out = np.empty((len(angle), scattered.shape[1]), np.complex128)
        out.real = np.cos(angle) @ scattered
        out.imag = np.sin(angle) @ scattered
        return out.reshape(shape)

    def _large(self, k: NDArray[np.float64]) -> NDArray:
        """One k of a large cell: weighted blocks added where they belong, then their adjoints.

        All blocks of a pair of different atoms are stored in one order of the two, so that a pair
        is written once; only an atom with its own images needs block + adjoint.
        """
        p = self.matrix.pattern
        phase: NDArray = np.exp(2j * np.pi * (p.R @ k))
        if self.is_real and is_time_reversal_invariant(k):
            phase = np.round(phase.real)
        dtype = np.result_type(self.matrix.dtype, phase.dtype, np.float64)
        out = np.zeros(self.shape, dtype)
        for group, array in zip(p.groups, self.matrix.values, strict=True):
            i, j, w = p.i[group.slice], p.j[group.slice], phase[group.slice]
            n_a, n_b = p.block_shape(group)
            starts = np.concatenate([[0], np.flatnonzero(np.diff(i) | np.diff(j)) + 1])
            stops = np.concatenate([starts[1:], [len(i)]])
            w = np.where(p.onsite[group.slice], 0.5, 1.0) * w
            # runs are cut so that the weighted copy stays in the processor's cache
            cuts = [*range(0, len(starts), 1024), len(starts)]
            for first, last in pairwise(cuts):
                here = slice(starts[first], stops[last - 1])
                blocks = array[:, here] * w[None, here, None, None]
                if stops[last - 1] - starts[first] > last - first:
                    blocks = np.add.reduceat(blocks, starts[first:last] - starts[first], axis=1)
                a, b = i[starts[first:last]], j[starts[first:last]]
                own = np.flatnonzero(a == b)
                if len(own):
                    blocks[:, own] += blocks[:, own].conj().swapaxes(-1, -2)
                rows = p.offsets[a][:, None, None] + np.arange(n_a)[:, None]
                columns = p.offsets[b][:, None, None] + np.arange(n_b)
                out[:, rows, columns] = blocks
                out[:, columns.swapaxes(1, 2), rows.swapaxes(1, 2)] = blocks.conj().swapaxes(-1, -2)
        return out


_prepared: WeakKeyDictionary[LCAOSystem, Assembly] = WeakKeyDictionary()


class Assembly:
    """H(k) and S(k) of a system, as matrices of its independent eigenvalue problems.

    Parameters
    ----------
    system : LCAOSystem
        Whose H and S may have different patterns.
    """

    def __init__(self, system: LCAOSystem) -> None:
        self.spin: SpinKind = system.spin
        self.hamiltonian = BlochSum(system.hamiltonian)
        self.overlap = BlochSum(system.overlap)

    @classmethod
    def of(cls, system: LCAOSystem) -> Assembly:
        """The assembly of a system, prepared once: a search asks for a few k-points many times."""
        if system not in _prepared:
            _prepared[system] = cls(system)
        return _prepared[system]

    @property
    def n_orbitals(self) -> int:
        """Spatial orbitals."""
        return self.overlap.shape[-1]

    @property
    def size(self) -> int:
        """Rows of one eigenvalue problem: twice the orbitals for spinors."""
        return self.n_orbitals * (2 if self.spin is SpinKind.SPINOR else 1)

    @property
    def chunk(self) -> int:
        """How many k-points to make at a time."""
        return max(1, min(64, CHUNK // int(np.prod(self.hamiltonian.shape))))

    def at(self, kpts: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
        """Matrices at several k-points.

        Parameters
        ----------
        kpts : (n_k, 3) float
            Fractions of the reciprocal lattice vectors.

        Returns
        -------
        hamiltonian : (n_k, n_channels, m, m)
            Up and down for collinear; (up, down) x (up, down) for spinors. Real where it can be.
        overlap : (n_k, n, n)
            Between spatial orbitals: a spinor problem needs it for up and for down.
        """
        components = self.hamiltonian.at(kpts)
        blocks = np.stack([spin_blocks(one, self.spin) for one in components])
        return blocks, self.overlap.at(kpts)[:, 0]
