"""Many structures to reference files: several at once, restartable, failures reported.

Every structure becomes one file `0007-1f3a9c02b7de.h5`: its place in the list, and a hash of
structure, engine and settings. A file appears only when it is complete, so after a kill the same
call goes on where it stopped and loses at most what was being computed. `report.json` beside the
files says what became of each structure.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from itertools import chain
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_mlham.engines.compute import compute_system, make_settings
from ase_mlham.errors import EngineError, InputError, MLHamError

if TYPE_CHECKING:
    from ase import Atoms

    from ase_mlham.core import LCAOSystem

__all__ = ["REPORT", "GenerationEvent", "generate", "structure_hash", "with_moments"]

REPORT = "report.json"
"""Name of the report in the output folder."""

Write = Callable[["LCAOSystem", Path], None]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GenerationEvent:
    """What became of one structure.

    Attributes
    ----------
    index : int
        Place in the list of structures.
    formula : str
        Chemical formula.
    file : str
        Name of the file in the output folder.
    status : str
        "finished", "present" (made by an earlier call, or equal to another structure), or "failed".
    seconds : float
        Wall time of the calculation.
    message : str
        Why it failed, else empty.
    error : str
        Class of the error, else empty.
    details : mapping
        Of a finished structure: iterations, free energy (eV), smallest overlap eigenvalue, and
        with spin the total moment (Bohr magnetons).
    done, total : int
        Structures dealt with so far, and all of them.
    """

    index: int
    formula: str
    file: str
    status: str
    seconds: float = 0.0
    message: str = ""
    error: str = ""
    details: Mapping[str, Any] | None = None
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class _Job:
    index: int
    atoms: Any
    file: str
    formula: str


def structure_hash(atoms: Atoms, engine: str, settings: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that stand for a structure, an engine and all its settings."""
    digest = hashlib.sha256()
    digest.update(np.asarray(atoms.numbers, dtype="<i8").tobytes())
    digest.update(np.asarray(atoms.positions, dtype="<f8").tobytes())
    digest.update(np.asarray(atoms.cell, dtype="<f8").tobytes())
    digest.update(np.asarray(atoms.pbc, dtype="u1").tobytes())
    moments = np.asarray(atoms.get_initial_magnetic_moments(), dtype="<f8")
    if moments.any():
        digest.update(moments.tobytes())
    digest.update(json.dumps([engine, dict(settings)], sort_keys=True).encode())
    return digest.hexdigest()[:12]


def with_moments(atoms: Atoms, moments: Mapping[str, float]) -> Atoms:
    """The structure with initial magnetic moments by element.

    Parameters
    ----------
    atoms : ase.Atoms
        Left as it is.
    moments : mapping of str to float
        Symbol and Bohr magnetons; elements that are not named keep the moments they have.

    Raises
    ------
    InputError
        A name is no element, or the atoms carry vectors.
    """
    from ase.data import atomic_numbers

    unknown = [name for name in moments if name not in atomic_numbers]
    if unknown:
        raise InputError(f"moments: {', '.join(unknown)} is no chemical symbol")
    out = atoms.copy()
    values = np.array(atoms.get_initial_magnetic_moments(), dtype=float)
    if values.ndim != 1:
        raise InputError(
            f"moments by element: a structure carries moments of shape {values.shape}, which are "
            "vectors; take them out of the file, or leave the moments by element out"
        )
    for name, value in moments.items():
        values[out.numbers == atomic_numbers[name]] = value
    out.set_initial_magnetic_moments(values)
    return out


def generate(
    structures: Iterable[Atoms],
    output_directory: str | Path,
    *,
    write: Write,
    engine: str = "pyscf",
    settings: Mapping[str, Any] | None = None,
    moments: Mapping[str, float] | None = None,
    workers: int = 1,
    on_error: str = "report",
) -> Iterator[GenerationEvent]:
    """Compute reference systems and write each to a file.

    The call is lazy: work is done while the events are read.

    Parameters
    ----------
    structures : iterable of ase.Atoms
        What to compute, in order.
    output_directory : path
        Made if it does not exist.
    write : callable
        `write(system, path)`; with several workers it must be a function of a module.
    engine : str
        Name of an installed engine.
    settings : mapping, optional
        As for `compute_system`.
    moments : mapping, optional
        Initial magnetic moments by element, as for `with_moments`; other atoms start with those
        that their structure carries.
    workers : int
        Processes, with one thread each. With one, the work is done in this process.
    on_error : str
        "report" goes on with the next structure; "raise" stops at the first that fails.

    Yields
    ------
    GenerationEvent
        One for each structure, in the order in which they end.

    Raises
    ------
    InputError
        The folder holds results of another engine or of other settings.
    EngineError
        A structure failed and `on_error` is "raise".
    """
    from ase import Atoms

    if on_error not in ("report", "raise"):
        raise InputError(f"on_error={on_error!r}: give 'report' or 'raise'")
    if workers < 1:
        raise InputError(f"workers={workers}: at least one process is needed")
    values = dict(settings or {})
    resolved = asdict(make_settings(engine, values))
    folder = Path(output_directory)
    folder.mkdir(parents=True, exist_ok=True)
    report = _Report(folder, engine, resolved)
    for leftover in folder.glob(".*.partial.h5"):
        leftover.unlink()
    present = {path.stem.partition("-")[2]: path.name for path in folder.glob("*-*.h5")}
    jobs, events = [], []
    for index, given in enumerate(structures):
        atoms = with_moments(given, moments) if moments else given
        code = structure_hash(atoms, engine, resolved)
        formula = atoms.get_chemical_formula()
        if code in present:
            events.append(GenerationEvent(index, formula, present[code], "present"))
            continue
        file = f"{index:04d}-{code}.h5"
        present[code] = file
        # without calculators and arrays, which need not survive the way to another process
        plain = Atoms(
            atoms.numbers,
            positions=atoms.positions,
            cell=atoms.cell.array,
            pbc=atoms.pbc,
            magmoms=atoms.get_initial_magnetic_moments(),
        )
        jobs.append(_Job(index, plain, file, formula))
    total = len(jobs) + len(events)
    run = _in_process if workers == 1 else _in_processes
    all_events = chain(events, run(jobs, folder, write, engine, values, workers))
    for done, ended in enumerate(all_events, start=1):
        event = replace(ended, done=done, total=total)
        report.add(event)
        yield event
        if event.status == "failed" and on_error == "raise":
            raise EngineError(f"structure {event.index} ({event.formula}): {event.message}")


