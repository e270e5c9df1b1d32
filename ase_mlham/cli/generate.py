"""`mlham generate`: H and S of many structures, computed and written to files."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ase_mlham.cli.alloys import (
    add_alloys,
    describe_alloys,
    draw_alloys,
    refuse_without_alloy,
    write_images,
)
from ase_mlham.cli.moments import parse_moments
from ase_mlham.cli.source import read_images
from ase_mlham.errors import InputError
from ase_mlham.hooks import load, registered

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["add_arguments", "parse_settings", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mlham generate`."""
    parser.epilog = """\
examples:
  mlham generate structures.extxyz -o data
  mlham generate structures.extxyz -o data --workers 4 --set kpts=4,4,4 --set xc=lda
  mlham generate iron.extxyz -o data --moments Fe=3
  mlham generate Si.cif -o data --alloy Si,Ge --repeat 2,2,1 --vegard Si=5.431,Ge=5.658
  mlham generate GaAs.cif --alloy Ga=0.5,Al=0.5 --repeat 2,2,2 --structures-only alloys.extxyz

Started again with the same settings, it goes on where it stopped. Structures that fail are
reported, in data/report.json too, and the exit code is then 1.
"""
    for name, spec in registered("engine").items():
        parser.epilog += f"\nsettings of the engine {name} for --set, with their defaults:\n"
        for field in fields(load(spec.settings)):
            parser.epilog += f"  {field.name}={field.default}\n"
    parser.add_argument("file", metavar="FILE", help="structures (any format that ASE reads)")
    parser.add_argument(
        "-o", "--output", metavar="DIR", help="folder of the results (needed to compute)"
    )
    parser.add_argument(
        "--engine", default="pyscf", metavar="NAME", help="who computes (default: pyscf)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of the engine; may be given several times",
    )
    parser.add_argument(
        "--moments",
        action="append",
        default=[],
        metavar="EL=M",
        help="initial magnetic moment of an element, Bohr magnetons, in place of those in FILE; "
        "several with commas (Fe=3,O=-1). Structures with moments are computed with collinear spin",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="structures at the same time, one processor each (default: 1)",
    )
    add_alloys(parser)


def parse_settings(pairs: list[str]) -> dict[str, Any]:
    """Settings from "key=value" words.

    A value is read as Python would: numbers, tuples (4,4,4), True, None; what is none of these is a
    text.

    Raises
    ------
    InputError
        A word has no "=".
    """
    from ast import literal_eval

    out: dict[str, Any] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not (key and sign):
            raise InputError(f"--set {pair}: expected KEY=VALUE, for example --set kpts=4,4,4")
        try:
            out[key.strip().replace("-", "_")] = literal_eval(value)
        except (ValueError, SyntaxError):
            out[key.strip().replace("-", "_")] = value
    return out


def run(options: argparse.Namespace) -> int:
    """Draw if asked, compute, write, report."""
    from ase_mlham.engines import generate
    from ase_mlham.engines.compute import make_settings
    from ase_mlham.formats import write_system
    from ase_mlham.progress import track

    refuse_without_alloy(options)
    if options.structures_only:
        _write_structures(options)
        return 0
    if options.output is None:
        raise InputError("-o DIR is missing: the folder into which the results are written")
    values = parse_settings(options.set)
    moments = parse_moments(options.moments).numbers_by_element()
    make_settings(options.engine, values)
    if options.workers < 1:
        raise InputError(f"--workers {options.workers}: at least one is needed")
    structures = _alloys(options) if options.alloy else read_images(options.file)
    events = generate(
        structures,
        options.output,
        write=write_system,
        engine=options.engine,
        settings=values,
        moments=moments,
        workers=options.workers,
    )
    count = {"finished": 0, "present": 0, "failed": 0}
    for event in track(events, len(structures), "structures"):
        count[event.status] += 1
        if event.status == "failed":
            sys.stderr.write(
                f"mlham: structure {event.index} ({event.formula}) failed: {event.message}\n"
            )
    print(
        f"{options.output}: {count['finished']} computed, {count['present']} there before, "
        f"{count['failed']} failed"
    )
    return 1 if count["failed"] else 0


def _alloys(options: argparse.Namespace) -> list[Atoms]:
    """Random alloys of the one structure in FILE; says what was found."""
    parents = read_images(options.file)
    if len(parents) != 1:
        raise InputError(
            f"{options.file} holds {len(parents)} structures; --alloy takes one parent, whose "
            "sites are occupied"
        )
    found = draw_alloys(parents[0], options)
    print(describe_alloys(found, options))
    return list(found.structures)


def _write_structures(options: argparse.Namespace) -> None:
    """Random alloys into a file, with the moments that they would be computed with."""
    if options.output is not None:
        raise InputError("-o and --structures-only: the first computes and the second does not")
    from ase_mlham.engines.generation import with_moments

    moments = parse_moments(options.moments).numbers_by_element()
    structures = _alloys(options)
    if moments:
        structures = [with_moments(atoms, moments) for atoms in structures]
    write_images(structures, options.structures_only)
    print(f"written to {options.structures_only}")
