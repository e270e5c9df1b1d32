"""`mlham evaluate`: errors of a model on reference files, matrices and bands."""

from __future__ import annotations

import argparse

from ase_mlham.cli.output import check_target, table, write_json, write_text
from ase_mlham.cli.sampling import parse_kpts

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mlham evaluate`."""
    parser.epilog = """\
examples:
  mlham evaluate sige data
  mlham evaluate trained.mlham one.h5 two.scfout --json errors.json
  mlham evaluate trained.mlham data --no-bands --report errors.md

Matrix errors are those that remain after the best shift mu S, which changes no physics; band errors
those after the best common shift. A small matrix error does not bound the band error: look at both.
"""
    parser.add_argument("model", metavar="MODEL", help="installed model, or a .mlham file")
    parser.add_argument(
        "data",
        metavar="DATA",
        nargs="+",
        help="files with a Hamiltonian in the model's basis, folders of .h5 files, or patterns",
    )
    parser.add_argument(
        "-k", "--kpts", metavar="N,N,N", help="mesh for the bands, or points per 1/Å (default: 2)"
    )
    parser.add_argument("--no-bands", action="store_true", help="matrices only")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda (default: auto)")
    parser.add_argument("--json", metavar="FILE", help="write all errors as JSON ('-': print it)")
    parser.add_argument("--report", metavar="FILE", help="write tables by kind of block (.md)")


def run(options: argparse.Namespace) -> int:
    """Predict, compare, print."""
    from ase_mlham.formats import read_system
    from ase_mlham.hooks import load

    kpts = parse_kpts(options.kpts) or 2.0
    for target in (options.json, options.report):
        if target not in (None, "-"):
            check_target(target, (".json",) if target == options.json else (".md",))
    files = load("ase_mlham.learning.recipes:find_files")(options.data)
    model = load("ase_mlham.learning.model:load_model")(options.model, device=options.device)
    evaluation = load("ase_mlham.learning.evaluate:evaluate")(
        model,
        ((path.name, read_system(path)) for path in files),
        kpts=kpts,
        bands=not options.no_bands,
    )
    if options.json:
        write_json(options.json, evaluation.to_dict())
    if options.report:
        write_text(options.report, evaluation.to_markdown())
    if options.json != "-":
        rows = [
            (
                entry.name,
                entry.n_atoms,
                round(entry.matrix.overall.mae, 3),
                "-" if entry.bands is None else round(1e3 * entry.bands.occupied.mean, 2),
                "-" if entry.bands is None else round(1e3 * entry.bands.gap_error, 2),
                "; ".join(entry.warnings) or "-",
            )
            for entry in evaluation.structures
        ]
        header = ("file", "atoms", "H MAE", "occupied bands MAE", "gap error", "reservations")
        print(f"{evaluation.model}: errors in meV")
        print(table(header, rows) + "\n")
        for name, value in evaluation.summary().items():
            print(f"{name:<28s}{value:10.3f}")
    return 0
