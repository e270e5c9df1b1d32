"""`mlham density`: charge, spin and difference density on a grid."""

from __future__ import annotations

import argparse

from ase_mlham.cli.fields import (
    add_grid,
    add_plane,
    add_smearing,
    check_outputs,
    smearing_options,
    write_field,
)
from ase_mlham.cli.sampling import (
    add_solver,
    announce,
    parse_kpts,
    refuse_collapsed,
    solver_options,
)
from ase_mlham.cli.source import add_source, open_system
from ase_mlham.errors import InputError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mlham density`."""
    parser.epilog = """\
examples:
  mlham density silicon.cif -o density.cube
  mlham density silicon.scfout --difference -o bonds.png
  mlham density iron.scfout -k 9,9,9 --spin -o spin.xsf -o spin.png --plane 1,1,0
  mlham density water.xyz --molecule --model trained.mlham --atoms 0,1,2 -o water.png

Values of a cube file are in atomic units (electrons per cubic bohr), those of an XSF file and of
pictures per Å^3.
"""
    add_source(parser)
    add_solver(parser)
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument(
        "--spin",
        nargs="?",
        const="z",
        choices=("x", "y", "z"),
        metavar="AXIS",
        help="density of spin moments, of spinors along AXIS (default: z)",
    )
    kinds.add_argument(
        "--difference", action="store_true", help="minus the density of superposed free atoms"
    )
    add_smearing(parser)
    add_grid(parser, "density.cube")
    add_plane(parser)


def run(options: argparse.Namespace) -> int:
    """Compute, write, print."""
    targets = check_outputs(options, "density.cube")
    kpts = parse_kpts(options.kpts)
    occupying = smearing_options(options)
    system = open_system(options)

    from ase_mlham.core import SpinKind
    from ase_mlham.electronic.fermi import mesh_of
    from ase_mlham.real_space import density_matrix
    from ase_mlham.real_space.densities import charge_of, check_has_spin, difference_of, spin_of

    if options.spin:
        check_has_spin(system)
        if system.spin is SpinKind.COLLINEAR and options.spin != "z":
            raise InputError("--spin: the moments of a collinear system lie along z")
    points = mesh_of(system, kpts, reduce=system.spin is not SpinKind.SPINOR)
    announce(system, len(points), vectors=True)
    found = density_matrix(system, points, **occupying, **solver_options(options))
    refuse_collapsed(system, found.fermi_level, options)
    if options.spin:
        field = spin_of(system, found, spacing=options.spacing)
        if field.components:
            field = field.component(options.spin)
    elif options.difference:
        field = difference_of(system, found, spacing=options.spacing)
    else:
        field = charge_of(system, found, spacing=options.spacing)
    write_field(field, targets, options)
    n1, n2, n3 = field.grid.shape
    print(
        f"{', '.join(str(target) for target in targets)}: {field.name} on {n1} x {n2} x {n3} "
        f"points ({system.source})\n"
        f"integral {_plain(field.integral())}, exact {_plain(float(field.exact or 0.0))}"
    )
    return 0


def _plain(value: float) -> str:
    """Four decimals; -0.0000 is 0."""
    return f"{round(value, 4) + 0.0:.4f}"
