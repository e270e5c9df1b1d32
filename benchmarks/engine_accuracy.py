"""Accuracy of the PySCF engine: bands from H(R) against PySCF's own, and grid noise of the labels.

    python benchmarks/engine_accuracy.py bands                # all systems, Markdown table
    python benchmarks/engine_accuracy.py bands BN MgO
    python benchmarks/engine_accuracy.py quick            # LDA on coarse grids, a minute
    python benchmarks/engine_accuracy.py eggbox Si C:700 MgO     # C with a cut-off of 700 Ry
    python benchmarks/engine_accuracy.py bands Fe         # magnetic: against PySCF's KUKS
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

from ase_mlham.core import LCAOSystem
from ase_mlham.core.spin import spin_blocks
from ase_mlham.engines import compute_system
from ase_mlham.engines.pyscf.basis_sets import load_basis
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


def iron() -> Atoms:
    atoms = bulk("Fe", a=2.87)
    atoms.set_initial_magnetic_moments([3.0])
    return atoms


def levels(system: LCAOSystem, k: np.ndarray) -> np.ndarray:
    """Eigenvalues of each spin channel, (n_channels, n_k, n) eV."""
    out = []
    for h, s in zip(system.hamiltonian.at_k(k), system.overlap.at_k(k), strict=True):
        blocks = spin_blocks(h, system.spin)
        out.append([eigh(block, s[0], eigvals_only=True) for block in blocks])
    return np.array(out).swapaxes(0, 1)


SYSTEMS = {
    "Si": (lambda: rattled(bulk("Si")), (2, 1, 1)),
    "SiC": (lambda: rattled(bulk("SiC", "zincblende", a=4.36)), (2, 1, 1)),
    "BN": (lambda: rattled(bulk("BN", "zincblende", a=3.615)), (2, 1, 1)),
    "GaAs": (lambda: rattled(bulk("GaAs", "zincblende", a=5.65)), (2, 1, 1)),
    "MgO": (lambda: rattled(bulk("MgO", "rocksalt", a=4.21)), (2, 1, 1)),
    "Si-slab": (slab, (2, 1, 1)),
    "Fe": (iron, (2, 2, 2)),
}


QUICK = {
    "Si": 60.0,
    "SiC": 120.0,
    "BN": 150.0,
    "GaAs": 120.0,
    "MgO": 150.0,
    "Si-slab": 50.0,
    "Fe": 150.0,
}
"""Cut-offs (Ry) of the quick comparison: the grid is the same in both codes, not converged."""


def path(atoms: Atoms) -> np.ndarray:
    """A few points of ASE's standard path and one of low symmetry."""
    special = np.array(list(atoms.cell.bandpath(npoints=0).special_points.values()))[:4]
    return np.vstack([special, [[0.37, 0.12, 0.05 if atoms.cell[2, 2] < 15 else 0.0]]])


def pyscf_bands(
    atoms: Atoms, k: np.ndarray, kmesh: tuple, grid: list, smearing: float, xc: str
) -> tuple:
    from pyscf.pbc import dft, gto
    from pyscf.pbc.scf.addons import smearing as smear

    symbols = set(atoms.get_chemical_symbols())
    lattice = atoms.cell.array / BOHR
    cell = gto.Cell()
    cell.unit, cell.a, cell.basis, cell.pseudo = (
        "Bohr",
        lattice,
        load_basis(BASIS, symbols),
        PSEUDO[xc],
    )
    cell.atom = [(a.symbol, a.position / BOHR) for a in atoms]
    cell.mesh, cell.precision, cell.verbose = grid, 1e-8, 0
    cell.build()
    k_mesh = cell.make_kpts(kmesh)
    magnetic = atoms.get_initial_magnetic_moments().any()
    mf = (dft.KUKS if magnetic else dft.KRKS)(cell, k_mesh, xc=LIBXC[xc])
    start = None
    if magnetic:  # up in the majority
        start = mf.get_init_guess(cell, "minao")
        start[0] *= 1.2
        start[1] *= 0.8
    if smearing:
        mf = smear(mf, sigma=smearing / HARTREE, method="fermi")
    mf = mf.multigrid_numint()
    mf.conv_tol, mf.max_cycle = 1e-8, 100
    mf.kernel(dm0=start)
    if not mf.converged:
        sys.exit("PySCF did not converge")
    energy = getattr(mf, "e_free", None) or mf.e_tot
    found = np.array(mf.get_bands(cell.get_abs_kpts(k))[0])
    return float(energy) * HARTREE, found.reshape(-1, *found.shape[-2:]) * HARTREE


def line(cells: list[str]) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


def table(header: list[str]) -> None:
    line(header)
    line(["---"] * len(header))


