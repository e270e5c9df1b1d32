"""Rotated, permuted and shifted systems and supercells: the same physics written down differently.

What is equivariant about a Hamiltonian is said here once: tests of models, formats and properties
compare against these functions. With the orbitals of an atom turned by the Wigner matrices of its
shells, X' = D_i X D_j^T for every block; the components of a vector operator turn as a vector, the
spin components (x, y, z) as a pseudo-vector, for inversion does not act on spin.

All are exact rearrangements of stored numbers (a rotation rounds), vectorised over blocks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_mlham.core.basis import OrbitalBasis
from ase_mlham.core.blocks import BlockMatrix
from ase_mlham.core.harmonics import rotation_matrix
from ase_mlham.core.pattern import BlockPattern
from ase_mlham.core.spin import SpinKind
from ase_mlham.core.structure import Structure
from ase_mlham.core.system import VECTOR_OPERATORS, LCAOSystem
from ase_mlham.errors import InputError

__all__ = [
    "Components",
    "orbital_rotation",
    "permuted",
    "rotated",
    "rotated_matrix",
    "shifted",
    "supercell",
]

Components = Literal["scalar", "vector", "pauli"]
"""How the components of a matrix turn: each for itself, as x, y, z, or as 1, (x, y, z) of spin."""

Sys = TypeVar("Sys", LCAOSystem, BlockMatrix)


# ---------------------------------------------------------------------- rotation
def orbital_rotation(l: ArrayLike, rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Block-diagonal Wigner matrix of the shells of one atom.

    Parameters
    ----------
    l : (n_shells,) int
        Angular momentum of each shell, in storage order.
    rotation : (3, 3) float
        Orthogonal matrix Q, proper or improper.

    Returns
    -------
    (n_orbitals, n_orbitals) float
        D with phi(Q r) = D phi(r), for the orbitals phi of the atom.
    """
    shells = [int(degree) for degree in np.atleast_1d(l)]
    start = np.cumsum([0] + [2 * degree + 1 for degree in shells])
    out = np.zeros((start[-1], start[-1]))
    for degree, a, b in zip(shells, start[:-1], start[1:], strict=True):
        out[a:b, a:b] = rotation_matrix(degree, rotation)
    return out


