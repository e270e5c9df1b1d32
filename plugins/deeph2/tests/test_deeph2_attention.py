"""The attention layer against loops over edges, degrees and orders, with Wigner matrices."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ase_mlham.core.harmonics import rotation_matrix
from ase_mlham.learning.nn.features import Channels
from ase_mlham.learning.nn.frames import EdgeFrames
from ase_mlham_deeph2.layers import GraphAttention, Received, Sizes

L_MAX, NATURAL, OTHER, HEADS, WIDTH = 2, 4, 2, 2, 3
SIZES = Sizes(
    Channels.even(L_MAX, NATURAL, OTHER),
    gaussians=5,
    hidden=6,
    heads=HEADS,
    width=WIDTH,
    expansion=2,
)


def numbers(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().numpy()


def linear(layer: torch.nn.Linear, x: np.ndarray) -> np.ndarray:
    y = x @ numbers(layer.weight).T
    return y if layer.bias is None else y + numbers(layer.bias)


def silu(x: np.ndarray) -> np.ndarray:
    return x / (1.0 + np.exp(-x))


def by_degree(row: np.ndarray) -> list[np.ndarray]:
    """(2 l + 1, channels) of each degree of one atom."""
    out, start = [], 0
    for l in range(L_MAX + 1):
        size = (2 * l + 1) * (NATURAL + OTHER)
        out.append(row[start : start + size].reshape(2 * l + 1, -1))
        start += size
    return out


def normalised(degrees: list[np.ndarray], weight: np.ndarray) -> list[np.ndarray]:
    mean = np.mean([np.mean(degree**2) for degree in degrees])
    weights = weight.reshape(L_MAX + 1, -1)
    return [d * w / math.sqrt(mean + 1e-6) for d, w in zip(degrees, weights, strict=True)]


def channel_map(layer, degrees: list[np.ndarray]) -> list[np.ndarray]:
    out = []
    for l, degree in enumerate(degrees):
        natural = degree[:, :NATURAL] @ numbers(layer.natural)[l]
        other = degree[:, NATURAL:] @ numbers(layer.other)[l]
        out.append(np.hstack([natural, other]))
    return out


def rotation_to(vector: np.ndarray, azimuth: float) -> np.ndarray:
    """A rotation that takes z onto a vector; which one must not matter."""
    z = vector / np.linalg.norm(vector)
    x = np.cross([0.3, 1.0, -0.2], z)
    x /= np.linalg.norm(x)
    y = np.cross(z, x)
    c, s = math.cos(azimuth), math.sin(azimuth)
    return np.stack([c * x + s * y, c * y - s * x, z], 1)


class Seen:
    """Features in a frame: rows of an order, over degrees and channels."""

    def __init__(self, degrees: list[np.ndarray]) -> None:
        self.degrees = degrees

    def natural(self, l: int, m: int) -> np.ndarray:
        return self.degrees[l][l + m, :NATURAL]

    def other(self, l: int, m: int) -> np.ndarray:
        return self.degrees[l][l + m, NATURAL:]

    def rows(self, m: int) -> list[np.ndarray]:
        """What one matrix acts on: for m = 0 each parity alone, else rows of either sign."""
        if m == 0:
            zero = [np.concatenate([f(l, 0) for l in range(L_MAX + 1)]) for f in self.both]
            return list(zero)
        degrees = range(m, L_MAX + 1)
        plus = [part for l in degrees for part in (self.natural(l, m), self.other(l, -m))]
        minus = [part for l in degrees for part in (self.natural(l, -m), -self.other(l, m))]
        return [np.concatenate(plus), np.concatenate(minus)]

    @property
    def both(self):
        return self.natural, self.other


def mapped(layer, seen: Seen, factors: np.ndarray | None) -> Seen:
    """An SO(2) map, order by order; factors belong to degree and channel."""
    degrees = [np.zeros((2 * l + 1, NATURAL + OTHER)) for l in range(L_MAX + 1)]
    n, start = NATURAL + OTHER, 0
    for m in range(L_MAX + 1):
        count = (L_MAX + 1 - m) * n
        own = np.ones(count) if factors is None else factors[start : start + count]
        start += count
        own = own.reshape(-1, n)
        if m == 0:
            natural, other = seen.rows(0)
            a = (natural * own[:, :NATURAL].ravel()) @ numbers(layer.weights[0])
            b = (other * own[:, NATURAL:].ravel()) @ numbers(layer.weights[1])
            for l in range(L_MAX + 1):
                degrees[l][l, :NATURAL] = a.reshape(-1, NATURAL)[l]
                degrees[l][l, NATURAL:] = b.reshape(-1, OTHER)[l]
            continue
        plus, minus = (row * own.ravel() @ numbers(layer.weights[m + 1]) for row in seen.rows(m))
        for l in range(m, L_MAX + 1):
            p, q = plus.reshape(-1, n)[l - m], minus.reshape(-1, n)[l - m]
            degrees[l][l + m] = np.concatenate([p[:NATURAL], -q[NATURAL:]])
            degrees[l][l - m] = np.concatenate([q[:NATURAL], p[NATURAL:]])
    return Seen(degrees)


def gated(layer, seen: Seen) -> Seen:
    gates = 2.0 / (1.0 + np.exp(-linear(layer.linear, seen.rows(0)[0])))
    natural, other, *orders = np.split(
        gates, np.cumsum([NATURAL, OTHER, *[NATURAL + OTHER] * (L_MAX - 1)])
    )
    of_order = [np.concatenate([natural, other]), *orders]
    # the other parity's row m belongs with the natural row -m: the same factor
    out = [
        np.array([degree[l + m] * of_order[abs(m)] for m in range(-l, l + 1)])
        for l, degree in enumerate(seen.degrees)
    ]
    return Seen(out)


def logits(layer, invariants: np.ndarray) -> np.ndarray:
    vectors = linear(layer.linear, invariants).reshape(HEADS, WIDTH)
    mean = vectors.mean(1, keepdims=True)
    vectors = (vectors - mean) / np.sqrt(vectors.var(1, keepdims=True) + 1e-5)
    vectors = vectors * numbers(layer.norm.weight) + numbers(layer.norm.bias)
    bent = 0.6 * vectors + 0.4 * vectors * np.tanh(vectors / 2)
    return 10 * np.tanh((bent * numbers(layer.projection)).sum(1) / 10)


def test_attention_is_what_loops_with_wigner_matrices_give():
    torch.manual_seed(3)
    attention = GraphAttention(SIZES).double()
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    generator = np.random.default_rng(1)
    x = generator.normal(size=(3, SIZES.channels.size))
    i, j = np.array([0, 0, 1, 2]), np.array([1, 2, 0, 0])
    vectors = generator.normal(size=(4, 3))
    gaussians = generator.random((4, SIZES.gaussians))
    envelope = generator.random(4)

    degrees = [normalised(by_degree(row), numbers(attention.norm.weight)) for row in x]
    receivers = [channel_map(attention.receiver, d) for d in degrees]
    senders = [channel_map(attention.sender, d) for d in degrees]
    sums = [[np.zeros((2 * l + 1, NATURAL + OTHER)) for l in range(L_MAX + 1)] for _ in x]
    totals = np.ones((3, HEADS))
    head = np.array([0, 0, 1, 1, 0, 1])
    for e in range(4):
        a, b = degrees[i[e]][0][0, :NATURAL], degrees[j[e]][0][0, :NATURAL]
        net = attention.factors
        hidden = linear(net.radial, gaussians[e]) + linear(net.receiver, a) + linear(net.sender, b)
        factors = linear(net.last, silu(linear(net.middle, silu(hidden))))
        Q = rotation_to(vectors[e], azimuth=generator.random())
        D = [rotation_matrix(l, Q) for l in range(L_MAX + 1)]
        ends = [p + q for p, q in zip(receivers[i[e]], senders[j[e]], strict=True)]
        mixed = mapped(
            attention.first, Seen([d.T @ y for d, y in zip(D, ends, strict=True)]), factors
        )
        weights = np.exp(logits(attention.weights, mixed.rows(0)[0])) * envelope[e]
        values = mapped(attention.second, gated(attention.gate, mixed), None)
        totals[i[e]] += weights
        for l in range(L_MAX + 1):
            sums[i[e]][l] += (D[l] @ values.degrees[l]) * weights[head]
    expected = []
    for row, total in zip(sums, totals, strict=True):
        row = [degree / total[head] for degree in row]
        row[0][0, :NATURAL] += linear(attention.amount, np.log(total))
        expected.append(np.concatenate([d.ravel() for d in channel_map(attention.last, row)]))

    receiver, sender = torch.from_numpy(i), torch.from_numpy(j)
    with torch.no_grad():
        atoms = attention.of_atoms(torch.from_numpy(x))
        frames = EdgeFrames(L_MAX)(torch.from_numpy(vectors))
        values, weights = attention(
            atoms, receiver, sender, *map(torch.from_numpy, (gaussians, envelope)), frames
        )
        found = attention.update(
            Received(
                torch.zeros(3, values.shape[1]).double().index_add(0, receiver, values),
                torch.zeros(3, HEADS).double().index_add(0, receiver, weights),
            )
        )
    # double precision, sums of some hundred terms
    np.testing.assert_allclose(numbers(found), expected, atol=1e-11)
