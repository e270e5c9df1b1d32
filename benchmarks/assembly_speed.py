"""Time of H(k), S(k) assembly, and of small band structures, against their budgets.

    OMP_NUM_THREADS=1 python benchmarks/assembly_speed.py [atoms]

The system is that of the budgets: zincblende cells of a = 5.54 Å, atoms shaken by 0.03 Å, random Si
and Ge, 13 orbitals an atom, pairs up to 14 bohr; matrices are random, for time does not see them.
Processor seconds of one thread, best of three; the unit G is one 2048 x 2048 matrix product.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from ase.build import bulk

from ase_mlham.core import (
    BlockMatrix,
    BlockPattern,
    LCAOSystem,
    OrbitalBasis,
    Shell,
    SpeciesBasis,
    Structure,
)
from ase_mlham.electronic.assembly import Assembly
from ase_mlham.electronic.sparse_assembly import SparseAssembly
from ase_mlham.electronic.states import eigenstates
from ase_mlham.units import OPENMX

CUTOFF = 7.0 * OPENMX.bohr


def sige(repeat: int, cubic: bool = True) -> LCAOSystem:
    """SiGe as in the budgets, 8 repeat^3 atoms (2 repeat^3 if not cubic)."""
    rng = np.random.default_rng(0)
    atoms = bulk("Si", "diamond", a=5.54, cubic=cubic).repeat(repeat)
    atoms.positions += rng.normal(scale=0.03, size=atoms.positions.shape)
    atoms.numbers[:] = rng.choice([14, 32], len(atoms))
    structure = Structure.from_atoms(atoms)
    shells = tuple(Shell(l, CUTOFF) for l in (0, 0, 1, 1, 2))
    basis = OrbitalBasis(tuple(SpeciesBasis(z, shells, 4.0) for z in (14, 32)))
    species = basis.species_index(structure.numbers)
    pattern = BlockPattern.from_cutoffs(structure, species, basis.sizes, [CUTOFF, CUTOFF])

    def matrix(scale: float, diagonal: float) -> BlockMatrix:
        values = []
        for group in pattern.groups:
            block = scale * rng.standard_normal((1, group.n_blocks, *pattern.block_shape(group)))
            onsite = pattern.onsite[group.slice]
            if onsite.any():
                block[:, onsite] = diagonal * np.eye(13)
            values.append(block)
        return BlockMatrix(pattern, tuple(values))

    electrons = 4.0 * structure.n_atoms
    return LCAOSystem(structure, basis, matrix(0.01, -2.0), matrix(1e-4, 1.0), electrons)


def seconds(function: Callable[[], Any], repeat: int = 3) -> float:
    """Processor time, the best of some runs."""
    times = []
    for _ in range(repeat):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    atoms = int(sys.argv[1]) if len(sys.argv) > 1 else 1728
    a = np.random.default_rng(0).standard_normal((2048, 2048))
    unit = seconds(lambda: a @ a)
    print(f"G (2048^3 product)                   {unit:8.3f} cpu s")

    def line(name: str, value: float, budget: float | None = None) -> None:
        limit = "" if budget is None else f"   budget {budget:g} s"
        print(f"{name:36s} {value:8.3f} cpu s {value / unit:7.2f} G{limit}")

    system = sige(round((atoms / 8) ** (1 / 3)))
    scale = system.structure.n_atoms / 1728
    blocks = system.hamiltonian.pattern.n_blocks
    print(f"{system.structure.n_atoms} atoms, {system.n_orbitals} orbitals, {blocks} blocks stored")
    # the pattern's groups are cached by whoever uses them first
    line("preparation", seconds(lambda: SparseAssembly(system)), 0.5 * scale)
    assembly = SparseAssembly(system)
    upper, runs = assembly.upper, assembly.hamiltonian_runs
    print(f"{upper.nnz / 1e6:.1f} M numbers in the upper triangle")

    def fill(k: np.ndarray, *, is_real: bool) -> np.ndarray:
        return upper.fill(system.hamiltonian, runs, k, lambda x: x[0], is_real=is_real)

    general = np.array([0.1, 0.2, 0.3])
    line("fill H(k), complex, upper", seconds(lambda: fill(general, is_real=False)), 0.5 * scale)
    line("fill H(0), real, upper", seconds(lambda: fill(np.zeros(3), is_real=True)))
    line("H and S, complex, upper", seconds(lambda: assembly.at(general)))
    if system.n_orbitals <= 3000:
        dense = Assembly(system)
        line("H and S, complex, dense", seconds(lambda: dense.at(general[None])))
    small = sige(1, cubic=False)
    kpts = np.random.default_rng(1).random((200, 3))
    line("2 atoms, 200 k: assembly", seconds(lambda: Assembly(small).at(kpts)))
    line("2 atoms, 200 k: bands", seconds(lambda: eigenstates(small, kpts, workers=1)), 0.1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.2f} GiB")


if __name__ == "__main__":
    main()
