"""Errors of bands in pictures: by distance to the Fermi level, gaps, electrons; time.

As in `plots.evaluation.matrix`, nothing is computed. Structures whose bands collapsed are crosses
where single structures are drawn, and are left out of means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ase_mlham.plots.evaluation.axes import (
    Evaluations,
    called,
    headroom,
    legend,
    logarithmic,
    panels,
    plain_logarithms,
    same_ticks,
    several,
    styled,
)
from ase_mlham.plots.style import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_cost", "plot_electron_errors", "plot_energy_errors", "plot_gaps"]

_MARKERS = "osD^v<>P"


@styled
def plot_energy_errors(evaluations: Evaluations, *, ax: Any = None) -> Axes:
    """Errors of eigenvalues by their distance to the Fermi level.

    Parameters
    ----------
    evaluations : Evaluation or sequence of Evaluation
        One colour each.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
        MAE, and dotted the largest error, in bins of 1 eV of the reference energy.
    """
    found = several(evaluations)
    (axes,) = panels(ax)
    for n, evaluation in enumerate(found):
        colour = COLOURS[n % len(COLOURS)]
        table = evaluation.energy_errors()
        middle = [low + 0.5 for low in table]
        # a line would invent states where bands leave a hole
        breaks = np.flatnonzero(np.diff(middle) > 1.5) + 1
        for part, rows in enumerate(np.split(np.array(list(table)), breaks)):
            label = called(evaluation) if part == 0 else None
            mae = [table[low].mae for low in rows]
            largest = [1000 * table[low].largest for low in rows]
            axes.plot(rows + 0.5, mae, "o-", color=colour, markersize=3, label=label)
            axes.plot(rows + 0.5, largest, color=colour, linewidth=0.9, linestyle=(0, (1, 1.5)))
    logarithmic(axes)
    axes.axvline(0.0, color="0.45", linewidth=0.6, linestyle=(0, (1, 2)), zorder=1)
    if len(found) > 1:
        headroom(axes, 1 + 0.12 * len(found))
    plain_logarithms(axes.yaxis)
    axes.set_xlabel(r"$E - E_\mathrm{F}$ of the reference (eV)")
    axes.set_ylabel("MAE, dotted: largest error (meV)")
    legend(axes, len(found), loc="upper left")
    return axes


@styled
def plot_gaps(evaluations: Evaluations, *, ax: Any = None) -> Axes:
    """Predicted against reference gaps.

    Parameters
    ----------
    evaluations : Evaluation or sequence of Evaluation
        One colour and marker each.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
        One point for each structure; crosses: collapsed.
    """
    found = several(evaluations)
    (axes,) = panels(ax, size=(3.2, 2.9))
    top = 0.1
    for n, evaluation in enumerate(found):
        known = [e for e in evaluation.structures if e.bands is not None]
        for collapsed in (False, True):
            chosen = [e.bands for e in known if e.collapsed is collapsed]
            x = [bands.reference_gap for bands in chosen if bands is not None]
            y = [bands.gap for bands in chosen if bands is not None]
            top = max([top, *x, *y])
            _points(axes, n, x, y, called(evaluation), collapsed=collapsed)
    axes.plot([0, 1.06 * top], [0, 1.06 * top], color="0.5", linewidth=0.6, zorder=0)
    axes.set_aspect("equal")
    axes.set_xlim(-0.04 * top, 1.06 * top)
    axes.set_ylim(-0.04 * top, 1.06 * top)
    same_ticks(axes)
    axes.set_xlabel("reference gap (eV)")
    axes.set_ylabel("predicted gap (eV)")
    legend(axes, len(found), loc="upper left")
    return axes


@styled
def plot_electron_errors(evaluations: Evaluations, *, ax: Any = None) -> Axes:
    """Electrons by which the predicted bands miss the true number at the reference's Fermi level.

    Parameters
    ----------
    evaluations : Evaluation or sequence of Evaluation
        One colour and marker each.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
        One point for each structure, against its gap; crosses: collapsed.
    """
    found = several(evaluations)
    (axes,) = panels(ax, size=(3.6, 2.9))
    top = 0.0
    for n, evaluation in enumerate(found):
        for collapsed in (False, True):
            chosen = [
                (e.bands.reference_gap, e.energies.electrons)
                for e in evaluation.structures
                if e.bands is not None and e.energies is not None and e.collapsed is collapsed
            ]
            x, y = [gap for gap, _ in chosen], [electrons for _, electrons in chosen]
            top = max([top, *map(abs, y)])
            _points(axes, n, x, y, called(evaluation), collapsed=collapsed)
    # rounding errors of counts must not fill the picture
    top = max(1.15 * top, 1e-3)
    axes.set_ylim(-top, top)
    axes.axhline(0.0, color="0.5", linewidth=0.6, zorder=0)
    axes.set_xlim(left=min(-0.02, axes.get_xlim()[0]))
    axes.set_xlabel("reference gap (eV)")
    axes.set_ylabel("error of the electron count (a cell)")
    legend(axes, len(found), loc="best")
    return axes


def _points(
    axes: Axes, n: int, x: list[float], y: list[float], name: str, *, collapsed: bool
) -> None:
    colour = COLOURS[n % len(COLOURS)]
    if collapsed:
        axes.plot(x, y, "x", color=colour, markersize=5)
        return
    marker = _MARKERS[n % len(_MARKERS)]
    axes.plot(
        x,
        y,
        marker,
        color=colour,
        markersize=4,
        markerfacecolor="none",
        label=name,
        markeredgewidth=0.9,
    )


@styled
def plot_cost(evaluations: Evaluations, *, ax: Any = None) -> Axes:
    """Time of each prediction of H and S against the number of atoms.

    Parameters
    ----------
    evaluations : Evaluation or sequence of Evaluation
        One colour and marker each.
    ax : Axes, optional
        Where to draw.
    """
    found = several(evaluations)
    (axes,) = panels(ax)
    for n, evaluation in enumerate(found):
        # the first prediction also loads tables and warms up
        timed = evaluation.structures[1:] or evaluation.structures
        x, y = [float(e.n_atoms) for e in timed], [e.seconds for e in timed]
        _points(axes, n, x, y, called(evaluation), collapsed=False)
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        plain_logarithms(axis)
    axes.set_xlabel("atoms")
    axes.set_ylabel("time of a prediction (s)")
    legend(axes, len(found), loc="upper left")
    return axes
