"""Projections, charges and spins: sum rules, OpenMX's own populations, PySCF's, Rashba, symmetry.

    python benchmarks/projections.py FOLDER

FOLDER holds OpenMX outputs, `NAME/NAME.scfout*` each, with the printed output `NAME.out.gz` beside
it. Everything is a difference that ought to vanish, or a residual against a closed form. PySCF's
part is left out where it is not installed.
"""

from __future__ import annotations

import argparse
import gzip
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ase_mlham import charges, read_system, spin_texture
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
from ase_mlham.core.transform import supercell
from ase_mlham.electronic.k_plane import k_plane
from ase_mlham.electronic.projections import (
    GroupSpins,
    GroupWeights,
    OrbitalGroups,
    Projection,
    atom_groups,
    orbital_name,
)
from ase_mlham.electronic.spin_plane import spin_contour, spin_plane
from ase_mlham.electronic.states import eigenstates, orbital_norm
from ase_mlham.units import BOLTZMANN

NAMES = {"dz2": "d3z^2-r^2", "dx2-y2": "dx^2-y^2"}
"""Ours to OpenMX's, where they differ."""

GENERAL_K = np.array([[0.13, 0.21, 0.37], [0.05, -0.31, 0.22], [0.41, 0.07, -0.11]])


@dataclass(frozen=True)
class Printed:
    """Populations as OpenMX printed them.

    Attributes
    ----------
    atoms : (n_atoms, 4) float
        Electrons, and the moment along x, y, z in Bohr magnetons.
    orbitals : mapping
        (atom, letter and direction, number of the shell of this l) to (electrons, size of the
        moment or its z component).
    """

    atoms: NDArray[np.float64]
    orbitals: dict[tuple[int, str, int], tuple[float, float]]


def printed_populations(path: Path) -> Printed:
    """The Mulliken populations of the printed output of OpenMX."""
    text = gzip.decompress(path.read_bytes()).decode("ascii", "replace")
    section = text[text.rindex("Mulliken populations  ") :]
    head, _, tail = section.partition("Decomposed Mulliken populations")
    atoms = []
    for line in head.splitlines():
        words = line.split()
        if re.match(r"\s+\d+\s+[A-Z][a-z]?\s", line) and len(words) >= 6:
            values = [float(word) for word in words[2:]]
            moment = np.array([0.0, 0.0, values[3]])
            if len(values) > 4:
                theta, phi = np.radians(values[4:6])
                moment = values[3] * np.array(
                    [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)]
                )
            atoms.append([values[2], *moment])
    orbitals = {}
    atom = -1
    for line in tail.splitlines():
        if "*******" in line:
            break
        words = line.split()
        if re.match(r"\s+\d+\s+[A-Z][a-z]?\s+Up spin", line):
            atom = int(words[0]) - 1
        elif re.match(r"\s+[spdf]\S*\s+\d+\s", line):
            orbitals[atom, words[0], int(words[1])] = (float(words[4]), float(words[5]))
    return Printed(np.array(atoms), orbitals)


def populations(system: LCAOSystem, groups: OrbitalGroups, projection: str) -> NDArray[np.float64]:
    """Electrons and moments of groups on the mesh and at the temperature of the calculation."""
    from ase_mlham.electronic.fermi import fermi_level_of_states, occupations

    width = BOLTZMANN * system.provenance["electronic_temperature_kelvin"]
    measure = Projection.parse(projection).measure(GroupSpins(groups, system.spin))
    # OpenMX 3.8 leaves Gamma out where the number of points is even, as Monkhorst and Pack do; 3.9,
    # whose files are of version 3, has it
    mesh = {"size": system.kpts, "gamma": system.provenance["version"] >= 3}
    states = eigenstates(system, mesh, measures={"groups": measure})
    filling = occupations(states, fermi_level_of_states(states, width), width)
    return states.degeneracy * np.einsum(
        "k,skb,skbgx->gx", states.weights, filling, states.measured["groups"], optimize=True
    )


