"""Turn sets of OpenMX Hamiltonians (`sige.npz`, `bi2se3_soc.npz`, ...) into native files.

The sets hold H and S of many small crystals, computed with OpenMX 3.8.5, some with spin-orbit
coupling. The radial functions come from OpenMX's database, which is not part of this package.

    python convert.py sets/sige.npz sets/sige_shapes.npz --pao DFT_DATA19/PAO --output sige
    mlham train sige.toml
    python convert.py sets/bi2se3_soc.npz --pao DFT_DATA19/PAO --output bi2se3 --leave-out 2
    mlham train bi2se3.toml

Every sixth structure becomes a test and every twelfth validates; with --leave-out N structure N
alone is the test and the others train, for sets of a few structures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers

from ase_mlham import write_system
from ase_mlham.core import (
    BlockMatrix,
    BlockPattern,
    LCAOSystem,
    OrbitalBasis,
    Shell,
    SpeciesBasis,
    SpinKind,
    Structure,
)
from ase_mlham.formats.openmx.orbitals import BasisString, from_openmx_order, reorder
from ase_mlham.formats.openmx.pao import read_pao
from ase_mlham.units import OPENMX


def make_basis(text: str, folder: Path) -> OrbitalBasis:
    """Basis from OpenMX's names, for example "Si7.0-s2p2d1, Ge7.0-s2p2d1"."""
    species = []
    for word in text.split(","):
        name = BasisString.parse(word.strip())
        pao = read_pao(next(folder.glob(f"{name.text.partition('-')[0]}.pao*")))
        shells = tuple(
            Shell(l, pao.cutoff, pao.radial(l, n))
            for l, count in name.counts.items()
            for n in range(count)
        )
        valence = pao.valence
        species.append(SpeciesBasis(atomic_numbers[name.symbol], shells, valence, name.text))
    return OrbitalBasis(tuple(species))


def pauli(blocks: np.ndarray) -> np.ndarray:
    """Pauli components (1, x, y, z) of the spin blocks (uu, ud, du, dd); of one block, itself."""
    if len(blocks) == 1:
        return blocks.real
    uu, ud, du, dd = blocks
    return np.stack([uu + dd, ud + du, 1j * (ud - du), uu - dd]) / 2


def part_of(n: int, left_out: int | None) -> str:
    """Which folder structure n goes to."""
    if left_out is not None:
        return "test" if n == left_out else "train"
    if n % 6 == 2:
        return "test"
    return "validation" if n % 12 == 5 else "train"


def convert(path: Path, folder: Path, output: Path, left_out: int | None) -> None:
    """Write one file a structure."""
    data = dict(np.load(path))
    meta = json.loads(str(data["meta"]))
    basis = make_basis(meta["basis"], folder)
    n_spin = int(data["n_spin_blocks"])
    spin = SpinKind.SPINOR if n_spin == 4 else SpinKind.NONE
    atoms = np.concatenate([[0], np.cumsum(data["n_atoms"])])
    pairs = np.concatenate([[0], np.cumsum(data["n_pairs"])])
    first = np.repeat(atoms[:-1], data["n_pairs"])
    n_i, n_j = (data["n_orb"][first + data[f"pair_{end}"]].astype(np.int64) for end in "ij")
    start = np.concatenate([[0], np.cumsum(n_i * n_j)])
    order = [from_openmx_order(entry.l) for entry in basis.species]
    for n in range(len(data["n_atoms"])):
        here, block = slice(atoms[n], atoms[n + 1]), slice(pairs[n], pairs[n + 1])
        periodic = np.any(data["pair_R"][block] != 0, axis=0)
        structure = Structure(
            data["numbers"][here], data["positions"][here], data["cell"][n], periodic
        )
        species = basis.species_index(structure.numbers)
        i, j, R = (data[f"pair_{name}"][block] for name in ("i", "j", "R"))
        pattern = BlockPattern.from_pairs(species, basis.sizes, i, j, R)
        low, high = start[pairs[n]], start[pairs[n + 1]]
        # a block's spin blocks follow one another
        spins = [
            data["H"][n_spin * start[p] : n_spin * start[p + 1]].reshape(n_spin, -1)
            for p in range(pairs[n], pairs[n + 1])
        ]
        hamiltonian = pauli(np.concatenate(spins, axis=1)) * OPENMX.hartree
        overlap = data["S"][None, low:high].astype(float)
        matrices = [
            reorder(BlockMatrix.from_flat(pattern, i, j, R, flat)[0], order)
            for flat in (hamiltonian, overlap)
        ]
        target = output / part_of(n, left_out)
        target.mkdir(parents=True, exist_ok=True)
        write_system(
            LCAOSystem(
                structure,
                basis,
                *matrices,
                n_electrons=float(data["n_electrons"][n]),
                fermi_level=float(data["chemical_potential"][n]) * OPENMX.hartree,
                spin=spin,
                provenance={
                    "source": meta["code"],
                    "functional": meta["functional"],
                    "set": path.stem,
                },
            ),
            target / f"{path.stem}-{n:02d}.h5",
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="+", type=Path)
    parser.add_argument("--pao", type=Path, required=True, help="folder of .pao files")
    parser.add_argument("--output", type=Path, default=Path("data"))
    parser.add_argument("--leave-out", type=int, metavar="N", help="structure N is the test")
    options = parser.parse_args()
    for path in options.sets:
        convert(path, options.pao, options.output, options.leave_out)


if __name__ == "__main__":
    main()
