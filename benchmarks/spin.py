"""Hamiltonians with spin: errors by real part, bands, moments, and how exact the symmetries are.

    python benchmarks/spin.py heads REFERENCE NAME=MODEL [NAME=MODEL ...] --picture bands.png
    python benchmarks/spin.py moments FOLDER MODEL [--show FILE --picture bands.png]
    python benchmarks/spin.py symmetry [--family hamgnn --presets small paper]

`heads` compares models on one reference: the error of each real part of H (P without spin, B
spin-orbit, C exchange field, K currents), bands on a mesh and along the path of `mlham bands`, the
gap. Further rows tell what these errors mean: the reference without its spin parts, with the
spin parts of a model, and with spin-orbit coupling in the form xi <L>.sigma/2 at its best xi for
every two shells of every two atoms. `moments` goes through collinear references: parts P and
C, bands, gap, Mulliken moments. `symmetry` runs the checks of the conformance kit for every spin
kind, with random weights in double precision.

Matrix errors are means over both members of each Hermitian pair after the best shift mu S; bands
are compared after their best common shift, in windows that begin at the band edges of the
reference, or at the Fermi level of a metal.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise, product, starmap
from pathlib import Path
from typing import Any

import numpy as np
from ase.spectrum.band_structure import BandStructure
from spin_pictures import Panel, draw

from ase_mlham import hooks, integrals, load_model, read_system
from ase_mlham.core import BlockMatrix, LCAOSystem, SpinKind
from ase_mlham.electronic.bands import band_states, reference_level, to_band_structure
from ase_mlham.electronic.charges import charges
from ase_mlham.electronic.collapse import CollapseWarning, check_collapse
from ase_mlham.electronic.comparison import BandComparison, Deviation, compare_bands
from ase_mlham.electronic.fermi import fermi_level_of_states, mesh_of
from ase_mlham.electronic.gap import gap
from ase_mlham.electronic.path import band_path
from ase_mlham.electronic.states import EigenStates, eigenstates
from ase_mlham.learning.conformance import CHECKS
from ase_mlham.learning.dataset import onto_basis, with_mulliken_moments
from ase_mlham.learning.domain import DomainWarning
from ase_mlham.learning.metrics import Tally, best_shift
from ase_mlham.learning.parts import part_names, parts_of, real_parts, to_components
from ase_mlham.learning.spin_form import SpinForm
from ase_mlham.learning.testing import check_family, check_names

WINDOWS = {"1 eV": 1.0, "2 eV": 2.0}
SMOOTH = 40.0  # points of the path per 1/Å, as `mlham bands` takes for small cells
BEST = "best ξ ⟨L⟩·σ/2"
NOISE = 1e-3  # meV: a part whose mean size is smaller is not there

XI = SpinForm(spin_orbit="angular_momentum")
JA = SpinForm(exchange="heisenberg")
KINDS: dict[str, tuple[str, str | None, SpinForm]] = {
    "none": ("none", None, SpinForm()),
    "collinear": ("collinear", "PC", SpinForm()),
    "collinear-JA": ("collinear", "PC", JA),
    "PB": ("spinor", "PB", SpinForm()),
    "PB-xi": ("spinor", "PB", XI),
    "PBCK": ("spinor", "PBCK", SpinForm()),
    "PBCK-JA": ("spinor", "PBCK", JA),
    "PC-JA": ("spinor", "PC", SpinForm(exchange="heisenberg", isotropic=True)),
}
"""Columns of the table of symmetries: spin kind, real parts and the form of the spin parts."""
NOT_SYMMETRIES = (
    "size moments message_cutoff pair_cutoff locality batching chunks isolated_atom precision "
    "device repeatability gradient overfitting model_file"
).split()
"""Checks of the kit that are about numbers, reach or learning."""


# ------------------------------------------------------------------ systems and their real parts
def prediction(model: Any, reference: LCAOSystem) -> tuple[LCAOSystem, LCAOSystem]:
    """The model's H for the structure of a reference, and the reference in the model's basis."""
    if model.sees_moments and reference.structure.moments is None:
        reference = with_mulliken_moments(reference)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DomainWarning)
        predicted = model.predict(reference.structure, on_unknown="warn")
    for text in predicted.warnings:
        print(f"note: {text}", file=sys.stderr)
    # said once, not with every result
    predicted = predicted.replace(warnings=())
    if predicted.spin is not reference.spin:
        raise SystemExit(
            f"the model predicts {predicted.spin.value} Hamiltonians, the reference is a "
            f"{reference.spin.value} one"
        )
    return predicted, onto_basis(reference, predicted.basis)


def combined(first: LCAOSystem, second: LCAOSystem | None, names: str) -> LCAOSystem:
    """The first system with the real parts `names` of the second, or without them if there is none.

    S is that of the first.
    """
    parts = parts_of(first.spin, part_names(first.spin))
    taken = np.repeat([part.name in names for part in parts], [len(p.components) for p in parts])
    pattern = first.hamiltonian.pattern
    if second is not None:
        pattern = pattern.union(second.hamiltonian.pattern)

    def some(matrix: BlockMatrix, kept: np.ndarray) -> BlockMatrix:
        matrix = matrix.on_pattern(pattern)
        arrays = []
        for array in matrix.values:
            real, _ = real_parts(array, parts)
            real[~kept] = 0.0
            arrays.append(to_components(real, parts, first.spin))
        return BlockMatrix(pattern, tuple(arrays), matrix.symmetry)

    hamiltonian = some(first.hamiltonian, ~taken)
    if second is not None:
        hamiltonian = hamiltonian + some(second.hamiltonian, taken)
    return first.replace(hamiltonian=hamiltonian)


def best_strengths(system: LCAOSystem) -> LCAOSystem:
    """The system with B in the form xi <L> / 2, xi fitted to every two shells of every two atoms.

    In the mean square no network that predicts xi alone can come closer.
    """
    pattern = system.hamiltonian.pattern
    overlap = system.overlap.on_pattern(pattern)
    momentum = integrals.angular_momentum(system.structure, system.basis, overlap=overlap)
    arrays = []
    for group, h, l in zip(pattern.groups, system.hamiltonian.values, momentum.values, strict=True):
        a, b = (system.basis.species[n].offsets for n in (group.species_i, group.species_j))
        h, l = h.copy(), l.imag
        for rows, columns in product(starmap(slice, pairwise(a)), starmap(slice, pairwise(b))):
            shell = np.s_[:, :, rows, columns]
            known, own = h[1:].imag[shell], l[shell]
            size = (own**2).sum(axis=(0, 2, 3))
            xi = (known * own).sum(axis=(0, 2, 3)) / np.where(size > 0, size, np.inf)
            h[1:].imag[shell] = xi[:, None, None] * own
        arrays.append(h)
    return system.replace(hamiltonian=BlockMatrix(pattern, tuple(arrays)))


@dataclass
class PartErrors:
    """Tallies of one real part."""

    onsite: Tally
    offsite: Tally

    @property
    def overall(self) -> Tally:
        return self.onsite + self.offsite


def part_errors(first: LCAOSystem, second: LCAOSystem | None) -> dict[str, PartErrors]:
    """Of each real part of first - second - mu S; of the first as it is if there is no second."""
    parts = parts_of(first.spin, part_names(first.spin))
    difference = first.hamiltonian
    if second is not None:
        pattern = difference.pattern.union(second.hamiltonian.pattern)
        pattern = pattern.union(second.overlap.pattern)
        overlap = second.overlap.on_pattern(pattern)
        difference = difference.on_pattern(pattern) - second.hamiltonian.on_pattern(pattern)
        mu = best_shift(difference, overlap)
        for array, s in zip(difference.values, overlap.values, strict=True):
            array[0] -= mu * s[0]
    out = {part.name: PartErrors(Tally(), Tally()) for part in parts}
    for group, array in zip(difference.pattern.groups, difference.values, strict=True):
        onsite = difference.pattern.onsite[group.slice]
        real, row = real_parts(array, parts)[0], 0
        for part in parts:
            values = real[row : row + len(part.components)]
            row += len(part.components)
            out[part.name].onsite.add(Tally.of(values[:, onsite]))
            out[part.name].offsite.add(Tally.of(values[:, ~onsite], 2))
    return out


# ----------------------------------------------------------------------------------------- bands
class Reference:
    """Bands of a reference on a mesh and along a path, and how others compare with them."""

    def __init__(self, system: LCAOSystem, options: argparse.Namespace, *, along: bool) -> None:
        self.system = system
        self.points = mesh_of(system, mesh_size(options.kpts), reduce=False)
        self.mesh = eigenstates(system, self.points)
        self.along = None
        if along:
            density = None if options.npoints else SMOOTH
            path = band_path(
                system.structure,
                options.path,
                npoints=options.npoints,
                density=density,
                eps=options.eps,
            )
            self.along = band_states(system, path)
            self.level = reference_level(self.mesh, self.along)
            self.path = self.along.path

    def bands(self, states: EigenStates) -> BandStructure:
        """ASE's bands whose zero is the Fermi level of the reference."""
        return to_band_structure(states, self.level)

    def against(self, system: LCAOSystem) -> Compared:
        """Errors of another system."""
        mesh = eigenstates(system, self.points)
        level = fermi_level_of_states(mesh)
        collapsed = check_collapse(system, level).collapsed
        on_mesh = compare_bands(mesh, self.mesh, windows=WINDOWS)
        if self.along is None:
            return Compared(on_mesh, None, None, collapsed)
        states = band_states(system, self.path)
        bands = self.bands(states)
        on_path = compare_bands(bands, self.bands(self.along), windows=WINDOWS)
        energies = states.energies - on_path.shift - self.level
        return Compared(on_mesh, on_path, energies, collapsed)