def single_orbitals(system: LCAOSystem) -> tuple[OrbitalGroups, list[tuple[int, str, int]]]:
    """Each orbital a group, with the name under which OpenMX prints it."""
    seen: dict[tuple[int, int], list[int]] = {}
    keys = []
    for atom, _, shell, l, m in system.orbital_labels():
        shells = seen.setdefault((atom, l), [])
        if shell not in shells:
            shells.append(shell)
        name = orbital_name(l, m)
        keys.append((atom, NAMES.get(name, name), shells.index(shell)))
    groups = OrbitalGroups(np.arange(len(keys)), tuple({"name": str(key)} for key in keys))
    return groups, keys


def against_openmx(paths: Iterable[Path]) -> list[dict[str, float | str]]:
    """Differences to the printed populations, for each file that has its output beside it."""
    rows: list[dict[str, float | str]] = []
    for path in paths:
        name = path.name.partition(".")[0]
        output = path.with_name(f"{name}.out.gz")
        if not output.exists():
            continue
        system = read_system(path)
        printed = printed_populations(output)
        of_atoms = populations(system, atom_groups(system), "mulliken")
        groups, keys = single_orbitals(system)
        single = populations(system, groups, "mulliken")
        compared = [n for n, key in enumerate(keys) if key in printed.orbitals]
        wanted = np.array([printed.orbitals[keys[n]] for n in compared])
        moments = of_atoms[:, 1:]
        rows.append(
            {
                "system": name,
                "spin": system.spin.value,
                "orbitals": len(compared),
                "electrons of an orbital": abs(single[compared, 0] - wanted[:, 0]).max(),
                "charge of an atom (e)": abs(of_atoms[:, 0] - printed.atoms[:, 0]).max(),
                "largest moment (μB)": np.linalg.norm(printed.atoms[:, 1:], axis=1).max(),
                "moment of an atom (μB)": abs(moments - printed.atoms[:, 1:]).max(),
            }
        )
    return rows


def sum_rules(paths: Iterable[Path]) -> list[dict[str, float | str]]:
    """How far weights of all states are from one, and spins of groups from those of the states."""
    rows: list[dict[str, float | str]] = []
    for path in paths:
        system = read_system(path)
        k = GENERAL_K * system.structure.pbc
        row: dict[str, float | str] = {"system": path.name.partition(".")[0]}
        groups, _ = single_orbitals(system)
        for projection in Projection:
            measures = {
                "weights": projection.measure(GroupWeights(groups, system.spin)),
                "spins": projection.measure(GroupSpins(groups, system.spin)),
            }
            states = eigenstates(system, k, measures=measures, spin=True)
            weights, spins = states.measured["weights"], states.measured["spins"][..., 1:]
            row[f"{projection.label}: sum of weights"] = abs(weights.sum(axis=-1) - 1).max()
            row["sum of spins"] = max(
                float(row.get("sum of spins", 0)),
                abs(spins.sum(axis=-2) - states.spin_expectation).max(),
            )
            row[f"{projection.label}: lowest weight"] = weights.min()
        rows.append(row)
    return rows


def cost(path: Path) -> list[dict[str, float | str]]:
    """Processor time of eigenstates with weights, in units of that with the spin alone."""
    system = supercell(read_system(path), (2, 2, 2))
    groups = atom_groups(system)
    plain = {"norm": orbital_norm}
    row: dict[str, float | str] = {
        "system": f"{path.parent.name} x 8, {system.n_orbitals} orbitals"
    }
    times = {}
    for name, measures in {
        "vectors": plain,
        **{
            projection.label: {"w": projection.measure(GroupWeights(groups, system.spin))}
            for projection in Projection
        },
    }.items():
        runs = []
        for _ in range(4):
            start = time.process_time()
            eigenstates(system, GENERAL_K, measures=measures, workers=1)
            runs.append(time.process_time() - start)
        times[name] = min(runs)
        row[name] = times[name] / times["vectors"]
    return [row]


