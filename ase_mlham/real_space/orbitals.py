"""Orbitals on the points of a grid, box by box.

The grid is cut into boxes of a few Å. To each belong only the orbitals, of all cells, that reach
it; their values there are a small dense matrix, and everything else is a product with it: C phi for
wave functions, phi P phi^T for densities. Memory is that of one box, whatever the crystal's size.

Functions with an end (tables) are taken up to it. Gaussians have none: as in the integrals, their
cut-off decides which pairs of atoms exist and nothing else; they are taken until they are small.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.basis import OrbitalBasis, Shell, SpeciesBasis
from ase_mlham.core.blocks import BlockMatrix
from ase_mlham.core.harmonics import real_harmonics
from ase_mlham.core.radial import GaussianRadial, RadialFunction
from ase_mlham.core.structure import Structure
from ase_mlham.errors import BasisError, InputError
from ase_mlham.machine import available_memory, size
from ase_mlham.progress import track
from ase_mlham.real_space.grid import Grid

__all__ = ["WORKING_MEMORY", "Box", "OrbitalsOnGrid", "orbital_reach"]

WORKING_MEMORY = 256e6
"""Bytes that a box may take, unless the caller says another limit."""

EDGE = 1.8
"""Aim for the edge of a box, Å: smaller ones find the same atoms again, larger ones evaluate
orbitals where they are zero."""

_ROWS = 192
"""Orbitals that are multiplied with all later ones at a time."""

TAIL = 1e-5
"""r |R(r)| at which a Gaussian is given up, Å^(-1/2)."""


def orbital_reach(structure: Structure, basis: OrbitalBasis) -> NDArray[np.float64]:
    """Distance from each atom beyond which all its orbitals are zero, (n_atoms,) Å.

    Raises
    ------
    BasisError
        A shell has no radial function.
    """
    species = basis.species_index(structure.numbers)
    reach = np.zeros(len(basis.species))
    for index in np.unique(species):
        reach[index] = _Evaluator(basis.species[index]).reach
    return reach[species]


def _gaussian_reach(radial: GaussianRadial) -> float:
    """Where r |R(r)| falls below `TAIL` for good, Å."""
    # of the most diffuse primitive alone, whose tail is what is left
    r = np.arange(0.05, 40.0, 0.05)
    whole = GaussianRadial(radial.l, radial.exponents, radial.coefficients, 50.0)
    above = np.flatnonzero(r * abs(whole(r)) > TAIL)
    return float(r[above[-1]] + 0.05) if len(above) else float(r[0])


class _Evaluator:
    """Values of the orbitals of one species."""

    def __init__(self, entry: SpeciesBasis) -> None:
        self.n_orbitals = entry.n_orbitals
        self.offsets = entry.offsets
        self.l_max = max(entry.l)
        self.shell_reach = np.array([self._reach(entry, shell) for shell in entry.shells])
        self.reach = float(self.shell_reach.max())
        self.entry = entry
        # contractions of the same exponentials are evaluated together
        self.gaussian: dict[bytes, list[tuple[int, GaussianRadial]]] = {}
        self.other: list[tuple[int, RadialFunction]] = []
        for index, shell in enumerate(entry.shells):
            if isinstance(shell.radial, GaussianRadial):
                key = shell.radial.exponents.tobytes()
                self.gaussian.setdefault(key, []).append((index, shell.radial))
            elif shell.radial is not None:
                self.other.append((index, shell.radial))

    @staticmethod
    def _reach(entry: SpeciesBasis, shell: Shell) -> float:
        if shell.radial is None:
            raise BasisError(
                f"{entry.symbol}: the shell {shell.label or shell.l} has no radial function, so it "
                "cannot be drawn in space; give a basis with radial functions (for OpenMX the "
                ".pao files)"
            )
        if isinstance(shell.radial, GaussianRadial):
            return _gaussian_reach(shell.radial)
        return float(shell.radial.cutoff)

    def __call__(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Orbitals at positions relative to the atom: (n, n_orbitals) from (n, 3)."""
        r = np.sqrt(np.einsum("nx,nx->n", vectors, vectors))
        angular = real_harmonics(self.l_max, vectors)
        out = np.empty((len(r), self.n_orbitals))
        for members in self.gaussian.values():
            decay = np.exp(-np.multiply.outer(r * r, members[0][1].exponents))
            for index, radial in members:
                self._put(out, index, r**radial.l * (decay @ radial.coefficients), angular)
        for index, function in self.other:
            self._put(out, index, function(r), angular)
        return out

    def _put(
        self,
        out: NDArray[np.float64],
        index: int,
        radial: NDArray[np.float64],
        angular: NDArray[np.float64],
    ) -> None:
        l = self.entry.shells[index].l
        here = slice(self.offsets[index], self.offsets[index + 1])
        np.multiply(radial[:, None], angular[:, l * l : (l + 1) ** 2], out=out[:, here])


