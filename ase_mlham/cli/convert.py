"""`mlham convert`: a DFT output as a native file."""

from __future__ import annotations

import argparse

from ase_mlham.cli.output import check_target
from ase_mlham.cli.source import read_file, report

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mlham convert`."""
    parser.epilog = """\
examples:
  mlham convert silicon.scfout silicon.h5
  mlham convert silicon.scfout.zst silicon.h5 --force
"""
    parser.add_argument("file", metavar="FILE", help="a file with a Hamiltonian")
    parser.add_argument("output", metavar="OUTPUT", help="file to write; its name says the format")
    parser.add_argument("--force", action="store_true", help="replace OUTPUT if it exists")


def run(options: argparse.Namespace) -> int:
    """Read, write."""
    from ase_mlham.formats import write_system

    target = check_target(options.output, overwrite=options.force)
    system = read_file(options.file)
    report(system)
    write_system(system, target)
    print(f"{target}: {system.structure.n_atoms} atoms, {system.n_orbitals} orbitals")
    return 0
