"""Bands of several predictions beside one another, each over those of the reference."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from ase.spectrum.band_structure import BandStructure
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from PIL import Image

from ase_mlham.plots.style import DOWN, SOURCE, STYLE, UP, label

mpl.use("Agg")

DPI = 200  # pages are read on screens, and each picture is to stay below 150 kB
REFERENCE: dict[str, Any] = {"color": "0.66", "linewidth": 1.7, "zorder": 2}
PREDICTED: dict[str, Any] = {"linewidth": 0.7, "zorder": 3}


@dataclass
class Panel:
    """One prediction.

    Attributes
    ----------
    title : str
        Above the bands.
    energies : (n_spin, n_k, n_bands) float
        From the Fermi level of the reference, eV, on the k-points of the reference.
    remark : str
        In the corner below.
    channel : int or None
        The spin channel of a collinear reference that is drawn here; None: a spinor or no spin.
    """

    title: str
    energies: NDArray[np.float64]
    remark: str = ""
    channel: int | None = None

    @property
    def colours(self) -> list[str]:
        """One for each spin channel drawn."""
        if self.channel is not None:
            return [(UP, DOWN)[self.channel]]
        return [UP, DOWN] if len(self.energies) == 2 else [SOURCE]


def pieces(bands: BandStructure) -> tuple[list[slice], NDArray[np.float64], dict[float, str]]:
    """Parts of the path without a jump, positions of the points, names of the corners."""
    x, ticks, names = bands.get_labels()
    corners: dict[float, str] = {}
    for place, name in zip(np.round(ticks, 9), names, strict=True):
        text = label(name)
        corners[place] = text if place not in corners else f"{corners[place]}|{text}"
    jumps = np.flatnonzero(np.diff(x) < 1e-9) + 1
    edges = [0, *jumps, len(x)]
    return [slice(a, b) for a, b in pairwise(edges)], x, corners


def draw(
    bands: BandStructure, panels: list[Panel], window: tuple[float, float], target: Path
) -> None:
    """Draw and write.

    Parameters
    ----------
    bands : BandStructure
        The reference, its `reference` the Fermi level.
    panels : list of Panel
        From left to right.
    window : (2,) float
        eV about the Fermi level.
    target : Path
        Its suffix says the format.
    """
    from matplotlib import pyplot as plt

    low, high = window
    parts, x, corners = pieces(bands)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            1,
            len(panels),
            sharey=True,
            squeeze=False,
            figsize=(min(7.2, 0.6 + 2.4 * len(panels)), 3.3),
            gridspec_kw={"wspace": 0.05},
            layout="constrained",
        )
        for n, (ax, panel) in enumerate(zip(axes[0], panels, strict=True)):
            shown = slice(None) if panel.channel is None else [panel.channel]
            known = bands.energies[shown] - bands.reference
            ax.set_ylim(low, high)
            for place in list(corners)[1:-1]:
                ax.axvline(place, color="0.8", linewidth=0.5, zorder=0)
            ax.axhline(0.0, color="0.45", linewidth=0.6, linestyle=(0, (1, 2)), zorder=1)
            _lines(ax, known, x, parts, [REFERENCE] * len(known))
            styles = [{**PREDICTED, "color": colour} for colour in panel.colours]
            _lines(ax, panel.energies, x, parts, styles)
            ax.set_xticks(list(corners), list(corners.values()))
            ax.tick_params(axis="x", length=0)
            ax.set_xlim(*((x[0], x[-1]) if len(x) > 1 else (-1, 1)))
            ax.set_title(f"({'abcdefgh'[n]}) {panel.title}", fontsize=9, loc="left")
            if panel.remark:
                ax.text(
                    0.975,
                    0.025,
                    panel.remark,
                    transform=ax.transAxes,
                    ha="right",
                    va="bottom",
                    fontsize=8,
                    zorder=5,
                    bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5},
                )
        axes[0, 0].set_ylabel(r"$E - E_\mathrm{F}$ (eV)")
        samples = [Line2D([], [], **REFERENCE, label="reference")]
        colours = dict.fromkeys(colour for panel in panels for colour in panel.colours)
        spins = {UP: ", spin up", DOWN: ", spin down"} if len(colours) == 2 else {}
        for colour in colours:
            name = "predicted" + spins.get(colour, "")
            samples.append(Line2D([], [], **PREDICTED, color=colour, label=name))
        figure.legend(handles=samples, loc="outside lower center", ncols=len(samples))
        figure.savefig(target, dpi=DPI, bbox_inches="tight", pad_inches=0.03)
    plt.close(figure)
    if target.suffix == ".png":
        # lines need few colours: a quarter of the size
        with Image.open(target) as picture:
            small = picture.convert("RGB").quantize(48, dither=Image.Dither.NONE)
        small.save(target, optimize=True, dpi=(DPI, DPI))


def _lines(
    axes: Axes,
    energies: NDArray[np.float64],
    x: NDArray[np.float64],
    parts: list[slice],
    styles: list[dict[str, Any]],
) -> None:
    """The bands of each channel that enter the window."""
    low, high = axes.get_ylim()
    for channel, style in zip(energies, styles, strict=True):
        inside = ((channel > low) & (channel < high)).any(axis=0)
        if len(x) == 1:  # a molecule has levels
            axes.plot([-0.5, 0.5], np.repeat(channel[:, inside], 2, axis=0), **style)
            continue
        for part in parts:
            axes.plot(x[part], channel[part][:, inside], **style)
