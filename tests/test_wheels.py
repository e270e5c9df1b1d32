"""The distributions as users get them: built, looked into, installed into an empty environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PLUGINS = sorted(path.parent for path in REPOSITORY.glob("plugins/*/pyproject.toml"))
MODELS = sorted((REPOSITORY / "plugins" / "hamgnn" / "ase_mlham_hamgnn").glob("models/*.mlham"))
SIZE_LIMIT = 12e6  # bytes; a packaged model takes up to 10 MB

pytestmark = pytest.mark.wheels


def run(*command: str | Path, folder: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, capture_output=True, text=True, timeout=1500,
        env={**os.environ, **environment}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> dict[str, Path]:
    """Wheel of each distribution."""
    folder = tmp_path_factory.mktemp("dist")
    for source in (REPOSITORY, *PLUGINS):
        run(
            sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source,
            folder=folder,
        )  # fmt: skip
    return {path.name.partition("-")[0]: path for path in folder.glob("*.whl")}


def contents(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_the_core_wheel_holds_what_it_needs_and_no_more(wheels):
    names = contents(wheels["ase_mlham"])
    needed = {"ase_mlham/py.typed", "ase_mlham/__init__.py", "ase_mlham/cli/main.py"}
    # data files: whatever the source tree has beside its modules
    for path in (REPOSITORY / "ase_mlham").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            needed.add(str(path.relative_to(REPOSITORY)))
    assert needed <= set(names)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"ase_mlham"}
    assert not [name for name in names if "test_" in name or name.endswith((".pyc", ".scfout"))]
    assert wheels["ase_mlham"].stat().st_size < 2e6


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_the_wheel_of_a_plugin_holds_its_package_and_no_more(wheels, plugin):
    package = f"ase_mlham_{plugin.name}"
    names = contents(wheels[package])
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    modules = {str(path.relative_to(plugin)) for path in (plugin / package).glob("*.py")}
    assert modules <= set(names)
    assert {name.split("/")[0].partition("-")[0] for name in names} == {package}
    assert not [name for name in names if "tests/" in name or name.endswith(".pyc")]
    assert wheels[package].stat().st_size < SIZE_LIMIT


def test_the_hamgnn_wheel_holds_its_models(wheels):
    names = contents(wheels["ase_mlham_hamgnn"])
    assert {f"ase_mlham_hamgnn/models/{path.name}" for path in MODELS} <= set(names)


@pytest.fixture(scope="module")
def empty_environment(wheels, tmp_path_factory) -> Path:
    """Folder of the commands of a new environment with `ase-mlham[models]` and nothing else."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    # the pins only choose among versions; what is installed follows from the wheels' own metadata
    run(
        python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile",
        "--find-links", wheels["ase_mlham"].parent, "--constraint",
        REPOSITORY / "requirements" / "run.txt", "ase-mlham[models]",
        folder=folder,
    )  # fmt: skip
    return folder / "bin"


def test_an_empty_environment_runs_the_story(empty_environment, tmp_path):
    mlham = empty_environment / "mlham"
    assert "bands" in run(mlham, "--help", folder=tmp_path)
    run(mlham, "doctor", folder=tmp_path)
    record = json.loads(run(mlham, "plugins", "--json", "-", folder=tmp_path))
    assert "hamgnn" in json.dumps(record)
    if not any(path.stem == "sige" for path in MODELS):
        pytest.skip("the model sige is not in the source tree yet: no prediction to try")
    structure = REPOSITORY / "examples" / "structures" / "SiGe.cif"
    run(
        mlham, "bands", structure, "--model", "sige", "-o", "bands.png", "--json", "bands.json",
        folder=tmp_path, MPLBACKEND="Agg",
    )  # fmt: skip
    assert (tmp_path / "bands.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "bands.json").read_text())["__ase_objtype__"] == "bandstructure"
