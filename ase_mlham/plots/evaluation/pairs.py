"""Errors by pair of elements and by pair of shells: heat maps, and errors against training counts.

The heat maps are those in which universal models are shown: elements in the order of atomic
numbers, a square for each pair of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.plots.evaluation.axes import (
    Evaluations,
    called,
    panels,
    plain_logarithms,
    several,
    styled,
)
from ase_mlham.plots.style import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ase_mlham.learning.evaluation import Evaluation

__all__ = [
    "plot_pair_errors",
    "plot_pairs_against_counts",
    "plot_shell_errors",
    "plot_training_pairs",
]

GREY = "0.88"
MOST_WITH_NUMBERS = 10
"""Rows of a heat map up to which a number is written into each cell."""

MOST_NAMES = 15
"""Points of a scatter plot that get a name, if there is room."""


def _grid(pairs: Mapping[str, float], symbols: Sequence[str]) -> NDArray[np.float64]:
    """Values of pairs in the lower triangle, nan elsewhere."""
    out = np.full((len(symbols), len(symbols)), np.nan)
    place = {name: n for n, name in enumerate(symbols)}
    for pair, value in pairs.items():
        a, _, b = pair.partition("-")
        if a in place and b in place:
            out[max(place[a], place[b]), min(place[a], place[b])] = value
    return out


def _elements_of(evaluation: Evaluation) -> list[str]:
    return list(evaluation.element_errors())


def _short(value: float) -> str:
    """A number in few characters, two digits of it: 0.05, 1.0, 24, 310k."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:
            scaled = value / size
            return f"{scaled:.1f}{letter}" if scaled < 9.95 else f"{scaled:.0f}{letter}"
    if value >= 9.95 or value == 0:
        return f"{value:.0f}"
    return f"{value:#.2g}"


def _count(value: float) -> str:
    """A whole number in few characters."""
    return f"{value:.0f}" if value < 999.5 else _short(value)


def _tick(value: float) -> str:
    """A count at an axis."""
    return _count(value).replace(".0", "")


def _heat_map(
    axes: Axes,
    grid: NDArray[np.float64],
    names: Sequence[str],
    title: str,
    limits: tuple[float, float] | None = None,
    colours: str = "viridis",
    written: Callable[[float], str] = _short,
) -> None:
    """Lower triangle as coloured squares, with numbers where they can be read."""
    import matplotlib as mpl
    from matplotlib.colors import LogNorm, Normalize

    n = len(names)
    positive = grid[np.isfinite(grid) & (grid > 0)]
    low, high = limits or (
        (float(positive.min()), float(positive.max())) if positive.size else (0.0, 1.0)
    )
    spread = low > 0 and high > 12 * low
    norm: Any = LogNorm(low, high) if spread else Normalize(0.0 if low < 0.5 * high else low, high)
    lower = np.tri(n, dtype=bool)
    axes.pcolormesh(
        np.ma.masked_where(~lower, np.zeros((n, n))),
        cmap=mpl.colors.ListedColormap([GREY]),
        edgecolors="white",
        linewidth=0.4,
    )
    shown = np.ma.masked_where(~np.isfinite(grid) | (grid <= 0), grid)
    mesh = axes.pcolormesh(shown, cmap=colours, norm=norm, edgecolors="white", linewidth=0.4)
    axes.set_aspect("equal")
    size = 8 if n <= 14 else 6 if n <= 30 else 4
    axes.set_xticks(np.arange(n) + 0.5, names, fontsize=size, rotation=90 if n > 20 else 0)
    axes.set_yticks(np.arange(n) + 0.5, names, fontsize=size)
    axes.invert_yaxis()
    axes.tick_params(length=0, right=False)
    axes.spines[:].set_visible(False)
    if n <= MOST_WITH_NUMBERS:
        for (row, column), value in np.ndenumerate(grid):
            if np.isfinite(value):
                dark = value > 0 and sum(mpl.colormaps[colours](norm(value))[:3]) < 1.5
                axes.text(
                    column + 0.5,
                    row + 0.5,
                    written(float(value)),
                    ha="center",
                    va="center",
                    fontsize=7.5 if n <= 6 else 6.5 if n <= 8 else 5.5,
                    color="white" if dark else "black",
                )
    figure: Any = axes.figure
    bar = figure.colorbar(mesh, ax=axes, shrink=0.85, pad=0.02)
    bar.outline.set_linewidth(0.5)
    bar.set_label(title)
    if spread:
        plain_logarithms(bar.ax.yaxis, "{:g}".format if written is _short else _tick)


def _side(n: int) -> float:
    """Inches for a heat map of n rows."""
    return float(np.clip(2.6 + 0.12 * n, 3.3, 7.0))


