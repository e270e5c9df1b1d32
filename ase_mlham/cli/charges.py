"""`mlham charges`: charges and magnetic moments of the atoms."""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_mlham.cli.output import check_target, write_json, write_text
from ase_mlham.cli.sampling import (
    add_method,
    add_solver,
    announce,
    parse_kpts,
    refuse_collapsed,
    solver_options,
)
from ase_mlham.cli.source import add_source, open_system
from ase_mlham.errors import InputError
from ase_mlham.units import BOLTZMANN

if TYPE_CHECKING:
    from ase_mlham.core import LCAOSystem
    from ase_mlham.electronic.charges import Charges

__all__ = ["add_arguments", "run"]

TABLES = (".csv", ".json", ".extxyz")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mlham charges`."""
    parser.epilog = """\
examples:
  mlham charges GaAs.scfout
  mlham charges water.xyz --molecule --model trained.mlham --method lowdin
  mlham charges iron.scfout -k 9,9,9 --temperature 700
  mlham charges Fe3O4.scfout -o charges.extxyz

Charges are in e, positive where electrons are missing against the neutral atom; moments in Bohr
magnetons. Both depend on the basis and on the method: compare numbers of one kind only.
"""
    add_source(parser)
    add_method(parser)
    add_solver(parser)
    group = parser.add_argument_group("occupations")
    group.add_argument(
        "--smearing",
        type=float,
        metavar="W",
        help="width of the Fermi function, eV (default: none for an insulator, 0.1 for a metal)",
    )
    group.add_argument(
        "--temperature", type=float, metavar="T", help="the same in kelvin, as DFT codes print it"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write them too: .csv, .json, or .extxyz (the structure with arrays "
        "'mulliken_charges' and 'mulliken_moments', for ASE and viewers)",
    )
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON ('-': print it)")


def run(options: argparse.Namespace) -> int:
    """Compute, print, write."""
    if options.output:
        check_target(options.output, TABLES)
    if options.json not in (None, "-"):
        check_target(options.json, (".json",))
    smearing = _smearing(options)
    kpts = parse_kpts(options.kpts)
    system = open_system(options)

    from ase_mlham.core import SpinKind
    from ase_mlham.electronic.charges import charges
    from ase_mlham.electronic.fermi import mesh_of

    points = mesh_of(system, kpts, reduce=system.spin is not SpinKind.SPINOR)
    announce(system, len(points), vectors=True)
    found = charges(system, points, smearing, projection=options.method, **solver_options(options))
    refuse_collapsed(system, found.fermi_level, options)
    if options.json:
        write_json(options.json, _facts(system, found))
    if options.output:
        _write(system, found, Path(options.output))
    if options.json != "-":
        print(f"{options.file} ({system.source}), {found.projection.label}")
        print(_table(system, found))
        if options.output:
            print(f"{options.output}: written")
    return 0


def _smearing(options: argparse.Namespace) -> float | None:
    if options.smearing is not None and options.temperature is not None:
        raise InputError("give --smearing or --temperature, not both")
    width = BOLTZMANN * options.temperature if options.temperature is not None else options.smearing
    if width is not None and not width > 0:
        raise InputError("the smearing must be positive; leave it out for sharp occupations")
    return None if width is None else float(width)


def _rows(system: LCAOSystem, found: Charges) -> tuple[list[str], list[list[Any]]]:
    """Names of the columns, and one row for each atom."""
    from ase_mlham.core import SpinKind

    symbols = system.structure.to_atoms().get_chemical_symbols()
    header = ["atom", "symbol", "charge"]
    columns: list[Any] = [range(len(symbols)), symbols, found.charges]
    if system.spin is SpinKind.COLLINEAR:
        header.append("moment")
        columns.append(found.moments[:, 2])
    elif system.spin is SpinKind.SPINOR:
        header += ["moment x", "moment y", "moment z"]
        columns += list(found.moments.T)
    return header, [list(row) for row in zip(*columns, strict=True)]


def _table(system: LCAOSystem, found: Charges) -> str:
    header, rows = _rows(system, found)
    lines = [f"{'atom':>8}{'charge (e)':>13}"]
    if len(header) > 3:
        name = "moment (Bohr magnetons)" + (" x, y, z" if len(header) > 4 else "")
        lines[0] += f"  {name}"
    for number, symbol, *values in rows:
        lines.append(f"{number:5d} {symbol:<2}{_digits(values)}")
    parts = found.moments.sum(axis=0)[-1:] if len(header) == 4 else found.moments.sum(axis=0)
    totals = [found.charges.sum(), *(parts if len(header) > 3 else ())]
    lines.append(f"{'total':>8}{_digits(totals)}")
    return "\n".join([*lines, f"Fermi level {found.fermi_level:.3f} eV"])


def _digits(values: Sequence[float]) -> str:
    """A charge, and the components of a moment; -0.0000 is 0."""
    charge, *moment = (round(float(value), 4) + 0.0 for value in values)
    return f"{charge:13.4f}" + "".join(f"{x:10.4f}" for x in moment)


def _facts(system: LCAOSystem, found: Charges) -> dict[str, Any]:
    symbols = system.structure.to_atoms().get_chemical_symbols()
    return {
        **found.to_dict(),
        "symbols": symbols,
        "source": system.source,
        "spin": system.spin.value,
        "units": "charges in e, moments in Bohr magnetons, energies in eV",
    }


def _write(system: LCAOSystem, found: Charges, target: Path) -> None:
    if target.suffix == ".json":
        write_json(target, _facts(system, found))
    elif target.suffix == ".csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        header, rows = _rows(system, found)
        writer.writerow(header)
        for row in rows:
            writer.writerow([f"{x:.8g}" if isinstance(x, float) else x for x in row])
        write_text(target, text.getvalue())
    else:
        from ase.io import write

        from ase_mlham.core import SpinKind
        from ase_mlham.files import atomic_path

        atoms = system.structure.to_atoms()
        atoms.set_array(f"{found.projection.value}_charges", found.charges.copy())
        if system.spin is not SpinKind.NONE:
            moments = found.moments if system.spin is SpinKind.SPINOR else found.moments[:, 2]
            atoms.set_array(f"{found.projection.value}_moments", moments.copy())
        with atomic_path(target) as part:
            write(part, atoms, format="extxyz")