def _component_rotation(
    components: Components, n_components: int, rotation: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Matrix that mixes the components of an operator."""
    out = np.eye(n_components)
    if components == "vector":
        if n_components != 3:
            raise InputError(f"a vector operator has 3 components, this one {n_components}")
        return rotation
    # collinear: without spin-orbit coupling the axis of spin is not tied to space
    if components == "pauli" and n_components == SpinKind.SPINOR.n_components:
        out[1:, 1:] = np.linalg.det(rotation) * rotation
    return out


def rotated_matrix(
    matrix: BlockMatrix,
    basis: OrbitalBasis,
    rotation: NDArray[np.float64],
    components: Components = "scalar",
) -> BlockMatrix:
    """A matrix in the rotated structure: X'_a = sum_b Q_ab D_i X_b D_j^T.

    Parameters
    ----------
    matrix : BlockMatrix
        Any operator; which blocks exist does not change.
    basis : OrbitalBasis
        The shells of each species of the pattern.
    rotation : (3, 3) float
        Orthogonal matrix Q, proper or improper.
    components : "scalar", "vector" or "pauli"
        How its components turn. Collinear spin (1, z) turns as two scalars.

    Raises
    ------
    InputError
        Q is not orthogonal, or a vector operator has not three components.
    """
    rotation = np.asarray(rotation, dtype=np.float64)
    turns = [orbital_rotation(entry.l, rotation) for entry in basis.species]
    mix = _component_rotation(components, matrix.n_components, rotation)
    values = []
    for group, array in zip(matrix.pattern.groups, matrix.values, strict=True):
        block = turns[group.species_i] @ array @ turns[group.species_j].T
        values.append(np.tensordot(mix, block, axes=1).astype(array.dtype))
    return BlockMatrix(matrix.pattern, tuple(values), matrix.symmetry)


def rotated(system: LCAOSystem, rotation: NDArray[np.float64]) -> LCAOSystem:
    """The system turned about the origin by Q: atoms, cell, orbitals, operators and spin.

    Eigenvalues at the same (fractional) k stay the same. Eigenvectors turn by `orbital_rotation`,
    spinors also by `core.spin.su2`.

    Parameters
    ----------
    system : LCAOSystem
        What to turn.
    rotation : (3, 3) float
        Orthogonal matrix Q, proper or improper; positions become Q tau.

    Raises
    ------
    InputError
        Q is not orthogonal.
    """
    rotation = np.asarray(rotation, dtype=np.float64)
    old = system.structure

    def turn(matrix: BlockMatrix, components: Components) -> BlockMatrix:
        return rotated_matrix(matrix, system.basis, rotation, components)

    return system.replace(
        hamiltonian=turn(system.hamiltonian, "pauli"),
        overlap=turn(system.overlap, "scalar"),
        operators={
            name: turn(matrix, "vector" if name in VECTOR_OPERATORS else "pauli")
            for name, matrix in system.operators.items()
        },
        structure=replace(
            old,
            positions=old.positions @ rotation.T,
            cell=old.cell @ rotation.T,
            moments=_turned_moments(system, rotation),
        ),
    )


def _turned_moments(
    system: LCAOSystem, rotation: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Axial vectors; collinear spin has an axis of its own."""
    moments = system.structure.moments
    if moments is None or system.spin is not SpinKind.SPINOR:
        return moments
    return np.linalg.det(rotation) * moments @ rotation.T


# ---------------------------------------------------------------------- relabelling
def _check_order(order: ArrayLike, n_atoms: int) -> NDArray[np.int64]:
    array = np.asarray(order)
    if array.shape != (n_atoms,) or not np.array_equal(np.sort(array), np.arange(n_atoms)):
        raise InputError(f"order must hold each of 0 to {n_atoms - 1} once")
    return array.astype(np.int64)


def _permuted_matrix(matrix: BlockMatrix, order: NDArray[np.int64]) -> BlockMatrix:
    old = matrix.pattern
    place = np.argsort(order)
    i, j = place[old.i], place[old.j]
    pattern = BlockPattern.from_pairs(old.species[order], old.sizes, i, j, old.R)
    return matrix.relabelled(pattern, i, j, old.R)


def permuted(system: Sys, order: ArrayLike) -> Sys:
    """The system, or matrix, with its atoms in another order.

    Parameters
    ----------
    system : LCAOSystem or BlockMatrix
        What to reorder.
    order : (n_atoms,) int
        Atom n of the result is atom order[n] of the input, as in `atoms[order]`.

    Raises
    ------
    InputError
        `order` is not a permutation.
    """
    if isinstance(system, BlockMatrix):
        return _permuted_matrix(system, _check_order(order, system.pattern.n_atoms))
    old = system.structure
    order = _check_order(order, old.n_atoms)
    return system.replace(
        **{name: _permuted_matrix(matrix, order) for name, matrix in _main(system).items()},
        operators={name: _permuted_matrix(m, order) for name, m in system.operators.items()},
        structure=replace(
            old,
            numbers=old.numbers[order],
            positions=old.positions[order],
            moments=None if old.moments is None else old.moments[order],
        ),
    )


def _main(system: LCAOSystem) -> dict[str, BlockMatrix]:
    return {"hamiltonian": system.hamiltonian, "overlap": system.overlap}


def _shifted_matrix(matrix: BlockMatrix, cells: NDArray[np.int64]) -> BlockMatrix:
    old = matrix.pattern
    R = old.R + cells[old.i] - cells[old.j]
    pattern = BlockPattern.from_pairs(old.species, old.sizes, old.i, old.j, R)
    return matrix.relabelled(pattern, old.i, old.j, R)


def shifted(system: Sys, cells: ArrayLike) -> Sys:
    """The same crystal with each atom represented by another of its images.

    Atom i moves by cells[i], so that the block (i, j, R) becomes (i, j, R + cells[i] - cells[j]).

    Parameters
    ----------
    system : LCAOSystem or BlockMatrix
        What to relabel.
    cells : (n_atoms, 3) int
        Lattice vectors; zero along directions that are not periodic.

    Raises
    ------
    InputError
        Not one whole lattice vector an atom, or one along a direction without periodicity.
    """
    n_atoms = (system if isinstance(system, BlockMatrix) else system.overlap).pattern.n_atoms
    whole = np.asarray(cells)
    if whole.shape != (n_atoms, 3) or not np.array_equal(whole, np.round(whole)):
        raise InputError(f"cells must hold {n_atoms} lattice vectors of three integers")
    whole = whole.astype(np.int64)
    if isinstance(system, BlockMatrix):
        return _shifted_matrix(system, whole)
    old = system.structure
    if np.any(whole[:, ~old.pbc]):
        raise InputError("an atom cannot move by a lattice vector that is not periodic")
    return system.replace(
        **{name: _shifted_matrix(matrix, whole) for name, matrix in _main(system).items()},
        operators={name: _shifted_matrix(m, whole) for name, m in system.operators.items()},
        structure=replace(old, positions=old.positions + whole @ old.cell),
    )


# ---------------------------------------------------------------------- supercells
class _Cosets:
    """The cells of the old lattice inside one cell of the new, and where any other one folds to."""

    def __init__(self, repeats: ArrayLike) -> None:
        m = np.asarray(repeats)
        if m.shape == (3,):
            m = np.diag(m)
        if m.shape != (3, 3) or not np.array_equal(m, np.round(m)):
            raise InputError("a supercell is given by three integers or a 3 x 3 integer matrix")
        self.matrix = m.astype(np.int64)
        determinant = round(float(np.linalg.det(self.matrix)))
        if determinant == 0:
            raise InputError("the lattice vectors of the supercell are not independent")
        self.n = abs(determinant)
        # n times the inverse is an integer matrix: folding needs no rounding of fractions
        inverse = np.round(np.linalg.inv(self.matrix) * self.n).astype(np.int64)
        self._inverse = inverse
        corners = np.array(list(np.ndindex(2, 2, 2))) @ self.matrix
        low, high = corners.min(axis=0), corners.max(axis=0)
        points = np.stack(np.meshgrid(*map(np.arange, low, high + 1), indexing="ij"), -1)
        points = points.reshape(-1, 3)
        fraction = points @ inverse
        self.cells = points[((fraction >= 0) & (fraction < self.n)).all(axis=1)]
        keys = self._key(self.cells @ inverse)
        self._order = np.argsort(keys)
        self._keys = keys[self._order]

    def _key(self, fraction: NDArray[np.int64]) -> NDArray[np.int64]:
        return (fraction[:, 0] * self.n + fraction[:, 1]) * self.n + fraction[:, 2]

    def fold(self, cells: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Index of the old cell inside the new one, and the new lattice vector, of old cells."""
        fraction = cells @ self._inverse
        R = fraction // self.n
        index = self._order[np.searchsorted(self._keys, self._key(fraction - R * self.n))]
        return index, R


def _supercell_matrix(matrix: BlockMatrix, cosets: _Cosets) -> BlockMatrix:
    old = matrix.pattern
    n = old.n_atoms
    target = (cosets.cells[:, None, :] + old.R[None, :, :]).reshape(-1, 3)
    index, R = cosets.fold(target)
    i = np.add.outer(n * np.arange(cosets.n), old.i).ravel()
    j = n * index + np.tile(old.j, cosets.n)
    pattern = BlockPattern.from_pairs(np.tile(old.species, cosets.n), old.sizes, i, j, R)
    shape = (cosets.n, old.n_blocks)
    return matrix.relabelled(pattern, i.reshape(shape), j.reshape(shape), R)


def supercell(system: Sys, repeats: ArrayLike) -> Sys:
    """A larger cell of the same crystal.

    Its bands are those of the small cell folded: H'(k') has the eigenvalues of H at all k with
    k' = M k modulo 1, with M the supercell matrix.

    Parameters
    ----------
    system : LCAOSystem or BlockMatrix
        What to repeat.
    repeats : (3,) or (3, 3) int
        Repeats of each lattice vector (atoms in the order of `ase.Atoms.repeat`), or the supercell
        matrix M with new lattice vectors M @ cell.

    Raises
    ------
    InputError
        Not such integers, a singular M, or a direction that is not periodic would be repeated.
    """
    cosets = _Cosets(repeats)
    if isinstance(system, BlockMatrix):
        return _supercell_matrix(system, cosets)
    old = system.structure
    fixed = ~old.pbc
    if not np.array_equal(cosets.matrix[fixed], np.eye(3)[fixed]) or not np.array_equal(
        cosets.matrix[:, fixed], np.eye(3)[:, fixed]
    ):
        raise InputError("a direction that is not periodic cannot be repeated")
    positions = (cosets.cells @ old.cell)[:, None, :] + old.positions[None, :, :]
    return system.replace(
        **{name: _supercell_matrix(matrix, cosets) for name, matrix in _main(system).items()},
        operators={name: _supercell_matrix(m, cosets) for name, m in system.operators.items()},
        structure=Structure(
            np.tile(old.numbers, cosets.n),
            positions.reshape(-1, 3),
            cosets.matrix @ old.cell,
            old.pbc,
            None if old.moments is None else np.tile(old.moments, (cosets.n, 1)),
        ),
        n_electrons=system.n_electrons * cosets.n,
        kpts=None,
    )
