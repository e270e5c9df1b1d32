"""States that noise pulls out of the near-null space of S are seen, and others are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ase_mlham as mh
from ase_mlham.core import LCAOSystem, Structure
from ase_mlham.electronic.collapse import (
    Collapse,
    CollapseWarning,
    SourceWarning,
    check_collapse,
)
from ase_mlham.testing.strategies import systems

SMALL = 2e-3


def nearly_dependent(make_system, error: float) -> LCAOSystem:
    """Two atoms with S eigenvalues 2 and 2e-3: bonding at -3 eV, antibonding far above.

    `error`, added to the off-diagonal element of H, lowers the antibonding state by 1/s of it.
    """
    structure = Structure([1, 1], [[0, 0, 0], [1, 0, 0]], np.zeros((3, 3)), [False] * 3)
    bonding, antibonding, s = -3.0, 40.0, 1 - SMALL
    # H = sum of E_n S |n> <n| S for the two combinations
    diagonal = (bonding * (1 + s) + antibonding * (1 - s)) / 2
    off = (bonding * (1 + s) - antibonding * (1 - s)) / 2
    hops = [(a, a, (0, 0, 0), diagonal) for a in (0, 1)] + [(0, 1, (0, 0, 0), off + error)]
    return make_system(structure, hops, 2, [(0, 1, (0, 0, 0), s)])


def test_without_error_nothing_is_said(make_system) -> None:
    system = nearly_dependent(make_system, 0.0)
    assert mh.gap(system).fundamental == pytest.approx(43.0)
    verdict = check_collapse(system, mh.fermi_level(system))
    assert not verdict.suspicious
    assert verdict.smallest_overlap == pytest.approx(SMALL)
    assert "no collapse" in str(verdict)


def test_collapse_is_named(make_system) -> None:
    # 0.1 eV divided by 2e-3 is 50 eV: the antibonding state falls to -10 eV
    system = nearly_dependent(make_system, 0.1)
    with pytest.warns(CollapseWarning, match="near-null space of S.*overlap_floor"):
        found = mh.gap(system)
    assert any("collapse" in text for text in found.warnings)
    with pytest.warns(CollapseWarning):
        mh.bands(system)
    with pytest.warns(CollapseWarning):
        mh.dos(system)
    verdict = check_collapse(system, mh.fermi_level(system))
    assert verdict.collapsed
    assert verdict.n_filled == 1
    assert verdict.amplification == pytest.approx(1 / SMALL, rel=1e-6)
    assert Collapse.from_dict(verdict.to_dict()) == verdict


def test_projection_cures_it(make_system) -> None:
    system = nearly_dependent(make_system, 0.1)
    levels = mh.bands(system, overlap_floor=1e-2, reference=0.0)
    assert levels.energies.ravel() == pytest.approx([-3.0], abs=0.06)


def test_state_in_the_gap_is_near_collapse(make_system) -> None:
    # 40 - 0.08 / 2e-3 = 0 eV: empty, and the lowest of the empty ones
    system = nearly_dependent(make_system, 0.08)
    verdict = check_collapse(system, mh.fermi_level(system))
    assert not verdict.collapsed
    assert verdict.n_above == 1
    assert "near collapse" in str(verdict)


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_well_conditioned_systems_pass(data: st.DataObject) -> None:
    system = data.draw(systems())
    # S lies between 1/2 and 3/2: no combination of orbitals nearly cancels
    assert not check_collapse(system, 0.0).suspicious


def test_complaints_of_the_source_are_passed_on(chain) -> None:
    system = chain().replace(warnings=("a distance was never seen",))
    with pytest.warns(SourceWarning, match="never seen"):
        found = mh.gap(system)
    assert found.warnings == ("a distance was never seen",)
    assert "warning: a distance" in str(found)
