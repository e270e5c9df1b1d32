"""`view(atoms, viewer="mlham")`: what the window gets, and that nothing is left behind."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import read
from ase.visualize import view

from ase_mlham import MLHamiltonian
from ase_mlham.ase_plugin import viewer
from ase_mlham.errors import InputError


class Process:
    """Instead of a window: keeps what it was started with."""

    def __init__(self, arguments, stdin):
        self.arguments, self.sent = arguments, b""
        assert stdin == subprocess.PIPE
        self.stdin = self

    def __enter__(self):
        return self

    def __exit__(self, *details):
        self.closed = True

    def write(self, data: bytes) -> None:
        self.sent += data

    @property
    def images(self) -> list:
        return read(io.StringIO(self.sent.decode()), index=":", format="extxyz")


@pytest.fixture
def started(monkeypatch):
    monkeypatch.setattr(viewer.subprocess, "Popen", Process)


@pytest.mark.parametrize(
    "moments", [[2.2, -2.2], [[0.0, 1.0, 0.5], [1.0, 0.0, -2.0]]], ids=["numbers", "vectors"]
)
def test_moments_and_arrays_arrive(moments, started):
    atoms = bulk("Si")
    atoms.set_initial_magnetic_moments(moments)
    atoms.set_array("charge_of_mine", np.array([0.25, -0.25]))
    process = view(atoms, viewer="mlham")
    assert process.closed
    assert process.arguments == [sys.executable, "-m", "ase_mlham.ase_plugin.viewer"]
    (shown,) = process.images
    np.testing.assert_array_equal(shown.get_initial_magnetic_moments(), moments)
    np.testing.assert_array_equal(shown.arrays["charge_of_mine"], [0.25, -0.25])
    np.testing.assert_allclose(shown.positions, atoms.positions, rtol=0, atol=1e-8)


def test_frames_repeat_and_model(started):
    frames = [bulk("Si"), bulk("Ge")]
    frames[-1].calc = MLHamiltonian("sige")
    process = view(frames, viewer="mlham", repeat=(2, 2, 1))
    assert process.arguments[3:] == ["--model", "sige", "--repeat", "2,2,1"]
    # the cell is that of the electrons; the window repeats what it draws
    assert [len(atoms) for atoms in process.images] == [2, 2]
    assert view(frames, viewer="mlham", model="mine.mlham").arguments[3:] == [
        "--model", "mine.mlham",
    ]  # fmt: skip


def test_a_calculator_that_cannot_be_pickled_is_no_obstacle(started):
    """ASE's own viewers pickle the atoms, and fail with EMT."""
    atoms = bulk("Cu")
    atoms.calc = EMT()
    energy = atoms.get_potential_energy()
    (shown,) = view(atoms, viewer="mlham").images
    assert shown.get_potential_energy() == pytest.approx(energy, abs=1e-7)


def test_grids_are_refused(started):
    with pytest.raises(InputError, match="takes no data"):
        view(bulk("Si"), viewer="mlham", data=np.zeros((2, 2, 2)))


def test_the_process_shows_a_file_and_removes_it(monkeypatch, capsys):
    atoms, seen = bulk("Si"), []

    def main(arguments):
        command, path, *options = arguments
        seen.append(Path(path))
        assert command == "gui"
        assert options == ["--model", "sige"]
        assert len(read(path)) == 2
        return 3

    monkeypatch.setattr("ase_mlham.cli.main.main", main)
    monkeypatch.setattr(sys, "argv", ["viewer", "--model", "sige"])
    text = io.TextIOWrapper(io.BytesIO(viewer._extxyz([atoms])))
    monkeypatch.setattr(sys, "stdin", text)
    assert viewer.main() == 3
    assert not seen[0].parent.exists()


def test_without_a_display_it_ends_and_says_why():
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    done = subprocess.run(
        [sys.executable, "-m", "ase_mlham.ase_plugin.viewer"],
        input=viewer._extxyz([bulk("Si")]),
        capture_output=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert done.returncode in (1, 3)
    assert done.stderr.decode().startswith("mlham: ")
    assert b"Traceback" not in done.stderr
