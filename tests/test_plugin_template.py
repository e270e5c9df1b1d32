"""The template for plugin authors, installed as a stranger's distribution, run in a new process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TEMPLATE = Path(__file__).resolve().parent.parent / "examples" / "plugin_template"

LIST = """
import json
from ase_mlham.hooks import plugins
records = {r.name: r for r in plugins()}
record = records["template"]
print(json.dumps({
    "distribution": record.distribution,
    "provides": {kind: list(names) for kind, names in record.provides.items()},
    "error": record.error,
    "broken": [r.name for r in records.values() if r.error],
}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder that holds the installed template and nothing else."""
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--target", str(target), str(TEMPLATE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return target


def python(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *arguments]
    # not in the repository: the source tree must not be found by accident
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=environment, cwd=installed
    )


def test_it_is_found_with_all_it_gives(installed):
    done = python(installed, "-c", LIST)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["distribution"] == "mlham-template 0.1.0"
    assert record["provides"] == {"format": ["hopping-text"], "model family": ["two-centre"]}
    assert record["error"] == ""


def test_listing_it_loads_no_network_library(installed):
    code = "import sys; from ase_mlham.hooks import plugins; plugins(); "
    done = python(installed, "-c", code + "assert 'torch' not in sys.modules")
    assert done.returncode == 0, done.stderr


def test_its_own_tests_pass(installed):
    done = python(
        installed, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "-W", "error",
        "--rootdir", str(installed), str(TEMPLATE / "tests"),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
