"""Fixtures of the commands: a folder to work in, models under names."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty folder, the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def named_model(monkeypatch):
    """Call it with a model to have the commands find that one, whatever name they are given."""
    model = pytest.importorskip("ase_mlham.learning.model")

    def call(found: object) -> None:
        monkeypatch.setattr(model, "load_model", lambda name, **_: found)

    return call


@pytest.fixture
def install(model_file, monkeypatch):
    """Call it to have the model of `model_file` installed under the name "tiny"."""
    from ase_mlham import hooks
    from ase_mlham.learning import model

    def call() -> None:
        spec = hooks.ModelSpec(name="tiny", description="", package="tests", resource=model_file)
        table = {"tiny": spec}
        known = hooks.registered
        monkeypatch.setattr(
            hooks, "registered", lambda kind: table if kind == "model" else known(kind)
        )
        monkeypatch.setattr(model, "_packaged", lambda spec: Path(spec.resource))

    return call