@styled
def plot_pair_errors(
    evaluation: Evaluation, *, limits: tuple[float, float] | None = None, ax: Any = None
) -> Axes:
    """MAE of the blocks between two elements, as a heat map in the order of atomic numbers.

    Parameters
    ----------
    evaluation : Evaluation
        Of one model.
    limits : (float, float), optional
        Ends of the colours, meV, so that two pictures can be compared.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
        A grey square is a pair that does not occur in the structures.
    """
    names = _elements_of(evaluation)
    side = _side(len(names))
    (axes,) = panels(ax, size=(side, 0.82 * side))
    grid = _grid({pair: t.mae for pair, t in evaluation.pair_errors().items()}, names)
    _heat_map(axes, grid, names, "MAE of blocks (meV)", limits)
    return axes


@styled
def plot_training_pairs(evaluation: Evaluation, *, ax: Any = None) -> Axes:
    """Pairs of atoms that the model was trained on, by elements; grey with 0 if there were none.

    Parameters
    ----------
    evaluation : Evaluation
        Of one model.
    ax : Axes, optional
        Where to draw.
    """
    names = _elements_of(evaluation)
    side = _side(len(names))
    (axes,) = panels(ax, size=(side, 0.82 * side))
    counts = {pair: float(n) for pair, n in evaluation.training_pairs.items()}
    _heat_map(
        axes, _grid(counts, names), names, "pairs of atoms in training", None, "cividis", _count
    )
    return axes


@styled
def plot_pairs_against_counts(evaluations: Evaluations, *, ax: Any = None) -> Axes:
    """MAE of each pair of elements against the number of such pairs in training.

    Parameters
    ----------
    evaluations : Evaluation or sequence of Evaluation
        One colour each; Spearman's coefficient and its p-value stand above.
    ax : Axes, optional
        Where to draw.
    """
    found = several(evaluations)
    (axes,) = panels(ax, size=(3.6, 2.9))
    points: list[tuple[float, float, str]] = []
    none_known = False
    for n, evaluation in enumerate(found):
        errors = evaluation.pair_errors()
        known = [pair for pair in errors if pair in evaluation.training_pairs]
        x = [float(evaluation.training_pairs[pair]) for pair in known]
        y = [errors[pair].mae for pair in known]
        told = evaluation.pair_correlation()
        text = (
            "too few pairs for a correlation"
            if told is None
            else f"ρ = {told.coefficient:.2f}, p = {told.p_value:.2g}, {told.n} pairs"
        ).replace("-", "−")
        name = f"{called(evaluation)}:\n{text}" if len(found) > 1 else text
        axes.scatter(x, y, s=16, color=COLOURS[n % len(COLOURS)], label=name, linewidth=0, zorder=3)
        none_known = none_known or 0.0 in x
        if len(found) == 1:
            points = list(zip(x, y, known, strict=True))
    # a pair without any training has a place at zero
    axes.set_xscale("symlog" if none_known else "log", **({"linthresh": 1} if none_known else {}))
    axes.set_xlabel("pairs of such atoms in training")
    axes.set_ylabel("MAE of their blocks (meV)")
    axes.set_ylim(0, 1.1 * axes.get_ylim()[1])
    axes.margins(x=0.12)
    if not none_known:
        plain_logarithms(axes.xaxis, _tick)
    # above the frame: inside, it would hide points
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.99), borderaxespad=0.2, handlelength=0.8)
    _name_points(axes, points)
    return axes


def _name_points(axes: Axes, points: Sequence[tuple[float, float, str]]) -> None:
    """Names beside points, the worst first; a name that would lie on another is left out."""
    figure: Any = axes.figure
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    places: Any = axes.transData.transform([(x, y) for x, y, _ in points]) if points else []
    taken: list[Any] = []
    for x, y, name in sorted(points, key=lambda point: -point[1])[:MOST_NAMES]:
        for dx, dy, side in ((5, 0, "left"), (-5, 0, "right"), (0, 7, "center"), (0, -7, "center")):
            text = axes.annotate(
                name,
                (x, y),
                xytext=(dx, dy),
                textcoords="offset points",
                ha=side,
                va="center",
                fontsize=6.5,
                color="0.25",
            )
            box = text.get_window_extent(renderer)
            # a text ends below and above its letters: a little of that may overlap
            free = not any(box.overlaps(other) for other in taken)
            inside = frame.x0 < box.x0 and box.x1 < frame.x1 and box.y1 < frame.y1
            on_point = sum(bool(box.contains(*place)) for place in places)
            if free and inside and not on_point:
                taken.append(box)
                break
            text.remove()


@styled
def plot_shell_errors(
    evaluation: Evaluation, *, limits: tuple[float, float] | None = None, ax: Any = None
) -> Axes:
    """MAE between shells by their angular momenta, on-site blocks included, as a heat map.

    Parameters
    ----------
    evaluation : Evaluation
        Of one model.
    limits : (float, float), optional
        Ends of the colours, meV.
    ax : Axes, optional
        Where to draw.
    """
    tallies = evaluation.total.by_shells
    letters = [letter for letter in "spdfgh" if any(letter in key.split("-") for key in tallies)]
    (axes,) = panels(ax, size=(3.2, 2.6))
    grid = _grid({key: tally.mae for key, tally in tallies.items()}, letters)
    _heat_map(axes, grid, letters, "MAE (meV)", limits)
    return axes
