"""S(R), positions and gradients from radial functions against those inside `.scfout` files.

    python benchmarks/overlap_accuracy.py FOLDER [--markdown]

FOLDER holds one folder for each calculation, with NAME.scfout (or .gz, .zst), and the folder `pao`
with the radial functions. For each file:

    S on, off     largest deviation of an on-site and of another element
    spline        the same if the tables are interpolated by a spline in log r, cut at the radius
                  of the basis, instead of OpenMX's way
    bands         largest change of an eigenvalue within 5 eV of the Fermi level when the file's S
                  is replaced, meV
    r, d/dr       largest deviation, and in parentheses by how much the file contradicts itself

OpenMX integrates r and d/dr on its real-space grid. Both must be (anti-)Hermitian and of the parity
of their orbitals on site; what the file has of the opposite is its own error. The script ends with
1 where an element of S deviates by more than 1e-6 or an eigenvalue by more than 0.02 meV.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from ase_mlham import integrals, read_system
from ase_mlham.core import BlockMatrix, LCAOSystem, OrbitalBasis, SpinKind, TabulatedRadial
from ase_mlham.core.spin import spin_blocks
from ase_mlham.errors import BasisError

LIMIT = 1e-6
BAND_LIMIT = 0.02  # meV
WINDOW = 5.0  # eV
K_POINTS = np.array([[0, 0, 0], [0.5, 0, 0], [0.5, 0.5, 0], [1 / 3, 1 / 3, 0], [0.21, -0.13, 0.37]])


def deviation(a: BlockMatrix, b: BlockMatrix) -> tuple[float, float]:
    """Largest difference on site and between atoms."""
    on, off = 0.0, 0.0
    for group, x, y in zip(a.pattern.groups, a.values, b.values, strict=True):
        here = a.pattern.onsite[group.slice]
        worst = abs(x - y).max(axis=(0, 2, 3))
        on, off = max(on, worst[here].max(initial=0)), max(off, worst[~here].max(initial=0))
    return on, off


def with_splines(basis: OrbitalBasis) -> OrbitalBasis:
    """The same tables, interpolated by splines and cut at the radius of the shell."""
    return OrbitalBasis(
        tuple(
            replace(
                entry,
                shells=tuple(
                    replace(
                        shell,
                        radial=TabulatedRadial(shell.radial.r, shell.radial.values, shell.cutoff),
                    )
                    for shell in entry.shells
                ),
            )
            for entry in basis.species
        )
    )


def spline_deviation(system: LCAOSystem) -> str:
    """Deviation of S with another interpolation."""
    try:
        basis = with_splines(system.basis)
        found = integrals.overlap(system.structure, basis, system.overlap.pattern)
    except BasisError:
        return "not integrable"  # a jump at the cut-off: no largest wave vector
    return "{:.0e} / {:.0e}".format(*deviation(found, system.overlap))


def eigenvalues(system: LCAOSystem, k: NDArray) -> NDArray:
    """Of H(k) c = E S(k) c, by the plain route: (n_channels, n) eV."""
    s = system.overlap.at_k(k)[0]
    if system.spin is SpinKind.SPINOR:
        s = np.kron(np.eye(2), s)
    blocks = spin_blocks(system.hamiltonian.at_k(k), system.spin)
    return np.stack([scipy.linalg.eigvalsh(h, s) for h in blocks])


def band_shift(system: LCAOSystem, overlap: BlockMatrix) -> float:
    """Largest change of an eigenvalue near the Fermi level, meV."""
    other, worst = system.replace(overlap=overlap), 0.0
    for k in np.unique(K_POINTS * system.structure.pbc, axis=0):
        ours, theirs = eigenvalues(other, k), eigenvalues(system, k)
        near = abs(theirs - system.fermi_level) < WINDOW
        worst = max(worst, 1e3 * abs(ours - theirs)[near].max(initial=0))
    return worst


def parity_error(matrix: BlockMatrix, basis: OrbitalBasis) -> float:
    """Largest on-site element between shells of equal parity, which must vanish for a vector."""
    worst = 0.0
    for group, array in zip(matrix.pattern.groups, matrix.values, strict=True):
        degrees = np.array(basis.species[group.species_i].l)
        l = np.repeat(degrees, 2 * degrees + 1)
        equal = (l[:, None] + l[None, :]) % 2 == 0
        onsite = array[:, matrix.pattern.onsite[group.slice]]
        if onsite.size:
            worst = max(worst, abs(onsite[:, :, equal]).max())
    return worst


def vector_cell(system: LCAOSystem, name: str) -> str:
    """Deviation of the positions or gradients, and the file's own error."""
    stated = system.operators.get(name)
    if stated is None:
        return "–"
    function = {"position": integrals.position, "gradient": integrals.gradient}[name]
    found = function(system.structure, system.basis, stated.pattern)
    asymmetry = system.provenance.get("asymmetry", {}).get(name, 0.0)
    own = max(asymmetry, parity_error(stated, system.basis))
    return f"{max(deviation(found, stated)):.0e} ({own:.0e})"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--markdown", action="store_true", help="a table for the documentation")
    options = parser.parse_args()
    head = ["name", "S on", "S off", "spline on / off", "bands, meV", "r, Å", "d/dr, 1/Å"]
    rows, worst, worst_band = [], 0.0, 0.0
    for path in sorted(options.folder.glob("*/*.scfout*")):
        system = read_system(path)
        overlap = integrals.overlap(system.structure, system.basis, system.overlap.pattern)
        on, off = deviation(overlap, system.overlap)
        shift = band_shift(system, overlap)
        worst, worst_band = max(worst, on, off), max(worst_band, shift)
        vectors = [vector_cell(system, name) for name in ("position", "gradient")]
        numbers = [f"{on:.0e}", f"{off:.0e}", spline_deviation(system), f"{shift:.4f}"]
        rows.append([path.parent.name, *numbers, *vectors])
    if not rows:
        parser.error(f"{options.folder}: no */*.scfout* below it")
    if options.markdown:
        for row in (head, ["---"] * len(head), *rows):
            print("| " + " | ".join(row) + " |")
    else:
        widths = [max(len(row[n]) for row in (head, *rows)) for n in range(len(head))]
        for row in (head, *rows):
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
    print(f"\nS: {worst:.1e}, limit {LIMIT:.0e}; bands: {worst_band:.4f} meV, limit {BAND_LIMIT}")
    return 0 if worst <= LIMIT and worst_band <= BAND_LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
