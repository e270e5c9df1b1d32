"""Tools of ASE on the calculator, each against a number that this package did not compute.

    python benchmarks/ase_contract.py FOLDER [--only TEXT] [--write]

FOLDER holds one folder for each OpenMX calculation: NAME.scfout (or .gz, .zst), NAME.out.gz and,
for crystals, NAME.Band. References are the eigenvalues and Mulliken populations that OpenMX printed
in the same run, PySCF's own objects, and other calculators of ASE. Each row has a limit; the script
ends with 1 if one is exceeded. `--write` puts the table into docs/benchmarks/ase_contract.md.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointDFTCalculator, arrays_to_kpoints
from ase.dft.bandgap import GapInfo, bandgap
from ase.dft.dos import DOS
from ase.dft.kpoints import BandPath, get_monkhorst_pack_size_and_offset, monkhorst_pack
from ase.filters import FrechetCellFilter
from ase.io import read, write
from ase.io.jsonio import read_json
from ase.md.langevin import Langevin
from ase.optimize import BFGS
from ase.spectrum.band_structure import calculate_band_structure
from ase.units import fs  # noqa: TID251 - in which the dynamics of ASE counts

from ase_mlham.calculator import FrozenResult, MLHamiltonian
from ase_mlham.core import SpinKind
from ase_mlham.errors import MLHamWarning
from ase_mlham.formats.compression import read_text
from ase_mlham.formats.openmx.bands import PrintedBands, read_bands, read_levels
from ase_mlham.units import CODATA_2018

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = REPOSITORY / "docs" / "benchmarks" / "ase_contract.md"
KELVIN = 8.617333262e-5  # eV

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Row:
    """One tool on one source.

    Attributes
    ----------
    tool : str
        Of ASE.
    run : str
        What was done with it.
    source, reference : str
        Where H is from, and where the number is from that it is compared with.
    limit : float
        Largest error that passes, and why not smaller.
    unit : str
        Of the error.
    measure : callable
        From the folder of the OpenMX files to the error.
    needs : str
        Folder of the source below that, or a module.
    slow : bool
        More than a few seconds.
    """

    tool: str
    run: str
    source: str
    reference: str
    limit: float
    unit: str
    measure: Callable[[Path], float]
    needs: str = ""
    slow: bool = False


# ---------------------------------------------------------------------- what OpenMX printed
def place(folder: Path, name: str) -> Path:
    """Folder of a calculation: one of its own, or that of several."""
    return folder / name if (folder / name).is_dir() else folder


def source_file(folder: Path, name: str) -> Path:
    (path,) = place(folder, name).glob(f"{name}.scfout*")
    return path


def printed_levels(folder: Path, name: str) -> PrintedBands:
    """Eigenvalues at the k-points of the SCF; one channel if there is no spin."""
    levels = read_levels(place(folder, name) / f"{name}.out.gz")
    size = attached(folder, name).calc.system().kpts
    return levels if size == (1, 1, 1) else levels.on_mesh(size)


def attached(folder: Path, name: str, **parameters: Any) -> Atoms:
    """Atoms of an OpenMX calculation with our calculator on its file."""
    return MLHamiltonian(source_file(folder, name), **parameters).get_atoms()


def label(text: str) -> str:
    """Name of a special point as ASE writes it."""
    return "G" if text.lower().startswith("g") else text


def as_path(atoms: Atoms, printed: PrintedBands) -> BandPath:
    ends = {}
    for segment in printed.segments:
        ends |= dict(zip(map(label, segment.labels), (segment.start, segment.end), strict=True))
    labels = [label(printed.segments[0].labels[0])]
    labels += [label(segment.labels[1]) for segment in printed.segments]
    return BandPath(
        # without the vectors of directions that are not periodic, as ASE has it
        atoms.cell.uncomplete(atoms.pbc),
        kpts=printed.kpts,
        special_points={name: np.array(k) for name, k in ends.items()},
        path="".join(labels),
    )


def populations(folder: Path, name: str) -> list[dict[str, float]]:
    """Mulliken populations of the atoms as printed, by angular momentum and in all."""
    text = read_text(place(folder, name) / f"{name}.out.gz")
    text = text.partition("Decomposed Mulliken populations")[2].partition("*****")[0]
    out: list[dict[str, float]] = []
    letter = ""
    for line in text.splitlines():
        words = line.split()
        if re.match(r"\s+\d+\s+[A-Z][a-z]?\s+Up spin", line):
            out.append({})
        elif line.strip().startswith("sum over m+mul"):
            out[-1][letter] = float(words[5])
        elif re.match(r"\s+[spdf]\S*\s+\d+\s", line):
            letter = words[0][0]
    return out


# ---------------------------------------------------------------------- bands and gaps
def band_structure_of_ase(folder: Path, name: str) -> float:
    printed = read_bands(place(folder, name) / f"{name}.Band")
    atoms = attached(folder, name, potential=LennardJones(), kpts=(2, 2, 2))
    if not atoms.pbc[2]:
        atoms.calc.set(kpts=(2, 2, 1))
    found = calculate_band_structure(atoms, as_path(atoms, printed))
    return float(abs(found.energies - printed.energies).max())


def gap_of(folder: Path, name: str, find: Callable[[Any], float], *, direct: bool) -> float:
    """Error of a gap at the k-points of the SCF."""
    printed = printed_levels(folder, name)
    atoms = attached(folder, name, kpts=printed.kpts)
    energies = printed.energies[: atoms.calc.get_number_of_spins()]
    filled = energies <= printed.fermi_level
    if direct:
        top = np.where(filled, energies, -np.inf).max(axis=2)
        bottom = np.where(filled, np.inf, energies).min(axis=2)
        expected = float((bottom - top).min())
    else:
        expected = float(energies[~filled].min() - energies[filled].max())
    return abs(find(atoms.calc) - expected)


def homo_lumo(folder: Path, name: str) -> float:
    printed = read_levels(place(folder, name) / f"{name}.out.gz")
    filled = printed.energies <= printed.fermi_level
    expected = printed.energies[filled].max(), printed.energies[~filled].min()
    found = attached(folder, name).calc.get_homo_lumo()
    return float(abs(np.subtract(found, expected)).max())


def frozen_gap(folder: Path, name: str) -> float:
    """The same after writing and reading frozen results."""

    def reopened(calc: MLHamiltonian) -> float:
        with tempfile.TemporaryDirectory() as temporary:
            calc.freeze().write(Path(temporary) / "result.json")
            return bandgap(FrozenResult.read(Path(temporary) / "result.json"))[0]

    return gap_of(folder, name, reopened, direct=False)


# ---------------------------------------------------------------------- densities of states
def dos_with_width(folder: Path, name: str, width: float = 0.2) -> float:
    """Largest difference from the sum of Gaussians at the printed levels, of the highest peak."""
    printed = printed_levels(folder, name)
    atoms = attached(folder, name, kpts=printed.kpts, smearing=0.05)
    calc = atoms.calc
    dos = DOS(calc, width=width, window=(-15, 5), npts=301)
    absolute = dos.get_energies() + calc.get_fermi_level()
    worst, highest = 0.0, 0.0
    for spin in range(calc.get_number_of_spins()):
        x = (absolute[:, None, None] - printed.energies[spin]) / width
        expected = np.exp(-(x**2)).sum(axis=2).mean(axis=1) / (np.sqrt(np.pi) * width)
        worst = max(worst, float(abs(dos.get_dos(spin=spin) - expected).max()))
        highest = max(highest, float(expected.max()))
    return worst / highest


def dos_by_tetrahedra(folder: Path, name: str) -> float:
    """As that of ASE from the printed levels on the mesh, of the highest value."""
    printed = printed_levels(folder, name)
    size = attached(folder, name).calc.system().kpts
    new = printed.version >= (3, 9)
    atoms = attached(folder, name, kpts={"size": size, "gamma": new}, smearing=0.05)
    calc = atoms.calc
    bz = calc.get_bz_k_points()
    # each point of ASE's mesh is printed itself, or its inverse is
    apart = np.stack([(bz[:, None] - s * printed.kpts + 0.5) % 1 - 0.5 for s in (1, -1)])
    index = abs(apart).max(axis=3).min(axis=0).argmin(axis=1)
    energies = printed.energies[: calc.get_number_of_spins()]
    reference = SinglePointDFTCalculator(
        atoms,
        efermi=calc.get_fermi_level(),
        bzkpts=bz,
        ibzkpts=printed.kpts,
        bz2ibz=index,
        kpts=arrays_to_kpoints(energies, 0 * energies, np.full(len(printed.kpts), 1.0)),
    )
    ours, theirs = (DOS(c, width=0.0, window=(-6, 3), npts=91) for c in (calc, reference))
    worst = max(
        abs(ours.get_dos(spin=s) - theirs.get_dos(spin=s)).max() for s in range(len(energies))
    )
    return float(worst / max(theirs.get_dos(spin=0)))


def spinor_factor(folder: Path, name: str) -> float:
    """Electrons below the gap from `get_dos(spin=0)`; `get_dos()` must give twice as many."""
    atoms = attached(folder, name)
    calc = atoms.calc
    homo, lumo = calc.get_homo_lumo()
    assert lumo - homo > 0.2
    assert calc.system().spin is SpinKind.SPINOR
    dos = DOS(calc, width=0.04, npts=2001, window=(-40, 0))
    counts = [np.trapezoid(dos.get_dos(**s), dos.get_energies()) for s in ({"spin": 0}, {})]
    text = read_text(place(folder, name) / f"{name}.out.gz")
    expected = float(re.search(r"total=\s*([\d.]+)\s+ideal", text)[1])
    assert abs(counts[1] / counts[0] - 2) < 1e-12
    return float(abs(counts[0] - expected))


def collections(folder: Path, name: str) -> float:
    """Electrons of each atom and angular momentum against Mulliken populations as printed."""
    size = attached(folder, name).calc.system().kpts
    atoms = attached(folder, name, kpts={"size": size, "gamma": False})
    level = atoms.calc.get_fermi_level()
    # 0.02 eV: the tails of Gaussians end in the gap; the step is a third of it
    shells = atoms.calc.pdos("atom", window=(level - 20, level), npoints=3001, width=0.02)
    energies, worst = shells.get_energies(), 0.0
    for index, expected in enumerate(populations(folder, name)):
        of_atom = shells.select(index=str(index)).sum_by("orbital")
        for letter, electrons in expected.items():
            (curve,) = of_atom.select(orbital=letter)
            found = np.trapezoid(curve.get_weights(), energies)
            worst = max(worst, abs(float(found) - electrons))
    return worst


# ---------------------------------------------------------------------- k-points and commands
def special_points(folder: Path, system: str) -> float:
    """Bands at special points of ASE's path against the printed ones of the same label."""
    printed = read_bands(place(folder, system) / f"{system}.Band")
    labelled: dict[str, Array] = {}
    first = 0
    for segment in printed.segments:
        last = first + segment.n_points - 1
        for name, at in zip(segment.labels, (first, last), strict=True):
            labelled[label(name)] = printed.energies[:, at]
        first = last + 1
    atoms = attached(folder, system)
    known = atoms.cell.bandpath(npoints=0, pbc=atoms.pbc).special_points
    labels = [name for name in labelled if name in known]
    assert len(labels) >= 3
    found = atoms.calc.states([known[name] for name in labels]).energies
    expected = np.stack([labelled[name] for name in labels], axis=1)
    return float(abs(found - expected).max())


