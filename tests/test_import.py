"""What importing loads: nothing heavy, and only when it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ase_mlham

HEAVY = (
    "torch torch_geometric e3nn lightning pyscf matplotlib scipy h5py sisl tkinter ase.io matscipy "
    "spglib seekpath hypothesis"
).split()


def loaded_by(code: str) -> set[str]:
    """Top modules in a fresh interpreter after some code."""
    script = f"{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("code", "also"),
    [
        ("import ase_mlham", ["numpy", "ase"]),
        (
            "import ase_mlham.hooks as h; h.plugins(); [h.registered(k) for k in h._KINDS]",
            ["numpy"],
        ),
        ("import ase_mlham.core", ["ase"]),
        ("import ase_mlham; ase_mlham.LCAOSystem; ase_mlham.errors", ["ase"]),
        ("import ase_mlham.core.transform", ["ase"]),
    ],
)
def test_nothing_heavy_is_loaded(code: str, also: list[str]) -> None:
    assert loaded_by(code).isdisjoint([*HEAVY, *also])


def test_public_names_are_where_they_are_said_to_be() -> None:
    """Those whose room needs an optional library are left to the tests of that room."""
    assert set(dir(ase_mlham)) >= set(ase_mlham.__all__)
    for name in ("BlockMatrix", "LCAOSystem", "OrbitalBasis", "SpinKind", "Structure"):
        assert getattr(ase_mlham, name).__module__.startswith("ase_mlham.core.")
    assert ase_mlham.errors.MLHamError.__module__ == "ase_mlham.errors"


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'hamiltonain'"):
        _ = ase_mlham.hamiltonain


def test_strategies_without_hypothesis_say_what_to_install() -> None:
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "from ase_mlham.errors import MissingDependencyError\n"
        "try:\n"
        "    import ase_mlham.testing.strategies\n"
        "except MissingDependencyError as error:\n"
        "    print(error, end=' ')"
    )
    assert "ase-mlham[test]" in " ".join(loaded_by(code))
