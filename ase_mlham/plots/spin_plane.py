"""Spin on a plane of k-points: arrows for what lies in the plane, colours for a component."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.errors import InputError
from ase_mlham.plots.spin_bands import UNDIRECTED, colour_bar, component_label
from ase_mlham.plots.style import DIVERGING, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ase_mlham.electronic.k_plane import KPlane
    from ase_mlham.electronic.spin_plane import SpinContour, SpinPlane

__all__ = ["plot_spin_contour", "plot_spin_plane"]

ARROWS = 13
"""Arrows along each side of a plane, about."""

ALONG_LINE = 0.07
"""Distance between the arrows on a contour, in parts of the width of the plane."""

_SHORT = 0.05
"""In-plane length of <sigma> below which no arrow is drawn."""


def plot_spin_plane(
    found: SpinPlane,
    bands: int | Sequence[int] | None = None,
    *,
    axis: str | Sequence[float] = "normal",
    zero: float = 0.0,
    channel: int = 0,
    title: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw the spin of bands on a plane, one part of the figure for each band.

    Parameters
    ----------
    found : SpinPlane
        From `ase_mlham.electronic.spin_plane.spin_plane`.
    bands : int or sequence of int, optional
        Which of its bands; all by default.
    axis : {"normal", "x", "y", "z", "radial", "tangential", "u", "v"} or (3,) float
        Component that is shown as colour. Arrows are the part of the spin in the plane.
    zero : float
        Energy that the lines of equal energy count from, eV.
    channel : int
        Spin channel of a collinear system.
    title : str, optional
        Above the picture.
    ax : Axes or sequence of Axes, optional
        Where to draw, one for each band; a new figure otherwise.

    Returns
    -------
    Axes, or tuple of Axes for several bands
    """
    import matplotlib.pyplot as plt

    known = [int(band) for band in found.bands]
    chosen = known if bands is None else [bands] if isinstance(bands, int) else list(bands)
    missing = [band for band in chosen if band not in known]
    if missing or not chosen:
        raise InputError(f"bands {missing or chosen} of a plane that has {known}")
    with plt.rc_context(STYLE):
        made = _panels(len(chosen), found.plane) if ax is None else np.atleast_1d(ax).ravel()
        values = found.along(axis)
        for axes, band in zip(made, chosen, strict=True):
            n = known.index(band)
            drawn = _draw_sheet(axes, found, channel, n, values[channel, n], zero)
            _frame(axes, found.plane)
            axes.set_title(f"band {band}", fontsize=8, loc="right")
        for axes in made:
            place = axes.get_subplotspec()
            if ax is None and not place.is_first_col():
                axes.set_ylabel("")
                axes.tick_params(labelleft=False)
        columns = found.degenerate[channel, [known.index(band) for band in chosen]]
        colour_bar(list(made), drawn, component_label(axis), grey=bool(columns.any()))
        if title:
            made[0].set_title(title, fontsize=9, loc="left")
    return made[0] if len(made) == 1 else tuple(made)


