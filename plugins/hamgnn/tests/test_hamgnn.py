"""The HamGNN family: conformance, presets, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ase_mlham import hooks
from ase_mlham.core import Structure
from ase_mlham.core.system import basis_pattern
from ase_mlham.errors import ModelError
from ase_mlham.learning.configuration import make_config
from ase_mlham.learning.graph import build_graph
from ase_mlham.learning.layout import BlockLayout
from ase_mlham.learning.testing import check_family, probe_basis
from ase_mlham_hamgnn.network import HamGNN, HamGNNConfig


def test_it_keeps_every_symmetry_of_a_hamiltonian():
    report = check_family("hamgnn", natural=12, other=6, layers=2, hidden=24)
    report.raise_for_failures()
    assert not [result for result in report.results if result.status == "expected"]


@pytest.mark.parametrize(
    ("spin", "parts"),
    [("none", None), ("spinor", None), ("spinor", "PBC"), ("collinear", "PC")],
)
def test_channels_may_differ_from_degree_to_degree(spin, parts):
    checks = "rotation inversion hermiticity time_reversal moments batching recompute model_file"
    report = check_family(
        "hamgnn",
        spin=spin,
        parts=parts,
        checks=None if spin == "none" else checks.split(),
        natural=[6, 5, 4, 4, 3, 3],
        other=[2, 4, 3, 2, 1, 0],
        layers=1,
        hidden=8,
        bessel=4,
    )
    report.raise_for_failures()


def test_channels_of_the_universal_preset_are_the_published_ones():
    """The node features under "Network details" of the publication."""
    published = "32x0o+128x0e+128x1o+64x1e+128x2e+32x2o+64x3o+32x3e+32x4o+32x4e+16x5o+8x5e+8x6e"
    spec = hooks.find("model family", "hamgnn")
    config = make_config(hooks.load(spec.config), spec.presets["universal"], "preset")
    channels = HamGNN(config, BlockLayout(probe_basis())).channels
    found = {}
    for l, numbers in enumerate(zip(channels.natural, channels.other, strict=True)):
        parities = "eo" if l % 2 == 0 else "oe"
        found |= {f"{l}{parity}": n for parity, n in zip(parities, numbers, strict=True) if n}
    terms = (term.split("x") for term in published.split("+"))
    assert found == {irrep: int(n) for n, irrep in terms}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"natural": (4, 4, 4)}, "set l_max = 4"),
        ({"natural": (4,) * 5, "other": (2,) * 4}, "`other` lists the channels of 4 degrees"),
        ({"natural": (4,) * 5, "l_max": 5}, "features have 6 .* give 6 numbers"),
        ({"natural": (0, 4, 4, 4, 4)}, "degree 0"),
    ],
)
def test_lists_of_channels_that_do_not_fit(options, message):
    with pytest.raises(ModelError, match=message):
        HamGNN(HamGNNConfig(**options), BlockLayout(probe_basis()))


def test_presets_are_valid_configurations():
    spec = hooks.find("model family", "hamgnn")
    config = hooks.load(spec.config)
    for preset in spec.presets.values():
        HamGNN(make_config(config, preset, "preset"), BlockLayout(probe_basis()))


def test_features_of_too_low_degree_are_refused():
    with pytest.raises(ModelError, match="set l_max = 4"):
        HamGNN(HamGNNConfig(l_max=3), BlockLayout(probe_basis()))


def test_prediction_is_the_mean_of_the_two_directions_of_training(monkeypatch):
    torch.manual_seed(0)
    layout = BlockLayout(probe_basis())
    network = HamGNN(HamGNNConfig(natural=8, other=4, layers=1), layout).double()
    structure = molecule_of(6)
    pattern = basis_pattern(structure, layout.basis)
    graph = build_graph(structure, layout.basis, pattern, 5.0, torch.float64)
    directions = []
    with torch.no_grad():
        for drawn in (0.0, 1.0):
            monkeypatch.setattr(torch, "rand", lambda n, drawn=drawn, **_: torch.full((n,), drawn))
            directions.append(network.train()(graph).offsite)
        one, other = directions
        assert (one - other).abs().max() > 1e-3
        # double precision
        torch.testing.assert_close(
            network.eval()(graph).offsite, 0.5 * (one + other), atol=1e-12, rtol=0
        )


def molecule_of(n_atoms: int) -> Structure:
    """Atoms of both elements of the probe basis in a small box."""
    generator = np.random.default_rng(4)
    grid = np.array([(x, y, z) for x in range(3) for y in range(3) for z in range(3)])[:n_atoms]
    positions = 1.8 * grid + generator.normal(scale=0.1, size=(n_atoms, 3))
    numbers = generator.choice(probe_basis().numbers, n_atoms)
    return Structure(numbers, positions, np.zeros((3, 3)), np.zeros(3, dtype=bool))
