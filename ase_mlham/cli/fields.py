"""What commands that draw in space have in common: grid, plane of a picture, files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_mlham.cli.output import PICTURES, check_target
from ase_mlham.errors import InputError

if TYPE_CHECKING:
    from ase_mlham.real_space import Field

__all__ = [
    "add_grid",
    "add_plane",
    "add_smearing",
    "check_outputs",
    "numbers",
    "smearing_options",
    "write_field",
]

VOLUMES = (".cube", ".xsf")


def add_grid(parser: argparse.ArgumentParser, default: str) -> None:
    """Spacing and names of the files."""
    group = parser.add_argument_group("result")
    group.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        action="append",
        help=f"volumetric data ({', '.join(VOLUMES)}), or a picture of a slice "
        f"({', '.join(PICTURES)}); may be given several times (default: {default})",
    )
    group.add_argument(
        "--spacing",
        type=float,
        default=0.2,
        metavar="H",
        help="largest distance of points of the grid, Å (default: 0.2)",
    )


def add_smearing(parser: argparse.ArgumentParser) -> None:
    """Width of the occupations."""
    parser.add_argument(
        "--smearing",
        type=float,
        metavar="W",
        help="width of the Fermi function, eV (default: none for an insulator, 0.1 for a metal)",
    )


def smearing_options(options: argparse.Namespace) -> dict[str, Any]:
    """Keywords of the functions of `real_space`."""
    if options.smearing is not None and not options.smearing > 0:
        raise InputError("--smearing must be positive; leave it out for sharp occupations")
    return {"smearing": options.smearing}


def add_plane(parser: argparse.ArgumentParser) -> None:
    """The plane of a picture."""
    group = parser.add_argument_group("slice of a picture")
    group.add_argument(
        "--plane",
        metavar="H,K,L",
        help="lattice plane of the cell (default: that of the atoms of a molecule or layer, 1,-1,0 "
        "of a crystal)",
    )
    group.add_argument(
        "--atoms", metavar="I,J,K", help="instead: the plane through three atoms, counted from 0"
    )
    group.add_argument(
        "--through",
        metavar="X",
        help="middle of the picture: an atom, counted from 0, or X,Y,Z in Å",
    )
    group.add_argument("--size", type=float, metavar="L", help="edge of the picture, Å")
    group.add_argument(
        "--limit",
        type=float,
        metavar="V",
        help="value at the end of the colours (default: the largest away from atoms)",
    )


def numbers(text: str, option: str, count: int = 3) -> list[float]:
    """Numbers with commas between them.

    Raises
    ------
    InputError
        Not so many, or not numbers.
    """
    try:
        found = [float(word) for word in text.split(",")]
    except ValueError:
        found = []
    if len(found) != count:
        raise InputError(f"{option} {text}: give {count} numbers with commas between them")
    return found


def check_outputs(options: argparse.Namespace, default: str) -> list[Path]:
    """Names of the files, refused before anything is computed if they cannot be written."""
    return [check_target(name, (*VOLUMES, *PICTURES)) for name in options.output or [default]]


def write_field(
    field: Field, targets: list[Path], options: argparse.Namespace, part: str = ""
) -> None:
    """Write a field of one component, or the density of a spinor, to all files.

    Parameters
    ----------
    field : Field
        What is written.
    targets : list of Path
        From `check_outputs`.
    options : argparse.Namespace
        With the arguments of `add_plane`.
    part : str
        Of a wave function, as for `Field.write`.
    """
    for target in targets:
        if target.suffix.lower() in VOLUMES:
            field.write(target, part=part)
        else:
            _draw(field, target, options, part)


def _draw(field: Field, target: Path, options: argparse.Namespace, part: str) -> None:
    import numpy as np

    from ase_mlham.cli.picture import drawing
    from ase_mlham.plots.space import plot_slice
    from ase_mlham.real_space.slices import plane_normal, slice_field

    positions = field.structure.positions
    normal = through = None
    if options.plane and options.atoms:
        raise InputError("give --plane or --atoms, not both")
    if options.plane:
        normal = plane_normal(field.structure, numbers(options.plane, "--plane"))
        through = positions[0]
    if options.atoms:
        three = positions[_atoms(numbers(options.atoms, "--atoms"), len(positions))]
        normal = np.cross(three[1] - three[0], three[2] - three[0])
        if np.linalg.norm(normal) < 1e-6:
            raise InputError(f"--atoms {options.atoms}: they lie on one line, and give no plane")
        through = three.mean(axis=0)
    if options.through:
        if "," in options.through:
            through = np.array(numbers(options.through, "--through"))
        else:
            chosen = _atoms(numbers(options.through, "--through", 1), len(positions))
            through = positions[chosen[0]]
    found = slice_field(field, normal, through, size=options.size, part=part or "density")
    with drawing(target) as axes:
        axes.append(plot_slice(found, limit=options.limit))


def _atoms(found: list[float], n_atoms: int) -> list[int]:
    chosen = [int(x) for x in found]
    if chosen != found or min(chosen) < 0 or max(chosen) >= n_atoms:
        raise InputError(f"atoms {found}: there are {n_atoms}, counted from 0")
    return chosen