@dataclass
class Compared:
    """Errors on mesh and path; shifted energies along the path, from E_F of the reference."""

    mesh: BandComparison
    path: BandComparison | None
    energies: np.ndarray | None
    collapsed: bool


def mesh_size(text: str | None) -> Any:
    """Three integers, or points per 1/Å; None is the package's default."""
    if text is None:
        return None
    return tuple(int(n) for n in text.split(",")) if "," in text else float(text)


def mean_and_largest(found: Deviation) -> str:
    """In meV."""
    return f"{1e3 * found.mean:.3g} ({1e3 * found.max:.3g})" if found.count else "–"


def remark(found: Compared) -> str:
    """What a panel says about itself."""
    if found.collapsed:
        return "collapsed"
    return f"±1 eV: {1e3 * found.path.windows['1 eV'].mean:.0f} meV"


# ---------------------------------------------------------------------------------------- tables
def show(
    title: str, head: list[str], rows: Iterable[list[str]], *, markdown: bool, texts: int = 1
) -> None:
    """A table, for the documentation or for the eye; the first `texts` columns are words."""
    print(f"\n{title}\n" if title else "")
    rows = list(rows)
    if markdown:
        lines = [head, ["---"] * texts + ["---:"] * (len(head) - texts), *rows]
        print("\n".join("| " + " | ".join(row) + " |" for row in lines), flush=True)
        return
    widths = [max(len(row[n]) for row in (head, *rows)) for n in range(len(head))]
    for row in (head, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip(), flush=True)


