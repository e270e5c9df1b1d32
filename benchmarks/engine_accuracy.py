"""Accuracy of the PySCF engine: bands from H(R) against PySCF's own, and grid noise of the labels.

    python benchmarks/engine_accuracy.py bands                # all systems, Markdown table
    python benchmarks/engine_accuracy.py bands BN MgO
    python benchmarks/engine_accuracy.py eggbox Si C O
    python benchmarks/engine_accuracy.py throughput

Set OMP_NUM_THREADS=1; times are CPU seconds of this process.
"""

from __future__ import annotations

import sys
import time
import warnings

import numpy as np
from ase import Atoms
from ase.build import bulk, diamond100
from scipy.linalg import eigh

from ase_mlham.engines import compute_system
from ase_mlham.engines.pyscf.basis_sets import default_ecut, load_basis
from ase_mlham.engines.pyscf.functional import LIBXC, PSEUDO
from ase_mlham.units import CODATA_2018

HARTREE, BOHR = CODATA_2018.hartree, CODATA_2018.bohr
BASIS = "gth-dzvp-molopt-sr"


def rattled(atoms: Atoms, amount: float = 0.05) -> Atoms:
    atoms.rattle(amount, seed=1)
    return atoms


def slab() -> Atoms:
    """Four layers of Si(100), one atom each, in a box with 12 Å of vacuum."""
    atoms = diamond100("Si", (1, 1, 4), vacuum=6.0)
    atoms.pbc = True
    return rattled(atoms)


SYSTEMS = {
    "Si": (lambda: rattled(bulk("Si")), (2, 1, 1)),
    "SiC": (lambda: rattled(bulk("SiC", "zincblende", a=4.36)), (2, 1, 1)),
    "BN": (lambda: rattled(bulk("BN", "zincblende", a=3.615)), (2, 1, 1)),
    "GaAs": (lambda: rattled(bulk("GaAs", "zincblende", a=5.65)), (2, 1, 1)),
    "MgO": (lambda: rattled(bulk("MgO", "rocksalt", a=4.21)), (2, 1, 1)),
    "Si-slab": (slab, (2, 1, 1)),
}


def path(atoms: Atoms) -> np.ndarray:
    """A few points of ASE's standard path and one of low symmetry."""
    special = np.array(list(atoms.cell.bandpath(npoints=0).special_points.values()))[:4]
    return np.vstack([special, [[0.37, 0.12, 0.05 if atoms.cell[2, 2] < 15 else 0.0]]])


def pyscf_bands(atoms: Atoms, k: np.ndarray, kmesh: tuple, grid: list, smearing: float) -> tuple:
    from pyscf.pbc import dft, gto
    from pyscf.pbc.scf.addons import smearing as smear

    symbols = set(atoms.get_chemical_symbols())
    lattice = atoms.cell.array / BOHR
    cell = gto.Cell()
    cell.unit, cell.a, cell.basis, cell.pseudo = (
        "Bohr",
        lattice,
        load_basis(BASIS, symbols),
        PSEUDO["pbe"],
    )
    cell.atom = [(a.symbol, a.position / BOHR) for a in atoms]
    cell.mesh, cell.precision, cell.verbose = grid, 1e-9, 0
    cell.build()
    kpts = cell.make_kpts(kmesh, time_reversal_symmetry=True)
    mf = dft.KRKS(cell, kpts, xc=LIBXC["pbe"])
    if smearing:
        mf = smear(mf, sigma=smearing / HARTREE, method="fermi")
    mf = mf.multigrid_numint()
    mf.conv_tol, mf.max_cycle = 1e-9, 100
    mf.kernel()
    if not mf.converged:
        sys.exit("PySCF did not converge")
    energy = getattr(mf, "e_free", None) or mf.e_tot
    return float(energy) * HARTREE, np.array(mf.get_bands(cell.get_abs_kpts(k))[0]) * HARTREE


def line(cells: list[str]) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


def table(header: list[str]) -> None:
    line(header)
    line(["---"] * len(header))


