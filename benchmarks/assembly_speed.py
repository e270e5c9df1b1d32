"""Time of H(k) and S(k), sparse and dense, and of a small band structure, against their budgets.

    python benchmarks/assembly_speed.py            # 216 atoms
    python benchmarks/assembly_speed.py --atoms 1728

The system is that of the budgets: zincblende cells of a = 5.54 Å, atoms shaken by 0.03 Å, random
Si and Ge, 13 orbitals an atom, pairs up to 14 bohr. Its matrices are random numbers, which take as
long.
"""

from __future__ import annotations

import argparse

import numpy as np
from ase.build import bulk
from reference import Budget, measure, peak_memory, units

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


def sige(repeat: int, *, cubic: bool = True) -> LCAOSystem:
    """SiGe of the budgets: 8 repeat^3 atoms, or 2 repeat^3 if not cubic."""
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--atoms", type=int, default=216, help="8, 64, 216, 512, 1000 or 1728")
    options = parser.parse_args()
    print(units())
    system = sige(round((options.atoms / 8) ** (1 / 3)))
    share = system.structure.n_atoms / 1728
    assembly = SparseAssembly(system)
    upper, runs = assembly.upper, assembly.hamiltonian_runs
    print(
        f"{system.structure.n_atoms} atoms, {system.n_orbitals} orbitals, "
        f"{system.hamiltonian.pattern.n_blocks} stored blocks, "
        f"{upper.nnz / 1e6:.2f} M numbers in the upper triangle"
    )
    general = np.array([0.1, 0.2, 0.3])

    def fill(k: np.ndarray, *, is_real: bool) -> np.ndarray:
        return upper.fill(system.hamiltonian, runs, k, lambda x: x[0], is_real=is_real)

    prepared = measure(lambda: SparseAssembly(system))
    filled = measure(lambda: fill(general, is_real=False))
    print(Budget("pattern preparation", limit=1.7 * share, unit="G").check(prepared))
    print(Budget("fill H(k), complex, upper", limit=1.7 * share, unit="G").check(filled))
    print("fill H(0), real, upper:", measure(lambda: fill(np.zeros(3), is_real=True)))
    print("H(k) and S(k), sparse:", measure(lambda: assembly.at(general)))
    if system.n_orbitals <= 3000:
        dense = Assembly(system)
        print("H(k) and S(k), dense:", measure(lambda: dense.at(general[None])))
    small = sige(1, cubic=False)
    kpts = np.random.default_rng(1).random((200, 3))
    few = measure(lambda: eigenstates(small, kpts, workers=1))
    print(Budget("bands, 2 atoms, 200 k", limit=0.3, unit="G").check(few))
    print(f"peak memory {peak_memory():.0f} MB")


if __name__ == "__main__":
    main()
