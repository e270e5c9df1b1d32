"""`mlham compare`: two sources of one structure, their bands side by side, as a report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_mlham.cli.dos import density
from ase_mlham.cli.output import check_target, write_json
from ase_mlham.cli.sampling import (
    add_path,
    add_solver,
    announce,
    parse_kpts,
    path_of,
    refuse_collapse,
    solver_options,
)
from ase_mlham.cli.source import add_source, open_other, open_system
from ase_mlham.errors import InputError

if TYPE_CHECKING:
    from ase.dft.kpoints import BandPath

    from ase_mlham.core import LCAOSystem
    from ase_mlham.electronic.states import EigenStates
    from ase_mlham.plots.comparison import Compared

__all__ = ["add_arguments", "run"]

REPORTS = (".html", ".md", ".pdf", ".png")

DENSITY = (-10.0, 8.0)
"""Energies of the densities of states, eV around the Fermi level."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mlham compare`."""
    parser.epilog = """\
examples:
  mlham compare silicon.scfout sige -o silicon.html
  mlham compare coarse.scfout fine.scfout --path GXWKL -k 8,8,8 -o report.md
  mlham compare spinless.h5 with_spin_orbit.h5 --json errors.json

The second is the reference: a file with a Hamiltonian, a structure, or a model, which then predicts
for the structure of the first. Bands are matched by their number, from the highest filled one down
and up, after the best shift of energy; the report says how. Spin kinds and bases may differ.
"""
    add_source(parser)
    parser.add_argument(
        "compare", metavar="OTHER", help="the reference: another file, or a model (name or file)"
    )
    add_path(parser)
    add_solver(parser)
    group = parser.add_argument_group("result")
    group.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="report with pictures: .html (one file), .md (pictures in FILE_files), or .pdf or "
        ".png (a figure of one page)",
    )
    group.add_argument("--json", metavar="FILE", help="write the errors as JSON ('-': print them)")


def run(options: argparse.Namespace) -> int:
    """Solve both, compare, print, write."""
    if options.output:
        check_target(options.output, REPORTS)
    if options.json not in (None, "-"):
        check_target(options.json, (".json",))
    kpts = parse_kpts(options.kpts)
    first = open_system(options)
    second = open_other(options.compare, first, options)
    found = _compare(first, second, kpts, options)
    if options.json:
        write_json(options.json, _facts(found))
    if options.output:
        _write(found, Path(options.output))
    if options.json != "-":
        print(f"{found.names[0]} against {found.names[1]}")
        for note in found.path.notes:
            print(note)
        for place, matched in (("path", found.path), ("mesh", found.mesh)):
            print(f"\non the {place}, {len(matched.first.kpts)} k-points\n{matched.comparison}")
        if options.output:
            print(f"\n{options.output}: written")
    return 0


def _write(found: Compared, target: Path) -> None:
    """The report, drawn without a display."""
    if target.suffix.lower() in (".pdf", ".png"):
        from ase_mlham.cli.picture import drawing
        from ase_mlham.plots.comparison import plot_comparison

        with drawing(target) as axes:
            axes.append(plot_comparison(found).axes[0])
        return
    import matplotlib as mpl

    mpl.use("Agg")
    from ase_mlham.plots.comparison import write_comparison

    write_comparison(target, found)


def _compare(
    first: LCAOSystem, second: LCAOSystem, kpts: Any, options: argparse.Namespace
) -> Compared:
    """Everything that the report shows."""
    from ase.dft.kpoints import BandPath
    from ase.spectrum.doscollection import GridDOSCollection

    from ase_mlham.electronic.bands import to_band_structure
    from ase_mlham.electronic.fermi import fermi_level_of_states, mesh_of
    from ase_mlham.electronic.matching import match_bands
    from ase_mlham.plots.comparison import Compared

    along = path_of(first, options)
    # the same fractions and labels in a cell that may differ a little
    other = BandPath(
        second.structure.cell, along.kpts, special_points=along.special_points, path=along.path
    )
    # one mesh for both, and all of it: what symmetry one has the other may lack
    points = mesh_of(second, kpts, reduce=False)
    solved = [
        _solve(system, path, points, options) for system, path in ((first, along), (second, other))
    ]
    on_path, on_mesh, levels = zip(*solved, strict=True)
    fermi = [fermi_level_of_states(states) for states in on_mesh]
    densities = [
        density(states, level, window=(level + DENSITY[0] - 1, level + DENSITY[1] + 1))
        for states, level in zip(on_mesh, fermi, strict=True)
    ]
    if len(densities[0]) != len(densities[1]):
        # one source has two channels and the other one: their sums are compared
        densities = [GridDOSCollection([one.sum_all()]) for one in densities]
    return Compared(
        names=_names(first, second, options),
        bands=(
            to_band_structure(on_path[0], levels[0]),
            to_band_structure(on_path[1], levels[1]),
        ),
        path=match_bands(*on_path),
        mesh=match_bands(*on_mesh),
        dos=(densities[0], densities[1]),
        matrices=_matrices(first, second),
        about=_about(first, second, along, points),
    )


def _solve(
    system: LCAOSystem, path: BandPath, points: Any, options: argparse.Namespace
) -> tuple[EigenStates, EigenStates, float]:
    from ase_mlham.electronic.bands import band_states, reference_level
    from ase_mlham.electronic.collapse import attach
    from ase_mlham.electronic.states import eigenstates

    solver = solver_options(options)
    announce(system, len(points) + len(path.kpts))
    mesh = eigenstates(system, points, **solver)
    along = band_states(system, path, **solver)
    level = reference_level(mesh, along)
    refuse_collapse(attach(system, along, level), options)
    return along, mesh, level


def _names(first: LCAOSystem, second: LCAOSystem, options: argparse.Namespace) -> tuple[str, str]:
    """What to call the two: code or model, or if those are the same their files."""
    if first.source != second.source:
        return first.source, second.source
    names = Path(options.file), Path(options.compare)
    for called in (
        tuple(path.name.partition(".")[0] for path in names),
        tuple(path.name for path in names),
    ):
        if called[0] != called[1]:
            return called[0], called[1]
    return options.file, options.compare


def _matrices(first: LCAOSystem, second: LCAOSystem) -> Any:
    """Errors of H, or why there are none."""
    from ase_mlham.electronic.comparison import compare_matrices

    try:
        return compare_matrices(first, second)
    except InputError as error:
        return str(error)


def _about(first: LCAOSystem, second: LCAOSystem, path: BandPath, points: Any) -> dict[str, str]:
    size = None if points.mesh is None else " x ".join(map(str, points.mesh.size))
    structure = first.structure.to_atoms()
    facts = {
        "structure": f"{structure.get_chemical_formula()}, {len(structure)} atoms",
        "path": f"{path.path or 'one point'}, {len(path.kpts)} k-points",
        "mesh": f"{size}" if size else f"{len(points)} k-points",
    }
    for name, system in (("compared", first), ("reference", second)):
        facts[f"orbitals, {name}"] = (
            f"{system.n_orbitals}, spin {system.spin.value}, {system.n_electrons:g} electrons"
        )
    for name, system in (("compared", first), ("reference", second)):
        for text in system.warnings:
            facts[f"said of the {name}"] = text
    return facts


def _facts(found: Compared) -> dict[str, Any]:
    matrices = found.matrices
    return {
        "names": list(found.names),
        "notes": list(found.path.notes),
        "path": found.path.comparison.to_dict(),
        "mesh": found.mesh.comparison.to_dict(),
        "matrices": {"not compared": matrices} if isinstance(matrices, str) else matrices.to_dict(),
        "units": "eV",
    }
