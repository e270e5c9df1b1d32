"""Published ways of training, as data of families: chosen by name, overridden field by field."""

from __future__ import annotations

import json

import pytest

from ase_mlham import hooks, write_system
from ase_mlham.errors import InputError
from ase_mlham.hooks import FamilySpec
from ase_mlham.learning.configuration import make_config
from ase_mlham.learning.losses import LossConfig
from ase_mlham.learning.model_file import read_card
from ase_mlham.learning.recipes import FamilyChoice, HamiltonianRecipe, train_hamiltonian
from ase_mlham.learning.training_options import TrainingConfig

DATA = {"train": ["a.h5"]}


@pytest.fixture
def family(monkeypatch):
    """A family with a recipe, among those that are installed."""
    spec = FamilySpec(
        name="published",
        description="the smallest family under another name",
        config="ase_mlham.learning.pairwise:PairwiseConfig",
        module="ase_mlham.learning.pairwise:PairwiseNetwork",
        presets={"tiny": {"hidden": 4}},
        recipes={
            "paper": {
                "family": {"preset": "tiny"},
                "training": {"optimiser": "adamw", "learning_rate": 4e-4, "ema": 0.0},
                "loss": {"huber": 10.0, "rms": 0.0},
                "targets": {"operators": [], "tables": False},
            }
        },
    )
    table = {**hooks.registered("model family"), "published": spec}
    known = hooks.registered
    monkeypatch.setattr(
        hooks, "registered", lambda kind: table if kind == "model family" else known(kind)
    )
    return spec


def configured(**values):
    return make_config(HamiltonianRecipe, {"data": DATA, **values}, "train.toml")


def test_what_the_file_says_itself_stands_above_the_recipe(family):
    chosen = {"name": "published", "recipe": "paper"}
    config = configured(family=chosen)
    assert config.training == TrainingConfig(optimiser="adamw", learning_rate=4e-4, ema=0.0)
    assert config.loss == LossConfig(huber=10.0, rms=0.0)
    assert (config.targets.operators, config.targets.tables) == ((), False)
    assert config.family == FamilyChoice("published", "tiny", "paper")
    config = configured(
        family={**chosen, "preset": ""}, training={"learning_rate": 1e-3}, loss={"huber": 0.0}
    )
    assert config.training == TrainingConfig(optimiser="adamw", learning_rate=1e-3, ema=0.0)
    assert config.loss == LossConfig(rms=0.0)
    assert config.family.preset == ""
    assert configured(family={"name": "published"}).training == TrainingConfig()


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (
            {"name": "published", "recipe": "papr"},
            r"section \[family\]: family 'published' has no recipe 'papr'; did you mean 'paper'\?",
        ),
        ({"name": "pairwise", "recipe": "paper"}, "family 'pairwise' has no recipe .*known: none"),
        ({"name": "pairwies", "recipe": "paper"}, "did you mean 'pairwise'"),
    ],
)
def test_unknown_recipes(family, choice, message):
    with pytest.raises(InputError, match=message):
        configured(family=choice)


def test_a_recipe_that_is_only_named_is_refused(family, tmp_path):
    config = HamiltonianRecipe(
        data=configured().data,
        output=str(tmp_path / "a.mlham"),
        family=FamilyChoice("published", recipe="paper"),
    )
    with pytest.raises(InputError, match="its options are not used"):
        train_hamiltonian(config)


@pytest.mark.parametrize("name", sorted(hooks.registered("model family")))
def test_recipes_of_the_installed_families_are_valid(name):
    spec = hooks.registered("model family")[name]
    for recipe in spec.recipes:
        config = configured(family={"name": name, "recipe": recipe})
        preset = spec.presets[config.family.preset] if config.family.preset else {}
        make_config(hooks.load(spec.config), {**preset, **config.family.options}, recipe)


def test_the_card_and_the_folder_say_what_was_used(family, systems, tmp_path):
    names = []
    for n, system in enumerate(systems[:4]):
        names.append(str(tmp_path / f"{n}.h5"))
        write_system(system, names[-1])
    values = {
        "data": {"train": names[:3], "test": names[3:]},
        "output": str(tmp_path / "a.mlham"),
        "family": {"name": "published", "recipe": "paper"},
        "training": {"epochs": 1, "device": "cpu", "threads": 1},
        "card": {"evaluate_bands": False},
    }
    path = train_hamiltonian(make_config(HamiltonianRecipe, values, "values"))
    training = read_card(path)["training"]
    assert training["published"] == "paper"
    assert training["options"]["optimiser"] == "adamw"
    assert training["loss"]["huber"] == 10.0
    assert training["targets"]["tables"] is False
    written = json.loads((tmp_path / "a.training" / "options.json").read_text())["options"]
    assert written["training"]["learning_rate"] == 4e-4
    assert written["targets"]["tables"] is False
