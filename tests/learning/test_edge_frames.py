"""Edge frames and SO(2) maps: equivariance, and equality with e3nn's full tensor product."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ase_mlham.core.harmonics import real_harmonics, rotation_matrix
from ase_mlham.errors import ModelError
from ase_mlham.learning.nn.features import (
    Channels,
    FrameGate,
    Gate,
    IrrepLinear,
    NormActivation,
    joined,
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
    out = []
    for l, degree in enumerate(channels.degrees(x)):
        turned = torch.einsum("ab,nbc->nac", torch.tensor(rotation_matrix(l, q)), degree)
        turned[..., channels.natural[l] :] *= np.sign(np.linalg.det(q))
        out.append(turned)
    return joined(out)


# numbers of channels that differ from degree to degree, some of them zero
UNEVEN = Channels((5, 3, 4, 2, 1), (2, 4, 0, 3, 0))
BOTH = pytest.mark.parametrize("channels", [Channels.even(4, 5, 3), UNEVEN], ids=["even", "uneven"])


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
    harmonics = torch.tensor(real_harmonics(4, vectors.numpy()))
    parts = frames.into(harmonics, Channels.even(4, 1, 0))
    seen = torch.cat([part.flatten(1) for part in parts], 1)
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


@BOTH
def test_a_reversed_edge_needs_no_frame_of_its_own(channels):
    """f(x, -v) = P f(P x, v): what lets prediction use one frame for both directions of a pair."""
    out = Channels.even(4, 2, 4)
    turn = EdgeFrames(4, even=channels.is_even)
    mix, gate, last = SO2Linear(channels, channels), FrameGate(channels), SO2Linear(channels, out)
    weights = torch.randn(20, SO2Linear.n_factors(channels))

    def layer(x, frames):
        return frames.out_of(last(gate(mix(frames.into(x, channels), weights))), out)

    x, vectors = torch.randn(20, channels.size), torch.randn(20, 3)
    inverted = parity_signs(out) * layer(parity_signs(channels) * x, turn(vectors))
    torch.testing.assert_close(inverted, layer(x, turn(-vectors)), atol=ROUND_OFF, rtol=0)


@BOTH
def test_parity_signs_are_the_inversion(channels):
    x = torch.randn(4, channels.size)
    expected = act(x, -np.eye(3), channels)
    torch.testing.assert_close(parity_signs(channels) * x, expected, atol=ROUND_OFF, rtol=0)


@BOTH
def test_into_and_out_of_a_frame_are_inverse(channels):
    frames = EdgeFrames(4, even=channels.is_even)(torch.randn(10, 3))
    x = torch.randn(10, channels.size)
    back = frames.out_of(frames.into(x, channels), channels)
    torch.testing.assert_close(back, x, atol=ROUND_OFF, rtol=0)


def test_both_kinds_of_frames_see_the_same():
    channels = Channels.even(3, 4, 2)
    x, vectors = torch.randn(10, channels.size), torch.randn(10, 3)
    one, other = EdgeFrames(3)(vectors), EdgeFrames(3, even=False)(vectors)
    seen = one.into(x, channels)
    assert [part.shape[2] for part in seen] == list(channels.parts)
    for a, b in zip(seen, other.into(x, channels), strict=True):
        torch.testing.assert_close(a, b, atol=ROUND_OFF, rtol=0)
    torch.testing.assert_close(
        one.out_of(seen, channels), other.out_of(seen, channels), atol=ROUND_OFF, rtol=0
    )


@BOTH
def test_channels_that_a_degree_lacks_change_nothing(channels):
    """The same layers with more channels that are zero and unused: sizes are just sizes."""
    wide = Channels.even(4, max(channels.natural), max(channels.other))
    rows = [
        index
        for (l, a), b in zip(enumerate(channels.natural), channels.other, strict=True)
        for m in range(2 * l + 1)
        for index in (
            *range((l * l + m) * wide.totals[0], (l * l + m) * wide.totals[0] + a),
            *range(
                (l * l + m) * wide.totals[0] + wide.natural[0],
                (l * l + m) * wide.totals[0] + wide.natural[0] + b,
            ),
        )
    ]
    x = torch.randn(6, channels.size)
    padded = torch.zeros(6, wide.size)
    padded[:, rows] = x
    vectors = torch.randn(6, 3)
    frames = EdgeFrames(4, even=channels.is_even)(vectors)
    gate, wide_gate = FrameGate(channels), FrameGate(wide)
    with torch.no_grad():
        # every factor its own number, whatever the features are
        wide_gate.linear.weight.zero_()
        gate.linear.weight.zero_()
        bias = wide_gate.linear.bias.view(5, -1)
        natural, other = bias[:, : wide.natural[0]], bias[:, wide.natural[0] :]
        pieces = [natural[0], other[0]]
        for m in range(1, 5):
            pieces += [natural[m, : max(channels.natural[m:])], other[m, : max(channels.other[m:])]]
        gate.linear.bias.copy_(torch.cat(pieces))
    ours = frames.out_of(gate(frames.into(x, channels)), channels)
    wide_frames = EdgeFrames(4)(vectors)
    expected = wide_frames.out_of(wide_gate(wide_frames.into(padded, wide)), wide)[:, rows]
    torch.testing.assert_close(ours, expected, atol=ROUND_OFF, rtol=0)


@pytest.mark.parametrize(
    ("natural", "other", "message"),
    [((2, 2), (1,), "of 2 degrees"), ((0, 2), (1, 1), "degree 0"), ((2, 2), (1, -1), "negative")],
)
def test_channels_that_make_no_sense(natural, other, message):
    with pytest.raises(ModelError, match=message):
        Channels(natural, other)


@BOTH
@pytest.mark.parametrize("seed", range(4))
def test_layers_are_equivariant_under_rotations_and_reflections(seed, channels):
    out = (
        Channels((4, 4, 4, 4), (6, 6, 6, 6))
        if channels.is_even
        else Channels((2, 3, 1, 2), (1, 0, 2, 1))
    )
    turn_in = EdgeFrames(4, even=channels.is_even)
    turn_out = EdgeFrames(3, even=channels.is_even)
    mix, gate = SO2Linear(channels, out), FrameGate(channels)
    linear, node_gate = IrrepLinear(channels, channels), Gate(channels)
    norm = NormActivation(channels)
    weights = torch.randn(20, SO2Linear.n_factors(channels))

    def layer(x, vectors):
        x = norm(node_gate(linear(x)))
        y = gate(turn_in(vectors).into(x, channels))
        return turn_out(vectors).out_of(mix(y, weights), out)

    x, vectors, q = torch.randn(20, channels.size), torch.randn(20, 3), orthogonal(seed)
    turned = layer(act(x, q, channels), vectors @ torch.tensor(q).T)
    torch.testing.assert_close(turned, act(layer(x, vectors), q, out), atol=ROUND_OFF, rtol=0)


def test_every_component_row_appears_once():
    rows = [row for plus, minus in rows_of_order(4) for row in {*plus, *minus}]
    assert sorted(rows) == list(range(25))


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        (Channels.even(2, 2, 1), Channels.even(2, 1, 2)),
        (Channels((3, 1, 2), (1, 2, 0)), Channels((1, 2, 1), (2, 0, 1))),
    ],
    ids=["even", "uneven"],
)
def test_so2_map_equals_the_full_tensor_product_of_e3nn(inputs, outputs):
    """Any weights of the tensor product with the edge's harmonics have an SO(2) counterpart."""
    o3 = pytest.importorskip("e3nn.o3")
    l_max = inputs.l_max

    def irreps(channels):
        return o3.Irreps(
            [(n, (l, (-1) ** l)) for l, n in enumerate(channels.natural)]
            + [(n, (l, -((-1) ** l))) for l, n in enumerate(channels.other)]
        )

    def pack(x, channels):
        """Features to e3nn's flat order: irrep, then channel, then m."""
        degrees = channels.degrees(x)
        natural = [d[..., :n] for d, n in zip(degrees, channels.natural, strict=True)]
        other = [d[..., n:] for d, n in zip(degrees, channels.natural, strict=True)]
        return torch.cat([part.transpose(1, 2).flatten(1) for part in natural + other], 1)

    def unpack(flat, channels):
        sizes = [
            n * (2 * l + 1)
            for numbers in (channels.natural, channels.other)
            for l, n in enumerate(numbers)
        ]
        parts = flat.split(sizes, 1)
        out = []
        for l in range(l_max + 1):
            natural, other = parts[l], parts[l_max + 1 + l]
            shape = (len(flat), -1, 2 * l + 1)
            both = [p.view(shape) for p in (natural, other) if p.shape[1]]
            out.append(torch.cat(both, 1).transpose(1, 2))
        return joined(out)

    harmonics = o3.Irreps.spherical_harmonics(2 * l_max)
    product = o3.FullyConnectedTensorProduct(irreps(inputs), harmonics, irreps(outputs))

    def full(x, vectors):
        # called with (y, z, x), e3nn's harmonics are ours in our order
        edge = o3.spherical_harmonics(harmonics, vectors[:, [1, 2, 0]], normalize=True)
        return unpack(product(pack(x, inputs), edge), outputs)

    turn = EdgeFrames(l_max, even=inputs.is_even)
    mix = SO2Linear(inputs, outputs)
    # read the weights off along z: one basis vector of the input for each row +m and channel
    axis = torch.tensor([[0.0, 0.0, 1.0]])
    with torch.no_grad():
        for part, weight in enumerate(mix.weights):
            n = len(weight)
            basis = [torch.zeros(n, 1 if k < 2 else 2, size) for k, size in enumerate(inputs.parts)]
            basis[part][:, 0] = torch.eye(n)
            frames = turn(axis.expand(n, 3))
            response = frames.into(full(frames.out_of(basis, inputs), axis.expand(n, 3)), outputs)
            weight.copy_(response[part][:, 0])
    x, vectors = torch.randn(25, inputs.size), torch.randn(25, 3)
    frames = turn(vectors)
    ours = frames.out_of(mix(frames.into(x, inputs)), outputs)
    expected = full(x, vectors)
    assert expected.abs().max() > 0.1
    # e3nn stores its coupling coefficients in double precision only after conversion: 1e-7 allowed
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=0)
