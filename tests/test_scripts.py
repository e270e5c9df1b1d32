"""What ./demo and ./test say when they cannot go on: what is wrong and what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


@pytest.fixture
def clone(tmp_path) -> Path:
    """What the scripts need of a clone."""
    for name in ("demo", "test", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    shutil.copytree(REPOSITORY / "requirements", tmp_path / "requirements")
    plugin = tmp_path / "plugins" / "hamgnn"
    plugin.mkdir(parents=True)
    shutil.copy(REPOSITORY / "plugins" / "hamgnn" / "pyproject.toml", plugin)
    return tmp_path


def stub(folder: Path, name: str, text: str) -> Path:
    path = folder / "stubs" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/usr/bin/env bash\n{text}\n")
    path.chmod(0o755)
    return path


def run(script: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    stubs = script.parent / "stubs"
    path = f"{stubs}{os.pathsep}{os.environ['PATH']}"
    kept = {key: value for key, value in os.environ.items() if key != "MLHAM_VENV"}
    return subprocess.run(
        [script], env={**kept, "PATH": path, **environment}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("script", ["demo", "test"])
def test_no_suitable_python(clone, script):
    done = run(clone / script, PYTHON="python-of-2001")
    assert done.returncode == 1
    assert "no Python 3.11 or later was found (looked for: python-of-2001)" in done.stderr
    assert "sudo apt install python3 python3-venv" in done.stderr


def test_python_without_venv(clone):
    python = stub(clone, "bare", f'[[ "$*" == *ensurepip* ]] && exit 1; exec {sys.executable} "$@"')
    done = run(clone / "demo", PYTHON=str(python))
    assert done.returncode == 1
    assert "its venv module is missing" in done.stderr
    assert "sudo apt install python3-venv" in done.stderr


def test_full_disk(clone):
    stub(clone, "df", "echo header; echo fs 100 90 10 90% /")
    done = run(clone / "test", PYTHON=sys.executable)
    assert done.returncode == 1
    assert "10 MiB are free" in done.stderr
    assert "MLHAM_VENV=" in done.stderr
    assert not (clone / ".venv").exists()


def make_environment(clone: Path, pip: str) -> None:
    """An environment whose Python answers as one of 3.11 does, and whose pip does as told."""
    for level in (".venv/bin/python", ".venv/bin/mlham"):
        (clone / level).parent.mkdir(parents=True, exist_ok=True)
    answer = f'[[ "$*" == *"-m pip"* ]] && {{ echo "$*" >> {clone}/calls; {pip}; }}\nexit 0'
    stub(clone, "python", answer).replace(clone / ".venv" / "bin" / "python")
    stub(clone, "mlham", 'echo "mlham $*"').replace(clone / ".venv" / "bin" / "mlham")


def test_no_network(clone):
    make_environment(clone, pip="exit 1")
    done = run(clone / "demo")
    assert done.returncode == 1
    assert "pip could not install what is needed" in done.stderr
    for remedy in ("No network?", "No space?", "Damaged?"):
        assert remedy in done.stderr


def test_a_second_run_installs_nothing_until_the_pins_change(clone):
    make_environment(clone, pip="exit 0")
    first = run(clone / "demo")
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines()[-1].startswith("mlham bands ")
    calls = (clone / "calls").read_text()
    assert calls.count("-r ") == 1
    assert run(clone / "demo").returncode == 0
    assert (clone / "calls").read_text() == calls
    with (clone / "requirements" / "run.txt").open("a") as stream:
        stream.write("# changed\n")
    assert run(clone / "demo").returncode == 0
    assert len((clone / "calls").read_text()) > len(calls)
