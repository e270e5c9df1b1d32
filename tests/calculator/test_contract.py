"""Tools of ASE on the calculator against OpenMX, PySCF and other calculators.

The comparisons are those of `benchmarks/ase_contract.py`, which has a limit for each and the reason
for it; here they are run one by one, and it is checked that they can fail.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from ase_mlham.calculator import MLHamiltonian

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = REPOSITORY / "tests" / "data" / "openmx"


def _benchmark():
    path = REPOSITORY / "benchmarks" / "ase_contract.py"
    spec = importlib.util.spec_from_file_location("ase_contract", path)
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up
    sys.modules["ase_contract"] = module
    spec.loader.exec_module(module)
    return module


contract = _benchmark()


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(
            row,
            id=f"{row.tool} {row.source}".replace("`", ""),
            marks=[pytest.mark.slow] if row.slow else [],
        )
        for row in contract.ROWS
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning:pyscf")
def test_tool_of_ase(row, request):
    folder = Path("/nowhere")
    if row.needs and list(SMALL.glob(f"{row.needs}.scfout*")):
        folder = SMALL
    elif "scfout" in row.source or row.needs not in ("", "pyscf"):
        folder = request.getfixturevalue("shared") / "data" / "openmx"
    elif row.needs:
        pytest.importorskip(row.needs)
    error, _ = contract.run(row, folder)
    assert error <= row.limit


def test_a_wrong_hamiltonian_is_noticed(shared, monkeypatch):
    """Bands, gaps and populations of a Hamiltonian whose s orbitals are off by a percent."""
    folder = shared / "data" / "openmx"

    def worse(self, atoms=None):
        system = right(self, atoms)
        values = [v.copy() for v in system.hamiltonian.values]
        for v in values:
            v[0, :, 0, 0] *= 1.01
        h = system.hamiltonian
        return system.replace(hamiltonian=type(h)(h.pattern, tuple(values)))

    right = MLHamiltonian.system
    monkeypatch.setattr(MLHamiltonian, "system", worse)
    seen = 0
    for row in contract.ROWS:
        if row.needs in ("si_diamond", "sige_zb") and row.unit in ("eV", "electrons", "e"):
            assert contract.run(row, folder)[0] > row.limit, row.tool
            seen += 1
    assert seen >= 6


def test_populations_are_read_from_the_text(shared):
    silicon, germanium = contract.populations(shared / "data" / "openmx", "sige_zb")
    assert set(silicon) == {"s", "p", "d"}
    # 4 + 4 electrons, to the nine digits that are printed
    assert sum(silicon.values()) + sum(germanium.values()) == pytest.approx(8, abs=1e-7)


def test_the_model_that_must_not_be_asked_would_be_noticed():
    atoms = Atoms("Ar", cell=[3, 3, 3], pbc=True)
    atoms.calc = MLHamiltonian(contract.Unasked())
    with pytest.raises(AssertionError, match="H was evaluated"):
        atoms.calc.get_fermi_level()


def test_the_page_has_every_row():
    page = contract.PAGE.read_text(encoding="utf-8")
    for row in contract.ROWS:
        assert f"| {row.tool} | {row.run} | {row.source} |" in page
    assert np.isfinite([row.limit for row in contract.ROWS]).all()
