"""`mlham evaluate`: one model or several on the same files, reports, refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from ase.build import bulk

pytest.importorskip("torch", reason="models need torch: pip install 'ase-mlham[models]'")

from ase_mlham.cli import evaluate
from ase_mlham.cli.main import main
from ase_mlham.core import BlockMatrix
from ase_mlham.errors import InputError
from ase_mlham.formats import read_system, write_system
from ase_mlham.plots import document

EXPECTED = ("H MAE", "gap MAE", "bands within 1 eV MAE")


@pytest.fixture
def data(here, model_file, capsys, monkeypatch) -> Path:
    """Predictions of the model itself, with an error of 10 meV in the first on-site block."""
    monkeypatch.setattr(document, "DOTS_PER_INCH", 30)
    folder = here / "data"
    folder.mkdir()
    for n, length in enumerate((5.4, 5.5)):
        bulk("Si", a=length).write("silicon.vasp")
        name = folder / f"{n}.h5"
        assert main(["predict", "silicon.vasp", "--model", model_file, "-o", str(name)]) == 0
        system = read_system(name)
        values = [array.copy() for array in system.hamiltonian.values]
        values[0][0, 0] += 0.01 * (1 + n)
        moved = BlockMatrix(system.hamiltonian.pattern, tuple(values))
        write_system(system.replace(hamiltonian=moved), name)
    capsys.readouterr()
    return folder


def run(capsys, *words) -> str:
    assert main([str(word) for word in words]) == 0
    return capsys.readouterr().out


def test_one_model(data, model_file, capsys):
    printed = run(capsys, "evaluate", model_file, data, "-k", "1,1,1", "--json", "e.json")
    assert printed.startswith("untrained 1: errors in meV\n")
    assert all(name in printed for name in EXPECTED)
    found = json.loads(Path("e.json").read_text())
    assert found["model"] == "untrained 1"
    assert [entry["name"] for entry in found["structures"]] == ["0.h5", "1.h5"]
    assert found["summary"]["H MAE"] > 1e-3
    # one file that was read once, and in the order of names
    again = run(capsys, "evaluate", model_file, data / "1.h5", data, "-k", "1,1,1")
    assert again.index("0.h5") > again.index("1.h5")


def test_several_models_see_the_same_files(data, model_file, capsys):
    shutil.copy(model_file, "copy.mlham")
    printed = run(
        capsys, "evaluate", model_file, "copy.mlham", data, "--no-bands", "--json", "e.json"
    )
    # both are called "untrained 1": they are told apart by their files
    assert "1: tiny.mlham" in printed
    assert "2: copy.mlham" in printed
    one, two = json.loads(Path("e.json").read_text())["models"]
    assert one["summary"] == two["summary"]
    assert [one["model"], two["model"]] == ["tiny.mlham", "copy.mlham"]


def test_reports(data, model_file, capsys):
    shutil.copy(model_file, "copy.mlham")
    words = ("evaluate", model_file, "copy.mlham", data, "-k", "1,1,1", "--report")
    assert "r.html: written" in run(capsys, *words, "r.html")
    text = Path("r.html").read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") > 10
    assert "1, 1, 1" in text
    assert text.count("copy.mlham") > 5
    run(capsys, "evaluate", model_file, data, "--no-bands", "--report", "r.md")
    text = Path("r.md").read_text(encoding="utf-8")
    assert "## Pairs of elements" in text
    assert "## Bands" not in text
    assert (Path("r_files") / "spread.png").is_file()


def test_which_names_are_models(here, monkeypatch):
    from ase_mlham import hooks

    known = hooks.registered
    table = {"sige": object()}
    monkeypatch.setattr(hooks, "registered", lambda kind: table if kind == "model" else known(kind))
    split = evaluate.models_and_data
    assert split(["sige", "data"]) == (["sige"], ["data"])
    assert split(["a.mlham", "sige", "b.mlham", "*.h5"]) == (
        ["a.mlham", "sige", "b.mlham"],
        ["*.h5"],
    )
    # a folder of data may have the name of a model
    Path("sige").mkdir()
    assert split(["sige", "sige"]) == (["sige"], ["sige"])
    alike = [Path(name) for name in ("runs/a/m.mlham", "runs/b/m.mlham", "n.mlham")]
    told = [evaluate._tail(path, alike) for path in alike]
    assert told == ["a/m.mlham", "b/m.mlham", "n.mlham"]
    with pytest.raises(InputError, match="no data"):
        split(["a.mlham", "b.mlham"])
    with pytest.raises(InputError, match=r"b\.mlham is a model, and comes after data"):
        split(["a.mlham", "data", "b.mlham"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{m}", "{m}", "data"], "given 2 times"),
        (["{m}", "data", "--report", "r.pdf"], ".html, .md"),
        (["{m}", "data", "--report", "none/r.md"], "there is no folder"),
        (["{m}", "{m}"], "no data"),
    ],
)
def test_refusals(data, model_file, capsys, words, said):
    assert main(["evaluate", *(word.format(m=model_file) for word in words)]) == 1
    assert said in capsys.readouterr().err
    assert not list(Path().glob("r*"))
