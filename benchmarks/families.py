r"""Families of networks on equal terms: the same structures, the same time, the same questions.

    python benchmarks/families.py train --data DATA --work WORK [--scale 1.0] [--parallel 2]
    python benchmarks/families.py table --data DATA --work WORK [--overlap-floor 0.01]
    python benchmarks/families.py curves --work WORK --picture curves.png

DATA holds a folder for each set of `SETS`, with train/, test/ and, if there are enough structures,
validation/. Those of OpenMX come from `examples/openmx_sets/convert.py`, the elements from
`examples/elements`:

    python examples/openmx_sets/convert.py sige.npz sige_shapes.npz --pao PAO --output DATA/sige
    python examples/openmx_sets/convert.py graphene.npz --pao PAO --output DATA/graphene
    (likewise mos2.npz and molecules.npz)
    python examples/openmx_sets/convert.py bi2se3_soc.npz --pao PAO --output DATA/bi2se3 \
        --leave-out 2

`train` gives every family the same minutes of one core on every set: the default preset, the same
baseline, loss, optimiser and learning rate schedule. A training that ended is not repeated; one
that was interrupted goes on. `table` evaluates all of them on the test structures; `curves` draws
the validation error against time (the loss of training where there is no validation set).
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MLHAM = [sys.executable, "-m", "ase_mlham"]


@dataclass(frozen=True)
class Set:
    """Structures to compare on.

    Attributes
    ----------
    title : str
        For tables and pictures.
    minutes : float
        Of training.
    kpts : float
        k-points per 1/Å of the bands that are compared.
    """

    title: str
    minutes: float
    kpts: float = 2.0


SETS = {
    "sige": Set("SiGe alloys, 8 atoms", 12.0),
    "graphene": Set("graphene, 8 atoms", 6.0),
    "mos2": Set("MoS2, 3 atoms", 4.0),
    "molecules": Set("molecules, 2–12 atoms", 8.0),
    "bi2se3": Set("Bi2Se3, 5 atoms, spin-orbit", 10.0),
    "elements": Set("ten elements, 2–8 atoms", 14.0),
}
FAMILIES = ("hamgnn", "lcnet", "deeph2")

RECIPE = """\
recipe = "hamiltonian"
output = {output}

[data]
train = [{train}]
validation = [{validation}]
test = [{test}]

[family]
name = "{family}"
preset = "{preset}"

[training]
epochs = 1000000
max_minutes = {minutes}
ema = 0.998
validate_every = {every}
threads = 1
device = "cpu"
memory_gb = 3.0

[card]
evaluate_bands = false
"""


@dataclass(frozen=True)
class Job:
    """One family on one set.

    Attributes
    ----------
    family, preset, data
        Names; the preset may be empty.
    folder : Path
        Of everything that it writes.
    """

    family: str
    preset: str
    data: str
    folder: Path

    @property
    def name(self) -> str:
        """Family, and its preset if there is one."""
        return f"{self.family}-{self.preset}" if self.preset else self.family

    @property
    def stem(self) -> Path:
        """Path of its files without their endings."""
        return self.folder / f"{self.data}-{self.name}"

    @property
    def model(self) -> Path:
        """The trained model."""
        return self.stem.with_suffix(".mlham")

    def write_recipe(self, data: Path, scale: float) -> Path:
        """Configuration file of the training."""
        folders = {part: data / self.data / part for part in ("train", "validation", "test")}
        there = {
            part: json.dumps(str(folder)) if folder.is_dir() else ""
            for part, folder in folders.items()
        }
        count = len(list(folders["train"].glob("*.h5")))
        text = RECIPE.format(
            output=json.dumps(str(self.model)),
            family=self.family,
            preset=self.preset,
            minutes=scale * SETS[self.data].minutes,
            # about as many validations on every set, each of which costs a few steps
            every=max(1, math.ceil(60 / max(count, 1))),
            **there,
        )
        path = self.stem.with_suffix(".toml")
        path.write_text(text)
        return path


def jobs(options: argparse.Namespace) -> list[Job]:
    """All families on all sets, the longest first."""
    order = sorted(options.sets, key=lambda name: -SETS[name].minutes)
    found = []
    for name in order:
        for word in options.families:
            family, _, preset = word.partition(":")
            found.append(Job(family, preset, name, options.work))
    return found


def run(command: list[str], log: Path) -> int:
    """A command with one thread; what it says goes to a file."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, "1")}
    with log.open("a") as stream:
        return subprocess.run(
            command, stdout=stream, stderr=subprocess.STDOUT, env=environment, check=False
        ).returncode


def train(options: argparse.Namespace) -> None:
    """Train everything that is not there yet."""
    options.work.mkdir(parents=True, exist_ok=True)

    def one(job: Job) -> None:
        if job.model.is_file():
            print(f"{job.model}: there", flush=True)
            return
        recipe = job.write_recipe(options.data, options.scale)
        failed = run([*MLHAM, "train", str(recipe)], job.stem.with_suffix(".log"))
        word = f"failed, see {job.stem}.log" if failed else "trained"
        print(f"{job.model}: {word}", flush=True)

    with ThreadPoolExecutor(options.parallel) as pool:
        list(pool.map(one, jobs(options)))


