"""Spin on planes, contours and paths against Rashba's model in closed form, and symmetries.

One s orbital on a square lattice of constant a, hopping t and Rashba hopping r, overlap s:
E = (2 t (cos x + cos y) +- 2 r sqrt(sin^2 x + sin^2 y)) / (1 + 2 s (cos x + cos y)) with x = a k_x,
y = a k_y, and spin +-(sin y, -sin x, 0) / sqrt(sin^2 x + sin^2 y).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import ase_mlham as mh
from ase_mlham.core import LCAOSystem, Structure
from ase_mlham.core.spin_space import to_spinor
from ase_mlham.electronic.k_plane import KPlane, k_plane
from ase_mlham.electronic.spin_bands import SpinBands, spin_bands
from ase_mlham.electronic.spin_plane import SpinContour, spin_contour, spin_plane
from ase_mlham.electronic.spin_texture import SpinTexture, spin_axis
from ase_mlham.errors import InputError

A, T, R, S = 2.0, -1.0, 0.3, 0.05


@pytest.fixture
def rashba(make_system) -> LCAOSystem:
    structure = Structure([1], np.zeros((1, 3)), np.diag([A, A, 12.0]), [True, True, False])
    right, up = (1, 0, 0), (0, 1, 0)
    one = [(0, 0, right, T), (0, 0, up, T)]
    # sum over R and -R: x has 2 R sin y, y has -2 R sin x
    x, y = [(0, 0, up, -1j * R)], [(0, 0, right, 1j * R)]
    overlaps = [(0, 0, right, S), (0, 0, up, S)]
    return make_system(structure, [], 1, overlaps, "spinor", [one, x, y, []])


def closed_form(kpts):
    """Energies (2, n) and the spin of the upper band (n, 3)."""
    x, y = 2 * np.pi * np.asarray(kpts)[:, :2].T
    length = np.sqrt(np.sin(x) ** 2 + np.sin(y) ** 2)
    cosines = np.cos(x) + np.cos(y)
    energies = np.stack([(2 * T * cosines + sign * 2 * R * length) for sign in (-1, 1)])
    with np.errstate(invalid="ignore", divide="ignore"):
        spin = np.stack([np.sin(y), -np.sin(x), 0 * x], axis=-1) / length[:, None]
    return energies / (1 + 2 * S * cosines), spin


def test_plane_of_rashba_model(rashba) -> None:
    plane = k_plane(rashba.structure, extent=0.7, size=8)
    found = spin_plane(rashba, plane)
    energies, spin = closed_form(plane.kpts)
    assert np.allclose(found.texture.energies[0].T, energies, atol=1e-12)
    # vectors of a 2 x 2 problem whose splitting is 0.1 eV at least are exact to rounding
    assert np.allclose(found.texture.spin[0, :, 1], spin, atol=1e-12)
    assert np.allclose(found.texture.spin[0, :, 0], -spin, atol=1e-12)
    assert found.spin.shape == (1, 2, 8, 8, 3)
    # u is x and v is y: the point with u > 0 and v = lowest comes late in the list
    assert np.allclose(found.spin[0, 1, 7, 0], spin[7 * 8])
    assert found.energies[0, 1, 7, 0] == pytest.approx(energies[1, 7 * 8])
    assert not found.degenerate.any()


def test_components_that_turn_with_k(rashba) -> None:
    found = spin_plane(rashba, k_plane(rashba.structure, extent=0.02, size=4))
    # close to Gamma the upper band turns clockwise: (k_y, -k_x) is -(normal x radial)
    assert np.allclose(found.along("tangential")[0, 1], -1, atol=1e-3)
    assert np.allclose(found.along("radial")[0, 1], 0, atol=1e-3)
    assert np.allclose(found.along("normal"), 0, atol=1e-12)
    assert np.allclose(found.along("u"), found.spin[..., 0])
    assert np.allclose(found.along((0, 2, 0)), found.spin[..., 1])
    with pytest.raises(InputError, match="spin along 'w'"):
        found.along("w")


@pytest.mark.parametrize("energy", [-3.3, -2.0, 0.4])
def test_contour_of_rashba_model(rashba, energy) -> None:
    plane = k_plane(rashba.structure, extent=1.4, size=31)
    found = spin_contour(rashba, energy, plane)
    assert {line.band for line in found.lines} == {0, 1}
    assert found.residual < 1e-5
    for line in found.lines:
        energies, spin = closed_form(plane.fractions(line.uv))
        # the residual that is stated is that of the closed form
        assert abs(energies[line.band] - energy).max() <= found.residual + 1e-9
        assert np.allclose(line.spin, (2 * line.band - 1) * spin, atol=1e-9)
        assert not line.degenerate.any()
    again = SpinContour.from_dict(json.loads(json.dumps(found.to_dict())))
    assert np.array_equal(again.lines[0].spin, found.lines[0].spin)
    assert again.residual == found.residual
    assert np.allclose(again.along(again.lines[0], "normal"), 0, atol=1e-12)


def test_contour_of_one_band_is_a_closed_line(rashba) -> None:
    plane = k_plane(rashba.structure, extent=1.4, size=31)
    (line,) = spin_contour(rashba, -2.5, plane, bands=[0]).lines
    assert line.closed
    assert line.band == 0
    assert not spin_contour(rashba, 50.0, plane).lines
    with pytest.raises(InputError, match="bands 0 to 1"):
        spin_contour(rashba, -2.0, plane, bands=[2])


def test_states_near_an_energy(rashba) -> None:
    plane = k_plane(rashba.structure, extent=1.0, size=9)
    found = spin_plane(rashba, plane)
    energy, width = -2.0, 0.2
    density, spin = found.at_energy(energy, width)
    energies, direction = closed_form(plane.kpts)
    weights = np.exp(-0.5 * ((energies - energy) / width) ** 2) / width / np.sqrt(2 * np.pi)
    assert np.allclose(density.ravel(), weights.sum(axis=0))
    centre = 9 * 4 + 4  # Gamma, where the two are degenerate
    expected = (weights[1] - weights[0])[:, None] * direction
    expected[centre] = 0
    assert np.allclose(spin.reshape(-1, 3), expected, atol=1e-9)
    with pytest.raises(InputError, match="must be positive"):
        found.at_energy(energy, 0.0)


def test_degenerate_states_have_no_direction(rashba) -> None:
    found = mh.spin_texture(rashba, [[0, 0, 0], [0.1, 0, 0], [0.5, 0.5, 0]])
    assert found.degenerate[0].tolist() == [[True, True], [False, False], [True, True]]
    assert np.allclose(found.spin[0, [0, 2]], 0, atol=1e-12)
    assert np.isnan(found.angle("y")[0, 0]).all()
    assert found.angle("y")[0, 1].tolist() == pytest.approx([0, 180], abs=1e-5)
    assert np.allclose(found.along("y")[0, 1], [1, -1])
    raw = mh.spin_texture(rashba, [[0, 0, 0]], tolerance=0)
    assert np.allclose(np.linalg.norm(raw.spin, axis=-1), 1)
    assert not raw.degenerate.any()
    # a part of a pair is not taken for a state of its own
    assert mh.spin_texture(rashba, [[0, 0, 0]], bands=[0]).degenerate.all()
    old = {k: v for k, v in found.to_dict().items() if k != "degenerate"}
    assert np.array_equal(SpinTexture.from_dict(old).degenerate, found.degenerate)


def test_time_reversal_partners_are_opposite(rashba) -> None:
    k = np.random.default_rng(1).uniform(-0.5, 0.5, (20, 3)) * [1, 1, 0]
    there, back = (mh.spin_texture(rashba, sign * k).spin for sign in (1, -1))
    assert np.allclose(there, -back, atol=1e-12)


def test_bands_with_spin(rashba) -> None:
    found = spin_bands(rashba, "GXM", npoints=20)
    plain = mh.bands(rashba, "GXM", npoints=20)
    assert np.allclose(found.bands.energies, plain.energies)
    assert found.bands.reference == pytest.approx(plain.reference)
    _, spin = closed_form(found.bands.path.kpts)
    alone = ~found.degenerate[0, :, 1]
    assert np.allclose(found.along("y")[0, alone, 1], spin[alone, 1], atol=1e-9)
    again = SpinBands.from_dict(json.loads(json.dumps(found.to_dict())))
    assert np.array_equal(again.spin, found.spin)


def test_ase_draws_the_spin_of_bands(rashba) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    found = spin_bands(rashba, "GX", npoints=10)
    axes = found.bands.plot(point_colors=found.along("x"), cmin=-1, cmax=1)
    try:
        points = axes.collections[0]
        # X of this cell lies along y: the upper band has +x, the lower -x, and the ends are pairs
        assert set(np.round(points.get_array(), 6)) == {-1.0, 0.0, 1.0}
    finally:
        plt.close("all")


def test_collinear_channels_have_their_axis(make_system) -> None:
    structure = Structure([1], np.zeros((1, 3)), np.diag([A, A, 12.0]), [True, True, False])
    hops = [(0, 0, (1, 0, 0), T), (0, 0, (0, 1, 0), T)]
    z = [(0, 0, (0, 0, 0), 0.4)]
    system = make_system(structure, [], 1, None, "collinear", [hops, z])
    plane = k_plane(structure, extent=1.0, size=15)
    found = spin_contour(system, -2.0, plane)
    assert sorted({line.channel for line in found.lines}) == [0, 1]
    for line in found.lines:
        assert np.allclose(line.spin, [0, 0, 1 - 2 * line.channel])
        assert not line.degenerate.any()
    assert np.allclose(spin_plane(system, plane).along("normal")[:, 0, 0, 0], [1, -1])
    assert np.allclose(spin_bands(system, "GX", npoints=3).along("z")[:, :, 0].T, [1, -1])
    # written with spinors, each state keeps the spin of its channel, or shares a level with another
    spinors = spin_plane(to_spinor(system), plane)
    assert np.allclose(abs(spinors.along("z")[~spinors.degenerate]), 1)


def test_planes() -> None:
    slab = Structure([1], np.zeros((1, 3)), np.diag([2.0, 3.0, 15.0]), [True, True, False])
    plane = k_plane(slab)
    assert plane.axes.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert plane.extent == pytest.approx([np.pi / 3] * 2)  # half of 2 pi / 3 Å
    assert plane.kpts[0] == pytest.approx([-1 / 3, -0.5, 0])
    assert k_plane(slab, "X").center.tolist() in ([0.5, 0, 0], [0, 0.5, 0])
    again = KPlane.from_dict(json.loads(json.dumps(plane.to_dict())))
    assert np.array_equal(again.kpts, plane.kpts)
    hexagonal = [[2.0, 0, 0], [-1.0, np.sqrt(3), 0], [0, 0, 5.0]]
    crystal = Structure([1], np.zeros((1, 3)), hexagonal, [True] * 3)
    in_plane = k_plane(crystal, vectors=[[1, 0, 0], [0, 1, 0]], extent=(0.4, 0.2), size=(5, 3))
    assert in_plane.shape == (5, 3)
    assert np.allclose(in_plane.kpts[:, 2], 0, atol=1e-15)
    # the first axis runs along the first vector
    assert np.allclose(in_plane.fractions([0.1, 0])[1:], 0, atol=1e-15)
    tilted = k_plane(crystal, (0.1, 0, 0.2), normal="x", extent=0.3)
    assert np.allclose(tilted.axes, [[0, 1, 0], [0, 0, 1]])
    assert np.allclose(tilted.fractions([0, 0]), [0.1, 0, 0.2])
    # coordinates are Cartesian and hold 2 pi: one reciprocal vector along z is 2 pi / 5 Å
    assert tilted.fractions([0, 2 * np.pi / 5])[2] == pytest.approx(1.2)


def area(corners) -> float:
    x, y = np.asarray(corners).T
    return abs(float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))) / 2


@pytest.mark.parametrize("center", ["G", (0.9, -2.1, 0.0), (0.3, 0.3, 0.0)])
def test_border_of_the_zone(center) -> None:
    hexagonal = np.array([[2.5, 0, 0], [-1.25, 2.5 * np.sqrt(3) / 2, 0], [0, 0, 9.0]])
    slab = Structure([1], np.zeros((1, 3)), hexagonal, [True, True, False])
    plane = k_plane(slab, center)
    zone = plane.zone
    assert len(zone) == 6
    # the area of the reciprocal cell
    assert area(zone) == pytest.approx((2 * np.pi) ** 2 / (2.5**2 * np.sqrt(3) / 2))
    # corners are the points K of some lattice point: a third of the way, in fractions
    thirds = 3 * plane.fractions(zone)
    assert np.allclose(thirds, np.round(thirds), atol=1e-9)


def test_border_of_the_zone_of_a_crystal() -> None:
    cell = 2.7 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    crystal = Structure([14], np.zeros((1, 3)), cell, [True] * 3)
    # through Gamma normal to z the truncated octahedron is an octagon, with sides towards X and K
    zone = k_plane(crystal, normal="z").zone
    assert len(zone) == 8
    assert abs(zone).max() == pytest.approx(2 * np.pi / 5.4)
    # through X it is the square face itself, whose corners W are half as far from X as X from Gamma
    face = k_plane(crystal, (0.5, 0.5, 0.0), normal="z").zone
    assert area(face) == pytest.approx(2 * (np.pi / 5.4) ** 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"center": "Q"}, "no special point 'Q'"),
        ({"center": (0, 0)}, "three fractions"),
        ({"normal": "x"}, "leaves the periodic directions"),
        ({"normal": "w"}, "a plane normal to 'w'"),
        ({"vectors": [[1, 0, 0], [2, 0, 0]]}, "parallel"),
        ({"vectors": [1, 0, 0]}, "two k-vectors"),
        ({"vectors": [[1, 0, 0], [0, 1, 0]], "normal": "z"}, "not by both"),
        ({"size": 1}, "at least 2 x 2"),
        ({"extent": -1.0}, "positive widths"),
    ],
)
def test_planes_that_do_not_exist(options, message) -> None:
    slab = Structure([1], np.zeros((1, 3)), np.diag([2.0, 3.0, 15.0]), [True, True, False])
    with pytest.raises(InputError, match=message):
        k_plane(slab, **options)


def test_no_plane_in_a_wire_and_no_spin_without_spin(chain) -> None:
    with pytest.raises(InputError, match="periodic along 1 directions"):
        k_plane(chain().structure)
    for function in (spin_bands, mh.spin_texture):
        with pytest.raises(InputError, match="without spin"):
            function(chain(), "GX")
    for wrong in ("up", (0, 0, 0), (1, 2)):
        with pytest.raises(InputError, match="accepted: x, y, z or a vector"):
            spin_axis(wrong)


def read(shared: Path, name: str) -> LCAOSystem:
    (path,) = (shared / "data" / "openmx" / name).glob(f"{name}.scfout*")
    return mh.read_system(path)


def test_gallium_arsenide_without_inversion(shared: Path) -> None:
    system = read(shared, "gaas_soc")
    k = np.array([[0.11, 0.05, 0.02], [0.2, -0.1, 0.05]])
    there, back = (mh.spin_texture(system, sign * k) for sign in (1, -1))
    assert np.allclose(there.energies, back.energies, atol=1e-5)
    alone = ~there.degenerate & ~back.degenerate
    # d states of gallium split by less than the tolerance; the others turn with k
    assert alone.mean() > 0.5
    # H of the file breaks time reversal by 1e-7 eV, and vectors feel it divided by the splitting
    assert abs(there.spin + back.spin)[alone].max() < 5e-3
    # all states together have no spin: the trace of sigma S^-1 S
    assert np.allclose(there.spin.sum(axis=2), 0, atol=1e-9)


def test_bismuth_selenide_has_inversion_and_no_spins(shared: Path) -> None:
    system = read(shared, "bi2se3_soc")
    found = mh.spin_texture(system, [[0.05, 0.02, 0.01], [0, 0, 0]], bands=range(30, 60))
    assert found.degenerate.all()
    # the mean over a pair; each state of it alone has a spin of any direction
    assert abs(found.spin).max() < 1e-3
    raw = mh.spin_texture(system, [[0.05, 0.02, 0.01]], bands=range(30, 60), tolerance=0)
    assert abs(raw.spin).max() > 0.1


def test_magnetic_molecule_has_one_axis(shared: Path) -> None:
    system = read(shared, "o2_nc")
    found = mh.spin_texture(system)
    theta, phi = np.radians(50.0), np.radians(30.0)
    axis = [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)]
    # without spin-orbit coupling every state is up or down along the moment
    alone = ~found.degenerate
    assert np.allclose(abs(found.along(axis)[alone]), 1, atol=1e-4)


def test_iron_and_its_spinor_form(shared: Path) -> None:
    system = read(shared, "fe_bcc")
    path = [[0.1, 0.05, 0.02], [0.3, 0.1, -0.1]]
    collinear = mh.spin_texture(system, path)
    assert np.allclose(collinear.along("z"), np.array([1, -1])[:, None, None])
    spinors = mh.spin_texture(to_spinor(system), path)
    merged = np.sort(np.concatenate(list(collinear.energies), axis=1), axis=1)
    assert np.allclose(spinors.energies[0], merged, atol=1e-8)
    # up and down are eigenstates of the spinor problem wherever they do not meet
    alone = ~spinors.degenerate
    assert alone.mean() > 0.9
    assert np.allclose(abs(spinors.along("z")[alone]), 1, atol=1e-6)
    assert spinors.along("z")[0].sum(axis=1) == pytest.approx(0, abs=1e-8)
