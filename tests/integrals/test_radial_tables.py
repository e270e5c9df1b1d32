"""Interpolation of radial functions, and the tables of two-centre integrals made from them."""

import numpy as np
import pytest
from scipy.special import spherical_jn

from ase_mlham import integrals
from ase_mlham.core import (
    GaussianRadial,
    OrbitalBasis,
    Shell,
    SpeciesBasis,
    Structure,
    TabulatedRadial,
)
from ase_mlham.core.radial import radial_from_dict
from ase_mlham.errors import BasisError, InputError
from ase_mlham.integrals.bessel import spherical_bessel
from ase_mlham.integrals.tables import PairTable
from ase_mlham.integrals.transforms import Channels

GRID = np.geomspace(2e-4, 4.2, 500)
CUTOFF = 3.7


def confined(r, l, power):
    """A smooth function with the r^l of an orbital that ends at the cut-off."""
    inside = np.clip(1 - (r / CUTOFF) ** 2, 0, None)
    return r**l * (1 + power * r) * inside**4


def species(number, l_values, interpolation="spline"):
    shells = []
    for n, l in enumerate(l_values):
        values = confined(GRID, l, 0.3 * n)
        values /= np.sqrt(np.trapezoid(GRID**2 * values**2, GRID))
        radial = TabulatedRadial(GRID, values, CUTOFF, interpolation)
        shells.append(Shell(l, CUTOFF, radial))
    return SpeciesBasis(number, tuple(shells), 4.0)


def test_bessel_functions_are_those_of_scipy():
    x = np.concatenate([np.linspace(0, 14, 3001), np.linspace(14, 800, 501)])
    values = spherical_bessel(7, x)
    for l in range(8):
        # SciPy and the recurrence agree to a few units of round-off
        assert abs(values[l] - spherical_jn(l, x)).max() < 1e-13
    assert spherical_bessel(0, np.zeros((2, 3))).shape == (1, 2, 3)


def test_parabolic_interpolation_passes_through_the_points_and_reproduces_parabolas():
    table = TabulatedRadial(GRID, 2 - GRID + 0.3 * GRID**2, 5.0, "parabolic")
    r = np.linspace(0.001, 4.1, 777)
    assert abs(table(GRID) - table.values).max() < 1e-14
    assert abs(table(r) - (2 - r + 0.3 * r * r)).max() < 1e-13
    assert table(np.array([4.3]))[0] == 0
    again = radial_from_dict(table.to_dict())
    assert np.array_equal(again(r), table(r))


def test_interpolation_of_an_unknown_kind_is_refused():
    with pytest.raises(BasisError, match=r"linear.*spline, parabolic"):
        TabulatedRadial(GRID, GRID, 3.0, "linear")


@pytest.mark.parametrize("interpolation", ["spline", "parabolic"])
def test_norm_is_the_integral_in_real_space(interpolation):
    basis = OrbitalBasis((species(14, (0, 1, 2, 3), interpolation),))
    structure = Structure([14], [[0, 0, 0]], np.zeros((3, 3)), [False] * 3)
    block = integrals.overlap(structure, basis)[0, 0, (0, 0, 0)][0]
    # kinks at every point of the table leave a fine uniform grid the simplest accurate rule
    r, start = np.linspace(0, CUTOFF, 200001), 0
    for shell in basis.species[0].shells:
        norm = np.trapezoid((r * shell.radial(r)) ** 2, r)
        here = slice(start, start + shell.n_orbitals)
        # the largest wave vector leaves at most 1e-8 of a norm out
        assert abs(block[here, here] - norm * np.eye(shell.n_orbitals)).max() < 2e-8
        start += shell.n_orbitals


def test_a_table_of_a_gaussian_gives_the_integrals_of_the_gaussian():
    exponent, cutoff = 1.1, 5.5
    r = np.geomspace(1e-3, 6.0, 900)

    def basis(kind):
        shells = []
        for l in range(3):
            gaussian = GaussianRadial(l, [exponent], [1.0], cutoff)
            table = TabulatedRadial(r, gaussian(r), cutoff)
            shells.append(Shell(l, cutoff, gaussian if kind == "gaussian" else table))
        return OrbitalBasis((SpeciesBasis(1, tuple(shells), 1.0),))

    structure = Structure([1, 1], [[0, 0, 0], [0.4, -0.9, 1.1]], np.zeros((3, 3)), [False] * 3)
    for function in (integrals.overlap, integrals.position, integrals.gradient):
        exact = function(structure, basis("gaussian")).dense()
        # exp(-1.1 * 5.5^2) = 4e-15 is cut off; the spline of 900 points is right to 1e-9
        assert abs(function(structure, basis("table")).dense() - exact).max() < 2e-8
    exact = integrals.kinetic(structure, basis("gaussian")).dense()
    # in eV; kinetic energies of tables converge to 1e-6 of their size
    assert abs(integrals.kinetic(structure, basis("table")).dense() - exact).max() < 3e-5