def bands(names: list[str], quick: bool) -> None:
    header = ["system", "grid", "energy (meV/atom)", "bands within 5 eV of the gap (meV)"]
    header += ["occupied bands (meV)", "largest element cut off (meV)"]
    table([*header, "CPU engine (s)", "CPU PySCF (s)"])
    for name in names or SYSTEMS:
        make, kmesh = SYSTEMS[name]
        atoms = make()
        # on this coarse mesh GaAs has no gap
        smearing = {"Si-slab": 0.05, "GaAs": 0.05, "Fe": 0.3}.get(name, 0.0)
        start = time.process_time()
        settings = {"xc": "lda", "ecut_ry": QUICK[name]} if quick else {"xc": "pbe"}
        system = compute_system(atoms, basis=BASIS, kpts=kmesh, smearing=smearing, **settings)
        own_time = time.process_time() - start
        k = path(atoms)
        own = levels(system, k)
        start = time.process_time()
        grid = system.provenance["grid"]
        energy, reference = pyscf_bands(atoms, k, kmesh, grid, smearing, settings["xc"])
        pyscf_time = time.process_time() - start
        n = int(system.n_electrons) // 2
        top, bottom = reference[..., n - 1].max(), reference[..., n].min()
        if len(reference) > 1:
            top = bottom = system.fermi_level
        near = (reference > top - 5) & (reference < bottom + 5)
        change = abs(own - reference) * 1e3
        difference = (system.provenance["free_energy"] - energy) * 1e3 / len(atoms)
        cut = system.provenance["largest_cut_hamiltonian"] * 1e3
        row = [name, "x".join(map(str, grid)), f"{difference:.3f}", f"{change[near].max():.3f}"]
        row += [
            f"{change[reference <= top].max():.3f}",
            f"{cut:.3f}",
            f"{own_time:.1f}",
            f"{pyscf_time:.1f}",
        ]
        line(row)


CRYSTALS = {
    "Si": lambda: bulk("Si"),
    "Ge": lambda: bulk("Ge"),
    "C": lambda: bulk("C"),
    "Al": lambda: bulk("Al"),
    "BN": lambda: bulk("BN", "zincblende", a=3.615),
    "GaAs": lambda: bulk("GaAs", "zincblende", a=5.65),
    "MgO": lambda: bulk("MgO", "rocksalt", a=4.21),
    "Fe": iron,
    "HF": lambda: Atoms("HF", positions=[[0, 0, 0], [0, 0, 0.92]], cell=[3, 3, 3], pbc=True),
}


def eggbox(names: list[str]) -> None:
    """Change of the labels when all atoms move by half a grid step along the diagonal.

    The largest element is that of the highest function of an atom, at 100 to 240 eV, which no band
    of interest feels: the last column says what the bands feel.
    """
    header = ["crystal", "cut-off (Ry)", "grid", "largest on-site change (meV)", "rms (meV)"]
    table([*header, "energy (meV/atom)", "bands within 5 eV of the Fermi level (meV)"])
    for word in names or CRYSTALS:
        name, _, cutoff = word.partition(":")
        atoms = CRYSTALS[name]()
        # one k-point is enough for grid noise, but makes no magnet
        kpts = (4, 4, 4) if name == "Fe" else (1, 1, 1)
        settings = {"kpts": kpts, "smearing": 0.3, "ecut_ry": float(cutoff or 0) or None}
        first = compute_system(atoms, **settings)
        grid = first.provenance["grid"]
        moved = atoms.copy()
        moved.positions += 0.5 * (atoms.cell.array / np.array(grid)[:, None]).sum(axis=0)
        other = compute_system(moved, **settings)
        difference = (other.hamiltonian - first.hamiltonian).component(0)
        shift = difference.inner(first.overlap) / first.overlap.inner(first.overlap)
        rest = other.shift_energy(-shift).hamiltonian - first.hamiltonian
        rms = np.sqrt(np.mean(np.concatenate([a.ravel() for a in rest.values]) ** 2)) * 1e3
        onsite = {a.symbol: abs(rest[a.index, a.index, (0, 0, 0)]).max() * 1e3 for a in atoms}
        energy = other.provenance["free_energy"] - first.provenance["free_energy"]
        k = np.array([[0, 0, 0], [0.37, 0.12, 0.05]])
        before, after = levels(first, k), levels(other, k)
        near = abs(before - first.fermi_level) < 5
        bands_change = abs(after - before - shift)[near].max() * 1e3
        row = [name, f"{first.provenance['ecut_ry']:.0f}", "x".join(map(str, grid))]
        row += [", ".join(f"{e} {v:.2f}" for e, v in onsite.items()), f"{rms:.4f}"]
        line([*row, f"{abs(energy) * 1e3 / len(atoms):.4f}", f"{bands_change:.3f}"])


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
    elif what == "eggbox":
        eggbox(names)
    else:
        bands(names, quick=what == "quick")
