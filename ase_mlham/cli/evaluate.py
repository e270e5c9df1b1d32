"""`mlham evaluate`: errors of models on reference files, matrices and bands."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_mlham.cli.output import check_target, table, write_json
from ase_mlham.cli.sampling import parse_kpts
from ase_mlham.cli.source import MODEL_SUFFIX
from ase_mlham.errors import InputError

if TYPE_CHECKING:
    from ase_mlham.core import LCAOSystem
    from ase_mlham.learning.evaluation import Evaluation

__all__ = ["add_arguments", "run"]

REPORTS = (".html", ".md")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mlham evaluate`."""
    parser.epilog = """\
examples:
  mlham evaluate sige data
  mlham evaluate trained.mlham one.h5 two.scfout --json errors.json
  mlham evaluate trained.mlham data --report report.html
  mlham evaluate small.mlham large.mlham data --report report.md
  mlham evaluate trained.mlham data --no-bands

Matrix errors are those that remain after the best shift mu S, which changes no physics; band errors
those after the best common shift. A small matrix error does not bound the band error: look at both.

Several models are compared on the same structures: give them before the data. What ends with .mlham
is a model; so is the name of an installed one, unless there is a file or folder of that name.
"""
    parser.add_argument(
        "model", metavar="MODEL", help="installed model, or a .mlham file; more may follow it"
    )
    parser.add_argument(
        "data",
        metavar="DATA",
        nargs="+",
        help="files with a Hamiltonian in the model's basis, folders of .h5 files, or patterns",
    )
    parser.add_argument(
        "-k", "--kpts", metavar="N,N,N", help="mesh for the bands, or points per 1/Å (default: 2)"
    )
    parser.add_argument(
        "--overlap-floor",
        type=float,
        metavar="S",
        help="solve the predictions as `mlham bands --overlap-floor S` does",
    )
    parser.add_argument("--no-bands", action="store_true", help="matrices only")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda (default: auto)")
    parser.add_argument("--json", metavar="FILE", help="write all errors as JSON ('-': print it)")
    parser.add_argument(
        "--report",
        metavar="FILE",
        help="write tables and pictures: .html (one file) or .md (pictures in FILE_files)",
    )


def run(options: argparse.Namespace) -> int:
    """Predict, compare, print."""
    from ase_mlham.hooks import load

    kpts = parse_kpts(options.kpts) or 2.0
    if options.json not in (None, "-"):
        check_target(options.json, (".json",))
    if options.report:
        check_target(options.report, REPORTS)
    names, data = models_and_data([options.model, *options.data])
    files = load("ase_mlham.learning.recipes:find_files")(data)
    load_model = load("ase_mlham.learning.model:load_model")
    models = [load_model(name, device=options.device) for name in names]
    evaluations = load("ase_mlham.learning.evaluate:evaluate_models")(
        models,
        references(files),
        names=labels(names, models),
        kpts=kpts,
        bands=not options.no_bands,
        overlap_floor=options.overlap_floor,
    )
    if options.json:
        contents = [evaluation.to_dict() for evaluation in evaluations]
        write_json(options.json, contents[0] if len(contents) == 1 else {"models": contents})
    if options.report:
        write_report(options, evaluations, data, kpts)
    if options.json != "-":
        show(evaluations)
        if options.report:
            print(f"\n{options.report}: written")
    return 0


def models_and_data(given: Sequence[str]) -> tuple[list[str], list[str]]:
    """The leading names of models, and the rest.

    Raises
    ------
    InputError
        There is no data among them, or a model comes after data.
    """
    from ase_mlham.hooks import registered

    installed = registered("model")

    def is_model(name: str) -> bool:
        return name.endswith(MODEL_SUFFIX) or (name in installed and not Path(name).exists())

    names = [given[0]]
    rest = list(given[1:])
    while rest and is_model(rest[0]):
        names.append(rest.pop(0))
    late = [name for name in rest if is_model(name)]
    if late:
        raise InputError(f"{late[0]} is a model, and comes after data; give all models first")
    if not rest:
        raise InputError(
            f"{', '.join(names)}: models, but no data to evaluate them on; add files with "
            "Hamiltonians, or a folder of them"
        )
    return names, rest


