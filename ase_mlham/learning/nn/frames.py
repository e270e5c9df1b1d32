"""Edge frames: turn features so that the z axis lies along an edge, and back.

In the frame of an edge every equivariant map is diagonal in |m| (S. Passaro and C. L. Zitnick,
2023): a full tensor product with the edge's harmonics becomes a small dense product. Rows are
regrouped by m on the way, and channels of the other parity are arranged so that one real matrix
for each |m| > 0 is all of O(2): the rows called +m hold (natural +m, other -m), those called -m
hold (natural -m, minus other +m). A reflection through a plane that contains the edge then
changes the sign of all -m rows and of none else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ase_mlham.core.harmonics import rotation_matrix
from ase_mlham.learning.graph import HamiltonianGraph
from ase_mlham.learning.nn.features import Channels, joined

__all__ = ["DegreeFrames", "EdgeFrames", "EvenFrames", "Frames", "rows_of_order"]


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


class Frames(Protocol):
    """Frames of some edges.

    Features seen in frames are a tuple of parts that no equivariant map mixes: m = 0 of the natural
    parity, m = 0 of the other, then |m| = 1..l_max. Each is a tensor [n, rows, columns] with one
    row for m = 0, and else the rows +m and -m; columns are the channels of all degrees l >= |m|.

    Notes
    -----
    The reversed edge needs no frame of its own. Every map is equivariant under inversion, which
    reverses the edge: f(x, -v) = P f(P x, v) with P x the features times their parity.
    """

    @property
    def matrix(self) -> Tensor:
        """What is worth keeping of them, see `EdgeFrames.of`."""

    def into(self, x: Tensor, channels: Channels) -> tuple[Tensor, ...]:
        """Features [n, size] seen in the frames."""

    def out_of(self, parts: Sequence[Tensor], channels: Channels) -> Tensor:
        """Inverse of `into`."""


class EvenFrames(NamedTuple):
    """Frames for features with the same channels in every degree: one product turns all of them.

    Attributes
    ----------
    matrix : (n, rows, rows)
        From frame rows (grouped by m) of natural channels to ordinary rows.
    swap : (rows,) int64
        Exchanges the rows +m and -m: where channels of the other parity find theirs.
    flip : (rows,)
        Their signs.
    """

    matrix: Tensor
    swap: Tensor
    flip: Tensor

    def into(self, x: Tensor, channels: Channels) -> tuple[Tensor, ...]:
        """Features [n, size] seen in the frames."""
        n, n_natural, n_other = len(x), channels.natural[0], channels.other[0]
        rows = x.unflatten(1, (len(self.swap), channels.totals[0]))
        y = torch.bmm(self.matrix.transpose(1, 2), rows)
        other = y[..., n_natural:].index_select(1, self.swap)
        y[..., n_natural:] = other * self.flip[:, None]
        zero, *rest = y.split(_row_counts(channels.l_max), 1)
        natural, other = zero.split([n_natural, n_other], 2)
        shapes = zip(rest, channels.parts[2:], strict=True)
        return (
            natural.reshape(n, 1, channels.parts[0]),
            other.reshape(n, 1, channels.parts[1]),
            *(part.view(n, 2, size) for part, size in shapes),
        )

    def out_of(self, parts: Sequence[Tensor], channels: Channels) -> Tensor:
        """Inverse of `into`."""
        n, n_natural, n_other = len(parts[0]), channels.natural[0], channels.other[0]
        n_degrees = channels.l_max + 1
        natural = parts[0].view(n, n_degrees, n_natural)
        other = parts[1].view(n, n_degrees, n_other)
        counts = _row_counts(channels.l_max)[1:]
        rest = [
            part.view(n, rows, channels.totals[0])
            for rows, part in zip(counts, parts[2:], strict=True)
        ]
        y = torch.cat([torch.cat([natural, other], 2), *rest], 1)
        other = (y[..., n_natural:] * self.flip[:, None]).index_select(1, self.swap)
        y[..., n_natural:] = other
        return torch.bmm(self.matrix, y).flatten(1)


def _row_counts(l_max: int) -> list[int]:
    """Rows of each |m|."""
    return [(2 if m else 1) * (l_max + 1 - m) for m in range(l_max + 1)]


class DegreeFrames(NamedTuple):
    """Frames for features with any channels, turned degree by degree.

    Attributes
    ----------
    matrix : (n, sum of (2 l + 1)^2)
        The matrices of all degrees.
    """

    matrix: Tensor

    def _degrees(self, l_max: int) -> list[Tensor]:
        """The matrix (n, 2 l + 1, 2 l + 1) of each degree."""
        sizes = [2 * l + 1 for l in range(l_max + 1)]
        parts = self.matrix.split([size * size for size in sizes], 1)
        return [part.unflatten(1, (size, size)) for part, size in zip(parts, sizes, strict=True)]

    def into(self, x: Tensor, channels: Channels) -> tuple[Tensor, ...]:
        """Features [n, size] seen in the frames."""
        natural, other = [], []
        matrices = self._degrees(channels.l_max)
        for l, (matrix, degree) in enumerate(zip(matrices, channels.degrees(x), strict=True)):
            y = torch.bmm(matrix.transpose(1, 2), degree)
            a, b = y.split([channels.natural[l], channels.other[l]], 2)
            natural.append(a.unbind(1))
            other.append(b.unbind(1))
        degrees = range(channels.l_max + 1)
        out = [torch.cat([rows[l][l] for l in degrees], 1)[:, None] for rows in (natural, other)]
        for m in degrees[1:]:
            pieces = [row for l in degrees[m:] for row in (natural[l][l + m], other[l][l - m])]
            pieces += [row for l in degrees[m:] for row in (natural[l][l - m], -other[l][l + m])]
            out.append(torch.cat(pieces, 1).view(len(x), 2, -1))
        return tuple(out)

    def out_of(self, parts: Sequence[Tensor], channels: Channels) -> Tensor:
        """Inverse of `into`."""
        degrees = range(channels.l_max + 1)
        natural = [[row] * (2 * l + 1) for l, row in enumerate(_zero(parts[0], channels.natural))]
        other = [[row] * (2 * l + 1) for l, row in enumerate(_zero(parts[1], channels.other))]
        for m in degrees[1:]:
            sizes = [n for l in degrees[m:] for n in (channels.natural[l], channels.other[l])]
            plus, minus = (row.split(sizes, 1) for row in parts[m + 1].unbind(1))
            for l, a, b in zip(degrees[m:], plus[::2], plus[1::2], strict=True):
                natural[l][l + m], other[l][l - m] = a, b
            for l, a, b in zip(degrees[m:], minus[::2], minus[1::2], strict=True):
                natural[l][l - m], other[l][l + m] = a, -b
        out = []
        for matrix, a, b in zip(self._degrees(channels.l_max), natural, other, strict=True):
            rows = [channel for row in zip(a, b, strict=True) for channel in row]
            y = torch.cat(rows, 1).view(len(matrix), len(a), -1)
            out.append(torch.bmm(matrix, y))
        return joined(out)


def _zero(part: Tensor, sizes: Sequence[int]) -> Sequence[Tensor]:
    """The channels of each degree in a part with m = 0."""
    return part[:, 0].split(list(sizes), 1)


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
    even : bool
        Whether every degree has the same channels, in all that is turned. Both kinds of frames
        turn such features; `EvenFrames` in fewer, larger operations.
    """

    def __init__(self, l_max: int, *, even: bool = True) -> None:
        super().__init__()
        self.l_max, self.even = l_max, even
        size = (l_max + 1) ** 2
        z_to_y = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
        constant = np.zeros((size, size))
        for l in range(l_max + 1):
            rows = slice(l * l, (l + 1) ** 2)
            constant[rows, rows] = rotation_matrix(l, z_to_y)
        about_z = _turns_about_z(l_max)
        polar = np.einsum("ab,qbc,dc->qad", constant, about_z, constant)
        products = np.einsum("pab,qbc->pqac", about_z, polar)
        if even:
            grouped: list[int] = []
            for magnitude in range(l_max + 1):
                for sign in (1, -1) if magnitude else (1,):
                    grouped += [l * l + l + sign * magnitude for l in range(magnitude, l_max + 1)]
            products = products[..., grouped]
        else:
            degree = np.array([l for l in range(l_max + 1) for _ in range(2 * l + 1)])
            products = products[..., degree[:, None] == degree]
        swap = np.arange(size)
        flip = np.ones(size)
        for plus, minus in rows_of_order(l_max)[1:]:
            swap[plus], swap[minus] = minus, plus
            flip[minus] = -1.0
        for name, values in (
            ("products", products.reshape(len(about_z) ** 2, -1)),
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
        """Frames of edge vectors (n, 3), none of them zero; never in mixed precision."""
        with torch.autocast(vectors.device.type, enabled=False):
            return self._forward(vectors)

    def _forward(self, vectors: Tensor) -> Frames:
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
        matrix = torch.mm(features, self.products.to(features.dtype))
        if self.even:
            size = (self.l_max + 1) ** 2
            matrix = matrix.view(-1, size, size)
        return self.of(matrix)

    def precompute(self, graph: HamiltonianGraph, pair_cutoff: float) -> dict[str, Tensor]:
        """Of a graph: frames of messages, which pairs are within range (Å), and frames of these.

        As `message_frames`, `pairs` and `pair_frames`; `of` makes frames of them again.
        """
        pairs = graph.pairs_within(pair_cutoff)
        return {
            "message_frames": self(graph.message_vectors).matrix,
            "pairs": pairs,
            "pair_frames": self(graph.pair_vectors[pairs]).matrix,
        }

    def of(self, matrix: Tensor) -> Frames:
        """Frames whose matrices were kept."""
        if not self.even:
            return DegreeFrames(matrix)
        return EvenFrames(matrix, self.swap, self.flip.to(matrix.dtype))


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