def measures(
    system: LCAOSystem,
    predictions: list[tuple[str, LCAOSystem, LCAOSystem]],
    best: LCAOSystem | None,
    spin_parts: str,
) -> list[tuple[str, LCAOSystem, str]]:
    """Rows of the table of bands, and the titles of their panels ("": none)."""
    out = []
    if spin_parts:
        off = {"B": "spin-orbit", "C": "exchange field"}.get(spin_parts, f"parts {spin_parts}")
        without = combined(system, None, spin_parts)
        out.append((f"reference without {off}", without, f"no {off}"))
    if best is not None:
        out.append((f"{BEST}, P of the reference", best, "best ξ"))
    for name, predicted, aligned in predictions:
        out.append((name, predicted, name))
        if spin_parts:
            mixed = combined(aligned, predicted, spin_parts)
            out.append((f"{spin_parts} of {name}, P of the reference", mixed, ""))
    return out


def heads(options: argparse.Namespace) -> int:
    """Several models on one reference."""
    named = [text.partition("=")[::2] for text in options.models]
    if not all(name and path for name, path in named):
        raise SystemExit("models are given as NAME=MODEL, for example general=bi2se3.mlham")
    models = [(name, load_model(path)) for name, path in named]
    system = read_system(options.reference)
    predictions = []
    for name, model in models:
        predicted, aligned = prediction(model, system)
        predictions.append((name, predicted, aligned))
    size = part_errors(system, None)
    errors = {name: part_errors(predicted, aligned) for name, predicted, aligned in predictions}
    known = [
        part for part in size if max(e[part].overall.mae for e in (size, *errors.values())) > NOISE
    ]
    best = None
    if "B" in known:
        best = best_strengths(system)
        errors = {BEST: part_errors(best, system), **errors}
    head = ["MAE, meV"] + [f"{p}{w}" for p in known for w in ("", " on site", " off site")]
    rows = []
    for name, found in (("mean size in the reference", size), *errors.items()):
        tallies = [t for p in known for t in (found[p].overall, found[p].onsite, found[p].offsite)]
        rows.append([name, *(f"{tally.mae:.3g}" for tally in tallies)])
    atoms = system.structure.to_atoms()
    show(f"{atoms.symbols} ({options.reference.name})", head, rows, markdown=options.markdown)

    reference = Reference(system, options, along=True)
    spin_parts = "".join(part for part in known if part != "P")
    others = measures(system, predictions, best, spin_parts)
    head = ["bands, meV: mean (largest)"]
    head += [f"{where} ±{window}" for where in ("mesh", "path") for window in WINDOWS]
    rows, panels = [], []
    kpts = mesh_size(options.kpts)
    known_gap = gap(system, kpts).fundamental
    rows.append(["reference", *["–"] * 4, f"{known_gap:.4f}", "–"])
    for name, other, title in others:
        found = reference.against(other)
        cells = [mean_and_largest(c.windows[w]) for c in (found.mesh, found.path) for w in WINDOWS]
        with warnings.catch_warnings():
            # the row says so
            warnings.simplefilter("ignore", CollapseWarning)
            its_gap = gap(other, kpts).fundamental
        error = f"{1e3 * (its_gap - known_gap):+.1f}"
        told = f"{name} (collapsed)" if found.collapsed else name
        rows.append([told, *cells, f"{its_gap:.4f}", error])
        if title:
            panels.append(Panel(title, found.energies, remark(found)))
    mesh = "×".join(str(n) for n in reference.mesh.mesh.size)
    show(
        f"mesh {mesh}, path {reference.path.path} of {len(reference.path.kpts)} points",
        [*head, "gap, eV", "its error, meV"],
        rows,
        markdown=options.markdown,
    )
    if options.picture:
        draw(reference.bands(reference.along), panels, options.window, options.picture)
    return 0


