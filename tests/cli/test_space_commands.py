"""`mlham density`, `wavefunction`, `ldos` and `stm`, on a small file with radial functions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io.cube import read_cube

import ase_mlham as mh
from ase_mlham.cli.main import main
from ase_mlham.units import ASE

pytest.importorskip("pyscf")


@pytest.fixture(scope="module")
def layer(tmp_path_factory):
    """A layer of hydrogen molecules with vacuum, as a native file."""
    from pyscf.scf import hf

    patch = pytest.MonkeyPatch()
    # PySCF opens a temporary file for each calculation and never closes it
    patch.setattr(hf, "MUTE_CHKFILE", True)
    atoms = Atoms(
        "H2",
        positions=[[0.5, 0.6, 4.0], [1.2, 0.8, 4.2]],
        cell=[[3.0, 0, 0], [0.4, 2.8, 0], [0, 0, 9.0]],
        pbc=(True, True, False),
        magmoms=[0.2, 0.2],
    )
    system = mh.compute_system(
        atoms, basis="gth-szv", kpts=(1, 1, 1), ecut_ry=60.0, smearing=0.0, total_moment=2.0
    )
    patch.undo()
    path = tmp_path_factory.mktemp("layer") / "layer.h5"
    mh.write_system(system, path)
    return path


@pytest.fixture
def run(layer, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def called(command, *words, code=0):
        got = main([command, str(layer), *words])
        out = capsys.readouterr()
        assert got == code, out.err
        return out.out if code == 0 else out.err

    return called


def cube(name):
    with Path(name).open(encoding="utf-8") as stream:
        return read_cube(stream)


def test_density(run, layer):
    said = run("density", "-k", "2,2,1", "--spacing", "0.25", "-o", "n.cube", "-o", "n.png")
    assert "n.cube, n.png: charge density on 12 x 12 x" in said
    assert "exact 2.0000" in said
    read = cube("n.cube")
    element = abs(np.linalg.det(read["spacing"])) / ASE.bohr**3
    # GTH hydrogen at 0.25 Å
    assert read["data"].sum() * element == pytest.approx(2.0, abs=5e-3)
    assert Path("n.png").read_bytes()[:4] == b"\x89PNG"


def test_spin_and_difference(run):
    assert "exact 2.0000" in run("density", "--spin", "--spacing", "0.25", "-k", "1,1,1")
    assert cube("density.cube")["data"].max() > 0.01
    said = run("density", "--difference", "-o", "d.png", "--spacing", "0.25", "-k", "1,1,1")
    assert "exact 0.0000" in said
    assert "along z" in run("density", "--spin", "x", "-k", "1,1,1", code=1)


def test_wave_function(run):
    said = run(
        "wavefunction", "--kpt", "0.25,0,0", "--band", "0", "--channel", "1", "--part", "real",
        "-o", "w.cube", "-o", "w.png", "--plane", "0,0,1", "--size", "6",
    )  # fmt: skip
    assert "band 0 at k = (0.25, 0, 0), spin down, real" in said
    assert cube("w.cube")["data"].min() < 0
    assert "-k is a mesh" in run("wavefunction", "--band", "0", "-k", "2,2,1", code=1)
    assert "bands [99]" in run("wavefunction", "--band", "99", code=1)
    assert "--kpt 1,2" in run("wavefunction", "--band", "0", "--kpt", "1,2", code=1)


def test_local_density_of_states(run):
    said = run("ldos", "--window=-30,0", "-k", "1,1,1", "--spacing", "0.3", "-o", "l.xsf")
    assert "2.0000 states" in said
    said = run("ldos", "--energy", "-2", "-k", "1,1,1", "--spacing", "0.5", "-o", "l.png")
    assert "at -2 eV" in said
    assert "--window E1,E2 or --energy E" in run("ldos", code=1)
    assert "give 2 numbers" in run("ldos", "--window=-1", code=1)


def test_microscope(run):
    said = run("stm", "--bias=-30", "-k", "1,1,1", "--json", "s.json", "-o", "s.png")
    assert "constant height 2" in said
    data = json.loads(Path("s.json").read_text(encoding="utf-8"))
    assert np.shape(data["values"]) == (15, 15)
    assert np.min(data["values"]) > 0
    said = run("stm", "--bias=-30", "-k", "1,1,1", "--current", "1e-3")
    assert "height, Å" in said
    assert "orbitals end at" in run("stm", "--bias=-30", "-k", "1,1,1", "--height", "20", code=1)
    assert "not both" in run("stm", "--bias=1", "--height", "2", "--current", "1", code=1)


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["-o", "a.vtk"], "must end with one of .cube"),
        (["--smearing", "0"], "must be positive"),
        (["-o", "a.png", "--plane", "1,1,0", "--atoms", "0,1,1"], "not both"),
        (["-o", "a.png", "--atoms", "0,1,1"], "no plane"),
        (["-o", "a.png", "--atoms", "0,1,7"], "there are 2"),
        (["-o", "a.png", "--through", "x"], "give 1 numbers"),
    ],
)
def test_refusals(run, words, match):
    assert match in run("density", "-k", "1,1,1", "--spacing", "0.25", *words, code=1)
