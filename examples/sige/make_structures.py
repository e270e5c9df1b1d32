"""Draw the structures from which the packaged `sige` model is trained.

Silicon, germanium and their alloys on the diamond lattice, with three kinds of disorder at once:
which element sits where, thermal displacements, and strain. The supercells are random: cubic
8-atom cells alone contain no unlike pair at the lattice constant, and a network trained on them
fails on every larger cell. Hermite normal forms of the primitive cell have no such holes.

    python make_structures.py --seed 1 --count 400 train.extxyz
    python make_structures.py --seed 2 --count 16 --kind test test.extxyz
    python make_structures.py --seed 3 --count 4 --kind large large.extxyz
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce
from ase.io import write

PRIMITIVE = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
CUBIC = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
SITES = np.array([[0.0, 0.0, 0.0], [0.25, 0.25, 0.25]])

# number of primitive cells in the supercell, and how often each is drawn
SIZES = {
    "train": {1: 0.08, 2: 0.08, 3: 0.10, 4: 0.34, 5: 0.14, 6: 0.10, 8: 0.12, 12: 0.04},
    "test": {4: 0.4, 6: 0.3, 7: 0.2, 10: 0.1},
    "large": {32: 1.0},
}


def random_supercell(n_cells: int, rng: np.random.Generator, tries: int = 30) -> np.ndarray:
    """Integer supercell matrix of determinant `n_cells`, the most compact of a few."""
    best, best_length = None, -1.0
    for _ in range(min(tries, 3 * n_cells)):
        divisors = [d for d in range(1, n_cells + 1) if n_cells % d == 0]
        a = int(rng.choice(divisors))
        c = int(rng.choice([d for d in divisors if (n_cells // a) % d == 0]))
        f = n_cells // (a * c)
        matrix = np.array(
            [[a, 0, 0], [rng.integers(c), c, 0], [rng.integers(f), rng.integers(f), f]]
        )
        reduced, _ = minkowski_reduce(matrix @ PRIMITIVE)
        length = float(np.linalg.norm(reduced, axis=1).min())
        # a coin keeps some elongated cells: variety is the point
        if length > best_length and (best is None or rng.random() < 0.7):
            best, best_length = np.rint(reduced @ np.linalg.inv(PRIMITIVE)).astype(int), length
    return best


def draw(kind: str, rng: np.random.Generator) -> Atoms:
    """One random Si/Ge structure of the given kind."""
    n_cells = int(rng.choice(list(SIZES[kind]), p=list(SIZES[kind].values())))
    if kind == "large":
        matrix = 2 * CUBIC
    elif kind == "train" and n_cells == 4 and rng.random() < 0.3:
        matrix = CUBIC
    else:
        matrix = random_supercell(n_cells, rng)
    shape = matrix @ PRIMITIVE
    inverse = np.linalg.inv(shape)
    steps = range(-12, 13)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    sites = (grid @ PRIMITIVE)[:, None, :] + SITES
    scaled = sites.reshape(-1, 3) @ inverse
    scaled = scaled[((scaled > -1e-9) & (scaled < 1 - 1e-9)).all(axis=1)]
    n_atoms = len(scaled)
    composition = float(rng.choice([0.0, 1.0, rng.uniform()], p=[0.15, 0.15, 0.70]))
    numbers = np.where(rng.uniform(size=n_atoms) < composition, 32, 14)
    strain = rng.normal(0.0, 0.010, (3, 3))
    deformation = np.eye(3) + (strain + strain.T) / 2
    if kind == "train":
        scale, sigma = rng.uniform(0.96, 1.05), rng.uniform(0.0, 0.13)
    else:
        scale, sigma = rng.uniform(0.98, 1.03), rng.uniform(0.03, 0.10)
    lattice_constant = (5.43 + 0.26 * np.mean(numbers == 32)) * scale
    cell = lattice_constant * shape @ deformation
    positions = scaled @ cell + rng.normal(0.0, sigma, (n_atoms, 3))
    return Atoms(numbers, positions=positions, cell=cell, pbc=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=sorted(SIZES), default="train")
    options = parser.parse_args()
    # one generator a structure: a longer list begins with the shorter one
    structures = [
        draw(options.kind, np.random.default_rng((options.seed, n))) for n in range(options.count)
    ]
    write(options.output, structures, format="extxyz")


if __name__ == "__main__":
    main()
