"""Edge frames: turn features so that the z axis lies along an edge, and back.

In the frame of an edge every equivariant map is diagonal in |m| (S. Passaro and C. L. Zitnick,
2023): a full tensor product with the edge's harmonics becomes a small dense product. Rows are
regrouped by m on the way, and channels of the other parity are arranged so that one real matrix
for each |m| > 0 is all of O(2): the rows called +m hold (natural +m, other -m), those called -m
hold (natural -m, minus other +m). A reflection through a plane that contains the edge then
changes the sign of all -m rows and of none else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ase_mlham.core.harmonics import rotation_matrix

__all__ = ["EdgeFrames", "Frames", "rows_of_order"]


def rows_of_order(l_max: int) -> list[tuple[list[int], list[int]]]:
    """Of each |m|, the frame rows of +m and of -m over l = |m|..l_max (equal for m = 0)."""
    out, start = [], l_max + 1
    zero = list(range(l_max + 1))
    out.append((zero, zero))
    for m in range(1, l_max + 1):
        n = l_max + 1 - m
        out.append((list(range(start, start + n)), list(range(start + n, start + 2 * n))))
        start += 2 * n
    return out


class Frames(NamedTuple):
    """Frames of some edges.

    Features seen in frames are kept as one tensor [n, rows, channels] for each |m|: its rows are +m
    of all l >= |m|, then -m.

    Attributes
    ----------
    matrix : (n, rows, rows)
        From frame rows (grouped by m) of natural channels to ordinary rows.
    swap : (rows,) int64
        Exchanges the rows +m and -m: where channels of the other parity find theirs.
    flip : (rows,)
        Their signs.

    Notes
    -----
    The reversed edge needs no frame of its own. Every map is equivariant under inversion, which
    reverses the edge: f(x, -v) = P f(P x, v) with P x the features times their parity.
    """

    matrix: Tensor
    swap: Tensor
    flip: Tensor

    def into(self, x: Tensor, n_natural: int) -> tuple[Tensor, ...]:
        """Features [n, rows, channels] seen in the frames, one tensor for each |m|."""
        y = torch.bmm(self.matrix.transpose(1, 2), x)
        other = y[..., n_natural:].index_select(1, self.swap)
        y[..., n_natural:] = other * self.flip[:, None]
        return y.split(_row_counts(math.isqrt(len(self.swap)) - 1), 1)

    def out_of(self, parts: Sequence[Tensor], n_natural: int) -> Tensor:
        """Inverse of `into`."""
        y = torch.cat(tuple(parts), 1)
        other = (y[..., n_natural:] * self.flip[:, None]).index_select(1, self.swap)
        y[..., n_natural:] = other
        return torch.bmm(self.matrix, y)


def _row_counts(l_max: int) -> list[int]:
    """Rows of each |m|."""
    return [(2 if m else 1) * (l_max + 1 - m) for m in range(l_max + 1)]


class EdgeFrames(nn.Module):
    """Rotations from the z axis onto edges.

    With the azimuth phi and the polar angle theta of an edge, D = Z(phi) K Z(theta) K^T, where Z
    turns about z and the constant K takes the z axis to the y axis. Every element of D is therefore
    a fixed combination of products of 1, cos(m phi), sin(m phi) with 1, cos(m theta), sin(m theta):
    one matrix product makes the frames of many edges.

    Parameters
    ----------
    l_max : int
        Largest degree of the features that are turned.
    """

    def __init__(self, l_max: int) -> None:
        super().__init__()
        self.l_max = l_max
        size = (l_max + 1) ** 2
        z_to_y = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
        constant = np.zeros((size, size))
        for l in range(l_max + 1):
            rows = slice(l * l, (l + 1) ** 2)
            constant[rows, rows] = rotation_matrix(l, z_to_y)
        about_z = _turns_about_z(l_max)
        polar = np.einsum("ab,qbc,dc->qad", constant, about_z, constant)
        grouped: list[int] = []
        for magnitude in range(l_max + 1):
            for sign in (1, -1) if magnitude else (1,):
                grouped += [l * l + l + sign * magnitude for l in range(magnitude, l_max + 1)]
        products = np.einsum("pab,qbc->pqac", about_z, polar)[..., grouped]
        swap = np.arange(size)
        flip = np.ones(size)
        for plus, minus in rows_of_order(l_max)[1:]:
            swap[plus], swap[minus] = minus, plus
            flip[minus] = -1.0
        for name, values in (
            ("products", products.reshape(len(about_z) ** 2, size * size)),
            ("swap", swap),
            ("flip", flip),
        ):
            self.register_buffer(name, torch.from_numpy(values), persistent=False)

    def _harmonics(self, cosine: Tensor, sine: Tensor) -> Tensor:
        """1, cos(a), ..., cos(l_max a), sin(a), ..., sin(l_max a) by recurrence."""
        c, s = [torch.ones_like(cosine)], [torch.zeros_like(sine)]
        for _ in range(self.l_max):
            c.append(c[-1] * cosine - s[-1] * sine)
            s.append(s[-1] * cosine + c[-2] * sine)
        return torch.stack(c + s[1:], 1)

    def forward(self, vectors: Tensor) -> Frames:
        """Frames of edge vectors (n, 3), none of them zero."""
        x, y, z = vectors.unbind(1)
        rho = torch.sqrt(x * x + y * y)
        length = torch.sqrt(rho * rho + z * z)
        # an edge along z has no azimuth: any will do
        on_axis = rho <= 1e-12 * length
        safe = torch.where(on_axis, torch.ones_like(rho), rho)
        cos_phi = torch.where(on_axis, torch.ones_like(x), x / safe)
        sin_phi = torch.where(on_axis, torch.zeros_like(y), y / safe)
        azimuth = self._harmonics(cos_phi, sin_phi)
        polar = self._harmonics(z / length, rho / length)
        features = (azimuth[:, :, None] * polar[:, None, :]).flatten(1)
        size = (self.l_max + 1) ** 2
        return self.of(torch.mm(features, self.products.to(features.dtype)).view(-1, size, size))

    def of(self, matrix: Tensor) -> Frames:
        """Frames whose matrices were kept."""
        return Frames(matrix, self.swap, self.flip.to(matrix.dtype))


def _turns_about_z(l_max: int) -> np.ndarray:
    """Matrices that combine to the turn about z by an angle a, in the order of `_harmonics`."""
    m = np.concatenate([np.arange(-l, l + 1) for l in range(l_max + 1)])
    mirror = np.concatenate([np.arange(l * l, (l + 1) ** 2)[::-1] for l in range(l_max + 1)])
    identity = np.eye(len(m))
    cosines = [identity * (abs(m) == order) for order in range(l_max + 1)]
    sines = [
        identity[mirror] * (-np.sign(m) * (abs(m) == order))[:, None]
        for order in range(1, l_max + 1)
    ]
    return np.stack(cosines + sines)
