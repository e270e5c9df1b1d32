"""Turn the OpenMX SiGe sets (`sige.npz`, `sige_shapes.npz`) into native files to train on.

The sets hold H and S of SiGe alloys in 8-atom cells, computed with OpenMX 3.8.5 (LDA, s2p2d1 within
7 bohr). The radial functions come from OpenMX's database, which is not part of this package.

    python convert.py sets/sige.npz sets/sige_shapes.npz --pao DFT_DATA19/PAO --output data
    mlham train train.toml
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ase_mlham import write_system
from ase_mlham.core import (
    BlockMatrix,
    BlockPattern,
    LCAOSystem,
    OrbitalBasis,
    Shell,
    SpeciesBasis,
    Structure,
)
from ase_mlham.formats.openmx.orbitals import from_openmx_order, reorder
from ase_mlham.formats.openmx.pao import read_pao
from ase_mlham.units import OPENMX

SHELLS = (0, 0, 1, 1, 2)
FILES = {14: "Si7.0.pao", 32: "Ge7.0.pao"}


def make_basis(folder: Path) -> OrbitalBasis:
    """Si7.0-s2p2d1 and Ge7.0-s2p2d1."""
    species = []
    for number, name in FILES.items():
        path = next(folder.glob(name + "*"))
        pao = read_pao(path)
        shells = tuple(
            Shell(l, pao.cutoff, pao.radial(l, SHELLS[:n].count(l))) for n, l in enumerate(SHELLS)
        )
        species.append(SpeciesBasis(number, shells, 4.0, f"{name[:5]}-s2p2d1"))
    return OrbitalBasis(tuple(species))


def convert(path: Path, basis: OrbitalBasis, output: Path) -> None:
    """Write one file a structure; some go to the folders `validation` and `test`."""
    data = dict(np.load(path))
    atoms = np.concatenate([[0], np.cumsum(data["n_atoms"])])
    pairs = np.concatenate([[0], np.cumsum(data["n_pairs"])])
    size = sum(2 * l + 1 for l in SHELLS) ** 2
    order = [from_openmx_order(SHELLS)] * len(basis.species)
    for n in range(len(data["n_atoms"])):
        here, block = slice(atoms[n], atoms[n + 1]), slice(pairs[n], pairs[n + 1])
        structure = Structure(
            data["numbers"][here], data["positions"][here], data["cell"][n], [True] * 3
        )
        species = basis.species_index(structure.numbers)
        i, j, R = (data[f"pair_{name}"][block] for name in ("i", "j", "R"))
        pattern = BlockPattern.from_pairs(species, basis.sizes, i, j, R)
        numbers = slice(pairs[n] * size, pairs[n + 1] * size)
        matrices = [
            reorder(
                BlockMatrix.from_flat(
                    pattern, i, j, R, data[name][numbers][None].astype(float) * unit
                )[0],
                order,
            )
            for name, unit in (("H", OPENMX.hartree), ("S", 1.0))
        ]
        folder = "train"
        if n % 6 == 2:
            folder = "test"
        elif n % 12 == 5:
            folder = "validation"
        (output / folder).mkdir(parents=True, exist_ok=True)
        write_system(
            LCAOSystem(
                structure,
                basis,
                *matrices,
                n_electrons=float(data["n_electrons"][n]),
                fermi_level=float(data["chemical_potential"][n]) * OPENMX.hartree,
                provenance={"source": "OpenMX 3.8.5", "functional": "LDA-CA", "set": path.stem},
            ),
            output / folder / f"{path.stem}-{n:02d}.h5",
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="+", type=Path)
    parser.add_argument("--pao", type=Path, required=True, help="folder of .pao files")
    parser.add_argument("--output", type=Path, default=Path("data"))
    options = parser.parse_args()
    basis = make_basis(options.pao)
    for path in options.sets:
        convert(path, basis, options.output)


if __name__ == "__main__":
    main()
