"""The conformance kit: right families pass, and for each check there is a defect that it finds."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ase_mlham import hooks
from ase_mlham.errors import InputError, PluginError
from ase_mlham.learning.testing import check_family, check_names


@pytest.fixture(scope="module")
def defect():
    """Specification of a family with a defect."""
    name = "mlham_broken_families"
    path = Path(__file__).with_name("broken_families.py")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    good = hooks.find("model family", "pairwise")
    yield lambda cls: replace(good, module=f"{name}:{cls}")
    del sys.modules[name]


def test_pairwise_family_conforms():
    report = check_family("pairwise", message_cutoff=3.5, hidden=16)
    report.raise_for_failures()
    assert [result.name for result in report.results] == list(check_names())
    assert "conformance of family 'pairwise'" in str(report)


@pytest.mark.parametrize(
    ("cls", "check"),
    [
        ("Turned", "rotation"),
        ("Mirrored", "inversion"),
        ("Placed", "permutation"),
        ("Directed", "hermiticity"),
        ("Counting", "supercell"),
        ("Jumping", "message_cutoff"),
        ("Averaging", "pair_cutoff"),
        ("Averaging", "locality"),
        ("Averaging", "batching"),
        ("Averaging", "chunks"),
        ("Stale", "precomputed"),
        ("Twice", "recompute"),
        ("Crashing", "isolated_atom"),
        ("Coarse", "precision"),
        ("Restless", "repeatability"),
        ("Careless", "repeatability"),
        ("Blocking", "gradient"),
        ("Frozen", "overfitting"),
        ("Silent", "size"),
    ],
)
def test_each_check_finds_its_defect(defect, cls, check):
    report = check_family(defect(cls), checks=[check], message_cutoff=3.5, hidden=16)
    assert report[check].status == "failed", str(report)
    assert not report.passed
    with pytest.raises(PluginError, match=check):
        report.raise_for_failures()


@pytest.mark.parametrize(
    ("cls", "check"),
    [
        ("Cut", "pair_range"),
        ("Endless", "pair_range"),
        ("Stifled", "pair_range"),
        ("Bounded", "portions"),
    ],
)
def test_checks_of_options_that_a_family_may_have(defect, cls, check):
    spec = defect(cls)
    config = spec.module.replace(cls, "RangedConfig")
    report = check_family(replace(spec, config=config), checks=[check], hidden=16)
    assert report[check].status == "failed", str(report)
    assert check_family("pairwise", checks=[check])[check].status == "skipped"


def test_a_handed_network_is_not_blamed_for_rotations(defect):
    report = check_family(
        defect("Mirrored"), checks=["rotation", "inversion"], message_cutoff=3.5, hidden=16
    )
    assert [r.status for r in report.results] == ["passed", "failed"], str(report)


def test_translation_and_images_see_absolute_positions(defect):
    # the graph holds no positions, so only a graph that is built wrongly could fail here
    report = check_family("pairwise", checks=["translation", "images"], message_cutoff=3.5)
    assert report.passed


def test_declared_failures_are_reported_not_hidden(defect):
    declared = replace(defect("Turned"), expected_failures={"rotation": "knows z, 1 %"})
    report = check_family(declared, checks=["rotation", "translation"], message_cutoff=3.5)
    assert report.passed
    assert report["rotation"].status == "expected"
    assert report["rotation"].value > report["rotation"].limit
    assert "knows z, 1 %" in str(report)
    fixed = replace(hooks.find("model family", "pairwise"), expected_failures={"rotation": "once"})
    assert check_family(fixed, checks=["rotation"])["rotation"].status == "unexpected pass"


def test_state_outside_the_weights_is_found(defect, monkeypatch):
    spec = replace(defect("Forgetful"), name="forgetful")
    table = {**hooks.registered("model family"), "forgetful": spec}
    registered, find = hooks.registered, hooks.find
    monkeypatch.setattr(
        hooks, "registered", lambda kind: table if kind == "model family" else registered(kind)
    )
    monkeypatch.setattr(
        hooks,
        "find",
        lambda kind, name, error=PluginError: (
            spec if name == "forgetful" else find(kind, name, error)
        ),
    )
    report = check_family(spec, checks=["model_file"], message_cutoff=3.5)
    assert report["model_file"].status == "failed"


def test_mistakes_in_the_call_are_explained():
    with pytest.raises(PluginError, match="did you mean 'pairwise'"):
        check_family("pairwize")
    with pytest.raises(PluginError, match="unknown check 'rotations'"):
        check_family("pairwise", checks=["rotations"])
    with pytest.raises(PluginError, match="no preset 'large'"):
        check_family("pairwise", preset="large")
    with pytest.raises(InputError, match="did you mean 'hidden'"):
        check_family("pairwise", hiden=3)
