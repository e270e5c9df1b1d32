"""The DeepH-2 family: conformance, presets, what it refuses, and portions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ase_mlham import hooks
from ase_mlham.core import Structure
from ase_mlham.core.system import basis_pattern
from ase_mlham.errors import ModelError
from ase_mlham.learning.configuration import make_config
from ase_mlham.learning.graph import HamiltonianGraph, build_graph
from ase_mlham.learning.layout import BlockLayout
from ase_mlham.learning.spin_form import SpinForm
from ase_mlham.learning.testing import check_family, check_names, probe_basis
from ase_mlham_deeph2.network import DeepH2, DeepH2Config

SMALL = {"natural": 8, "other": 4, "blocks": 2, "hidden": 16, "gaussians": 12}


def small_network(**options) -> DeepH2:
    torch.manual_seed(0)
    return DeepH2(DeepH2Config(**{**SMALL, **options}), BlockLayout(probe_basis())).double()


def test_it_keeps_every_symmetry_of_a_hamiltonian():
    # the others take most of the time, and run below
    checks = [name for name in check_names() if name not in ("overfitting", "gradient")]
    report = check_family("deeph2", checks=checks, **{**SMALL, "natural": 4, "other": 2})
    report.raise_for_failures()
    assert not [result for result in report.results if result.status == "expected"]


def test_spin_comes_as_channels_of_the_layout():
    checks = "rotation hermiticity time_reversal".split()
    options = {**SMALL, "natural": 4, "blocks": 1}
    report = check_family("deeph2", spin="spinor", parts="PBC", checks=checks, **options)
    report.raise_for_failures()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spin", "parts", "form"),
    [
        ("none", None, None),
        ("spinor", None, None),
        ("spinor", "PBC", None),
        ("collinear", "PC", None),
        ("spinor", "PBC", SpinForm(exchange="heisenberg")),
        ("spinor", "PBC", SpinForm(exchange="fields")),
        ("spinor", "PB", SpinForm(spin_orbit="angular_momentum")),
        ("spinor", "PC", SpinForm(exchange="heisenberg", isotropic=True)),
    ],
)
def test_it_keeps_every_symmetry_with_every_spin(spin, parts, form):
    check_family("deeph2", spin=spin, parts=parts, form=form, **SMALL).raise_for_failures()


def test_presets_are_valid_and_the_universal_one_has_the_published_sizes():
    spec = hooks.find("model family", "deeph2")
    for name, preset in spec.presets.items():
        config = make_config(hooks.load(spec.config), preset, "preset")
        network = DeepH2(config, BlockLayout(probe_basis()))
        if name == "universal":
            # "Methods" of the publication: 3 blocks, 80 features up to l = 4, 2 heads, 600
            # Gaussians from 0 to 9 Å
            assert network.channels.totals == (80,) * 5
            assert (len(network.blocks), config.heads) == (3, 2)
            centres = network.smearing.centres / network.smearing.scale
            assert (len(centres), float(centres[0])) == (600, 0.0)
            assert float(centres[-1]) == pytest.approx(9.0)
            assert config.message_cutoff == config.pair_cutoff


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"l_max": 3}, "set l_max = 4"),
        ({"natural": 9}, "`natural` = 9 channels .* 2 heads"),
        ({"other": 3}, "`other` = 3 channels .* 2 heads"),
        ({"heads": 0}, "0 heads"),
        ({"gaussians": 1}, "`gaussians` = 1 is too small; give 2"),
        ({"blocks": 0}, "`blocks` = 0 is too small; give 1"),
    ],
)
def test_sizes_that_cannot_be_are_refused(options, message):
    with pytest.raises(ModelError, match=message):
        small_network(**options)


def molecule_of(n_atoms: int) -> Structure:
    """Atoms of both elements of the probe basis in a small box."""
    generator = np.random.default_rng(4)
    grid = np.array([(x, y, z) for x in range(3) for y in range(3) for z in range(3)])[:n_atoms]
    positions = 1.8 * grid + generator.normal(scale=0.1, size=(n_atoms, 3))
    numbers = generator.choice(probe_basis().numbers, n_atoms)
    return Structure(numbers, positions, np.zeros((3, 3)), np.zeros(3, dtype=bool))


def graph_of(n_atoms: int) -> HamiltonianGraph:
    structure, basis = molecule_of(n_atoms), probe_basis()
    return build_graph(structure, basis, basis_pattern(structure, basis), 5.0, torch.float64)


def test_portions_change_nothing(monkeypatch):
    """Neither the bound of the configuration nor the one for the cache."""
    network, graph = small_network().eval(), graph_of(12)
    with torch.no_grad():
        whole = network(graph, network.precompute(graph))
        assert len(graph.message_i) > 60
        assert graph.n_pairs > 30
        for chunk, cached in ((7, 512), (4096, 512), (4096, 13)):
            monkeypatch.setattr(network, "config", replace(network.config, chunk=chunk))
            monkeypatch.setattr("ase_mlham_deeph2.network._CACHED_EDGES", cached)
            for a, b in zip(network(graph), whole, strict=True):
                # double precision: products of other sizes may add up in another order
                torch.testing.assert_close(a, b, atol=1e-12, rtol=0)


def test_evaluating_again_on_the_way_back_gives_the_same_gradients(monkeypatch):
    network, graph = small_network().train(), graph_of(8)
    # one direction for all pairs: portions would draw others
    monkeypatch.setattr(torch, "rand", lambda n, **_: torch.full((n,), 0.7))
    found = []
    for recompute in (False, True):
        network.recompute = recompute
        network.config = replace(network.config, chunk=11)
        network.zero_grad()
        output = network(graph)
        (output.onsite.square().sum() + output.offsite.square().sum()).backward()
        found.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
    assert found[0].abs().max() > 1e-3
    # double precision, relative to the largest of the gradients
    torch.testing.assert_close(*found, atol=1e-10 * float(found[0].abs().max()), rtol=0)


def test_atoms_may_have_features_of_one_parity():
    """Their pairs still have both: an edge and a polar feature make an axial one."""
    network, graph = small_network(other=0).eval(), graph_of(4)
    with torch.no_grad():
        output = network(graph)
    natural = np.concatenate(
        [
            np.tile([c.natural for c in entries], 2 * L + 1)
            for L, entries in enumerate(BlockLayout(probe_basis()).channels)
        ]
    )
    assert (output.onsite[:, ~natural] == 0).all()
    for part in (
        output.onsite[:, natural],
        output.offsite[:, natural],
        output.offsite[:, ~natural],
    ):
        assert (part.abs().amax(1) > 1e-4).all()


def test_prediction_is_the_mean_of_the_two_directions_of_training(monkeypatch):
    network, graph = small_network(), graph_of(6)
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


def test_off_site_blocks_vanish_smoothly_at_the_end_of_their_range():
    network = small_network().eval()

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
            moments=torch.zeros(2, 3, dtype=torch.float64),
        )
        with torch.no_grad():
            return float(network(graph).offsite.abs().max())

    cutoff = network.config.pair_cutoff
    near, nearer = largest(cutoff - 0.02), largest(cutoff - 0.04)
    assert 0 < near < 1e-3
    # a cosine envelope: the output falls with the square of what is left of the range
    assert nearer / near == pytest.approx(4, rel=0.1)
    assert largest(cutoff + 0.01) == 0.0
    # and far pairs are not stifled: what they lack in size is in the scales of the targets
    assert largest(cutoff - 1.5) > 0.2 * largest(cutoff / 2)


def test_the_published_recipe_is_that_of_the_publication():
    from ase_mlham.learning.recipes import HamiltonianRecipe

    values = {"data": {"train": ["a"]}, "family": {"name": "deeph2", "recipe": "paper"}}
    config = make_config(HamiltonianRecipe, values, "values")
    training = config.training
    assert (training.optimiser, training.beta1, training.beta2) == ("adamw", 0.9, 0.999)
    assert (training.weight_decay, training.batch_size) == (1e-3, 1)
    assert (training.learning_rate, training.smallest_rate) == (4e-4, 1e-5)
    assert (training.plateau_factor, training.plateau_patience) == (0.5, 20)
    # a Huber loss with delta = 0.01 eV, free of gauge
    assert (config.loss.huber, config.loss.rms, config.loss.gauge_free) == (10.0, 0.0, True)
