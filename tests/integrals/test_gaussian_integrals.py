"""Integrals between contracted Gaussians against PySCF's exact ones."""

import numpy as np
import pytest

from ase_mlham import integrals
from ase_mlham.core import GaussianRadial, OrbitalBasis, Shell, SpeciesBasis, Structure
from ase_mlham.units import CODATA_2018

gto = pytest.importorskip("pyscf.gto")

BOHR = CODATA_2018.bohr
CUTOFF = 8.0
# PySCF orders p as x, y, z and everything else as we do
P_ORDER = (1, 2, 0)

# s, p, d and f shells, contracted and not, in bohr^-2
SHELLS = {
    "Si": [
        [0, [4.1, 0.3, 0.1], [1.2, -0.4, 0.2], [0.3, 0.8, 0.5]],
        [1, [2.4, 0.5], [0.12, 0.3]],
        [2, [0.45, 1.0]],
        [3, [0.6, 1.0]],
    ],
    "O": [[0, [9.0, 0.2], [1.0, 0.4]], [1, [1.1, 1.0]], [2, [0.9, 1.0]], [3, [1.4, 1.0]]],
}
# the requirement of this room; the tables themselves are refined to 5e-9
TOLERANCE = 1e-8


@pytest.fixture(scope="module")
def molecule():
    rng = np.random.default_rng(7)
    positions = rng.uniform(-1.6, 1.6, (4, 3))
    symbols = ["Si", "O", "Si", "O"]
    return gto.M(
        atom=list(zip(symbols, positions, strict=True)), unit="Angstrom", basis=SHELLS, verbose=0
    )


@pytest.fixture(scope="module")
def structure(molecule):
    return Structure(
        [gto.charge(molecule.atom_pure_symbol(a)) for a in range(molecule.natm)],
        molecule.atom_coords() * BOHR,
        np.zeros((3, 3)),
        [False] * 3,
    )


@pytest.fixture(scope="module")
def basis(molecule, structure):
    species = {}
    for atom, number in enumerate(structure.numbers):
        shells = []
        for b in np.flatnonzero([molecule.bas_atom(b) == atom for b in range(molecule.nbas)]):
            l, exponents = molecule.bas_angular(b), molecule.bas_exp(b) / BOHR**2
            for column in molecule._libcint_ctr_coeff(b).T:
                radial = GaussianRadial(l, exponents, column / BOHR ** (1.5 + l), CUTOFF)
                shells.append(Shell(l, CUTOFF, radial))
        species[int(number)] = SpeciesBasis(int(number), tuple(shells), 4.0)
    return OrbitalBasis(tuple(species.values()))


@pytest.fixture(scope="module")
def reference(molecule):
    order, n = [], 0
    for b in range(molecule.nbas):
        l = molecule.bas_angular(b)
        for _ in range(molecule.bas_nctr(b)):
            order += [n + m for m in (P_ORDER if l == 1 else range(2 * l + 1))]
            n += 2 * l + 1

    def integral(name):
        return molecule.intor(name)[..., order, :][..., order]

    return integral


def atom_of_orbital(matrix):
    return np.repeat(np.arange(matrix.pattern.n_atoms), np.diff(matrix.pattern.offsets))


def test_overlap(structure, basis, reference):
    matrix = integrals.overlap(structure, basis)
    assert abs(matrix.dense()[0] - reference("int1e_ovlp_sph")).max() < TOLERANCE


def test_kinetic_energy(structure, basis, reference):
    matrix = integrals.kinetic(structure, basis)
    exact = reference("int1e_kin_sph") * CODATA_2018.hartree
    # elements reach 100 eV here and the tables are relative beyond 1
    assert abs(matrix.dense()[0] - exact).max() < TOLERANCE * CODATA_2018.hartree


def test_position_relative_to_the_middle_of_each_pair(structure, basis, reference):
    matrix = integrals.position(structure, basis)
    atom = atom_of_orbital(matrix)
    middle = (structure.positions[atom][:, None] + structure.positions[atom][None]) / 2
    exact = reference("int1e_r_sph") * BOHR - middle.transpose(2, 0, 1) * reference(
        "int1e_ovlp_sph"
    )
    assert abs(matrix.dense() - exact).max() < TOLERANCE


def test_gradient(structure, basis, reference):
    matrix = integrals.gradient(structure, basis)
    # PySCF differentiates the bra
    assert abs(matrix.dense() + reference("int1e_ipovlp_sph") / BOHR).max() < TOLERANCE


def test_angular_momentum_about_the_middle_of_each_pair(molecule, structure, basis, reference):
    matrix = integrals.angular_momentum(structure, basis).dense()
    atom = atom_of_orbital(integrals.overlap(structure, basis))
    nabla = -reference("int1e_ipovlp_sph") / BOHR
    with molecule.with_common_orig((0, 0, 0)):
        # <i| r x nabla |j> about the origin
        about_origin = reference("int1e_cg_irxp_sph")
    middle = (structure.positions[atom][:, None] + structure.positions[atom][None]) / 2
    exact = about_origin - np.cross(middle, nabla.transpose(1, 2, 0)).transpose(2, 0, 1)
    assert abs(matrix - -1j * exact).max() < TOLERANCE
    assert abs(matrix.imag).max() > 0.5


def test_a_gaussian_is_not_truncated_in_the_integrals():
    """The cut-off ends the pattern, not the functions: nothing jumps when two atoms pass it."""
    cutoff, exponent = 1.5, 0.4
    # normalised s function: overlap of two at distance X is exp(-a X^2 / 2)
    norm = np.sqrt(4 * np.pi) * (2 * exponent / np.pi) ** 0.75
    shell = Shell(0, cutoff, GaussianRadial(0, [exponent], [norm], cutoff))
    basis = OrbitalBasis((SpeciesBasis(1, (shell,), 1.0),))

    def pair(distance):
        return Structure([1, 1], [[0, 0, 0], [0, 0, distance]], np.zeros((3, 3)), [False] * 3)

    inside, outside = pair(2 * cutoff - 1e-9), pair(2 * cutoff + 1e-9)
    pattern = integrals.overlap(inside, basis).pattern
    assert pattern.n_blocks == 3
    assert integrals.overlap(outside, basis).pattern.n_blocks == 2
    exact = np.exp(-exponent * (2 * cutoff) ** 2 / 2)
    for structure in (inside, outside):
        block = integrals.overlap(structure, basis, pattern)[0, 1, (0, 0, 0)]
        assert abs(block[0, 0, 0] - exact) < TOLERANCE
    assert exact > 0.1