def time_reversal(folder: Path) -> list[dict[str, float | str]]:
    """Spins at k and -k of non-magnetic spinor systems, and what is left of degenerate pairs."""
    rows: list[dict[str, float | str]] = []
    for name in ("gaas_soc", "gaas_soc_v39", "bi2se3_soc"):
        (path,) = (folder / name).glob(f"{name}.scfout*")
        system = read_system(path)
        there, back = (spin_texture(system, sign * GENERAL_K) for sign in (1, -1))
        alone = ~there.degenerate & ~back.degenerate
        rows.append(
            {
                "system": name,
                "states alone in their level": f"{100 * alone.mean():.0f} %",
                "E(k) - E(-k) (eV)": abs(there.energies - back.energies).max(),
                "s(k) + s(-k)": abs(there.spin + back.spin)[alone].max() if alone.any() else np.nan,
                "spin of a pair": abs(there.spin[~alone]).max() if (~alone).any() else np.nan,
                "sum over all states": abs(there.spin.sum(axis=2)).max(),
            }
        )
    return rows


def rashba(hopping: float = -1.0, coupling: float = 0.3, overlap: float = 0.05) -> LCAOSystem:
    """One s orbital on a square lattice, with spin-orbit coupling linear in k near Gamma."""
    structure = Structure([1], np.zeros((1, 3)), np.diag([2.0, 2.0, 12.0]), [True, True, False])
    basis = OrbitalBasis((SpeciesBasis(1, (Shell(0, 1.2),), 1.0),))
    R = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]])
    zero = np.zeros(3, dtype=int)
    pattern = BlockPattern.from_pairs(zero[:1], basis.sizes, zero, zero, R)
    h, s = np.zeros((4, 3, 1, 1), complex), np.zeros((1, 3, 1, 1))
    place = {tuple(cell): n for n, cell in enumerate(pattern.R.tolist())}
    for cell in ((1, 0, 0), (0, 1, 0)):
        h[0, place[cell]], s[0, place[cell]] = hopping, overlap
    h[1, place[0, 1, 0]], h[2, place[1, 0, 0]] = -1j * coupling, 1j * coupling
    s[0, place[0, 0, 0]] = 1.0
    return LCAOSystem(
        structure,
        basis,
        BlockMatrix(pattern, (h,)),
        BlockMatrix(pattern, (s,)),
        1.0,
        SpinKind.SPINOR,
    )


