"""`mlham gap`: the band gap, where it lies, and the Fermi level."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ase_mlham.cli.gap_along import as_slice, run_along
from ase_mlham.cli.moments import describe_moments, describe_spin, is_magnetic, moments_table
from ase_mlham.cli.output import write_json
from ase_mlham.cli.sampling import add_solver, announce, parse_kpts, refuse_collapse, solver_options
from ase_mlham.cli.source import add_source, open_system
from ase_mlham.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ase_mlham.core import LCAOSystem

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mlham gap`."""
    parser.epilog = """\
examples:
  mlham gap silicon.cif
  mlham gap silicon.scfout -k 12,12,12
  mlham gap POSCAR --model trained.mlham --json gap.json
  mlham gap iron.cif --model magnetic.mlham --moments Fe=2.2
  mlham gap run.traj --index ::10 -o gaps.png       every tenth frame of a trajectory

Edges are searched on the mesh, along the path of the lattice, and in small cells between them.
Of a magnetic system the gaps of both spin channels are printed, and the Mulliken moments of the
filled states, beside the moments of the structure: those that a model predicted for, or a file has.
Of a range of images (--index :, 10:, ::5) a table is printed line by line; what was done before an
interruption is written all the same.
"""
    add_source(parser)
    add_solver(parser)
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON ('-': print it)")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="picture of a range of images: png, pdf, svg"
    )


def run(options: argparse.Namespace) -> int:
    """Print the gap."""
    from ase_mlham.electronic.fermi import mesh_of
    from ase_mlham.electronic.gap import gap

    frames = as_slice(options.index)
    if frames is not None:
        return run_along(options, frames)
    if options.output:
        raise InputError("-o draws a range of images; give one, for example --index :")
    kpts = parse_kpts(options.kpts)
    system = open_system(options)
    announce(system, len(mesh_of(system, kpts)))
    found = gap(system, kpts, **solver_options(options))
    refuse_collapse(found.warnings, options)
    moments = _moments(system, kpts, options) if is_magnetic(system) else None
    if options.json:
        facts = {**found.to_dict(), "source": system.source, "spin": system.spin.value}
        if moments is not None:
            facts["moments"] = describe_moments(replace(system.structure, moments=moments))
            facts["moments of the structure"] = describe_moments(system.structure) or None
        write_json(options.json, facts)
    if options.json != "-":
        print(f"{options.file} ({system.source})")
        print(found)
        print(f"{'Fermi level':24s}{found.fermi_level:9.3f} eV")
        print(f"{'spin':24s}{describe_spin(system)}")
        if moments is not None:
            stated = "given" if "model" in system.provenance else "in file"
            columns = {"moment": moments, stated: system.structure.moments}
            print(f"moments (Bohr magnetons)\n{moments_table(system.structure, columns)}")
    return 0


def _moments(system: LCAOSystem, kpts: Any, options: argparse.Namespace) -> NDArray:
    """Mulliken moments of the filled states, (n_atoms, 3) Bohr magnetons."""
    from ase_mlham.core import SpinKind
    from ase_mlham.electronic.charges import charges
    from ase_mlham.electronic.fermi import mesh_of

    points = mesh_of(system, kpts, reduce=system.spin is not SpinKind.SPINOR)
    announce(system, len(points), vectors=True)
    return charges(system, points, **solver_options(options)).moments
