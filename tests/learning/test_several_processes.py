"""Training in two processes: the result of one, the same weights in both, one set of files."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ase_mlham import write_system
from ase_mlham.learning.model_file import ModelFile

pytestmark = pytest.mark.slow

CONFIG = """
output = "{name}.mlham"
[data]
train = ["0.h5", "1.h5", "2.h5", "3.h5"]
validation = ["4.h5", "5.h5", "6.h5"]
test = ["7.h5"]
[family]
name = "pairwise"
options = {{ hidden = 8 }}
[training]
epochs = 3
device = "cpu"
threads = 1
learning_rate = 1e-2
log_every = 1
batch_size = {batch}
devices = {devices}
[card]
evaluate_bands = false
"""

# run by Lightning once more for the second process; each writes what it ends with
SCRIPT = """
import hashlib, json, sys
from pathlib import Path
import torch
from ase_mlham import read_system
from ase_mlham.learning.dataset import PreparedData, ReferenceData
from ase_mlham.learning.model import fitted_transform
from ase_mlham.learning.pairwise import PairwiseConfig, PairwiseNetwork
from ase_mlham.learning.processes import rank
from ase_mlham.learning.targets import TargetConfig
from ase_mlham.learning.training import train
from ase_mlham.learning.training_options import TrainingConfig

changes = json.loads(sys.argv[1])
data = ReferenceData([read_system(f"{n}.h5") for n in range(6)], message_cutoff=5.0)
transform = fitted_transform(data, TargetConfig(n_splines=4, n_onsite_splines=2))
torch.manual_seed(rank())
network = PairwiseNetwork(PairwiseConfig(hidden=4), data.layout)
first, rest = (PreparedData(data.select(n), transform, network) for n in ([0, 1, 2], [3, 4, 5]))
config = TrainingConfig(
    **{"epochs": 1000, "devices": 2, "device": "cpu", "threads": 1, "warmup_steps": 0} | changes
)
result = train(network, first, rest, config=config, folder=Path("run"))
weights = torch.cat([p.detach().flatten() for p in result.network.parameters()])
found = [result.stopped, result.steps, hashlib.sha256(weights.numpy().tobytes()).hexdigest()]
Path(f"rank{rank()}.json").write_text(json.dumps(found))
"""


def run(*command, folder):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def folder(systems, tmp_path_factory):
    out = tmp_path_factory.mktemp("data")
    for n, system in enumerate(systems):
        write_system(system, out / f"{n}.h5")
    return out


def columns(folder: Path, *names):
    with (folder / "csv" / "version_0" / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    return {name: [float(row[name]) for row in rows if row[name]] for name in names}


def test_two_processes_train_as_one_with_twice_the_batch(folder):
    printed = {}
    for name, batch, devices in (("one", 2, 1), ("two", 1, 2)):
        (folder / f"{name}.toml").write_text(CONFIG.format(name=name, batch=batch, devices=devices))
        done = run("-m", "ase_mlham.cli.main", "train", f"{name}.toml", "-v", folder=folder)
        printed[name] = done.stdout + done.stderr
    # one of the processes speaks
    for text in ("trained; next:", "4 structures to train on", "epoch 3 of 3"):
        assert printed["two"].count(text) == printed["one"].count(text) == 1
    one, two = (ModelFile.read(folder / f"{name}.mlham") for name in ("one", "two"))
    for name, values in one.weights.items():
        # single precision: sums over structures in another order; Adam divides by their size
        np.testing.assert_allclose(two.weights[name], values, atol=2e-4, err_msg=name)
    validated = [
        columns(folder / f"{name}.training", "validation/mae", "validation/worst_structure")
        for name in ("one", "two")
    ]
    for name, values in validated[0].items():
        assert len(values) == 3
        np.testing.assert_allclose(validated[1][name], values, rtol=1e-4)
    assert two.card["training"]["steps"] == one.card["training"]["steps"] == 6


@pytest.mark.parametrize(
    ("changes", "stopped"),
    [
        ({"max_minutes": 0.01}, "time limit"),
        ({"learning_rate": 1e-12, "patience": 2}, "no improvement"),
        (
            {
                "learning_rate": 1e-12,
                "schedule": "plateau",
                "plateau_patience": 1,
                "smallest_rate": 5e-13,
                "precision": "bf16",
            },
            "no improvement",
        ),
    ],
)
def test_both_processes_end_alike(folder, changes, stopped):
    (folder / "script.py").write_text(SCRIPT)
    run("script.py", json.dumps(changes), folder=folder)
    found = [(folder / f"rank{rank}.json").read_text() for rank in (0, 1)]
    assert found[0].startswith(f'["{stopped}"')
    assert found[0] == found[1]
