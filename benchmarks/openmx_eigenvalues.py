"""Eigenvalues from `.scfout` files against those that OpenMX printed itself.

    python benchmarks/openmx_eigenvalues.py FOLDER [--markdown]

FOLDER holds one folder for each calculation, with NAME.scfout (or .gz, .zst), NAME.out.gz and, for
crystals, NAME.Band. The largest deviation over all points of the path and all bands, and over at
most eight points of the list in the `.out` text, must not exceed 1e-5 eV: the script ends with 1
otherwise.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from ase_mlham import read_system
from ase_mlham.core import LCAOSystem, SpinKind
from ase_mlham.core.spin import spin_blocks
from ase_mlham.formats.openmx.bands import PrintedBands, read_bands, read_levels

LIMIT = 1e-5  # eV


def eigenvalues(system: LCAOSystem, k: NDArray) -> NDArray:
    """Of H(k) c = E S(k) c, by the plain route: (n_channels, n) eV."""
    s = system.overlap.at_k(k)[0]
    if system.spin is SpinKind.SPINOR:
        s = np.kron(np.eye(2), s)
    blocks = spin_blocks(system.hamiltonian.at_k(k), system.spin)
    return np.stack([scipy.linalg.eigvalsh(h, s) for h in blocks])


def deviation(system: LCAOSystem, printed: PrintedBands, n_k: int) -> tuple[float, float]:
    """Largest difference over all and over occupied states, at up to n_k points, eV."""
    some = np.unique(np.linspace(0, len(printed.kpts) - 1, n_k).round().astype(int))
    found = np.stack([eigenvalues(system, k) for k in printed.kpts[some]], axis=1)
    # without spin an `.out` text has the column twice
    expected = printed.energies[: len(found), some]
    difference = abs(found - expected)
    return difference.max(), difference[expected <= printed.fermi_level].max()


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--markdown", action="store_true", help="a table for the documentation")
    options = parser.parse_args()
    head = ["name", "version", "spin", "atoms", "orbitals"]
    head += ["path, eV (occupied)", "levels, eV (occupied)", "read, s"]
    rows, worst = [], 0.0
    for path in sorted(options.folder.glob("*/*.scfout*")):
        name = path.parent.name
        start = time.process_time()
        system = read_system(path)
        seconds = time.process_time() - start
        cells = ["–", "–"]
        levels = read_levels(path.parent / f"{name}.out.gz")
        if system.kpts != (1, 1, 1):
            levels = levels.on_mesh(system.kpts)
        sources = [(1, levels, 8)]
        if (band := path.parent / f"{name}.Band").exists():
            sources.append((0, read_bands(band), 10_000))
        for column, printed, n_k in sources:
            everything, occupied = deviation(system, printed, n_k)
            worst = max(worst, everything)
            cells[column] = f"{everything:.0e} ({occupied:.0e})"
        version = ".".join(str(n) for n in levels.version)
        kind = system.spin.value
        if system.spin is SpinKind.SPINOR:
            kind += ", spin-orbit" if system.provenance["spin_orbit"] else ""
        atoms, orbitals = str(system.structure.n_atoms), str(system.n_orbitals)
        rows.append([name, version, kind, atoms, orbitals, *cells, f"{seconds:.2f}"])
    if not rows:
        parser.error(f"{options.folder}: no */*.scfout* below it")
    if options.markdown:
        for row in (head, ["---"] * len(head), *rows):
            print("| " + " | ".join(row) + " |")
    else:
        widths = [max(len(row[n]) for row in (head, *rows)) for n in range(len(head))]
        for row in (head, *rows):
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
    print(f"\nlargest deviation {worst:.1e} eV, limit {LIMIT:.0e} eV")
    return 0 if worst <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
