"""Training on small synthetic systems: it learns, resumes bit for bit, and stops when it should."""

from __future__ import annotations

import csv
import shutil
import signal

import numpy as np
import pytest
import torch

from ase_mlham.errors import InputError, ModelError
from ase_mlham.learning.checkpoints import ArchiveCheckpoints
from ase_mlham.learning.dataset import PreparedData, ReferenceData
from ase_mlham.learning.layout import BlockLayout
from ase_mlham.learning.losses import LossConfig
from ase_mlham.learning.pairwise import PairwiseConfig, PairwiseNetwork
from ase_mlham.learning.targets import TargetConfig, TargetTransform
from ase_mlham.learning.training import train
from ase_mlham.learning.training_options import TrainingConfig


class Noisy(PairwiseNetwork):
    """Draws random numbers in training, as networks that sample directions do."""

    def forward(self, graph, precomputed=None):
        out = super().forward(graph, precomputed)
        if self.training:
            out = type(out)(out.onsite, out.offsite * (1 + 0.01 * torch.rand(graph.n_pairs, 1)))
        return out


@pytest.fixture(scope="module")
def prepared(systems):
    # a baseline that can do nothing leaves everything to the network
    targets = TargetConfig(n_splines=3, ridge=1e3, n_onsite_splines=2, onsite_cutoff=1.0)
    data = ReferenceData(systems, message_cutoff=5.0, operators=("kinetic",))
    transform = TargetTransform(data.layout, targets, 2 * 2.6)
    transform.fit(data.select(range(6)))
    module = PairwiseNetwork(PairwiseConfig(hidden=8), data.layout)
    return (
        PreparedData(data.select(range(6)), transform, module),
        PreparedData(data.select([6, 7]), transform, module),
    )


def fresh(prepared, cls=Noisy, seed=0):
    torch.manual_seed(seed)
    return cls(PairwiseConfig(hidden=8), BlockLayout(prepared[0]._transform.layout.basis))


def run(prepared, folder, epochs, resume=False, **options):
    config = TrainingConfig(
        **{"epochs": epochs, "log_every": 4, "warmup_steps": 5, "threads": 1, "device": "cpu"}
        | options
    )
    return train(
        fresh(prepared), *prepared, config=config, folder=folder, resume=resume, loss=LossConfig()
    )


def test_it_learns(prepared, tmp_path):
    result = run(prepared, tmp_path, 25, learning_rate=1e-2)
    with (tmp_path / "csv" / "version_0" / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    mae = [float(row["validation/mae"]) for row in rows if row["validation/mae"]]
    assert len(mae) == 25
    # lightning keeps metrics in single precision
    assert result.best["mae"] == pytest.approx(min(mae), rel=1e-6)
    assert min(mae) < 0.5 * mae[0]
    assert list((tmp_path / "tensorboard").rglob("events*"))
    assert result.stopped == "finished"
    assert (result.epochs, result.steps) == (25, 150)


def test_resumed_run_equals_uninterrupted_one_bit_for_bit(prepared, tmp_path, train_until_killed):
    whole = run(prepared, tmp_path / "whole", 6)
    config = TrainingConfig(epochs=6, log_every=4, warmup_steps=5, threads=1, device="cpu")
    # in the fourth epoch of six steps
    train_until_killed(20, fresh(prepared), *prepared, config=config, folder=tmp_path / "parts")
    torch.manual_seed(987)
    np.random.seed(5)  # noqa: NPY002 - the global state must not matter
    resumed = train(
        fresh(prepared, seed=55), *prepared, config=config, folder=tmp_path / "parts", resume=True
    )
    read = ArchiveCheckpoints().load_checkpoint
    a, b = read(tmp_path / "whole" / "last.ckpt"), read(tmp_path / "parts" / "last.ckpt")
    assert a["state_dict"].keys() == b["state_dict"].keys()
    for name, tensor in a["state_dict"].items():
        assert torch.equal(tensor, b["state_dict"][name]), name
    for name, state in a["optimizer_states"][0]["state"].items():
        for key, tensor in state.items():
            assert torch.equal(tensor, b["optimizer_states"][0]["state"][name][key]), (name, key)
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name]), name
    assert whole.best == resumed.best
    assert resumed.steps == whole.steps == 36


def test_another_seed_gives_another_run(prepared, tmp_path):
    a, b = (run(prepared, tmp_path / str(n), 2, seed=n) for n in (0, 1))
    weights = [next(iter(r.network.parameters())) for r in (a, b)]
    assert not torch.equal(*weights)


def test_damaged_checkpoint_is_refused(prepared, tmp_path):
    run(prepared, tmp_path, 1)
    path = tmp_path / "last.ckpt"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match="damaged"):
        run(prepared, tmp_path, 2, resume=True)


def test_resuming_without_a_checkpoint_starts_anew(prepared, tmp_path):
    assert run(prepared, tmp_path, 1, resume=True).steps == 6


def test_time_limit(prepared, tmp_path):
    result = run(prepared, tmp_path, 100_000, max_minutes=0.02)
    assert result.stopped == "time limit"
    assert 0.02 <= result.minutes < 0.3
    assert (tmp_path / "last.ckpt").is_file()


def test_interrupt_arrives_and_keeps_the_last_epoch(prepared, tmp_path):
    network = fresh(prepared)
    forward, calls = network.forward, [0]

    def interrupted(*arguments):
        calls[0] += 1
        if calls[0] > 12:
            raise KeyboardInterrupt
        return forward(*arguments)

    network.forward = interrupted
    before = signal.getsignal(signal.SIGINT)
    config = TrainingConfig(epochs=9, threads=1, device="cpu")
    with pytest.raises(KeyboardInterrupt):
        train(network, *prepared, config=config, folder=tmp_path)
    assert signal.getsignal(signal.SIGINT) is before
    assert (tmp_path / "last.ckpt").is_file()


def test_early_stop(prepared, tmp_path):
    result = run(prepared, tmp_path, 500, learning_rate=1e-12, patience=2)
    assert result.stopped == "no improvement"
    assert result.epochs < 20


def test_merged_graphs_give_the_same_first_step(prepared, tmp_path):
    results = []
    for merge in (False, True):
        network = fresh(prepared, PairwiseNetwork)
        config = TrainingConfig(
            epochs=1, batch_size=3, merge=merge, warmup_steps=0, threads=1, device="cpu"
        )
        results.append(train(network, *prepared, config=config, folder=tmp_path / str(merge)))
    for (name, a), b in zip(
        results[0].network.state_dict().items(),
        results[1].network.state_dict().values(),
        strict=True,
    ):
        # single precision; Adam's first steps divide by the gradient's size and amplify rounding
        assert torch.allclose(a, b, atol=2e-4), name


def test_training_without_validation(prepared, tmp_path):
    config = TrainingConfig(epochs=2, threads=1, device="cpu")
    result = train(fresh(prepared), prepared[0], None, config=config, folder=tmp_path)
    assert result.steps == 12
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs = 0 must be positive"),
        ({"ema": 1.0}, "ema must lie"),
        ({"max_minutes": -1.0}, "max_minutes"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        TrainingConfig(**options)


def test_unknown_device(prepared, tmp_path):
    with pytest.raises(InputError, match="device 'gpu' is unknown"):
        run(prepared, tmp_path, 1, device="gpu")
