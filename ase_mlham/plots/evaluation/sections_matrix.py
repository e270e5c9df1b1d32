"""Sections of the report of an evaluation that are about H: elements, structures, pairs, shells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_mlham.plots.document import Picture, Pictures, Section, Table, number
from ase_mlham.plots.evaluation.axes import called
from ase_mlham.plots.evaluation.matrix import (
    plot_distance_errors,
    plot_element_errors,
    plot_error_sizes,
    plot_error_spread,
    plot_matrix_elements,
    plot_structure_errors,
)
from ase_mlham.plots.evaluation.pairs import (
    plot_pair_errors,
    plot_pairs_against_counts,
    plot_shell_errors,
    plot_training_pairs,
)

if TYPE_CHECKING:
    from ase_mlham.learning.evaluation import Evaluation, StructureErrors
    from ase_mlham.learning.metrics import Tally

__all__: list[str] = []

MOST_STRUCTURES = 15
"""Structures listed, the worst first."""


def _each(
    name: str, alt: str, draw: Any, found: Sequence[Evaluation], **options: Any
) -> list[Picture]:
    """One picture for each model, with its name above it if there are several."""
    out = []
    for n, evaluation in enumerate(found):

        def drawn(evaluation: Evaluation = evaluation) -> Any:
            axes = draw(evaluation, **options)
            if len(found) > 1:
                axes.set_title(called(evaluation), fontsize=9)
            return axes

        suffix = "" if len(found) == 1 else f"-{n + 1}"
        out.append(Picture(f"{name}{suffix}", f"{alt}: {evaluation.model}", drawn))
    return out


def single_elements_section(found: list[Evaluation]) -> Section:
    return Section(
        "Matrix elements",
        [
            Pictures(
                _each(
                    "elements",
                    "predicted against reference matrix elements",
                    plot_matrix_elements,
                    found,
                ),
                "Predicted against reference matrix elements of all structures, the prediction "
                "after the best shift of each structure. The colour tells how many elements lie in "
                "a square; the thin line is a perfect prediction.",
            ),
            Pictures(
                _each(
                    "sizes",
                    "size of errors against size of matrix elements",
                    plot_error_sizes,
                    found,
                ),
                "Size of the error against the size of the matrix element. Solid line: median. "
                "Above the dotted line the error is larger than the element itself. Sizes beyond "
                "an end of the table count in its last square.",
            ),
            Pictures(
                [
                    Picture(
                        "spread",
                        "distribution of errors of matrix elements",
                        lambda: plot_error_spread(found),
                    )
                ],
                "Share of all matrix elements whose error has this size, in tenths of a decade. "
                "Dashed: the size that 95 % of all errors stay below. Not drawn are elements "
                "without any error, such as those that symmetry makes zero.",
            ),
        ],
    )


def structures_section(found: list[Evaluation]) -> Section:
    first = found[0]
    order = np.argsort([-entry.matrix.overall.mae for entry in first.structures], kind="stable")
    rows = []
    for place in order[:MOST_STRUCTURES]:
        entries = [evaluation.structures[place] for evaluation in found]
        rows.append(
            [
                entries[0].name,
                entries[0].formula,
                str(entries[0].n_atoms),
                *(number(entry.matrix.overall.mae) for entry in entries),
                *(number(_occupied(entry)) for entry in entries),
                *(number(_gap_error(entry)) for entry in entries),
            ]
        )
    several = len(found) > 1
    header = ["structure", "formula", "atoms"]
    for quantity in ("H MAE", "occupied bands MAE", "gap error"):
        header += [f"{quantity}, {e.model}" if several else quantity for e in found]
    listed = (
        f"The {len(rows)} structures with the largest MAE of {first.model}"
        if (len(rows) < len(first.structures))
        else "All structures"
    )
    return Section(
        "Structures",
        [
            Pictures(
                [
                    Picture(
                        "structures",
                        "distribution of errors over structures",
                        lambda: plot_structure_errors(found),
                    )
                ],
                "MAE of H in each structure, over all its matrix elements: number of structures in "
                "each bin, and share of the structures up to a value. Dotted: mean over "
                "structures, in which a small one counts as much as a large one; the H MAE of the "
                "summary weights by matrix elements.",
            ),
            Table(header, rows, f"{listed}; errors in meV. Gap error: predicted minus reference."),
        ],
    )


def _occupied(entry: StructureErrors) -> float | None:
    return None if entry.bands is None else 1000 * entry.bands.occupied.mean


def _gap_error(entry: StructureErrors) -> float | None:
    return None if entry.bands is None else 1000 * entry.bands.gap_error


def by_element_section(found: list[Evaluation]) -> Section:
    tables = [evaluation.element_errors() for evaluation in found]
    several = len(found) > 1
    header = ["element", "structures"]
    for quantity in ("MAE of structures with it", "MAE of its on-site blocks"):
        header += [f"{quantity}, {e.model}" if several else quantity for e in found]
    rows = [
        [
            element,
            str(entry.structures),
            *(number(table[element].mae) for table in tables),
            *(number(table[element].onsite.mae) for table in tables),
        ]
        for element, entry in tables[0].items()
    ]
    return Section(
        "Elements",
        [
            Pictures(
                [
                    Picture(
                        "by_element",
                        "errors by element",
                        lambda: plot_element_errors(found),
                    )
                ],
                "Above: mean, over the structures that contain the element, of their MAE over all "
                "matrix elements; each structure counts the same, and blocks between its other "
                "elements are in it. Numbers below the symbols: how many structures. Below: MAE of "
                "the on-site blocks of atoms of the element alone, over all structures.",
            ),
            Table(header, rows, "meV."),
        ],
    )


def by_pair_section(found: list[Evaluation]) -> Section:
    errors = [evaluation.pair_errors() for evaluation in found]
    maes = [tally.mae for table in errors for tally in table.values()]
    limits = (min(maes), max(maes)) if maes and min(maes) < max(maes) else None
    same = all(e.training_pairs == found[0].training_pairs for e in found)
    trained = found[:1] if same else found
    several = len(found) > 1
    header = ["pair"]
    header += [
        f"training pairs, {e.model}" if len(trained) > 1 else "training pairs" for e in trained
    ]
    header += [f"MAE, {e.model}" if several else "MAE" for e in found]
    header += [f"largest error, {e.model}" if several else "largest error" for e in found]
    from ase.data import atomic_numbers

    order = sorted(
        errors[0], key=lambda pair: tuple(atomic_numbers[name] for name in pair.split("-"))
    )
    rows = [
        [
            pair,
            *(str(evaluation.training_pairs.get(pair, 0)) for evaluation in trained),
            *(number(table[pair].mae) for table in errors),
            *(number(1000 * table[pair].largest) for table in errors),
        ]
        for pair in order
    ]
    correlations = []
    for evaluation in found:
        told = evaluation.pair_correlation()
        correlations.append(
            [
                evaluation.model,
                *(
                    ["–", "–", "–"]
                    if told is None
                    else [f"{told.coefficient:.3f}", f"{told.p_value:.2g}", str(told.n)]
                ),
            ]
        )
    return Section(
        "Pairs of elements",
        [
            Pictures(
                [
                    *_each(
                        "by_pair",
                        "errors by pair of elements",
                        plot_pair_errors,
                        found,
                        limits=limits,
                    ),
                    *_each(
                        "training_pairs",
                        "training pairs by elements",
                        plot_training_pairs,
                        trained,
                    ),
                ],
                "MAE of all blocks between two atoms of these elements whose orbitals overlap, at "
                "any distance, on-site blocks left out; and the number of such pairs of atoms in "
                "the training structures, each counted once. Elements stand in the order of atomic "
                "numbers. Grey: no such pair in these structures, or in training.",
            ),
            Pictures(
                [
                    Picture(
                        "pairs_against_counts",
                        "errors of pairs against their number in training",
                        lambda: plot_pairs_against_counts(found),
                    )
                ],
                "The same two numbers against one another, one point for each pair of elements. "
                "ρ is Spearman's rank correlation: −1 if the error falls whenever the count rises, "
                "0 if there is no relation. p is the probability of a coefficient of at least this "
                "size, of either sign, if all orders were equally likely.",
            ),
            Table(["model", "Spearman's ρ", "p", "pairs"], correlations),
            Table(header, rows, "MAE and largest error in meV."),
        ],
    )


def _tallies(
    title: str, tables: list[dict[str, Tally]], order: list[str], found: list[Evaluation]
) -> Table:
    several = len(found) > 1
    header = [title]
    for quantity in ("MAE", "rms", "largest"):
        header += [f"{quantity}, {e.model}" if several else quantity for e in found]
    rows = [
        [
            key,
            *(number(table[key].mae) for table in tables),
            *(number(table[key].rms) for table in tables),
            *(number(1000 * table[key].largest) for table in tables),
        ]
        for key in order
    ]
    return Table(header, rows, "meV.")


def by_shell_section(found: list[Evaluation]) -> Section:
    totals = [evaluation.total for evaluation in found]
    shells = [total.by_shells for total in totals]
    maes = [tally.mae for table in shells for tally in table.values()]
    limits = (min(maes), max(maes)) if min(maes) < max(maes) else None
    letters = "spdfgh"
    order = sorted(shells[0], key=lambda key: [letters.index(l) for l in key.split("-")])
    distances = [total.by_distance for total in totals]
    blocks: list[Any] = [
        Pictures(
            _each(
                "by_shell",
                "errors by angular momenta",
                plot_shell_errors,
                found,
                limits=limits,
            ),
            "MAE of all matrix elements between shells of these angular momenta, on-site blocks "
            "included.",
        ),
        _tallies("shells", shells, order, found),
    ]
    if distances[0]:
        blocks += [
            Pictures(
                [
                    Picture(
                        "by_distance",
                        "errors by distance of the atoms",
                        lambda: plot_distance_errors(found),
                    )
                ],
                "MAE of blocks between atoms whose distance lies in a bin of 1 Å, and dotted the "
                "largest error of a single element there. On-site blocks are left out.",
            ),
            _tallies(
                "distance (Å)",
                distances,
                sorted(distances[0], key=lambda key: float(key.partition("-")[0])),
                found,
            ),
        ]
    return Section("Shells and distances", blocks)


def by_part_sections(found: list[Evaluation]) -> list[Section]:
    parts = [evaluation.total.by_part for evaluation in found]
    if not all(parts):
        return []
    meaning = (
        "P: what has no spin. B: spin-orbit coupling. C: exchange field. K: orbital currents. Each "
        "is a real function; a part that the model does not predict is counted as zero there."
    )
    return [
        Section("Parts of H with spin", [_tallies("part", parts, list(parts[0]), found), meaning])
    ]
