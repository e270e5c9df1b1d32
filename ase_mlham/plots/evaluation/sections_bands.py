"""Sections of the report of an evaluation that are about bands, electrons and ghost states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ase_mlham.plots.document import Picture, Pictures, Section, Table, number
from ase_mlham.plots.evaluation.bands import plot_electron_errors, plot_energy_errors, plot_gaps

if TYPE_CHECKING:
    from ase_mlham.learning.evaluation import Evaluation

__all__: list[str] = []

MOST_STRUCTURES = 15
"""Structures with ghost states that are listed, of each model."""

_GHOSTS = (
    "An error of H in a combination of orbitals that nearly cancel can pull a state from far above "
    "down among the bands, where it looks like one of them. Such a state is known by the sum of "
    "its squared coefficients: 1 to 3 is normal, more than 8 is not."
)


def band_sections(found: list[Evaluation]) -> list[Section]:
    if not any(entry.bands is not None for entry in found[0].structures):
        return []
    compared = sum(entry.bands is not None for entry in found[0].structures)
    left = len(found[0].structures) - compared
    text = (
        "Eigenvalues of both Hamiltonians are compared state by state, in order of energy, on a "
        "regular mesh of k-points, after one common shift of each structure: the median of the "
        "differences of all states up to 3 eV above the gap or the Fermi level."
    )
    if left:
        text += f" {left} structures have too many orbitals; their bands were not computed."
    rows = []
    windows = next((list(e.bands.windows) for e in found[0].with_bands if e.bands), [])
    for name in ["occupied", *windows]:
        for quantity in ("mean", "max"):
            cells = []
            for evaluation in found:
                deviations = [
                    e.bands.occupied if name == "occupied" else e.bands.windows[name]
                    for e in evaluation.with_bands
                    if e.bands is not None
                ]
                values = [1000 * getattr(d, quantity) for d in deviations if d.count]
                chosen = (np.mean if quantity == "mean" else np.max)(values) if values else None
                cells.append(number(chosen))
            states = "filled states" if name == "occupied" else f"states within {name} of the gap"
            kind = "MAE" if quantity == "mean" else "largest error"
            rows.append([f"{states}, {kind}", *cells])
    return [
        Section(
            "Bands",
            [
                text,
                *(
                    [
                        Table(
                            ["", *(e.model for e in found)],
                            rows,
                            "meV; MAE: mean over structures. Collapsed structures are left out.",
                        )
                    ]
                    if windows
                    else []
                ),
                Pictures(
                    [
                        Picture(
                            "energies",
                            "errors of eigenvalues by distance to the Fermi level",
                            lambda: plot_energy_errors(found),
                        )
                    ],
                    "MAE of the eigenvalues whose reference energy lies in a bin of 1 eV, all "
                    "states of all structures and k-points counting the same, and dotted the "
                    "largest error. The zero is the Fermi level of the reference, for an insulator "
                    "the middle of its gap. Collapsed structures are left out.",
                ),
            ],
        ),
        Section(
            "Gaps and electrons",
            [
                Pictures(
                    [
                        Picture(
                            "gaps",
                            "predicted against reference gaps",
                            lambda: plot_gaps(found),
                        ),
                        Picture(
                            "electrons",
                            "errors of the electron count",
                            lambda: plot_electron_errors(found),
                        ),
                    ],
                    "Left: gaps on the k-points of the mesh, one point a structure, zero for a "
                    "metal. Right: error of the electron count. The predicted bands, after the "
                    "common shift, are filled up to the Fermi level of the reference; drawn is the "
                    "number of electrons in them minus that in the reference's own bands at the "
                    "same level, which is the true number, in one cell. Zero means that no band "
                    "has moved across the level. Counted by linear tetrahedra, at a single k-point "
                    "with a Fermi function of 0.1 eV. Crosses: collapsed structures.",
                ),
            ],
        ),
        _ghosts(found),
    ]


def _ghosts(found: list[Evaluation]) -> Section:
    rows, counts = [], []
    for evaluation in found:
        known = [entry for entry in evaluation.structures if entry.collapse is not None]
        collapsed = sum(entry.collapsed for entry in known)
        doubtful = [entry for entry in known if entry.collapse and entry.collapse.suspicious]
        amplification = max((e.collapse.amplification for e in known if e.collapse), default=None)
        counts.append(
            [
                evaluation.model,
                str(len(known)),
                str(collapsed),
                str(len(doubtful) - collapsed),
                number(amplification),
            ]
        )
        rows += [
            [
                entry.name,
                entry.formula,
                evaluation.model,
                str(entry.collapse.n_filled),
                str(entry.collapse.n_above),
                number(entry.collapse.amplification),
            ]
            for entry in doubtful[:MOST_STRUCTURES]
            if entry.collapse is not None
        ]
    blocks: list[Any] = [
        _GHOSTS,
        Table(
            ["model", "structures", "collapsed", "otherwise doubtful", "largest sum of squares"],
            counts,
            "Collapsed: a ghost state is filled, or a state lies below every energy that a valence "
            "state can have. Otherwise doubtful: ghost states lie only within 1 eV above the "
            "lowest empty state.",
        ),
    ]
    if rows:
        blocks.append(
            Table(
                [
                    "structure",
                    "formula",
                    "model",
                    "filled ghosts",
                    "empty ghosts",
                    "sum of squares",
                ],
                rows,
                f"At most {MOST_STRUCTURES} structures of each model; ghosts at the worst k-point.",
            )
        )
    return Section("Ghost states", blocks)
