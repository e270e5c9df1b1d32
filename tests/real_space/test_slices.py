"""Fields on planes, and the pictures made of them."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest

from ase_mlham.core import Structure
from ase_mlham.errors import InputError
from ase_mlham.plots.space import plot_slice, plot_stm
from ase_mlham.real_space import Field, Grid, STMImage
from ase_mlham.real_space.quantities import DENSITY, ORBITAL
from ase_mlham.real_space.slices import plane_normal, slice_field

CELL = np.array([[3.0, 0.2, 0.0], [-1.4, 2.7, 0.1], [0.3, 0.0, 4.1]])


@pytest.fixture(autouse=True)
def _no_display():
    mpl.use("Agg")
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def crystal():
    return Structure([6, 8], [[0.1, 0.2, 0.3], [1.1, 1.2, 1.9]], CELL, [True] * 3)


def waves(points):
    scaled = points @ np.linalg.inv(CELL)
    return np.cos(2 * np.pi * scaled @ [1, -1, 0]) + np.sin(2 * np.pi * scaled @ [0, 1, 1])


def test_values_between_the_points():
    """A smooth periodic function is found again on a plane that crosses several cells."""
    grid = Grid.of(crystal(), 0.15)
    field = Field(grid, waves(grid.points()), "waves", DENSITY, crystal())
    found = slice_field(field, [1.0, 0.4, 0.3], [0.3, 0.2, 0.1], size=9.0, spacing=0.2)
    assert abs(found.right @ found.up) < 1e-12
    points = found.centre + found.x[None, :, None] * found.right + found.y[:, None, None] * found.up
    assert np.all(abs((points - found.centre) @ [1.0, 0.4, 0.3]) < 1e-9)
    # a cubic spline on 20 points a wave length
    assert abs(found.values - waves(points)).max() < 1e-3
    assert found.signed


def test_bloch_functions_keep_their_phase():
    """exp(ik.r) is no function that repeats itself, and its slices have no seams."""
    k = np.array([0.5, 0.25, 0.0])
    grid = Grid.of(crystal(), 0.2)

    def psi(points):
        return np.exp(2j * np.pi * (points @ np.linalg.inv(CELL)) @ k)

    field = Field(grid, psi(grid.points()), "state", ORBITAL, crystal(), kpt=k)
    found = slice_field(field, [0, 0, 1.0], size=9.0, part="imaginary")
    points = found.centre + found.x[None, :, None] * found.right + found.y[:, None, None] * found.up
    assert np.allclose(found.values, psi(points).imag, atol=1e-9)
    assert np.allclose(slice_field(field, size=4.0).values, 1.0)


def test_a_box_ends():
    alone = Structure([6], [[0.0, 0.0, 0.0]], np.zeros((3, 3)), [False] * 3)
    grid = Grid.of(alone, 0.25, reach=2.0)
    values = np.exp(-(np.linalg.norm(grid.points(), axis=-1) ** 2))
    found = slice_field(Field(grid, values, "a", DENSITY, alone), size=12.0)
    assert not found.signed
    # what lies outside of the box is left out of the picture
    assert np.ptp(found.x) == pytest.approx(4.0, abs=0.4)
    assert np.isfinite(found.values).all()
    with pytest.raises(InputError, match="does not meet"):
        slice_field(Field(grid, values, "a", DENSITY, alone), [0, 0, 1], [0, 0, 9.0])


def test_atoms_of_a_plane():
    grid = Grid.of(crystal(), 0.5)
    field = Field(grid, waves(grid.points()), "waves", DENSITY, crystal())
    normal = plane_normal(crystal(), (1, 0, 0))
    assert np.allclose(normal @ CELL[1:].T, 0)
    found = slice_field(field, normal, crystal().positions[0], size=8.0)
    atom, places, height = found.atoms_near(0.1)
    assert set(atom.tolist()) == {0}
    assert np.allclose(height, 0, atol=1e-9)
    back = found.centre + places @ np.stack([found.right, found.up])
    offsets = (back - crystal().positions[0]) @ np.linalg.inv(CELL)
    assert np.allclose(offsets, np.round(offsets), atol=1e-9)
    assert len(places) == len(np.unique(np.round(places, 6), axis=0)) == 3


def test_refusals():
    grid = Grid.of(crystal(), 0.6)
    spinor = Field(
        grid,
        np.ones((2, *grid.shape), complex),
        "state",
        ORBITAL,
        crystal(),
        ("up", "down"),
        kpt=np.zeros(3),
    )
    with pytest.raises(InputError, match="components up, down"):
        slice_field(spinor, part="real")
    assert np.allclose(slice_field(spinor).values, 2.0)
    with pytest.raises(InputError, match="not all zero"):
        plane_normal(crystal(), (0, 0, 0))
    with pytest.raises(InputError, match="normal to the plane"):
        slice_field(spinor, [0, 0, 1], up=[0, 0, 2])
    with pytest.raises(InputError, match="a normal"):
        slice_field(spinor, [0, 0, 0])


@pytest.mark.parametrize("signed", [True, False])
def test_picture_of_a_slice(signed, tmp_path):
    grid = Grid.of(crystal(), 0.3)
    values = waves(grid.points()) + (0 if signed else 2)
    field = Field(grid, values, "waves", DENSITY, crystal())
    axes = plot_slice(slice_field(field, size=6.0))
    assert axes.get_title() == "waves"
    low, high = axes.collections[0].get_clim()
    assert low == (-high if signed else 0)
    assert {text.get_text() for text in axes.texts} <= {"C", "O"}
    assert axes.texts
    given = plot_slice(slice_field(field, size=6.0), limit=0.5, contours=False, title="T")
    assert given.collections[0].get_clim()[1] == 0.5
    assert given.get_title() == "T"


@pytest.mark.parametrize("mode", ["height", "current"])
def test_picture_of_a_surface(mode):
    slab = Structure([6], [[0.7, 0.6, 5.0]], np.diag([2.5, 2.0, 12.0]), [True, True, False])
    a, b = np.meshgrid(np.arange(5) / 5, np.arange(4) / 4, indexing="ij")
    positions = np.stack([2.5 * a, 2.0 * b, np.full_like(a, 7.0)], axis=-1)
    values = 1 + np.cos(2 * np.pi * (a - 0.28)) + np.cos(2 * np.pi * (b - 0.3))
    if mode == "current":
        values[0, 0] = np.nan
    axes = plot_stm(STMImage(positions, values, mode, 2.0, -1.0, slab), size=10.0)
    # rings sit where the picture is brightest: on the atom
    rings = np.array([line.get_xydata()[0] for line in axes.lines])
    shown = axes.collections[0]
    corners = np.array(shown.get_coordinates() if hasattr(shown, "get_coordinates") else [])
    assert len(rings) > 12
    assert axes.get_xlim() == (0, 10)
    spacing = np.diff(np.unique(np.round(rings[:, 0], 6)))
    assert np.allclose(spacing, 2.5)
    assert corners.size == 0 or corners[..., 0].min() < 0
