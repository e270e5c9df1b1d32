"""Quadrature on the FFT grid: the density from D(R), and matrix elements of a local potential.

The grid of one cell is cut into small blocks; each knows the orbitals (of all cells) that reach
it, sorted by their largest value there. Pairs whose product of largest values is below a threshold
lie outside a staircase in the sorted matrix and are left out; of symmetric pairs one is multiplied.

A matrix X[R, i, j] made here holds each pair once: the operator is X + X^H, X^H[R] = X[-R]^T.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from ase_mlham.engines.pyscf.cell import Box
from ase_mlham.engines.pyscf.images import Images, OrbitalImages, libcint_arrays

__all__ = ["BLOCK_EDGE", "Quadrature", "block_counts", "block_diameter", "fft_mesh"]

_log = logging.getLogger(__name__)

BLOCK_EDGE = 2.5
"""Aim for the edge of a block, bohr; between 2 and 3.5 the time changes by less than 15 %."""

_ROWS = 128
"""Rows of the staircase that are multiplied together."""


def fft_mesh(box: Box, ecut_ry: float) -> tuple[int, int, int]:
    """Grid points along the lattice vectors for plane waves up to a cut-off in rydberg."""
    edges = np.linalg.norm(box.lattice, axis=1)
    n = [next_fast_len(int(np.ceil(edge * np.sqrt(ecut_ry) / np.pi))) for edge in edges]
    return n[0], n[1], n[2]


def block_counts(box: Box) -> NDArray[np.int64]:
    """Blocks along each lattice vector."""
    edges = np.linalg.norm(box.lattice, axis=1)
    return np.maximum(1, np.round(edges / BLOCK_EDGE)).astype(int)


def block_diameter(box: Box) -> float:
    """Longest diagonal of a block, bohr."""
    edges = box.lattice / block_counts(box)[:, None]
    signs = product((1,), (1, -1), (1, -1))
    return float(max(np.linalg.norm(np.array(s) @ edges) for s in signs))


class _Block:
    """Some grid points, the orbitals that reach them, and the orbitals' values there."""

    def __init__(
        self, points: NDArray, orbitals: OrbitalImages, largest: NDArray, values: NDArray
    ) -> None:
        self.points = points
        self.row, self.column = orbitals.row, orbitals.column
        self.largest, self.values = largest, values

    def staircase(self, eps: float) -> Iterator[tuple[int, int, int]]:
        """Rows [first, last) and the end of their columns; columns begin at `first`."""
        ascending = -self.largest
        first = 0
        while first < len(ascending):
            end = int(np.searchsorted(ascending, -eps / self.largest[first]))
            if end <= first:
                return
            last = min(first + _ROWS, end)
            yield first, last, end
            first = last