def meshes(folder: Path) -> float:
    """Size and offset that ASE recognises in our meshes."""
    worst = 0.0
    for name in ("si_diamond", "graphene"):
        for kpts in (None, 3.0, (4, 4, 1), {"size": (3, 5, 1), "gamma": False}):
            points = attached(folder, name, kpts=kpts).calc.get_bz_k_points()
            size, offset = get_monkhorst_pack_size_and_offset(points)
            worst = max(worst, float(abs(monkhorst_pack(size) + offset - points).max()))
    return worst


def run_ase(*arguments: str, folder: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ase", *arguments],
        cwd=folder,
        env={**os.environ, "MPLBACKEND": "Agg"},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def commands(folder: Path, name: str, command: str) -> float:
    """What a command of ASE reads from our JSON, which it has to draw."""
    printed = read_bands(place(folder, name) / f"{name}.Band")
    atoms = attached(folder, name, kpts=(2, 2, 2))
    with tempfile.TemporaryDirectory() as temporary:
        file, picture = Path(temporary) / "bands.json", Path(temporary) / "picture.png"
        atoms.calc.band_structure(as_path(atoms, printed)).write(file)
        option = ["-o"] if command == "band-structure" else []
        run_ase(command, file.name, *option, picture.name, folder=temporary)
        assert picture.read_bytes()[1:4] == b"PNG"
        bands = read_json(file)
    if command == "reciprocal":
        return float(abs(bands.path.kpts - printed.kpts).max())
    return float(abs(bands.energies - printed.energies).max())


# ---------------------------------------------------------------------- properties
def charges(folder: Path, name: str) -> float:
    size = attached(folder, name).calc.system().kpts
    atoms = attached(folder, name, kpts={"size": size, "gamma": False})
    system = atoms.calc.system()
    valence = np.array([system.basis[int(z)].valence for z in atoms.numbers])
    expected = valence - [sum(one.values()) for one in populations(folder, name)]
    return float(abs(atoms.get_charges() - expected).max())


def moment(folder: Path, name: str, kelvin: float) -> float:
    text = read_text(place(folder, name) / f"{name}.out.gz")
    expected = float(re.search(r"Total spin moment \(muB\)\s+([\d.]+)", text)[1])
    size = attached(folder, name).calc.system().kpts
    atoms = attached(folder, name, kpts=size, smearing=kelvin * KELVIN)
    return float(abs(np.linalg.norm(atoms.get_magnetic_moment()) - expected))


def files(folder: Path, name: str) -> float:
    """Charges and moments after the files of ASE."""
    atoms = attached(folder, name)
    expected = np.concatenate([atoms.get_charges(), atoms.get_magnetic_moments()])
    worst = 0.0
    with tempfile.TemporaryDirectory() as temporary:
        for suffix in ("traj", "extxyz", "json", "db"):
            path = Path(temporary) / f"atoms.{suffix}"
            write(path, atoms)
            again = read(path)
            found = np.concatenate([again.get_charges(), again.get_magnetic_moments()])
            worst = max(worst, float(abs(found - expected).max()))
    return worst


class Unasked:
    """A model that must not be asked."""

    identity = "unasked"

    def predict(self, atoms: Atoms, *, on_unknown: str) -> Any:
        message = "H was evaluated during a relaxation"
        raise AssertionError(message)


def moving(folder: Path) -> float:
    """Positions after a relaxation with its cell and dynamics, against the potential alone."""
    ends = []
    for calculator in (LennardJones(), MLHamiltonian(Unasked(), potential=LennardJones())):
        atoms = bulk("Ar", a=1.7, cubic=True)
        atoms.rattle(0.03, seed=0)
        atoms.calc = calculator
        BFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=0.01, steps=5)
        atoms.set_masses(np.full(4, 40.0))
        rng = np.random.default_rng(0)
        Langevin(
            atoms, fs, temperature_K=50, friction=0.1 / fs, rng=rng, fixcm=False
        ).run(5)  # fmt: skip
        ends.append(np.concatenate([atoms.positions.ravel(), np.ravel(atoms.cell)]))
    return float(abs(ends[0] - ends[1]).max())