def labels(names: Sequence[str], models: Sequence[Any]) -> list[str]:
    """What to call the models: name and version, or by their files where two have the same.

    Raises
    ------
    InputError
        One model is given twice.
    """
    found = [f"{model.file.name} {model.file.version}" for model in models]
    counts = Counter(found)
    for name, times in Counter(names).items():
        if times > 1:
            raise InputError(f"{name}: given {times} times; a model is compared with others")
    alike = [Path(name) for name, label in zip(names, found, strict=True) if counts[label] > 1]
    return [
        _tail(Path(name), alike) if counts[label] > 1 else label
        for name, label in zip(names, found, strict=True)
    ]


def _tail(path: Path, others: Sequence[Path]) -> str:
    """The last parts of a path, as many as tell it from the others."""
    for n in range(1, len(path.parts) + 1):
        tail = path.parts[-n:]
        if sum(other.parts[-n:] == tail for other in others) == 1:
            return "/".join(tail)
    return str(path)


def references(files: Sequence[Path]) -> Iterator[tuple[str, LCAOSystem]]:
    """Systems of the files, each read when it is needed."""
    from ase_mlham.formats import read_system
    from ase_mlham.progress import track

    for path in track(files, len(files), "structures"):
        yield path.name, read_system(path)


def write_report(
    options: argparse.Namespace, evaluations: Sequence[Evaluation], data: list[str], kpts: Any
) -> None:
    """The report, drawn without a display."""
    import matplotlib as mpl

    mpl.use("Agg")
    from ase_mlham.plots.evaluation.report import write_report

    mesh = ", ".join(map(str, kpts)) if isinstance(kpts, tuple) else f"{kpts:g} points per 1/Å"
    about = {"data": ", ".join(data)}
    if not options.no_bands:
        about["mesh for bands"] = mesh
        if options.overlap_floor is not None:
            about["predictions solved with"] = (
                f"overlap eigenvalues of {options.overlap_floor:g} and above"
            )
    write_report(options.report, evaluations, about)


def show(evaluations: Sequence[Evaluation]) -> None:
    """Tables for the terminal: files, and the summary, one column a model."""
    first = evaluations[0]
    several = len(evaluations) > 1
    if several:
        for number, evaluation in enumerate(evaluations, 1):
            print(f"{number}: {evaluation.model}")
        print("errors in meV")
    else:
        print(f"{first.model}: errors in meV")
    header = ["file", "atoms"]
    for quantity in ("H MAE", "occupied bands MAE", "gap error"):
        header += [
            f"{quantity} {n}" if several else quantity for n in range(1, len(evaluations) + 1)
        ]
    rows = []
    for entries in zip(*(evaluation.structures for evaluation in evaluations), strict=True):
        bands = [entry.bands for entry in entries]
        rows.append(
            [
                entries[0].name,
                entries[0].n_atoms,
                *(round(entry.matrix.overall.mae, 3) for entry in entries),
                *("-" if b is None else round(1e3 * b.occupied.mean, 2) for b in bands),
                *("-" if b is None else round(1e3 * b.gap_error, 2) for b in bands),
            ]
        )
    print(table(header, rows) + "\n")
    for line in _reservations(evaluations):
        print(line)
    summaries = [evaluation.summary() for evaluation in evaluations]
    for name in dict.fromkeys(name for summary in summaries for name in summary):
        cells = (f"{s[name]:10.3f}" if name in s else f"{'-':>10s}" for s in summaries)
        print(f"{name:<28s}" + "".join(cells))


def _reservations(evaluations: Sequence[Evaluation]) -> list[str]:
    """What models say of single structures, and an empty line behind it."""
    found: dict[tuple[str, str], list[int]] = {}
    for n, evaluation in enumerate(evaluations, 1):
        for entry in evaluation.structures:
            for text in entry.warnings:
                found.setdefault((entry.name, text), []).append(n)
    lines = []
    for (name, text), models in found.items():
        whose = "" if len(models) == len(evaluations) else f" (model {', '.join(map(str, models))})"
        lines.append(f"{name}: {text}{whose}")
    return [*lines, ""] if lines else []
