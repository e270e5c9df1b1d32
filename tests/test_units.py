"""Constants against the codes whose values they state."""

from __future__ import annotations

import ase.units as ase_units  # noqa: TID251 - the source that is compared with
import pytest
from scipy import constants  # noqa: TID251 - the source that is compared with

from ase_mlham.units import ASE, CODATA_2018, OPENMX, PYSCF


def test_ase() -> None:
    assert ASE.hartree == pytest.approx(ase_units.Hartree, rel=1e-15)
    assert ASE.bohr == pytest.approx(ase_units.Bohr, rel=1e-15)


def test_pyscf() -> None:
    nist = pytest.importorskip("pyscf.data.nist")
    assert PYSCF.hartree == nist.HARTREE2EV
    assert PYSCF.bohr == nist.BOHR


def test_all_codes_agree_to_the_digits_that_are_known() -> None:
    """SciPy has CODATA 2018 or 2022, between which these move in the tenth digit."""
    hartree = constants.value("Hartree energy in eV")
    bohr = constants.value("Bohr radius") * 1e10
    for units, digits in ((CODATA_2018, 1e-9), (PYSCF, 1e-8), (ASE, 1e-8), (OPENMX, 1e-7)):
        assert units.hartree == pytest.approx(hartree, rel=digits)
        assert units.bohr == pytest.approx(bohr, rel=digits)


def test_derived_units() -> None:
    """hbar^2 / 2 m_e = 3.80998 eV Å^2."""
    assert CODATA_2018.rydberg == pytest.approx(13.605693, abs=1e-6)
    assert CODATA_2018.hbar2_over_2m == pytest.approx(3.809982, abs=1e-6)