# ---------------------------------------------------------------------- PySCF
def pyscf_molecule(folder: Path) -> float:
    """Levels of H2 by the engine, against a calculation with PySCF's own objects."""
    from pyscf import dft, gto

    from ase_mlham.engines import compute_system

    atoms = molecule("H2")
    # the engine counts without smearing, and in PySCF's finest standard grid
    system = compute_system(atoms, basis="gth-dzvp-molopt-sr", smearing=0.0)
    mol = gto.M(
        atom=[(a.symbol, a.position / CODATA_2018.bohr) for a in atoms],
        unit="Bohr",
        basis="gth-dzvp-molopt-sr",
        pseudo="gth-pbe",
        verbose=0,
    )
    mf = dft.RKS(mol, xc="pbe")
    mf.grids.level = 5
    mf.run(conv_tol=1e-10)
    levels = mf.mo_energy * CODATA_2018.hartree
    atoms.calc = MLHamiltonian(system=system)
    found = *atoms.calc.get_homo_lumo(), bandgap(atoms.calc)[0]
    return float(abs(np.subtract(found, (levels[0], levels[1], levels[1] - levels[0]))).max())


def pyscf_crystal(folder: Path) -> float:
    """Bands of silicon within 5 eV of the Fermi level, against PySCF's own k-point code."""
    from pyscf.pbc import dft, gto

    from ase_mlham.engines import compute_system

    atoms = bulk("Si")
    # two k-points do not hold the electrons of the perfect crystal without smearing
    atoms.positions[1] += [0.05, -0.03, 0.02]
    basis = "gth-dzvp-molopt-sr"
    system = compute_system(
        atoms, basis=basis, xc="lda", smearing=0.0, eps_cutoff=1e-5, kpts=(2, 1, 1), ecut_ry=40.0
    )
    cell = gto.Cell()
    cell.unit, cell.a = "Bohr", atoms.cell.array / CODATA_2018.bohr
    cell.atom = [(a.symbol, a.position / CODATA_2018.bohr) for a in atoms]
    cell.basis, cell.pseudo, cell.precision, cell.verbose = basis, "gth-pade", 1e-8, 0
    cell.mesh = system.provenance["grid"]
    cell.build()
    mf = dft.KRKS(cell, cell.make_kpts([2, 1, 1]), xc="lda_xc_teter93")
    mf.conv_tol = 1e-9
    mf.kernel()
    path = atoms.cell.bandpath("LGX", npoints=7)
    expected = np.array(mf.get_bands(cell.get_abs_kpts(path.kpts))[0]) * CODATA_2018.hartree
    atoms.calc = MLHamiltonian(system=system, kpts=(2, 1, 1), potential=LennardJones())
    found = calculate_band_structure(atoms, path).energies[0]
    near = abs(expected - system.fermi_level) < 5
    return float(abs(found - expected)[near].max())


