"""`mlham ldos`: where the states of some energies are."""

from __future__ import annotations

import argparse

from ase_mlham.cli.fields import (
    add_grid,
    add_plane,
    add_smearing,
    check_outputs,
    numbers,
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
    """Arguments of `mlham ldos`."""
    parser.epilog = """\
examples:
  mlham ldos silicon.scfout --window=-1,0 -o top_of_valence.cube
  mlham ldos MoS2.scfout --energy 1.2 --width 0.05 -o ldos.png

Energies are eV from the Fermi level, for an insulator the middle of the gap.
"""
    add_source(parser)
    add_solver(parser)
    group = parser.add_argument_group("energies")
    group.add_argument(
        "--window", metavar="E1,E2", help="lowest and highest energy; write --window=-1,0"
    )
    group.add_argument("--energy", type=float, metavar="E", help="instead: one energy, per eV")
    group.add_argument(
        "--width",
        type=float,
        metavar="W",
        help="standard deviation of the Gaussian at one energy, eV (default: 0.1)",
    )
    add_smearing(parser)
    add_grid(parser, "ldos.cube")
    add_plane(parser)


def run(options: argparse.Namespace) -> int:
    """Compute, write, print."""
    targets = check_outputs(options, "ldos.cube")
    if (options.window is None) == (options.energy is None):
        raise InputError("give energies: --window E1,E2 or --energy E")
    window: tuple[float, float] | float
    if options.window is not None:
        low, high = numbers(options.window, "--window", 2)
        window = (low, high)
    else:
        window = options.energy
    kpts = parse_kpts(options.kpts)
    occupying = smearing_options(options)
    system = open_system(options)

    from ase_mlham.core import SpinKind
    from ase_mlham.electronic.fermi import mesh_of
    from ase_mlham.real_space.densities import local_dos_of
    from ase_mlham.real_space.density_matrices import energy_density_matrix

    points = mesh_of(system, kpts, reduce=system.spin is not SpinKind.SPINOR)
    announce(system, len(points), vectors=True)
    found = energy_density_matrix(
        system, window, points, width=options.width, **occupying, **solver_options(options)
    )
    refuse_collapsed(system, found.fermi_level, options)
    field = local_dos_of(system, found, window, spacing=options.spacing)
    write_field(field, targets, options)
    n1, n2, n3 = field.grid.shape
    print(
        f"{', '.join(str(target) for target in targets)}: {field.name} on {n1} x {n2} x {n3} "
        f"points ({system.source})\n"
        f"{float(field.exact or 0.0):.4f} states, Fermi level {found.fermi_level:.3f} eV"
    )
    return 0
