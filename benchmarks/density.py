"""Densities on grids: error of the electron count, agreement with PySCF, memory of large cells.

    python benchmarks/density.py count FOLDER        # OpenMX files and systems of the engine
    python benchmarks/density.py pyscf               # point by point against PySCF
    python benchmarks/density.py wannier             # silicon: plane waves, centres, spreads
    python benchmarks/density.py memory 64 512       # SiGe at Gamma, predicted by "sige"

`count` sums the density over grids of several spacings; the exact number is Tr(P S). `pyscf`
compares orbitals, densities and wave functions on the same points. `wannier` compares plane waves
between orbitals with PySCF's, and Wannier functions with what symmetry says. `memory` takes a
random alloy, predicts H, makes the density matrix at Gamma, and the density on points 0.2 Å apart:
time of one thread, and the largest memory of each step above what was there before, that of the
grid in a process of its own. Needs Linux (/proc).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from reference import one_thread

SPACINGS = (0.1, 0.15, 0.2, 0.3)
FILES = {
    "si_diamond": (6, 6, 6),
    "graphene": (9, 9, 1),
    "h2o": (1, 1, 1),
    "fe_bcc": (9, 9, 9),
    "bi2se3_soc": (4, 4, 4),
    "gaas_soc": (5, 5, 5),
    "mos2": (6, 6, 1),
    "o2_triplet": (1, 1, 1),
}


# ---------------------------------------------------------------------- error of the count
def openmx_systems(folder: Path) -> Iterator[tuple[str, Any, tuple[int, int, int]]]:
    from ase_mlham import read_system

    for name, kpts in FILES.items():
        (path,) = (folder / name).glob(f"{name}.scfout*")
        yield name, read_system(path), kpts


def engine_systems() -> Iterator[tuple[str, Any, tuple[int, int, int]]]:
    from ase.build import bulk, molecule

    from ase_mlham import compute_system

    yield (
        "Si, short-range (PySCF)",
        compute_system(bulk("Si"), kpts=(4, 4, 4), ecut_ry=80.0),
        (4, 4, 4),
    )
    yield "H2O, DZVP-MOLOPT (PySCF)", compute_system(molecule("H2O"), smearing=0.0), (1, 1, 1)
    yield "CH4, DZVP-MOLOPT (PySCF)", compute_system(molecule("CH4"), smearing=0.0), (1, 1, 1)


def count(folder: Path) -> None:
    from ase_mlham.real_space import CoarseGridWarning, density_matrix
    from ase_mlham.real_space.densities import charge_of

    heads = " | ".join(f"{s:g} Å" for s in SPACINGS)
    print(f"| system | electrons | Tr(P S) − N | {heads} | CPU s at 0.2 Å |")
    print("| --- " * (len(SPACINGS) + 4) + "|")
    for source in (openmx_systems(folder), engine_systems()):
        for name, system, kpts in source:
            found = density_matrix(system, kpts)
            errors, seconds = [], 0.0
            for spacing in SPACINGS:
                with warnings.catch_warnings(), one_thread():
                    warnings.simplefilter("ignore", CoarseGridWarning)
                    start = time.process_time()
                    field = charge_of(system, found, spacing=spacing)
                    if spacing == 0.2:
                        seconds = time.process_time() - start
                errors.append(f"{field.integral() - field.exact:+.0e}")
            exact = found.n_electrons - system.n_electrons
            print(
                f"| {name} | {system.n_electrons:g} | {exact:.0e} | {' | '.join(errors)} "
                f"| {seconds:.2f} |",
                flush=True,
            )


# ---------------------------------------------------------------------- against PySCF
def row(name: str, mine: np.ndarray, theirs: np.ndarray, unit: str) -> None:
    difference = abs(mine - theirs).max()
    print(f"| {name} | {abs(theirs).max():.3g} {unit} | {difference:.0e} {unit} |", flush=True)


def against_pyscf() -> None:
    print("| quantity | largest value | largest difference |\n| --- | --- | --- |")
    molecules()
    crystal()


def molecules() -> None:
    from ase import Atoms
    from ase.build import molecule
    from pyscf import dft, gto

    from ase_mlham import compute_system
    from ase_mlham.engines.pyscf.basis_sets import orbital_order
    from ase_mlham.real_space import Grid, density_matrix, wave_functions
    from ase_mlham.real_space.densities import density_of
    from ase_mlham.units import CODATA_2018

    bohr = CODATA_2018.bohr
    for name, atoms, spin in (
        ("H2O, DZVP", molecule("H2O"), 0),
        ("O2 triplet, DZVP", Atoms("O2", positions=[[0, 0, 0], [0, 0, 1.21]], magmoms=[1, 1]), 2),
    ):
        more = {"spin": "collinear", "total_moment": 2.0} if spin else {}
        system = compute_system(atoms, basis="gth-dzvp", smearing=0.0, eps_cutoff=1e-7, **more)
        grid = Grid.of(system.structure, 0.25, reach=3.0)
        mol = gto.M(
            atom=[(a.symbol, a.position / bohr) for a in atoms],
            unit="Bohr",
            basis="gth-dzvp",
            pseudo="gth-pbe",
            spin=spin,
            verbose=0,
        )
        mf = (dft.UKS if spin else dft.RKS)(mol, xc="pbe")
        mf.grids.level, mf.conv_tol = 4, 1e-11
        mf.kernel()
        orbitals = dft.numint.eval_ao(mol, grid.points().reshape(-1, 3) / bohr)
        order = orbital_order(mol)
        found = density_matrix(system)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mine = density_of(system, found, grid=grid).values.reshape(-1, *grid.shape)
        own = mf.make_rdm1()
        parts = [own] if not spin else [own[0] + own[1], own[0] - own[1]]
        for index, (what, theirs) in enumerate(
            zip(("charge density", "spin density"), parts, strict=False)
        ):
            P = np.zeros((len(order),) * 2)
            P[np.ix_(order, order)] = found.matrix.dense()[index]
            same = dft.numint.eval_rho(mol, orbitals, P).reshape(grid.shape) / bohr**3
            row(f"{name}: {what}, the same density matrix", mine[index], same, "Å⁻³")
            other = dft.numint.eval_rho(mol, orbitals, theirs).reshape(grid.shape) / bohr**3
            row(f"{name}: {what}, PySCF's own SCF", mine[index], other, "Å⁻³")
        if not spin:
            psi = wave_functions(system, (0, 0, 0), [3], grid=grid)[0].values
            theirs = (orbitals @ mf.mo_coeff[:, 3]).reshape(grid.shape) / bohr**1.5
            row(
                f"{name}: highest state, PySCF's own SCF",
                psi * np.sign(np.vdot(psi, theirs)),
                theirs,
                "Å⁻³ᐟ²",
            )


def crystal() -> None:
    from ase.build import bulk
    from pyscf.pbc import gto
    from pyscf.pbc.dft import numint

    from ase_mlham import compute_system
    from ase_mlham.electronic.states import eigenstates
    from ase_mlham.engines.pyscf.basis_sets import orbital_order
    from ase_mlham.real_space import Grid, density_matrix, wave_functions
    from ase_mlham.real_space.densities import density_of
    from ase_mlham.units import CODATA_2018

    bohr = CODATA_2018.bohr
    atoms = bulk("Si")
    atoms.positions[1] += [0.05, -0.03, 0.02]
    options: dict[str, Any] = {"basis": "gth-dzvp-molopt-sr", "xc": "lda", "smearing": 0.0}
    system = compute_system(atoms, kpts=(2, 2, 2), ecut_ry=60.0, eps_cutoff=1e-5, **options)
    cell = gto.Cell()
    cell.unit, cell.a = "Bohr", np.asarray(atoms.cell) / bohr
    cell.atom = [(a.symbol, a.position / bohr) for a in atoms]
    cell.basis, cell.pseudo, cell.precision, cell.verbose = options["basis"], "gth-pade", 1e-10, 0
    cell.build()
    grid = Grid.of(system.structure, 0.25)
    points = grid.points().reshape(-1, 3) / bohr
    order = orbital_order(cell)
    states = eigenstates(system, (2, 2, 2), vectors=True)
    vectors = np.zeros_like(states.measured["vectors"][0])
    vectors[..., order] = states.measured["vectors"][0]
    orbitals = numint.eval_ao_kpts(cell, points, cell.get_abs_kpts(states.kpts))
    theirs = sum(
        2 * w * (abs(a @ c[:4].T) ** 2).sum(axis=1)
        for w, a, c in zip(states.weights, orbitals, vectors, strict=True)
    )
    mine = density_of(system, density_matrix(system, (2, 2, 2)), grid=grid).values
    row(
        "Si, DZVP-MOLOPT-SR, 2×2×2: charge density",
        mine,
        theirs.reshape(grid.shape) / bohr**3,
        "Å⁻³",
    )
    k = np.array([0.37, 0.12, 0.05])
    vectors = np.zeros((1, len(order)), complex)
    vectors[0, order] = eigenstates(system, k[None], vectors=True).measured["vectors"][0, 0, 4]
    orbital = numint.eval_ao_kpts(cell, points, cell.get_abs_kpts(k[None]))[0]
    theirs = (orbital @ vectors[0]).reshape(grid.shape) / bohr**1.5
    psi = wave_functions(system, k, [4], grid=grid)[0].values
    phase = np.vdot(psi, theirs)
    row("Si: lowest empty state at a general k", psi * phase / abs(phase), theirs, "Å⁻³ᐟ²")


# ---------------------------------------------------------------------- Wannier functions
def wannier() -> None:
    from ase.build import bulk
    from ase.dft.wannier import Wannier
    from pyscf.pbc import gto
    from pyscf.pbc.df.ft_ao import ft_aopair_kpts

    from ase_mlham import MLHamiltonian, compute_system
    from ase_mlham.core import Structure
    from ase_mlham.engines.pyscf.basis_sets import core_basis, orbital_order
    from ase_mlham.integrals.plane_waves import plane_wave
    from ase_mlham.real_space import Grid
    from ase_mlham.units import CODATA_2018

    atoms = bulk("Si")
    cell = gto.Cell()
    cell.unit, cell.a = "Bohr", np.asarray(atoms.cell) / CODATA_2018.bohr
    cell.atom = [(a.symbol, a.position / CODATA_2018.bohr) for a in atoms]
    cell.basis, cell.pseudo = "gth-dzvp-molopt-sr", "gth-pade"
    cell.precision, cell.verbose = 1e-10, 0
    cell.build()
    structure, basis = Structure.from_atoms(atoms), core_basis(cell, "molopt", 1e-6)
    k, step = np.array([0.25, 0.0, 0.0]), np.array([0.25, 0.25, 0.0])
    b = step @ (2 * np.pi * np.linalg.inv(structure.cell).T)
    cosine, sine = plane_wave(structure, basis, b).at_k(k + step / 2)
    phase = np.repeat(np.exp(-0.5j * (structure.positions @ b)), basis.species[0].n_orbitals)
    ends = cell.get_abs_kpts(np.array([k, k + step]))
    theirs = ft_aopair_kpts(cell, np.zeros((1, 3)), q=ends[1] - ends[0], kptjs=ends[1:])[0, 0]
    order = orbital_order(cell)
    print("| quantity | value |\n| --- | --- |")
    error = abs(phase[:, None] * (cosine - 1j * sine) * phase - theirs[np.ix_(order, order)]).max()
    print(f"| exp(-ib·r) between orbitals, against PySCF: largest difference | {error:.0e} |")

    system = compute_system(atoms, kpts=(4, 4, 4), ecut_ry=80.0, smearing=0.0)
    calc = MLHamiltonian(system=system, kpts=(4, 4, 4), symmetry="off", spacing=0.25)
    found = Wannier(
        4, calc, nbands=4, fixedstates=4, initialwannier="random", rng=np.random.RandomState(1)
    )
    found.localize(tolerance=1e-9)
    centres = found.get_centers() @ np.linalg.inv(np.asarray(atoms.cell))
    bonds = np.array([[1, 1, 1], [5, 1, 1], [1, 5, 1], [1, 1, 5]]) / 8
    offset = (centres[:, None] - bonds + 0.5) % 1 - 0.5
    away = np.linalg.norm(offset @ np.asarray(atoms.cell), axis=2).min(axis=1).max()
    print(f"| largest distance of a centre from the middle of a bond | {away:.0e} Å |")
    spreads = found.get_spreads()
    print(
        f"| spreads, 4×4×4, from random numbers | {spreads.min():.4f} to {spreads.max():.4f} Å² |"
    )
    grid = Grid.of_cell(system.structure, 0.25).repeated((4, 4, 4))
    density = abs(found.get_function(0)) ** 2 * grid.element / 64
    scaled = grid.points() @ np.linalg.inv(grid.cell)
    worst = max(
        abs((density * np.exp(2j * np.pi * (scaled @ d))).sum() - found.Z_dww[n, 0, 0])
        for n, d in enumerate(found.Gdir_dc)
    )
    print(f"| its moments from the function on a grid, against the integrals | {worst:.0e} |")


# ---------------------------------------------------------------------- memory
@contextmanager
def step(name: str, out: dict[str, Any]) -> Iterator[None]:
    """Seconds of the processor, and the peak of memory above that before."""
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    start = time.process_time()
    yield
    out[name] = {
        "seconds": round(time.process_time() - start, 1),
        "more_mb": round((_status("VmHWM") - before) / 1000),
    }
    print(f"{name}: {out[name]}", file=sys.stderr, flush=True)


def _status(key: str) -> float:
    """Memory of this process, kB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(key + ":"):
            return float(line.split()[1]) * 1.024
    raise RuntimeError(f"/proc/self/status has no {key}")


