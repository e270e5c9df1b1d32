"""`mlham generate --alloy`: structures of the command line, with and without computing them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read, write

from ase_mlham.cli.main import main


@pytest.fixture
def silicon_file(here) -> str:
    write("Si.cif", bulk("Si", a=5.431))
    return "Si.cif"


def draw(capsys, *arguments: str) -> tuple[list, str]:
    """The structures that the command writes, and what it prints."""
    code = main(["generate", *arguments, "--structures-only", "alloys.extxyz"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return read("alloys.extxyz", ":"), printed.out


def test_structures_only(silicon_file, capsys):
    arguments = [silicon_file, "--alloy", "Si,Ge", "--repeat", "2,2,2"]
    alloys, printed = draw(capsys, *arguments, "--shells", "1", "--patience", "50")
    assert {len(atoms) for atoms in alloys} == {16}
    # two elements at the centre, zero to four of four neighbours
    assert f"{len(alloys)} alloys with 10 different surroundings (1 shell of" in printed
    assert "the last 50 brought nothing new" in printed
    assert "written to alloys.extxyz" in printed
    again, _ = draw(capsys, *arguments, "--shells", "1", "--patience", "50")
    assert alloys == again
    assert alloys != draw(capsys, *arguments, "--shells", "1", "--seed", "3")[0]


def test_composition_cell_and_displacements(silicon_file, capsys):
    alloys, printed = draw(
        capsys,
        *(silicon_file, "--alloy", "Si=0.5, Ge=0.5", "--repeat", "2,2,1", "--count", "2"),
        *("--vegard", "Si=5.431,Ge=5.658", "--rattle", "0.02", "--moments", "Ge=1"),
    )
    assert "2 alloys" in printed
    assert "raise --count" in printed
    for atoms in alloys:
        assert atoms.get_chemical_formula() == "Ge4Si4"
        # eight digits are in the file
        assert atoms.get_volume() == pytest.approx(((5.431 + 5.658) / 2) ** 3, abs=1e-4)
        assert set(atoms.get_initial_magnetic_moments()) == {0.0, 1.0}
        ideal = np.round(atoms.get_scaled_positions() * 8) / 8
        moved = atoms.get_distances(0, range(1, 8), mic=True)
        assert len(set(moved.round(4))) == 7
        assert abs(atoms.get_scaled_positions() - ideal).max() < 0.06


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--repeat", "2,2,2"], "--repeat goes with --alloy"),
        (["--structures-only", "a.extxyz"], "--structures-only goes with --alloy"),
        (["--seed", "0"], "--seed goes with --alloy"),
        ([], "-o DIR is missing"),
        (["--alloy", "Si,Ge"], "-o DIR is missing"),
        (["--alloy", "Si,Ge", "--structures-only", "a.extxyz", "-o", "data"], "the first computes"),
        (["--alloy", "Si,Ge", "--structures-only", "a.nonsense"], "ends in .extxyz"),
        (["--alloy", "Si=0.5,Ge", "-o", "data"], "'' is no number"),
        (["--alloy", "Si,Ge", "--vegard", "Si,Ge", "-o", "data"], "--vegard Si,Ge"),
        (["--alloy", "Si,Ge", "--repeat", "2,2", "-o", "data"], "three whole numbers"),
        (["--alloy", "Si,Ge", "--repeat", "2,0,2", "-o", "data"], "three whole numbers"),
        (["--alloy", "Ga,Al", "-o", "data"], "no site with Ga or Al"),
        (["--alloy", "Si,Ge", "--shells", "0", "-o", "data"], "shells=0"),
    ],
)
def test_refusals(silicon_file, capsys, arguments, message):
    pytest.importorskip("pyscf", reason="the default engine: pip install 'ase-mlham[pyscf]'")
    assert main(["generate", silicon_file, *arguments]) == 1
    assert message in capsys.readouterr().err
    # refused before anything is made
    assert [path.name for path in Path().iterdir()] == [silicon_file]


def test_a_parent_is_one_structure(here, capsys):
    write("two.extxyz", [bulk("Si"), bulk("Ge")])
    arguments = ["generate", "two.extxyz", "--alloy", "Si,Ge", "--structures-only", "a.extxyz"]
    assert main(arguments) == 1
    assert "two.extxyz holds 2 structures; --alloy takes one" in capsys.readouterr().err


def test_no_repetition_where_nothing_is_periodic(here, capsys):
    slab = bulk("Si", cubic=True)
    slab.pbc = (True, True, False)
    write("slab.extxyz", slab)
    arguments = ["generate", "slab.extxyz", "--alloy", "Si,Ge", "--structures-only", "a.extxyz"]
    assert main([*arguments, "--repeat", "1,1,2"]) == 1
    assert "not periodic along c" in capsys.readouterr().err


@pytest.mark.slow
def test_alloys_are_computed(silicon_file, capsys):
    pytest.importorskip("pyscf", reason="pip install 'ase-mlham[pyscf]'")
    arguments = ["generate", silicon_file, "--alloy", "Si,Ge", "--shells", "1", "-o", "data"]
    coarse = [word for text in ("kpts=2,2,2", "ecut_ry=60") for word in ("--set", text)]
    assert main([*arguments, *coarse]) == 0
    # SiSi, SiGe, and GeGe: each atom sees four of its neighbour
    assert "3 computed, 0 there before, 0 failed" in capsys.readouterr().out
    assert main([*arguments, *coarse]) == 0
    assert "0 computed, 3 there before, 0 failed" in capsys.readouterr().out
