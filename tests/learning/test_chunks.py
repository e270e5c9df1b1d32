"""Portions of rows: the numbers and derivatives of all rows at once, in less memory."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ase_mlham.errors import InputError
from ase_mlham.learning.nn.chunks import evaluated, in_portions, rows_at_once, set_recompute


class Layer(nn.Module):
    """Messages summed over rows, with noise in training and a note of how often rows are seen."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(3, 16), nn.Linear(16, 2)
        self.recompute, self.seen, self.noisy = False, 0, False

    def rows(self, part, x):
        self.seen += 1
        hidden = torch.tanh(self.first(x[part]))
        if self.noisy:
            hidden = hidden * torch.rand_like(hidden)
        return self.last(hidden)

    def forward(self, x, step):
        return evaluated(self.rows, len(x), step, x, recompute=self.recompute)


def measured(layer, x, step):
    x = x.clone().requires_grad_(True)
    torch.manual_seed(3)
    out = layer(x, step)
    grads = torch.autograd.grad(out.square().sum(), [x, *layer.parameters()])
    return [out.detach(), *grads]


@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("step", [1, 4, 7, 100])
def test_derivatives_are_those_without_portions(step, noisy):
    torch.manual_seed(0)
    layer, x = Layer().double(), torch.randn(9, 3).double()
    layer.noisy = noisy
    plain = measured(layer, x, step)
    layer.recompute = True
    for a, b in zip(plain, measured(layer, x, step), strict=True):
        assert torch.equal(a, b)
    if not noisy:
        for a, b in zip(measured(layer, x, 9), plain, strict=True):
            # double precision, sums in another order
            torch.testing.assert_close(a, b, atol=1e-13, rtol=1e-13)


def test_rows_are_seen_again_only_where_derivatives_are_wanted():
    layer, x = Layer(), torch.randn(9, 3)
    layer.recompute = True
    with torch.no_grad():
        layer(x, 3)
    assert layer.seen == 3
    measured(layer, x, 3)
    assert layer.seen == 3 + 6


def test_less_is_kept_for_the_derivatives():
    layer, x = Layer(), torch.randn(900, 3)
    kept = {}
    for layer.recompute in (False, True):
        sizes = {}

        def note(tensor, sizes=sizes):
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        hooks = torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor)
        with hooks:
            total = 0.0
            for _, out in in_portions(layer.rows, 900, 100, x, recompute=layer.recompute):
                total = total + out.sum()
        kept[layer.recompute] = sum(sizes.values())
    # the input alone: 3 columns in place of 3, and 16 for the hidden layer
    assert kept[True] < 0.2 * kept[False]


def test_autocast_is_the_same_on_the_way_back():
    torch.manual_seed(1)
    layer, x = Layer(), torch.randn(9, 3)
    found = []
    for layer.recompute in (False, True):
        with torch.autocast("cpu", torch.bfloat16):
            out = layer(x, 4)
        assert out.dtype is torch.bfloat16
        found.append(torch.autograd.grad(out.float().square().sum(), list(layer.parameters())))
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)


def test_no_rows():
    assert Layer()(torch.zeros(0, 3), 5).shape == (0, 2)


def test_networks_without_the_attribute_are_refused():
    with pytest.raises(InputError, match="Linear cannot evaluate its layers again"):
        set_recompute(nn.Linear(1, 1), True)
    set_recompute(nn.Linear(1, 1), False)
    wrapped = nn.Sequential(Layer())
    set_recompute(wrapped, True)
    assert wrapped[0].recompute


def test_a_cache_bounds_portions_on_a_processor_alone(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert rows_at_once(4096, 13, torch.device("cpu")) == 39
    assert rows_at_once(7, 13, torch.device("cpu")) == 7
    assert rows_at_once(4096, 13, torch.device("cuda")) == 4096
