"""The report of an evaluation: what was averaged over what, in tables, pictures and plain words.

evaluation = evaluate(load_model("sige"), systems)
write_report("report.html", evaluation)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ase_mlham import __version__
from ase_mlham.errors import InputError
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
from ase_mlham.plots.evaluation.axes import several
from ase_mlham.plots.evaluation.bands import plot_cost
from ase_mlham.plots.evaluation.sections_bands import band_sections
from ase_mlham.plots.evaluation.sections_matrix import (
    MOST_STRUCTURES,
    by_element_section,
    by_pair_section,
    by_part_sections,
    by_shell_section,
    single_elements_section,
    structures_section,
)

if TYPE_CHECKING:
    from ase_mlham.learning.evaluation import Evaluation

__all__ = ["SUFFIXES", "evaluation_document", "write_report"]


def write_report(
    path: Path | str,
    evaluations: Evaluation | Sequence[Evaluation],
    about: Mapping[str, str] | None = None,
) -> None:
    """Write the report of one or several models on the same structures.

    Parameters
    ----------
    path : Path or str
        `.html`: one file that needs nothing else. `.md`: with pictures in a folder NAME_files.
    evaluations : Evaluation or sequence of Evaluation
        From `learning.evaluate`.
    about : mapping, optional
        Further facts for the first table, for example the data and the mesh.

    Raises
    ------
    InputError
        The suffix is another, or the evaluations are of different structures.
    FormatError
        The file cannot be written.
    """
    write_document(path, evaluation_document(evaluations, about))


def evaluation_document(
    evaluations: Evaluation | Sequence[Evaluation], about: Mapping[str, str] | None = None
) -> Document:
    """The report as a document; pictures are drawn when it is written.

    Parameters
    ----------
    evaluations, about
        As for `write_report`.
    """
    found = several(evaluations)
    names = [[entry.name for entry in evaluation.structures] for evaluation in found]
    if any(other != names[0] for other in names):
        raise InputError(
            "these models were evaluated on different structures; evaluate them together"
        )
    sections = [
        _summary(found, dict(about or {})),
        single_elements_section(found),
        structures_section(found),
        by_element_section(found),
        by_pair_section(found),
        by_shell_section(found),
        *by_part_sections(found),
        *band_sections(found),
        _cost(found),
        *_reservations(found),
    ]
    return Document(f"Errors of {' and '.join(e.model for e in found)}", sections)


# ---------------------------------------------------------------------- sections
def _summary(found: list[Evaluation], about: dict[str, str]) -> Section:
    structures = found[0].structures
    atoms = [entry.n_atoms for entry in structures]
    elements = ", ".join(found[0].element_errors())
    size = (
        f"{min(atoms)} atoms" if min(atoms) == max(atoms) else f"{min(atoms)} to {max(atoms)} atoms"
    )
    facts = {
        "structures": f"{len(structures)}, of {size}",
        "elements": elements,
        **about,
        "written by": f"ase-mlham {__version__}",
    }
    rows = []
    summaries = [evaluation.summary() for evaluation in found]
    keys = list(dict.fromkeys(key for summary in summaries for key in summary))
    for key in keys:
        if key in ("structures", "S largest difference"):
            continue
        unit = "structures" if key == "collapsed" else "meV"
        rows.append([key, unit, *(number(summary.get(key)) for summary in summaries)])
        if key == "H rms":
            parts = (0.5, 0.95, 0.999)
            spread = [1000 * e.histograms.sizes.quantiles(parts) for e in found]
            for n, part in enumerate(parts):
                rows.append(
                    [f"{100 * part:g} % of |errors| below", "meV", *(number(q[n]) for q in spread)]
                )
    electrons = [_electrons(evaluation) for evaluation in found]
    if any(e is not None for e in electrons):
        rows.append(["electron count MAE", "electrons a cell", *map(number, electrons)])
    differences = [number(summary["S largest difference"]) for summary in summaries]
    rows.append(["largest difference of S", "", *differences])
    return Section(
        "Summary",
        [
            Table(["", ""], [[name, text] for name, text in facts.items()]),
            Table(
                ["", "unit", *(e.model for e in found)],
                rows,
                "H MAE: mean |error| over all matrix elements of all structures, both members of "
                "each Hermitian pair, after the best shift H + μS of each structure, which changes "
                "no physics. Errors of bands: mean over the structures, without collapsed ones, of "
                "the mean over states and k-points, after one common shift of each structure. A "
                "small error of H does not bound the error of bands: look at both.",
            ),
        ],
    )


def _electrons(evaluation: Evaluation) -> float | None:
    errors = [abs(e.energies.electrons) for e in evaluation.with_bands if e.energies is not None]
    return float(np.mean(errors)) if errors else None


def _cost(found: list[Evaluation]) -> Section:
    rows = []
    for evaluation in found:
        cost = evaluation.cost()
        peak = cost["peak_memory"]
        per_atom = cost["seconds_per_atom"]
        rows.append(
            [
                evaluation.model,
                number(cost["seconds"]),
                number(None if per_atom is None else 1000 * per_atom),
                "–" if peak is None else number(1e-9 * peak),
            ]
        )
    return Section(
        "Time and memory",
        [
            Table(
                ["model", "prediction (s)", "an atom (ms)", "peak memory (GB)"],
                rows,
                "Time on the clock of each prediction of H and S, on this machine with its present "
                "load; median over structures, without the first, which also loads tables. Peak "
                "memory is that of the whole process up to the last prediction: libraries, all "
                "models, references and eigenvalue problems are in it.",
            ),
            Pictures(
                [Picture("time", "time of predictions", lambda: plot_cost(found))],
                "Time of each prediction against the number of atoms in the cell.",
            ),
        ],
    )


def _reservations(found: list[Evaluation]) -> list[Section]:
    rows = []
    for evaluation in found:
        said = [(entry.name, text) for entry in evaluation.structures for text in entry.warnings]
        rows += [[name, evaluation.model, text] for name, text in said[:MOST_STRUCTURES]]
        if len(said) > MOST_STRUCTURES:
            rows.append(["…", evaluation.model, f"{len(said) - MOST_STRUCTURES} more"])
    if not rows:
        return []
    return [
        Section(
            "Reservations",
            [Table(["structure", "model", "what the model says of its prediction"], rows)],
        )
    ]