class _Report:
    """The report file, rewritten whole after every event."""

    def __init__(self, folder: Path, engine: str, settings: Mapping[str, Any]) -> None:
        self.path = folder / REPORT
        self.head = {"engine": engine, "settings": dict(settings)}
        self.entries: dict[str, dict[str, Any]] = {}
        if self.path.exists():
            self._resume()

    def _resume(self) -> None:
        try:
            old = json.loads(self.path.read_text(encoding="utf-8"))
            engine, settings = old["engine"], dict(old["settings"])
            self.entries = {entry["file"]: entry for entry in old["structures"]}
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{self.path} is not a report of this package ({error}); use another folder"
            ) from error
        # what JSON makes of tuples must not count as a difference
        wanted = json.loads(json.dumps(self.head))
        changed = [
            f"{name}: {settings.get(name)!r} there, {value!r} now"
            for name, value in wanted["settings"].items()
            if settings.get(name) != value
        ]
        if engine != wanted["engine"]:
            changed.insert(0, f"engine: {engine!r} there, {wanted['engine']!r} now")
        if changed:
            raise InputError(
                f"{self.path.parent} holds results of other settings ({'; '.join(changed)}); use "
                "another folder, or the same settings to go on"
            )

    def add(self, event: GenerationEvent) -> None:
        if event.status == "present" and event.file in self.entries:
            return
        entry = asdict(event)
        for name in ("done", "total"):
            del entry[name]
        self.entries[event.file] = entry
        entries = sorted(self.entries.values(), key=lambda item: (item["index"], item["file"]))
        count = {s: sum(e["status"] == s for e in entries) for s in ("finished", "failed")}
        text = json.dumps({**self.head, **count, "structures": entries}, indent=1)
        partial = self.path.with_name(f".{REPORT}.partial")
        partial.write_text(text + "\n", encoding="utf-8")
        partial.replace(self.path)


def _one(job: _Job, folder: Path, write: Write, engine: str, values: dict) -> GenerationEvent:
    """Compute and write one structure; an error of the package becomes an event."""
    begin = time.perf_counter()
    try:
        system = compute_system(job.atoms, engine, **values)
    except (MLHamError, np.linalg.LinAlgError, MemoryError) as error:
        return GenerationEvent(
            job.index,
            job.formula,
            job.file,
            "failed",
            time.perf_counter() - begin,
            str(error) or "not enough memory",
            type(error).__name__,
        )
    partial = folder / f".{job.file.removesuffix('.h5')}.partial.h5"
    write(system, partial)
    partial.replace(folder / job.file)
    names = ("iterations", "free_energy", "smallest_overlap_eigenvalue", "total_moment")
    details = {name: system.provenance[name] for name in names if name in system.provenance}
    return GenerationEvent(
        job.index,
        job.formula,
        job.file,
        "finished",
        time.perf_counter() - begin,
        details=details,
    )


def _in_process(
    jobs: list[_Job], folder: Path, write: Write, engine: str, values: dict, workers: int
) -> Iterator[GenerationEvent]:
    for job in jobs:
        yield _one(job, folder, write, engine, values)


def _single_thread() -> None:
    """Make a worker use one thread: several structures at once are what fills the machine.

    An interrupt from the keyboard is the parent's business, which ends its workers.
    """
    from threadpoolctl import threadpool_limits

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"
    threadpool_limits(1)


def _in_processes(
    jobs: list[_Job], folder: Path, write: Write, engine: str, values: dict, workers: int
) -> Iterator[GenerationEvent]:
    """Keep `workers` structures in flight; a worker that dies costs only its own structure."""
    waiting = list(reversed(jobs))
    others = set(active_children())
    # a structure whose worker died is tried once more, alone, to find out whether it is the cause
    suspects: list[_Job] = []
    while waiting or suspects:
        alone = not waiting
        pool = ProcessPoolExecutor(
            1 if alone else workers, mp_context=get_context("spawn"), initializer=_single_thread
        )
        queue, width = (suspects, 1) if alone else (waiting, workers)
        running: dict[Future, _Job] = {}
        try:
            while queue or running:
                while queue and len(running) < width:
                    job = queue.pop()
                    running[pool.submit(_one, job, folder, write, engine, values)] = job
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    job = running[future]
                    event = future.result()
                    del running[future]
                    yield event
        except BrokenProcessPool:
            _log.warning("a worker process died; %d structures were in flight", len(running))
            if alone:
                job = next(iter(running.values()))
                yield GenerationEvent(
                    job.index,
                    job.formula,
                    job.file,
                    "failed",
                    message="the worker process died: too little memory, or it was killed; use "
                    "fewer workers or a smaller structure",
                    error="BrokenProcessPool",
                )
            else:
                suspects.extend(running.values())
        except BaseException:
            # interrupted, or nobody wants the rest: what is in flight would take minutes
            for process in set(active_children()) - others:
                process.terminate()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
