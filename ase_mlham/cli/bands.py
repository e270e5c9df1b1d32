"""`mlham bands`: band structure of a structure, or of a file with its own Hamiltonian."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_mlham.cli.dos import density
from ase_mlham.cli.output import PICTURES, check_target, write_text
from ase_mlham.cli.sampling import (
    add_path,
    add_solver,
    add_window,
    announce,
    parse_kpts,
    path_of,
    refuse_collapse,
    solver_options,
    window,
)
from ase_mlham.cli.source import add_source, open_other, open_system

if TYPE_CHECKING:
    from ase.spectrum.band_structure import BandStructure
    from ase.spectrum.doscollection import GridDOSCollection

    from ase_mlham.core import LCAOSystem
    from ase_mlham.electronic.states import EigenStates

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mlham bands`."""
    parser.epilog = """\
examples:
  mlham bands silicon.cif
  mlham bands silicon.scfout --path GXWKL --emin -6 --emax 6 -o bands.pdf
  mlham bands POSCAR --model trained.mlham --json bands.json
  mlham bands silicon.scfout --compare sige -o comparison.png
  mlham bands iron.cif --model magnetic.mlham --moments Fe=2.2
  mlham bands strained.cif --eps 1e-2 -k 8,8,8

The zero of energy is the Fermi level, for an insulator the middle of the gap. The JSON file is
ASE's own: `ase band-structure bands.json` draws it.
"""
    add_source(parser)
    add_path(parser)
    add_solver(parser)
    add_window(parser, -10.0, 8.0)
    group = parser.add_argument_group("result")
    group.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help=f"picture: {', '.join(PICTURES)} (default: bands.png, or none with --json)",
    )
    group.add_argument("--json", metavar="FILE", help="ASE's band structure ('-': print it)")
    group.add_argument(
        "--compare",
        metavar="OTHER",
        help="draw a second source dashed under the first: another file, or a model",
    )
    group.add_argument("--no-dos", action="store_true", help="without density of states beside it")
    group.add_argument(
        "--zero",
        choices=("fermi", "vbm", "none"),
        default="fermi",
        help="what is zero in the picture: Fermi level, valence band maximum, nothing",
    )
    group.add_argument("--title", metavar="TEXT", help="above the picture (default: FILE)")


def run(options: argparse.Namespace) -> int:
    """Compute, draw, write."""
    low, high = window(options)
    kpts = parse_kpts(options.kpts)
    picture = None
    if options.output or not options.json:
        picture = check_target(options.output or "bands.png", PICTURES)
    if options.json and options.json != "-":
        check_target(options.json, (".json",))
    system = open_system(options)
    other = open_other(options.compare, system, options) if options.compare else None

    states, mesh, level = _states(system, options, kpts)
    bands = _band_structure(states, level)
    if options.json:
        from ase.io.jsonio import encode

        write_text(options.json, encode(bands) + "\n")
    compared = None
    if other is not None:
        from ase_mlham.electronic.comparison import compare_bands

        other_states, _, other_level = _states(other, options, kpts, states.path)
        compared = _band_structure(other_states, other_level)
        if options.json != "-":
            print(f"{system.source} against {other.source}")
            print(compare_bands(states, other_states))
    if picture is not None:
        # a little wider than the picture, because its zero may be another than the Fermi level
        wide = (level + low - 5.0, level + high + 5.0)
        beside = None if options.no_dos else density(mesh, level, window=wide)
        _draw(bands, beside, compared, picture, options, system, other)
    if options.json != "-":
        written = [str(name) for name in (picture, options.json) if name]
        _, n_k, n_bands = bands.energies.shape
        print(
            f"{', '.join(written)}: {n_bands} bands at {n_k} k-points, Fermi level "
            f"{level:.3f} eV ({system.source})"
        )
    return 0


def _states(
    system: LCAOSystem, options: argparse.Namespace, kpts: Any, path: Any = None
) -> tuple[EigenStates, EigenStates, float]:
    """States along the path, states on the mesh, Fermi level."""
    from ase_mlham.electronic.bands import band_states, reference_level
    from ase_mlham.electronic.collapse import attach
    from ase_mlham.electronic.fermi import mesh_of
    from ase_mlham.electronic.states import eigenstates

    solver = solver_options(options)
    if path is not None:
        from ase.dft.kpoints import BandPath

        # the same fractions and labels in a cell that may differ a little
        along = BandPath(
            system.structure.cell, path.kpts, special_points=path.special_points, path=path.path
        )
    else:
        along = path_of(system, options)
    points = mesh_of(system, kpts)
    announce(system, len(points) + len(along.kpts))
    mesh = eigenstates(system, points, **solver)
    states = band_states(system, along, **solver)
    level = reference_level(mesh, states)
    if refuse_collapse(attach(system, states, level), options):
        options.title = f"COLLAPSED: {options.title or Path(options.file).name}"
    return states, mesh, level


def _band_structure(states: EigenStates, level: float) -> BandStructure:
    from ase_mlham.electronic.bands import to_band_structure

    return to_band_structure(states, level)


def _draw(
    bands: BandStructure,
    beside: GridDOSCollection | None,
    compared: BandStructure | None,
    picture: Path,
    options: argparse.Namespace,
    system: LCAOSystem,
    other: LCAOSystem | None,
) -> None:
    from ase_mlham.cli.picture import drawing
    from ase_mlham.plots.bands import plot_bands

    with drawing(picture) as axes:
        drawn = plot_bands(
            bands,
            dos=beside,
            compare=compared,
            reference=options.zero,
            emin=options.emin,
            emax=options.emax,
            labels=(system.source, other.source if other is not None else ""),
            title=options.title if options.title is not None else Path(options.file).name,
        )
        axes.extend(drawn if isinstance(drawn, tuple) else [drawn])
