"""Write the structures of this folder again: `python make.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk, graphene
from ase.io import write

HERE = Path(__file__).parent

# experimental lattice constants at room temperature, Å; the ordered alloy by Vegard's law
SILICON, GERMANIUM = 5.431, 5.658
ORDERED = (SILICON + GERMANIUM) / 2


def alloy(repeat: int, n_germanium: int, displacement: float, seed: int) -> Atoms:
    """Random alloy on cubic diamond cells, its atoms displaced as heat does."""
    rng = np.random.default_rng(seed)
    n_atoms = 8 * repeat**3
    lattice_constant = SILICON + (GERMANIUM - SILICON) * n_germanium / n_atoms
    atoms = bulk("Si", cubic=True, a=lattice_constant).repeat(repeat)
    numbers = atoms.get_atomic_numbers()
    numbers[rng.permutation(n_atoms)[:n_germanium]] = 32
    atoms.set_atomic_numbers(numbers)
    atoms.positions += rng.normal(0.0, displacement, (n_atoms, 3))
    return atoms[np.argsort(numbers, kind="stable")]


def main() -> None:
    write(HERE / "Si.cif", bulk("Si", a=SILICON))
    write(HERE / "Ge.cif", bulk("Ge", a=GERMANIUM))
    write(HERE / "SiGe.cif", bulk("SiGe", "zincblende", a=ORDERED))
    write(HERE / "Si5Ge3.POSCAR", alloy(1, 3, 0.05, seed=1), format="vasp", direct=True)
    write(HERE / "Si32Ge32.extxyz", alloy(2, 32, 0.05, seed=2))
    write(HERE / "graphene.extxyz", graphene(a=2.46, vacuum=10.0))


if __name__ == "__main__":
    main()
