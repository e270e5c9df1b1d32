"""Many structures to files: restart, failures, several processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ase_mlham.core import SpinKind
from ase_mlham.engines import generate
from ase_mlham.engines.generation import REPORT, structure_hash, with_moments
from ase_mlham.errors import EngineError, InputError

pytest.importorskip("pyscf")

SETTINGS = {"kpts": (1, 1, 1), "ecut_ry": 30.0, "basis": "gth-szv", "smearing": 0.5}


def write(system, path):
    """A stand-in for a file format: writing belongs to another room."""
    text = json.dumps({"energy": system.provenance["free_energy"]})
    Path(path).write_text(text, encoding="utf-8")


def crystals(n):
    return [bulk("Si", a=5.3 + 0.05 * i) for i in range(n)]


def names(folder):
    return sorted(path.name for path in folder.glob("*.h5"))


def test_every_structure_becomes_a_file(tmp_path):
    events = list(generate(crystals(2), tmp_path, write=write, settings=SETTINGS))
    assert [(e.index, e.status, e.done, e.total) for e in events] == [
        (0, "finished", 1, 2),
        (1, "finished", 2, 2),
    ]
    assert names(tmp_path) == [e.file for e in events]
    assert all(e.details["iterations"] > 1 for e in events)
    report = json.loads((tmp_path / REPORT).read_text())
    assert report["settings"]["kpts"] == [1, 1, 1]
    assert report["finished"] == 2
    assert [entry["file"] for entry in report["structures"]] == names(tmp_path)


def test_a_second_call_computes_only_what_is_missing(tmp_path):
    first = list(generate(crystals(1), tmp_path, write=write, settings=SETTINGS))
    before = (tmp_path / first[0].file).stat().st_mtime_ns
    second = list(generate(crystals(2), tmp_path, write=write, settings=SETTINGS))
    assert [e.status for e in second] == ["present", "finished"]
    assert (tmp_path / first[0].file).stat().st_mtime_ns == before


def test_equal_structures_are_computed_once(tmp_path):
    events = list(generate(crystals(1) * 2, tmp_path, write=write, settings=SETTINGS))
    assert [e.status for e in events] == ["present", "finished"]
    assert len(names(tmp_path)) == 1


def test_failures_are_reported_and_the_rest_goes_on(tmp_path):
    odd = bulk("Al")
    settings = {**SETTINGS, "basis": "auto", "smearing": 0.0}
    events = list(generate([odd, *crystals(1)], tmp_path, write=write, settings=settings))
    assert [e.status for e in events] == ["failed", "finished"]
    assert events[0].error == "InputError"
    assert "smearing" in events[0].message
    report = json.loads((tmp_path / REPORT).read_text())
    assert report["failed"] == 1
    assert report["structures"][0]["error"] == "InputError"


def test_nonconverged_structures_are_reported(tmp_path):
    settings = {**SETTINGS, "max_iterations": 1}
    events = list(generate(crystals(1), tmp_path, write=write, settings=settings))
    assert events[0].error == "ConvergenceError"
    assert names(tmp_path) == []


def test_failure_can_stop_the_run(tmp_path):
    settings = {**SETTINGS, "max_iterations": 1}
    run = generate(crystals(2), tmp_path, write=write, settings=settings, on_error="raise")
    with pytest.raises(EngineError, match=r"structure 0 \(Si2\): not converged"):
        list(run)


def test_other_settings_are_not_mixed_in(tmp_path):
    list(generate(crystals(1), tmp_path, write=write, settings=SETTINGS))
    other = {**SETTINGS, "ecut_ry": 31.0}
    with pytest.raises(InputError, match=r"ecut_ry: 30.0 there, 31.0 now"):
        list(generate(crystals(1), tmp_path, write=write, settings=other))


def test_damaged_report_is_refused(tmp_path):
    (tmp_path / REPORT).write_text("{")
    with pytest.raises(InputError, match="not a report of this package"):
        list(generate(crystals(1), tmp_path, write=write, settings=SETTINGS))


@pytest.mark.parametrize("bad", [{"workers": 0}, {"on_error": "ignore"}])
def test_bad_arguments(tmp_path, bad):
    with pytest.raises(InputError):
        list(generate(crystals(1), tmp_path, write=write, settings=SETTINGS, **bad))


def test_hash_follows_structure_and_settings():
    a, b = crystals(2)
    codes = {
        structure_hash(a, "pyscf", {"x": 1}),
        structure_hash(b, "pyscf", {"x": 1}),
        structure_hash(a, "pyscf", {"x": 2}),
        structure_hash(a, "other", {"x": 1}),
    }
    assert len(codes) == 4
    again = a.copy()
    assert structure_hash(again, "pyscf", {"x": 1}) in codes
    again.positions[0] += np.array([1e-9, 0, 0])
    assert structure_hash(again, "pyscf", {"x": 1}) not in codes


def magnet(*moments):
    n = len(moments)
    atoms = Atoms(f"H{n}", cell=[2.6, 2.6, 2.6 * n], pbc=True, magmoms=moments)
    atoms.positions[:, 2] = 2.6 * np.arange(n)
    return atoms


def test_hash_follows_moments():
    plain = magnet(0.0)
    assert structure_hash(plain, "pyscf", {}) == structure_hash(
        Atoms("H", cell=plain.cell, pbc=True), "pyscf", {}
    )
    codes = {structure_hash(magnet(m), "pyscf", {}) for m in (0.0, 1.0, -1.0)}
    assert len(codes) == 3


def test_moments_reach_the_engine(tmp_path):
    """Those of the structure, and those by element in their place."""
    seen = {}

    def keep(system, path):
        seen[path.name.split("-")[0].strip(".")] = system
        path.write_text("x")

    settings = {"kpts": (1, 1, 1), "ecut_ry": 30.0, "xc": "lda", "basis": "gth-szv-molopt-sr"}
    structures = [magnet(1.0, -1.0), magnet(0.0)]
    events = list(generate(structures, tmp_path / "own", write=keep, settings=settings))
    assert [e.status for e in events] == ["finished", "finished"]
    assert seen["0000"].provenance["initial_moments"] == [1.0, -1.0]
    assert seen["0000"].structure.moments[0, 2] > 0.3
    assert events[0].details["total_moment"] == pytest.approx(0, abs=1e-6)
    assert seen["0001"].spin is SpinKind.NONE
    assert "total_moment" not in events[1].details
    events = list(
        generate(structures, tmp_path / "given", write=keep, settings=settings, moments={"H": -0.5})
    )
    assert seen["0000"].provenance["initial_moments"] == [-0.5, -0.5]
    assert seen["0001"].provenance["initial_moments"] == [-0.5]
    assert events[1].details["total_moment"] == pytest.approx(-1, abs=1e-3)
    assert not structures[1].get_initial_magnetic_moments().any()


def test_moments_by_element():
    atoms = Atoms("FeOFe", magmoms=[1.0, 2.0, 3.0])
    found = with_moments(atoms, {"Fe": -4.0, "Ni": 1.0})
    assert list(found.get_initial_magnetic_moments()) == [-4.0, 2.0, -4.0]
    with pytest.raises(InputError, match="Xx is no chemical symbol"):
        with_moments(atoms, {"Xx": 1.0})
    with pytest.raises(InputError, match=r"shape \(1, 3\), which are vectors"):
        with_moments(Atoms("H", magmoms=[[0.0, 0.0, 1.0]]), {"H": 1.0})


SCRIPT = """
import json, sys
from pathlib import Path
from ase.build import bulk
sys.path.insert(0, {folder!r})
from writer import write
from ase_mlham.engines import generate