def plot_spin_contour(
    found: SpinContour,
    *,
    axis: str | Sequence[float] = "normal",
    zero: float | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the lines of one energy with the spin on them.

    Parameters
    ----------
    found : SpinContour
        From `ase_mlham.electronic.spin_plane.spin_contour`.
    axis : {"normal", "x", "y", "z", "radial", "tangential", "u", "v"} or (3,) float
        Component that is shown as colour. Arrows are the part of the spin in the plane.
    zero : float, optional
        Energy from which that of the lines is counted in the picture, for example the Fermi level.
    title : str, optional
        Above the picture.
    ax : Axes, optional
        Where to draw; a new figure otherwise.

    Raises
    ------
    InputError
        There are no lines: no band has this energy in the plane.
    """
    import matplotlib.pyplot as plt
    from matplotlib.collections import LineCollection
    from matplotlib.colors import Normalize

    if not found.lines:
        raise InputError(
            f"no band has the energy {found.energy:.3f} eV in this plane; choose another energy or "
            "a larger plane"
        )
    with plt.rc_context(STYLE):
        axes: Axes = _panels(1, found.plane)[0] if ax is None else ax
        drawn: Any = None
        for line in found.lines:
            segments = np.stack([line.uv[:-1], line.uv[1:]], axis=1)
            together = line.degenerate[1:] & line.degenerate[:-1]
            axes.add_collection(
                LineCollection(list(segments), colors="0.35", linewidths=2.4, zorder=2),
                autolim=False,
            )
            axes.add_collection(
                LineCollection(
                    list(segments[together]), colors=UNDIRECTED, linewidths=1.8, zorder=3
                ),
                autolim=False,
            )
            value = found.along(line, axis)
            drawn = LineCollection(
                list(segments[~together]),
                array=((value[1:] + value[:-1]) / 2)[~together],
                cmap=DIVERGING,
                norm=Normalize(-1, 1),
                linewidths=1.8,
                zorder=3,
            )
            axes.add_collection(drawn, autolim=False)
            way = float(np.linalg.norm(np.diff(line.uv, axis=0), axis=1).sum())
            # smaller arrows on a small pocket, and never so small that nobody sees them
            part = float(np.clip(way / (2 * found.plane.extent[0]) / 10, 0.02, ALONG_LINE))
            at = _along(line.uv, 2 * found.plane.extent[0] * part)
            _arrows(axes, found.plane, line.uv[at], line.spin[at], 1.2 * part, width=0.0038)
        _frame(axes, found.plane)
        grey = any(line.degenerate.any() for line in found.lines)
        colour_bar([axes], drawn, component_label(axis), grey=grey)
        energy = found.energy - (zero or 0.0)
        name = r"$E_\mathrm{F}$" if zero is not None else ""
        text = f"{name} {energy:+.3f} eV" if name else f"E = {energy:.3f} eV"
        axes.set_title(text, fontsize=8, loc="right")
        if title:
            axes.set_title(title, fontsize=9, loc="left")
    return axes


def _panels(count: int, plane: KPlane) -> Any:
    """Axes side by side, as high as the plane needs."""
    import matplotlib.pyplot as plt

    columns = 2 if count == 4 else min(count, 3)
    rows = -(-count // columns)
    side = 3.0 if count == 1 else 2.4
    ratio = float(np.clip(plane.extent[1] / plane.extent[0], 0.4, 2.5))
    figure, axes = plt.subplots(
        rows,
        columns,
        squeeze=False,
        figsize=(side * columns + 0.9, side * ratio * rows + 0.4),
        layout="constrained",
    )
    for unused in axes.ravel()[count:]:
        figure.delaxes(unused)
    return axes.ravel()[:count]


def _light() -> Any:
    """The colours of components without their dark ends, on which arrows would not be seen."""
    import matplotlib as mpl
    from matplotlib.colors import LinearSegmentedColormap

    middle = mpl.colormaps[DIVERGING](np.linspace(0.22, 0.78, 64))
    return LinearSegmentedColormap.from_list("light", middle)


def _draw_sheet(
    axes: Any,
    found: SpinPlane,
    channel: int,
    n: int,
    values: NDArray[np.float64],
    zero: float,
) -> Any:
    """Colours, lines of equal energy and arrows of one band."""
    plane = found.plane
    together = found.degenerate[channel, n]
    axes.set_facecolor(UNDIRECTED)
    drawn = axes.pcolormesh(
        plane.u,
        plane.v,
        np.ma.masked_array(values, together).T,
        cmap=_light(),
        vmin=-1,
        vmax=1,
        shading="nearest",
        rasterized=True,
        zorder=1,
    )
    energies = found.energies[channel, n] - zero
    if np.ptp(energies) > 1e-3:
        lines = axes.contour(
            plane.u, plane.v, energies.T, levels=7, colors="0.25", linewidths=0.45, zorder=2
        )
        axes.clabel(lines, fmt="%.2f", fontsize=5.5, inline_spacing=1)
    steps = [max(1, round((size - 1) / (ARROWS - 1))) for size in plane.shape]
    # the point in the middle of the plane has an arrow
    first = [((size - 1) // 2) % step for size, step in zip(plane.shape, steps, strict=True)]
    chosen = (slice(first[0], None, steps[0]), slice(first[1], None, steps[1]))
    uv = plane.grid.reshape(*plane.shape, 2)[chosen]
    spin = np.where(together[..., None], 0.0, found.spin[channel, n])[chosen]
    gap = steps[0] / max(1, plane.shape[0] - 1)
    _arrows(axes, plane, uv.reshape(-1, 2), spin.reshape(-1, 3), 0.9 * gap)
    return drawn


def _arrows(
    axes: Any,
    plane: KPlane,
    uv: NDArray[np.float64],
    spin: NDArray[np.float64],
    length: float,
    width: float = 0.0055,
) -> None:
    """Parts of spins in the plane; one of length 1 is so many widths of the plane long."""
    flat = spin @ plane.axes.T
    seen = np.linalg.norm(flat, axis=-1) > _SHORT
    axes.quiver(
        *uv[seen].T,
        *flat[seen].T,
        angles="xy",
        scale_units="xy",
        scale=1 / (length * 2 * plane.extent[0]),
        pivot="middle",
        width=width,
        headwidth=4.0,
        headlength=4.5,
        headaxislength=4.0,
        color="0.1",
        zorder=5,
    )


def _along(uv: NDArray[np.float64], distance: float) -> NDArray[np.int64]:
    """Points of a line at about equal distances."""
    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(uv, axis=0), axis=1))])
    count = max(1, round(way[-1] / distance))
    return np.unique(np.searchsorted(way, (np.arange(count) + 0.5) * way[-1] / count))


def _frame(axes: Any, plane: KPlane) -> None:
    """Limits, names of the axes, and the border of the zone."""
    zone = plane.zone
    if len(zone):
        closed = np.concatenate([zone, zone[:1]])
        axes.plot(*closed.T, color="0.2", linewidth=0.8, linestyle=(0, (4, 2)), zorder=4)
    axes.set_xlim(-plane.extent[0], plane.extent[0])
    axes.set_ylim(-plane.extent[1], plane.extent[1])
    axes.set_aspect("equal")
    relative = bool(np.any(plane.center))
    for name, direction, place in (
        ("u", plane.axes[0], axes.set_xlabel),
        ("v", plane.axes[1], axes.set_ylabel),
    ):
        named = [c for c, unit in zip("xyz", np.eye(3), strict=True) if direction @ unit > 0.999999]
        text = f"k_{(named or [name])[0]}"
        place(rf"${text} - {text}^0$ ($\AA^{{-1}}$)" if relative else rf"${text}$ ($\AA^{{-1}}$)")
