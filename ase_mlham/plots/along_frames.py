"""Numbers along the frames of a trajectory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_mlham.plots.style import COLOURS, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_along_frames"]


def plot_along_frames(
    frames: Sequence[float],
    columns: Mapping[str, Sequence[float]],
    *,
    label: str = "frame",
    axes: Sequence[Axes] | None = None,
) -> tuple[Axes, ...]:
    """Draw one quantity below the other; a frame without a number is a hole in the line.

    Parameters
    ----------
    frames : (n,) float
        Number or time of each frame.
    columns : mapping
        Label of an axis, with its unit, to (n,) numbers.
    label : str
        Of the common axis.
    axes : sequence of Axes, optional
        One for each column; of a new figure if not given.

    Returns
    -------
    tuple of Axes
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    x = np.asarray(frames, dtype=float)
    with plt.rc_context(STYLE):
        if axes is None:
            _, grid = plt.subplots(
                len(columns),
                1,
                sharex=True,
                squeeze=False,
                figsize=(4.6, 0.7 + 1.35 * len(columns)),
                layout="constrained",
            )
            axes = tuple(grid[:, 0])
        for n, (ax, (name, values)) in enumerate(zip(axes, columns.items(), strict=True)):
            style: Any = {"markersize": 2.2 if len(x) > 30 else 3.5, "color": COLOURS[n]}
            ax.plot(x, np.asarray(values, dtype=float), "o-", **style)
            ax.set_ylabel(name)
            ax.ticklabel_format(axis="y", useOffset=False)
        axes[-1].set_xlabel(label)
        if label == "frame":
            axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    return tuple(axes)
