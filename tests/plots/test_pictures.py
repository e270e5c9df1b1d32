"""What is drawn, read back from the axes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest
from ase.cell import Cell
from ase.dft.kpoints import BandPath
from ase.spectrum.band_structure import BandStructure
from ase.spectrum.doscollection import GridDOSCollection

from ase_mlham.errors import InputError
from ase_mlham.plots.bands import plot_bands
from ase_mlham.plots.dos import plot_dos
from ase_mlham.plots.style import DOWN, UP, label, save


@pytest.fixture(autouse=True)
def _no_window() -> Iterator[None]:
    mpl.use("Agg")
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def silicon(shift: float = 0.0, spins: int = 1, path: str = "GXWKGLUWLK,UX") -> BandStructure:
    """Two bands on silicon's path: at -1 - x and at 1 + x above `shift`, with x from 0 to 1."""
    cell = Cell.new([[0, 2.7, 2.7], [2.7, 0, 2.7], [2.7, 2.7, 0]])
    kpath: BandPath = cell.bandpath(path, npoints=60)
    x = abs(np.sin(kpath.kpts.sum(axis=1)))
    bands = np.stack([-1 - x, 1 + x], axis=1) + shift
    return BandStructure(kpath, np.stack([bands] * spins), reference=shift)


def dos(shift: float = 0.0, **info: str) -> GridDOSCollection:
    energies = np.linspace(-4, 4, 161) + shift
    weights = np.exp(-((energies - shift) ** 2))
    return GridDOSCollection.from_data(
        energies, [weights], info=[{**info, "fermi_level": repr(shift)}]
    )


