"""Fat bands: bands as wide as their states lie on groups of orbitals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.errors import InputError
from ase_mlham.plots.bands import EMAX, EMIN, axis_of_path, draw_frame, path_breaks
from ase_mlham.plots.style import COLOURS, STYLE, group_label, new_axes

if TYPE_CHECKING:
    from ase_mlham.electronic.fat_bands import FatBands

__all__ = ["MOST_GROUPS", "plot_fat_bands"]

MOST_GROUPS = 8
"""Groups in one picture at most; more colours than that nobody tells apart."""

_STYLES = ("lines", "dots")


def plot_fat_bands(
    fat: FatBands,
    *,
    style: str = "lines",
    width: float = 4.0,
    reference: str | float = "fermi",
    emin: float = EMIN,
    emax: float = EMAX,
    title: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw fat bands.

    Parameters
    ----------
    fat : FatBands
        From `ase_mlham.fat_bands`. Of more than eight groups the eight with most weight in the
        window are drawn; choose others with `select` and `sum_by`.
    style : {"lines", "dots"}
        "lines": each band is a ribbon whose parts in colour are as wide as the weights of the
        groups, stacked from the middle outwards. "dots": at each k-point a disc for each group
        whose area is the weight.
    width : float
        Of a ribbon, or diameter of a disc, of weight one; points (1/72 inch).
    reference : {"fermi", "vbm", "none"} or float
        What is zero.
    emin, emax : float
        Window in eV around that zero.
    title : str, optional
        Above the picture.
    ax : Axes, or (Axes, Axes) for a collinear system, optional
        Where to draw; a new figure otherwise, with one part for each spin channel.

    Returns
    -------
    Axes, or (up, down) for a collinear system

    Raises
    ------
    InputError
        The style is unknown, the window is empty, or two axes are needed.
    """
    import matplotlib.pyplot as plt

    if style not in _STYLES:
        raise InputError(f"style {style!r} is unknown; accepted: {', '.join(_STYLES)}")
    channels = len(fat.bands.energies)
    with plt.rc_context(STYLE):
        if ax is None:
            _, made = new_axes(channels, (1.0,) * channels)
        else:
            made = ax if isinstance(ax, tuple) else (ax,)
        if len(made) != channels:
            raise InputError("fat bands of two spin channels need two axes: ax=(up, down)")
        for s, axes in enumerate(made):
            zero = draw_frame(axes, fat.bands, reference, emin, emax)
            if s == 0:
                shown = _most_seen(fat, zero + emin, zero + emax)
                colours = _colours(fat, shown)
            else:
                axes.set_ylabel("")
            draw = _draw_ribbons if style == "lines" else _draw_discs
            draw(axes, fat, s, zero, shown, colours, width, (emin, emax))
            if channels == 2:
                axes.set_title(("spin up", "spin down")[s], fontsize=9, loc="right")
        _legend(made, fat, shown, colours)
        if title:
            made[0].set_title(title, fontsize=9, loc="left")
    return made[0] if channels == 1 else tuple(made)


def _most_seen(fat: FatBands, low: float, high: float) -> list[int]:
    """The groups that are drawn, in their order."""
    inside = (fat.bands.energies >= low) & (fat.bands.energies <= high)
    seen = fat.weights[inside].sum(axis=0) if inside.any() else fat.weights.sum(axis=(0, 1, 2))
    return sorted(int(n) for n in np.argsort(-seen, kind="stable")[:MOST_GROUPS])


def _colours(fat: FatBands, shown: list[int]) -> list[Any]:
    """Of each group shown: layers have an order, and a colour map that has one."""
    if not all("height" in fat.info[n] for n in shown) or len(shown) < 3:
        return [COLOURS[n % len(COLOURS)] for n in range(len(shown))]
    import matplotlib as mpl

    scale = mpl.colormaps["viridis"]
    return [scale(x) for x in np.linspace(0.0, 0.92, len(shown))]