@dataclass(frozen=True, eq=False)
class Box:
    """Some points of a grid and the orbitals that reach them.

    Attributes
    ----------
    part : (3,) slice
        Which points of the grid.
    atom : (n,) int
        Atom of each image, images ordered by species.
    cell : (n, 3) int
        Lattice vector R of each image.
    first : (n + 1,) int
        First orbital of each image among those of the box.
    orbital : (m,) int
        Which orbital of the home cell each of them is an image of.
    values : (n_points, m) float
        Orbitals in Å^(-3/2); points in the order of the grid.
    """

    part: tuple[slice, slice, slice]
    atom: NDArray[np.int64]
    cell: NDArray[np.int64]
    first: NDArray[np.int64]
    orbital: NDArray[np.int64]
    values: NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Points along each edge."""
        a, b, c = (s.stop - s.start for s in self.part)
        return a, b, c

    def gather(self, matrix: BlockMatrix) -> NDArray[np.float64]:
        """Real part P of a Hermitian matrix between the orbitals of the box, or half of it.

        Returns
        -------
        (n_components, m, m) float
            L with P = L + L^T: what is below the diagonal, and half of the diagonal.
        """
        pattern = matrix.pattern
        # images are ordered by species, so that the later one of a pair is never of an earlier one
        early, late = np.triu_indices(len(self.atom))
        index, swapped = pattern.find(
            self.atom[early], self.atom[late], self.cell[late] - self.cell[early]
        )
        species = pattern.species[self.atom]
        m = int(self.first[-1])
        out = np.zeros((matrix.n_components, m, m))
        for group, array in zip(pattern.groups, matrix.values, strict=True):
            here = np.flatnonzero((index >= group.start) & (index < group.stop))
            if not len(here):
                continue
            n_a, n_b = pattern.block_shape(group)
            a, b = (np.flatnonzero(species == s) for s in (group.species_i, group.species_j))
            rows = slice(self.first[b[0]], self.first[b[-1] + 1])
            columns = slice(self.first[a[0]], self.first[a[-1] + 1])
            bra, ket = early[here] - a[0], late[here] - b[0]
            turned = swapped[here]
            slots = index[here] - group.start
            # whole blocks side by side first: single numbers would be placed ten times slower
            blocks = np.zeros((len(a), len(b), n_a, n_b))
            for component in range(matrix.n_components):
                found = array[component, slots].real
                if turned.any():
                    found[turned] = found[turned].swapaxes(-1, -2)
                own = early[here] == late[here]
                if own.any():
                    # turned round below, so that the upper triangle becomes the lower
                    found[own] = np.triu(found[own]) * (1 - 0.5 * np.eye(n_a))
                blocks[bra, ket] = found
                square = blocks.transpose(1, 3, 0, 2).reshape(len(b) * n_b, len(a) * n_a)
                out[component, rows, columns] = square
        return out

    def density(self, matrix: BlockMatrix) -> NDArray[np.float64]:
        """sum_ab phi_a P_ab phi_b at the points, (n_components, n1, n2, n3)."""
        gathered = self.gather(matrix)
        out = np.zeros((len(gathered), len(self.values)))
        for component, half in enumerate(gathered):
            for start in range(0, len(half), _ROWS):
                here = slice(start, start + _ROWS)
                product = self.values[:, start:] @ half[start:, here]
                out[component] += 2 * np.einsum("pm,pm->p", product, self.values[:, here])
        return out.reshape(-1, *self.shape)

    def combine(self, coefficients: NDArray, k: NDArray[np.float64]) -> NDArray:
        """Bloch sums at the points, (n_states, n1, n2, n3).

        Parameters
        ----------
        coefficients : (n_states, n_orbitals) float or complex
            Of the orbitals of the home cell.
        k : (3,) float
            Fractions of the reciprocal lattice vectors.
        """
        phase = np.exp(2j * np.pi * (self.cell @ k))
        here = coefficients[:, self.orbital] * np.repeat(phase, np.diff(self.first))
        # two real products cost half of one between a complex copy of the orbitals
        values = self.values @ here.real.T + 1j * (self.values @ here.imag.T)
        return values.T.reshape(-1, *self.shape)


class OrbitalsOnGrid:
    """The orbitals of a structure on a grid.

    Parameters
    ----------
    structure : Structure
        Where the atoms are.
    basis : OrbitalBasis
        Every shell needs a radial function.
    grid : Grid
        The points; they may cover several cells, or a part of one.
    memory : float
        Largest memory of a box with what is computed in it, bytes.
    n_components : int
        Numbers at each point of the result.
    n_matrices : int
        Matrices between the orbitals of a box that are needed at the same time.

    Raises
    ------
    BasisError
        A shell has no radial function.
    InputError
        The result on this grid does not fit in memory.
    """

    def __init__(
        self,
        structure: Structure,
        basis: OrbitalBasis,
        grid: Grid,
        *,
        memory: float = WORKING_MEMORY,
        n_components: int = 1,
        n_matrices: int = 0,
    ) -> None:
        self.structure, self.basis, self.grid = structure, basis, grid
        self.species = basis.species_index(structure.numbers)
        self.evaluators = {int(s): _Evaluator(basis.species[s]) for s in np.unique(self.species)}
        self._reach = np.array([self.evaluators[int(s)].reach for s in self.species])
        self._sizes = basis.sizes[self.species]
        self._offsets = np.concatenate([[0], np.cumsum(self._sizes)])
        self.atom, self.cell = self._images()
        self.centre = structure.positions[self.atom] + self.cell @ structure.full_cell
        self.n_components, self.n_matrices = n_components, n_matrices
        needed, free = 8.0 * grid.n_points * n_components, available_memory()
        if free is not None and needed > 0.8 * free:
            raise InputError(
                f"{grid.n_points} points of {n_components} components take {size(needed)}, and "
                f"{size(free)} are free: give a larger spacing, or a smaller grid"
            )
        self.cuts = self._cuts(memory)

    def _images(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Atoms and lattice vectors of all orbitals that reach the grid, ordered by species."""
        structure, grid = self.structure, self.grid
        cell = structure.full_cell
        inverse = np.linalg.inv(cell)
        corners = grid.origin + np.array(list(product((0, 1), repeat=3))) @ grid.cell
        scaled, atoms = corners @ inverse, structure.positions @ inverse
        extent = self._reach.max() * np.linalg.norm(inverse, axis=0)
        low = np.floor(scaled.min(axis=0) - extent - atoms.max(axis=0)).astype(np.int64)
        high = np.ceil(scaled.max(axis=0) + extent - atoms.min(axis=0)).astype(np.int64)
        low, high = np.where(structure.pbc, low, 0), np.where(structure.pbc, high, 0)
        ranges = (np.arange(a, b + 1) for a, b in zip(low, high, strict=True))
        R = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
        middle = corners.mean(axis=0)
        radius = float(np.linalg.norm(corners - middle, axis=1).max())
        parts = []
        for atom in np.argsort(self.species, kind="stable"):
            centre = structure.positions[atom] + R @ cell
            # a sphere about the whole grid first, its boxes do better
            near = np.linalg.norm(centre - middle, axis=1) < radius + self._reach[atom]
            parts.append((np.full(int(near.sum()), atom), R[near]))
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def _cuts(self, memory: float) -> list[list[slice]]:
        """Slices of each axis, so small that a box keeps to the memory."""
        edges = np.linalg.norm(self.grid.cell, axis=1)
        edge = EDGE
        while True:
            n = np.clip(np.round(edges / edge).astype(int), 1, self.grid.shape)
            cuts = [
                [slice(int(a), int(b)) for a, b in pairwise(np.linspace(0, m, k + 1).astype(int))]
                for m, k in zip(self.grid.shape, n, strict=True)
            ]
            points = int(np.prod([max(s.stop - s.start for s in one) for one in cuts]))
            m = max(
                int(self._sizes[self.atom[self._near(part)]].sum(initial=0))
                for part in product(*cuts)
            )
            # matrices and what they are gathered through, orbitals and the distances before them,
            # and the result
            needed = 8.0 * (m * m * 2.0 * self.n_matrices + 4.0 * m * points)
            needed += 16.0 * self.n_components * points
            if needed <= memory:
                return cuts
            if points == 1:
                raise InputError(
                    f"{m} orbitals reach one point of the grid, which takes {size(needed)}: raise "
                    f"memory= above that (now {size(memory)})"
                )
            edge /= 1.5

    def _near(self, part: tuple[slice, ...]) -> NDArray[np.int64]:
        """Images whose orbitals may reach a box: a sphere around it."""
        low = np.array([s.start for s in part], dtype=np.float64)
        high = np.array([s.stop - 1 for s in part], dtype=np.float64)
        steps = self.grid.steps
        middle = self.grid.origin + (low + high) / 2 @ steps
        half = (high - low) / 2
        signs = np.array([(1, a, b) for a in (1, -1) for b in (1, -1)])
        radius = float(np.linalg.norm((signs * half) @ steps, axis=1).max())
        distance = np.linalg.norm(self.centre - middle, axis=1)
        return np.flatnonzero(distance < radius + self._reach[self.atom])

    def boxes(self, task: str = "boxes of the grid") -> Iterator[Box]:
        """All boxes, tracked as progress."""
        parts = list(product(*self.cuts))
        for part in track(parts, len(parts), task):
            yield self._box((part[0], part[1], part[2]))

    def _box(self, part: tuple[slice, slice, slice]) -> Box:
        points = self.grid.points(part).reshape(-1, 3)
        near = self._near(part)
        columns, kept = [], []
        for species, evaluate in self.evaluators.items():
            images = near[self.species[self.atom[near]] == species]
            vectors = points[:, None] - self.centre[images]
            inside = np.einsum("pax,pax->pa", vectors, vectors) < evaluate.reach**2
            reached = inside.any(axis=0)
            images, inside = images[reached], inside[:, reached]
            values = np.zeros((len(points), len(images), evaluate.n_orbitals))
            values[inside] = evaluate(vectors[:, reached][inside])
            columns.append(values.reshape(len(points), -1))
            kept.append(images)
        images = np.concatenate(kept)
        atom = self.atom[images]
        sizes = self._sizes[atom]
        first = np.concatenate([[0], np.cumsum(sizes)])
        orbital = np.repeat(self._offsets[atom] - first[:-1], sizes) + np.arange(first[-1])
        return Box(part, atom, self.cell[images], first, orbital, np.concatenate(columns, axis=1))
