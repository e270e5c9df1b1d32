"""Populations are those that OpenMX printed and those of PySCF, by `benchmarks/projections.py`."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
DATA = REPOSITORY / "tests" / "data" / "openmx"


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    return importlib.import_module("projections")


def check(row, orbital=2e-9, atom=6e-6, moment=6e-6) -> None:
    # orbitals and collinear atoms are printed with nine digits, atoms with spinors with five
    assert row["electrons of an orbital"] < orbital
    assert row["charge of an atom (e)"] < atom
    assert row["moment of an atom (μB)"] < moment


@pytest.mark.parametrize("name", ["h2o.scfout", "o2_triplet.scfout", "o2_nc.scfout.zst"])
def test_molecules_of_openmx(benchmark, name) -> None:
    (row,) = benchmark.against_openmx([DATA / name])
    assert row["orbitals"] > 20
    # angles of moments are printed in 1e-5 degrees
    check(row)
    assert row["largest moment (μB)"] == pytest.approx(0 if "h2o" in name else 1, abs=1e-8)


@pytest.mark.parametrize("name", ["fe_bcc", "bi2se3_soc", "gaas_soc", "gaas_soc_v39", "mos2"])
def test_crystals_of_openmx(benchmark, shared, name) -> None:
    (path,) = (shared / "data" / "openmx" / name).glob(f"{name}.scfout*")
    (row,) = benchmark.against_openmx([path])
    # OpenMX shifts its points by 1e-6 or so, which a metal and narrow bands feel
    check(row, orbital=3e-6)


@pytest.mark.parametrize("name", ["o2_triplet.scfout", "o2_nc.scfout.zst"])
def test_sum_rules(benchmark, name) -> None:
    (row,) = benchmark.sum_rules([DATA / name])
    # rounding, times the condition of S
    assert row["Mulliken: sum of weights"] < 1e-11
    assert row["Löwdin: sum of weights"] < 1e-11
    assert row["sum of spins"] < 1e-11
    assert row["Löwdin: lowest weight"] >= 0
    # which Mulliken's are not bound to be
    assert row["Mulliken: lowest weight"] < -0.01


def test_rashba_model(benchmark) -> None:
    found = benchmark.against_rashba()
    assert found["plane energies"] < 1e-12
    assert found["plane spins"] < 1e-10
    assert found["contour energies"] < 1e-5
    assert found["contour spins"] < 1e-10
    assert found["contour points"] > 100


def test_time_reversal(benchmark, shared) -> None:
    rows = benchmark.time_reversal(shared / "data" / "openmx")
    for row in rows[:2]:
        assert row["s(k) + s(-k)"] < 1e-4
    assert rows[2]["states alone in their level"] == "0 %"
    # the cycle of the calculation ended at 1e-9 of the density
    assert rows[2]["spin of a pair"] < 1e-5


def test_molecule_of_pyscf(benchmark) -> None:
    pytest.importorskip("pyscf")
    for row in benchmark.against_pyscf({"LiH": 0.0}, "gth-szv-molopt-sr"):
        assert row["largest charge"] > 0.05
        # the two calculations end a little apart: grids, and convergence of the density
        assert row["charges"] < 1e-4
        assert row["moments"] < 1e-6