def drawn(axes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Data of lines with more than two points: bands, not guides."""
    return [line.get_data() for line in axes.lines if len(line.get_xdata()) > 2]


def test_labels_of_special_points() -> None:
    assert [label(name) for name in ("G", "X", "K1")] == ["Γ", "X", "K$_{1}$"]
    axes = plot_bands(silicon())
    texts = [text.get_text().strip() for text in axes.get_xticklabels()]
    assert texts == ["Γ", "X", "W", "K", "Γ", "L", "U", "W", "L", "K|U", "X"]


def test_zero_is_the_fermi_level_or_the_band_edge() -> None:
    for reference, top in (("fermi", -1.0), ("vbm", 0.0), ("none", 3.0), (2.0, 1.0)):
        axes = plot_bands(silicon(shift=4.0), reference=reference, emin=-9, emax=9)
        # the lower band ends at -1 eV below the level
        highest = max(y[y < 6].max() for x, y in drawn(axes) if y.min() < top)
        assert highest == pytest.approx(top, abs=1e-9)
    with pytest.raises(InputError, match="accepted: fermi, vbm, none"):
        plot_bands(silicon(), reference="middle")


def test_lines_break_where_the_path_jumps() -> None:
    bands = silicon()
    parts = drawn(plot_bands(bands))
    per_band = [x for x, _ in parts if len(x)]
    ends = {round(float(x[-1]), 6) for x in per_band}
    assert len(ends) == 2


def test_dft_is_dashed_and_model_solid() -> None:
    axes = plot_bands(silicon(shift=1.0), compare=silicon(shift=-3.0), labels=("model", "DFT"))
    styles = {line.get_label(): line for line in axes.lines}
    assert styles["DFT"].is_dashed()
    assert not styles["model"].is_dashed()
    # each has its own zero
    assert np.allclose(styles["DFT"].get_ydata(), styles["model"].get_ydata())
    with pytest.raises(InputError, match="different paths"):
        plot_bands(silicon(), compare=silicon(path="GX"))


def test_spin_channels_have_names() -> None:
    axes = plot_bands(silicon(spins=2))
    names = {text.get_text() for text in axes.get_legend().get_texts()}
    assert names == {"spin up", "spin down"}


def test_four_names_leave_room_for_the_title() -> None:
    axes = plot_bands(silicon(spins=2), compare=silicon(spins=2), title="a magnet")
    axes.figure.canvas.draw()
    box = axes.get_legend().get_window_extent()
    # both are above the frame; the title of the left lies over the names
    assert axes._left_title.get_window_extent().y0 >= box.y1 - 1


def test_density_beside_the_bands_shares_their_window(tmp_path) -> None:
    left, right = plot_bands(silicon(shift=2.0), dos=dos(2.0), emin=-3, emax=3)
    assert left.get_ylim() == right.get_ylim() == (-3, 3)
    x, y = drawn(right)[0]
    assert y[x.argmax()] == pytest.approx(0, abs=0.03)
    for suffix in ("png", "pdf", "svg"):
        save(left, tmp_path / f"bands.{suffix}")
        assert (tmp_path / f"bands.{suffix}").stat().st_size > 1000


def test_spin_down_is_drawn_downwards() -> None:
    both = dos(spin="up") + dos(spin="down")
    axes = plot_dos(both)
    lows = sorted(y.min() for _, y in drawn(axes))
    assert lows[0] == pytest.approx(-1, abs=1e-6)
    assert axes.get_ylim()[0] == -axes.get_ylim()[1]
    # in the colours of the bands, and said in words
    colours = {line.get_color() for line in axes.lines if len(line.get_xdata()) > 2}
    assert colours == {UP, DOWN}
    assert [text.get_text() for text in axes.texts] == ["spin up", "spin down"]


def test_stack_ends_at_the_total() -> None:
    parts = dos(symbol="Si", orbital="s") + dos(symbol="Si", orbital="px")
    axes = plot_dos(parts, stacked=True)
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["Si s", "Si p$_{x}$"]
    assert max(y.max() for _, y in drawn(axes)) == pytest.approx(2.0)


def test_comparison_of_densities() -> None:
    axes = plot_dos(dos(), compare=dos(1.0))
    names = {text.get_text() for text in axes.get_legend().get_texts()}
    assert names == {"model", "DFT"}


def test_molecule_is_drawn_as_levels() -> None:
    path = BandPath(
        Cell(np.zeros((3, 3))),
        kpts=np.zeros((1, 3)),
        special_points={"G": np.zeros(3)},
        path="G",
    )
    axes = plot_bands(BandStructure(path, np.array([[[-2.0, 1.0]]]), reference=0.0))
    levels = [segment[0][1] for part in axes.collections for segment in part.get_segments()]
    assert sorted(levels) == [-2.0, 1.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot_bands(silicon(), emin=1, emax=-1), "emin"),
        (lambda: plot_dos(dos(), emin=1, emax=-1), "emin"),
        (lambda: plot_dos(dos(), emin=50, emax=60), "no energies"),
        (lambda: plot_dos(dos(), reference="vbm"), "accepted"),
        (lambda: plot_bands(silicon(), dos=dos(), ax=plot_bands(silicon())), "two axes"),
    ],
)
def test_pictures_that_cannot_be(call, message) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_density_without_a_level_asks_for_one() -> None:
    bare = GridDOSCollection.from_data(np.linspace(-1, 1, 9), [np.ones(9)], info=[{}])
    with pytest.raises(InputError, match="does not know its Fermi level"):
        plot_dos(bare)
    assert plot_dos(bare, reference=0.2, emin=-1, emax=1).get_xlabel() == "Energy (eV)"


def test_settings_stay_as_they_were() -> None:
    before = dict(mpl.rcParams)
    plot_bands(silicon(), dos=dos())
    assert dict(mpl.rcParams) == before


def test_matplotlib_is_loaded_only_for_drawing() -> None:
    code = (
        "import sys, ase_mlham.plots.bands, ase_mlham.plots.dos, ase_mlham.electronic.bands;"
        "sys.exit('matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_names_of_points_that_would_run_into_another_go_a_line_lower():
    import matplotlib.pyplot as plt

    from ase_mlham.plots.bands import name_points

    figure, axes = plt.subplots(figsize=(3.6, 2.9))
    axes.set_xlim(0, 1)
    name_points(axes, [0.0, 0.5, 0.56, 1.0], ["Γ", "X|Q", "F|P$_{1}$", "L"])
    assert [one.get_text() for one in axes.get_xticklabels()] == [
        "Γ", "X|Q", "\nF|P$_{1}$", "L",
    ]  # fmt: skip
    figure.canvas.draw()
    boxes = [
        one.get_window_extent() for one in axes.get_xticklabels() if "\n" not in one.get_text()
    ]
    assert all(a.x1 < b.x0 for a, b in pairwise(boxes))
    plt.close(figure)
