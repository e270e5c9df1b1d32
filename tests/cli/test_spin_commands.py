"""`mlham fatbands`, `charges` and `spin-texture`: what they print, write and refuse."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read
from ase.spectrum.band_structure import BandStructure

from ase_mlham.cli.main import main
from ase_mlham.core import SpinKind
from ase_mlham.electronic.fat_bands import FatBands
from ase_mlham.electronic.spin_bands import SpinBands
from ase_mlham.electronic.spin_plane import SpinContour, SpinPlane
from ase_mlham.formats import write_system

DATA = Path(__file__).parent.parent / "data" / "openmx"
PNG = b"\x89PNG\r\n"


def run(capsys, *arguments: str) -> str:
    code = main(list(arguments))
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return printed.out


def refused(capsys, *arguments: str) -> str:
    assert main(list(arguments)) in (1, 2)
    return capsys.readouterr().err


@pytest.fixture
def native(here, toy) -> str:
    write_system(toy.predict(bulk("Si", a=5.43)), "silicon.h5")
    return "silicon.h5"


@pytest.fixture
def spinors(here, toy) -> str:
    toy.spin, toy.split = SpinKind.SPINOR, 0.2
    write_system(toy.predict(bulk("Si", a=5.43)), "spinors.h5")
    return "spinors.h5"


# ---------------------------------------------------------------------- fatbands
def test_fat_bands_leave_a_picture(native, capsys) -> None:
    printed = run(capsys, "fatbands", native, "--npoints", "9", "-k", "2,2,2", "--by", "shell")
    assert "fatbands.png: Mulliken weights on 2 groups, Fermi level" in printed
    assert Path("fatbands.png").read_bytes().startswith(PNG)


def test_fat_bands_as_data(native, capsys) -> None:
    common = ("fatbands", native, "--npoints", "9", "-k", "2,2,2", "--method", "lowdin")
    printed = run(capsys, *common, "--data", "w.json", "--json", "b.json", "--by", "atom")
    assert "w.json, b.json: Löwdin weights on 2 groups" in printed
    assert not Path("fatbands.png").exists()
    found = FatBands.from_dict(json.loads(Path("w.json").read_text()))
    assert np.allclose(found.weights.sum(axis=-1), 1)
    assert np.allclose(BandStructure.read("b.json").energies, found.bands.energies)
    run(capsys, *common, "--data", "w.npz", "--by", "orbital", "--select", "orbital=px")
    with np.load("w.npz", allow_pickle=False) as arrays:
        assert arrays["weights"].shape == (*found.weights.shape[:3], 1)
        assert json.loads(str(arrays["groups"][0])) == {"symbol": "Si", "orbital": "px"}
        assert str(arrays["method"]) == "lowdin"
        assert arrays["x"].shape == arrays["energies"].shape[1:2]


def test_fat_bands_of_layers_and_two_channels(here, toy, capsys) -> None:
    toy.spin, toy.split = SpinKind.COLLINEAR, 0.2
    write_system(toy.predict(bulk("Si", a=5.43, cubic=True)), "cubic.h5")
    printed = run(
        capsys, "fatbands", "cubic.h5", "--by", "layer", "--npoints", "4", "-k", "1,1,1",
        "--style", "dots", "-o", "l.pdf",
    )  # fmt: skip
    assert "on 4 groups" in printed
    assert Path("l.pdf").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--select", "Si"], "give KEY=VALUE"),
        (["--select", "symbol=Ge"], "no group is"),
        (["--direction", "1,2"], "three numbers with commas"),
        (["--direction", "w", "--by", "layer"], "accepted: a, b, c or a vector"),
        (["--data", "w.txt"], "must end with one of .json, .npz"),
        (["--emin", "3", "--emax", "1"], "--emin 3 must be below"),
    ],
)
def test_fat_bands_that_are_refused(native, capsys, arguments, message) -> None:
    assert message in refused(
        capsys, "fatbands", native, "-k", "1,1,1", "--npoints", "3", *arguments
    )
    assert {path.name for path in Path().iterdir()} == {"silicon.h5"}


def test_densities_of_layers_and_projections(native, capsys) -> None:
    common = ("dos", native, "-k", "2,2,2", "--width", "0.2")
    for by, n in (("layer", 2), ("atom", 4)):
        for method in ("mulliken", "lowdin"):
            run(capsys, *common, "--project", by, "--method", method, "-o", "d.json")
            curves = json.loads(Path("d.json").read_text())["curves"]
            assert len(curves) == n
            assert {curve["info"]["projection"] for curve in curves} == {method}
    run(capsys, *common, "--project", "layer", "-o", "d.csv")
    header = Path("d.csv").read_text().splitlines()[0]
    # a / sqrt(48) along the normal of two vectors of the primitive cell
    assert header.endswith("layer 0 (0.00 Å),layer 1 (0.78 Å)")


# ---------------------------------------------------------------------- charges
def test_charges_are_those_of_openmx(capsys) -> None:
    printed = run(capsys, "charges", str(DATA / "o2_triplet.scfout"))
    assert "(OpenMX), Mulliken" in printed
    assert "    0 O        0.0000    1.0000\n" in printed
    assert "   total       0.0000    2.0000\n" in printed
    vectors = run(capsys, "charges", str(DATA / "o2_nc.scfout.zst"), "--method", "lowdin")
    # along theta = 50, phi = 30 degrees; by symmetry half of the moment of two on either atom
    assert "Löwdin" in vectors
    assert "    1 O        0.0000    0.6634    0.3830    0.6428\n" in vectors


def test_charges_as_files(here, capsys) -> None:
    shutil.copy(DATA / "h2o.scfout", "h2o.scfout")
    run(capsys, "charges", "h2o.scfout", "-o", "q.csv", "--json", "q.json")
    rows = list(csv.DictReader(Path("q.csv").read_text().splitlines()))
    facts = json.loads(Path("q.json").read_text())
    assert [row["symbol"] for row in rows] == facts["symbols"]
    assert [float(row["charge"]) for row in rows] == pytest.approx(facts["charges"], rel=1e-6)
    assert facts["projection"] == "mulliken"
    assert sum(facts["charges"]) == pytest.approx(0, abs=1e-6)
    run(capsys, "charges", "h2o.scfout", "-o", "q.extxyz", "--method", "lowdin")
    atoms = read("q.extxyz")
    assert atoms.arrays["lowdin_charges"].shape == (3,)
    assert "lowdin_moments" not in atoms.arrays
    assert atoms.arrays["lowdin_charges"].sum() == pytest.approx(0, abs=1e-6)
    # another projection, another number
    assert abs(atoms.arrays["lowdin_charges"] - facts["charges"]).max() > 0.05
    printed = run(capsys, "charges", str(DATA / "o2_nc.scfout.zst"), "--json", "-")
    assert np.shape(json.loads(printed)["moments"]) == (2, 3)
    run(capsys, "charges", str(DATA / "o2_nc.scfout.zst"), "-o", "m.extxyz")
    assert read("m.extxyz").arrays["mulliken_moments"].shape == (2, 3)


def test_charges_at_a_temperature(native, capsys) -> None:
    common = ("charges", native, "-k", "2,2,2", "--json", "-")
    warm = json.loads(run(capsys, *common, "--temperature", "11604.5"))
    wide = json.loads(run(capsys, *common, "--smearing", "1.0"))
    assert warm["fermi_level"] == pytest.approx(wide["fermi_level"], abs=1e-4)
    assert "not both" in refused(capsys, *common, "--smearing", "1", "--temperature", "1")
    assert "must be positive" in refused(capsys, *common, "--smearing", "0")
    assert "must end with one of" in refused(capsys, *common, "-o", "q.txt")


# ---------------------------------------------------------------------- spin-texture
def test_spin_along_a_path(spinors, capsys) -> None:
    printed = run(
        capsys, "spin-texture", spinors, "--path", "GX", "--npoints", "7", "-k", "2,2,2",
        "--json", "s.json", "-o", "s.png",
    )  # fmt: skip
    assert "s.png, s.json: 16 bands at 7 k-points" in printed
    found = SpinBands.from_dict(json.loads(Path("s.json").read_text()))
    # the exchange field lies along z
    assert np.allclose(abs(found.along("z")[~found.degenerate]), 1, atol=1e-6)
    assert Path("s.png").read_bytes().startswith(PNG)


def test_spin_on_a_plane(spinors, capsys) -> None:
    printed = run(
        capsys, "spin-texture", spinors, "--plane", "z", "--extent", "0.4", "--size", "5",
        "-k", "2,2,2", "--center", "0.1,0,0.1", "--axis", "z",
    )  # fmt: skip
    assert "spin-texture.png: bands 6, 7, 8, 9 on 5 x 5 k-points" in printed
    assert Path("spin-texture.png").read_bytes().startswith(PNG)
    printed = run(
        capsys, "spin-texture", spinors, "--vectors", "1,0,0,0,1,0", "--size", "3",
        "--bands", "0-1,4", "-k", "1,1,1", "--json", "-",
    )  # fmt: skip
    assert SpinPlane.from_dict(json.loads(printed)).bands.tolist() == [0, 1, 4]


def test_spin_on_lines_of_one_energy(spinors, capsys) -> None:
    printed = run(
        capsys, "spin-texture", spinors, "--plane", "z", "--energy=-4", "--size", "9",
        "-k", "2,2,2", "--json", "c.json", "-o", "c.png",
    )  # fmt: skip
    found = SpinContour.from_dict(json.loads(Path("c.json").read_text()))
    assert f"{len(found.lines)} lines of bands" in printed
    assert found.residual < 1e-4
    assert Path("c.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--plane", "--path", "GX"], "not both"),
        (["--plane", "--bands", "a"], "give numbers from 0"),
        (["--bands", "1"], "--bands is for planes"),
        (["--plane", "--vectors", "1,0"], "give six numbers"),
        (["--plane", "q", "--size", "3"], "a plane normal to 'q'"),
        (["--plane", "--bands", "99", "--size", "3"], "bands 0 to 15"),
        (["--plane", "--center", "Q", "--size", "3"], "no special point 'Q'"),
        (["--plane", "--energy", "500", "--size", "3"], "no band has the energy"),
        (["--tolerance=-1"], "0 for none"),
        (["--axis", "q"], "accepted: x, y, z or a vector"),
    ],
)
def test_textures_that_are_refused(spinors, capsys, arguments, message) -> None:
    common = ("spin-texture", spinors, "-k", "1,1,1", "--npoints", "3")
    assert message in refused(capsys, *common, *arguments)
    assert {path.name for path in Path().iterdir()} == {"spinors.h5"}


def test_no_texture_without_spin(native, capsys) -> None:
    assert "without spin" in refused(capsys, "spin-texture", native, "-k", "1,1,1")
