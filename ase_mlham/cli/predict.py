"""`mlham predict`: H and S of a structure, predicted and written."""

from __future__ import annotations

import argparse

from ase_mlham.cli.moments import describe_spin, is_magnetic, moments_table
from ase_mlham.cli.output import check_target
from ase_mlham.cli.source import add_source, open_system, report

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mlham predict`."""
    parser.epilog = """\
examples:
  mlham predict silicon.cif -o H.h5
  mlham predict POSCAR --model trained.mlham -o H.h5 --force
  mlham predict iron.cif --model magnetic.mlham --moments Fe=2.2 -o H.h5

Every other command reads the file that is written: mlham bands H.h5
"""
    add_source(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="file to write (*.h5)"
    )
    parser.add_argument("--force", action="store_true", help="replace the output if it exists")


def run(options: argparse.Namespace) -> int:
    """Predict, write, say what was written."""
    from ase_mlham.formats import write_system
    from ase_mlham.machine import size

    target = check_target(options.output, overwrite=options.force)
    system = open_system(options, force_model=True)
    report(system)
    write_system(system, target)
    pattern = system.hamiltonian.pattern
    print(
        f"{target}: {system.structure.n_atoms} atoms, {system.n_orbitals} orbitals, "
        f"{pattern.n_blocks} blocks ({size(system.hamiltonian.nbytes)}) from {system.source}"
    )
    print(f"spin: {describe_spin(system)}")
    moments = system.structure.moments
    if moments is not None and is_magnetic(system):
        print("predicted for these moments (Bohr magnetons); those of its states: mlham gap")
        print(moments_table(system.structure, {"given": moments}))
    return 0
