"""Draw small magnetic training sets: radicals and triplets, and bcc iron.

Every structure carries initial magnetic moments, so that `mlham generate` computes it with
collinear spins. Molecules start from the G2 geometries and moments that ASE brings, are rattled and
turned; iron is strained and displaced, ferromagnetic in one- and two-atom cells and
antiferromagnetic in some of the latter: a model that sees one order only cannot tell what a moment
does.

    python make_structures.py molecules --seed 1 --count 48 molecules.extxyz
    python make_structures.py iron --seed 2 --count 16 iron.extxyz
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import write
from scipy.spatial.transform import Rotation

MOLECULES = ("O2", "OH", "NO", "CH3", "NH2", "NH", "CH2_s3B1d", "HCO")

IRON_LATTICE = 2.87
IRON_MOMENT = 3.0


def draw_molecule(index: int, rng: np.random.Generator) -> Atoms:
    """One rattled molecule in a random orientation, each kind in turn."""
    atoms = molecule(MOLECULES[index % len(MOLECULES)])
    atoms.positions += rng.normal(0.0, rng.uniform(0.01, 0.06), atoms.positions.shape)
    atoms.positions @= Rotation.random(random_state=rng).as_matrix()
    return atoms


def draw_iron(index: int, rng: np.random.Generator) -> Atoms:
    """Strained iron: one atom, or two displaced ones whose moments are parallel or opposite."""
    pair = index % 4 != 0
    atoms = bulk("Fe", "bcc", a=IRON_LATTICE, cubic=pair)
    strain = rng.normal(0.0, 0.015, (3, 3))
    deformation = rng.uniform(0.97, 1.04) * (np.eye(3) + (strain + strain.T) / 2)
    atoms.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
    atoms.positions += rng.normal(0.0, rng.uniform(0.0, 0.08), atoms.positions.shape)
    signs = [1, -1] if index % 4 == 3 else [1] * len(atoms)
    atoms.set_initial_magnetic_moments(IRON_MOMENT * np.array(signs))
    return atoms


DRAW = {"molecules": draw_molecule, "iron": draw_iron}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=sorted(DRAW))
    parser.add_argument("output", type=Path)
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    # one generator a structure: a longer list begins with the shorter one
    structures = [
        DRAW[options.kind](n, np.random.default_rng((options.seed, n)))
        for n in range(options.count)
    ]
    write(options.output, structures, format="extxyz")


if __name__ == "__main__":
    main()
