"""Edge frames: turn features so that the z axis lies along an edge, and back.

In the frame of an edge every equivariant map is diagonal in |m| (S. Passaro and C. L. Zitnick,
2023): a full tensor product with the edge's harmonics becomes a small dense product. Rows are
regrouped by m on the way, and channels of the other parity are arranged so that one real matrix
for each |m| > 0 is all of O(2): the rows called +m hold (natural +m, other -m), those called -m
hold (natural -m, minus other +m). A reflection through a plane that contains the edge then
changes the sign of all -m rows and of none else.
"""

from __future__ import annotations

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
    """Matrices from frame rows (grouped by m) to ordinary rows.

    Attributes
    ----------
    natural, other : (n, rows, rows)
        For the channels of either parity.
    """

    natural: Tensor
    other: Tensor

    def rows(self, index: Tensor | slice) -> Frames:
        """Frames of some edges."""
        if isinstance(index, slice):
            return Frames(self.natural[index], self.other[index])
        return Frames(self.natural.index_select(0, index), self.other.index_select(0, index))

    def into(self, x: Tensor, n_natural: int) -> Tensor:
        """Features [n, rows, channels] seen in the frames, rows grouped by m."""
        natural, other = x.split([n_natural, x.shape[2] - n_natural], 2)
        return torch.cat(
            [
                torch.bmm(self.natural.transpose(1, 2), natural),
                torch.bmm(self.other.transpose(1, 2), other),
            ],
            2,
        )

    def out_of(self, y: Tensor, n_natural: int) -> Tensor:
        """Inverse of `into`."""
        natural, other = y.split([n_natural, y.shape[2] - n_natural], 2)
        return torch.cat([torch.bmm(self.natural, natural), torch.bmm(self.other, other)], 2)


class EdgeFrames(nn.Module):
    """Rotations from the z axis onto edges.

    Parameters
    ----------
    l_max : int
        Largest degree of the features that are turned.
    """

    def __init__(self, l_max: int) -> None:
        super().__init__()
        self.l_max = l_max
        size = (l_max + 1) ** 2
        # D(u) = Z(phi) K Z(theta) K^T, where the constant K takes the z axis to the y axis
        z_to_y = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
        constant = np.zeros((size, size))
        order = np.zeros(size, dtype=np.int64)
        mirror = np.arange(size)
        for l in range(l_max + 1):
            rows = slice(l * l, (l + 1) ** 2)
            constant[rows, rows] = rotation_matrix(l, z_to_y)
            order[rows] = abs(np.arange(-l, l + 1))
            mirror[rows] = np.arange(l * l, (l + 1) ** 2)[::-1]
        m = np.concatenate([np.arange(-l, l + 1) for l in range(l_max + 1)])
        grouped: list[int] = []
        for magnitude in range(l_max + 1):
            for sign in (1, -1) if magnitude else (1,):
                grouped += [l * l + l + sign * magnitude for l in range(magnitude, l_max + 1)]
        swap = np.arange(size)
        flip = np.ones(size)
        for plus, minus in rows_of_order(l_max)[1:]:
            swap[plus], swap[minus] = minus, plus
            flip[minus] = -1.0
        self.register_buffer("constant", torch.from_numpy(constant), persistent=False)
        self.register_buffer("order", torch.from_numpy(order), persistent=False)
        self.register_buffer("mirror", torch.from_numpy(mirror), persistent=False)
        self.register_buffer("sine_sign", torch.from_numpy(-np.sign(m)), persistent=False)
        self.register_buffer("grouped", torch.tensor(grouped), persistent=False)
        self.register_buffer("swap", torch.from_numpy(swap), persistent=False)
        self.register_buffer("flip", torch.from_numpy(flip), persistent=False)
        # index buffers must keep their type under .float(), real ones follow it
        self.double()

    def _powers(self, cosine: Tensor, sine: Tensor) -> tuple[Tensor, Tensor]:
        """cos(m a) and sin(m a) for m = 0..l_max by recurrence: (n, l_max + 1) each."""
        c, s = [torch.ones_like(cosine)], [torch.zeros_like(sine)]
        for _ in range(self.l_max):
            c.append(c[-1] * cosine - s[-1] * sine)
            s.append(s[-1] * cosine + c[-2] * sine)
        return torch.stack(c, 1), torch.stack(s, 1)

    def _turn(self, cosine: Tensor, sine: Tensor, matrix: Tensor) -> Tensor:
        """Z(angle) @ matrix, where matrix is [rows, k] or [n, rows, k]."""
        c, s = self._powers(cosine, sine)
        c = c[:, self.order, None]
        s = s[:, self.order, None] * self.sine_sign.to(s.dtype)[None, :, None]
        return c * matrix + s * matrix[..., self.mirror, :]

    def forward(self, vectors: Tensor) -> Frames:
        """Frames of edge vectors (n, 3), none of them zero."""
        constant = self.constant.to(vectors.dtype)
        x, y, z = vectors.unbind(1)
        rho = torch.sqrt(x * x + y * y)
        length = torch.sqrt(rho * rho + z * z)
        # an edge along z has no azimuth: any will do
        on_axis = rho <= 1e-12 * length
        safe = torch.where(on_axis, torch.ones_like(rho), rho)
        cos_phi = torch.where(on_axis, torch.ones_like(x), x / safe)
        sin_phi = torch.where(on_axis, torch.zeros_like(y), y / safe)
        polar = constant @ self._turn(z / length, rho / length, constant.T)
        natural = self._turn(cos_phi, sin_phi, polar)[:, :, self.grouped]
        return Frames(natural, natural[:, :, self.swap] * self.flip.to(vectors.dtype))