# ---------------------------------------------------------------------- real space
def microscope(folder: Path) -> float:
    """Density of states at points in space by `STM`, with orbitals evaluated by PySCF, of the peak.

    A layer of hydrogen molecules: PySCF's periodic orbitals at the same points, our coefficients.
    """
    from ase.dft.stm import STM
    from pyscf.pbc import gto
    from pyscf.pbc.dft import numint

    from ase_mlham.electronic.states import eigenstates
    from ase_mlham.engines import compute_system
    from ase_mlham.engines.pyscf.basis_sets import orbital_order
    from ase_mlham.real_space import Grid

    bias = -12.0
    atoms = Atoms(
        "H2",
        positions=[[0.5, 0.6, 4.0], [1.2, 0.8, 4.2]],
        cell=[[3.0, 0, 0], [0.4, 2.8, 0], [0, 0, 9.0]],
        pbc=(True, True, False),
    )
    options = {"basis": "gth-dzvp", "smearing": 0.0, "eps_cutoff": 1e-5, "ecut_ry": 60.0}
    system = compute_system(atoms, kpts=(2, 2, 1), **options)
    atoms.calc = MLHamiltonian(system=system, kpts=(2, 2, 1), spacing=0.25)
    stm = STM(atoms)
    stm.calculate_ldos(bias)
    cell = gto.Cell()
    cell.unit, cell.a = "Bohr", atoms.cell.array / CODATA_2018.bohr
    cell.atom = [(a.symbol, a.position / CODATA_2018.bohr) for a in atoms]
    cell.basis, cell.pseudo, cell.verbose, cell.dimension = "gth-dzvp", "gth-pade", 0, 2
    cell.build()
    states = eigenstates(system, (2, 2, 1), vectors=True)
    vectors = np.zeros_like(states.measured["vectors"][0])
    vectors[..., orbital_order(cell)] = states.measured["vectors"][0]
    grid = Grid.of_cell(system.structure, 0.25)
    points = grid.points().reshape(-1, 3) / CODATA_2018.bohr
    orbitals = numint.eval_ao_kpts(cell, points, cell.get_abs_kpts(states.kpts))
    energies = states.energies[0] - atoms.calc.get_fermi_level()
    expected = sum(
        weight * (abs(a @ c[(e > bias) & (e < 0)].T) ** 2).sum(axis=1)
        for weight, a, c, e in zip(states.weights, orbitals, vectors, energies, strict=True)
    )
    expected = expected.reshape(grid.shape) / CODATA_2018.bohr**3
    return float(abs(stm.ldos - expected).max() / expected.max())


