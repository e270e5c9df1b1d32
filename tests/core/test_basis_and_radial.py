"""Shells, species, bases and their radial functions."""

from __future__ import annotations

import numpy as np
import pytest
from ase.data import chemical_symbols
from hypothesis import given
from hypothesis import strategies as st

from ase_mlham.core import (
    GaussianRadial,
    OrbitalBasis,
    Projectors,
    RadialFunction,
    Shell,
    SpeciesBasis,
    TabulatedRadial,
)
from ase_mlham.core.basis import symbol
from ase_mlham.core.radial import radial_from_dict
from ase_mlham.errors import BasisError
from ase_mlham.testing.strategies import bases

GRID = np.geomspace(1e-3, 3.0, 300)


def table() -> TabulatedRadial:
    return TabulatedRadial(GRID, np.exp(-GRID) * (3.0 - GRID), 3.0)


def silicon(**changes: object) -> SpeciesBasis:
    shells = (Shell(0, 3.7), Shell(0, 3.7), Shell(1, 3.2), Shell(2, 3.5))
    return SpeciesBasis(**{"number": 14, "shells": shells, "valence": 4.0, **changes})


def test_symbols_are_those_of_ase() -> None:
    assert [symbol(number) for number in range(119)] == chemical_symbols


def test_what_a_species_says_of_itself() -> None:
    entry = silicon()
    assert (entry.symbol, entry.n_orbitals, entry.cutoff, entry.l) == ("Si", 10, 3.7, (0, 0, 1, 2))
    assert entry.offsets.tolist() == [0, 1, 2, 5, 10]
    assert entry.layout == "s2p1d1"
    assert not entry.has_radial


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Shell(-1, 3.0), "l = -1"),
        (lambda: Shell(7, 3.0), "l = 7"),
        (lambda: Shell(0, 0.0), "positive"),
        (lambda: Shell(0, np.nan), "positive"),
        (lambda: silicon(shells=()), "no shells"),
        (lambda: silicon(valence=-1.0), "-1.0 valence electrons"),
        (lambda: silicon(valence=np.nan), "valence electrons"),
        (lambda: OrbitalBasis(()), "at least one element"),
        (lambda: OrbitalBasis((silicon(), silicon())), "twice"),
        (lambda: Projectors((Shell(0, 2.0),), np.eye(2)), "square"),
        (lambda: Projectors((Shell(0, 2.0), Shell(0, 2.0)), [[1, 2], [3, 1]]), "symmetric"),
        (lambda: Projectors((Shell(0, 2.0), Shell(1, 2.0)), [[1, 2], [2, 1]]), "momentum"),
        (lambda: TabulatedRadial(GRID, GRID[1:], 3.0), "two equal"),
        (lambda: TabulatedRadial(GRID[:3], GRID[:3], 3.0), "at least four"),
        (lambda: TabulatedRadial(GRID[::-1], GRID, 3.0), "increasing"),
        (lambda: TabulatedRadial(GRID - 1e-3, GRID, 3.0), "positive"),
        (lambda: TabulatedRadial(GRID, np.where(GRID > 1, np.nan, 1.0), 3.0), "finite"),
        (lambda: TabulatedRadial(GRID, GRID, 0.0), "cut-off"),
        (lambda: GaussianRadial(0, [1.0, 2.0], [1.0], 3.0), "as many"),
        (lambda: GaussianRadial(0, [-1.0], [1.0], 3.0), "positive exponents"),
        (lambda: GaussianRadial(-1, [1.0], [1.0], 3.0), "l >= 0"),
        (lambda: GaussianRadial(0, [1.0], [np.inf], 3.0), "finite"),
        (lambda: radial_from_dict({"kind": "slater"}), "'slater'"),
    ],
)
def test_refusals(make, message: str) -> None:
    with pytest.raises(BasisError, match=message):
        make()


