"""The comparison of two band structures, as pictures and as a report of one page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_mlham import __version__
from ase_mlham.plots.bands import axis_of_path, name_points, path_breaks, plot_bands
from ase_mlham.plots.document import (
    SUFFIXES,
    Document,
    Picture,
    Pictures,
    Section,
    Table,
    number,
    write_document,
)
from ase_mlham.plots.dos import plot_dos
from ase_mlham.plots.style import COLOURS, SOURCE, STYLE, new_axes

if TYPE_CHECKING:
    from ase.spectrum.band_structure import BandStructure
    from ase.spectrum.doscollection import GridDOSCollection
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ase_mlham.electronic.comparison import BandComparison, Deviation, MatrixComparison
    from ase_mlham.electronic.matching import MatchedBands

__all__ = [
    "SUFFIXES",
    "Compared",
    "comparison_document",
    "plot_comparison",
    "plot_error_by_energy",
    "plot_error_by_k",
    "write_comparison",
]


@dataclass(frozen=True, eq=False)
class Compared:
    """All that a report of two sources shows.

    Attributes
    ----------
    names : (2,) str
        Of the sources; the second is the reference.
    bands : (2,) BandStructure
        Along one path.
    path : MatchedBands
        The states of the path.
    mesh : MatchedBands
        Those of a mesh, which samples the zone evenly.
    dos : (2,) GridDOSCollection
        Densities of states.
    matrices : MatrixComparison or str
        Errors of H, or why there are none.
    about : mapping
        Facts for the first table.
    """

    names: tuple[str, str]
    bands: tuple[BandStructure, BandStructure]
    path: MatchedBands
    mesh: MatchedBands
    dos: tuple[GridDOSCollection, GridDOSCollection]
    matrices: MatrixComparison | str
    about: Mapping[str, str]


def plot_error_by_k(
    matched: MatchedBands, bands: BandStructure, *, title: str | None = None, ax: Axes | None = None
) -> Axes:
    """Errors along the path: mean and largest of the states of each window at each k-point.

    Parameters
    ----------
    matched : MatchedBands
        Of the states along the path.
    bands : BandStructure
        Of the same path, for its axis.
    title : str, optional
        Above the picture.
    ax : Axes, optional
        Where to draw; a new figure otherwise.
    """
    import matplotlib.pyplot as plt

    with plt.rc_context(STYLE):
        axes: Axes = new_axes(height=2.4)[1][0] if ax is None else ax
        x, ticks, names = axis_of_path(bands)
        sizes = 1000 * abs(matched.differences)
        single = len(x) == 1
        for n, (name, chosen) in enumerate(matched.groups.items()):
            text = name if name == "occupied" else f"within {name}"
            count = chosen.sum(axis=(0, 2))
            mean = np.where(chosen, sizes, 0).sum(axis=(0, 2)) / np.maximum(count, 1)
            largest = np.where(chosen, sizes, 0).max(axis=(0, 2))
            mean, largest = (np.where(count > 0, one, np.nan) for one in (mean, largest))
            for values, dots in ((mean, "-"), (largest, (0, (1, 1.5)))):
                for m, part in enumerate(np.split(np.arange(len(x)), path_breaks(bands))):
                    axes.plot(
                        x[part],
                        values[part],
                        color=COLOURS[n],
                        linestyle=dots,
                        marker="o" if single else None,
                        linewidth=1.0,
                        label=text if m == 0 and dots == "-" else None,
                    )
        for place in ticks[1:-1]:
            axes.axvline(place, color="0.75", linewidth=0.5, zorder=0)
        if not single:
            axes.set_xlim(x[0], x[-1])
        name_points(axes, ticks, names)
        axes.set_ylim(bottom=0)
        axes.set_ylabel("mean |error| (meV)\ndotted: largest")
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.98), ncols=3, handlelength=1.4)
        if title:
            axes.set_title(title, fontsize=9, loc="left")
    return axes


def plot_error_by_energy(
    matched: MatchedBands, level: float, *, title: str | None = None, ax: Axes | None = None
) -> Axes:
    """Error of each state against its energy in the second source.

    Parameters
    ----------
    matched : MatchedBands
        States.
    level : float
        Zero of energy: the Fermi level of the second source, eV.
    title : str, optional
        Above the picture.
    ax : Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    Axes
        States up to 5 eV above the highest window; farther up a basis says little.
    """
    import matplotlib.pyplot as plt

    with plt.rc_context(STYLE):
        axes: Axes = new_axes(height=2.4)[1][0] if ax is None else ax
        energies = matched.second.energies - level
        errors = 1000 * matched.differences
        widest = [chosen for name, chosen in matched.groups.items() if name != "occupied"][-1]
        top = float(energies[widest].max()) + 5.0 if widest.any() else 5.0
        seen = energies <= top
        axes.axhline(0.0, color="0.6", linewidth=0.6, zorder=1)
        axes.axvline(0.0, color="0.45", linewidth=0.6, linestyle=(0, (1, 2)), zorder=1)
        axes.scatter(
            energies[seen], errors[seen], s=3, color=SOURCE, linewidths=0, alpha=0.45,
            rasterized=True, zorder=2,
        )  # fmt: skip
        limit = 1.3 * float(np.quantile(abs(errors[seen]), 0.98)) or 1.0
        outside = int((abs(errors[seen]) > limit).sum())
        axes.set_ylim(-limit, limit)
        axes.set_xlabel(r"$E - E_\mathrm{F}$ of the reference (eV)")
        axes.set_ylabel("error (meV)")
        if outside:
            axes.set_title(f"{outside} states outside", fontsize=7, loc="right", color="0.35")
        if title:
            axes.set_title(title, fontsize=9, loc="left")
    return axes


def comparison_document(compared: Compared) -> Document:
    """The report of two sources; pictures are drawn when it is written.

    Parameters
    ----------
    compared : Compared
        What it shows.
    """
    first, second = compared.names
    return Document(
        f"{first} against {second}",
        [_summary(compared), _errors(compared), _pictures(compared), _densities(compared)],
    )


def write_comparison(path: Path | str, compared: Compared) -> None:
    """Write the report of two sources.

    Parameters
    ----------
    path : Path or str
        `.html`: one file that needs nothing else. `.md`: with pictures in a folder NAME_files.
    compared : Compared
        What it shows.

    Raises
    ------
    InputError
        The suffix is another.
    """
    write_document(path, comparison_document(compared))


def plot_comparison(compared: Compared) -> Figure:
    """The report as a figure of one page, A4: numbers above, bands, errors and densities below.

    Parameters
    ----------
    compared : Compared
        What it shows.
    """
    import matplotlib.pyplot as plt

    first, second = compared.bands
    edges = _edges(compared)
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(8.27, 11.69), layout="constrained")
        grid = figure.add_gridspec(4, 2, height_ratios=(0.75, 1.25, 0.95, 0.95))
        text = figure.add_subplot(grid[0, :])
        text.set_axis_off()
        text.text(0.0, 1.0, "\n".join(_lines(compared)), va="top", family="monospace", fontsize=7.5)
        text.set_title(" against ".join(compared.names), fontsize=12, loc="left")
        panels = [figure.add_subplot(place) for place in (grid[1, 0], grid[1, 1])]
        plot_bands(first, compare=second, labels=compared.names, ax=panels[0])
        plot_bands(
            first, compare=second, labels=compared.names, emin=-edges, emax=edges, ax=panels[1]
        )
        plot_error_by_k(compared.path, first, ax=figure.add_subplot(grid[2, 0]))
        level = float(second.reference)
        plot_error_by_energy(compared.mesh, level, ax=figure.add_subplot(grid[2, 1]))
        plot_dos(
            compared.dos[0],
            compare=compared.dos[1],
            labels=compared.names,
            ax=figure.add_subplot(grid[3, :]),
        )
    return figure


def _lines(compared: Compared) -> list[str]:
    """The numbers of the report as lines of text."""
    facts = [*compared.about.items(), *(("matching", text) for text in compared.path.notes)]
    lines: list[str] = []
    for name, text in facts:
        # as wide as the page is at this size of letters
        lines += wrap(f"{name:24s}{text}", 110, subsequent_indent=24 * " ", drop_whitespace=False)
    for place, matched in (("path", compared.path), ("mesh", compared.mesh)):
        lines += ["", f"on the {place}, after a shift of {matched.comparison.shift:.4f} eV"]
        lines += str(matched.comparison).splitlines()
    return lines


def _edges(compared: Compared) -> float:
    """Half width of the window around the gap, eV."""
    return max(2.0, 0.75 * compared.path.comparison.reference_gap + 1.5)


def _summary(compared: Compared) -> Section:
    first, second = compared.names
    rows = [
        ["compared", first],
        ["reference", second],
        *([name, text] for name, text in compared.about.items()),
        *(["matching", text] for text in compared.path.notes),
        [
            "shift of energy",
            (
                f"{compared.path.comparison.shift:.4f} eV is subtracted from the first, the median "
                "of all differences up to 3 eV above the gap; on the mesh "
                f"{compared.mesh.comparison.shift:.4f} eV"
            ),
        ],
        ["written by", f"ase-mlham {__version__}"],
    ]
    return Section("Summary", [Table(["", ""], rows)])


def _errors(compared: Compared) -> Section:
    comparisons = (compared.path.comparison, compared.mesh.comparison)
    rows = []
    for name in ("occupied", *comparisons[0].windows):
        cells: list[str] = [name if name == "occupied" else f"within {name} of the gap"]
        for comparison in comparisons:
            cells += _cells(_deviation(comparison, name))
        rows.append(cells)
    gaps = [
        [
            f"gap on the {place}",
            f"{comparison.gap:.4f}",
            f"{comparison.reference_gap:.4f}",
            number(1000 * comparison.gap_error),
        ]
        for place, comparison in zip(("path", "mesh"), comparisons, strict=True)
    ]
    levels = [float(bands.reference) for bands in compared.bands]
    gaps.append(
        [
            "Fermi level or middle of the gap",
            f"{levels[0]:.4f}",
            f"{levels[1]:.4f}",
            number(1000 * (levels[0] - levels[1])),
        ]
    )
    worst = ", ".join(f"{x:.3f}" for x in comparisons[0].worst_k)
    blocks: list[Any] = [
        Table(
            ["states", *(f"{word} ({place})" for place in ("path", "mesh") for word in _WORDS)],
            rows,
            "Errors of eigenvalues in meV after the shift. A path goes through special points and "
            "says what a picture shows; a mesh weighs the whole zone evenly. The largest error on "
            f"the path up to 3 eV is at k = ({worst}).",
        ),
        Table(["", *compared.names, "difference (meV)"], gaps, "Energies in eV."),
    ]
    if isinstance(compared.matrices, str):
        blocks.append(f"Matrix elements are not compared: {compared.matrices}.")
    else:
        matrices = compared.matrices
        blocks.append(
            Table(
                ["elements of H", *_WORDS[:3], "numbers"],
                [
                    [name, *_cells(deviation)]
                    for name, deviation in (
                        ("all", matrices.error),
                        ("on site", matrices.onsite),
                        ("between atoms", matrices.offsite),
                    )
                ],
                f"In meV, after the best shift H + μS (μ = {matrices.shift:.4f} eV), which changes "
                "no physics. A small error of H does not bound the error of bands.",
            )
        )
    return Section("Errors", blocks)


_WORDS = ("mean", "rms", "largest", "states")


def _deviation(comparison: BandComparison, name: str) -> Deviation:
    return comparison.occupied if name == "occupied" else comparison.windows[name]


def _cells(deviation: Deviation) -> list[str]:
    sizes = (deviation.mean, deviation.rms, deviation.max)
    return [*(number(1000 * size) for size in sizes), str(deviation.count)]


def _pictures(compared: Compared) -> Section:
    first, second = compared.bands

    def both() -> Any:
        return plot_bands(first, compare=second, labels=compared.names)

    def near() -> Any:
        edges = _edges(compared)
        return plot_bands(first, compare=second, labels=compared.names, emin=-edges, emax=edges)

    return Section(
        "Bands",
        [
            Pictures(
                [
                    Picture("bands", "bands of both sources", both),
                    Picture("bands-near", "the same near the Fermi level", near),
                ],
                f"{compared.names[0]} as lines, {compared.names[1]} dashed, each with its own zero "
                "(the Fermi level, for an insulator the middle of the gap).",
            ),
            Pictures(
                [
                    Picture(
                        "error-by-k",
                        "errors along the path",
                        lambda: plot_error_by_k(compared.path, first),
                    ),
                    Picture(
                        "error-by-energy",
                        "errors by energy",
                        lambda: plot_error_by_energy(compared.mesh, float(second.reference)),
                    ),
                ],
                "Left: errors along the path, after the shift. Right: error of each state on the "
                "mesh against its energy in the reference.",
            ),
        ],
    )


def _densities(compared: Compared) -> Section:
    return Section(
        "Density of states",
        [
            Pictures(
                [
                    Picture(
                        "dos",
                        "densities of states of both sources",
                        lambda: plot_dos(
                            compared.dos[0], compare=compared.dos[1], labels=compared.names
                        ),
                    )
                ],
                "On the mesh, each with its own zero.",
            )
        ],
    )
