"""Bands of two sources, matched."""

from __future__ import annotations

import numpy as np
import pytest

from ase_mlham.core import Structure
from ase_mlham.core.spin_space import to_spinor
from ase_mlham.electronic.matching import match_bands
from ase_mlham.electronic.states import eigenstates
from ase_mlham.errors import InputError

HOME = (0, 0, 0)


def row(make_system, levels, n_electrons, shift=0.0):
    """Atoms in a row that do not see one another, but each its own image: bands of width 0.4."""
    n = len(levels)
    structure = Structure(
        [6] * n, np.arange(n)[:, None] * [0, 0, 3.0], np.diag([2.0, 0, 0]), [True, False, False]
    )
    hops = [(a, a, (1, 0, 0), -0.1) for a in range(n)]
    return make_system(
        structure, hops + [(a, a, HOME, e + shift) for a, e in enumerate(levels)], n_electrons
    )


def states(system):
    return eigenstates(system, np.linspace(0, 0.5, 6)[:, None] * [1.0, 0, 0])


def test_a_shift_is_no_error(make_system) -> None:
    a = states(row(make_system, [0.0, 2.0], 2, shift=1.3))
    found = match_bands(a, states(row(make_system, [0.0, 2.0], 2)))
    assert found.comparison.shift == pytest.approx(1.3)
    assert np.allclose(found.differences, 0, atol=1e-12)
    assert found.notes == ("bands are matched by their number, counted from the lowest",)


@pytest.mark.parametrize("swapped", [False, True])
def test_bands_that_one_source_freezes(make_system, swapped) -> None:
    """A band at -20 eV that the other source does not have, and an error of 0.1 eV at the top."""
    pair = [
        states(row(make_system, [-20.0, 0.0, 2.1], 4)),
        states(row(make_system, [0.0, 2.0], 2)),
    ]
    found = match_bands(*(reversed(pair) if swapped else pair))
    assert "lowest 1 are left out" in found.notes[0]
    assert ("second" if swapped else "first") in found.notes[0]
    assert found.first.n_electrons == found.second.n_electrons == 2
    assert found.comparison.occupied.count == 6
    # the median of both bands' differences lies between them
    assert np.ptp(found.differences) == pytest.approx(0.1)
    assert abs(found.comparison.gap_error) == pytest.approx(0.1)
    assert found.groups["occupied"].sum() == 6
    assert found.groups["3 eV"].all()


def test_spin_kinds_may_differ(make_system) -> None:
    plain = row(make_system, [0.0, 2.0], 2)
    for other in (to_spinor(plain), make_system(plain.structure, *collinear(plain))):
        found = match_bands(states(plain), states(other))
        assert "states of one electron each" in found.notes[0]
        assert found.first.energies.shape == (1, 6, 4)
        assert np.allclose(found.differences, 0, atol=1e-12)
        assert found.comparison.occupied.count == 12


def collinear(plain):
    """The same without polarisation: H of a component, none of z."""
    hops = [(a, a, (1, 0, 0), -0.1) for a in range(2)]
    return [], plain.n_electrons, None, "collinear", [[*hops, (1, 1, HOME, 2.0)], []]


def test_fewer_bands_and_other_charges(make_system) -> None:
    more, less = row(make_system, [0.0, 2.0, 9.0], 2), row(make_system, [0.0, 2.0], 2)
    found = match_bands(states(more), states(less))
    assert found.differences.shape[-1] == 2
    assert "2 bands are compared" in found.notes[-1]
    with pytest.raises(InputError, match="2 and 3 electrons"):
        match_bands(states(less), states(row(make_system, [0.0, 2.0], 3)))
