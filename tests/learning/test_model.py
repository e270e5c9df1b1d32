"""Models: prediction, domain, file, look-up, evaluation, and the recipe from data to file."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

from ase_mlham import hooks
from ase_mlham.core import Structure
from ase_mlham.errors import DomainError, InputError, ModelError
from ase_mlham.learning.configuration import describe_config, make_config
from ase_mlham.learning.dataset import ReferenceData
from ase_mlham.learning.domain import Domain, DomainWarning
from ase_mlham.learning.evaluate import evaluate
from ase_mlham.learning.model import (
    HamiltonianModel,
    fitted_transform,
    load_model,
    model_contents,
    models,
    pick_device,
)
from ase_mlham.learning.model_file import ModelFile, read_card
from ase_mlham.learning.pairwise import PairwiseConfig, PairwiseNetwork
from ase_mlham.learning.recipes import HamiltonianRecipe, find_files, train_hamiltonian
from ase_mlham.learning.targets import TargetConfig


@pytest.fixture(scope="module")
def contents(systems):
    data = ReferenceData(systems, message_cutoff=5.0, operators=("kinetic",))
    targets = TargetConfig(n_splines=6, n_onsite_splines=3)
    transform = fitted_transform(data, targets, range(6))
    torch.manual_seed(1)
    config = PairwiseConfig(hidden=8)
    network = PairwiseNetwork(config, data.layout)
    spec = hooks.find("model family", "pairwise")
    return model_contents("tiny", spec, config, network, transform, data, range(6))


@pytest.fixture
def model(contents, tmp_path):
    contents.write(tmp_path / "tiny.mlham")
    return load_model(tmp_path / "tiny.mlham", device="cpu")


def test_prediction_is_a_system_with_the_right_overlap(model, systems):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DomainWarning)
        system = model.predict(systems[2].structure.to_atoms())
    reference = systems[2]
    assert system.basis is model.basis
    assert system.n_electrons == reference.n_electrons
    assert system.source == "model tiny 1"
    assert system.hamiltonian.pattern == reference.hamiltonian.pattern
    for a, b in zip(system.overlap.values, reference.overlap.values, strict=True):
        assert np.allclose(a, b, atol=1e-10)
    # the baseline alone is within 0.1 eV of these made-up systems; a missing kinetic part is not
    difference = system.hamiltonian - reference.shift_energy(0.0).hamiltonian
    mean = np.mean([abs(v).mean() for v in difference.values])
    assert mean < 0.2


def test_double_precision_agrees(model, contents, systems):
    double = HamiltonianModel(contents, "cpu", "float64")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DomainWarning)
        a, b = (m.predict(systems[0].structure).hamiltonian for m in (model, double))
    worst = max(abs(x - y).max() for x, y in zip(a.values, b.values, strict=True))
    # single precision of numbers of some tens of eV
    assert 0 < worst < 1e-4


def test_identity_and_card(model, contents):
    assert model.identity[:2] == ("tiny", "1")
    assert len(model.identity[2]) == 64
    card = model.card
    assert card["elements"] == ["C", "Si"]
    assert card["domain"]["n_structures"] == 6
    assert card["family"] == "pairwise"
    json.dumps(card, default=str)
    assert contents.content_hash == ""
    assert "tiny" in repr(model)


# ---------------------------------------------------------------------- domain
def test_unknown_element(model, systems):
    old = systems[0].structure
    numbers = old.numbers.copy()
    numbers[2] = 31
    with pytest.raises(DomainError, match=r"atom 2 \(Ga\): the model knows only C, Si"):
        model.predict(Structure(numbers, old.positions, old.cell, old.pbc))


def test_atoms_too_close(model, systems):
    old = systems[0].structure
    positions = old.positions.copy()
    positions[1] += 0.45 * (positions[0] - positions[1])
    close = Structure(old.numbers, positions, old.cell, old.pbc)
    with pytest.raises(DomainError, match=r"Å apart; the shortest such distance in training"):
        model.predict(close)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        system = model.predict(close, on_unknown="warn")
    assert [entry.category for entry in said] == [DomainWarning] * len(system.warnings)
    assert "apart" in system.warnings[0]
    with pytest.raises(InputError, match='accepted: "error", "warn"'):
        model.predict(close, on_unknown="ignore")


def test_overlapping_atoms(model, systems):
    old = systems[0].structure
    positions = old.positions.copy()
    positions[1] = positions[0] + 0.01
    with pytest.raises(InputError, match="overlap"):
        model.predict(Structure(old.numbers, positions, old.cell, old.pbc))


def test_empty_bins_warn_and_the_text_stays(contents, systems):
    system = systems[0]
    pattern = system.overlap.pattern
    histogram = {pair: n.copy() for pair, n in contents.domain.histogram.items()}
    assert not contents.domain.check(system.structure, pattern)
    distance = np.linalg.norm(pattern.vectors(system.structure), axis=1)
    z = system.structure.numbers
    here = (~pattern.onsite) & (z[pattern.i] == 14) & (z[pattern.j] == 14)
    nearest = int(distance[here].min() / contents.domain.bin_width)
    histogram[14, 14][nearest] = 0
    holed = Domain(**{**vars(contents.domain), "histogram": histogram})
    low = nearest * holed.bin_width
    (text,) = holed.check(system.structure, pattern)
    assert f"Si-Si at distances ({low:.1f}-{low + 0.2:.1f} Å) that no training" in text
    histogram[14, 14][:] = 0
    assert "no training structure had such a pair" in holed.check(system.structure, pattern)[0]


def test_domain_round_trip(contents):
    again = Domain.from_dict(contents.domain.to_dict())
    assert again.closest == contents.domain.closest
    assert all(np.array_equal(again.histogram[p], n) for p, n in contents.domain.histogram.items())


# ---------------------------------------------------------------------- files and names
def test_file_round_trip_is_exact(model, contents, tmp_path):
    written = contents.write(tmp_path / "a.mlham")
    again = ModelFile.read(tmp_path / "a.mlham")
    assert again.content_hash == written.content_hash
    assert again.write(tmp_path / "b.mlham").content_hash == written.content_hash
    assert (tmp_path / "a.mlham").read_bytes() == (tmp_path / "b.mlham").read_bytes()
    assert read_card(tmp_path / "a.mlham")["hash"] == written.content_hash


def test_any_change_changes_the_hash(contents, tmp_path):
    from dataclasses import replace

    plain = contents.write(tmp_path / "a.mlham").content_hash
    renamed = replace(contents, version="2").write(tmp_path / "b.mlham").content_hash
    weights = {name: array.copy() for name, array in contents.weights.items()}
    next(iter(weights.values())).flat[0] += 1e-6
    moved = replace(contents, weights=weights).write(tmp_path / "c.mlham").content_hash
    assert len({plain, renamed, moved}) == 3


def test_damaged_and_foreign_files(model, contents, tmp_path):
    from dataclasses import replace

    path = tmp_path / "a.mlham"
    contents.write(path)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ModelError, match="damaged"):
        load_model(path)
    replace(contents, config={"hidden": 9}).write(path)
    with pytest.raises(ModelError, match="does not fit the installed family"):
        load_model(path, device="cpu")
    replace(contents, config={"hiden": 8}).write(path)
    with pytest.raises(InputError, match="did you mean 'hidden'"):
        load_model(path, device="cpu")
    replace(contents, family="absent", card={"family_distribution": "ase-mlham-absent 1.0"}).write(
        path
    )
    with pytest.raises(ModelError, match=r"'absent', which is not installed.*ase-mlham-absent"):
        load_model(path)


def test_unknown_names(tmp_path):
    with pytest.raises(ModelError, match="unknown model 'nosuchmodel'"):
        load_model("nosuchmodel")
    with pytest.raises(ModelError, match=r"none\.mlham does not exist"):
        load_model(tmp_path / "none.mlham")


def test_nearest_name(monkeypatch):
    spec = hooks.ModelSpec(name="sige", description="", package="ase_mlham", resource="x.mlham")
    monkeypatch.setattr(hooks, "registered", lambda kind: {"sige": spec})
    with pytest.raises(ModelError, match="did you mean 'sige'"):
        load_model("sgie")
    assert "error" in models()["sige"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "quantum"}, "device 'quantum' is unknown"),
        ({"dtype": "float16"}, "dtype 'float16'"),
    ],
)
def test_bad_device_or_dtype(contents, options, message):
    with pytest.raises(InputError, match=message):
        HamiltonianModel(contents, **{"device": "cpu", **options})


def test_pick_device():
    assert pick_device("cpu").type == "cpu"
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="not available"):
            pick_device("cuda")


def test_listing_models_and_loading_one_spare_the_heavy_libraries(contents, tmp_path):
    contents.write(tmp_path / "tiny.mlham")
    code = f"""