def test_species_are_sorted_and_found() -> None:
    basis = OrbitalBasis((silicon(), silicon(number=6), silicon(number=32, valence=14.0)))
    assert basis.numbers.tolist() == [6, 14, 32]
    assert basis[32].valence == 14.0
    assert basis.species_index([32, 6, 14]).tolist() == [2, 0, 1]
    assert basis.n_electrons([6, 32, 32]) == 32.0


def test_a_missing_element_is_named_with_its_atom() -> None:
    basis = OrbitalBasis((silicon(),))
    with pytest.raises(BasisError, match=r"atom 1 \(Ga\) is not in the basis, which covers Si"):
        basis.species_index([14, 31, 32])
    with pytest.raises(BasisError, match="Ga is not in the basis"):
        basis[31]


@given(bases())
def test_basis_round_trip(basis: OrbitalBasis) -> None:
    again = OrbitalBasis.from_dict(basis.to_dict())
    assert again.to_dict().keys() == basis.to_dict().keys()
    for old, new in zip(basis.species, again.species, strict=True):
        assert (old.number, old.valence, old.label, old.l) == (
            new.number,
            new.valence,
            new.label,
            new.l,
        )
        for a, b in zip(old.shells, new.shells, strict=True):
            assert (a.l, a.cutoff, a.label) == (b.l, b.cutoff, b.label)
            assert np.array_equal(a.radial(GRID), b.radial(GRID))


def test_projectors_round_trip() -> None:
    shell = Shell(1, 2.0, table(), "p")
    entry = silicon(projectors=Projectors((shell, shell), [[1.0, 0.5], [0.5, 2.0]]))
    again = SpeciesBasis.from_dict(entry.to_dict()).projectors
    assert np.array_equal(again.coupling, entry.projectors.coupling)
    assert np.array_equal(again.shells[0].radial(GRID), shell.radial(GRID))


@pytest.mark.parametrize("radial", [table(), GaussianRadial(2, [0.7, 2.0], [1.0, -0.4], 2.5)])
def test_radial_functions_keep_the_protocol(radial: RadialFunction) -> None:
    assert isinstance(radial, RadialFunction)
    assert radial(np.array([radial.cutoff + 1e-9, 100.0])).tolist() == [0.0, 0.0]
    assert radial(np.zeros((2, 3))).shape == (2, 3)
    again = radial_from_dict(radial.to_dict())
    assert np.array_equal(again(GRID), radial(GRID))
    assert again.cutoff == radial.cutoff


def test_a_table_returns_its_points_and_is_smooth_between() -> None:
    radial = table()
    assert abs(radial(GRID) - radial.values).max() < 1e-14
    between = np.linspace(0.01, 2.99, 777)
    # a cubic spline on 300 points, h = 0.027 in log r: h^4 times a fourth derivative of order 30
    assert abs(radial(between) - np.exp(-between) * (3 - between)).max() < 1e-6
    assert radial(np.array([0.0]))[0] == radial.values[0]


@given(st.integers(0, 3), st.floats(0.2, 4.0))
def test_a_gaussian_is_what_its_formula_says(l: int, exponent: float) -> None:
    radial = GaussianRadial(l, [exponent, 2 * exponent], [1.0, 0.5], 10.0)
    expected = GRID**l * (np.exp(-exponent * GRID**2) + 0.5 * np.exp(-2 * exponent * GRID**2))
    assert abs(radial(GRID) - expected).max() < 1e-12


@given(bases())
def test_drawn_radial_functions_are_normalised(basis: OrbitalBasis) -> None:
    r = np.linspace(0.0, 12.0, 4001)
    for entry in basis.species:
        for shell in entry.shells:
            wide = GaussianRadial(shell.l, shell.radial.exponents, shell.radial.coefficients, 12.0)
            # trapezoids on a function that vanishes at both ends
            assert np.trapezoid((wide(r) * r) ** 2, r) == pytest.approx(1.0, abs=1e-6)