def evaluated(job: Job, data: Path, floor: float | None) -> dict[str, Any] | None:
    """Errors of a trained model on the test structures; kept beside it."""
    path = job.stem.with_suffix(".json" if floor is None else f".{floor:g}.json")
    if not job.model.is_file():
        return None
    if not path.is_file() or path.stat().st_mtime < job.model.stat().st_mtime:
        test = str(data / job.data / "test")
        command = [*MLHAM, "evaluate", str(job.model), test, "--json", str(path)]
        command += ["-k", str(SETS[job.data].kpts)]
        command += [] if floor is None else ["--overlap-floor", str(floor)]
        if run(command, job.stem.with_suffix(".log")):
            return None
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def number(values: dict[str, float], name: str, digits: int = 3) -> str:
    """A value of a summary, or a dash."""
    return f"{values[name]:.{digits}g}" if name in values else "–"


def table(options: argparse.Namespace) -> None:
    """Errors of all models."""
    from ase_mlham.learning.model_file import ModelFile

    print(
        "| set | family | weights | steps | H, meV | on-site | off-site | worst structure ", end=""
    )
    print("| bands ±1 eV | occupied | gap | collapsed |\n|" + " --- |" * 2 + " ---: |" * 10)
    for job in jobs(options):
        found = evaluated(job, options.data, options.overlap_floor)
        if found is None:
            continue
        model = ModelFile.read(job.model)
        weights = sum(array.size for array in model.weights.values())
        errors = found["summary"]
        cells = [
            SETS[job.data].title,
            job.name,
            f"{weights / 1e6:.2f} M",
            f"{model.card['training']['steps']:,}",
            number(errors, "H MAE"),
            number(errors, "H on-site MAE"),
            number(errors, "H off-site MAE"),
            number(errors, "H worst structure MAE"),
            number(errors, "bands within 1 eV MAE"),
            number(errors, "occupied bands MAE"),
            number(errors, "gap MAE"),
            f"{errors.get('collapsed', 0):.0f} of {errors['structures']:.0f}",
        ]
        print("| " + " | ".join(cells) + " |", flush=True)


def logged(folder: Path) -> Iterator[dict[str, float]]:
    """Lines of the logs of a training, interrupted ones included."""
    versions = sorted(folder.glob("csv/version_*/metrics.csv"), key=lambda p: p.stat().st_mtime)
    for path in versions:
        with path.open() as stream:
            for line in csv.DictReader(stream):
                yield {key: float(value) for key, value in line.items() if value}


def curve(job: Job) -> tuple[list[float], list[float], str]:
    """Minutes, error and what it is an error of."""
    minutes = 0.0
    found: dict[str, tuple[list[float], list[float]]] = {}
    for line in logged(job.stem.with_suffix(".training")):
        minutes = line.get("train/minutes", minutes)
        for key in ("validation/mae", "train/loss"):
            if key in line and minutes:
                times, values = found.setdefault(key, ([], []))
                times.append(minutes)
                values.append(line[key])
    for key, label in (("validation/mae", "validation MAE"), ("train/loss", "training loss")):
        if key in found:
            return *found[key], label
    return [], [], ""


def curves(options: argparse.Namespace) -> None:
    """A panel for each set."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    sets = [name for name in SETS if name in options.sets]
    columns = min(3, len(sets))
    rows = math.ceil(len(sets) / columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(3.1 * columns, 2.6 * rows), layout="constrained", squeeze=False
    )
    colours = {name: f"C{n}" for n, name in enumerate(options.families)}
    for ax, name in zip(axes.flat, sets, strict=False):
        for word in options.families:
            family, _, preset = word.partition(":")
            times, values, label = curve(Job(family, preset, name, options.work))
            if times:
                ax.plot(times, values, color=colours[word], lw=1.2, label=word)
                ax.set_ylabel(f"{label}, meV")
        ax.set(title=SETS[name].title, xlabel="minutes of one core", xscale="log", yscale="log")
        ax.title.set_fontsize(9)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_locator(NullLocator())
    for ax in list(axes.flat)[len(sets) :]:
        ax.set_axis_off()
    axes.flat[0].legend(frameon=False, fontsize=8)
    figure.savefig(options.picture, dpi=150)


def main() -> None:
    """Do what the first word says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["train", "table", "curves"])
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--work", type=Path, default=Path("families"))
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), metavar="NAME[:PRESET]")
    parser.add_argument("--scale", type=float, default=1.0, help="of all training times")
    parser.add_argument("--parallel", type=int, default=1, help="trainings at once, a core each")
    parser.add_argument("--overlap-floor", type=float, help="as of `mlham evaluate`")
    parser.add_argument("--picture", type=Path, default=Path("curves.png"))
    options = parser.parse_args()
    {"train": train, "table": table, "curves": curves}[options.what](options)


if __name__ == "__main__":
    main()