def _draw_ribbons(
    axes: Any,
    fat: FatBands,
    s: int,
    zero: float,
    shown: list[int],
    colours: list[Any],
    width: float,
    window: tuple[float, float],
) -> None:
    """Lines of growing width over one another, the widest below: each shows its own part."""
    from matplotlib.collections import LineCollection

    x = axis_of_path(fat.bands)[0]
    energies = fat.bands.energies[s] - zero
    # a small negative weight of Mulliken's has no width
    weights = np.clip(fat.weights[s][..., shown], 0.0, None)
    if len(x) == 1:
        x, energies, weights = np.array([-0.4, 0.4]), energies.repeat(2, 0), weights.repeat(2, 0)
    keep = np.ones(len(x) - 1, dtype=bool)
    keep[path_breaks(fat.bands) - 1] = False
    middle = (energies[1:] + energies[:-1]) / 2
    seen = keep[:, None] & (middle > window[0] - 1) & (middle < window[1] + 1)
    starts = np.stack(np.broadcast_arrays(x[:-1, None], energies[:-1]), axis=-1)[seen]
    ends = np.stack(np.broadcast_arrays(x[1:, None], energies[1:]), axis=-1)[seen]
    segments = list(np.stack([starts, ends], axis=1))
    reach = np.cumsum((weights[1:] + weights[:-1]) / 2, axis=-1)[seen]
    for n in reversed(range(len(shown))):
        axes.add_collection(
            LineCollection(
                segments,
                linewidths=width * reach[:, n],
                colors=[colours[n]],
                capstyle="round",
                zorder=3 + 0.01 * (len(shown) - n),
            ),
            autolim=False,
        )
    axes.add_collection(
        LineCollection(segments, linewidths=0.35, colors=["0.15"], zorder=4), autolim=False
    )


def _draw_discs(
    axes: Any,
    fat: FatBands,
    s: int,
    zero: float,
    shown: list[int],
    colours: list[Any],
    width: float,
    window: tuple[float, float],
) -> None:
    """Discs, the larger below the smaller."""
    from matplotlib.colors import to_rgba

    x = axis_of_path(fat.bands)[0]
    energies = fat.bands.energies[s] - zero
    if len(x) == 1:
        x = np.zeros(1)
    weights = np.clip(fat.weights[s][..., shown], 0.0, None)
    places, heights, groups = np.broadcast_arrays(
        x[:, None, None], energies[:, :, None], np.arange(len(shown))
    )
    seen = (weights > 0.01) & (heights > window[0]) & (heights < window[1])
    area: NDArray[np.float64] = width**2 * weights[seen]
    order = np.argsort(-area, kind="stable")
    palette = np.array([to_rgba(colour) for colour in colours])
    axes.scatter(
        places[seen][order],
        heights[seen][order],
        s=area[order],
        c=palette[groups[seen][order]],
        linewidths=0,
        alpha=0.8,
        zorder=3,
    )
    for part_x, part_e in zip(
        np.split(x, path_breaks(fat.bands)), np.split(energies, path_breaks(fat.bands)), strict=True
    ):
        axes.plot(part_x, part_e, color="0.6", linewidth=0.4, zorder=2)


def _legend(made: Any, fat: FatBands, shown: list[int], colours: list[Any]) -> None:
    """Groups and the name of the projection, beside the last axes."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, linewidth=4, label=group_label(fat.info[n]))
        for n, colour in zip(shown, colours, strict=True)
    ]
    if all("height" in fat.info[n] for n in shown):
        handles.reverse()  # the highest layer on top
    left_out = len(fat.info) - len(shown)
    title = f"{fat.method.label} weights"
    if any("height" in info for info in fat.info):
        title += "\nof layers at"
    made[-1].legend(
        handles=handles,
        title=title + (f"\n({left_out} groups not shown)" if left_out else ""),
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0.0,
        handlelength=1.0,
        alignment="left",
        title_fontsize=8,
    )
