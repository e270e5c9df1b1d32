"""Time from the start of a process to the end of a command, against the budgets.

    python benchmarks/cold_start.py [FILE ...]

Every line is a new interpreter with one thread; processor seconds and the largest memory of its
process, best of three. FILE may be DFT outputs (two atoms for the budget), and structures, which
are predicted with the model `sige`. Without FILE the bands of a file that this script writes are
computed: two atoms with 13 orbitals each and random matrices.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
HELP, DFT, MODEL = 0.3, 1.5, 5.0  # budgets, processor seconds


def measure(arguments: list[str], repeats: int = 3) -> tuple[float, float, float]:
    """Processor seconds, wall seconds and memory (MB) of `python arguments`."""
    best = (float("inf"), float("inf"), 0.0)
    for _ in range(repeats):
        program = (
            "import resource, subprocess, sys\n"
            "done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)\n"
            "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
            "print(done.returncode, used.ru_utime + used.ru_stime, used.ru_maxrss)\n"
        )
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", program, sys.executable, *arguments],
            capture_output=True,
            text=True,
            check=True,
            env=ENVIRONMENT,
        )
        wall = time.perf_counter() - start
        code, seconds, memory = done.stdout.split()
        if int(code) != 0:
            raise SystemExit(f"{arguments} ended with {code}: {done.stderr}")
        best = min(best, (float(seconds), wall, float(memory) / 1024))
    return best


def two_atoms(folder: Path) -> Path:
    """A native file of two silicon atoms with 13 orbitals each."""
    import numpy as np
    from ase.build import bulk

    from ase_mlham import LCAOSystem, OrbitalBasis, Structure, write_system
    from ase_mlham.core import BlockMatrix, Shell, SpeciesBasis
    from ase_mlham.core.system import basis_pattern

    rng = np.random.default_rng(0)
    shells = tuple(Shell(l, 3.7) for l in (0, 0, 1, 1, 2))
    basis = OrbitalBasis((SpeciesBasis(14, shells, 4.0),))
    structure = Structure.from_atoms(bulk("Si"))
    pattern = basis_pattern(structure, basis)
    h, s = BlockMatrix.zeros(pattern), BlockMatrix.zeros(pattern)
    for group, energies, norms in zip(pattern.groups, h.values, s.values, strict=True):
        energies[0] = 0.1 * rng.standard_normal(energies.shape[1:])
        onsite = pattern.onsite[group.slice]
        energies[0, onsite] = np.diag(np.linspace(-10, 20, 13))
        norms[0, onsite] = np.eye(13)
    path = folder / "silicon.h5"
    write_system(LCAOSystem(structure, basis, h, s, 8.0), path)
    return path


def main() -> int:
    """Print the table; the exit code is 1 if a budget is exceeded."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [Path(word) for word in sys.argv[1:]] or [two_atoms(folder)]
        mlham = ["-m", "ase_mlham"]
        rows: list[tuple[str, list[str], float | None]] = [
            ("python", ["-c", ""], None),
            ("import numpy", ["-c", "import numpy"], None),
            ("import ase_mlham", ["-c", "import ase_mlham"], HELP),
            ("mlham --help", [*mlham, "--help"], HELP),
            ("mlham --version", [*mlham, "--version"], HELP),
            ("mlham bands --help", [*mlham, "bands", "--help"], HELP),
        ]
        for path in files:
            own = subprocess.run(
                [sys.executable, *mlham, "info", str(path)],
                capture_output=True,
                text=True,
                check=True,
            )
            budget = MODEL if "no Hamiltonian" in own.stdout else DFT
            bands = [*mlham, "bands", str(path)]
            rows += [
                (f"mlham gap {path.name}", [*mlham, "gap", str(path)], budget),
                (f"mlham bands {path.name} --json", [*bands, "--json", f"{folder}/b.json"], budget),
                (f"mlham bands {path.name} (picture)", [*bands, "-o", f"{folder}/b.png"], None),
            ]
        print(f"| {'command':44s} | cpu s | wall s | memory MB | budget, cpu s |")
        print(f"|{'-' * 46}|------:|-------:|----------:|--------------:|")
        late = False
        for title, arguments, limit in rows:
            seconds, wall, memory = measure(arguments)
            mark = "" if limit is None else f"{limit:.1f}"
            late |= limit is not None and seconds > limit
            print(f"| {title:44s} | {seconds:5.2f} | {wall:6.2f} | {memory:9.0f} | {mark:>13s} |")
        load = os.getloadavg()[0]
        print(f"\nload average {load:.1f}; wall times mean something only where it is below 1")
    return 1 if late else 0


if __name__ == "__main__":
    raise SystemExit(main())
