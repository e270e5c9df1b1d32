"""Memory of the machine: that of the system, of a container if it is less, or unknown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ase_mlham import machine


def test_free_memory_is_less_than_all_memory():
    free, total = machine.available_memory(), machine.total_memory()
    assert total is None or 1e8 < total < 1e15
    assert free is None or 1e6 < free < 1e15
    assert None in (free, total) or free <= total


@pytest.fixture
def silent(monkeypatch):
    """A system that tells nothing."""
    monkeypatch.setattr(machine, "Path", lambda name: Path("/there/is/nothing") / name.strip("/"))
    monkeypatch.delattr(os, "sysconf", raising=False)


@pytest.mark.usefixtures("silent")
def test_a_system_that_does_not_tell():
    assert machine.available_memory() is None
    assert machine.total_memory() is None


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize(("limit", "left"), [("5000", 3800), ("1000", 0), ("max", None)])
def test_a_container_has_what_it_has_not_used(monkeypatch, tmp_path, limit, left):
    (tmp_path / "limit").write_text(limit + "\n")
    (tmp_path / "used").write_text("1200\n")
    files = (str(tmp_path / "limit"), str(tmp_path / "used"))
    monkeypatch.setattr(machine, "Path", Path)
    monkeypatch.setattr(machine, "_LIMITS", (("/no/such", "/file"), files))
    monkeypatch.setattr(machine, "_meminfo", lambda key: None)
    assert machine.available_memory() == left
    assert machine.total_memory() == (None if left is None else int(limit))


@pytest.mark.parametrize(("n", "words"), [(12, "12 B"), (3.21e9, "3.21 GB"), (5e13, "50 TB")])
def test_amounts_are_for_people(n, words):
    assert machine.size(n) == words
