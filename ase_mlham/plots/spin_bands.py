"""Bands in the colours of the spin of their states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_mlham.plots.bands import EMAX, EMIN, axis_of_path, draw_frame, path_breaks
from ase_mlham.plots.style import DIVERGING, STYLE, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ase_mlham.electronic.spin_bands import SpinBands

__all__ = ["colour_bar", "component_label", "plot_spin_bands"]

UNDIRECTED = "0.72"
"""Colour of states that have no direction of their own."""


def component_label(axis: str | Sequence[float]) -> str:
    """Name of a component of spin, for a colour bar."""
    if isinstance(axis, str):
        names = {"normal": r"\perp", "radial": "r", "tangential": "t"}
        return rf"$\langle\sigma_{{{names.get(axis, axis)}}}\rangle$"
    return rf"$\langle\sigma\rangle$ along ({', '.join(f'{x:g}' for x in axis)})"


def plot_spin_bands(
    found: SpinBands,
    axis: str | Sequence[float] = "z",
    *,
    reference: str | float = "fermi",
    emin: float = EMIN,
    emax: float = EMAX,
    linewidth: float = 1.6,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw bands in the colours of a component of spin.

    Parameters
    ----------
    found : SpinBands
        From `ase_mlham.electronic.spin_bands.spin_bands`. Degenerate states are grey: no one of
        them has a direction.
    axis : {"x", "y", "z"} or (3,) float
        Cartesian.
    reference : {"fermi", "vbm", "none"} or float
        What is zero.
    emin, emax : float
        Window in eV around that zero.
    linewidth : float
        Points.
    title : str, optional
        Above the picture.
    ax : Axes, optional
        Where to draw; a new figure otherwise.
    """
    import matplotlib.pyplot as plt
    from matplotlib.collections import LineCollection
    from matplotlib.colors import Normalize

    bands = found.bands
    with plt.rc_context(STYLE):
        axes: Axes = new_axes()[1][0] if ax is None else ax
        zero = draw_frame(axes, bands, reference, emin, emax)
        x = axis_of_path(bands)[0]
        component, alone = found.along(axis), ~found.degenerate
        energies = bands.energies - zero
        if len(x) == 1:
            x = np.array([-0.4, 0.4])
            component, energies = component.repeat(2, 1), energies.repeat(2, 1)
            alone = alone.repeat(2, 1)
        keep = np.ones(len(x) - 1, dtype=bool)
        keep[path_breaks(bands) - 1] = False
        segments, values, directed = [], [], []
        for s in range(len(energies)):
            starts = np.stack(np.broadcast_arrays(x[:-1, None], energies[s, :-1]), axis=-1)
            ends = np.stack(np.broadcast_arrays(x[1:, None], energies[s, 1:]), axis=-1)
            segments.append(np.stack([starts, ends], axis=2)[keep])
            values.append(((component[s, 1:] + component[s, :-1]) / 2)[keep])
            directed.append((alone[s, 1:] | alone[s, :-1])[keep])
        lines = np.concatenate(segments).reshape(-1, 2, 2)
        value, clear = np.concatenate(values).ravel(), np.concatenate(directed).ravel()
        axes.add_collection(
            LineCollection(list(lines[~clear]), colors=UNDIRECTED, linewidths=linewidth, zorder=2),
            autolim=False,
        )
        # the strongest on top, and a thin dark line below: white would not be seen on white
        order = np.argsort(abs(value[clear]), kind="stable")
        axes.add_collection(
            LineCollection(
                list(lines[clear]), colors="0.35", linewidths=linewidth + 0.5, zorder=2.5
            ),
            autolim=False,
        )
        drawn = LineCollection(
            list(lines[clear][order]),
            array=value[clear][order],
            cmap=DIVERGING,
            norm=Normalize(-1, 1),
            linewidths=linewidth,
            zorder=3,
        )
        axes.add_collection(drawn, autolim=False)
        inside = (energies > emin) & (energies < emax)
        colour_bar([axes], drawn, component_label(axis), grey=bool((inside & ~alone).any()))
        if title:
            axes.set_title(title, fontsize=9, loc="left")
        return axes


def colour_bar(axes: Sequence[Axes], drawn: Any, text: str, *, grey: bool) -> None:
    """Colour bar of a component of spin, which also says what grey means."""
    bar: Any = axes[0].figure.colorbar(
        drawn, ax=list(axes), pad=0.02, aspect=28, ticks=[-1, -0.5, 0, 0.5, 1]
    )
    bar.set_label(text + ("; grey: degenerate" if grey else ""))
    bar.outline.set_linewidth(0.5)