import sys, warnings
from ase_mlham.learning.model import load_model, models
from ase_mlham.learning.model_file import read_card
models(); read_card({str(tmp_path / "tiny.mlham")!r})
assert not {{"torch", "lightning", "e3nn", "torch_geometric"}} & sys.modules.keys(), "listing"
from ase import Atoms
model = load_model({str(tmp_path / "tiny.mlham")!r}, device="cpu")
warnings.simplefilter("ignore")
model.predict(Atoms("Si", cell=[2.4] * 3, pbc=True), on_unknown="warn")
heavy = {{"lightning", "e3nn", "torch_geometric", "matplotlib", "ase.io"}} & sys.modules.keys()
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------------- evaluation and recipe
def test_evaluation_reports_matrices_and_bands(model, systems):
    result = evaluate(model, [("a", systems[6]), systems[7]], kpts=(1, 1, 1))
    assert [entry.name for entry in result.structures] == ["a", "structure 1"]
    summary = result.summary()
    assert summary["structures"] == 2
    assert summary["H MAE"] > 0
    assert result.structures[0].overlap < 1e-9
    assert "collapsed" in summary
    json.dumps(result.to_dict(), default=float)
    text = result.to_markdown()
    assert "| H MAE |" in text
    assert "| C-Si |" in text


