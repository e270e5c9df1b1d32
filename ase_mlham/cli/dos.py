"""`mlham dos`: density of states, total or projected."""

from __future__ import annotations

import argparse
import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_mlham.cli.output import PICTURES, check_target, write_json, write_text
from ase_mlham.cli.sampling import (
    add_method,
    add_solver,
    add_window,
    announce,
    parse_kpts,
    refuse_collapse,
    solver_options,
    window,
)
from ase_mlham.cli.source import add_source, open_system
from ase_mlham.errors import InputError

if TYPE_CHECKING:
    from ase.spectrum.doscollection import GridDOSCollection

    from ase_mlham.electronic.projections import OrbitalGroups, Projection
    from ase_mlham.electronic.states import EigenStates

__all__ = ["add_arguments", "density", "run"]

TABLES = (".csv", ".json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mlham dos`."""
    parser.epilog = """\
examples:
  mlham dos silicon.cif
  mlham dos silicon.scfout --project shell -k 12,12,12 -o dos.pdf
  mlham dos POSCAR --project element --emin -5 --emax 5 -o dos.csv
  mlham dos iron.cif --model magnetic.mlham --moments Fe=2.2
  mlham dos H.h5 --width 0.1 -o dos.json

The zero of energy is the Fermi level, for an insulator the middle of the gap.
"""
    add_source(parser)
    add_solver(parser)
    add_window(parser, -10.0, 10.0)
    parser.add_argument(
        "--project",
        choices=("element", "shell", "orbital", "atom", "layer"),
        help="split it by elements, angular momenta, single orbitals, atoms, or layers of atoms",
    )
    add_method(parser)
    parser.add_argument(
        "--width",
        type=float,
        metavar="W",
        help="standard deviation of a Gaussian broadening, eV (default: linear tetrahedra)",
    )
    parser.add_argument("--npoints", type=int, metavar="N", help="energies (default: every 20 meV)")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        default="dos.png",
        help=f"picture or table, by its ending: {', '.join((*PICTURES, *TABLES))} "
        "(default: dos.png)",
    )


def run(options: argparse.Namespace) -> int:
    """Compute, write."""
    target = check_target(options.output, (*PICTURES, *TABLES))
    low, high = window(options)
    kpts = parse_kpts(options.kpts)
    if options.width is not None and not options.width > 0:
        raise InputError(f"--width {options.width:g}: a broadening must be positive")
    system = open_system(options)

    from ase_mlham.electronic.collapse import attach
    from ase_mlham.electronic.fermi import fermi_level_of_states, mesh_of
    from ase_mlham.electronic.projections import GroupWeights, Projection, orbital_groups
    from ase_mlham.electronic.states import eigenstates

    points = mesh_of(system, kpts)
    announce(system, len(points), vectors=options.project is not None)
    groups = None if options.project is None else orbital_groups(system, options.project)
    method = Projection.parse(options.method)
    measures = (
        {} if groups is None else {"groups": method.measure(GroupWeights(groups, system.spin))}
    )
    states = eigenstates(system, points, measures=measures, **solver_options(options))
    level = fermi_level_of_states(states)
    collapsed = refuse_collapse(attach(system, states, level), options)
    found = density(
        states,
        level,
        window=(level + low, level + high),
        npoints=options.npoints,
        width=options.width,
        **({} if groups is None else _projection(groups, method)),
    )
    title = Path(options.file).name
    _write(found, level, target, (low, high), f"COLLAPSED: {title}" if collapsed else title)
    print(f"{target}: {len(found)} curves, Fermi level {level:.3f} eV ({system.source})")
    return 0


def _projection(groups: OrbitalGroups, method: Projection) -> dict[str, Any]:
    labels = tuple({**info, "projection": method.value} for info in groups.info)
    return {"projection": "groups", "labels": labels}


def density(
    states: EigenStates, level: float, *, width: float | None = None, **options: Any
) -> GridDOSCollection:
    """Density of states on a mesh: tetrahedra unless a width is given or there is no mesh."""
    from ase_mlham.electronic.dos import dos_of_states
    from ase_mlham.electronic.fermi import DEFAULT_SMEARING

    if width is None and (states.mesh is None or max(states.mesh.size) == 1):
        width = DEFAULT_SMEARING
    return dos_of_states(states, level, width=width, **options)


def _name(info: dict[str, str]) -> str:
    words = [info[key] for key in ("symbol", "index", "orbital", "spin") if key in info]
    if "height" in info:
        words = [f"layer {info['layer']} ({info['height']} Å)", *words]
    return " ".join(words) or "total"


def _write(
    found: GridDOSCollection, level: float, target: Path, shown: tuple[float, float], title: str
) -> None:
    import numpy as np

    low, high = shown
    if target.suffix == ".json":
        write_json(
            target,
            {
                "energies": found.get_energies(),
                "fermi_level": level,
                "units": "energies in eV, densities in electrons per eV and cell",
                "curves": [
                    {
                        "name": _name(curve.info),
                        "info": dict(curve.info),
                        "density": curve.get_weights(),
                    }
                    for curve in found
                ],
            },
        )
    elif target.suffix == ".csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["energy - fermi level (eV)", *(_name(curve.info) for curve in found)])
        columns = [
            np.asarray(found.get_energies()) - level,
            *(curve.get_weights() for curve in found),
        ]
        for row in zip(*columns, strict=True):
            writer.writerow([f"{value:.6g}" for value in row])
        write_text(target, text.getvalue())
    else:
        from ase_mlham.cli.picture import drawing
        from ase_mlham.plots.dos import plot_dos

        with drawing(target) as axes:
            axes.append(plot_dos(found, emin=low, emax=high, title=title))
