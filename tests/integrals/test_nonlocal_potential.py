"""Non-local pseudopotentials against PySCF and against the plain sum."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_mlham import integrals
from ase_mlham.core import (
    GaussianRadial,
    OrbitalBasis,
    Projectors,
    Shell,
    SpeciesBasis,
    Structure,
    TabulatedRadial,
)
from ase_mlham.core.transform import rotated_matrix
from ase_mlham.errors import BasisError
from ase_mlham.testing.strategies import rotations, structures
from ase_mlham.units import CODATA_2018

BOHR, HARTREE = CODATA_2018.bohr, CODATA_2018.hartree


def gaussian(l, exponent, cutoff):
    return Shell(l, cutoff, GaussianRadial(l, [exponent], [1.0], cutoff))


def drawn_basis():
    """Two elements with projectors of s and p (coupled s), one with none."""
    coupling = np.array([[4.0, -1.5, 0], [-1.5, 2.0, 0], [0, 0, -3.0]])
    projectors = Projectors(
        (gaussian(0, 6.0, 1.1), gaussian(0, 3.0, 1.2), gaussian(1, 5.0, 1.0)), coupling
    )
    one = Projectors((gaussian(1, 4.0, 0.9),), [[2.5]])
    return OrbitalBasis(
        (
            SpeciesBasis(1, (gaussian(0, 1.0, 1.8),), 1.0),
            SpeciesBasis(6, (gaussian(0, 0.9, 1.9), gaussian(1, 1.1, 1.6)), 4.0, projectors=one),
            SpeciesBasis(14, (gaussian(1, 0.8, 2.0),), 4.0, projectors=projectors),
        )
    )


def plain_sum(structure, basis, pattern, chosen):
    """sum_a <i|p_a> D <p_a|j> with a supercell of projectors, for some blocks one at a time."""
    tables = integrals.tables_of(basis)
    species = basis.species_index(structure.numbers)
    # atoms may lie some cells apart: lattice vectors to all that reach an end
    heights = 1 / np.linalg.norm(np.linalg.inv(structure.full_cell), axis=0)
    n = int(np.ceil((np.ptp(structure.positions, axis=0).max() + 4.0) / heights.min()))
    shifts = np.stack(np.meshgrid(*[np.arange(-n, n + 1)] * 3, indexing="ij"), -1).reshape(-1, 3)
    shifts = shifts[(shifts[:, ~structure.pbc] == 0).all(axis=1)]
    out = []
    for i, j, R in zip(pattern.i[chosen], pattern.j[chosen], pattern.R[chosen], strict=True):
        block = np.zeros((basis.sizes[species[i]], basis.sizes[species[j]]))
        ends = structure.positions[i], structure.positions[j] + R @ structure.cell
        for a, kind in enumerate(species):
            entry = basis.species[kind]
            if entry.projectors is None:
                continue
            reach = max(shell.cutoff for shell in entry.projectors.shells)
            centres = structure.positions[a] + shifts @ structure.cell
            near = [
                np.linalg.norm(centres - end, axis=1) < reach + basis.species[species[n]].cutoff
                for end, n in zip(ends, (i, j), strict=True)
            ]
            for centre in centres[near[0] & near[1]]:
                left, right = (
                    tables.table("projector", kind, species[n]).blocks((end - centre)[None])[0, 0]
                    for end, n in zip(ends, (i, j), strict=True)
                )
                sizes = [shell.n_orbitals for shell in entry.projectors.shells]
                starts = np.cumsum([0, *sizes])
                for p, m in enumerate(sizes):
                    for q in range(len(sizes)):
                        if entry.projectors.coupling[p, q]:
                            rows, columns = (slice(starts[x], starts[x] + m) for x in (p, q))
                            block += entry.projectors.coupling[p, q] * left[rows].T @ right[columns]
        out.append(block)
    return out


BASIS = drawn_basis()


@settings(max_examples=10)
@given(structures(max_atoms=3, elements=(1, 6, 14)), st.integers(0, 2**32 - 1))
def test_the_batched_sum_is_the_plain_sum(structure, seed):
    basis = BASIS
    if not set(structure.numbers) & {6, 14}:
        with pytest.raises(BasisError, match="projectors"):
            integrals.nonlocal_potential(structure, basis)
        return
    pattern = integrals.nonlocal_pattern(structure, basis)
    matrix = integrals.nonlocal_potential(structure, basis, pattern)
    chosen = np.sort(np.random.default_rng(seed).integers(0, pattern.n_blocks, 6))
    exact = plain_sum(structure, basis, pattern, chosen)
    for n, block in zip(chosen, exact, strict=True):
        got = matrix[pattern.i[n], pattern.j[n], pattern.R[n]][0]
        # same tables, sums in another order
        assert abs(got - block).max() < 1e-10


@settings(max_examples=6)
@given(structures(max_atoms=3, elements=(6, 14)), rotations())
def test_it_turns_with_the_structure(structure, rotation):
    basis = BASIS
    matrix = integrals.nonlocal_potential(structure, basis)
    turned = Structure(
        structure.numbers,
        structure.positions @ rotation.T,
        structure.cell @ rotation.T,
        structure.pbc,
    )
    again = integrals.nonlocal_potential(turned, basis, matrix.pattern)
    expected = rotated_matrix(matrix, basis, rotation)
    for a, b in zip(again.values, expected.values, strict=True):
        # tables right to 5e-9 times couplings of a few eV; and a pair exactly at the end of its
        # range may be counted on one side only, where 4e-6 eV are left of it
        assert abs(a - b).max(initial=0) < 1e-5


def test_small_parts_give_the_same(monkeypatch):
    """Memory is bounded by working in parts; their borders must not show."""
    from ase_mlham.integrals import pseudopotential

    structure = Structure(
        [14, 6, 14], [[0, 0, 0], [1.7, 0.1, 0], [0, 1.8, 0.4]], np.diag([3.1, 3.3, 3.5]), [True] * 3
    )
    basis = BASIS
    pattern = integrals.nonlocal_pattern(structure, basis)
    whole = integrals.nonlocal_potential(structure, basis, pattern)
    monkeypatch.setattr(pseudopotential, "_PAIRS_AT_ONCE", 50)
    monkeypatch.setattr(pseudopotential, "_NUMBERS_AT_ONCE", 40)
    assert integrals.nonlocal_pattern(structure, basis) == pattern
    parts = integrals.nonlocal_potential(structure, basis, pattern)
    for a, b in zip(whole.values, parts.values, strict=True):
        assert abs(a - b).max() < 1e-12


def test_crystal_against_pyscf():
    gto = pytest.importorskip("pyscf.pbc.gto")
    from pyscf.pbc.gto.pseudo import pp_int
    from scipy.special import gamma

    a = 5.5
    cell = gto.M(
        atom=[("Si", (0, 0, 0)), ("Ge", (a / 4 + 0.1, a / 4, a / 4 - 0.05))],
        a=a / 2 * (np.ones((3, 3)) - np.eye(3)),
        unit="Angstrom",
        # short-ranged on purpose: few images
        basis={"Si": [[0, [0.5, 1]], [1, [0.4, 1]]], "Ge": [[0, [0.45, 1]], [2, [0.5, 1]]]},
        pseudo="gth-pade",
        precision=1e-11,
        verbose=0,
    )
    species = []
    for atom, symbol in enumerate(("Si", "Ge")):
        shells = []
        for b in range(cell.nbas):
            if cell.bas_atom(b) == atom:
                l, exponents = cell.bas_angular(b), cell.bas_exp(b) / BOHR**2
                column = cell._libcint_ctr_coeff(b)[:, 0] / BOHR ** (1.5 + l)
                shells.append(Shell(l, 4.6, GaussianRadial(l, exponents, column, 4.6)))
        projectors, couplings = [], []
        for l, (radius, n, h) in enumerate(cell._pseudo[symbol][5:]):
            radius *= BOHR
            reach = 9 * radius
            r = np.geomspace(1e-4, reach, 1500)
            for i in range(n):
                power = l + 2 * i
                norm = np.sqrt(2 / gamma(power + 1.5)) / radius ** (power + 1.5)
                values = norm * r**power * np.exp(-((r / radius) ** 2) / 2)
                projectors.append(Shell(l, reach, TabulatedRadial(r, values, reach)))
            if n:
                couplings.append(np.array(h) * HARTREE)
        coupling = np.zeros((len(projectors),) * 2)
        start = 0
        for block in couplings:
            stop = start + len(block)
            coupling[start:stop, start:stop] = block
            start = stop
        number = {"Si": 14, "Ge": 32}[symbol]
        species.append(
            SpeciesBasis(
                number, tuple(shells), 4.0, projectors=Projectors(tuple(projectors), coupling)
            )
        )
    basis = OrbitalBasis(tuple(species))
    structure = Structure(
        [14, 32], cell.atom_coords() * BOHR, cell.lattice_vectors() * BOHR, [True] * 3
    )
    k = np.array([0.1, 0.3, -0.2])
    pattern = integrals.nonlocal_pattern(structure, basis)
    ours = integrals.nonlocal_potential(structure, basis, pattern).at_k(k)[0]
    exact = np.asarray(pp_int.get_pp_nl(cell, cell.get_abs_kpts(k[None])))[0] * HARTREE
    order = [0, 2, 3, 1, 4, *range(5, 10)]  # p of Si from x, y, z to y, z, x
    exact = exact[np.ix_(order, order)]
    # projectors and orbitals are cut off where exp(-0.4 (4.6 / 0.529)^2) = 7e-14
    assert abs(ours - exact).max() < 1e-6
    assert abs(exact).max() > 1