def test_tables_between_their_nodes_are_right():
    """The cubics against the sums over k from which their nodes were made."""
    bra, ket = (Channels.of(species(z, (0, 1, 2)).shells) for z in (14, 32))
    table = PairTable.build(bra, ket)
    rng = np.random.default_rng(3)
    distance = rng.uniform(0, 2 * CUTOFF, 60)
    k_max = bra.k_max(0)
    dk = np.pi / (2 * CUTOFF) / 3
    k = dk * np.arange(1, int(k_max / dk) + 1)
    fa, fb = bra(k), ket(k)
    column = 0
    for a, la in enumerate(bra.degrees):
        for b, lb in enumerate(ket.degrees):
            for L in range(abs(la - lb), la + lb + 1, 2):
                sign = (-1) ** ((la - lb - L) // 2)
                bessel = spherical_jn(L, np.outer(distance, k))
                exact = sign * 4 * np.pi * dk * bessel @ (k * k * fa[a] * fb[b])
                # tables are refined to 5e-9 of their size, and T(0) of a norm is 4 pi
                assert abs(table.radial_values(distance)[:, column] - exact).max() < 2.5e-8
                column += 1
    assert column == table.cubics.shape[2]
    assert not table.radial_values(np.array([2 * CUTOFF, 30.0])).any()


def test_tables_are_made_once_and_belong_to_their_basis():
    basis = OrbitalBasis((species(14, (0, 1)),))
    structure = Structure([14, 14], [[0, 0, 0], [1, 1, 1]], np.zeros((3, 3)), [False] * 3)
    tables = integrals.TwoCentreTables(basis)
    first = integrals.overlap(structure, basis, tables=tables)
    table = tables.table("overlap", 0, 0)
    integrals.overlap(structure, basis, tables=tables)
    assert tables.table("overlap", 0, 0) is table
    assert integrals.tables_of(basis) is integrals.tables_of(basis)
    assert np.array_equal(first.dense(), integrals.overlap(structure, basis).dense())
    with pytest.raises(BasisError, match="another basis"):
        integrals.overlap(structure, OrbitalBasis((species(14, (0, 2)),)), tables=tables)


def test_a_shell_without_a_radial_function_is_named():
    bare = SpeciesBasis(14, (*species(14, (0,)).shells, Shell(1, 3.0, None, "3p")), 4.0)
    structure = Structure([14], [[0, 0, 0]], np.zeros((3, 3)), [False] * 3)
    with pytest.raises(BasisError, match=r"Si: the 3p shell has no radial function.*\.pao"):
        integrals.overlap(structure, OrbitalBasis((bare,)))


def test_a_table_with_a_jump_is_refused():
    jump = TabulatedRadial(GRID, np.exp(-GRID), 1.0)
    basis = OrbitalBasis((SpeciesBasis(1, (Shell(0, 1.0, jump, "1s"),), 1.0),))
    structure = Structure([1], [[0, 0, 0]], np.zeros((3, 3)), [False] * 3)
    with pytest.raises(BasisError, match="H: the 1s shell is too rough"):
        integrals.overlap(structure, basis)


def test_a_gaussian_in_a_shell_of_another_degree_is_refused():
    shell = Shell(1, 3.0, GaussianRadial(0, [1.0], [1.0], 3.0))
    basis = OrbitalBasis((SpeciesBasis(1, (shell,), 1.0),))
    structure = Structure([1], [[0, 0, 0]], np.zeros((3, 3)), [False] * 3)
    with pytest.raises(BasisError, match="r\\^0 in a shell with l = 1"):
        integrals.overlap(structure, basis)


def test_a_pattern_of_another_basis_is_refused():
    basis = OrbitalBasis((species(14, (0,)),))
    structure = Structure([14], [[0, 0, 0]], np.zeros((3, 3)), [False] * 3)
    other = integrals.overlap(structure, OrbitalBasis((species(14, (0, 1)),))).pattern
    with pytest.raises(BasisError, match="pattern"):
        integrals.overlap(structure, basis, other)


def test_an_overlap_on_another_pattern_is_refused():
    basis = OrbitalBasis((species(14, (0,)),))
    near = Structure([14, 14], [[0, 0, 0], [0, 0, 2]], np.zeros((3, 3)), [False] * 3)
    far = Structure([14, 14], [[0, 0, 0], [0, 0, 9]], np.zeros((3, 3)), [False] * 3)
    small, large = integrals.overlap(far, basis), integrals.overlap(near, basis)
    for function in (integrals.position, integrals.angular_momentum):
        with pytest.raises(InputError, match="another block pattern"):
            function(near, basis, large.pattern, small)
    given = integrals.position(near, basis, large.pattern, large)
    assert np.array_equal(given.dense(), integrals.position(near, basis).dense())
