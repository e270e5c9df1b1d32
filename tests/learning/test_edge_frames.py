"""Edge frames and SO(2) maps: equivariance, and equality with e3nn's full tensor product."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ase_mlham.core.harmonics import real_harmonics, rotation_matrix
from ase_mlham.learning.nn.features import (
    Channels,
    FrameGate,
    Gate,
    IrrepLinear,
    NormActivation,
    parity_signs,
)
from ase_mlham.learning.nn.frames import EdgeFrames, rows_of_order
from ase_mlham.learning.nn.so2 import SO2Linear

# double precision; the products have about a hundred terms of order one
ROUND_OFF = 1e-11


def orthogonal(seed: int) -> np.ndarray:
    """Random element of O(3); improper for odd seeds."""
    q = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    return q * np.sign(np.linalg.det(q)) * (-1) ** seed


def act(x: torch.Tensor, q: np.ndarray, channels: Channels) -> torch.Tensor:
    """Turn a feature tensor; channels of the other parity change sign under reflections."""
    l_max = int(np.sqrt(x.shape[1])) - 1
    matrix = torch.block_diag(*[torch.tensor(rotation_matrix(l, q)) for l in range(l_max + 1)])
    out = torch.einsum("ab,nbc->nac", matrix, x)
    out[..., channels.natural :] *= np.sign(np.linalg.det(q))
    return out


@pytest.fixture(autouse=True)
def double_precision():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_frames_turn_the_z_axis_onto_the_edge():
    vectors = torch.randn(30, 3)
    vectors[0] = torch.tensor([0.0, 0.0, 2.0])
    vectors[1] = torch.tensor([0.0, 0.0, -1.5])
    turn = EdgeFrames(4)
    frames = turn(vectors)
    identity = torch.eye(25).expand(30, 25, 25)
    torch.testing.assert_close(
        frames.matrix.transpose(1, 2) @ frames.matrix, identity, atol=ROUND_OFF, rtol=0
    )
    harmonics = torch.tensor(real_harmonics(4, vectors.numpy()))[:, :, None]
    seen = torch.cat(frames.into(harmonics, 1), 1)[..., 0]
    # seen along its own direction, Y_lm is sqrt((2l+1)/4pi) for m = 0 and zero otherwise
    expected = torch.sqrt((2 * torch.arange(5) + 1) / (4 * torch.pi)).expand(30, 5)
    torch.testing.assert_close(seen[:, :5], expected, atol=ROUND_OFF, rtol=0)
    assert seen[:, 5:].abs().max() < ROUND_OFF


def test_frames_are_wigner_matrices_of_two_turns():
    """Their closed form against the matrices of the turns about y and z."""
    generator = np.random.default_rng(1)
    vectors = generator.normal(size=(5, 3))
    theta = np.arccos(vectors[:, 2] / np.linalg.norm(vectors, axis=1))
    phi = np.arctan2(vectors[:, 1], vectors[:, 0])
    frames = EdgeFrames(3)(torch.tensor(vectors))
    order = [l * l + l + s * m for m in range(4) for s in (1, -1)[: m + 1] for l in range(m, 4)]
    for matrix, t, p in zip(frames.matrix, theta, phi, strict=True):
        c, s = np.cos(t), np.sin(t)
        about_y = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
        c, s = np.cos(p), np.sin(p)
        about_z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        blocks = [torch.tensor(rotation_matrix(l, about_z @ about_y)) for l in range(4)]
        expected = torch.block_diag(*blocks)[:, order]
        torch.testing.assert_close(matrix, expected, atol=ROUND_OFF, rtol=0)


def test_a_reversed_edge_needs_no_frame_of_its_own():
    """f(x, -v) = P f(P x, v): what lets prediction use one frame for both directions of a pair."""
    channels, out = Channels(5, 3), Channels(2, 4)
    turn = EdgeFrames(4)
    mix, gate = SO2Linear(4, channels, 4, channels), FrameGate(4, channels)
    last = SO2Linear(4, channels, 4, out)
    weights = torch.randn(20, 15 * channels.total)

    def layer(x, frames):
        return frames.out_of(last(gate(mix(frames.into(x, 5), weights))), out.natural)

    x, vectors = torch.randn(20, 25, channels.total), torch.randn(20, 3)
    inverted = parity_signs(4, out) * layer(parity_signs(4, channels) * x, turn(vectors))
    torch.testing.assert_close(inverted, layer(x, turn(-vectors)), atol=ROUND_OFF, rtol=0)


def test_parity_signs_are_the_inversion():
    channels = Channels(2, 3)
    x = torch.randn(4, 16, 5)
    expected = act(x, -np.eye(3), channels)
    torch.testing.assert_close(parity_signs(3, channels) * x, expected, atol=ROUND_OFF, rtol=0)


def test_into_and_out_of_a_frame_are_inverse():
    frames = EdgeFrames(3)(torch.randn(10, 3))
    x = torch.randn(10, 16, 7)
    torch.testing.assert_close(frames.out_of(frames.into(x, 4), 4), x, atol=ROUND_OFF, rtol=0)


@pytest.mark.parametrize("seed", range(4))
def test_layers_are_equivariant_under_rotations_and_reflections(seed):
    channels, out = Channels(5, 3), Channels(4, 6)
    turn_in, turn_out = EdgeFrames(4), EdgeFrames(3)
    mix, gate = SO2Linear(4, channels, 3, out), FrameGate(4, channels)
    linear, node_gate = IrrepLinear(4, channels, channels), Gate(4, channels)
    norm = NormActivation(4, channels)
    weights = torch.randn(20, 15 * channels.total)

    def layer(x, vectors):
        x = norm(node_gate(linear(x)))
        y = gate(turn_in(vectors).into(x, channels.natural))
        return turn_out(vectors).out_of(mix(y, weights), out.natural)

    x, vectors, q = torch.randn(20, 25, channels.total), torch.randn(20, 3), orthogonal(seed)
    turned = layer(act(x, q, channels), vectors @ torch.tensor(q).T)
    torch.testing.assert_close(turned, act(layer(x, vectors), q, out), atol=ROUND_OFF, rtol=0)


def test_every_component_row_appears_once():
    rows = [row for plus, minus in rows_of_order(4) for row in {*plus, *minus}]
    assert sorted(rows) == list(range(25))


def test_so2_map_equals_the_full_tensor_product_of_e3nn():
    """Any weights of the tensor product with the edge's harmonics have an SO(2) counterpart."""
    o3 = pytest.importorskip("e3nn.o3")
    l_max, inputs, outputs = 2, Channels(2, 1), Channels(1, 2)

    def irreps(channels):
        return o3.Irreps(
            [(channels.natural, (l, (-1) ** l)) for l in range(l_max + 1)]
            + [(channels.other, (l, -((-1) ** l))) for l in range(l_max + 1)]
        )

    def pack(x, channels):
        """[n, rows, channels] to e3nn's flat order: irrep, then channel, then m."""
        parts = []
        for columns in (slice(0, channels.natural), slice(channels.natural, None)):
            for l in range(l_max + 1):
                part = x[:, l * l : (l + 1) ** 2, columns]
                parts.append(part.transpose(1, 2).flatten(1))
        return torch.cat(parts, 1)

    def unpack(flat, channels):
        out, start = torch.zeros(len(flat), (l_max + 1) ** 2, channels.total), 0
        for first, n in ((0, channels.natural), (channels.natural, channels.other)):
            for l in range(l_max + 1):
                size = n * (2 * l + 1)
                part = flat[:, start : start + size].view(len(flat), n, 2 * l + 1)
                out[:, l * l : (l + 1) ** 2, first : first + n] = part.transpose(1, 2)
                start += size
        return out

    harmonics = o3.Irreps.spherical_harmonics(2 * l_max)
    product = o3.FullyConnectedTensorProduct(irreps(inputs), harmonics, irreps(outputs))

    def full(x, vectors):
        # called with (y, z, x), e3nn's harmonics are ours in our order
        edge = o3.spherical_harmonics(harmonics, vectors[:, [1, 2, 0]], normalize=True)
        return unpack(product(pack(x, inputs), edge), outputs)

    turn = EdgeFrames(l_max)
    mix = SO2Linear(l_max, inputs, l_max, outputs)
    # read the weights off along z: one basis vector of the input for each row and channel
    size = (l_max + 1) ** 2 * inputs.total
    basis = torch.eye(size).view(size, (l_max + 1) ** 2, inputs.total)
    frames = turn(torch.tensor([[0.0, 0.0, 1.0]]).expand(size, 3))
    parts = basis.split([3, 4, 2], 1)
    response = frames.into(
        full(frames.out_of(parts, inputs.natural), frames_axis(size)), outputs.natural
    )
    response = torch.cat(response, 1).view(
        (l_max + 1) ** 2, inputs.total, (l_max + 1) ** 2, outputs.total
    )
    with torch.no_grad():
        for m, (rows, _) in enumerate(rows_of_order(l_max)):
            block = response[rows][:, :, rows]
            if m == 0:
                parts = (slice(0, inputs.natural), slice(inputs.natural, None))
                for n, (a, b) in enumerate(
                    zip(
                        parts,
                        (slice(0, outputs.natural), slice(outputs.natural, None)),
                        strict=True,
                    )
                ):
                    weight = block[:, a][..., b]
                    mix.weights[n].copy_(weight.reshape(mix.weights[n].shape))
            else:
                mix.weights[m + 1].copy_(block.reshape(mix.weights[m + 1].shape))
    x, vectors = torch.randn(25, (l_max + 1) ** 2, inputs.total), torch.randn(25, 3)
    frames = turn(vectors)
    ours = frames.out_of(mix(frames.into(x, inputs.natural)), outputs.natural)
    expected = full(x, vectors)
    assert expected.abs().max() > 0.1
    # e3nn stores its coupling coefficients in double precision only after conversion: 1e-7 allowed
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=0)


def frames_axis(n: int) -> torch.Tensor:
    """The z axis, n times."""
    return torch.tensor([[0.0, 0.0, 1.0]]).expand(n, 3)
