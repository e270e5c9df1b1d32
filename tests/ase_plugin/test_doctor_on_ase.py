"""`mlham doctor` says what ASE finds of the package, and what to do where it finds nothing."""

from __future__ import annotations

from importlib import metadata

from ase_mlham.cli import doctor


def test_what_ase_finds(capsys):
    problems: list[str] = []
    doctor._in_ase(problems)
    assert not problems
    assert "formats mlham, openmx-scfout" in capsys.readouterr().out


def test_an_installation_without_entry_points(monkeypatch, capsys):
    """As it is after an update of an editable installation that was not installed again."""
    problems: list[str] = []
    monkeypatch.setattr(metadata, "entry_points", lambda **_: ())
    doctor._in_ase(problems)
    assert capsys.readouterr().out == ""
    assert "install it again" in problems[0]
