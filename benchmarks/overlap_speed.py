"""Time and memory of S(R), T, positions and gradients of rattled SiGe.

    python benchmarks/overlap_speed.py FOLDER [--cells 6]

FOLDER holds Si7.0.pao and Ge7.0.pao (or .gz, .zst). Zincblende cells of 5.54 Å, atoms shaken by
0.03 Å, silicon and germanium at random, s2p2d1 (13 orbitals): 1,728 atoms and 148,608 pairs
within 14 bohr for six cells along each axis. CPU seconds of one thread, budgets as in README.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from reference import Budget, measure, one_thread, peak_memory

from ase_mlham import integrals
from ase_mlham.core import OrbitalBasis, Shell, SpeciesBasis, Structure
from ase_mlham.core.neighbours import neighbour_list
from ase_mlham.core.system import basis_pattern
from ase_mlham.formats.openmx.pao import read_pao
from ase_mlham.integrals import TwoCentreTables

LIMITS = {  # in units of G for 1,728 atoms; all but the tables scale with the number of atoms
    "neighbour list": 0.3,
    "neighbour list and pattern": 0.6,
    "radial tables": 0.5,
    "S": 2.7,
    "T": 2.7,
    "position, S given": 8.0,
    "gradient": 8.0,
    "S, list and pattern included": 3.3,
}


def basis_of(folder: Path) -> OrbitalBasis:
    """Si7.0-s2p2d1 and Ge7.0-s2p2d1."""
    species = []
    for number, name in ((14, "Si7.0"), (32, "Ge7.0")):
        pao = read_pao(next(folder.glob(f"{name}.pao*")))
        shells = [
            Shell(l, pao.cutoff, pao.radial(l, n))
            for l, count in enumerate((2, 2, 1))
            for n in range(count)
        ]
        species.append(SpeciesBasis(number, tuple(shells), pao.valence, f"{name}-s2p2d1"))
    return OrbitalBasis(tuple(species))


def rattled(cells: int) -> Structure:
    """The alloy, the same for everybody."""
    sites = np.array([[0, 0, 0], [0, 2, 2], [2, 0, 2], [2, 2, 0]]) / 4
    sites = np.concatenate([sites, sites + 0.25])
    steps = np.stack(np.meshgrid(*[np.arange(cells)] * 3, indexing="ij"), -1).reshape(-1, 3)
    positions = (steps[:, None] + sites).reshape(-1, 3) * 5.54
    rng = np.random.default_rng(0)
    numbers = rng.choice([14, 32], len(positions))
    positions = positions + rng.normal(0, 0.03, positions.shape)
    return Structure(numbers, positions, np.eye(3) * cells * 5.54, [True] * 3)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cells", type=int, default=6, help="along each axis")
    options = parser.parse_args()
    structure, basis = rattled(options.cells), basis_of(options.folder)
    with one_thread():
        tables = TwoCentreTables(basis)
        pattern = basis_pattern(structure, basis)
        before = peak_memory()
        overlap = integrals.overlap(structure, basis, pattern, tables=tables)
        after = peak_memory()
    pairs = 2 * pattern.n_blocks - 2 * int(pattern.onsite.sum())
    print(
        f"{structure.n_atoms} atoms, {pairs} directed pairs, S {overlap.nbytes / 1e6:.0f} MB; "
        f"peak {before:.0f} MB before S, {after:.0f} MB after it"
    )

    def new_tables() -> None:
        fresh = TwoCentreTables(basis)
        for i, j in ((0, 0), (0, 1), (1, 1)):
            fresh.table("overlap", i, j)

    def everything() -> None:
        integrals.overlap(structure, basis, tables=tables)

    def matrix(name: str) -> None:
        getattr(integrals, name)(structure, basis, pattern, tables=tables)

    reach = 2 * basis.species[0].cutoff
    operations = {
        "neighbour list": lambda: neighbour_list(structure, reach),
        "neighbour list and pattern": lambda: basis_pattern(structure, basis),
        "radial tables": new_tables,
        "S": lambda: matrix("overlap"),
        "T": lambda: matrix("kinetic"),
        "position, S given": lambda: integrals.position(
            structure, basis, pattern, overlap, tables=tables
        ),
        "gradient": lambda: matrix("gradient"),
        "S, list and pattern included": everything,
    }
    failed = False
    for name, operation in operations.items():
        scale = 1.0 if name == "radial tables" else structure.n_atoms / 1728
        timing = measure(operation)
        verdict = Budget(name, LIMITS[name] * scale).check(timing)
        failed |= verdict.verdict == "over"
        print(f"{verdict}; {timing.wall:.2f} s on the clock")
    print(f"peak memory {peak_memory():.0f} MB")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
