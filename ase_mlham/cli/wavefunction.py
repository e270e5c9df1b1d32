"""`mlham wavefunction`: a Bloch state on a grid."""

from __future__ import annotations

import argparse

from ase_mlham.cli.fields import add_grid, add_plane, check_outputs, numbers, write_field
from ase_mlham.cli.sampling import add_solver, solver_options
from ase_mlham.cli.source import add_source, open_system
from ase_mlham.errors import InputError

__all__ = ["add_arguments", "run"]

PARTS = ("density", "real", "imaginary", "modulus")
"""As `ase_mlham.real_space.field.PARTS`, which would load NumPy for a page of help."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mlham wavefunction`."""
    parser.epilog = """\
examples:
  mlham wavefunction silicon.scfout --kpt 0,0,0 --band 3 -o state.cube
  mlham wavefunction silicon.cif --kpt 0.5,0.5,0.5 --band 4 --part real -o state.png
  mlham wavefunction Bi2Se3.scfout --band 47 --component up --part real -o up.xsf

Bands are counted from 0. Files hold one real number a point, by default |psi|^2; in cube files in
atomic units.
"""
    add_source(parser)
    add_solver(parser)
    group = parser.add_argument_group("state")
    group.add_argument(
        "--kpt",
        metavar="X,Y,Z",
        default="0,0,0",
        help="k-point, fractions of the reciprocal lattice vectors (default: 0,0,0)",
    )
    group.add_argument("--band", type=int, required=True, metavar="N", help="counted from 0")
    group.add_argument(
        "--channel", type=int, default=0, metavar="S", help="1: spin down of a collinear system"
    )
    group.add_argument(
        "--part",
        choices=PARTS,
        default="density",
        help="what of the complex numbers is written (default: density, |psi|^2)",
    )
    group.add_argument(
        "--component", choices=("up", "down"), help="of spinors; with --part real or imaginary"
    )
    add_grid(parser, "wavefunction.cube")
    add_plane(parser)


def run(options: argparse.Namespace) -> int:
    """Compute, write, print."""
    targets = check_outputs(options, "wavefunction.cube")
    kpt = numbers(options.kpt, "--kpt")
    if options.kpts is not None:
        raise InputError("-k is a mesh, and a state has one k-point: give --kpt X,Y,Z")
    system = open_system(options)

    from ase_mlham.real_space import wave_function

    field = wave_function(
        system,
        kpt,
        options.band,
        options.channel,
        spacing=options.spacing,
        **solver_options(options),
    )
    name = field.name
    if options.component:
        field = field.component(options.component)
    if field.components and options.part in ("real", "imaginary"):
        raise InputError(
            f"--part {options.part}: these states have two components; give --component up or down"
        )
    write_field(field, targets, options, options.part)
    n1, n2, n3 = field.grid.shape
    print(
        f"{', '.join(str(target) for target in targets)}: {name}, {options.part}, on "
        f"{n1} x {n2} x {n3} points ({system.source})"
    )
    return 0
