"""The DeepH-2 family: conformance, presets, what it refuses, and portions."""

from __future__ import annotations

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
