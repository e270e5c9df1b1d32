"""What the commands print and write, on a system that can be checked by hand."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write
from ase.spectrum.band_structure import BandStructure

from ase_mlham.cli.main import main
from ase_mlham.formats import read_system, write_system

PNG = b"\x89PNG\r\n"


@pytest.fixture
def native(here, toy) -> str:
    write_system(toy.predict(bulk("Si", a=5.43)), "silicon.h5")
    return "silicon.h5"


@pytest.fixture
def chain_file(here, toy, chain) -> str:
    write_system(toy.predict(chain), "chain.h5")
    return "chain.h5"


def run(capsys, *arguments: str) -> str:
    """Standard output of a command that ends well."""
    code = main(list(arguments))
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return printed.out


# ---------------------------------------------------------------------- bands
def test_bands_leaves_a_picture(native, capsys):
    printed = run(capsys, "bands", native, "-k", "2,2,2", "--npoints", "12")
    assert Path("bands.png").read_bytes().startswith(PNG)
    assert "bands.png: 8 bands" in printed
    assert "toy tight binding" in printed
    assert {path.name for path in Path().iterdir()} == {"bands.png", "silicon.h5"}


@pytest.mark.parametrize("suffix", ["pdf", "svg"])
def test_bands_in_other_formats(native, capsys, suffix):
    run(capsys, "bands", native, "-k", "2,2,2", "--npoints", "5", "-o", f"b.{suffix}", "--no-dos")
    assert Path(f"b.{suffix}").stat().st_size > 1000


def test_bands_as_json_are_those_of_ase(chain_file, capsys):
    run(capsys, "bands", chain_file, "--path", "GX", "--npoints", "9", "--json", "bands.json")
    bands = BandStructure.read("bands.json")
    expected = -2 * np.cos(2 * np.pi * bands.path.kpts[:, 0])
    np.testing.assert_allclose(bands.energies[0, :, 0], expected, atol=1e-12)
    # 1e-8: the level of a metal is found by bisection
    assert bands.reference == pytest.approx(0.0, abs=1e-8)
    assert not Path("bands.png").exists()


def test_bands_to_standard_output_is_json_alone(chain_file, capsys):
    printed = run(capsys, "bands", chain_file, "--npoints", "5", "--json", "-")
    assert json.loads(printed)["__ase_objtype__"] == "bandstructure"


def test_bands_of_a_molecule_are_levels(here, toy, capsys):
    atoms = bulk("Si", a=5.43)
    atoms.pbc = False
    write_system(toy.predict(atoms), "cluster.h5")
    assert "8 bands at 1 k-points" in run(capsys, "bands", "cluster.h5")


def test_comparison_with_itself_is_zero(native, capsys):
    printed = run(
        capsys, "bands", native, "-k", "2,2,2", "--npoints", "9", "--compare", native, "--zero=vbm"
    )
    assert "occupied    0.00 meV" in printed
    assert Path("bands.png").read_bytes().startswith(PNG)


def test_comparison_with_a_model(native, model_file, capsys):
    arguments = ["-k", "2,2,2", "--npoints", "5", "--compare", model_file, "-o", "c.png"]
    assert "against model untrained" in run(capsys, "bands", native, *arguments)


# ---------------------------------------------------------------------- gap and dos
def test_gap_in_words_and_numbers(native, capsys):
    printed = run(capsys, "gap", native, "-k", "4,4,4", "--json", "gap.json")
    found = json.loads(Path("gap.json").read_text())
    assert f"gap {found['fundamental']:.3f} eV" in printed
    assert found["fundamental"] > 0
    assert found["source"] == "toy tight binding"
    assert found["vbm"]["energy"] < found["fermi_level"] < found["cbm"]["energy"]


def test_gap_of_a_metal(chain_file, capsys):
    assert "metal, Fermi level" in run(capsys, "gap", chain_file)


@pytest.mark.parametrize(("project", "curves"), [(None, 1), ("element", 1), ("shell", 2)])
def test_dos_as_a_table_sums_to_the_electrons(native, capsys, project, curves):
    options = [] if project is None else ["--project", project]
    run(capsys, "dos", native, "-k", "4,4,4", "--emin", "-20", *options, "-o", "dos.csv")
    with Path("dos.csv").open() as stream:
        header, *rows = list(csv.reader(stream))
    assert len(header) == 1 + curves
    values = np.array(rows, dtype=float)
    energies, density = values[:, 0], values[:, 1:].sum(axis=1)
    electrons = np.trapezoid(np.where(energies < 0, density, 0), energies)
    # the grid of 20 meV cuts off van Hove singularities
    assert electrons == pytest.approx(8.0, rel=0.01)


def test_dos_as_json_names_its_curves(native, capsys):
    run(capsys, "dos", native, "-k", "2,2,2", "--project", "orbital", "-o", "dos.json")
    found = json.loads(Path("dos.json").read_text())
    assert [curve["name"] for curve in found["curves"]] == ["Si s", "Si py", "Si pz", "Si px"]
    assert len(found["energies"]) == len(found["curves"][0]["density"])


def test_dos_as_a_picture(native, capsys):
    run(capsys, "dos", native, "-k", "2,2,2", "--width", "0.2", "--project", "shell")
    assert Path("dos.png").read_bytes().startswith(PNG)


# ---------------------------------------------------------------------- models
def test_a_large_prediction_says_what_it_takes(here, model_file, capsys, monkeypatch):
    from ase_mlham.cli import source

    monkeypatch.setattr(source, "LARGE", 2)
    write("silicon.vasp", bulk("Si", a=5.43))
    run_arguments = ["predict", "silicon.vasp", "--model", model_file, "-o", "H.h5"]
    assert main(run_arguments) == 0
    said = capsys.readouterr().err
    assert re.search(r"predicting 2 atoms: about [\d.]+ [kM]B of memory", said), said


def test_predict_writes_what_the_other_commands_read(here, model_file, capsys):
    write("silicon.vasp", bulk("Si", a=5.43))
    printed = run(capsys, "predict", "silicon.vasp", "--model", model_file, "-o", "H.h5")
    assert "H.h5: 2 atoms, 8 orbitals" in printed
    system = read_system("H.h5")
    assert system.source == "model untrained 1"
    assert main(["predict", "silicon.vasp", "--model", model_file, "-o", "H.h5"]) == 1
    assert "--force" in capsys.readouterr().err
    run(capsys, "predict", "silicon.vasp", "--model", model_file, "-o", "H.h5", "--force")


def test_outside_of_the_domain_the_result_says_so(here, model_file, capsys):
    write("compressed.vasp", bulk("Si", a=4.5))
    arguments = ["predict", "compressed.vasp", "--model", model_file, "-o", "H.h5"]
    assert main([*arguments, "--outside-domain"]) == 0
    assert capsys.readouterr().err.count("shortest such distance") == 1
    assert any("shortest such distance" in text for text in read_system("H.h5").warnings)


def test_installed_models_are_listed(here, install, capsys):
    install()
    printed = run(capsys, "models")
    assert "tiny" in printed
    assert "pairwise" in printed
    assert "H Si" in printed
    card = json.loads(run(capsys, "models", "tiny", "--json", "-"))
    assert card["elements"] == ["H", "Si"]


def test_info_of_a_model(here, model_file, capsys):
    assert "pairwise" in run(capsys, "info", model_file)


def test_evaluate_a_model_on_its_own_prediction(here, model_file, capsys):
    write("silicon.vasp", bulk("Si", a=5.43))
    run(capsys, "predict", "silicon.vasp", "--model", model_file, "-o", "H.h5")
    printed = run(
        capsys, "evaluate", model_file, "H.h5", "--no-bands", "--json", "e.json", "--report", "e.md"
    )
    assert "H MAE" in printed
    # float32 network: the same twice on one machine, or off by rounding
    assert json.loads(Path("e.json").read_text())["summary"]["H MAE"] < 1e-2
    assert Path("e.md").read_text(encoding="utf-8").startswith("# Errors of untrained 1")


# ---------------------------------------------------------------------- files and machine
def test_info_of_structure_and_system(native, capsys):
    printed = run(capsys, "info", native)
    assert "Si s1p1" in printed.replace("  ", "").replace("Si", "Si ", 1) or "s1p1" in printed
    facts = json.loads(run(capsys, "info", native, "--json", "-"))
    assert facts["electrons"] == 8
    assert facts["spin"] == "none"
    write("silicon.cif", bulk("Si"))
    assert "no Hamiltonian" in run(capsys, "info", "silicon.cif")


def test_convert_keeps_the_system(native, capsys):
    run(capsys, "convert", native, "copy.h5")
    a, b = read_system(native), read_system("copy.h5")
    np.testing.assert_array_equal(a.hamiltonian.at_k([0.1, 0, 0]), b.hamiltonian.at_k([0.1, 0, 0]))


def test_doctor_finds_this_installation_healthy(here, capsys):
    printed = run(capsys, "doctor")
    assert "No problems found." in printed
    for word in ("numpy", "models", "processors", "disk here", "plugins"):
        assert word in printed


def test_doctor_finds_what_is_wrong(here, capsys, monkeypatch):
    from ase_mlham.cli import doctor

    monkeypatch.setattr(doctor, "requirements", lambda: [doctor._Requirement("nonesuch", "2", "")])
    assert main(["doctor"]) == 1
    assert "PROBLEM: no nonesuch, at least 2 is needed; run:" in capsys.readouterr().out


def test_plugins_are_listed_with_what_they_give(capsys):
    printed = run(capsys, "plugins")
    assert "mlham-formats" in printed
    records = json.loads(run(capsys, "plugins", "--json", "-"))
    cli = next(record for record in records if record["name"] == "mlham-cli")
    assert "bands" in cli["provides"]["command"]


@pytest.mark.slow
def test_generate_computes_and_resumes(here, capsys):
    pytest.importorskip("pyscf", reason="pip install 'ase-mlham[pyscf]'")
    from ase.build import molecule

    write("water.extxyz", molecule("H2O"))
    arguments = ["generate", "water.extxyz", "-o", "data"]
    assert "1 computed, 0 there before, 0 failed" in run(capsys, *arguments)
    assert "0 computed, 1 there before, 0 failed" in run(capsys, *arguments)
    # one electron is refused without a moment, and with one it is a magnet
    write("hydrogen.extxyz", Atoms("H"))
    arguments = ["generate", "hydrogen.extxyz", "-o", "magnet"]
    assert "1 computed" in run(capsys, *arguments, "--moments", "H=1")
    (made,) = Path("magnet").glob("*.h5")
    assert read_system(made).structure.moments[0, 2] == pytest.approx(1, abs=1e-6)


@pytest.mark.slow
def test_train_makes_a_model(here, model_file, capsys):
    pytest.importorskip("lightning", reason="pip install 'ase-mlham[train]'")
    for n, a in enumerate((5.43, 5.45, 5.47)):
        write("silicon.vasp", bulk("Si", a=a))
        run(capsys, "predict", "silicon.vasp", "--model", model_file, "-o", f"{n}.h5")
    Path("train.toml").write_text(
        'output = "own.mlham"\n[data]\ntrain = ["0.h5", "1.h5"]\nvalidation = ["2.h5"]\n'
        'test = ["2.h5"]\n[family]\nname = "pairwise"\n[training]\nepochs = 2\n'
        "[targets]\noperators = []\n"
    )
    assert "own.mlham: trained" in run(capsys, "train", "train.toml", "--set", "training.seed=1")
    assert "pairwise" in run(capsys, "info", "own.mlham")