def predicted(n_atoms: int, out: dict[str, Any]) -> Any:
    """A random alloy at 0.05 Å of disorder, and its H."""
    import torch
    from ase.build import bulk

    from ase_mlham import load_model

    torch.set_num_threads(1)
    repeats = round((n_atoms / 8) ** (1 / 3))
    atoms = bulk("Si", "diamond", a=5.54, cubic=True).repeat(repeats)
    if len(atoms) != n_atoms:
        raise SystemExit(f"{n_atoms} atoms: give 8 n^3, for example 64 or 512")
    random = np.random.default_rng(3)
    atoms.numbers[random.permutation(n_atoms)[: n_atoms // 2]] = 32
    atoms.rattle(0.05, seed=3)
    model = load_model("sige")
    with step("prediction", out):
        system = model.predict(atoms)
    out["orbitals"] = system.n_orbitals
    return system


def whole(n_atoms: int) -> dict[str, Any]:
    """Prediction, density matrix and density; the only thing that its process does."""
    from ase_mlham.real_space import density_matrix
    from ase_mlham.real_space.densities import charge_of

    out: dict[str, Any] = {"atoms": n_atoms}
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        system = predicted(n_atoms, out)
        with step("density matrix", out):
            found = density_matrix(system, (1, 1, 1))
        with step("density on the grid", out):
            field = charge_of(system, found, spacing=0.2)
    out["shape"] = list(field.grid.shape)
    out["electrons"] = field.exact
    out["error"] = field.integral() - field.exact
    return out


def grid_alone(n_atoms: int) -> dict[str, Any]:
    """The grid with a density matrix as large, of free atoms: no step before left memory free."""
    from ase_mlham.real_space.densities import matrix_on_grid
    from ase_mlham.real_space.free_atoms import superposed_atoms
    from ase_mlham.real_space.wave_functions import grid_of

    out: dict[str, Any] = {"atoms": n_atoms}
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        system = predicted(n_atoms, out)
        filling = {"Si": {0: 2.0, 2: 2.0}, "Ge": {0: 2.0, 2: 2.0}}
        matrix = superposed_atoms(system, system.overlap.pattern, filling)
        grid = grid_of(system, 0.2, None)
        _give_back()
        with step("density on the grid", out):
            matrix_on_grid(system, matrix, grid)
    return out


def _give_back() -> None:
    """Return what is free to the system, so that it is not taken again unseen."""
    import ctypes
    import gc

    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)


def memory(sizes: list[int]) -> None:
    steps = ("prediction", "density matrix", "density on the grid")
    heads = " | ".join(f"{name}: CPU s, MB" for name in steps)
    print(f"| atoms | orbitals | points | {heads} | error of the count |")
    print("| --- " * 7 + "|")
    for n in sizes:
        row, alone = (_in_a_process(what, n) for what in ("whole", "grid"))
        row["density on the grid"]["more_mb"] = alone["density on the grid"]["more_mb"]
        parts = " | ".join(f"{row[s]['seconds']}, {row[s]['more_mb']}" for s in steps)
        shape = " × ".join(str(m) for m in row["shape"])
        print(
            f"| {n} | {row['orbitals']} | {shape} | {parts} "
            f"| {row['error']:+.0e} of {row['electrons']:.0f} |",
            flush=True,
        )


def _in_a_process(what: str, n: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, what, str(n)], check=True, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("count").add_argument("folder", type=Path)
    commands.add_parser("pyscf")
    commands.add_parser("wannier")
    commands.add_parser("memory").add_argument("atoms", type=int, nargs="+")
    for name in ("whole", "grid"):
        commands.add_parser(name).add_argument("atoms", type=int)
    options = parser.parse_args()
    if options.command == "count":
        count(options.folder)
    elif options.command == "pyscf":
        against_pyscf()
    elif options.command == "wannier":
        wannier()
    elif options.command == "memory":
        memory(options.atoms)
    else:
        print(json.dumps((whole if options.command == "whole" else grid_alone)(options.atoms)))


if __name__ == "__main__":
    main()
