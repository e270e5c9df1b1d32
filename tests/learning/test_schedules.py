"""Optimisers and schedules: what they do to the learning rate, and that they resume exactly."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

from ase_mlham.errors import InputError
from ase_mlham.learning.checkpoints import ArchiveCheckpoints
from ase_mlham.learning.dataset import PreparedData, ReferenceData
from ase_mlham.learning.pairwise import PairwiseConfig, PairwiseNetwork
from ase_mlham.learning.processes import EpochOrder, Share, training_device
from ase_mlham.learning.schedules import Plateau, make_optimiser
from ase_mlham.learning.targets import TargetConfig, TargetTransform
from ase_mlham.learning.training import train
from ase_mlham.learning.training_options import TrainingConfig


@pytest.fixture(scope="module")
def prepared(systems):
    data = ReferenceData(systems, message_cutoff=5.0)
    transform = TargetTransform(data.layout, TargetConfig(n_splines=4, n_onsite_splines=2), 5.2)
    transform.fit(data.select(range(4)))
    module = PairwiseNetwork(PairwiseConfig(hidden=8), data.layout)
    return (
        PreparedData(data.select(range(4)), transform, module),
        PreparedData(data.select([6, 7]), transform, module),
    )


def fresh(prepared, seed=0):
    torch.manual_seed(seed)
    return PairwiseNetwork(PairwiseConfig(hidden=8), prepared[0]._transform.layout)


def options(**changes):
    common = {"log_every": 4, "warmup_steps": 0, "threads": 1, "device": "cpu"}
    return TrainingConfig(**common | changes)


def rates(folder):
    with (folder / "csv" / "version_0" / "metrics.csv").open() as stream:
        rows = [row["train/learning_rate"] for row in csv.DictReader(stream)]
    return [float(value) for value in rows if value]


def test_plateau_waits_lowers_and_ends():
    config = options(schedule="plateau", learning_rate=8e-3, smallest_rate=3e-3, plateau_patience=2)
    plateau, seen = Plateau(config), []
    # the fourth value is better by less than one part in ten thousand
    for value in (5.0, 4.0, 4.1, 3.9999, 4.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0):
        plateau.note(value)
        seen.append((plateau.rate, plateau.ended))
    assert [rate for rate, _ in seen] == [8e-3] * 4 + [4e-3] * 4 + [3e-3] * 4
    assert [ended for _, ended in seen] == [False] * 11 + [True]


def test_rate_of_constant_and_plateau(prepared, tmp_path):
    train(
        fresh(prepared),
        *prepared,
        config=options(epochs=3, schedule="constant", learning_rate=1e-3, warmup_steps=4),
        folder=tmp_path / "constant",
    )
    # logged at the steps 4, 8 and 12; the first five are the way up
    assert rates(tmp_path / "constant") == pytest.approx([0.8e-3, 1e-3, 1e-3])
    common = {"schedule": "plateau", "plateau_patience": 0, "smallest_rate": 1e-20}
    result = train(
        fresh(prepared),
        *prepared,
        # steps so small that they bring nothing
        config=options(epochs=4, learning_rate=1e-12, **common),
        folder=tmp_path / "plateau",
    )
    assert result.stopped == "finished"
    assert rates(tmp_path / "plateau") == pytest.approx([1e-12, 1e-12, 5e-13, 2.5e-13])


@pytest.mark.parametrize("with_validation", [True, False])
def test_training_ends_where_the_smallest_rate_helps_no_more(prepared, tmp_path, with_validation):
    common = {"schedule": "plateau", "plateau_patience": 1, "validate_every": 2}
    config = options(epochs=99, learning_rate=1e-12, smallest_rate=5e-13, **common)
    data = prepared if with_validation else (prepared[0], None)
    result = train(fresh(prepared), *data, config=config, folder=tmp_path)
    # one validation, two without improvement, two more at the smallest rate
    assert (result.stopped, result.epochs) == ("no improvement", 10)
    again = train(fresh(prepared), *data, config=config, folder=tmp_path, resume=True)
    assert (again.stopped, again.steps) == ("no improvement", result.steps)


def test_resumed_plateau_equals_an_uninterrupted_one_bit_for_bit(
    prepared, tmp_path, train_until_killed
):
    config = options(
        epochs=12,
        optimiser="adamw",
        weight_decay=0.01,
        schedule="plateau",
        learning_rate=0.1,
        smallest_rate=1e-3,
        plateau_patience=0,
        ema=0.0,
    )
    whole = train(fresh(prepared), *prepared, config=config, folder=tmp_path / "whole")
    assert len(set(rates(tmp_path / "whole"))) > 2
    train_until_killed(30, fresh(prepared), *prepared, config=config, folder=tmp_path / "parts")
    torch.manual_seed(987)
    np.random.seed(5)  # noqa: NPY002 - the global state must not matter
    resumed = train(
        fresh(prepared, 55), *prepared, config=config, folder=tmp_path / "parts", resume=True
    )
    read = ArchiveCheckpoints().load_checkpoint
    a, b = read(tmp_path / "whole" / "last.ckpt"), read(tmp_path / "parts" / "last.ckpt")
    assert a["plateau"] == b["plateau"]
    assert a["plateau"]["ended"]
    for name, tensor in a["state_dict"].items():
        assert torch.equal(tensor, b["state_dict"][name]), name
    assert whole.best == resumed.best


def test_decay_of_adamw_does_not_pass_through_the_gradients():
    weights = {}
    for name in ("adam", "adamw"):
        parameter = torch.nn.Parameter(torch.tensor([2.0, -3.0]))
        optimiser = make_optimiser(
            [parameter], options(optimiser=name, learning_rate=0.1, weight_decay=0.5)
        )
        parameter.grad = torch.tensor([4.0, 0.0])
        optimiser.step()
        weights[name] = parameter.detach()
    # Adam's first step has the size of the rate; the second gradient is the decay alone, or none
    assert weights["adam"].numpy() == pytest.approx([1.9, -2.9], rel=1e-6)
    assert weights["adamw"].numpy() == pytest.approx([2 * 0.95 - 0.1, -3 * 0.95], rel=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimiser": "sgd"}, "optimiser = 'sgd' is unknown .accepted: 'adam', 'adamw'"),
        ({"schedule": "step"}, "schedule = 'step' is unknown"),
        ({"precision": "64"}, "precision = '64' is unknown"),
        ({"devices": 0}, "devices = 0 must be positive"),
        ({"schedule": "plateau", "plateau_factor": 1.0}, "plateau_factor must lie"),
        ({"schedule": "plateau", "smallest_rate": 1.0}, "not above learning_rate"),
    ],
)
def test_options_that_make_no_sense(changes, message):
    with pytest.raises(InputError, match=message):
        options(**changes)


def test_half_precision_needs_a_gpu():
    with pytest.raises(InputError, match='use "bf16", or "32", on a CPU'):
        training_device(options(precision="16"))
    assert training_device(options(precision="bf16")).type == "cpu"


def test_recompute_needs_a_network_that_can(prepared, tmp_path):
    with pytest.raises(InputError, match="PairwiseNetwork cannot evaluate its layers again"):
        train(fresh(prepared), *prepared, config=options(epochs=1, recompute=True), folder=tmp_path)


def test_mixed_precision_learns_as_single_precision_does(prepared, tmp_path):
    errors = {}
    for precision in ("32", "bf16"):
        config = options(epochs=6, learning_rate=1e-2, precision=precision)
        result = train(fresh(prepared), *prepared, config=config, folder=tmp_path / precision)
        errors[precision] = result.best["mae"]
    assert errors["bf16"] != errors["32"]
    # gradients with eight bits change a short training by little
    assert errors["bf16"] == pytest.approx(errors["32"], rel=0.1)


@pytest.mark.parametrize(("n", "processes", "batch"), [(8, 2, 1), (7, 2, 2), (5, 3, 1), (2, 4, 3)])
def test_processes_divide_the_steps_of_one(n, processes, batch):
    together = EpochOrder(n, seed=4)
    parts = [EpochOrder(n, 4, batch, processes, lambda r=r: r) for r in range(processes)]
    for order in (together, *parts):
        order.set_epoch(3)
    whole, shares = list(together), [list(part) for part in parts]
    assert {len(share) for share in shares} == {len(parts[0])}
    step = batch * processes
    for number, start in enumerate(range(0, n - n % step, step)):
        joined = [k for s in shares for k in s[number * batch : (number + 1) * batch]]
        assert joined == whole[start : start + step]
    assert {k for share in shares for k in share} == set(range(n))


@pytest.mark.parametrize(("n", "processes"), [(7, 2), (6, 3), (1, 4)])
def test_each_structure_is_validated_once(n, processes):
    seen = []
    for rank in range(processes):
        share = Share(n, processes, lambda rank=rank: rank)
        assert len(share) == -(-n // processes)
        seen += [index for k, index in enumerate(share) if share.is_own(k)]
    assert sorted(seen) == list(range(n))