def references(folder: Path, pattern: str) -> Iterator[tuple[str, LCAOSystem]]:
    """Collinear systems of a folder, or of one file."""
    paths = [folder] if folder.is_file() else sorted(folder.glob(pattern))
    if not paths:
        raise SystemExit(f"{folder}: no {pattern} in it")
    for path in paths:
        system = read_system(path)
        if system.spin is SpinKind.COLLINEAR:
            yield path.name, system


def moments(options: argparse.Namespace) -> int:
    """One model on all references of a folder."""
    model = load_model(options.model)
    head = ["file", "atoms", "P, meV", "C, meV", "states ±1 eV, meV", "gap, eV", "gap predicted"]
    head += ["moment, μB", "moment predicted", "largest moment error, μB"]
    rows, numbers = [], []
    for name, system in references(options.folder, options.files):
        predicted, aligned = prediction(model, system)
        parts = part_errors(predicted, aligned)
        compared = Reference(aligned, options, along=False).against(predicted)
        levels = compared.mesh
        gaps = [
            gap(s, mesh_size(options.kpts), path=False, refine=False) for s in (aligned, predicted)
        ]
        known, found = (
            charges(s, mesh_size(options.kpts)).moments[:, 2] for s in (aligned, predicted)
        )
        largest = float(abs(found - known).max())
        window = levels.windows["1 eV"]
        numbers.append([parts["P"].overall.mae, parts["C"].overall.mae, 1e3 * window.mean, largest])
        rows.append(
            [
                f"{name} (collapsed)" if compared.collapsed else name,
                str(system.structure.to_atoms().symbols),
                *(f"{parts[p].overall.mae:.3g}" for p in "PC"),
                mean_and_largest(window),
                *(f"{g.fundamental:.3f}" for g in gaps),
                *(f"{m.sum():.3f}" for m in (known, found)),
                f"{largest:.3f}",
            ]
        )
    if not rows:
        raise SystemExit(f"{options.folder}: no collinear system")
    p, c, states, largest = np.mean(numbers, axis=0)
    cells = [f"{p:.3g}", f"{c:.3g}", f"{states:.3g}", *["–"] * 4, f"{largest:.3f}"]
    rows.append([f"mean of {len(rows)}", "", *cells])
    show(str(options.model), head, rows, markdown=options.markdown, texts=2)
    if options.show:
        system = read_system(options.show)
        predicted, aligned = prediction(model, system)
        reference = Reference(aligned, options, along=True)
        found = reference.against(predicted)
        panels = [
            Panel(f"spin {spin}", found.energies[n : n + 1], channel=n)
            for n, spin in enumerate(("up", "down"))
        ]
        cells = [mean_and_largest(c.windows[w]) for c in (found.mesh, found.path) for w in WINDOWS]
        head = [f"{where} ±{window}" for where in ("mesh", "path") for window in WINDOWS]
        show(
            f"{options.show.name}, path {reference.path.path}",
            ["bands, meV: mean (largest)", *head],
            [[str(system.structure.to_atoms().symbols), *cells]],
            markdown=options.markdown,
        )
        draw(reference.bands(reference.along), panels, options.window, options.picture)
    return 0


