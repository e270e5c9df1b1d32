"""Attention weights, the norm of features, and Gaussians of distance."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ase_mlham.core.harmonics import rotation_matrix
from ase_mlham.learning.nn.attention import AttentionWeights, head_of_channel, smooth_leaky_relu
from ase_mlham.learning.nn.features import Channels
from ase_mlham.learning.nn.frames import EdgeFrames
from ase_mlham.learning.nn.norm import IrrepNorm, frame_norm
from ase_mlham.learning.nn.radial import GaussianSmearing

CHANNELS = Channels((3, 2, 4), (1, 2, 0))


def random_features(n: int, channels: Channels = CHANNELS) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, channels.size, generator=generator, dtype=torch.float64)


def turned(x: torch.Tensor, channels: Channels) -> torch.Tensor:
    """Features after a rotation by one radian about an oblique axis."""
    a = np.array([0.6, 0.0, 0.8])
    k = np.array([[0, -a[2], a[1]], [a[2], 0, -a[0]], [-a[1], a[0], 0]])
    Q = np.eye(3) + np.sin(1.0) * k + (1 - np.cos(1.0)) * k @ k
    parts = [
        torch.einsum("ab,nbc->nac", torch.from_numpy(rotation_matrix(l, Q)), degree).flatten(1)
        for l, degree in enumerate(channels.degrees(x))
    ]
    return torch.cat(parts, 1)


def test_the_norm_is_one_length_for_all_degrees():
    norm = IrrepNorm(CHANNELS).double()
    x = random_features(5)
    y = norm(x)
    for row_in, row_out in zip(x, y, strict=True):
        factor = row_out / row_in
        # double precision: every component is multiplied by the same number
        torch.testing.assert_close(factor, factor[:1].expand_as(factor), rtol=1e-12, atol=0)
    means = torch.stack([degree.square().mean((1, 2)) for degree in CHANNELS.degrees(y)])
    # one but for the floor of 1e-6
    torch.testing.assert_close(means.mean(0), torch.ones(5).double(), rtol=1e-5, atol=0)


def test_the_norm_is_equivariant_with_any_weights():
    norm = IrrepNorm(CHANNELS).double()
    torch.nn.init.normal_(norm.weight)
    x = random_features(5)
    # double precision
    torch.testing.assert_close(
        norm(turned(x, CHANNELS)), turned(norm(x), CHANNELS), atol=1e-12, rtol=0
    )


def test_the_norm_leaves_small_degrees_small():
    """As displacements of a crystal are: division must not blow them up."""
    norm = IrrepNorm(CHANNELS).double()
    x = random_features(1)
    scalars, rest = x.split([4, CHANNELS.size - 4], 1)
    full, tiny = (norm(torch.cat([scalars, s * rest], 1))[:, 4:] for s in (1e-3, 1e-6))
    # to first order in what is small
    torch.testing.assert_close(full, 1e3 * tiny, rtol=1e-5, atol=0)


def test_the_norm_in_frames_is_invariant():
    channels = Channels.even(2, 3, 2)
    frames = EdgeFrames(2)(torch.tensor([[0.3, -0.4, 1.2]] * 4, dtype=torch.float64))
    x = random_features(4, channels)
    parts = frame_norm(frames.into(x, channels))
    # with even channels all components count alike, turned or not
    expected = x / torch.sqrt(x.square().mean(1, keepdim=True) + 1e-6)
    # double precision
    torch.testing.assert_close(frames.out_of(parts, channels), expected, atol=1e-12, rtol=0)


def test_attention_weights_are_bounded_and_carry_the_envelope():
    torch.manual_seed(0)
    weights = AttentionWeights(6, heads=3, width=4)
    with torch.no_grad():
        weights.projection.mul_(1e4)
        found = weights(100 * torch.randn(50, 6), torch.linspace(0, 1, 50))
    assert found.shape == (50, 3)
    assert (found[0] == 0).all()
    assert (found[1:] > 0).all()
    # exp of the largest logit, 10
    assert found.max() <= np.exp(10.0) * (1 + 1e-5)
    assert found.max() > 1e3


def test_heads_share_the_channels_of_each_parity():
    heads = head_of_channel(Channels.even(1, 4, 2), 2)
    assert heads.tolist() == [0, 0, 1, 1, 0, 1]


def test_the_leaky_unit_has_its_two_slopes_and_no_kink():
    x = torch.tensor([-40.0, 0.0, 40.0], dtype=torch.float64, requires_grad=True)
    y = smooth_leaky_relu(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    # far away only rounding is left of the sigmoid
    np.testing.assert_allclose(y.detach().numpy(), [-8.0, 0.0, 40.0], atol=1e-9)
    np.testing.assert_allclose(slope.numpy(), [0.2, 0.6, 1.0], atol=1e-9)


def test_gaussians_of_distance():
    smearing = GaussianSmearing(31, 6.0, width=1.5)
    values = smearing(torch.tensor([2.0, 2.3], dtype=torch.float64))
    centres = 0.2 * np.arange(31)
    expected = np.exp(-(((np.array([[2.0], [2.3]]) - centres) / 0.3) ** 2) / 2)
    # double precision
    np.testing.assert_allclose(values.numpy(), expected, atol=1e-12)
