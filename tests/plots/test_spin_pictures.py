"""Fat bands and spins as they are drawn, read back from the axes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from ase.cell import Cell
from ase.spectrum.band_structure import BandStructure
from matplotlib.collections import LineCollection
from matplotlib.quiver import Quiver

from ase_mlham.core import Structure
from ase_mlham.electronic.fat_bands import FatBands
from ase_mlham.electronic.k_plane import k_plane
from ase_mlham.electronic.projections import Projection
from ase_mlham.electronic.spin_bands import SpinBands
from ase_mlham.electronic.spin_plane import ContourLine, SpinContour, SpinPlane
from ase_mlham.electronic.spin_texture import SpinTexture
from ase_mlham.errors import InputError
from ase_mlham.plots.fat_bands import plot_fat_bands
from ase_mlham.plots.spin_bands import component_label, plot_spin_bands
from ase_mlham.plots.spin_plane import plot_spin_contour, plot_spin_plane
from ase_mlham.plots.style import group_label, save


@pytest.fixture(autouse=True)
def _no_window() -> Iterator[None]:
    mpl.use("Agg")
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def bands(spins: int = 1, path: str = "GX,MG") -> BandStructure:
    """Two bands, at -1 and +1 eV from a reference of 3 eV."""
    found = Cell(np.diag([3.0, 3.0, 3.0])).bandpath(path, npoints=12)
    energies = np.ones((spins, len(found.kpts), 2)) * [2.0, 4.0]
    return BandStructure(found, energies, reference=3.0)


def fat(spins: int = 1, groups: int = 2, method: str = "mulliken") -> FatBands:
    structure = bands(spins)
    weights = np.zeros((*structure.energies.shape, groups))
    weights[:, :, 0, 0] = weights[:, :, 1, 1] = 1.0
    info = tuple(
        {"symbol": "Ga", "orbital": "spdfghi"[n % 7], "index": str(n)} for n in range(groups)
    )
    return FatBands(structure, weights, info, Projection.parse(method))


def ribbons(axes) -> list[LineCollection]:
    return [c for c in axes.collections if isinstance(c, LineCollection)]


def test_ribbons_are_as_wide_as_the_weights_add_up_to() -> None:
    axes = plot_fat_bands(fat(), width=4.0)
    outer, inner, line = ribbons(axes)
    n = len(outer.get_segments()) // 2
    # jumps of the path are not bridged: 12 points, one jump, 10 pieces a band
    assert n == 10
    assert np.allclose(outer.get_linewidths(), 4.0)
    below = np.array([segment[0, 1] for segment in inner.get_segments()]) < 0
    assert np.allclose(np.array(inner.get_linewidths())[below], 4.0)
    assert np.allclose(np.array(inner.get_linewidths())[~below], 0.0)
    assert np.allclose(line.get_linewidths(), 0.35)
    # energies are drawn from the reference
    assert {float(segment[0, 1]) for segment in line.get_segments()} == {-1.0, 1.0}


@pytest.mark.parametrize(("method", "name"), [("mulliken", "Mulliken"), ("lowdin", "Löwdin")])
def test_legend_names_the_projection(method, name) -> None:
    legend = plot_fat_bands(fat(method=method)).get_legend()
    assert legend.get_title().get_text() == f"{name} weights"
    assert [text.get_text() for text in legend.get_texts()] == ["0 Ga s", "1 Ga p"]


def test_discs_have_the_area_of_the_weights() -> None:
    found = fat()
    axes = plot_fat_bands(replace(found, weights=found.weights / 4), style="dots", width=6.0)
    (discs,) = axes.collections
    assert len(discs.get_offsets()) == 2 * len(found.bands.path.kpts)
    assert np.allclose(discs.get_sizes(), 36 / 4)


def test_at_most_eight_groups_and_two_channels() -> None:
    found = fat(spins=2, groups=11)
    up, down = plot_fat_bands(found)
    assert up.get_title(loc="right") == "spin up"
    legend = down.get_legend()
    assert len(legend.get_texts()) == 8
    assert "(3 groups not shown)" in legend.get_title().get_text()
    with pytest.raises(InputError, match="two axes"):
        plot_fat_bands(found, ax=up)


def test_layers_are_in_order_of_height() -> None:
    info = tuple({"layer": str(n), "height": f"{h:.2f}"} for n, h in enumerate((0, 2.5, 5)))
    found = fat(groups=3)
    legend = plot_fat_bands(replace(found, info=info)).get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["5.00 Å", "2.50 Å", "0.00 Å"]
    assert legend.get_title().get_text() == "Mulliken weights\nof layers at"


def test_refusals() -> None:
    with pytest.raises(InputError, match="accepted: lines, dots"):
        plot_fat_bands(fat(), style="bars")
    with pytest.raises(InputError, match="emin must be the smaller"):
        plot_fat_bands(fat(), emin=3, emax=1)


def test_names_of_groups() -> None:
    assert group_label({"symbol": "Bi", "orbital": "px"}) == "Bi p$_{x}$"
    assert group_label({}) == "total"
    assert group_label({"name": "tip"}) == "tip"


def spins(degenerate: bool = False) -> SpinBands:
    structure = bands()
    spin = np.zeros((*structure.energies.shape, 3))
    spin[:, :, 0, 2], spin[:, :, 1, 2] = 1.0, -1.0
    together = np.zeros(structure.energies.shape, dtype=bool)
    if degenerate:
        together[..., 0] = True
    return SpinBands(structure, spin, together)


def test_bands_in_the_colours_of_their_spin(tmp_path) -> None:
    axes = plot_spin_bands(spins())
    drawn = next(c for c in axes.collections if c.get_array() is not None)
    heights = np.array([segment[0, 1] for segment in drawn.get_segments()])
    # from the reference: the lower band at -1 eV is up
    assert np.array_equal(np.asarray(drawn.get_array()), -heights)
    assert drawn.get_clim() == (-1, 1)
    assert "degenerate" not in axes.figure.axes[-1].get_ylabel()
    save(axes, tmp_path / "spin.png")


def test_degenerate_bands_are_grey_and_said_to_be() -> None:
    axes = plot_spin_bands(spins(degenerate=True))
    drawn = next(c for c in axes.collections if c.get_array() is not None)
    assert {segment[0, 1] for segment in drawn.get_segments()} == {1.0}
    assert axes.figure.axes[-1].get_ylabel().endswith("grey: degenerate")
    assert component_label((1, 1, 0)).endswith("along (1, 1, 0)")


def plane(degenerate: bool = False) -> SpinPlane:
    """Spins around the centre, counter-clockwise, with a part along z on the right."""
    slab = Structure([1], np.zeros((1, 3)), np.diag([3.0, 3.0, 20.0]), [True, True, False])
    where = k_plane(slab, extent=0.8, size=25)
    u, v = where.grid.T
    spin = np.stack([-v, u, np.where(u > 0.01, 0.5, 0.0)], axis=-1)[None, :, None]
    energies = (u**2 + v**2)[None, :, None]
    together = np.zeros(energies.shape, dtype=bool)
    together[:, u < -0.5] = degenerate
    return SpinPlane(where, SpinTexture(where.kpts, [4], energies, spin, together))


def test_plane_has_colours_and_arrows() -> None:
    axes = plot_spin_plane(plane(), title="a slab")
    mesh = axes.collections[0]
    values = np.asarray(mesh.get_array())
    # columns are u: the right half has a part along the normal
    assert np.allclose(values[:, 13:], 0.5)
    assert np.allclose(values[:, :12], 0.0)
    (arrows,) = [c for c in axes.collections if isinstance(c, Quiver)]
    assert np.allclose(arrows.U, -arrows.Y)
    assert np.allclose(arrows.V, arrows.X)
    assert len(arrows.X) < 13**2
    assert axes.get_xlabel() == r"$k_x$ ($\AA^{-1}$)"
    assert axes.get_title(loc="left") == "a slab"
    assert axes.get_title(loc="right") == "band 4"
    # the border of the zone, pi / 3 Å from the centre, lies outside: nothing is drawn of it
    assert abs(np.array(axes.lines[0].get_xdata())).max() == pytest.approx(np.pi / 3)


def test_degenerate_points_have_neither_colour_nor_arrow() -> None:
    axes = plot_spin_plane(plane(degenerate=True))
    (arrows,) = [c for c in axes.collections if isinstance(c, Quiver)]
    assert min(arrows.X) > -0.51
    mesh = axes.collections[0]
    assert np.ma.getmaskarray(mesh.get_array()).any()
    assert axes.figure.axes[-1].get_ylabel().endswith("grey: degenerate")


def test_bands_that_a_plane_does_not_have() -> None:
    with pytest.raises(InputError, match=r"bands \[5\] of a plane that has \[4\]"):
        plot_spin_plane(plane(), 5)


def test_contour_in_the_colours_of_the_spin() -> None:
    where = plane().plane
    angle = np.linspace(0, 2 * np.pi, 60)
    uv = 0.4 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    spin = np.stack([-np.sin(angle), np.cos(angle), 0 * angle], axis=-1)
    lines = tuple(ContourLine(band, 0, uv, spin, np.full(60, band == 1)) for band in (0, 1))
    found = SpinContour(where, 5.0, lines, 1e-7)
    assert found.lines[0].closed
    axes = plot_spin_contour(found, axis="tangential", zero=4.0)
    drawn = [c for c in axes.collections if isinstance(c, LineCollection)]
    coloured = [c for c in drawn if c.get_array() is not None and len(c.get_segments())]
    assert np.allclose(coloured[0].get_array(), 1.0)
    assert axes.get_title(loc="right").endswith("+1.000 eV")
    assert axes.figure.axes[-1].get_ylabel().endswith("grey: degenerate")
    with pytest.raises(InputError, match="no band has the energy"):
        plot_spin_contour(replace(found, lines=()))
