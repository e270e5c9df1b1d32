"""What every two-centre matrix must obey, on drawn structures and bases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_mlham import integrals
from ase_mlham.core import GaussianRadial, OrbitalBasis, Shell, SpeciesBasis, Structure
from ase_mlham.core.transform import rotated_matrix, shifted, supercell
from ase_mlham.integrals import two_centre
from ase_mlham.testing.strategies import bases, rotations, structures
from ase_mlham.units import CODATA_2018

# tables are refined to 5e-9 of values up to 4 pi, and a few of them make an element
TOLERANCE = 5e-8
VECTOR = ("position", "gradient", "angular_momentum")
OPERATORS = ("overlap", "kinetic", *VECTOR)
few = settings(max_examples=6)


def crystals(**options):
    return structures(elements=(6, 14), **options)


def sets():
    """Every drawn basis needs tables of its own, so they are small."""
    return bases(elements=(6, 14), max_shells=2)


def moved(structure, positions=None, cell=None):
    return Structure(
        structure.numbers,
        structure.positions if positions is None else positions,
        structure.cell if cell is None else cell,
        structure.pbc,
    )


def difference(a, b):
    assert a.pattern == b.pattern
    return max(abs(x - y).max(initial=0) for x, y in zip(a.values, b.values, strict=True))


def size(matrix):
    return max(1.0, *(abs(array).max(initial=0) for array in matrix.values))


@few
@given(crystals(max_atoms=4), sets(), rotations(), st.sampled_from(OPERATORS))
def test_a_rotated_structure_has_rotated_matrices(structure, basis, rotation, name):
    function = getattr(integrals, name)
    matrix = function(structure, basis)
    turned = moved(structure, structure.positions @ rotation.T, structure.cell @ rotation.T)
    components = "vector" if name in VECTOR else "scalar"
    expected = rotated_matrix(matrix, basis, rotation, components)
    if name == "angular_momentum":
        expected = expected * np.linalg.det(rotation)  # an axial vector
    again = function(turned, basis, matrix.pattern)
    assert difference(again, expected) < TOLERANCE * size(matrix)


@few
@given(
    crystals(max_atoms=4),
    sets(),
    st.tuples(*[st.floats(-30, 30)] * 3),
    st.sampled_from(OPERATORS),
)
def test_no_matrix_knows_an_origin(structure, basis, shift, name):
    function = getattr(integrals, name)
    matrix = function(structure, basis)
    again = function(moved(structure, structure.positions + shift), basis, matrix.pattern)
    # distances of translated atoms agree to round-off, which the tables amplify a little
    assert difference(again, matrix) < 1e-10 * size(matrix)


@few
@given(crystals(max_atoms=4), sets(), st.sampled_from(OPERATORS), st.data())
def test_a_block_and_its_partner_come_out_adjoint(structure, basis, name, data):
    """The pair (j, i, -R), computed as a pair of its own, against the stored adjoint."""
    function = getattr(integrals, name)
    matrix = function(structure, basis)
    pattern = matrix.pattern
    n = data.draw(st.integers(0, pattern.n_blocks - 1))
    i, j, R = int(pattern.i[n]), int(pattern.j[n]), pattern.R[n]
    # a molecule of the two atoms in the other order
    positions = [structure.positions[j] + R @ structure.cell, structure.positions[i]]
    numbers = structure.numbers[[j, i]]
    if np.linalg.norm(np.subtract(*positions)) < 1e-6:
        positions, numbers = positions[:1], numbers[:1]
    pair = Structure(numbers, positions, np.zeros((3, 3)), [False] * 3)
    partner = function(pair, basis)[0, len(numbers) - 1, (0, 0, 0)]
    adjoint = matrix.symmetry * matrix[i, j, R].conj().swapaxes(-1, -2)
    # the tables of species a-b and b-a are refined separately
    assert abs(partner - adjoint).max() < TOLERANCE * size(matrix)


@few
@given(crystals(max_atoms=3), sets(), st.sampled_from(OPERATORS))
def test_supercells_repeat_the_matrix(structure, basis, name):
    function = getattr(integrals, name)
    repeats = np.where(structure.pbc, 2, 1)
    matrix = supercell(function(structure, basis), repeats)
    cells = np.stack(np.meshgrid(*map(np.arange, repeats), indexing="ij"), -1).reshape(-1, 3)
    large = Structure(
        np.tile(structure.numbers, len(cells)),
        ((cells @ structure.cell)[:, None] + structure.positions).reshape(-1, 3),
        structure.cell * repeats[:, None],
        structure.pbc,
    )
    # some pairs are stored the other way round, so that their coordinate acts on the other side
    again = function(large, basis, matrix.pattern)
    assert difference(again, matrix) < TOLERANCE * size(matrix)


@few
@given(crystals(max_atoms=3, pbc=(True, True, False)), sets(), st.data())
def test_another_image_of_an_atom_relabels_blocks(structure, basis, data):
    cell = st.tuples(st.integers(-2, 2), st.integers(-2, 2), st.just(0))
    cells = np.array([data.draw(cell) for _ in structure.numbers])
    matrix = shifted(integrals.position(structure, basis), cells)
    moved_atoms = moved(structure, structure.positions + cells @ structure.cell)
    again = integrals.position(moved_atoms, basis)
    assert difference(again, matrix) < TOLERANCE * size(matrix)


@few
@given(crystals(min_atoms=2, max_atoms=4), sets(), st.integers(0, 2))
def test_the_gradient_is_the_derivative_of_the_overlap(structure, basis, axis):
    pattern = integrals.overlap(structure, basis).pattern
    gradient = integrals.gradient(structure, basis, pattern)
    step = 1e-3
    derivative = []
    for sign in (1, -1):
        positions = structure.positions.copy()
        positions[0, axis] += sign * step
        derivative.append(integrals.overlap(moved(structure, positions), basis, pattern))
    numeric = (derivative[0] - derivative[1]) * (1 / (2 * step))
    exact = [
        (1.0 * (pattern.i[g.slice] == 0) - 1.0 * (pattern.j[g.slice] == 0))[:, None, None] * d[axis]
        for g, d in zip(pattern.groups, gradient.values, strict=True)
    ]
    # step^2 / 6 times a third derivative, and 5e-8 / step of the tables
    for a, b in zip(numeric.values, exact, strict=True):
        assert abs(a[0] - b).max(initial=0) < 1e-4


@few
@given(crystals(max_atoms=4), sets(), st.integers(1, 9))
def test_kinetic_energy_added_in_portions(structure, basis, portion):
    kinetic = integrals.kinetic(structure, basis)
    total, overlap = (integrals.overlap(structure, basis) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(two_centre, "_PORTION", portion)
        integrals.add_kinetic(total, structure, basis)
    # products of other sizes may add up in another order
    assert difference(total, overlap + kinetic) < 1e-12 * size(kinetic)


@few
@given(crystals(min_atoms=2, max_atoms=2, pbc=(False, False, False)), sets())
def test_the_kinetic_energy_is_the_divergence_of_the_gradient(structure, basis):
    pattern = integrals.overlap(structure, basis).pattern
    step, total = 1e-3, 0.0
    for axis in range(3):
        for sign in (1, -1):
            positions = structure.positions.copy()
            positions[1, axis] += sign * step
            gradient = integrals.gradient(moved(structure, positions), basis, pattern)
            total = total + sign * gradient.dense()[axis] / (2 * step)
    kinetic = integrals.kinetic(structure, basis, pattern).dense()[0] / CODATA_2018.hbar2_over_2m
    here = slice(0, pattern.offsets[1]), slice(pattern.offsets[1], pattern.offsets[2])
    # step^2 / 6 times a fourth derivative, and 5e-8 / step of the tables
    assert abs(total[here] - kinetic[here]).max() < 1e-3


def test_a_coordinate_times_an_s_function_is_a_p_function():
    """x exp(-a r^2) Y_00 is a p function of the same exponent: the overlap gives the position."""
    a = 0.8
    s, p = (
        OrbitalBasis((SpeciesBasis(1, (Shell(l, 4.0, GaussianRadial(l, [a], [1.0], 4.0)),), 1.0),))
        for l in (0, 1)
    )
    both = OrbitalBasis((SpeciesBasis(1, (*s.species[0].shells, *p.species[0].shells), 1.0),))
    vector = np.array([0.7, -0.4, 1.3])
    structure = Structure([1, 1], [[0, 0, 0], vector], np.zeros((3, 3)), [False] * 3)
    S = integrals.overlap(structure, both).dense()[0]
    X = integrals.position(structure, s).dense()[:, 0, 1]
    # orbitals of `both`: s, then p as y, z, x; r Y_1 = sqrt(3) (y, z, x) Y_00
    about_second = S[0, [7, 5, 6]] / np.sqrt(3)
    assert pytest.approx(about_second + vector / 2 * S[0, 4], abs=1e-9) == X


def test_two_s_functions_overlap_as_the_formula_says():
    a, b = 0.9, 0.35
    species = tuple(
        SpeciesBasis(z, (Shell(0, 5.0, GaussianRadial(0, [c], [np.sqrt(4 * np.pi)], 5.0)),), 1.0)
        for z, c in ((1, a), (6, b))
    )
    for distance in (0.0, 0.01, 0.5, 2.0, 5.0, 9.0):
        vector = distance * np.array([0.36, 0.48, 0.8])
        structure = Structure([1, 6], [[0, 0, 0], vector], np.zeros((3, 3)), [False] * 3)
        block = integrals.overlap(structure, OrbitalBasis(species))[0, 1, (0, 0, 0)]
        exact = (np.pi / (a + b)) ** 1.5 * np.exp(-a * b / (a + b) * distance**2)
        # (pi / (a + b))^1.5 = 4 is the scale of the table
        assert block[0, 0, 0] == pytest.approx(exact, abs=2e-8)


def test_generators_of_rotations():
    for l in range(5):
        g = integrals.angular_generators(l)
        assert abs(g + g.transpose(0, 2, 1)).max() < 1e-13
        # [L_x, L_y] = i L_z and L^2 = l (l + 1), with L = -i g
        assert abs(g[0] @ g[1] - g[1] @ g[0] - -1 * g[2]).max() < 1e-12
        assert abs(np.einsum("xab,xbc->ac", g, g) + l * (l + 1) * np.eye(2 * l + 1)).max() < 1e-12
    # (x p_y - y p_x) x = -i y ... : r x nabla along z takes x to -y
    assert integrals.angular_generators(1)[2][0, 2] == pytest.approx(-1)