def symmetry(options: argparse.Namespace) -> int:
    """Residuals of the symmetries for every spin kind."""
    settings = dict(setting(text) for text in options.set)
    names = [name for name in check_names() if name not in NOT_SYMMETRIES]
    family = hooks.find("model family", options.family)
    kinds = {name: KINDS[name] for name in options.kinds if KINDS[name][0] in family.spin_kinds}
    failures = 0
    for preset in options.presets or [None]:
        reports = {
            column: check_family(
                family, preset=preset, spin=spin, parts=parts, form=form, checks=names, **settings
            )
            for column, (spin, parts, form) in kinds.items()
        }
        rows = []
        for name in names:
            found = [report[name] for report in reports.values()]
            failures += sum(result.status == "failed" for result in found)
            if all(result.status == "skipped" for result in found):
                continue
            values = [residual(result.value) for result in found]
            limit = max((r.limit for r in found if not math.isnan(r.limit)), default=math.nan)
            said = (CHECKS[name].__doc__ or "").strip().splitlines()[0]
            rows.append([name.replace("_", " "), said, *values, f"{limit:.0e}"])
        title = ", ".join([options.family, *([f"preset {preset}"] if preset else []), *options.set])
        head = ["check", "what it says", *reports, "limit"]
        show(title, head, rows, markdown=options.markdown, texts=2)
    return 1 if failures else 0


def residual(value: float) -> str:
    """A deviation; none at all is told from round-off."""
    if math.isnan(value):
        return "–"
    return f"{value:.0e}" if value else "0"


def setting(text: str) -> tuple[str, Any]:
    """A field of the family's configuration, NAME=VALUE."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def parser() -> argparse.ArgumentParser:
    """Arguments."""
    out = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = out.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        made.add_argument("--markdown", action="store_true", help="tables for the documentation")
        return made

    def bands_of(made: argparse.ArgumentParser) -> None:
        made.add_argument("--kpts", help="mesh: 6,6,6 or points per 1/Å (default: 5)")
        made.add_argument("--path", help="special points, such as GZFGL, or seekpath")
        made.add_argument("--npoints", type=int, help="points of the path")
        made.add_argument("--eps", type=float, default=2e-4, help="recognition of the lattice")
        made.add_argument("--window", type=float, nargs=2, default=(-2.0, 2.0), metavar="eV")
        made.add_argument("--picture", type=Path, metavar="FILE", help="bands: png, pdf, svg")

    made = command("heads", heads, "several models on one reference")
    made.add_argument("reference", type=Path)
    made.add_argument("models", nargs="+", metavar="NAME=MODEL")
    bands_of(made)
    made = command("moments", moments, "one model on collinear references")
    made.add_argument("folder", type=Path)
    made.add_argument("model")
    made.add_argument("--files", default="*.h5", help="which of the folder (default: *.h5)")
    made.add_argument("--show", type=Path, metavar="FILE", help="reference whose bands are drawn")
    bands_of(made)
    made = command("symmetry", symmetry, "residuals of the symmetries for every spin kind")
    made.add_argument("--family", default="hamgnn")
    made.add_argument("--presets", nargs="+", default=[], help="default: the defaults")
    made.add_argument(
        "--kinds",
        nargs="+",
        default=list(KINDS),
        choices=list(KINDS),
        help="columns (default: all)",
    )
    made.add_argument(
        "--set", nargs="+", default=[], metavar="NAME=VALUE", help="further options of the family"
    )
    return out


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for."""
    asked = parser()
    options = asked.parse_args(arguments)
    if getattr(options, "show", None) and not options.picture:
        asked.error("--show needs --picture FILE")
    return int(options.run(options))


if __name__ == "__main__":
    sys.exit(main())
