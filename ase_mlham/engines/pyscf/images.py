"""Orbitals of the periodic images, and where a pair of them lies in a matrix X[R, i, j].

The lattice vectors R fill a dense box of integer triples, so that the linear index of R2 - R1 is
the difference of the two linear indices. The flat position of the element (R2 - R1, i, j) is then
row(R1, i) + column(R2, j): a gather from or a scatter into X is one outer sum of short vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ase_mlham.engines.pyscf.basis_sets import shell_radii
from ase_mlham.engines.pyscf.cell import Box

__all__ = ["Images", "LatticeBox", "OrbitalImages", "libcint_arrays"]


class LatticeBox:
    """Dense box of lattice vectors that holds R2 - R1 of every pair of overlapping orbitals.

    Attributes
    ----------
    R : (n_R, 3) int
        All triples, sorted; R = 0 is in the middle and -R at the mirrored index.
    n_orbitals : int
        Of the home cell.
    """

    def __init__(self, box: Box, radius: float, slack: float) -> None:
        scaled = box.positions @ np.linalg.inv(box.lattice)
        spread = np.ptp(scaled, axis=0)
        reach = np.floor((2 * radius + slack) / box.heights + spread + 1e-9).astype(int)
        self.reach = np.where(box.periodic, reach, 0)
        self.R = np.array(list(product(*(range(-m, m + 1) for m in self.reach))))
        size = 2 * self.reach + 1
        self.strides = np.array([size[1] * size[2], size[2], 1])
        self.n_orbitals = int(box.cell.nao_nr())
        self.zero = len(self.R) // 2

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of a matrix X[R, i, j]."""
        return len(self.R), self.n_orbitals, self.n_orbitals

    def index(self, R: NDArray[np.int64]) -> NDArray[np.int64]:
        """Linear index of lattice vectors; meaningful as a difference also outside the box."""
        return R @ self.strides + self.zero


@dataclass(frozen=True, eq=False)
class OrbitalImages:
    """A list of orbitals in several cells.

    Attributes
    ----------
    orbital : (n,) int
        Orbital of the home cell.
    R : (n, 3) int
        Cell.
    row, column : (n,) int
        X.flat[row[a] + column[b]] is the element (R_b - R_a, orbital_a, orbital_b).
    """

    orbital: NDArray[np.int64]
    R: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]

    def take(self, order: NDArray[np.int64]) -> OrbitalImages:
        """Some of them, in another order."""
        return OrbitalImages(
            self.orbital[order], self.R[order], self.row[order], self.column[order]
        )


class Images:
    """Shells of the basis in all cells, found by distance.

    Parameters
    ----------
    box : Box
        The crystal.
    eps_ao : float
        Orbital values below this are zero.
    slack : float
        Two orbitals that reach one region of this diameter (bohr) are a pair.
    """

    def __init__(self, box: Box, eps_ao: float, slack: float) -> None:
        self.box, self.cell = box, box.cell
        self.radius = shell_radii(box.cell, eps_ao)
        self.lattice_box = LatticeBox(box, float(self.radius.max()), slack)
        self.loc = box.cell.ao_loc_nr()
        self.centres = box.positions[box.cell._bas[:, 0]]  # noqa: SLF001 - libcint's table

    def reaching(
        self, points: NDArray[np.float64], reach: float
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Shells of all cells that come closer than `reach` to one of some points.

        Returns
        -------
        shell : (n,) int
        R : (n, 3) int
        centre : (n, 3) float
            Bohr.
        """
        inverse = np.linalg.inv(self.box.lattice)
        far = (self.radius.max() + reach) / self.box.heights
        low = (points @ inverse).min(axis=0) - far
        high = (points @ inverse).max(axis=0) + far
        home = self.box.positions @ inverse
        first = np.where(self.box.periodic, np.floor(low - home.max(axis=0)), 0).astype(int)
        last = np.where(self.box.periodic, np.ceil(high - home.min(axis=0)), 0).astype(int)
        R = np.array(list(product(*(range(a, b + 1) for a, b in zip(first, last, strict=True)))))
        position = (R @ self.box.lattice)[:, None] + self.centres
        found = np.zeros(position.shape[:2], dtype=bool)
        limit = (self.radius + reach) ** 2
        for point in points:
            found |= np.sum((position - point) ** 2, axis=2) < limit
        iR, shell = np.nonzero(found)
        return shell, R[iR], position[iR, shell]

    def orbitals(self, shell: NDArray[np.int64], R: NDArray[np.int64]) -> OrbitalImages:
        """The orbitals of a list of shell images, in its order."""
        count = self.loc[shell + 1] - self.loc[shell]
        start = np.cumsum(count) - count
        orbital = np.repeat(self.loc[shell] - start, count) + np.arange(count.sum())
        return self.indexed(orbital.astype(np.int64), np.repeat(R, count, axis=0))

    def indexed(self, orbital: NDArray[np.int64], R: NDArray[np.int64]) -> OrbitalImages:
        """Orbitals with their positions in a matrix X[R, i, j]."""
        n = self.lattice_box.n_orbitals
        index = self.lattice_box.index(R)
        row = (self.lattice_box.zero - index) * n * n + orbital * n
        return OrbitalImages(orbital, R, row, index * n * n + orbital)


def libcint_arrays(
    parts: list[tuple[NDArray, NDArray, NDArray]],
) -> tuple[NDArray, NDArray, NDArray, list[int]]:
    """Input of the integral library for shells at any places, one centre per shell.

    Parameters
    ----------
    parts : list of (bas, env, centres)
        Shells in libcint's table, the numbers they refer to, and where each sits (bohr).

    Returns
    -------
    atm, bas, env : arrays
    starts : list of int
        First shell of each part, and the total.
    """
    from pyscf import gto

    count = [len(bas) for bas, _, _ in parts]
    total, begin = sum(count), gto.PTR_ENV_START
    atm = np.zeros((total, gto.ATM_SLOTS), np.int32)
    atm[:, gto.PTR_COORD] = begin + 3 * np.arange(total)
    tables, env = [], [np.zeros(begin)] + [np.ravel(centres) for _, _, centres in parts]
    offset = begin + 3 * total
    for bas, numbers, _ in parts:
        table = np.array(bas, dtype=np.int32).reshape(-1, gto.BAS_SLOTS)
        table[:, [gto.PTR_EXP, gto.PTR_COEFF]] += offset
        tables.append(table)
        env.append(numbers)
        offset += len(numbers)
    stacked = np.vstack(tables)
    stacked[:, gto.ATOM_OF] = np.arange(total)
    return atm, stacked, np.concatenate(env), [0, *np.cumsum(count)]
