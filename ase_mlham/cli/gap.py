"""`mlham gap`: the band gap, where it lies, and the Fermi level."""

from __future__ import annotations

import argparse

from ase_mlham.cli.output import write_json
from ase_mlham.cli.sampling import add_solver, announce, parse_kpts, refuse_collapse, solver_options
from ase_mlham.cli.source import add_source, open_system

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mlham gap`."""
    parser.epilog = """\
examples:
  mlham gap silicon.cif
  mlham gap silicon.scfout -k 12,12,12
  mlham gap POSCAR --model trained.mlham --json gap.json

Edges are searched on the mesh, along the path of the lattice, and in small cells between them.
"""
    add_source(parser)
    add_solver(parser)
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON ('-': print it)")


def run(options: argparse.Namespace) -> int:
    """Print the gap."""
    from ase_mlham.electronic.fermi import mesh_of
    from ase_mlham.electronic.gap import gap

    kpts = parse_kpts(options.kpts)
    system = open_system(options)
    announce(system, len(mesh_of(system, kpts)))
    found = gap(system, kpts, **solver_options(options))
    refuse_collapse(found.warnings, options)
    if options.json:
        write_json(options.json, {**found.to_dict(), "source": system.source})
    if options.json != "-":
        print(f"{options.file} ({system.source})")
        print(found)
        print(f"{'Fermi level':24s}{found.fermi_level:9.3f} eV")
    return 0