class Quadrature:
    """Orbital values on the grid of one cell.

    Parameters
    ----------
    images : Images
        The orbitals of all cells.
    mesh : (3,) int
        FFT grid.
    eps_pair : float
        Products of two orbitals that stay below this in a block are left out.
    """

    def __init__(self, images: Images, mesh: tuple[int, int, int], eps_pair: float) -> None:
        self.images, self.mesh, self.eps_pair = images, mesh, eps_pair
        self.n_points = int(np.prod(mesh))
        self.element = images.box.volume / self.n_points
        self.blocks = [block for block in self._cut() if block is not None]
        size = sum(block.values.nbytes for block in self.blocks)
        _log.info("orbital values on %d grid points: %.2f GB", self.n_points, size / 1e9)

    def _cut(self) -> Iterator[_Block | None]:
        box, images = self.images.box, self.images
        corners = np.array(list(product((0, 1), repeat=3))) @ box.lattice
        middle = corners.mean(axis=0)
        half = float(np.linalg.norm(corners - middle, axis=1).max())
        shell, R, centre = images.reaching(middle[None], half)
        cuts = [
            np.array_split(np.arange(m), k)
            for m, k in zip(self.mesh, block_counts(box), strict=True)
        ]
        for ix, iy, iz in product(*cuts):
            triple = np.stack(np.meshgrid(ix, iy, iz, indexing="ij"), axis=-1).reshape(-1, 3)
            x = (triple / np.array(self.mesh)) @ box.lattice
            points = (triple[:, 0] * self.mesh[1] + triple[:, 1]) * self.mesh[2] + triple[:, 2]
            yield self._block(points, x, shell, R, centre)

    def _block(
        self, points: NDArray, x: NDArray, shell: NDArray, R: NDArray, centre: NDArray
    ) -> _Block | None:
        """Orbitals that reach the points x, and their values."""
        radius = self.images.radius[shell]
        middle = x.mean(axis=0)
        extent = np.linalg.norm(x - middle, axis=1).max()
        near = np.flatnonzero(np.linalg.norm(centre - middle, axis=1) < radius + extent)
        if not len(near):
            return None
        values = self._evaluate(x, shell[near], centre[near])
        largest = np.maximum(values.max(axis=1), -values.min(axis=1))
        order = np.argsort(-largest)
        order = order[largest[order] * largest[order[0]] > self.eps_pair]
        if not len(order):
            return None
        orbitals = self.images.orbitals(shell[near], R[near]).take(order)
        return _Block(points, orbitals, largest[order], values[order])

    def _evaluate(self, x: NDArray, shell: NDArray, centre: NDArray) -> NDArray[np.float64]:
        """Orbital values, (n_orbitals, n_points)."""
        from pyscf import gto
        from pyscf.gto.eval_gto import eval_gto

        cell = self.images.cell
        mol = gto.Mole()
        mol._atm, mol._bas, mol._env, _ = libcint_arrays(  # noqa: SLF001
            [(cell._bas[shell], cell._env, centre)]  # noqa: SLF001
        )
        mol.cart, mol._built = False, True  # noqa: SLF001
        return eval_gto(mol, "GTOval_sph", x, cutoff=1e-12).T

    def to_single(self) -> None:
        """Keep the orbital values in float32 from now on: half the memory, twice the speed."""
        for block in self.blocks:
            block.values = block.values.astype(np.float32)

    def density(self, D: NDArray[np.float64], relax: float = 1.0) -> NDArray[np.float64]:
        """Density on the grid, bohr^-3.

        Parameters
        ----------
        D : (n_channels, n_R, n, n) float
            Density matrices D_ij(R), both members of each pair.
        relax : float
            Factor on the pair threshold, for a D that is a small change.

        Returns
        -------
        (n_channels, *mesh) float
        """
        rho = np.zeros((len(D), self.n_points))
        flat = D.astype(self.blocks[0].values.dtype, copy=False).reshape(len(D), -1)
        for block in self.blocks:
            phi = block.values
            part = np.zeros((len(D), len(block.points)))
            for first, last, end in block.staircase(self.eps_pair * relax):
                index = block.row[first:last, None] + block.column[first:end]
                for channel, matrix in enumerate(flat):
                    pairs = matrix.take(index)
                    pairs[:, last - first :] *= 2
                    part[channel] += np.einsum("ip,ip->p", pairs @ phi[first:end], phi[first:last])
            rho[:, block.points] = part
        return rho.reshape(-1, *self.mesh)

    def add_potential(
        self, out: NDArray[np.float64], V: NDArray[np.float64], relax: float = 1.0
    ) -> None:
        """Add <i 0|V|j R> to `out`, each pair once.

        Parameters
        ----------
        out : (n_channels, n_R, n, n) float
            Changed in place; contiguous.
        V : (n_channels, *mesh) float
            Potentials on the grid, hartree.
        relax : float
            Factor on the pair threshold, for a V that is a small change.
        """
        dtype = self.blocks[0].values.dtype
        weighted = (V.reshape(len(V), -1) * self.element).astype(dtype)
        flat = out.reshape(len(out), -1)
        target = flat if dtype == out.dtype else np.zeros(flat.shape, dtype)
        for block in self.blocks:
            phi, v = block.values, weighted[:, block.points]
            for first, last, end in block.staircase(self.eps_pair * relax):
                index = (block.row[first:last, None] + block.column[first:end]).ravel()
                for channel, matrix in enumerate(target):
                    part = (phi[first:last] * v[channel]) @ phi[first:end].T
                    part[:, : last - first] *= 0.5
                    np.add.at(matrix, index, part.ravel())
        if target is not flat:
            flat += target
