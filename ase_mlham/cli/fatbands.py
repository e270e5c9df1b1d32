"""`mlham fatbands`: bands with the weights of their states on elements, orbitals, atoms, layers."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_mlham.cli.output import PICTURES, check_target, write_json, write_text
from ase_mlham.cli.sampling import (
    add_method,
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
    from ase_mlham.electronic.fat_bands import FatBands

__all__ = ["add_arguments", "run"]

DATA = (".json", ".npz")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mlham fatbands`."""
    parser.epilog = """\
examples:
  mlham fatbands silicon.cif --by shell
  mlham fatbands bi2se3.scfout --by element --method lowdin --path GZFGL -o fat.pdf
  mlham fatbands slab.cif --by layer --emin -2 --emax 2
  mlham fatbands GaAs.scfout --by orbital --select symbol=Ga --style dots
  mlham fatbands H.h5 --by atom --data weights.npz --json bands.json

The zero of energy is the Fermi level, for an insulator the middle of the gap. --json is ASE's own
band structure, which has no place for weights: --data has them, with the same energies.
"""
    add_source(parser)
    group = parser.add_argument_group("projection")
    group.add_argument(
        "--by",
        choices=("element", "shell", "orbital", "atom", "layer"),
        default="element",
        help="what the orbitals are collected by (default: element)",
    )
    add_method(group)
    group.add_argument(
        "--select",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="only groups with this symbol, orbital, index or layer; several at a time: "
        "--select symbol=Ga,orbital=p, and more than once for more groups",
    )
    group.add_argument(
        "--direction",
        metavar="C",
        default="c",
        help="normal of layers: a, b or c, or a vector x,y,z (default: c)",
    )
    group.add_argument(
        "--layer-tolerance",
        type=float,
        metavar="D",
        default=0.3,
        help="difference in height within a layer, Å (default: 0.3)",
    )
    add_path(parser)
    add_solver(parser)
    add_window(parser, -10.0, 8.0)
    result = parser.add_argument_group("result")
    result.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help=f"picture: {', '.join(PICTURES)} (default: fatbands.png, or none with --data)",
    )
    result.add_argument("--data", metavar="FILE", help=f"energies and weights: {' or '.join(DATA)}")
    result.add_argument("--json", metavar="FILE", help="ASE's band structure, without weights")
    result.add_argument(
        "--style",
        choices=("lines", "dots"),
        default="lines",
        help="ribbons whose parts are as wide as the weights, or discs (default: lines)",
    )
    result.add_argument(
        "--zero",
        choices=("fermi", "vbm", "none"),
        default="fermi",
        help="what is zero in the picture: Fermi level, valence band maximum, nothing",
    )
    result.add_argument("--title", metavar="TEXT", help="above the picture (default: FILE)")


def run(options: argparse.Namespace) -> int:
    """Compute, draw, write."""
    low, high = window(options)
    kpts = parse_kpts(options.kpts)
    wanted = [parse_selection(text) for text in options.select]
    direction = parse_direction(options.direction)
    picture = None
    if options.output or not (options.data or options.json):
        picture = check_target(options.output or "fatbands.png", PICTURES)
    if options.data:
        check_target(options.data, DATA)
    if options.json:
        check_target(options.json, (".json",))
    system = open_system(options)

    from ase_mlham.electronic.fat_bands import fat_bands
    from ase_mlham.electronic.fermi import mesh_of

    along = path_of(system, options)
    announce(system, len(mesh_of(system, kpts)) + len(along.kpts), vectors=True)
    found = fat_bands(
        system,
        along,
        options.by,
        options.method,
        kpts=kpts,
        direction=direction,
        tolerance=options.layer_tolerance,
        **solver_options(options),
    )
    collapsed = refuse_collapse(found.warnings, options)
    if wanted:
        found = chosen_groups(found, wanted)
    _write(found, options)
    if picture is not None:
        from ase_mlham.cli.picture import drawing
        from ase_mlham.plots.fat_bands import plot_fat_bands

        title = options.title if options.title is not None else Path(options.file).name
        with drawing(picture) as axes:
            drawn = plot_fat_bands(
                found,
                style=options.style,
                reference=options.zero,
                emin=low,
                emax=high,
                title=f"COLLAPSED: {title}" if collapsed else title,
            )
            axes.extend(drawn if isinstance(drawn, tuple) else [drawn])
    written = [str(name) for name in (picture, options.data, options.json) if name]
    print(
        f"{', '.join(written)}: {found.method.label} weights on {len(found.info)} groups, "
        f"Fermi level {found.bands.reference:.3f} eV ({system.source})"
    )
    return 0


def parse_selection(text: str) -> dict[str, str]:
    """Values that groups must have, from "symbol=Ga,orbital=p".

    Raises
    ------
    InputError
        It is not of this form.
    """
    parts = [part.partition("=") for part in text.split(",")]
    if any(not (key.strip() and equals and value.strip()) for key, equals, value in parts):
        raise InputError(f"--select {text}: give KEY=VALUE, for example symbol=Ga,orbital=p")
    return {key.strip(): value.strip() for key, _, value in parts}


def chosen_groups(found: FatBands, wanted: list[dict[str, str]]) -> FatBands:
    """The groups that any of the selections picks, in their order."""
    from dataclasses import replace

    chosen: set[int] = set()
    names = [tuple(sorted(one.items())) for one in found.info]
    for selection in wanted:
        part = found.select(**selection)
        chosen |= {names.index(tuple(sorted(one.items()))) for one in part.info}
    kept = sorted(chosen)
    return replace(found, weights=found.weights[..., kept], info=tuple(found.info[n] for n in kept))


def _write(found: FatBands, options: argparse.Namespace) -> None:
    if options.json:
        from ase.io.jsonio import encode

        write_text(options.json, encode(found.bands) + "\n")
    if options.data and Path(options.data).suffix == ".json":
        write_json(options.data, found.to_dict())
    elif options.data:
        from ase_mlham.files import atomic_path

        with atomic_path(Path(options.data)) as part:
            _write_arrays(found, part)


def _write_arrays(found: FatBands, path: Path) -> None:
    """Arrays with names, for NumPy: nothing in them is an object."""
    import numpy as np

    x, ticks, labels = found.bands.get_labels()
    arrays: dict[str, Any] = {
        "energies": found.bands.energies,
        "fermi_level": float(found.bands.reference),
        "weights": found.weights,
        "groups": np.array([json.dumps(dict(one)) for one in found.info]),
        "method": found.method.value,
        "kpts": found.bands.path.kpts,
        "x": x,
        "ticks": ticks,
        "labels": np.array(labels),
    }
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
