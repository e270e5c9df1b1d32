"""Fat bands: their weights, how they are selected and added up, and their JSON form."""

from __future__ import annotations

import json

import numpy as np
import pytest

import ase_mlham as mh
from ase_mlham.core import Structure
from ase_mlham.electronic import fat_bands as module
from ase_mlham.electronic.fat_bands import FatBands
from ase_mlham.electronic.projections import OrbitalGroups
from ase_mlham.errors import InputError


def two_chains(make_system):
    """A carbon and a silicon chain that do not see one another: bands of pure character."""
    structure = Structure(
        [6, 14], [[0, 0, 0], [0, 0, 3.0]], np.diag([2.0, 0, 0]), [True, False, False]
    )
    hops = [(0, 0, (1, 0, 0), -1.0), (1, 1, (1, 0, 0), -1.0), (1, 1, (0, 0, 0), 5.0)]
    return make_system(structure, hops, 2)


def test_bands_of_pure_character(make_system) -> None:
    system = two_chains(make_system)
    plain = mh.bands(system, "GX", npoints=7)
    for method in ("mulliken", "lowdin"):
        found = mh.fat_bands(system, "GX", method=method, npoints=7)
        assert np.allclose(found.bands.energies, plain.energies)
        assert found.bands.reference == pytest.approx(plain.reference)
        assert found.method.value == method
        assert np.allclose(found.select(symbol="C").weights[0, :, 0], 1)
        assert np.allclose(found.select(symbol="C").weights[0, :, 1], 0)


def test_groups_by_atoms_and_layers(make_system) -> None:
    system = two_chains(make_system)
    atoms = mh.fat_bands(system, "GX", "atom", npoints=3)
    assert [dict(one) for one in atoms.info] == [
        {"symbol": "C", "index": "0"},
        {"symbol": "Si", "index": "1"},
    ]
    layers = mh.fat_bands(system, "GX", "layer", npoints=3)
    assert [one["height"] for one in layers.info] == ["0.00", "3.00"]
    assert np.allclose(layers.weights, atoms.weights)
    one_layer = mh.fat_bands(system, "GX", "layer", npoints=3, direction=(0, 1, 0))
    assert one_layer.weights.shape[-1] == 1
    own = OrbitalGroups(np.array([0, 0]), ({"name": "both"},))
    assert np.allclose(mh.fat_bands(system, "GX", own, npoints=3).weights, 1)


def test_sums_and_selections(honeycomb) -> None:
    found = mh.fat_bands(honeycomb(mass=0.5), "GKM", "atom", npoints=12)
    total = found.sum_by("symbol")
    assert np.allclose(total.weights, 1)
    assert [dict(one) for one in total.info] == [{"symbol": "C"}]
    # at K the bands of the two sublattices are alone
    k = int(abs(found.bands.path.kpts - [1 / 3, 1 / 3, 0]).sum(axis=1).argmin())
    assert found.select(index="1").weights[0, k, 0, 0] == pytest.approx(1)
    with pytest.raises(InputError, match="no group is"):
        found.select(symbol="Si")
    with pytest.raises(InputError, match="no 'orbital'"):
        found.sum_by("orbital")


def test_weights_of_a_degenerate_level_are_means(make_system) -> None:
    structure = Structure([6, 14], [[0, 0, 0], [0, 0, 3.0]], np.zeros((3, 3)), [False] * 3)
    system = make_system(structure, [(0, 0, (0, 0, 0), 1.0), (1, 1, (0, 0, 0), 1.0)], 2)
    assert np.allclose(mh.fat_bands(system).weights, 0.5)


def test_json_form(honeycomb) -> None:
    found = mh.fat_bands(honeycomb(mass=0.5), "GK,MG", "atom", "lowdin", npoints=9)
    again = FatBands.from_dict(json.loads(json.dumps(found.to_dict())))
    assert np.array_equal(again.weights, found.weights)
    assert np.array_equal(again.bands.energies, found.bands.energies)
    assert again.bands.path.path == "GK,MG"
    assert again.info == found.info
    assert again.method is found.method
    # the axis of a picture comes out the same
    assert np.allclose(again.bands.get_labels()[0], found.bands.get_labels()[0])


def test_what_does_not_fit_is_refused_before_it_is_computed(honeycomb, monkeypatch) -> None:
    monkeypatch.setattr(module, "available_memory", lambda: 1000)
    with pytest.raises(InputError, match="project by elements or layers"):
        mh.fat_bands(honeycomb(), "GK", npoints=30)


def test_weights_have_the_shape_of_the_bands(honeycomb) -> None:
    found = mh.fat_bands(honeycomb(), "GK", npoints=3)
    with pytest.raises(InputError, match=r"expected \(1, 3, 2, 2\)"):
        FatBands(found.bands, found.weights, ({}, {}), found.method)
