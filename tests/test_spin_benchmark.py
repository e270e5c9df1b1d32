"""`benchmarks/spin.py`: its errors are those of the package, and its tables say what is known."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from ase_mlham import read_system
from ase_mlham.core import BlockMatrix, SpinKind

pytest.importorskip("torch")

REPOSITORY = Path(__file__).resolve().parent.parent
DATA = REPOSITORY / "tests" / "data" / "openmx"


@pytest.fixture
def spin(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    return importlib.import_module("spin")


class Weaker:
    """Predicts a known Hamiltonian with all but its first component scaled, shifted by S."""

    sees_moments = True

    def __init__(self, path: Path, factor: float) -> None:
        self.system, self.factor = read_system(path), factor

    def predict(self, structure, *, on_unknown):
        assert on_unknown == "warn"
        assert structure.moments is not None
        h = self.system.hamiltonian
        scale = np.array([1.0] + [self.factor] * (h.n_components - 1))[:, None, None, None]
        scaled = BlockMatrix(h.pattern, tuple(scale * array for array in h.values))
        return self.system.replace(hamiltonian=scaled).shift_energy(0.3)


def table(printed: str) -> list[dict[str, str]]:
    """Rows of all Markdown tables."""
    rows, head = [], []
    for line in printed.splitlines():
        if not line.startswith("|"):
            head = []
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not head:
            head = cells
        elif not cells[0].startswith("---"):
            rows.append(dict(zip(head, cells, strict=True)))
    return rows


@pytest.mark.parametrize("name", ["o2_nc.scfout.zst", "o2_triplet.scfout"])
def test_errors_of_parts_are_those_of_the_package(spin, name):
    from ase_mlham.learning.metrics import matrix_errors

    system = read_system(DATA / name)
    other = Weaker(DATA / name, 0.8).predict(
        spin.with_mulliken_moments(system).structure, on_unknown="warn"
    )
    found = spin.part_errors(other, system)
    known = matrix_errors(
        other.hamiltonian, system.hamiltonian, system.overlap, system.structure, system.basis
    )
    assert set(found) == set(known.by_part)
    assert found["C"].overall.mae > 1.0
    # the shift is found again
    assert found["P"].overall.largest < 1e-12
    for part, tally in known.by_part.items():
        assert found[part].overall.mae == pytest.approx(tally.mae, rel=1e-12, abs=1e-15)
        assert found[part].overall.n == tally.n
    if system.spin is SpinKind.COLLINEAR:  # of a complex element the package takes the modulus
        onsite = sum(errors.onsite.total for errors in found.values())
        assert onsite == pytest.approx(known.onsite.total, rel=1e-12)


def test_parts_are_exchanged(spin):
    system = read_system(DATA / "o2_nc.scfout.zst")
    model = Weaker(DATA / "o2_nc.scfout.zst", 0.8)
    other = model.predict(spin.with_mulliken_moments(system).structure, on_unknown="warn")
    mixed = spin.part_errors(spin.combined(system, other, "C"), other)
    assert mixed["C"].overall.largest < 1e-12
    bare = spin.part_errors(spin.combined(system, None, "BCK"), None)
    assert [part for part, errors in bare.items() if errors.overall.largest > 0] == ["P"]


def test_heads(spin, monkeypatch, capsys, tmp_path):
    path = DATA / "o2_nc.scfout.zst"
    monkeypatch.setattr(spin, "load_model", lambda factor: Weaker(path, float(factor)))
    picture = tmp_path / "levels.png"
    models = ["exact=1", "weaker=0.8"]
    assert spin.main(["heads", str(path), *models, "--markdown", "--picture", str(picture)]) == 0
    rows = table(capsys.readouterr().out)
    by_part = {row["MAE, meV"]: row for row in rows if "MAE, meV" in row}
    size = float(by_part["mean size in the reference"]["C"])
    assert float(by_part["exact"]["C"]) < 1e-6
    assert float(by_part["weaker"]["C"]) == pytest.approx(0.2 * size, rel=0.01)
    name = "bands, meV: mean (largest)"
    bands = {row[name]: row["mesh ±2 eV"].split()[0] for row in rows if name in row}
    # eigenvalues of two equal problems, one of them shifted
    assert float(bands["exact"]) < 1e-6
    assert float(bands["weaker"]) < float(bands["reference without exchange field"])
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_moments(spin, monkeypatch, capsys, tmp_path):
    path = DATA / "o2_triplet.scfout"
    monkeypatch.setattr(spin, "load_model", lambda factor: Weaker(path, float(factor)))
    picture = tmp_path / "levels.png"
    # the spinor system lies in that folder too, and is passed over
    arguments = ["moments", str(DATA), "0.9", "--files", "o2_*.scfout*", "--markdown"]
    assert spin.main([*arguments, "--show", str(path), "--picture", str(picture)]) == 0
    rows = [row for row in table(capsys.readouterr().out) if "C, meV" in row]
    assert [row["file"] for row in rows] == ["o2_triplet.scfout", "mean of 1"]
    # a triplet remains one as long as its levels keep their order
    assert rows[0]["moment, μB"] == rows[0]["moment predicted"] == "2.000"
    assert float(rows[0]["P, meV"]) < 1e-6 < float(rows[0]["C, meV"])
    assert picture.exists()


def test_symmetry(spin, capsys):
    kinds = ["none", "collinear"]
    arguments = ["symmetry", "--family", "pairwise", "--set", "hidden=8", "--markdown"]
    assert spin.main([*arguments, "--kinds", *kinds]) == 0
    rows = {row["check"]: row for row in table(capsys.readouterr().out)}
    assert {"rotation", "inversion", "hermiticity", "time reversal"} <= set(rows)
    for row in rows.values():
        values = [row[kind] for kind in kinds if row[kind] != "–"]
        assert values
        assert all(float(value) <= float(row["limit"]) for value in values)


def test_it_says_how_models_are_given(spin):
    with pytest.raises(SystemExit, match="NAME=MODEL"):
        spin.main(["heads", str(DATA / "h2o.scfout"), "model.mlham"])


def test_best_strengths(spin):
    """Exact for what has that form; for the rest what is left is orthogonal to it."""
    from ase_mlham import integrals

    system = read_system(DATA / "o2_nc.scfout.zst")
    h = system.hamiltonian
    momentum = integrals.angular_momentum(
        system.structure, system.basis, overlap=system.overlap.on_pattern(h.pattern)
    )
    made = []
    for array, l in zip(h.values, momentum.values, strict=True):
        array = array.astype(complex)
        array[1:] = 0.7 * l
        made.append(array)
    known = system.replace(hamiltonian=BlockMatrix(h.pattern, tuple(made)))
    found = spin.best_strengths(known)
    assert spin.part_errors(known, None)["B"].overall.largest > 0.5
    assert spin.part_errors(found, known)["B"].overall.largest < 1e-12
    # a block of s orbitals has no <L>
    shift = [array.copy() for array in made]
    for array in shift:
        array[1:, :, 0, 0] += 0.2j
    other = known.replace(hamiltonian=BlockMatrix(h.pattern, tuple(shift)))
    left = spin.part_errors(spin.best_strengths(other), known)["B"]
    assert left.overall.largest < 1e-12
