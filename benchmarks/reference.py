"""Units of time that travel between machines, measured in the process that uses them.

Runners differ by a factor of three, so a budget is a ratio to one of these and not a time:

    G   one 2048 x 2048 double precision matrix product by NumPy on one thread
    M   one copy of 25,406,784 doubles: all of H of SiGe with 1,728 atoms, 203 MB
    P   start of a new Python process that imports NumPy

    python benchmarks/reference.py            # prints the units of this machine

A benchmark script does

    from reference import Budget, measure, units
    budget = Budget("overlap of 216 atoms", limit=2.7 / 8, unit="G")
    print(budget.check(measure(function)))
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np
from threadpoolctl import threadpool_limits

__all__ = ["Budget", "Timing", "Verdict", "measure", "one_thread", "peak_memory", "units"]

N_COPY = 25_406_784
N_PRODUCT = 2048


class BudgetExceededError(RuntimeError):
    """An operation took longer than its budget allows."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep BLAS and OpenMP to one thread: CPU seconds of several threads add up and mislead."""
    with threadpool_limits(limits=1):
        yield


@dataclass(frozen=True)
class Timing:
    """How long an operation took.

    Attributes
    ----------
    cpu : float
        Median of the CPU seconds of this process, user and system.
    wall : float
        Median of the seconds on the clock; means little on a busy machine.
    repeats : int
        How often it was run, the warm-up left out.
    """

    cpu: float
    wall: float
    repeats: int


def measure(
    operation: Callable[[], object], *, repeats: int = 3, warm_up: int = 1, children: bool = False
) -> Timing:
    """Time an operation on one thread.

    Parameters
    ----------
    operation : callable
        What to run, without arguments.
    repeats : int
        Runs of which the median is taken; at least 3.
    warm_up : int
        Runs before, which fill caches and lazily imported modules.
    children : bool
        Count the CPU seconds of the processes that the operation starts instead of this one's.
    """
    if repeats < 3:
        raise ValueError(f"{repeats} repeats: a median needs at least 3")
    cpu, wall = [], []
    with one_thread():
        for _ in range(warm_up):
            operation()
        for _ in range(repeats):
            start_cpu, start = _cpu_seconds(children=children), time.perf_counter()
            operation()
            cpu.append(_cpu_seconds(children=children) - start_cpu)
            wall.append(time.perf_counter() - start)
    return Timing(statistics.median(cpu), statistics.median(wall), repeats)


def _cpu_seconds(*, children: bool) -> float:
    if not children:
        return time.process_time()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def peak_memory() -> float:
    """Largest memory that this process has had, MB. Measure in a process that does nothing else."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 1e6 if sys.platform == "darwin" else used * 1024 / 1e6


@lru_cache(maxsize=1)
def units() -> dict[str, float]:
    """CPU seconds of G, M and P on this machine now."""
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, N_PRODUCT, N_PRODUCT))
    product = np.empty_like(a)
    source, target = np.ones(N_COPY), np.empty(N_COPY)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

    def start_python() -> None:
        subprocess.run([sys.executable, "-c", "import numpy"], check=True, env=environment)

    return {
        "G": measure(lambda: np.matmul(a, b, out=product), repeats=5).cpu,
        "M": measure(lambda: np.copyto(target, source), repeats=5).cpu,
        "P": measure(start_python, repeats=5, children=True).cpu,
    }


@dataclass(frozen=True)
class Verdict:
    """A measurement beside its budget.

    Attributes
    ----------
    name : str
        The operation.
    cpu : float
        CPU seconds.
    ratio : float
        CPU seconds in the budget's unit.
    limit : float
        Largest ratio that passes.
    unit : str
        "G", "M" or "P".
    verdict : str
        "ok"; "close" above 0.8 of the limit; "over".
    """

    name: str
    cpu: float
    ratio: float
    limit: float
    unit: str
    verdict: str

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.cpu:.3f} cpu s = {self.ratio:.3g} {self.unit}, "
            f"budget {self.limit:.3g} {self.unit}: {self.verdict}"
        )

    def to_dict(self) -> dict[str, float | str]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Budget:
    """What an operation may cost.

    Parameters
    ----------
    name : str
        The operation.
    limit : float
        Largest ratio to the unit.
    unit : str
        "G", "M" or "P".
    """

    name: str
    limit: float
    unit: str = "G"

    def check(self, timing: Timing) -> Verdict:
        """Compare a timing with the budget."""
        ratio = timing.cpu / units()[self.unit]
        verdict = "over" if ratio > self.limit else "close" if ratio > 0.8 * self.limit else "ok"
        return Verdict(self.name, timing.cpu, ratio, self.limit, self.unit, verdict)

    def require(self, timing: Timing) -> Verdict:
        """Compare a timing with the budget, and refuse one that is over it."""
        verdict = self.check(timing)
        if verdict.verdict == "over":
            raise BudgetExceededError(str(verdict))
        return verdict


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the units of time of this machine.")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    found = units()
    if options.json:
        print(json.dumps(found))
        return
    flops = 2 * N_PRODUCT**3 / found["G"]
    print(f"G  {found['G']:.3f} cpu s  ({flops / 1e9:.0f} GF/s)")
    print(f"M  {found['M']:.4f} cpu s  ({16 * N_COPY / found['M'] / 1e9:.1f} GB/s)")
    print(f"P  {found['P']:.3f} cpu s")


if __name__ == "__main__":
    main()
