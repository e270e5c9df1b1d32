"""The LC-Net family: conformance, what is exact without ties, presets, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from ase_mlham import hooks
from ase_mlham.core import SpinKind, Structure
from ase_mlham.core.system import basis_pattern
from ase_mlham.core.transform import rotated_matrix
from ase_mlham.errors import ModelError
from ase_mlham.learning.configuration import make_config
from ase_mlham.learning.graph import build_graph
from ase_mlham.learning.layout import BlockLayout
from ase_mlham.learning.model import HamiltonianModel, load_model
from ase_mlham.learning.networks import make_network
from ase_mlham.learning.spin_form import SpinForm, network_layouts
from ase_mlham.learning.tensors import to_matrix
from ase_mlham.learning.testing import check_family, probe_basis
from ase_mlham.testing.strategies import rotations
from ase_mlham_lcnet.config import LCNetConfig
from ase_mlham_lcnet.network import LCNet
from ase_mlham_lcnet.triangles import Triangles

SMALL = {"node": 12, "edge": 12, "local": 6, "layers": 2, "output": 12, "filters": 4}
KNOWN = {"rotation", "inversion"}


def statuses(report):
    report.raise_for_failures()
    return {result.name for result in report.results if result.status == "expected"}


def test_it_keeps_the_symmetries_that_local_coordinates_can_keep():
    checks = "size rotation inversion permutation hermiticity images pair_range portions recompute"
    assert statuses(check_family("lcnet", checks=checks.split(), **SMALL)) == KNOWN


@pytest.mark.slow
@pytest.mark.parametrize(("spin", "parts"), [("none", None), ("collinear", None), ("spinor", None)])
def test_whole_conformance_kit(spin, parts):
    assert statuses(check_family("lcnet", spin=spin, parts=parts, **SMALL)) == KNOWN


@pytest.mark.slow
def test_directions_of_moments():
    """An atom with a moment and no neighbour keeps global axes: that is where it jumps."""
    checks = "permutation hermiticity time_reversal kramers spinless_limit moments message_cutoff"
    report = check_family("lcnet", spin="spinor", parts="PBCK", checks=checks.split(), **SMALL)
    assert {result.name for result in report.failures} == {"message_cutoff"}


@pytest.mark.parametrize(
    ("spin", "form"),
    [
        ("collinear", SpinForm(exchange="fields", isotropic=True)),
        pytest.param("spinor", SpinForm(spin_orbit="angular_momentum"), marks=pytest.mark.slow),
    ],
)
def test_heads_of_other_forms(spin, form):
    checks = ["hermiticity", "time_reversal"]
    report = check_family("lcnet", spin=spin, form=form, checks=checks, **SMALL)
    report.raise_for_failures()


# ---------------------------------------------------------------------- without ties
def disordered(seed: int, moments: bool = False) -> Structure:
    """Triclinic crystal of six atoms without symmetry."""
    generator = np.random.default_rng(seed)
    grid = np.array([(x, y, z) for x in (0.0, 2.4) for y in (0.0, 2.5) for z in (0.0, 2.6)])[:6]
    positions = grid + generator.normal(scale=0.15, size=(6, 3))
    cell = np.diag([4.9, 5.1, 5.3]) + generator.normal(scale=0.2, size=(3, 3))
    arrows = generator.normal(size=(6, 3)) if moments else None
    numbers = generator.choice(probe_basis().numbers, 6)
    return Structure(numbers, positions, cell, np.ones(3, bool), arrows)


def network_of(spin=SpinKind.NONE, parts=None, **options):
    torch.manual_seed(0)
    layout = BlockLayout(probe_basis(), spin, parts)
    spec = hooks.find("model family", "lcnet")
    network = make_network(spec, LCNetConfig(**{**SMALL, **options}), layout)
    return layout, network.double().eval()


def blocks_of(layout, network, structure, pattern):
    graph = build_graph(structure, layout.basis, pattern, network.message_cutoff, torch.float64)
    with torch.no_grad():
        return to_matrix(layout, pattern, network(graph))


def deviation_after(turn, layout, network, structure):
    pattern = basis_pattern(structure, layout.basis)
    moments = None
    if structure.moments is not None:
        moments = np.linalg.det(turn) * structure.moments @ turn.T
    moved = replace(
        structure,
        positions=structure.positions @ turn.T,
        cell=structure.cell @ turn.T,
        moments=moments,
    )
    found = blocks_of(layout, network, moved, pattern)
    expected = rotated_matrix(
        blocks_of(layout, network, structure, pattern), layout.basis, turn, "pauli"
    )
    pairs = zip(found.values, expected.values, strict=True)
    return max(float(abs(a - b).max()) for a, b in pairs)


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 2**32 - 1), rotations(proper=True))
def test_rotations_are_exact_without_ties(seed, turn):
    layout, network = network_of()
    # sums of a few thousand terms in double precision
    assert deviation_after(turn, layout, network, disordered(seed)) < 1e-9


@settings(deadline=None, max_examples=4)
@given(st.integers(0, 2**32 - 1), rotations())
def test_all_of_o3_is_exact_with_the_mirror(seed, turn):
    layout, network = network_of(SpinKind.SPINOR, "PBC", mirror=True)
    assert deviation_after(turn, layout, network, disordered(seed, moments=True)) < 1e-9


def test_local_features_may_know_the_elements_of_neighbours():
    structure = disordered(2)
    for elements in (0, 2):
        layout, network = network_of(elements=elements)
        assert deviation_after(np.diag([1.0, -1.0, -1.0]), layout, network, structure) < 1e-9
        pattern = basis_pattern(structure, layout.basis)
        graph = build_graph(structure, layout.basis, pattern, 5.0, torch.float64)
        swapped = replace(graph, species=1 - graph.species)
        kept = [network.precompute(g) for g in (graph, swapped)]
        # as pairs of the same elements: only what neighbours are differs
        known = {**kept[0], "pair_species": kept[1]["pair_species"]}
        with torch.no_grad():
            one, other = (network(graph, k).offsite for k in (kept[0], known))
        assert torch.equal(one, other) == (elements == 0)


def test_inversion_is_not_known_without_the_mirror():
    layout, network = network_of()
    assert deviation_after(-np.eye(3), layout, network, disordered(1)) > 1e-3


# ---------------------------------------------------------------------- triangles
@pytest.mark.parametrize(("spin", "parts"), [("none", None), ("spinor", "PBCK")])
def test_triangles_are_those_of_the_blocks(spin, parts):
    """The union of the probe's shells is silicon's s2p2d1: 13 orbitals, 91 on and above."""
    layout = BlockLayout(probe_basis(), SpinKind.parse(spin), parts)
    triangles = Triangles.of(layout)
    assert len(triangles.forward) == 91 * layout.n_real
    assert len(triangles.backward) == 78 * layout.n_real
    assert triangles.diagonal.sum() == 13 * layout.n_real
    silicon = layout.basis.numbers.tolist().index(14)
    for rows, inside in ((triangles.forward, np.triu), (triangles.backward, np.tril)):
        blocks = (rows @ layout.coupling(silicon, silicon)).reshape(-1, layout.n_real, 13, 13)
        # one element of one part each, up to the phase and order of the axial components
        assert abs(abs(blocks).reshape(len(rows), -1).max(1) - 1).max() < 1e-12
        assert abs(blocks - inside(blocks)).max() < 1e-12
    both = np.concatenate([triangles.forward, triangles.backward])
    # products of Clebsch-Gordan coefficients
    assert abs(both @ both.T - np.eye(len(both))).max() < 1e-12


def test_triangles_of_other_forms_are_complete():
    layout = BlockLayout(probe_basis(), SpinKind.SPINOR, "PBC")
    form = SpinForm(spin_orbit="angular_momentum", exchange="fields", fields=2)
    for own in network_layouts(layout, form):
        triangles = Triangles.of(own)
        both = np.concatenate([triangles.forward, triangles.backward])
        assert both.shape == (own.n_coefficients, own.n_coefficients)
        assert abs(both @ both.T - np.eye(len(both))).max() < 1e-12


# ---------------------------------------------------------------------- use
def test_a_model_is_saved_and_predicts(tmp_path):
    structure = disordered(5)
    spec = hooks.find("model family", "lcnet")
    layout, network = network_of()
    model = HamiltonianModel.untrained(
        network.float(), spec, network.config, layout.basis, example=structure
    )
    model.save(tmp_path / "probe.mlham")
    loaded = load_model(tmp_path / "probe.mlham", device="cpu")
    first, second = model.predict(structure), loaded.predict(structure)
    for a, b in zip(first.hamiltonian.values, second.hamiltonian.values, strict=True):
        np.testing.assert_array_equal(a, b)
    levels = second.hamiltonian.at_k(np.array([[0.1, 0.2, 0.3]]))[0, 0]
    assert abs(levels - levels.conj().T).max() < 1e-10


def test_presets_are_valid_configurations():
    spec = hooks.find("model family", "lcnet")
    config = hooks.load(spec.config)
    layout = BlockLayout(probe_basis())
    sizes = {}
    for name, preset in spec.presets.items():
        network = LCNet(make_config(config, preset, "preset"), layout)
        sizes[name] = sum(p.numel() for p in network.upper.parameters())
    # published: 524,731
    assert sizes["paper"] == 524_923


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neighbours": 3}, "sizes from 1 to the number of neighbours"),
        ({"windows": ()}, "sizes from 1"),
        ({"layers": 0}, "at least 1"),
        ({"variance": 0.0}, "must be positive"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(ModelError, match=message):
        LCNetConfig(**options)


def test_one_s_shell_has_no_lower_triangle():
    from ase_mlham.core import OrbitalBasis, SpeciesBasis

    carbon = probe_basis().species[0]
    only = OrbitalBasis((SpeciesBasis(6, carbon.shells[:1], 4.0, "probe"),))
    network = LCNet(LCNetConfig(**SMALL), BlockLayout(only)).double().eval()
    assert network.lower is None
    structure = replace(disordered(6), numbers=np.full(6, 6))
    graph = build_graph(structure, only, basis_pattern(structure, only), 5.0, torch.float64)
    with torch.no_grad():
        output = network(graph)
    assert output.offsite.shape == (graph.n_pairs, 1)
    assert output.offsite.abs().max() > 0