def test_evaluation_refuses_another_basis(model, systems):
    other = systems[0].replace(
        hamiltonian=type(systems[0].hamiltonian)(
            systems[0].hamiltonian.pattern,
            tuple(np.concatenate([v, 0 * v]) for v in systems[0].hamiltonian.values),
        ),
        spin="collinear",
    )
    with pytest.raises(DomainError, match="collinear"):
        evaluate(model, [other], bands=False)


@pytest.fixture(scope="module")
def files(systems, tmp_path_factory):
    from ase_mlham.formats import write_system

    folder = tmp_path_factory.mktemp("data")
    for n, system in enumerate(systems):
        write_system(system, folder / f"{n}.h5")
    return folder


def recipe(files, output, **changes):
    values = {
        "data": {"files": [str(files)], "validation_fraction": 0.25, "test_fraction": 0.25},
        "output": str(output),
        "family": {"name": "pairwise", "options": {"hidden": 8}},
        "targets": {"n_splines": 6, "n_onsite_splines": 3},
        "training": {"epochs": 3, "device": "cpu", "threads": 1, "warmup_steps": 2},
        "card": {"licence": "CC0-1.0", "kpts": 0.5},
    }
    for section, options in changes.items():
        values[section] = {**values[section], **options} if isinstance(options, dict) else options
    return make_config(HamiltonianRecipe, values, "test")


def test_from_files_to_a_model_that_predicts(files, systems, tmp_path):
    path = train_hamiltonian(recipe(files, tmp_path / "small.mlham"))
    card = read_card(path)
    assert card["name"] == "small"
    assert card["licence"] == "CC0-1.0"
    assert card["metrics"]["set"] == "test"
    assert card["metrics"]["H MAE (meV)"] > 0
    assert card["training"]["ended"] == "finished"
    model = load_model(path, device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DomainWarning)
        assert model.predict(systems[0].structure).n_orbitals == systems[0].n_orbitals
    folder = tmp_path / "small.training"
    assert {"last.ckpt", "best.ckpt", "options.json", "evaluation.md"} <= {
        entry.name for entry in folder.iterdir()
    }
    # the same again goes on from the end and gives the same weights
    again = train_hamiltonian(recipe(files, tmp_path / "small.mlham"))
    a, b = model.file.weights, ModelFile.read(again).weights
    assert all(np.array_equal(a[name], b[name]) for name in a)
    with pytest.raises(InputError, match="with other options or data"):
        train_hamiltonian(recipe(files, tmp_path / "small.mlham", training={"learning_rate": 1e-4}))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"data": {"files": ["x"]}, "outptu": "a"}, "did you mean 'output'"),
        ({"data": {"files": ["x"], "train": ["y"]}}, "give either files, or train"),
        ({"data": {"files": ["x"]}, "output": "a.h5"}, "ends in .mlham"),
        ({}, "needs the option 'data'"),
        ({"data": {"files": "x"}}, "'x' is not a list"),
        (
            {"data": {"files": ["x"]}, "training": {"epochs": 1.5}},
            "epochs: 1.5 is not a whole number",
        ),
        ({"data": {"files": ["x"]}, "training": {"epoch": 1}}, "did you mean 'epochs'"),
        ({"data": {"files": ["x"]}, "training": 3}, "expected a section"),
        ({"data": {"files": ["x"]}, "training": {"merge": "yes"}}, "not true or false"),
    ],
)
def test_mistakes_in_a_configuration(values, message):
    with pytest.raises(InputError, match=message):
        make_config(HamiltonianRecipe, values, "config.toml")


def test_no_file_is_on_two_sides(files, tmp_path):
    config = recipe(
        files,
        tmp_path / "hand.mlham",
        data={
            "files": [],
            "train": [str(files)],
            "validation": [str(files / "[12].h5")],
            "test": [str(files / "2.h5"), str(files / "5.h5")],
        },
        training={"epochs": 1},
        card={"evaluate_bands": False},
    )
    card = read_card(train_hamiltonian(config))
    assert card["training"]["structures"] == {"train": 5, "validation": 1, "test": 2}
    assert card["domain"]["n_structures"] == 5


def test_missing_data(tmp_path):
    with pytest.raises(InputError, match="matches no file"):
        find_files([str(tmp_path / "*.h5")])


SECTIONS = ("data", "spin", "family", "targets", "loss", "bands", "training", "card")


def test_every_option_is_described():
    for cls in (
        HamiltonianRecipe,
        *(
            type(
                getattr(
                    HamiltonianRecipe(data=make_config(_data_config(), {"files": ["x"]}, "data")),
                    name,
                )
            )
            for name in SECTIONS
        ),
    ):
        for name, _, _, text in describe_config(cls):
            assert text or name in SECTIONS[1:], name


def _data_config():
    from ase_mlham.learning.recipes import DataConfig

    return DataConfig