def wannier_centres(folder: Path) -> float:
    """Distance of the centres of silicon's Wannier functions from the middles of its bonds, Å."""
    from ase.dft.wannier import Wannier

    from ase_mlham.engines import compute_system

    atoms = bulk("Si")
    system = compute_system(atoms, kpts=(4, 4, 4), ecut_ry=60.0, smearing=0.0)
    calc = MLHamiltonian(system=system, kpts=(2, 2, 2), symmetry="off", spacing=0.3)
    places = [[0.2, 0.1, 0.1], [0.6, 0.2, 0.1], [0.1, 0.6, 0.15], [0.15, 0.1, 0.65]]
    start = [[place, 0, 0.8] for place in places]
    wannier = Wannier(4, calc, nbands=4, fixedstates=4, initialwannier=start)
    wannier.localize(tolerance=1e-9)
    bonds = np.array([[1, 1, 1], [5, 1, 1], [1, 5, 1], [1, 1, 5]]) / 8
    centres = wannier.get_centers() @ np.linalg.inv(atoms.cell.array)
    apart = (centres[:, None] - bonds + 0.5) % 1 - 0.5
    return float(np.linalg.norm(apart @ atoms.cell.array, axis=2).min(axis=1).max())


# ---------------------------------------------------------------------- the table
def _bands(name: str, what: str) -> Row:
    return Row(
        "`calculate_band_structure`",
        f"all bands at all points, {what}",
        f"`{name}.scfout`",
        "OpenMX, `.Band`",
        1e-5,  # states hundreds of eV up, where S is nearly singular
        "eV",
        lambda folder: band_structure_of_ase(folder, name),
        name,
    )