def bands(names: list[str]) -> None:
    header = ["system", "grid", "energy (meV/atom)", "bands within 5 eV of the gap (meV)"]
    header += ["occupied bands (meV)", "largest element cut off (meV)"]
    table([*header, "CPU engine (s)", "CPU PySCF (s)"])
    for name in names or SYSTEMS:
        make, kmesh = SYSTEMS[name]
        atoms = make()
        smearing = 0.05 if "slab" in name else 0.0
        start = time.process_time()
        system = compute_system(atoms, basis=BASIS, kpts=kmesh, smearing=smearing)
        own_time = time.process_time() - start
        k = path(atoms)
        pairs = zip(system.hamiltonian.at_k(k), system.overlap.at_k(k), strict=True)
        own = np.array([eigh(h[0], s[0], eigvals_only=True) for h, s in pairs])
        start = time.process_time()
        grid = system.provenance["grid"]
        energy, reference = pyscf_bands(atoms, k, kmesh, grid, smearing)
        pyscf_time = time.process_time() - start
        n = int(system.n_electrons) // 2
        top, bottom = reference[:, n - 1].max(), reference[:, n].min()
        near = (reference > top - 5) & (reference < bottom + 5)
        change = abs(own - reference) * 1e3
        difference = (system.provenance["free_energy"] - energy) * 1e3 / len(atoms)
        cut = system.provenance["largest_cut_hamiltonian"] * 1e3
        row = [name, "x".join(map(str, grid)), f"{difference:.3f}", f"{change[near].max():.3f}"]
        row += [f"{change[:, :n].max():.3f}", f"{cut:.3f}", f"{own_time:.1f}", f"{pyscf_time:.1f}"]
        line(row)


CRYSTALS = {
    "H": (lambda: Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.75]], cell=[3, 3, 3], pbc=True)),
    "B": (lambda: bulk("B", "diamond", a=3.9)),
    "C": (lambda: bulk("C")),
    "N": (lambda: Atoms("N2", positions=[[0, 0, 0], [0, 0, 1.1]], cell=[3.5, 3.5, 3.5], pbc=True)),
    "O": (lambda: Atoms("O2", positions=[[0, 0, 0], [0, 0, 1.2]], cell=[3.5, 3.5, 3.5], pbc=True)),
    "Mg": (lambda: bulk("Mg", "fcc", a=4.5)),
    "Al": (lambda: bulk("Al")),
    "Si": (lambda: bulk("Si")),
    "Ga": (lambda: bulk("Ga", "fcc", a=4.2)),
    "Ge": (lambda: bulk("Ge")),
    "As": (lambda: bulk("As", "sc", a=2.8)),
}


def eggbox(names: list[str]) -> None:
    header = ["element", "cut-off (Ry)", "grid", "largest change of H (meV)", "rms (meV)"]
    table([*header, "energy (meV/atom)"])
    for name in names or CRYSTALS:
        atoms = CRYSTALS[name]()
        symbols = set(atoms.get_chemical_symbols())
        for ecut in sorted({150.0, 250.0, default_ecut(symbols)}):
            results = []
            for fraction in (0.0, 0.29, 0.5):
                moved = atoms.copy()
                if results:
                    step = atoms.cell.array / np.array(results[0].provenance["grid"])[:, None]
                    moved.positions += fraction * step.sum(axis=0)
                results.append(compute_system(moved, kpts=(1, 1, 1), ecut_ry=ecut, smearing=0.3))
            first = results[0]
            largest, rms, energy = 0.0, 0.0, 0.0
            for other in results[1:]:
                d = other.hamiltonian - first.hamiltonian
                flat = np.concatenate([a.ravel() for a in d.values])
                largest = max(largest, abs(flat).max() * 1e3)
                rms = max(rms, np.sqrt(np.mean(flat**2)) * 1e3)
                e = other.provenance["free_energy"] - first.provenance["free_energy"]
                energy = max(energy, abs(e) * 1e3 / len(atoms))
            grid = "x".join(map(str, first.provenance["grid"]))
            row = [name, f"{ecut:.0f}", grid, f"{largest:.2f}", f"{rms:.4f}", f"{energy:.4f}"]
            line(row)


def throughput() -> None:
    rng = np.random.default_rng(1)
    atoms = bulk("Si", cubic=True, a=5.54)
    atoms.numbers[rng.permutation(8)[:4]] = 32
    atoms.positions += rng.normal(0, 0.06, (8, 3))
    start = time.process_time()
    system = compute_system(atoms)
    seconds = time.process_time() - start
    print(
        f"SiGe, 8 atoms, kpts {system.kpts}, {system.provenance['iterations']} iterations: "
        f"{seconds:.1f} s CPU, {3600 / seconds:.0f} structures a core hour"
    )
    print(system.provenance["cpu_seconds"])


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    what, names = sys.argv[1], sys.argv[2:]
    if what == "throughput":
        throughput()
    else:
        {"bands": bands, "eggbox": eggbox}[what](names)
