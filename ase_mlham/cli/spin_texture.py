"""`mlham spin-texture`: spin of states along a path, on a plane, or on lines of one energy."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_mlham.cli.output import PICTURES, check_target, write_json
from ase_mlham.cli.sampling import (
    add_path,
    add_solver,
    add_window,
    announce,
    parse_direction,
    parse_kpts,
    path_of,
    refuse_collapse,
    solver_options,
    window,
)
from ase_mlham.cli.source import add_source, open_system
from ase_mlham.errors import InputError

if TYPE_CHECKING:
    from ase_mlham.core import LCAOSystem
    from ase_mlham.electronic.k_plane import KPlane

__all__ = ["add_arguments", "run"]

NEAR_LEVEL = 2
"""Bands below and above the Fermi level that a plane shows if none are named."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mlham spin-texture`."""
    parser.epilog = """\
examples:
  mlham spin-texture GaAs.scfout --path LGX --axis z --emin -3 --emax 4
  mlham spin-texture GaAs.scfout --plane z --extent 0.3 --bands 26-29
  mlham spin-texture GaAs.scfout --energy 1.5 --plane z --extent 0.5 -o contour.pdf
  mlham spin-texture surface.scfout --plane --center M --axis tangential --json texture.json

Without --plane and --energy: bands along a path in the colours of one component of the spin. With
--plane: arrows and colours of some bands on a plane of k-points. With --energy: the lines of this
energy in the plane, with the spin on them. Bands count from 0, energies from the Fermi level.
Degenerate states have no direction of their own; they are grey, and --tolerance says what counts
as degenerate.
"""
    add_source(parser)
    group = parser.add_argument_group("plane")
    group.add_argument(
        "--plane",
        nargs="?",
        const="",
        metavar="NORMAL",
        help="a plane of k-points, normal to x, y, z (Cartesian), a, b, c (lattice vectors) or a "
        "vector x,y,z; without a value that of a slab, or of the first two reciprocal vectors",
    )
    group.add_argument(
        "--center",
        metavar="K",
        default="G",
        help="middle of the plane: special point, or fractions k1,k2,k3 (default: G)",
    )
    group.add_argument(
        "--vectors",
        metavar="K1,K2",
        help="two k-vectors in the plane in place of its normal: 1,0,0,0,1,0",
    )
    group.add_argument(
        "--extent",
        type=float,
        metavar="R",
        help="half width in 1/Å (default: half the shortest reciprocal vector)",
    )
    group.add_argument(
        "--size", type=int, metavar="N", default=41, help="points along a side (default: 41)"
    )
    group.add_argument(
        "--energy",
        type=float,
        metavar="E",
        help="lines of this energy in the plane, eV from the Fermi level",
    )
    group.add_argument(
        "--bands",
        metavar="N,M",
        help="which bands, 26,27 or 26-29 (default: on a plane two below and two above the Fermi "
        "level, on lines and paths all)",
    )
    spin = parser.add_argument_group("spin")
    spin.add_argument(
        "--axis",
        metavar="A",
        help="component in the colours: x, y, z or a vector x,y,z; in a plane also normal, radial "
        "(away from the centre), tangential, u, v (default: z; in a plane normal)",
    )
    spin.add_argument(
        "--tolerance",
        type=float,
        metavar="D",
        default=1e-4,
        help="states within so many eV are degenerate (default: 1e-4; 1e-3 hides splittings that "
        "are numerical noise of a DFT code)",
    )
    add_path(parser)
    add_solver(parser)
    add_window(parser, -6.0, 6.0)
    result = parser.add_argument_group("result")
    result.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help=f"picture: {', '.join(PICTURES)} (default: spin-texture.png, or none with --json)",
    )
    result.add_argument("--json", metavar="FILE", help="energies and spins as JSON ('-': print)")
    result.add_argument("--title", metavar="TEXT", help="above the picture (default: FILE)")


def run(options: argparse.Namespace) -> int:
    """Compute, draw, write."""
    flat = options.plane is not None or options.energy is not None or options.vectors is not None
    if flat and options.path:
        raise InputError("give --path, or a plane (--plane, --energy, --vectors), not both")
    if options.tolerance < 0:
        raise InputError(f"--tolerance {options.tolerance:g}: give an energy in eV, 0 for none")
    options.numbers = parse_bands(options.bands)
    options.direction = parse_direction(options.axis or ("normal" if flat else "z"))
    options.picture = None
    if options.output or not options.json:
        options.picture = check_target(options.output or "spin-texture.png", PICTURES)
    if options.json not in (None, "-"):
        check_target(options.json, (".json",))
    system = open_system(options)
    options.heading = options.title if options.title is not None else Path(options.file).name
    found, text = (_in_plane if flat else _along_path)(system, options)
    if options.json:
        write_json(options.json, {**found.to_dict(), "source": system.source})
    if options.json != "-":
        written = [str(name) for name in (options.picture, options.json) if name]
        print(f"{', '.join(written)}: {text} ({system.source})")
    return 0


