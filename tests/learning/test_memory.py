"""What a prediction says about memory: near to what it takes, and said before it is too late."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from ase_mlham import hooks
from ase_mlham.core import SpinKind
from ase_mlham.learning import memory
from ase_mlham.learning import model as learned
from ase_mlham.learning.domain import DomainWarning
from ase_mlham.learning.layout import BlockLayout
from ase_mlham.learning.model import HamiltonianModel
from ase_mlham.learning.networks import make_network
from ase_mlham.learning.pairwise import PairwiseConfig

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "prediction_memory.py"


@pytest.fixture(scope="module")
def model(systems):
    torch.manual_seed(0)
    spec, config = hooks.find("model family", "pairwise"), PairwiseConfig(hidden=4)
    basis, structure = systems[0].basis, systems[0].structure
    network = make_network(spec, config, BlockLayout(basis))
    return HamiltonianModel.untrained(network, spec, config, basis, example=structure)


@pytest.mark.parametrize(("spin", "factor"), [("none", 1), ("collinear", 2), ("spinor", 8)])
def test_h_and_s_are_counted_to_the_byte(systems, spin, factor):
    """Spinors have four complex components."""
    system = systems[0]
    layout = BlockLayout(system.basis, SpinKind.parse(spin))
    needs = memory.prediction_needs(layout, system.hamiltonian.pattern, 0.0)
    one = sum(values.nbytes for values in system.overlap.values)
    assert needs.result == (1 + factor) * one
    assert needs.peak >= needs.result
    more = memory.prediction_needs(layout, system.hamiltonian.pattern, 1e9)
    assert more.peak == pytest.approx(
        1e9 + 4 * system.hamiltonian.pattern.n_blocks * layout.n_coefficients
    )


def test_a_model_can_be_asked(model, systems):
    structure = systems[1].structure
    needs = model.memory_needs(structure)
    assert model.memory_needs(structure.to_atoms()) == needs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DomainWarning)
        system = model.predict(structure, on_unknown="warn")
    matrices = (system.hamiltonian, system.overlap)
    assert needs.result == sum(array.nbytes for matrix in matrices for array in matrix.values)


@pytest.mark.filterwarnings("ignore", category=DomainWarning)
def test_too_little_memory_is_said_before_the_network_is_asked(model, systems, monkeypatch, caplog):
    structure = systems[1].structure
    monkeypatch.setattr(learned, "available_memory", lambda: 1000)
    asked = []
    monkeypatch.setattr(model.network, "forward", lambda *_: asked.append(caplog.text) or 1 / 0)
    with (
        caplog.at_level(logging.WARNING, "ase_mlham"),
        pytest.raises(ZeroDivisionError),
        np.errstate(all="ignore"),
    ):
        model.predict(structure, on_unknown="warn")
    assert "of memory, and 0.0 GB are free" in asked[0]
    caplog.clear()
    for silent in (None, 1e15):
        monkeypatch.setattr(learned, "available_memory", lambda silent=silent: silent)
        with pytest.raises(ZeroDivisionError):
            model.predict(structure, on_unknown="warn")
    assert "GB" not in caplog.text


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
@pytest.mark.parametrize(
    ("family", "form"),
    [
        *(("hamgnn", form) for form in ("none", "spinor", "PBC", "xi")),
        ("deeph2", "none"),
        ("lcnet", "none"),
    ],
)
def test_what_is_said_is_what_it_takes(family, form):
    pytest.importorskip(f"ase_mlham_{family}")
    done = subprocess.run(
        [sys.executable, BENCHMARK, "--child", json.dumps([family, "small", 216, form])],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    # what allocators keep and reuse is not counted
    assert found["said"] == pytest.approx(found["more"], rel=0.3)
