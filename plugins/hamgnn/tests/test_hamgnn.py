"""The HamGNN family: conformance, presets, and what it refuses."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from ase_mlham import hooks
from ase_mlham.errors import ModelError
from ase_mlham.learning.layout import BlockLayout
from ase_mlham.learning.testing import check_family, probe_basis
from ase_mlham_hamgnn.network import HamGNN, HamGNNConfig


def test_it_keeps_every_symmetry_of_a_hamiltonian():
    report = check_family("hamgnn", natural=12, other=6, layers=2, hidden=24)
    report.raise_for_failures()
    assert not [result for result in report.results if result.status == "expected"]


def test_presets_are_valid_configurations():
    spec = hooks.find("model family", "hamgnn")
    config = hooks.load(spec.config)
    for preset in spec.presets.values():
        HamGNN(config(**preset), BlockLayout(probe_basis()))


def test_features_of_too_low_degree_are_refused():
    with pytest.raises(ModelError, match="set l_max = 4"):
        HamGNN(HamGNNConfig(l_max=3), BlockLayout(probe_basis()))


def test_spin_is_refused():
    with pytest.raises(ModelError, match="without spin"):
        HamGNN(HamGNNConfig(), BlockLayout(probe_basis()), n_components=4)


def test_off_site_blocks_vanish_smoothly_at_the_end_of_their_range():
    layout = BlockLayout(probe_basis())
    network = HamGNN(HamGNNConfig(natural=8, other=4, layers=1), layout).double().eval()
    from ase_mlham.learning.graph import HamiltonianGraph

    def largest(distance: float) -> float:
        one = torch.tensor([1])
        vector = torch.tensor([[0.0, 0.6 * distance, 0.8 * distance]], dtype=torch.float64)
        graph = HamiltonianGraph(
            species=torch.tensor([0, 1]),
            structure=torch.zeros(2, dtype=torch.int64),
            message_i=torch.zeros(0, dtype=torch.int64),
            message_j=torch.zeros(0, dtype=torch.int64),
            message_vectors=torch.zeros(0, 3, dtype=torch.float64),
            pair_i=one - 1,
            pair_j=one,
            pair_vectors=vector,
        )
        with torch.no_grad():
            return float(network(graph).offsite.abs().max())

    cutoff = network.config.pair_cutoff
    near, nearer = largest(cutoff - 0.02), largest(cutoff - 0.04)
    assert 0 < near < 1e-3
    # two cosine envelopes: the output falls with the fourth power of what is left of the range
    assert nearer / near == pytest.approx(16, rel=0.1)
    assert largest(cutoff + 0.01) == 0.0