def parse_bands(text: str | None) -> list[int] | None:
    """Numbers of bands from "26,27" or "26-29".

    Raises
    ------
    InputError
        It is not of this form.
    """
    if text is None:
        return None
    numbers: list[int] = []
    try:
        for word in text.split(","):
            first, dash, last = word.partition("-")
            numbers += range(int(first), int(last if dash else first) + 1)
    except ValueError:
        numbers = []
    if not numbers:
        raise InputError(f"--bands {text}: give numbers from 0 such as 26,27 or 26-29")
    return numbers


def _along_path(system: LCAOSystem, options: argparse.Namespace) -> tuple[Any, str]:
    """Bands in colours."""
    from ase_mlham.cli.picture import drawing
    from ase_mlham.electronic.fermi import mesh_of
    from ase_mlham.electronic.spin_bands import spin_bands

    low, high = window(options)
    kpts = parse_kpts(options.kpts)
    if options.numbers is not None:
        raise InputError("--bands is for planes and lines; on a path use --emin and --emax")
    along = path_of(system, options)
    announce(system, len(along.kpts) + len(mesh_of(system, kpts)), vectors=True)
    found = spin_bands(
        system, along, kpts=kpts, tolerance=options.tolerance, **solver_options(options)
    )
    refuse_collapse(found.warnings, options)
    if options.picture is not None:
        from ase_mlham.plots.spin_bands import plot_spin_bands

        with drawing(options.picture) as axes:
            axes.append(
                plot_spin_bands(
                    found, options.direction, emin=low, emax=high, title=options.heading
                )
            )
    level = found.bands.reference
    _, n_k, n_bands = found.bands.energies.shape
    grey = 100 * found.degenerate.mean()
    return found, (
        f"{n_bands} bands at {n_k} k-points, {grey:.0f} % of the states degenerate, Fermi level "
        f"{level:.3f} eV"
    )


def _in_plane(system: LCAOSystem, options: argparse.Namespace) -> tuple[Any, str]:
    """Arrows and colours on a plane, or on lines in it."""
    from ase_mlham.cli.picture import drawing
    from ase_mlham.electronic.spin_plane import spin_contour, spin_plane

    plane = _plane(system, options)
    announce(system, len(plane.kpts), vectors=True)
    level = _level(system, options)
    common = {"tolerance": options.tolerance, **solver_options(options)}
    if options.energy is not None:
        contour = spin_contour(system, level + options.energy, plane, options.numbers, **common)
        if options.picture is not None:
            from ase_mlham.plots.spin_plane import plot_spin_contour

            with drawing(options.picture) as axes:
                axes.append(
                    plot_spin_contour(
                        contour, axis=options.direction, zero=level, title=options.heading
                    )
                )
        bands = sorted({line.band for line in contour.lines})
        return contour, (
            f"{len(contour.lines)} lines of bands {', '.join(map(str, bands)) or '-'} at "
            f"{options.energy:+.3f} eV from the Fermi level {level:.3f} eV, within "
            f"{contour.residual:.0e} eV"
        )
    numbers = options.numbers or _near_level(system, plane, level, options)
    found = spin_plane(system, plane, numbers, **common)
    if options.picture is not None:
        from ase_mlham.plots.spin_plane import plot_spin_plane

        with drawing(options.picture) as axes:
            drawn = plot_spin_plane(
                found, axis=options.direction, zero=level, title=options.heading
            )
            axes.extend(drawn if isinstance(drawn, tuple) else [drawn])
    grey = 100 * found.degenerate.mean()
    return found, (
        f"bands {', '.join(map(str, found.bands))} on {plane.shape[0]} x {plane.shape[1]} "
        f"k-points, {grey:.0f} % of the states degenerate, Fermi level {level:.3f} eV"
    )


def _plane(system: LCAOSystem, options: argparse.Namespace) -> KPlane:
    from ase_mlham.electronic.k_plane import k_plane

    center: Any = options.center
    if "," in center:
        center = parse_direction(center)
    vectors = None
    if options.vectors is not None:
        try:
            numbers = [float(word) for word in options.vectors.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) != 6:
            raise InputError(f"--vectors {options.vectors}: give six numbers, 1,0,0,0,1,0")
        vectors = [numbers[:3], numbers[3:]]
    return k_plane(
        system.structure,
        center,
        normal=parse_direction(options.plane) if options.plane else None,
        vectors=vectors,
        extent=options.extent,
        size=options.size,
    )


def _level(system: LCAOSystem, options: argparse.Namespace) -> float:
    """Fermi level on the mesh; collapsed bands are refused."""
    from ase_mlham.electronic.collapse import attach
    from ase_mlham.electronic.fermi import fermi_level_of_states, mesh_of
    from ase_mlham.electronic.states import eigenstates

    points = mesh_of(system, parse_kpts(options.kpts))
    states = eigenstates(system, points, **solver_options(options))
    level = fermi_level_of_states(states)
    refuse_collapse(attach(system, states, level), options)
    return level


def _near_level(
    system: LCAOSystem, plane: KPlane, level: float, options: argparse.Namespace
) -> list[int]:
    """Bands around the Fermi level in the middle of the plane."""
    from ase_mlham.electronic.states import eigenstates

    states = eigenstates(system, plane.center[None], **solver_options(options))
    filled = int((states.energies[0, 0] <= level).sum())
    return list(range(max(0, filled - NEAR_LEVEL), min(states.n_bands, filled + NEAR_LEVEL)))
