"""Recipes of the examples are understood."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from ase_mlham import hooks
from ase_mlham.learning.configuration import make_config

EXAMPLES = Path(__file__).parents[1] / "examples"
RECIPES = [p for p in sorted(EXAMPLES.rglob("*.toml")) if p.name != "pyproject.toml"]


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_recipes_are_understood(path):
    tree = tomllib.loads(path.read_text())
    spec = hooks.find("recipe", tree.pop("recipe"))
    config = make_config(hooks.load(spec.config), tree, path.name)
    family = hooks.find("model family", config.family.name)
    assert not config.family.preset or config.family.preset in family.presets
    make_config(hooks.load(family.config), config.family.options, path.name)
