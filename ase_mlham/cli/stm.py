"""`mlham stm`: a picture of a surface as a scanning tunnelling microscope sees it."""

from __future__ import annotations

import argparse

from ase_mlham.cli.fields import add_smearing, smearing_options
from ase_mlham.cli.output import PICTURES, check_target, write_json
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
    """Arguments of `mlham stm`."""
    parser.epilog = """\
examples:
  mlham stm slab.cif --bias=-1 -o stm.png
  mlham stm MoS2.scfout --bias 1.5 --height 2.5 -o stm.png
  mlham stm graphene.scfout -k 18,18,1 --bias=-0.5 --current 1e-4 --json stm.json

After Tersoff and Hamann: the density of the states between the Fermi level and the bias. Orbitals
of a basis end a few Å above the surface, and so does what can be seen.
"""
    add_source(parser)
    add_solver(parser)
    group = parser.add_argument_group("microscope")
    group.add_argument(
        "--bias",
        type=float,
        required=True,
        metavar="V",
        help="volts; negative shows occupied states",
    )
    group.add_argument(
        "--height", type=float, metavar="Z", help="constant: Å above the highest atom (default: 2)"
    )
    group.add_argument(
        "--current", type=float, metavar="N", help="constant instead: density of states, Å^-3"
    )
    group.add_argument(
        "--spacing", type=float, default=0.2, metavar="H", help="of the points, Å (default: 0.2)"
    )
    add_smearing(parser)
    group = parser.add_argument_group("result")
    group.add_argument(
        "-o", "--output", metavar="FILE", help=f"picture: {', '.join(PICTURES)} (default: stm.png)"
    )
    group.add_argument("--json", metavar="FILE", help="the numbers ('-': print them)")


def run(options: argparse.Namespace) -> int:
    """Compute, draw, print."""
    picture = None
    if options.output or not options.json:
        picture = check_target(options.output or "stm.png", PICTURES)
    if options.json not in (None, "-"):
        check_target(options.json, (".json",))
    if options.height is not None and options.current is not None:
        raise InputError("give --height or --current, not both")
    kpts = parse_kpts(options.kpts)
    occupying = smearing_options(options)
    system = open_system(options)

    from ase_mlham.core import SpinKind
    from ase_mlham.electronic.fermi import mesh_of
    from ase_mlham.real_space.density_matrices import energy_density_matrix
    from ase_mlham.real_space.stm import bias_window, stm_of

    points = mesh_of(system, kpts, reduce=system.spin is not SpinKind.SPINOR)
    announce(system, len(points), vectors=True)
    found = energy_density_matrix(
        system, bias_window(options.bias), points, **occupying, **solver_options(options)
    )
    refuse_collapsed(system, found.fermi_level, options)
    image = stm_of(
        system,
        found,
        options.bias,
        height=options.height,
        current=options.current,
        spacing=options.spacing,
    )
    if options.json:
        write_json(options.json, image.to_dict())
    if picture is not None:
        from ase_mlham.cli.picture import drawing
        from ase_mlham.plots.space import plot_stm

        with drawing(picture) as axes:
            axes.append(plot_stm(image))
    if options.json != "-":
        import numpy as np

        written = ", ".join(str(name) for name in (picture, options.json) if name)
        what = "density, Å^-3" if image.mode == "height" else "height, Å"
        low, high = np.nanmin(image.values), np.nanmax(image.values)
        print(
            f"{written}: bias {image.bias:g} V, constant {image.mode} {image.setting:g}; {what}: "
            f"{low:.3g} to {high:.3g} ({system.source})"
        )
    return 0
