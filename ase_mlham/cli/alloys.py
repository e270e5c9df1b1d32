"""`mlham generate --alloy`: what is mixed on which sites, as words of the command line."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

from ase_mlham.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

    from ase_mlham.engines.alloys import AlloySet, Mixture

__all__ = [
    "add_alloys",
    "describe_alloys",
    "draw_alloys",
    "parse_mixture",
    "refuse_without_alloy",
    "write_images",
]

# with their defaults; on the command line None, so that their use without --alloy is noticed
DEFAULTS = {"shells": 2, "patience": 200, "count": 1000, "seed": 0, "rattle": 0.0}
ONLY_WITH_ALLOY = ("repeat", "vegard", "structures_only", *DEFAULTS)


def add_alloys(parser: argparse.ArgumentParser) -> None:
    """`--alloy` and what goes with it."""
    group = parser.add_argument_group(
        "random alloys",
        "FILE holds one parent, whose sites are occupied at random. A structure is kept if it\n"
        "has an atom whose surroundings (elements, distances, angles) were in none before.",
    )
    group.add_argument(
        "--alloy",
        action="append",
        default=[],
        metavar="EL,EL",
        help="elements that share all sites on which FILE has one of them, of any composition "
        "(Si,Ge) or of one (Si=0.75,Ge=0.25); once for each sublattice",
    )
    group.add_argument(
        "--repeat", metavar="N,N,N", help="repeat the cell of FILE along its vectors first"
    )
    group.add_argument("--count", type=int, metavar="N", help="structures at most (default: 1000)")
    group.add_argument(
        "--patience",
        type=int,
        metavar="N",
        help="end after N draws in a row without new surroundings (default: 200)",
    )
    group.add_argument(
        "--shells",
        type=int,
        metavar="N",
        help="shells of neighbours that are an atom's surroundings (default: 2)",
    )
    group.add_argument(
        "--vegard",
        metavar="EL=A",
        help="scale cells by the mean lattice constant (Si=5.431,Ge=5.658; only ratios matter); "
        "default: all have that of FILE",
    )
    group.add_argument(
        "--rattle",
        type=float,
        metavar="D",
        help="standard deviation of random displacements along each axis, Å (default: 0)",
    )
    group.add_argument(
        "--seed", type=int, metavar="N", help="another seed, other alloys (default: 0)"
    )
    group.add_argument(
        "--structures-only",
        metavar="FILE",
        help="write the structures (.extxyz or another format of ASE) and compute nothing",
    )


def refuse_without_alloy(options: argparse.Namespace) -> None:
    """Options that mean nothing for structures that are computed as they are.

    Raises
    ------
    InputError
        One of them is given, and --alloy is not.
    """
    for name in ONLY_WITH_ALLOY:
        if not options.alloy and getattr(options, name) is not None:
            raise InputError(
                f"--{name.replace('_', '-')} goes with --alloy, which says what is mixed; without "
                "it the structures of FILE are computed as they are"
            )


def parse_mixture(word: str) -> Mixture:
    """Elements with or without fractions: "Si,Ge" or "Si=0.75,Ge=0.25".

    Raises
    ------
    InputError
        Some have a fraction and others not, or a fraction is no number.
    """
    from ase_mlham.engines.alloys import Mixture

    pairs = [part.partition("=") for part in word.split(",")]
    elements = tuple(name.strip() for name, _, _ in pairs)
    if not any(sign for _, sign, _ in pairs):
        return Mixture(elements)
    fractions = tuple(_number(f"--alloy {word}", text) for _, _, text in pairs)
    return Mixture(elements, fractions)


def _lengths(word: str) -> dict[str, float]:
    """Lattice constants from "Si=5.431,Ge=5.658"."""
    pairs = [part.partition("=") for part in word.split(",")]
    return {name.strip(): _number(f"--vegard {word}", text) for name, _, text in pairs}


def _number(where: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise InputError(
            f"{where}: {text!r} is no number; expected one for each element, such as Si=..,Ge=.."
        )
    return value


def _repeated(atoms: Atoms, word: str) -> Atoms:
    try:
        repeat = tuple(int(part) for part in word.split(","))
    except ValueError:
        repeat = ()
    if len(repeat) != 3 or min(repeat) < 1:
        raise InputError(f"--repeat {word}: expected three whole numbers, such as 2,2,2")
    for axis, n in enumerate(repeat):
        if n > 1 and not atoms.pbc[axis]:
            raise InputError(f"--repeat {word}: FILE is not periodic along {'abc'[axis]}")
    return atoms.repeat(repeat)


def draw_alloys(atoms: Atoms, options: argparse.Namespace) -> AlloySet:
    """The alloys that the options ask for, on the sites of `atoms`."""
    from ase_mlham.engines.alloys import random_alloys

    mixtures = [parse_mixture(word) for word in options.alloy]
    chosen = {name: _chosen(options, name) for name in DEFAULTS}
    return random_alloys(
        _repeated(atoms, options.repeat) if options.repeat else atoms,
        mixtures,
        lengths=_lengths(options.vegard) if options.vegard else None,
        **chosen,
    )


def _chosen(options: argparse.Namespace, name: str) -> Any:
    value = getattr(options, name)
    return DEFAULTS[name] if value is None else value


def describe_alloys(found: AlloySet, options: argparse.Namespace) -> str:
    """What the search found, in two lines."""
    shells = _chosen(options, "shells")
    reason = (
        f"the last {_chosen(options, 'patience')} brought nothing new"
        if found.exhausted
        else "there may be more: raise --count"
    )
    return (
        f"{len(found.structures)} alloys with {found.n_environments} different surroundings "
        f"({shells} shell{'s' if shells > 1 else ''} of neighbours)\n"
        f"{found.n_draws} drawn, {found.n_rejected} left out because they had nothing new; {reason}"
    )


def write_images(structures: list[Atoms], path: str) -> None:
    """Write structures in a format that ASE takes from the name.

    Raises
    ------
    InputError
        ASE does not know the format, or it cannot hold several structures.
    """
    from ase.io import write
    from ase.io.formats import UnknownFileTypeError

    try:
        write(path, structures)
    except (UnknownFileTypeError, ValueError, OSError) as error:
        raise InputError(
            f"{path}: ASE cannot write {len(structures)} structures there ({error}); use a name "
            "that ends in .extxyz"
        ) from error
