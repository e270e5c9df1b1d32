"""Every way to ask for k-points, reduction of meshes, and paths."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, graphene, molecule
from ase.dft.kpoints import BandPath, monkhorst_pack
from ase.lattice import RHL
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_mlham.core import Structure
from ase_mlham.electronic.kpoints import KPoints, has_time_reversal, k_mesh, k_points, mesh_size
from ase_mlham.electronic.path import band_path
from ase_mlham.electronic.states import eigenstates
from ase_mlham.errors import InputError
from ase_mlham.testing.strategies import systems

SILICON = Structure.from_atoms(bulk("Si"))
GRAPHENE = Structure.from_atoms(graphene(vacuum=6.0))
MOLECULE = Structure.from_atoms(molecule("H2O"))


@pytest.mark.parametrize(
    "asked",
    [(2, 2, 2), [2, 2, 2], np.array([2, 2, 2]), (np.int64(2),) * 3, {"size": (2, 2, 2)}],
)
def test_three_integers_are_a_mesh_with_gamma(asked) -> None:
    points = k_points(asked, SILICON)
    assert points.mesh is not None
    assert points.mesh.size == (2, 2, 2)
    assert len(points) == 8
    assert np.any(np.all(points.kpts == 0, axis=1))


@pytest.mark.parametrize("asked", [[0.0, 0.0, 0.0], np.zeros(3), [[0, 0, 0]]])
def test_three_floats_are_a_point(asked) -> None:
    points = k_points(asked, SILICON)
    assert points.kpts.tolist() == [[0, 0, 0]]
    assert points.mesh is None


@pytest.mark.parametrize("asked", [3, 3.0, np.float32(3), {"density": 3.0}])
def test_a_number_is_a_density(asked) -> None:
    points = k_points(asked, SILICON)
    # |b| = 2 pi sqrt(3) / a = 2.004 / Å, times 3 is 6.01
    assert points.mesh is not None
    assert points.mesh.size == (7, 7, 7)
    assert k_points(asked, GRAPHENE).mesh.size[2] == 1
    assert k_points(asked, MOLECULE).mesh.size == (1, 1, 1)


def test_nothing_is_the_default_density() -> None:
    assert k_points(None, SILICON).mesh.size == mesh_size(SILICON) == (11, 11, 11)


@pytest.mark.parametrize("asked", ["GXL", {"path": "GXL", "npoints": 12}, "path"])
def test_paths(asked) -> None:
    if asked == "path":
        asked = bulk("Si").cell.bandpath("GXL", npoints=12)
    points = k_points(asked, SILICON)
    assert points.path is not None
    assert points.mesh is None
    assert np.allclose(points.kpts[0], 0)


def test_without_gamma_it_is_the_mesh_of_monkhorst_and_pack() -> None:
    points = k_points({"size": (4, 3, 2), "gamma": False}, SILICON)
    ours, theirs = (
        sorted(tuple(k) for k in (kpts % 1).round(9) % 1)
        for kpts in (points.kpts, monkhorst_pack((4, 3, 2)))
    )
    assert ours == theirs


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ((0, 0, 0), "positive"),
        ([[0.0, 0.0]], "shape"),
        ("GQ", "special points"),
        ({"size": (2, 2)}, "three integers"),
        ({"density": 3, "size": (2, 2, 2)}, "one of"),
        ({"path": "GX", "colour": 1}, "colour"),
        (object(), "not understood"),
        (-1.0, "positive"),
        ([[np.nan, 0, 0]], "finite"),
    ],
)
def test_nonsense_is_refused(asked, message) -> None:
    with pytest.raises(InputError, match=message):
        k_points(asked, SILICON)


@pytest.mark.parametrize("asked", [(3, 3, 2), [[0.0, 0.0, 0.5]]])
def test_directions_that_are_not_periodic(asked) -> None:
    with pytest.raises(InputError, match=r"not\s+periodic along c|c, which is not periodic"):
        k_points(asked, GRAPHENE)


@settings(max_examples=30, deadline=None)
@given(size=st.tuples(*[st.integers(1, 5)] * 3), gamma=st.booleans(), reversal=st.booleans())
def test_meshes_are_complete(size, gamma, reversal) -> None:
    points = k_mesh(SILICON, size, gamma=gamma, time_reversal=reversal)
    assert points.weights.sum() == pytest.approx(1)
    full = k_mesh(SILICON, size, gamma=gamma)
    assert len(full) == np.prod(size)
    there = points.kpts[points.mesh.index]
    same = abs(there - full.kpts - np.round(there - full.kpts)).max(axis=1) < 1e-9
    opposite = abs(there + full.kpts - np.round(there + full.kpts)).max(axis=1) < 1e-9
    assert np.all(same | opposite) if reversal else np.all(same)
    counts = np.bincount(points.mesh.index)
    assert np.allclose(counts / counts.sum(), points.weights)


def test_crystal_symmetry_reduces_silicon() -> None:
    # the number that is in every textbook's table
    points = k_mesh(SILICON, (4, 4, 4), symmetry=True, time_reversal=True)
    assert len(points) == 8
    assert points.weights.sum() == pytest.approx(1)


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_reversal_is_claimed_only_where_it_holds(data: st.DataObject) -> None:
    system = data.draw(systems())
    k = np.array([0.13, 0.27, -0.41]) * system.structure.pbc
    if has_time_reversal(system):
        a, b = (eigenstates(system, sign * k[None]).energies for sign in (1, -1))
        assert np.allclose(a, b, atol=1e-8 * max(1, abs(a).max()))


def test_paths_follow_the_periodic_directions() -> None:
    assert band_path(SILICON).path == "GXWKGLUWLK,UX"
    assert band_path(GRAPHENE).path == "GMKG"
    molecular = band_path(MOLECULE)
    assert (molecular.path, len(molecular.kpts)) == ("G", 1)
    wire = Structure([6], np.zeros((1, 3)), np.diag([0, 0, 2.0]), [False, False, True])
    assert band_path(wire).path == "GX"
    slab = Structure.from_atoms(fcc111("Al", (1, 1, 3), vacuum=5.0))
    assert np.all(band_path(slab).kpts[:, 2] == 0)


def test_strained_cell_keeps_its_path_with_a_wider_tolerance() -> None:
    atoms = bulk("Si")
    rng = np.random.default_rng(0)
    atoms.set_cell(atoms.cell[:] * (1 + 1e-3 * rng.standard_normal((3, 3))))
    strained = Structure.from_atoms(atoms)
    assert band_path(strained).path != "GXWKGLUWLK,UX"
    assert band_path(strained, eps=2e-2).path == "GXWKGLUWLK,UX"


def test_path_of_another_cell_is_refused() -> None:
    with pytest.raises(InputError, match="another cell"):
        band_path(SILICON, bulk("Ge").cell.bandpath())
    with pytest.raises(InputError, match="Gamma only"):
        band_path(MOLECULE, "GX")
    with pytest.raises(InputError, match="not both"):
        band_path(SILICON, npoints=10, density=3.0)
    with pytest.raises(InputError, match="no points"):
        band_path(SILICON, BandPath(bulk("Si").cell))


def test_explicit_points_and_their_number() -> None:
    assert band_path(SILICON, [[0, 0, 0], [0.1, 0, 0]]).kpts.shape == (2, 3)
    assert len(band_path(SILICON, "GX", npoints=7).kpts) == 7


def test_seekpath_in_the_given_cell() -> None:
    path = band_path(SILICON, "seekpath", npoints=50)
    assert path.path.startswith("GX")
    assert np.allclose(path.special_points["X"], [0.5, 0, 0.5])
    flat = band_path(GRAPHENE, "seekpath", npoints=30)
    assert set(flat.path) <= set("GMK,")
    with pytest.raises(InputError, match="not primitive"):
        band_path(Structure.from_atoms(bulk("Si", cubic=True)), "seekpath")


def test_points_need_matching_weights() -> None:
    with pytest.raises(InputError, match="weights"):
        KPoints(np.zeros((2, 3)), np.ones(3))


def test_a_path_belongs_to_a_cell_in_any_orientation():
    """ASE returns the path of a lattice in its standard orientation; ours keeps the cell."""
    import numpy as np
    from ase.build import bulk
    from ase.dft.kpoints import BandPath

    from ase_mlham.core import Structure
    from ase_mlham.electronic.path import band_path

    atoms = bulk("Si")
    standard = band_path(Structure.from_atoms(atoms), None, npoints=20)
    atoms.rotate(37, (1, 2, 3), rotate_cell=True)
    structure = Structure.from_atoms(atoms)
    turned = band_path(structure, None, npoints=20)
    np.testing.assert_allclose(turned.kpts, standard.kpts, atol=1e-9)  # fractions do not notice
    np.testing.assert_allclose(np.asarray(turned.cell), structure.cell, atol=1e-12)
    # a path from ASE itself, whose cell is turned, is accepted as well
    theirs = atoms.cell.bandpath(npoints=20)
    assert isinstance(theirs, BandPath)
    np.testing.assert_allclose(band_path(structure, theirs).kpts, theirs.kpts)


@pytest.mark.parametrize("options", [{}, {"npoints": 30}, {"density": 80}])
def test_no_section_of_a_path_loses_its_length(options):
    """ASE takes special points next to one another for a jump; F and P1 here are near."""
    lattice = RHL(9.84, 24.3)
    atoms = Atoms("Bi", cell=lattice.tocell(), pbc=True)
    path = band_path(Structure.from_atoms(atoms), **options)
    assert path.path == "GLB1,BZGX,QFP1Z,LP"
    x, ticks, labels = path.get_linear_kpoint_axis()
    lengths = {(a, b): d for a, b, d in zip(labels, labels[1:], np.diff(ticks), strict=False)}
    jumps = {("B1", "B"), ("X", "Q"), ("Z", "L")}
    cartesian = 2 * np.pi * np.array(path.cell.reciprocal().T)
    for (a, b), length in lengths.items():
        between = cartesian @ (path.special_points[b] - path.special_points[a])
        expected = 0.0 if (a, b) in jumps else np.linalg.norm(between)
        assert length == pytest.approx(expected, abs=1e-9), (a, b)  # rounding of sums of lengths
    assert len(x) == len(path.kpts)