def _printed(
    tool: str, run: str, name: str, limit: float, unit: str, measure: Any, *, slow: bool = False
) -> Row:
    source, reference = f"`{name}.scfout`", "OpenMX, `.out`"
    return Row(tool, run, source, reference, limit, unit, measure, name, slow)


ROWS = (
    _bands("si_diamond", "no spin"),
    _bands("graphene", "two periodic directions"),
    _bands("fe_bcc", "both spins"),
    _bands("bi2se3_soc", "spinors"),
    Row(
        "`calculate_band_structure`", "bands within 5 eV of the Fermi level",
        "PySCF engine, Si", "PySCF, `KRKS.get_bands`",
        1e-3,  # the accuracy that the engine states; pairs below 1e-5 of an orbital are left out
        "eV", pyscf_crystal, "pyscf", slow=True,
    ),
    _printed(
        "`bandgap`", "at the k-points of the SCF", "sige_zb", 1e-6, "eV",
        lambda f: gap_of(f, "sige_zb", lambda c: bandgap(c)[0], direct=False),
    ),
    _printed(
        "`bandgap(direct=True)`", "spinors", "gaas_soc", 1e-6, "eV",
        lambda f: gap_of(f, "gaas_soc", lambda c: bandgap(c, direct=True)[0], direct=True),
    ),
    Row(
        "`bandgap`, `get_homo_lumo`", "a molecule", "PySCF engine, H2", "PySCF, `RKS.mo_energy`",
        1e-5,  # two integration grids
        "eV", pyscf_molecule, "pyscf",
    ),
    _printed(
        "`GapInfo.fromcalc`", "direct gap", "si_diamond", 1e-6, "eV",
        lambda f: gap_of(
            f, "si_diamond", lambda c: GapInfo.fromcalc(c).direct_gap()[0], direct=True
        ),
    ),
    _printed(
        "`get_homo_lumo`", "both spins, a molecule", "o2_triplet", 1e-6, "eV",
        lambda f: homo_lumo(f, "o2_triplet"),
    ),
    _printed(
        "`DOS(width=0.2)`", "both spins, each", "fe_bcc", 1e-6, "of the peak",
        lambda f: dos_with_width(f, "fe_bcc"),
    ),
    _printed(
        "`DOS(width=0.2)`", "spinors, `get_dos(spin=0)`", "gaas_soc", 1e-6, "of the peak",
        lambda f: dos_with_width(f, "gaas_soc"),
    ),
    _printed(
        "`DOS(width=0)`", "tetrahedra, both spins", "fe_bcc_v39",
        1e-5,  # its k-points are shifted by 1e-8, which moves steep edges of curves
        "of the peak", lambda f: dos_by_tetrahedra(f, "fe_bcc_v39"), slow=True,
    ),
    _printed(
        "`DOS(width=0)`", "tetrahedra, spinors", "gaas_soc_v39", 1e-5, "of the peak",
        lambda f: dos_by_tetrahedra(f, "gaas_soc_v39"),
    ),
    _printed(
        "`DOS`, spinor factor", "electrons below the gap; `get_dos()` gives twice as many",
        "gaas_soc_v39", 1e-4, "electrons", lambda f: spinor_factor(f, "gaas_soc_v39"),
    ),
    _printed(
        "`GridDOSCollection`", "`select(index=)`, `sum_by('orbital')`: s, p, d of each atom",
        "sige_zb",
        1e-4,  # the k-points of OpenMX are shifted by 1e-6
        "electrons", lambda f: collections(f, "sige_zb"),
    ),
    Row(
        "`ase.dft.kpoints`", "size and offset of our meshes", "`si_diamond`, `graphene`",
        "`monkhorst_pack`", 1e-12, "fractions", meshes, "si_diamond",
    ),
    Row(
        "`Cell.bandpath`", "bands at special points", "`si_diamond.scfout`", "OpenMX, `.Band`",
        1e-5, "eV", lambda f: special_points(f, "si_diamond"), "si_diamond",
    ),
    Row(
        "`ase band-structure`", "reads and draws our JSON", "`fe_bcc.scfout`", "OpenMX, `.Band`",
        1e-5, "eV", lambda f: commands(f, "fe_bcc", "band-structure"), "fe_bcc",
    ),
    Row(
        "`ase reciprocal`", "reads and draws our JSON", "`fe_bcc.scfout`", "OpenMX, `.Band`",
        1e-12, "fractions", lambda f: commands(f, "fe_bcc", "reciprocal"), "fe_bcc",
    ),
    _printed(
        "`get_charges`", "Mulliken", "sige_zb", 1e-5, "e", lambda f: charges(f, "sige_zb"),
    ),
    _printed(
        "`get_magnetic_moment`", "collinear metal, 700 K", "fe_bcc",
        1e-4,  # the k-points of OpenMX are shifted by 1e-6, its level is found to 1e-4 eV
        "Bohr magnetons", lambda f: moment(f, "fe_bcc", 700),
    ),
    _printed(
        "`get_magnetic_moment`", "a vector", "o2_nc", 1e-5, "Bohr magnetons",
        lambda f: moment(f, "o2_nc", 0.001),
    ),
    _printed(
        "`FrozenResult`, `bandgap`", "written, read again", "sige_zb", 1e-6, "eV",
        lambda f: frozen_gap(f, "sige_zb"),
    ),
    Row(
        "`ase.io`", "charges and moments after traj, extxyz, json, db", "`o2_triplet.scfout`",
        "the calculator", 1e-8, "e", lambda f: files(f, "o2_triplet"), "o2_triplet",
    ),
    Row(
        "`STM`", "`calculate_ldos`, all points", "PySCF engine, layer of H2",
        "PySCF, `eval_ao_kpts`",
        1e-5,  # orbitals end where they fall below 1e-6, pairs below 1e-5
        "of the peak", microscope, "pyscf",
    ),
    Row(
        "`Wannier`", "centres after `localize`, from off-centre guesses",
        "PySCF engine, Si", "middles of the bonds",
        5e-3,  # where a minimiser stops at 1e-9 of the spread, centres are right to its root
        "Å", wannier_centres, "pyscf", slow=True,
    ),
    Row(
        "`BFGS`, `FrechetCellFilter`, `Langevin`",
        "cell and positions after 10 steps; H evaluated 0 times",
        "a model that must not be asked", "the potential alone", 0.0, "Å", moving,
    ),
)  # fmt: skip


