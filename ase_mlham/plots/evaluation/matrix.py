"""Errors of matrix elements in pictures: by structure, element, distance, and size.

Every function draws what `ase_mlham.learning.evaluate` found and computes nothing new. Where models
can be told apart by colour a function takes several; where a picture is filled by one of them it
takes one, and several are drawn side by side.
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

    from ase_mlham.learning.evaluation import Evaluation

__all__ = [
    "plot_distance_errors",
    "plot_element_errors",
    "plot_error_sizes",
    "plot_error_spread",
    "plot_matrix_elements",
    "plot_structure_errors",
]


# ---------------------------------------------------------------------- structures
@styled
def plot_structure_errors(evaluations: Evaluations, *, ax: Any = None) -> tuple[Axes, Axes]:
    """Distribution of the MAE over structures: histogram, and share below a value.

    Parameters
    ----------
    evaluations : Evaluation or sequence of Evaluation
        One colour each.
    ax : (Axes, Axes), optional
        Where to draw.

    Returns
    -------
    (Axes, Axes)
        Number of structures in each bin of MAE; part of the structures with at most this MAE.
    """
    from matplotlib.ticker import MaxNLocator

    found = several(evaluations)
    left, right = panels(ax, 2)
    maes = [np.array([s.matrix.overall.mae for s in e.structures]) for e in found]
    everything = np.concatenate(maes)
    # an exact prediction has no place on a logarithmic axis
    everything = np.maximum(everything, 1e-6)
    low, high = everything.min(), everything.max()
    n_bins = int(np.clip(2 * np.sqrt(max(map(len, maes))), 6, 40))
    if high > 8 * low:
        bins: Any = np.geomspace(low / 1.05, high * 1.05, n_bins + 1)
    else:
        width = max(high - low, 0.05 * high)
        bins = np.linspace(low - 0.02 * width, high + 0.02 * width, n_bins + 1)
    for n, (evaluation, values) in enumerate(zip(found, maes, strict=True)):
        colour = COLOURS[n % len(COLOURS)]
        shown = np.clip(values, bins[0], bins[-1])
        left.hist(shown, bins=bins, histtype="stepfilled", color=colour, alpha=0.25, linewidth=0)
        left.hist(shown, bins=bins, histtype="step", color=colour, label=called(evaluation))
        ordered = np.sort(shown)
        share = np.arange(1, len(ordered) + 1) / len(ordered)
        right.step(
            np.concatenate([[bins[0]], ordered, [bins[-1]]]),
            np.concatenate([[0.0], share, [1.0]]),
            where="post",
            color=colour,
            label=called(evaluation),
        )
        mean = values.mean()
        right.axvline(mean, color=colour, linewidth=0.8, linestyle=(0, (1, 2)))
    for axes in (left, right):
        if high > 8 * low:
            axes.set_xscale("log")
            plain_logarithms(axes.xaxis)
        axes.set_xlim(bins[0], bins[-1])
        axes.set_xlabel("MAE of $H$ in a structure (meV)")
    left.set_ylabel("structures")
    left.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    right.set_ylabel("share of structures up to this MAE")
    right.set_ylim(0, 1.02)
    legend(right, len(found), loc="lower right")
    return left, right


# ---------------------------------------------------------------------- elements
@styled
def plot_element_errors(evaluations: Evaluations, *, ax: Any = None) -> tuple[Axes, Axes]:
    """Errors by element: of the structures that contain it, and of its own on-site blocks.

    Parameters
    ----------
    evaluations : Evaluation or sequence of Evaluation
        One colour each.
    ax : (Axes, Axes), optional
        Where to draw.

    Returns
    -------
    (Axes, Axes)
        Mean over the structures with the element of their MAE, the number of them below the
        symbol; MAE of the on-site blocks of the element.
    """
    found = several(evaluations)
    tables = [evaluation.element_errors() for evaluation in found]
    elements = list(tables[0])
    width = max(3.6, min(7.2, 0.8 + 0.34 * len(elements) * (1 + 0.4 * (len(found) - 1))))
    upper, lower = panels(ax, 1, 2, size=(width, 2.1))
    x = np.arange(len(elements))
    bar = 0.8 / len(found)
    for n, (evaluation, table) in enumerate(zip(found, tables, strict=True)):
        colour, place = COLOURS[n % len(COLOURS)], x + (n - (len(found) - 1) / 2) * bar
        style: Any = {"width": 0.94 * bar, "color": colour, "label": called(evaluation)}
        upper.bar(place, [table[element].mae for element in elements], **style)
        lower.bar(place, [table[element].onsite.mae for element in elements], **style)
    size = 8 if len(elements) <= 24 else 6
    # a number as wide as three symbols finds no room below its own
    counted = len(elements) <= 16
    labels = [
        f"{element}\n{tables[0][element].structures}" if counted else element
        for element in elements
    ]
    upper.set_xticks(x, labels, fontsize=size)
    lower.set_xticks(x, elements, fontsize=size)
    upper.set_ylabel("MAE of structures\nwith it (meV)")
    lower.set_ylabel("MAE of its on-site\nblocks (meV)")
    for axes in (upper, lower):
        axes.tick_params(axis="x", length=0)
        axes.set_xlim(-0.6, len(elements) - 0.4)
    if len(found) > 1:
        headroom(upper, 1 + 0.16 * len(found))
        legend(upper, len(found), loc="upper left", fontsize=7)
    return upper, lower


# ---------------------------------------------------------------------- distances
@styled
def plot_distance_errors(evaluations: Evaluations, *, ax: Any = None) -> Axes:
    """MAE of blocks between atoms by their distance.

    Parameters
    ----------
    evaluations : Evaluation or sequence of Evaluation
        One colour each.
    ax : Axes, optional
        Where to draw.
    """
    found = several(evaluations)
    (axes,) = panels(ax)
    for n, evaluation in enumerate(found):
        tallies = evaluation.total.by_distance
        ranges = {key: [float(end) for end in key.split("-")] for key in tallies}
        keys = sorted(tallies, key=ranges.__getitem__)
        middle = [sum(ranges[key]) / 2 for key in keys]
        mae = [tallies[key].mae for key in keys]
        largest = [1000 * tallies[key].largest for key in keys]
        colour = COLOURS[n % len(COLOURS)]
        axes.plot(middle, mae, "o-", color=colour, markersize=3.5, label=called(evaluation))
        axes.plot(middle, largest, linestyle=(0, (1, 1.5)), color=colour, linewidth=0.9)
    logarithmic(axes)
    axes.set_xlim(left=0)
    axes.set_xlabel("distance of the atoms (Å)")
    axes.set_ylabel("MAE, dotted: largest error (meV)")
    if len(found) > 1:
        headroom(axes, 1 + 0.12 * len(found))
    legend(axes, len(found), loc="upper right")
    return axes


# ---------------------------------------------------------------------- single elements
@styled
def plot_matrix_elements(evaluation: Evaluation, *, ax: Any = None) -> Axes:
    """Predicted against reference matrix elements, as a density.

    Parameters
    ----------
    evaluation : Evaluation
        Of one model.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
        The number of elements in each square is told by its colour, in powers of ten.
    """
    from matplotlib.colors import LogNorm

    (axes,) = panels(ax, size=(3.6, 2.9))
    histogram = evaluation.histograms.values
    counts, edges = histogram.counts, histogram.edges
    used = np.flatnonzero(counts.any(axis=0) | counts.any(axis=1))
    first, last = (int(used[0]), int(used[-1]) + 1) if used.size else (0, len(counts))
    # squares that can be seen, also one that lies alone: some seventy on a side
    step = max(1, (last - first) // 70)
    n = -(-(last - first) // step)
    padded = np.zeros((n * step, n * step), dtype=counts.dtype)
    padded[: last - first, : last - first] = counts[first:last, first:last]
    merged = padded.reshape(n, step, n, step).sum(axis=(1, 3))
    width = edges[1] - edges[0]
    ends = edges[first] + step * width * np.arange(n + 1)
    top = max(int(merged.max()), 2)
    mesh = axes.pcolormesh(
        ends,
        ends,
        np.ma.masked_equal(merged.T, 0),
        cmap="viridis",
        norm=LogNorm(1, top),
        rasterized=True,
    )
    axes.plot(ends[[0, -1]], ends[[0, -1]], color="0.4", linewidth=0.5, zorder=0)
    axes.set_aspect("equal")
    margin = 0.03 * (ends[-1] - ends[0])
    axes.set_xlim(ends[0] - margin, ends[-1] + margin)
    axes.set_ylim(ends[0] - margin, ends[-1] + margin)
    same_ticks(axes)
    axes.set_xlabel("reference (eV)")
    axes.set_ylabel("predicted (eV)")
    _counts_bar(axes, mesh)
    return axes


def _counts_bar(axes: Axes, mesh: Any) -> None:
    figure: Any = axes.figure
    bar = figure.colorbar(mesh, ax=axes, shrink=0.85, pad=0.02)
    bar.outline.set_linewidth(0.5)
    bar.set_label("matrix elements")


@styled
def plot_error_sizes(evaluation: Evaluation, *, ax: Any = None) -> Axes:
    """Size of the error against the size of the matrix element, as a density.

    Parameters
    ----------
    evaluation : Evaluation
        Of one model.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
        The line is the median; below the dotted line the error is smaller than the element.
    """
    from matplotlib.colors import LogNorm

    (axes,) = panels(ax, size=(3.6, 2.9))
    histogram = evaluation.histograms.sizes
    reference, error = histogram.edges
    counts = histogram.counts
    mesh = axes.pcolormesh(
        reference,
        1000 * error,
        np.ma.masked_equal(counts.T, 0),
        cmap="viridis",
        norm=LogNorm(1, max(int(counts.max()), 2)),
        rasterized=True,
    )
    below = np.cumsum(counts, axis=1)
    total = below[:, -1]
    enough = total >= 20
    median = error[np.argmax(2 * below >= total[:, None], axis=1) + 1]
    middle = np.sqrt(reference[1:] * reference[:-1])
    axes.plot(middle[enough], 1000 * median[enough], color=COLOURS[4], linewidth=1.2)
    axes.plot(reference, 1000 * reference, color="0.3", linewidth=0.7, linestyle=(0, (1, 2)))
    axes.set_xscale("log")
    axes.set_yscale("log")
    used = [np.flatnonzero(counts.any(axis=axis)) for axis in (1, 0)]
    if all(part.size for part in used):
        axes.set_xlim(reference[used[0][0]], reference[used[0][-1] + 1])
        axes.set_ylim(1000 * error[used[1][0]], 1000 * error[used[1][-1] + 1])
    axes.set_xlabel("|reference| (eV)")
    axes.set_ylabel("|error| (meV)")
    _counts_bar(axes, mesh)
    return axes


@styled
def plot_error_spread(evaluations: Evaluations, *, ax: Any = None) -> Axes:
    """Distribution of the errors of single matrix elements.

    Parameters
    ----------
    evaluations : Evaluation or sequence of Evaluation
        One colour each.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
        Share of all elements in each tenth of a decade; dashed: the size that 95 % stay below.
        Elements without any error are told in numbers, not drawn.
    """
    found = several(evaluations)
    named, seen = len(found) > 1, np.zeros(0)
    (axes,) = panels(ax)
    for n, evaluation in enumerate(found):
        histogram = evaluation.histograms.sizes
        counts = histogram.errors
        edges = 1000 * histogram.edges[1]
        share = 100 * counts / max(1, counts.sum())
        colour = COLOURS[n % len(COLOURS)]
        # elements that are zero in both, by symmetry or out of reach, have no logarithm
        hidden, share[0] = share[0], 0.0
        name = called(evaluation) if len(found) > 1 else ""
        if hidden >= 1:
            name += f"{': ' if name else ''}{hidden:.0f} % below $10^{{-5}}$ meV"
            named = True
        seen = np.maximum(share, seen) if seen.size else share
        axes.stairs(share, edges, color=colour, label=name, linewidth=1.0)
        axes.stairs(share, edges, color=colour, alpha=0.2, fill=True)
        (most,) = 1000 * histogram.quantiles([0.95])
        axes.axvline(most, color=colour, linewidth=0.8, linestyle=(0, (4, 2)))
    axes.set_xscale("log")
    # a few elements are right to all digits by chance; the largest errors are rare, and told
    used = np.flatnonzero(seen > 0.02)
    if used.size:
        edges = 1000 * found[0].histograms.sizes.edges[1]
        last = np.flatnonzero(seen)[-1]
        axes.set_xlim(edges[used[0]], edges[last + 1])
    high = axes.get_ylim()[1]
    axes.set_ylim(0, high * (1 + 0.1 * len(found)) if named else high)
    axes.set_xlabel("|error| of a matrix element (meV)")
    axes.set_ylabel("share of elements (%)")
    if named:
        axes.legend(loc="upper left", handlelength=1.4)
    return axes
