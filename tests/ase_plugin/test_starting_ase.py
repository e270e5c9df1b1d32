"""Every `ase` command imports our definitions: however ASE starts, quickly and quietly."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

# of what we use, that which no part of ASE loads by itself
HEAVY = {"torch", "h5py", "pluggy", "matscipy", "zstandard", "threadpoolctl", "seekpath"}
OURS = {"ase_mlham", "ase_mlham.ase_plugin", "ase_mlham.ase_plugin.definitions"}

STARTS = [
    "import ase.io",
    "import ase.io.formats",
    "import ase.io.trajectory",
    "import ase.io.extxyz",
    "import ase.visualize.viewers",
    "import ase.gui.images",
    "import ase._4.plugins",
    "import ase.build",
    "import ase.calculators.calculator",
    "import ase.db",
    "import ase.cli.main",
    "import ase.optimize",
    "from ase import Atoms",
    "import ase.spectrum.band_structure",
    "import ase_mlham.ase_plugin.definitions",
    "import ase_mlham.ase_plugin.ase4",
]

# one interpreter for several ways would hide what the first one has left behind
REPORT = """
import sys
print("loaded", *sys.modules)
import ase.io.formats as formats
from ase.calculators.calculator import external_calculators
print("formats", *(n for n in ("mlham", "openmx-scfout") if n in formats.ioformats))
print("calculators", *external_calculators)
"""


def run(code: str) -> dict[str, set[str]]:
    """What an interpreter that turns warnings into errors says after some code."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code + REPORT],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    return {words[0]: set(words[1:]) for words in lines}


@pytest.mark.parametrize("code", STARTS)
def test_any_way_of_starting(code):
    if "ase._4" in code:
        pytest.importorskip("ase._4.plugins", reason="ASE before its preview of plugins")
    found = run(code)
    assert found["formats"] == {"mlham", "openmx-scfout"}
    assert "mlham" in found["calculators"]
    assert found["loaded"].isdisjoint(HEAVY)
    ours = {name for name in found["loaded"] if name.partition(".")[0] == "ase_mlham"}
    assert ours <= {*OURS, "ase_mlham.ase_plugin.ase4"}


def test_the_viewer_is_registered():
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            "from ase.visualize.viewers import VIEWERS; print(VIEWERS['mlham'].desc)",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "electronic structure" in done.stdout


def test_definitions_are_lists_where_ase_iterates():
    """A bare string of glob or extension is taken letter by letter by `ase info --formats`."""
    for point in entry_points(group="ase.ioformats"):
        if point.value.startswith("ase_mlham"):
            found = point.load()
            assert isinstance(found.glob, list | None)
            assert isinstance(found.ext, list | None)


def test_being_imported_twice_registers_once():
    run(
        "import importlib, ase.io\n"
        "import ase_mlham.ase_plugin.definitions as d\n"
        "importlib.reload(d)\n"
    )
