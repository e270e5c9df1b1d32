"""Matrices of two-centre operators on a structure: S, kinetic energy, position, gradient, <L>.

Only the radial functions in the basis are needed, no DFT code. One batched evaluation for each pair
of species fills the blocks of a pattern in place.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.basis import OrbitalBasis
from ase_mlham.core.blocks import BlockMatrix
from ase_mlham.core.harmonics import gaunt
from ase_mlham.core.pattern import BlockPattern
from ase_mlham.core.structure import Structure
from ase_mlham.core.system import basis_pattern
from ase_mlham.errors import BasisError, InputError
from ase_mlham.integrals.tables import PairTable, TwoCentreTables, tables_of
from ase_mlham.units import CODATA_2018, CodeUnits

__all__ = [
    "add_kinetic",
    "angular_generators",
    "angular_momentum",
    "gradient",
    "kinetic",
    "overlap",
    "position",
]

_PORTION = 8192
"""Blocks at once where a matrix of them all is avoided."""


def overlap(
    structure: Structure,
    basis: OrbitalBasis,
    pattern: BlockPattern | None = None,
    *,
    tables: TwoCentreTables | None = None,
) -> BlockMatrix:
    """Overlap S[i, j, R] = <phi_i | phi_j(R)>.

    Parameters
    ----------
    structure : Structure
        Where the atoms are.
    basis : OrbitalBasis
        Every shell needs a radial function.
    pattern : BlockPattern, optional
        Which blocks to compute; by default all pairs of atoms whose orbitals touch.
    tables : TwoCentreTables, optional
        Radial tables of this basis; by default those remembered for it.

    Returns
    -------
    BlockMatrix
        One component, dimensionless, float64.

    Raises
    ------
    BasisError
        An element or a radial function is missing, or the pattern belongs to another basis.
    """
    return _evaluate("overlap", structure, basis, pattern, tables)


def kinetic(
    structure: Structure,
    basis: OrbitalBasis,
    pattern: BlockPattern | None = None,
    units: CodeUnits = CODATA_2018,
    *,
    tables: TwoCentreTables | None = None,
) -> BlockMatrix:
    """Kinetic energy T[i, j, R] = <phi_i | -hbar^2 nabla^2 / 2m | phi_j(R)>.

    Parameters
    ----------
    structure, basis, pattern, tables
        As for `overlap`.
    units : CodeUnits
        Whose hbar^2 / 2m: that of the code whose H it is compared with.

    Returns
    -------
    BlockMatrix
        One component, eV.
    """
    matrix = _evaluate("kinetic", structure, basis, pattern, tables)
    for array in matrix.values:
        array *= units.hbar2_over_2m
    return matrix


def add_kinetic(
    matrix: BlockMatrix,
    structure: Structure,
    basis: OrbitalBasis,
    units: CodeUnits = CODATA_2018,
    *,
    tables: TwoCentreTables | None = None,
) -> None:
    """Add the kinetic energy to a matrix in place, without a second matrix of its size.

    Parameters
    ----------
    matrix : BlockMatrix
        Real and Hermitian; its first component receives T in eV.
    structure, basis, units, tables
        As for `kinetic`.
    """
    tables = tables_of(basis) if tables is None else tables
    pattern = matrix.pattern
    _check_fit(structure, basis, pattern, tables)
    vectors = pattern.vectors(structure)
    for group, values in zip(pattern.groups, matrix.values, strict=True):
        table = tables.table("kinetic", group.species_i, group.species_j)
        for start in range(group.start, group.stop, _PORTION):
            part = slice(start, min(start + _PORTION, group.stop))
            blocks = _blocks(table, vectors[part], pattern.onsite[part])[0]
            blocks *= units.hbar2_over_2m
            values[0, part.start - group.start : part.stop - group.start] += blocks


def position(
    structure: Structure,
    basis: OrbitalBasis,
    pattern: BlockPattern | None = None,
    overlap: BlockMatrix | None = None,
    *,
    tables: TwoCentreTables | None = None,
) -> BlockMatrix:
    """Position X[i, j, R] = <phi_i | r - (tau_i + tau_j + R)/2 | phi_j(R)>.

    Parameters
    ----------
    structure, basis, pattern, tables
        As for `overlap`.
    overlap : BlockMatrix, optional
        S on the same pattern, if it is at hand; it is computed otherwise.

    Returns
    -------
    BlockMatrix
        Components x, y, z in Å. Relative to the middle of the pair the matrix is Hermitian and
        independent of any origin; with an origin at the centre of the first atom it is
        X + (tau_j + R - tau_i)/2 S, with a common origin o it is X + ((tau_i + tau_j + R)/2 - o) S.

    Raises
    ------
    BasisError
        As for `overlap`.
    InputError
        The overlap given is on another pattern.
    """
    matrix = _evaluate("position", structure, basis, pattern, tables)
    pattern = matrix.pattern
    if overlap is None:
        overlap = _evaluate("overlap", structure, basis, pattern, tables)
    elif overlap.pattern != pattern:
        raise InputError("the overlap given for the positions is on another block pattern")
    half = pattern.vectors(structure) / 2
    for group, array, s in zip(pattern.groups, matrix.values, overlap.values, strict=True):
        for axis in range(3):
            array[axis] -= half[group.slice, axis, None, None] * s[0]
    return matrix


def gradient(
    structure: Structure,
    basis: OrbitalBasis,
    pattern: BlockPattern | None = None,
    *,
    tables: TwoCentreTables | None = None,
) -> BlockMatrix:
    """Gradient D[i, j, R] = <phi_i | d/dr | phi_j(R)>; the momentum is -i hbar D.

    Parameters
    ----------
    structure, basis, pattern, tables
        As for `overlap`.

    Returns
    -------
    BlockMatrix
        Components x, y, z in 1/Å, anti-Hermitian (`symmetry` is -1). It is also the derivative of
        the overlap: dS[i, j, R] / d(tau_j) = -D[i, j, R] = -dS[i, j, R] / d(tau_i).
    """
    matrix = _evaluate("gradient", structure, basis, pattern, tables, symmetry=-1)
    for array in matrix.values:
        np.negative(array, out=array)
    return matrix


def angular_generators(l: int) -> NDArray[np.float64]:
    """Real matrices g with L = -i hbar g: <Y_lm | r x nabla | Y_lm'>, (3, 2 l + 1, 2 l + 1).

    They are antisymmetric; g_z couples m and -m of the real harmonics with strength m.
    """
    # r x nabla is the only axial vector between harmonics of one degree, so the cross product of
    # two coordinates taken through degree l + 1 is proportional to it
    up = np.sqrt(4 * np.pi / 3) * gaunt(l, l + 1, 1)[:, :, [2, 0, 1]]
    g = np.empty((3, 2 * l + 1, 2 * l + 1))
    for axis, (b, c) in enumerate(((1, 2), (2, 0), (0, 1))):
        product = up[:, :, c] @ up[:, :, b].T
        g[axis] = (2 * l + 1) * (product - product.T)
    return g


def angular_momentum(
    structure: Structure,
    basis: OrbitalBasis,
    pattern: BlockPattern | None = None,
    overlap: BlockMatrix | None = None,
    *,
    tables: TwoCentreTables | None = None,
) -> BlockMatrix:
    """Angular momentum <phi_i | (r - c) x p | phi_j(R)> / hbar about c, the middle of the pair.

    Parameters
    ----------
    structure, basis, pattern, tables
        As for `overlap`.
    overlap : BlockMatrix, optional
        S on the same pattern, for example one read from a file; then no radial function is needed.

    Returns
    -------
    BlockMatrix
        Components x, y, z in units of hbar, complex (imaginary) and Hermitian.

    Notes
    -----
    About the centre of its own atom L acts within a shell, so that <i|L_j|j> = S l_j and
    <i|L_i|j> = l_i S with constant matrices l: only S is needed. These two differ, because L
    depends on the origin, and neither is Hermitian; their mean is L about the middle of the pair,
    which is. On site all three are the same.
    """
    if overlap is None:
        overlap = _evaluate("overlap", structure, basis, pattern, tables)
    elif pattern is not None and overlap.pattern != pattern:
        raise InputError("the overlap given for <L> is on another block pattern")
    local = []
    for entry in basis.species:
        matrix = np.zeros((3, entry.n_orbitals, entry.n_orbitals))
        for shell, start, stop in zip(
            entry.shells, entry.offsets[:-1], entry.offsets[1:], strict=True
        ):
            matrix[:, start:stop, start:stop] = angular_generators(shell.l)
        local.append(matrix)
    values = []
    for group, s in zip(overlap.pattern.groups, overlap.values, strict=True):
        array = np.empty((3, *s.shape[1:]), dtype=np.complex128)
        for axis in range(3):
            acted = s[0] @ local[group.species_j][axis] + local[group.species_i][axis] @ s[0]
            array[axis] = -0.5j * acted
        values.append(array)
    return BlockMatrix(overlap.pattern, tuple(values))


def _evaluate(
    operator: str,
    structure: Structure,
    basis: OrbitalBasis,
    pattern: BlockPattern | None,
    tables: TwoCentreTables | None,
    symmetry: int = 1,
) -> BlockMatrix:
    """Blocks of a pattern from the radial tables; on-site blocks exactly (anti-)Hermitian."""
    tables = tables_of(basis) if tables is None else tables
    if pattern is None:
        pattern = basis_pattern(structure, basis)
    _check_fit(structure, basis, pattern, tables)
    vectors = pattern.vectors(structure)
    values = []
    for group in pattern.groups:
        table = tables.table(operator, group.species_i, group.species_j)
        part = group.slice
        values.append(_blocks(table, vectors[part], pattern.onsite[part], symmetry))
    return BlockMatrix(pattern, tuple(values), symmetry)


def _check_fit(
    structure: Structure, basis: OrbitalBasis, pattern: BlockPattern, tables: TwoCentreTables
) -> None:
    """Refuse tables or a pattern that belong to something else."""
    if tables.basis is not basis and tables.basis != basis:
        raise BasisError("the tables belong to another basis: make TwoCentreTables(basis) anew")
    if not np.array_equal(pattern.sizes, basis.sizes) or not np.array_equal(
        pattern.species, basis.species_index(structure.numbers)
    ):
        raise BasisError("the block pattern does not fit the structure and its basis")


def _blocks(
    table: PairTable,
    vectors: NDArray[np.float64],
    onsite: NDArray[np.bool_],
    symmetry: int = 1,
) -> NDArray[np.float64]:
    """Blocks of some pairs, (n_components, n, n_a, n_b)."""
    blocks = table.blocks(vectors)
    here = np.flatnonzero(onsite)
    if len(here):
        # an on-site block depends on the species alone
        block = table.blocks(np.zeros((1, 3)))
        blocks[:, here] = (block + symmetry * block.swapaxes(-1, -2)) / 2
    return blocks
