"""Draw small crystals of ten sp elements: a set to train one model for many elements.

B, C, N, Al, Si, P, S, Ge, As and Se as binaries, ordered ternaries and random alloys on the
zinc blende, wurtzite and rock salt lattices, in cells of many shapes with 2 to 8 atoms. Elements
are drawn with very unequal weights on purpose: some pairs of elements are then frequent and others
rare, and it can be seen how the error of a pair depends on how often it was met.

    python make_structures.py --seed 1 --count 100 train.extxyz
    python make_structures.py --seed 2 --count 30 --kind test test.extxyz
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from ase.geometry import minkowski_reduce
from ase.io import write
from ase.neighborlist import neighbor_list

# how often an element is drawn, and its valence electrons
WEIGHTS = {"Si": 12, "P": 7, "Al": 6, "C": 5, "B": 4, "Ge": 4, "N": 4, "As": 3, "S": 2, "Se": 2}
VALENCE = {"Si": 4, "P": 5, "Al": 3, "C": 4, "B": 3, "Ge": 4, "N": 5, "As": 5, "S": 6, "Se": 6}
RADIUS = {symbol: float(covalent_radii[atomic_numbers[symbol]]) for symbol in WEIGHTS}

# cell, sites and their sublattice, in units of the distance of nearest neighbours
FCC = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
HEXAGONAL = np.array([[1.0, 0.0, 0.0], [-0.5, 0.75**0.5, 0.0], [0.0, 0.0, (8 / 3) ** 0.5]])
THIRD = [[1 / 3, 2 / 3], [2 / 3, 1 / 3]]
WURTZITE = [[*THIRD[0], 0], [*THIRD[1], 1 / 2], [*THIRD[0], 3 / 8], [*THIRD[1], 7 / 8]]
LATTICES = {
    "zinc blende": (FCC * 4 / 3**0.5, np.array([[0, 0, 0], [0.25, 0.25, 0.25]]), [0, 1]),
    "wurtzite": (HEXAGONAL * (8 / 3) ** 0.5, np.array(WURTZITE), [0, 0, 1, 1]),
    "rock salt": (FCC * 2, np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), [0, 1]),
}
# valence electrons of a pair that likes the lattice; bond length by the sum of covalent radii
ELECTRONS = {"zinc blende": 8, "wurtzite": 8, "rock salt": 10}
STRETCH = {"zinc blende": 1.0, "wurtzite": 1.0, "rock salt": 1.12}

# atoms in the cell, and how often each is drawn
SIZES = {
    "train": {2: 0.15, 4: 0.35, 6: 0.25, 8: 0.25},
    "test": {4: 0.35, 6: 0.35, 8: 0.30},
}


def random_supercell(n_cells: int, rng: np.random.Generator) -> np.ndarray:
    """A random supercell matrix of determinant `n_cells`: a Hermite normal form."""
    divisors = [d for d in range(1, n_cells + 1) if n_cells % d == 0]
    a = int(rng.choice(divisors))
    c = int(rng.choice([d for d in divisors if (n_cells // a) % d == 0]))
    f = n_cells // (a * c)
    return np.array([[a, 0, 0], [rng.integers(c), c, 0], [rng.integers(f), rng.integers(f), f]])


def empty_lattice(lattice: str, n_atoms: int, rng: np.random.Generator) -> tuple:
    """Reduced cell, positions and sublattices of `n_atoms` sites, nearest neighbours at 1."""
    primitive, scaled, sublattice = LATTICES[lattice]
    cell, _ = minkowski_reduce(random_supercell(n_atoms // len(scaled), rng) @ primitive)
    steps = range(-8, 9)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 1, 3)
    all_sites = ((grid + scaled) @ primitive).reshape(-1, 3) @ np.linalg.inv(cell)
    inside = ((all_sites > -1e-9) & (all_sites < 1 - 1e-9)).all(axis=1)
    kinds = np.tile(sublattice, len(grid))[inside]
    return cell, all_sites[inside] @ cell, kinds


def partner(first: str, lattice: str, rng: np.random.Generator) -> str:
    """A second element: one that makes a likely compound eight times as often as another."""
    weights = {
        symbol: weight * (8 if VALENCE[first] + VALENCE[symbol] == ELECTRONS[lattice] else 1)
        for symbol, weight in WEIGHTS.items()
        if max(RADIUS[first] / RADIUS[symbol], RADIUS[symbol] / RADIUS[first]) < 1.75
    }
    return draw_element(weights, rng)


def draw_element(weights: dict[str, float], rng: np.random.Generator) -> str:
    values = np.array(list(weights.values()), dtype=float)
    return str(rng.choice(list(weights), p=values / values.sum()))


def occupation(lattice: str, sublattice: np.ndarray, rng: np.random.Generator) -> tuple:
    """What sits on each site: (name of the kind of order, symbols)."""
    weights = WEIGHTS
    if lattice == "rock salt":  # that of the chalcogenides
        weights = {**WEIGHTS, "S": 7, "Se": 6}
    a = draw_element(weights, rng)
    b = partner(a, lattice, rng)
    order = str(rng.choice(["binary", "ternary", "alloy"], p=[0.35, 0.3, 0.35]))
    if order == "binary":
        return order, np.where(sublattice == 0, a, b)
    c = partner(b, lattice, rng)
    if order == "ternary":  # a second element on the sublattice of the first
        mixed = np.where(rng.random(len(sublattice)) < 0.5, a, c)
        return order, np.where(sublattice == 0, mixed, b)
    return order, rng.choice([a, b, c], size=len(sublattice))


def settle(atoms: Atoms, ideal: np.ndarray, bonds: tuple) -> None:
    """Move the atoms of an alloy until their bonds are close to the lengths they would have."""
    i, j, shift = bonds
    for _ in range(60):
        vectors = atoms.positions[j] - atoms.positions[i] + shift @ atoms.cell.array
        length = np.linalg.norm(vectors, axis=1)
        force = np.zeros_like(atoms.positions)
        np.add.at(force, i, ((length - ideal) / length)[:, None] * vectors)
        atoms.positions += 0.15 * force


def draw(kind: str, rng: np.random.Generator) -> Atoms:
    """One random structure of the given kind; drawn again while two atoms are too close."""
    while True:
        lattice = str(rng.choice(list(LATTICES), p=[0.6, 0.2, 0.2]))
        sizes = {n: w for n, w in SIZES[kind].items() if n % len(LATTICES[lattice][1]) == 0}
        chances = np.array(list(sizes.values())) / sum(sizes.values())
        n_atoms = int(rng.choice(list(sizes), p=chances))
        cell, positions, sublattice = empty_lattice(lattice, n_atoms, rng)
        order, symbols = occupation(lattice, sublattice, rng)
        atoms = Atoms(list(symbols), positions=positions, cell=cell, pbc=True)
        bonds = neighbor_list("ijS", atoms, 1.05)
        radii = np.array([RADIUS[symbol] for symbol in symbols])
        ideal = (radii[bonds[0]] + radii[bonds[1]]) * STRETCH[lattice]
        atoms.set_cell(atoms.cell.array * ideal.mean(), scale_atoms=True)
        settle(atoms, ideal, bonds)
        if kind == "train":
            scale, sigma = rng.uniform(0.96, 1.06), rng.uniform(0.02, 0.12)
        else:
            scale, sigma = rng.uniform(0.97, 1.04), rng.uniform(0.03, 0.10)
        strain = rng.normal(0.0, 0.012, (3, 3))
        deformation = scale * (np.eye(3) + (strain + strain.T) / 2)
        atoms.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
        atoms.positions += rng.normal(0.0, sigma, (n_atoms, 3))
        i, j, distance = neighbor_list("ijd", atoms, 3.0)
        if (distance > 0.82 * (radii[i] + radii[j])).all():
            atoms.info["prototype"] = f"{lattice} {order}"
            return atoms


def first_neighbours(structures: list[Atoms]) -> Counter:
    """How often each pair of elements is within 1.25 times the sum of the covalent radii."""
    count: Counter = Counter()
    for atoms in structures:
        symbols = atoms.get_chemical_symbols()
        i, j, distance = neighbor_list("ijd", atoms, 3.1)
        for a, b, d in zip(i, j, distance, strict=True):
            if d < 1.25 * (RADIUS[symbols[a]] + RADIUS[symbols[b]]):
                count["-".join(sorted((symbols[a], symbols[b])))] += 1
    return count


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=sorted(SIZES), default="train")
    options = parser.parse_args()
    # one generator a structure: a longer list begins with the shorter one
    structures = [
        draw(options.kind, np.random.default_rng((options.seed, n))) for n in range(options.count)
    ]
    write(options.output, structures, format="extxyz")
    for pair, n in first_neighbours(structures).most_common():
        print(f"{pair:6} {n // 2}")


if __name__ == "__main__":
    main()