if __name__ == "__main__":
    crystals = [bulk("Si", a=5.3 + 0.05 * i) for i in range(4)]
    settings = {settings!r}
    for event in generate(crystals, {output!r}, write=write, settings=settings, workers=2):
        print(event.index, event.status, flush=True)
"""

WRITER = """
import json
from pathlib import Path

def write(system, path):
    Path(path).write_text(json.dumps(system.provenance["free_energy"]))
"""


def test_several_processes_and_a_kill(tmp_path):
    """Killed after the first file, the same call computes only what was not finished."""
    output = tmp_path / "out"
    (tmp_path / "writer.py").write_text(WRITER)
    script = tmp_path / "run.py"
    script.write_text(SCRIPT.format(folder=str(tmp_path), settings=SETTINGS, output=str(output)))
    command = [sys.executable, str(script)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    first = process.stdout.readline()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert first.split()[1] == "finished"
    time.sleep(0.2)
    # a pattern of pathlib matches hidden files too: what the kill left half written
    finished = {path.name: path.stat().st_mtime_ns for path in output.glob("[0-9]*-*.h5")}
    assert 1 <= len(finished) < 4
    (output / ".0009-abc.partial.h5").write_text("left by a kill")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    status = [line.split()[1] for line in done.stdout.splitlines()]
    assert sorted(status) == sorted(
        ["present"] * len(finished) + ["finished"] * (4 - len(finished))
    )
    for name, stamp in finished.items():
        assert (output / name).stat().st_mtime_ns == stamp
    assert len(names(output)) == 4
    report = json.loads((output / REPORT).read_text())
    assert len(report["structures"]) == 4


def test_leaving_early_ends_the_workers(tmp_path, monkeypatch):
    """Closing the run does not wait for structures in flight."""
    from multiprocessing import active_children

    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "slow_writer.py").write_text(
        "import time\n\ndef write(system, path):\n    path.write_text('x')\n    time.sleep(60)\n"
    )
    import slow_writer

    run = generate(
        [bulk("Al"), *crystals(1)],
        tmp_path / "out",
        write=slow_writer.write,
        settings={**SETTINGS, "basis": "auto", "smearing": 0.0},
        workers=2,
    )
    before = set(active_children())
    event = next(run)
    assert event.status == "failed"
    begin = time.perf_counter()
    run.close()
    for process in set(active_children()) - before:
        process.join(20)
    assert time.perf_counter() - begin < 30
    assert names(tmp_path / "out") == []