def available(row: Row, folder: Path) -> bool:
    """Whether what a row needs is there."""
    from importlib.util import find_spec

    if not row.needs:
        return True
    return (folder / row.needs).is_dir() or find_spec(row.needs) is not None


def run(row: Row, folder: Path) -> tuple[float, float]:
    """Error of a row, and CPU seconds."""
    start = time.process_time()
    with warnings.catch_warnings():
        # what sources have to say against themselves is not the question here
        warnings.simplefilter("ignore", MLHamWarning)
        error = row.measure(folder)
    return error, time.process_time() - start


def number(value: float) -> str:
    return "0" if value == 0 else f"{value:.0e}"


def main() -> int:
    """Measure, print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="rows whose tool or source has this text")
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.name}")
    options = parser.parse_args()
    lines = ["| tool | what was run | source | reference | error | limit |", "|---" * 6 + "|"]
    failed = []
    for row in ROWS:
        if options.only not in row.tool + row.source:
            continue
        if not available(row, options.folder):
            print(f"left out, {row.needs} is not there: {row.tool} {row.source}", file=sys.stderr)
            continue
        error, seconds = run(row, options.folder)
        if not error <= row.limit:
            failed.append(row)
        cells = [row.tool, row.run, row.source, row.reference]
        cells += [f"{number(error)} {row.unit}", number(row.limit)]
        lines.append("| " + " | ".join(cells) + " |")
        print(lines[-1], f"  {seconds:.1f} s", flush=True)
    if options.write:
        text = PAGE.read_text(encoding="utf-8")
        start, end = "<!-- table -->\n", "<!-- end of table -->"
        before, after = text.partition(start)[0], text.partition(end)[2]
        table = "\n".join(lines)
        PAGE.write_text(f"{before}{start}{table}\n{end}{after}", encoding="utf-8")
    for row in failed:
        print(f"above its limit: {row.tool} {row.source}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
