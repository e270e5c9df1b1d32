"""Band structures, alone, beside a density of states, or against another source."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.errors import InputError
from ase_mlham.plots.dos import draw_dos
from ase_mlham.plots.style import DOWN, REFERENCE, SOURCE, STYLE, UP, label, new_axes

if TYPE_CHECKING:
    from ase.spectrum.band_structure import BandStructure
    from ase.spectrum.doscollection import GridDOSCollection
    from matplotlib.axes import Axes

__all__ = ["axis_of_path", "draw_frame", "name_points", "path_breaks", "plot_bands", "zero_of"]

EMIN, EMAX = -10.0, 8.0
"""Default window around the zero of energy, eV."""


def zero_of(bands: BandStructure, reference: str | float) -> float:
    """Energy that is drawn as zero.

    Parameters
    ----------
    bands : BandStructure
        Its own reference is the Fermi level.
    reference : "fermi", "vbm", "none" or float
        "vbm": the highest state not above the Fermi level.
    """
    level = float(bands.reference)
    if isinstance(reference, int | float):
        return float(reference)
    if reference == "fermi":
        return level
    if reference == "none":
        return 0.0
    if reference == "vbm":
        below = bands.energies[bands.energies <= level]
        return float(below.max()) if below.size else level
    raise InputError(f"reference {reference!r} is unknown; accepted: fermi, vbm, none or a number")


def _axis_title(reference: str | float) -> str:
    if reference == "fermi":
        return r"$E - E_\mathrm{F}$ (eV)"
    if reference == "vbm":
        return r"$E - E_\mathrm{VBM}$ (eV)"
    return "Energy (eV)" if reference == "none" else f"$E$ − {float(reference):.2f} eV (eV)"


def axis_of_path(bands: BandStructure) -> tuple[NDArray[np.float64], list[float], list[str]]:
    """Positions of the points and of the labels; two that meet at a jump are joined by a bar."""
    x, ticks, names = bands.get_labels()
    places: list[float] = []
    texts: list[str] = []
    for place, name in zip(ticks, names, strict=True):
        if places and abs(place - places[-1]) < 1e-9:
            if label(name) != texts[-1]:
                texts[-1] += "|" + label(name)
        else:
            places.append(float(place))
            texts.append(label(name))
    return np.asarray(x, dtype=np.float64), places, texts


def path_breaks(bands: BandStructure) -> NDArray[np.int64]:
    """Points at which a path goes on elsewhere: lines end before them."""
    x, _, _ = axis_of_path(bands)
    kpts = np.asarray(bands.path.kpts)
    # two equal points in a row are one corner written twice, and not a jump
    moved = abs(np.diff(kpts, axis=0)).max(axis=1, initial=0.0) > 1e-6
    return np.flatnonzero((np.diff(x) < 1e-9) & moved) + 1


def draw_frame(
    axes: Axes, bands: BandStructure, reference: str | float, emin: float, emax: float
) -> float:
    """Everything around the lines: special points, the zero, limits and titles of the axes.

    Returns
    -------
    float
        Energy that is drawn as zero, eV.
    """
    if not emin < emax:
        raise InputError(f"an energy window from {emin} to {emax} eV; emin must be the smaller")
    zero = zero_of(bands, reference)
    x, ticks, names = axis_of_path(bands)
    for place in ticks[1:-1]:
        axes.axvline(place, color="0.75", linewidth=0.5, zorder=0)
    axes.axhline(0.0, color="0.45", linewidth=0.6, linestyle=(0, (1, 2)), zorder=1)
    axes.set_xlim(*((x[0], x[-1]) if len(x) > 1 else (-1, 1)))
    name_points(axes, ticks, names)
    axes.set_ylim(emin, emax)
    axes.set_ylabel(_axis_title(reference))
    return zero


def name_points(axes: Axes, places: list[float], names: list[str]) -> None:
    """Names of special points under an axis; one that would run into another goes a line lower.

    Parameters
    ----------
    axes : Axes
        Whose limits along x are set.
    places : list of float
        Where the points are, ascending.
    names : list of str
        As from `axis_of_path`.
    """
    size = float(STYLE["xtick.labelsize"])
    low, high = axes.get_xlim()
    width = axes.get_position().width * axes.figure.bbox.width / axes.figure.dpi
    points = 72 * width / (high - low)
    ends = [-np.inf, -np.inf]  # of what is written on the two lines
    texts = []
    for place, name in zip(places, names, strict=True):
        # widths in heights of the letters: of a bar, an index and a capital
        plain = re.sub(r"\$.*?\$", "", name)
        width = size * (0.7 * len(plain) - 0.35 * plain.count("|") + 0.4 * name.count("_"))
        left = (place - low) * points - width / 2
        row = 0 if left > ends[0] or ends[0] <= ends[1] else 1
        texts.append("\n" * row + name)
        ends[row] = left + width + 0.1 * size
    axes.set_xticks(places, texts)
    axes.tick_params(axis="x", length=0)


def _draw(axes: Axes, bands: BandStructure, zero: float, styles: list[dict[str, Any]]) -> None:
    """All bands of all channels; a line is broken where the path jumps."""
    x, _, _ = axis_of_path(bands)
    breaks = path_breaks(bands)
    if len(x) == 1:
        for energies, style in zip(bands.energies, styles, strict=False):
            axes.hlines(energies[0] - zero, -0.4, 0.4, **_line(style))
        return
    for energies, style in zip(bands.energies, styles, strict=False):
        label_text = style.get("label")
        for part_x, part_e in zip(
            np.split(x, breaks), np.split(energies - zero, breaks), strict=True
        ):
            lines = axes.plot(part_x, part_e, **{**style, "label": None})
            if label_text:
                lines[0].set_label(label_text)
                label_text = None


def _line(style: dict[str, Any]) -> dict[str, Any]:
    names = {"color": "colors", "linewidth": "linewidths", "linestyle": "linestyles"}
    return {names.get(name, name): value for name, value in style.items()}


def _styles(bands: BandStructure, name: str | None, *, is_reference: bool) -> list[dict[str, Any]]:
    """Line styles of the channels: a source is solid, what it is compared with dashed."""
    two = len(bands.energies) == 2
    common: dict[str, Any] = {"linestyle": "-", "linewidth": 1.0, "zorder": 3}
    if is_reference:
        common = {"linestyle": (0, (3.5, 1.8)), "linewidth": 0.9, "zorder": 2}
    if not two:
        return [{**common, "color": REFERENCE if is_reference else SOURCE, "label": name}]
    channels = []
    for colour, spin in ((UP, "spin up"), (DOWN, "spin down")):
        text = spin if name is None else f"{name}, {spin}"
        channels.append({**common, "color": colour, "label": text})
    return channels


def plot_bands(
    bands: BandStructure,
    *,
    dos: GridDOSCollection | None = None,
    compare: BandStructure | None = None,
    reference: str | float = "fermi",
    emin: float = EMIN,
    emax: float = EMAX,
    labels: tuple[str, str] = ("model", "DFT"),
    title: str | None = None,
    ax: Axes | tuple[Axes, Axes] | None = None,
) -> Axes | tuple[Axes, Axes]:
    """Draw a band structure.

    Parameters
    ----------
    bands : ase.spectrum.band_structure.BandStructure
        From `ase_mlham.bands`, or any other.
    dos : GridDOSCollection, optional
        Drawn beside the bands, from `ase_mlham.dos` or `pdos`.
    compare : BandStructure, optional
        A second source on the same path, drawn dashed under the first; each has its own zero.
    reference : {"fermi", "vbm", "none"} or float
        What is zero: the Fermi level (mid-gap of an insulator), the valence band maximum,
        nothing, or an energy.
    emin, emax : float
        Window in eV around that zero.
    labels : (2,) str
        Names of the two sources, used with `compare`.
    title : str, optional
        Above the bands.
    ax : Axes or (Axes, Axes), optional
        Where to draw; a new figure of the width of a journal column otherwise.

    Returns
    -------
    Axes, or (bands axes, dos axes) if a density of states is drawn

    Raises
    ------
    InputError
        The second source has other k-points, or the window is empty.
    """
    import matplotlib.pyplot as plt

    if compare is not None:
        same = len(compare.path.kpts) == len(bands.path.kpts)
        if not same or not np.allclose(compare.path.kpts, bands.path.kpts, atol=1e-4):
            raise InputError("the two band structures lie on different paths: compute both on one")
    with plt.rc_context(STYLE):
        if ax is None:
            widths = (1.0, 0.36) if dos is not None else (1.0,)
            _, made = new_axes(len(widths), widths)
        else:
            made = ax if isinstance(ax, tuple) else (ax,)
        if dos is not None and len(made) != 2:
            raise InputError("bands with a density of states need two axes: ax=(left, right)")
        axes = made[0]
        zero = draw_frame(axes, bands, reference, emin, emax)
        if compare is not None:
            other = zero_of(compare, reference)
            _draw(axes, compare, other, _styles(compare, labels[1], is_reference=True))
        name = labels[0] if compare is not None else None
        _draw(axes, bands, zero, _styles(bands, name, is_reference=False))
        if compare is not None or len(bands.energies) == 2:
            # above the frame: inside, it would hide bands
            axes.legend(
                loc="lower right",
                bbox_to_anchor=(1.0, 0.985),
                ncols=2,
                borderaxespad=0.2,
                handlelength=1.8,
                columnspacing=1.2,
            )
        if title:
            # above the rows of the legend, two entries each
            legend = axes.get_legend()
            rows = 0 if legend is None else (len(legend.get_texts()) + 1) // 2
            axes.set_title(title, fontsize=9, loc="left", pad=6.0 + 12.0 * rows)
        if dos is None:
            return axes
        draw_dos(made[1], dos, zero, emin, emax, vertical=True)
        made[1].set_ylim(emin, emax)
        return axes, made[1]
