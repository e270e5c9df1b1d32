"""Who predicts what: the forward network an upper triangle, the backward network the rest.

Seen in its local coordinates, h_ab of anchor a and other atom b is one square block in the union
shells of the basis. The forward network gives its upper triangle with the diagonal, the backward
network the strict upper triangle of h_ba, which is the strict lower triangle of h_ab. An on-site
block belongs to the forward network; what is below its diagonal follows from its symmetry (P is
symmetric, B antisymmetric, ...). Every real part of H has triangles of its own.

Networks of this package predict irreducible tensors, scaled to order one; elements become such
tensors by an orthogonal matrix of Clebsch-Gordan coefficients. What a layout of another form of
spin holds besides blocks (see `learning.spin_form`) is divided by shells: one number for each pair
of shells is a square as well, and the tensors of an exchange field are on its diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.harmonics import clebsch_gordan
from ase_mlham.learning.layout import Channel, IrrepLayout, UnionShells, block_channels
from ase_mlham.learning.parts import Part

__all__ = ["Triangles"]

_KINDS = (Part("", ("1",)), Part("", ("x", "y", "z")))


@dataclass(frozen=True)
class Triangles:
    """Elements of both networks and the coefficients that they make.

    Attributes
    ----------
    forward, backward : (n, n_coefficients)
        Orthonormal rows: an element's share in the coefficients. Together a square matrix.
    diagonal : (n_forward,) bool
        Whether an element of the forward network lies on the diagonal.
    """

    forward: NDArray[np.float64]
    backward: NDArray[np.float64]
    diagonal: NDArray[np.bool_]

    @classmethod
    def of(cls, layout: IrrepLayout) -> Triangles:
        """Those of a layout."""
        places: dict[int, dict[Channel, NDArray[np.int64]]] = {}
        for L, entries in enumerate(layout.channels):
            for index, channel in enumerate(entries):
                places.setdefault(channel.part, {})[channel] = layout.position(L, index)
        shells = UnionShells(layout.basis)
        found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
        for own in places.values():
            axial = _block_kind(shells, own)
            if axial is None:
                found.append(_by_shells(own, layout.n_coefficients))
            else:
                found.append(_by_orbitals(shells, own, layout.n_coefficients, axial))
        row, column, matrix = (np.concatenate(parts) for parts in zip(*found, strict=True))
        upper = row <= column
        return cls(matrix[upper], matrix[~upper], (row == column)[upper])


def _block_kind(shells: UnionShells, own: dict[Channel, NDArray[np.int64]]) -> bool | None:
    """Whether channels are those of blocks, and then whether of axial ones."""
    found = sorted((c.a, c.b, c.K, c.L) for c in own)
    for kind in _KINDS:
        if found == sorted((c.a, c.b, c.K, c.L) for c in block_channels(shells, kind, 0)):
            return kind.axial
    return None


def _by_orbitals(
    shells: UnionShells, own: dict[Channel, NDArray[np.int64]], n_coefficients: int, axial: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Rows, columns and shares of the elements of blocks."""
    first = np.concatenate([[0], np.cumsum(2 * np.array(shells.l) + 1)])
    n, n_vector = int(first[-1]), 3 if axial else 1
    matrix = np.zeros((n_vector, n, n, n_coefficients))
    for channel, place in own.items():
        a, b = channel.a, channel.b
        block = clebsch_gordan(shells.l[a], shells.l[b], channel.K)[None]
        if axial:
            vector = clebsch_gordan(1, channel.K, channel.L)
            block = np.einsum("abk,vkm->vabm", block[0], vector)
        part = matrix[:, first[a] : first[a + 1], first[b] : first[b + 1]]
        part[..., place] = block
    row, column = np.divmod(np.tile(np.arange(n * n), n_vector), n)
    return row, column, matrix.reshape(-1, n_coefficients)


def _by_shells(
    own: dict[Channel, NDArray[np.int64]], n_coefficients: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Rows, columns and shares of what is not blocks: coefficients as they are."""
    row = np.concatenate([np.full(len(place), c.a) for c, place in own.items()])
    column = np.concatenate([np.full(len(place), c.b) for c, place in own.items()])
    return row, column, np.eye(n_coefficients)[np.concatenate(list(own.values()))]
