"""An arrangement of atoms: numbers, positions, cell and periodic directions.

`ase.Atoms` belongs at the faces of the package; inside, a `Structure` cannot be changed under the
feet of a Hamiltonian that refers to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_mlham.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["Structure", "frozen_array", "whole_numbers"]

MAX_ATOMIC_NUMBER = 118


def frozen_array(values: ArrayLike, dtype: type | np.dtype) -> NDArray:
    """Read-only contiguous copy of `values`."""
    array = np.array(values, dtype=dtype, order="C")
    array.flags.writeable = False
    return array


def whole_numbers(values: ArrayLike, name: str) -> NDArray[np.int64]:
    """Integers from integers, or from floats that are whole; nothing is ever rounded silently.

    Raises
    ------
    InputError
        A value is no whole number.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "iu" and array.size:
        with np.errstate(invalid="ignore"):
            whole = array.dtype.kind == "f" and np.array_equal(array, np.round(array))
        if not (whole and np.isfinite(array).all()):
            raise InputError(f"{name} must be whole numbers, not {array.dtype} {array.ravel()[:3]}")
    return array.astype(np.int64)


@dataclass(frozen=True, eq=False)
class Structure:
    """Atoms in space.

    Parameters
    ----------
    numbers : (n_atoms,) int
        Atomic numbers; 0 is ASE's X.
    positions : (n_atoms, 3) float
        Cartesian positions in Å, as the caller gave them (never folded into the cell: the lattice
        vectors R of a Hamiltonian refer to them).
    cell : (3, 3) float
        Lattice vectors as rows, Å. Rows of directions that are not periodic may be zero.
    pbc : (3,) bool
        Which directions are periodic.
    moments : (n_atoms, 3) float, optional
        Magnetic moments of the atoms, Bohr magnetons; collinear ones lie along z, and (n_atoms,)
        numbers are taken as such. None: not known, or none.

    Raises
    ------
    InputError
        Shapes do not fit, a number is not finite, an atomic number does not exist, or a periodic
        direction has no lattice vector.
    """

    numbers: NDArray[np.int64]
    positions: NDArray[np.float64]
    cell: NDArray[np.float64]
    pbc: NDArray[np.bool_]
    moments: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "numbers", whole_numbers(self.numbers, "atomic numbers"))
        for name, dtype in (
            ("numbers", np.int64),
            ("positions", np.float64),
            ("cell", np.float64),
            ("pbc", np.bool_),
        ):
            object.__setattr__(self, name, frozen_array(getattr(self, name), dtype))
        if self.numbers.ndim != 1 or len(self.numbers) == 0:
            raise InputError(
                "the structure has no atoms"
                if self.numbers.size == 0
                else f"atomic numbers of shape {self.numbers.shape}; expected (n_atoms,)"
            )
        n_atoms = len(self.numbers)
        unknown = np.flatnonzero((self.numbers < 0) | (self.numbers > MAX_ATOMIC_NUMBER))
        if len(unknown):
            atom = int(unknown[0])
            raise InputError(
                f"atom {atom} has the atomic number {self.numbers[atom]}; 0 to "
                f"{MAX_ATOMIC_NUMBER} are known"
            )
        if self.positions.shape != (n_atoms, 3) or self.cell.shape != (3, 3):
            raise InputError(
                f"structure of {n_atoms} atoms: positions have shape {self.positions.shape}, cell "
                f"{self.cell.shape}; expected ({n_atoms}, 3) and (3, 3)"
            )
        if self.moments is not None:
            object.__setattr__(self, "moments", _vectors(self.moments, n_atoms))
        if self.pbc.shape != (3,):
            raise InputError(f"pbc has shape {self.pbc.shape}; expected three booleans")
        if not (np.isfinite(self.positions).all() and np.isfinite(self.cell).all()):
            raise InputError("a position or lattice vector is not a finite number")
        for axis in np.flatnonzero(self.pbc):
            if not np.any(self.cell[axis]):
                raise InputError(
                    f"direction {'abc'[axis]} is periodic but its lattice vector is zero; give a "
                    "cell, or pbc=False for a molecule"
                )
        periodic = self.cell[self.pbc]
        if len(periodic) and np.linalg.matrix_rank(periodic, tol=1e-8) < len(periodic):
            raise InputError("the lattice vectors of the periodic directions are not independent")

    @classmethod
    def from_atoms(cls, atoms: Atoms) -> Structure:
        """Structure of an `ase.Atoms` object; its initial magnetic moments are the moments."""
        moments = None
        if atoms.has("initial_magmoms"):
            moments = atoms.get_initial_magnetic_moments()
        return cls(atoms.numbers, atoms.positions, np.asarray(atoms.cell), atoms.pbc, moments)

    def to_atoms(self) -> Atoms:
        """A new `ase.Atoms` object of this structure."""
        from ase import Atoms

        atoms = Atoms(self.numbers, positions=self.positions, cell=self.cell, pbc=self.pbc)
        if self.moments is not None:
            collinear = not np.any(self.moments[:, :2])
            atoms.set_initial_magnetic_moments(self.moments[:, 2] if collinear else self.moments)
        return atoms

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.numbers)

    @property
    def full_cell(self) -> NDArray[np.float64]:
        """Cell whose zero rows are filled with unit vectors normal to the others, (3, 3) Å."""
        cell = self.cell.copy()
        empty = [a for a in range(3) if not np.any(cell[a])]
        if empty:
            # the right singular vectors of the rows that exist span their orthogonal complement
            normal = np.linalg.svd(cell)[2]
            for axis, vector in zip(empty, normal[3 - len(empty) :], strict=True):
                cell[axis] = vector
            if np.linalg.det(cell) < 0:
                cell[empty[0]] *= -1
        return cell

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Structure):
            return NotImplemented
        return all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("numbers", "positions", "cell", "pbc")
        ) and _same(self.moments, other.moments)

    __hash__ = None  # type: ignore[assignment]  # equality compares arrays


def _vectors(moments: ArrayLike, n_atoms: int) -> NDArray[np.float64]:
    """Moments as vectors."""
    array = np.asarray(moments, dtype=np.float64)
    if array.shape == (n_atoms,):
        array = np.stack([np.zeros(n_atoms), np.zeros(n_atoms), array], axis=1)
    if array.shape != (n_atoms, 3) or not np.isfinite(array).all():
        raise InputError(
            f"magnetic moments of shape {np.shape(moments)}; expected ({n_atoms},) or "
            f"({n_atoms}, 3) finite numbers"
        )
    return frozen_array(array, np.float64)


def _same(a: NDArray | None, b: NDArray | None) -> bool:
    if a is None or b is None:
        return a is b
    return np.array_equal(a, b)