def rashba_closed_form(kpts: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
    """Energies (2, n) and the spin of the upper band (n, 3) of `rashba()`."""
    x, y = 2 * np.pi * kpts[:, :2].T
    length = np.sqrt(np.sin(x) ** 2 + np.sin(y) ** 2)
    cosines = np.cos(x) + np.cos(y)
    energies = np.stack([-2 * cosines + sign * 0.6 * length for sign in (-1, 1)])
    spin = np.stack([np.sin(y), -np.sin(x), 0 * x], axis=-1) / length[:, None]
    return energies / (1 + 0.1 * cosines), spin


def against_rashba() -> dict[str, float]:
    """Errors of a plane and of contours against the closed form."""
    system = rashba()
    plane = k_plane(system.structure, extent=0.7, size=40)  # an even number: Gamma is no point
    found = spin_plane(system, plane)
    energies, spin = rashba_closed_form(plane.kpts)
    out = {
        "plane energies": abs(found.texture.energies[0].T - energies).max(),
        "plane spins": abs(found.texture.spin[0, :, 1] - spin).max(),
    }
    errors, spins, points = [], [], 0
    for energy in (-3.3, -2.0, 0.4):
        contour = spin_contour(system, energy, k_plane(system.structure, extent=1.4, size=31))
        for line in contour.lines:
            energies, spin = rashba_closed_form(plane.fractions(line.uv))
            errors.append(abs(energies[line.band] - energy).max())
            spins.append(abs(line.spin - (2 * line.band - 1) * spin).max())
            points += len(line.uv)
    return {
        **out,
        "contour energies": max(errors),
        "contour spins": max(spins),
        "contour points": points,
    }


def pyscf_populations(name: str, moment: float, basis: str) -> dict[str, NDArray[np.float64]]:
    """PySCF's Mulliken populations of a molecule, and Löwdin's in its orthonormal orbitals.

    Electrons and moment along z of each atom, (n_atoms, 2), by projection.
    """
    from ase.build import molecule
    from pyscf import dft, gto, lo

    from ase_mlham.units import CODATA_2018

    mol = gto.M(
        atom=[(a.symbol, a.position / CODATA_2018.bohr) for a in molecule(name)],
        unit="Bohr",
        basis=basis,
        pseudo="gth-pbe",
        spin=int(moment),
        verbose=0,
    )
    mf = dft.UKS(mol, xc="pbe")
    mf.grids.level = 5  # as the engine of this package
    mf.run(conv_tol=1e-11)
    s, dm = mf.get_ovlp(), np.asarray(mf.make_rdm1())
    to_lowdin = lo.orth.lowdin(s).T @ s
    parts = {
        "mulliken": np.einsum("sij,ji->si", dm, s),
        "lowdin": np.einsum("ia,sab,ib->si", to_lowdin, dm, to_lowdin),
    }
    _, of_pyscf = mf.mulliken_pop(verbose=0)
    out = {}
    for projection, diagonal in parts.items():
        atoms = [diagonal[:, a:b].sum(axis=1) for _, _, a, b in mol.aoslice_by_atom()]
        out[projection] = np.array([[up + down, up - down] for up, down in atoms])
    # its own function for the same
    if abs(mol.atom_charges() - out["mulliken"][:, 0] - of_pyscf).max() > 1e-8:
        raise AssertionError("PySCF's mulliken_pop is not what is compared here")
    return out


BASIS = "gth-dzvp-molopt-sr"


MOLECULES = {"H2O": 0.0, "LiF": 0.0, "O2": 2.0}
"""Name to moment in Bohr magnetons."""


def against_pyscf(
    molecules: Mapping[str, float], basis: str = BASIS
) -> list[dict[str, float | str]]:
    """Charges and moments of molecules against PySCF's own populations, in the same orbitals."""
    from ase.build import molecule

    from ase_mlham import compute_system

    rows: list[dict[str, float | str]] = []
    for name, moment in molecules.items():
        options = {"total_moment": moment} if moment else {}
        system = compute_system(molecule(name), basis=basis, smearing=0.0, **options)
        wanted = pyscf_populations(name, moment, basis)
        valence = np.array([system.basis[int(z)].valence for z in system.structure.numbers])
        for projection, populations_of in wanted.items():
            found = charges(system, projection=projection)
            rows.append(
                {
                    "molecule": name,
                    "projection": projection,
                    "largest charge": abs(found.charges).max(),
                    "charges": abs(valence - found.charges - populations_of[:, 0]).max(),
                    "moments": abs(found.moments[:, 2] - populations_of[:, 1]).max(),
                }
            )
    return rows


def scientific(value: float | str) -> str:
    """A number in few digits."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | np.integer):
        return str(value)
    return "–" if np.isnan(value) else f"{value:.1e}" if abs(value) < 1e-2 else f"{value:.2f}"


def show(title: str, rows: list[dict[str, float | str]]) -> None:
    """A table in Markdown."""
    print(f"\n{title}\n")
    header = list(rows[0])
    print("| " + " | ".join(header) + " |")
    print("|---|" + "---:|" * (len(header) - 1))
    for row in rows:
        print("| " + " | ".join(scientific(row[name]) for name in header) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="OpenMX outputs")
    options = parser.parse_args()
    paths = sorted(options.folder.glob("*/*.scfout*"))
    show("Mulliken populations against those printed by OpenMX", against_openmx(paths))
    show("Sum rules", sum_rules(paths))
    show("Processor time", cost(next(path for path in paths if path.parent.name == "sige_zb")))
    show("Time reversal", time_reversal(options.folder))
    show("Rashba model in closed form", [{"": "largest error", **against_rashba()}])
    if find_spec("pyscf"):
        show("PySCF", against_pyscf(MOLECULES))


if __name__ == "__main__":
    main()
