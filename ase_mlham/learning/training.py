"""The training loop: Lightning runs it, this module says what a step is and what is kept.

The order of structures follows from the seed and the number of the epoch; random numbers and the
learning rate follow from the number of the step. A run that is interrupted and resumed at the end
of an epoch therefore gives the same bits as one that was not, on one machine with one number of
threads.
"""

from __future__ import annotations

import logging
import math
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    ModelCheckpoint,
    TQDMProgressBar,
)
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Sampler

from ase_mlham.learning.band_loss import BandLossConfig, band_loss
from ase_mlham.learning.checkpoints import ArchiveCheckpoints
from ase_mlham.learning.dataset import PreparedData, PreparedExample
from ase_mlham.learning.family import Coefficients
from ase_mlham.learning.losses import LossConfig, OrbitalElements, block_loss, gauge_shift
from ase_mlham.learning.model import pick_device
from ase_mlham.learning.training_options import TrainingConfig

__all__ = ["HamiltonianTraining", "TrainingConfig", "TrainingResult", "train"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingResult:
    """What a run leaves behind.

    Attributes
    ----------
    network : Module
        With the averaged weights of the best validation (or of the end, without validation data).
    best : dict
        Validation errors of these weights, meV.
    epochs, steps : int
        How far it went, earlier parts of a resumed run included.
    minutes : float
        Wall time, earlier parts included.
    stopped : str
        "finished", "time limit" or "no improvement".
    folder : Path
        Checkpoints and logs.
    """

    network: nn.Module
    best: dict[str, float]
    epochs: int
    steps: int
    minutes: float
    stopped: str
    folder: Path


class _EpochOrder(Sampler[int]):
    """A random order that depends on the seed and the epoch alone. Lightning tells it the epoch."""

    def __init__(self, n: int, seed: int) -> None:
        self._n, self._seed, self._epoch = n, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(_mixed(self._seed, self._epoch))
        return iter(torch.randperm(self._n, generator=generator).tolist())


def _mixed(seed: int, count: int) -> int:
    return (seed * 1_000_003 + count) % 2**63


class _ValidationErrors:
    """Sums over structures of what is left of the error after the best shift of each."""

    def __init__(self, elements: OrbitalElements) -> None:
        self._elements = elements
        self._sums = torch.zeros(5, dtype=torch.float64)
        self._worst = 0.0

    def add(self, network: nn.Module, example: PreparedExample) -> None:
        """Include a structure."""
        output = network(example.graph, example.precomputed)
        # some devices have no double precision
        error = example.error(output, self._elements).cpu().double()
        overlap, n = example.overlap.cpu().double(), example.elements.n_onsite
        error[0] -= gauge_shift(error, overlap, n) * overlap
        size = 1000.0 * error.abs()
        onsite = size[:, :n]
        # off-site blocks stand for both members of a pair
        both, n_both = 2 * size.sum() - onsite.sum(), 2 * size.numel() - onsite.numel()
        squares = 2 * size.square().sum() - onsite.square().sum()
        counts = torch.tensor([n_both, onsite.numel()], dtype=torch.float64)
        self._sums += torch.cat([torch.stack([both, onsite.sum(), squares]), counts])
        self._worst = max(self._worst, float(both) / n_both)

    def result(self) -> dict[str, float]:
        """Mean errors in meV."""
        total, onsite, squares, n, n_onsite = self._sums.tolist()
        return {
            "mae": total / n,
            "rms": math.sqrt(squares / n),
            "onsite": onsite / max(n_onsite, 1.0),
            "offsite": (total - onsite) / max(n - n_onsite, 1.0),
            "worst_structure": self._worst,
        }


class HamiltonianTraining(lightning.LightningModule):
    """Network, its averaged copy, and what a training and a validation step are.

    Parameters
    ----------
    network : Module
        A family's module.
    elements : OrbitalElements
        Turns coefficients into matrix elements.
    loss : LossConfig
        What is minimised.
    config : TrainingConfig
        Optimiser and schedule.
    bands : BandLossConfig, optional
        Band energies in the loss.
    """

    def __init__(
        self,
        network: nn.Module,
        elements: OrbitalElements,
        loss: LossConfig,
        config: TrainingConfig,
        bands: BandLossConfig | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.averaged = AveragedModel(network, multi_avg_fn=self._average)
        self.elements, self.loss, self.options = elements, loss, config
        self.bands = bands or BandLossConfig()
        self.seconds_before, self._started = 0.0, time.monotonic()
        self.out_of_time = False
        self._summed, self._counted = 0.0, 0

    # ------------------------------------------------------------------ optimiser
    def _average(self, averaged: Any, current: Any, n: Any) -> None:
        # short memory at first: the random start must not linger
        count = float(n)
        decay = min(self.options.ema, (1.0 + count) / (10.0 + count))
        torch._foreach_lerp_(list(averaged), list(current), 1.0 - decay)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        options = self.options
        return torch.optim.Adam(
            self.network.parameters(),
            lr=options.learning_rate,
            betas=(options.beta1, options.beta2),
            weight_decay=options.weight_decay,
            foreach=True,
        )

    @property
    def seconds(self) -> float:
        """Wall time of training, earlier parts of a resumed run included."""
        return self.seconds_before + time.monotonic() - self._started

    def learning_rate(self) -> float:
        """Warm-up, then a cosine over steps, or over time if that ends first."""
        options = self.options
        step = self.global_step
        progress = step / max(1.0, float(self.trainer.estimated_stepping_batches))
        if options.max_minutes is not None:
            progress = max(progress, self.seconds / (60 * options.max_minutes))
        low = options.final_fraction
        factor = low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        return options.learning_rate * factor * min(1.0, (step + 1) / (options.warmup_steps + 1))

    # ------------------------------------------------------------------ steps
    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the learning rate of this step, and seed what the network draws in it."""
        seed = _mixed(self.options.seed + 1, self.global_step)
        # torch.manual_seed would format the call stack each time, for devices that are not there
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        rate = self.learning_rate()
        for group in self.optimizers().param_groups:
            group["lr"] = rate

    def _outputs(self, batch: Sequence[PreparedExample], network: nn.Module) -> list[Coefficients]:
        if not self.options.merge:
            return [network(example.graph, example.precomputed) for example in batch]
        from ase_mlham.learning.batching import merge_graphs, split_output

        graphs = [example.graph for example in batch]
        return split_output(network(merge_graphs(graphs)), graphs)

    def training_step(self, batch: Sequence[PreparedExample], batch_idx: int) -> Tensor:
        """Mean loss of the structures of a step, meV."""
        losses = [
            self._loss_of(example, example.error(output, self.elements))
            for example, output in zip(batch, self._outputs(batch, self.network), strict=True)
        ]
        loss = torch.stack(losses).mean()
        self._summed, self._counted = self._summed + float(loss.detach()), self._counted + 1
        return loss

    def _loss_of(self, example: PreparedExample, error: Tensor) -> Tensor:
        loss = block_loss(error, example.overlap, example.elements.n_onsite, self.loss)
        if self.bands.weight and example.bands is not None:
            loss = loss + self.bands.weight * band_loss(example.bands, error.cpu(), self.bands).to(
                loss.device
            )
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Update the averaged weights; stop when the time is over."""
        self.averaged.update_parameters(self.network)
        limit = self.options.max_minutes
        if limit is not None and self.seconds > 60 * limit:
            self.out_of_time = True
            self.trainer.should_stop = True
        if self.global_step % self.options.log_every == 0:
            values = {
                "epoch": self.current_epoch,
                "train/loss": self._summed / self._counted,
                "train/learning_rate": self.optimizers().param_groups[0]["lr"],
                "train/minutes": self.seconds / 60,
            }
            # `self.log` would write its last value again in every step
            for logger in self.loggers:
                logger.log_metrics(values, step=self.global_step)
            self._summed, self._counted = 0.0, 0

    def on_validation_epoch_start(self) -> None:
        """Begin new sums."""
        self._errors = _ValidationErrors(self.elements)

    def validation_step(self, batch: Sequence[PreparedExample], batch_idx: int) -> None:
        """Errors of the averaged weights, after the best shift of each structure."""
        for example in batch:
            self._errors.add(self.averaged.module, example)

    def on_validation_epoch_end(self) -> None:
        """Report the mean errors in meV."""
        found = self._errors.result()
        self.log_dict({f"validation/{k}": v for k, v in found.items()}, batch_size=1)

    # ------------------------------------------------------------------ plumbing
    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """Nothing: prepared structures are already where they are needed."""
        return batch

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the time that was spent."""
        checkpoint["seconds"] = self.seconds

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on counting from there."""
        self.seconds_before = float(checkpoint["seconds"])
        self._started = time.monotonic()


class _Lines(Callback):
    """One line a validation, or as often without one, where there is no terminal for a bar."""

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        epoch = trainer.current_epoch + 1
        if not trainer.val_dataloaders and epoch % pl_module.options.validate_every == 0:
            _log.info(
                "epoch %d of %s, %.1f min, %d steps",
                epoch,
                trainer.max_epochs,
                pl_module.seconds / 60,
                trainer.global_step,
            )

    def on_validation_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        if trainer.sanity_checking:
            return
        metrics = {
            name.partition("/")[2]: float(value)
            for name, value in trainer.callback_metrics.items()
            if name.startswith("validation/")
        }
        text = ", ".join(f"{name} {value:.3f}" for name, value in metrics.items())
        _log.info(
            "epoch %d of %s, %.1f min: %s meV",
            trainer.current_epoch + 1,
            trainer.max_epochs,
            pl_module.seconds / 60,
            text,
        )


def _loader(data: PreparedData, config: TrainingConfig, *, shuffle: bool) -> DataLoader[Any]:
    sampler = _EpochOrder(len(data), config.seed) if shuffle else None
    return DataLoader(
        data,
        batch_size=config.batch_size if shuffle else 1,
        sampler=sampler,
        shuffle=False if sampler is None else None,
        collate_fn=list,
        # of its own, so that making a loader leaves the global random numbers alone
        generator=torch.Generator().manual_seed(config.seed),
    )


def train(
    network: nn.Module,
    training: PreparedData,
    validation: PreparedData | None,
    *,
    config: TrainingConfig,
    folder: Path,
    loss: LossConfig | None = None,
    bands: BandLossConfig | None = None,
    resume: bool = False,
) -> TrainingResult:
    """Train a network.

    Parameters
    ----------
    network : Module
        Fresh; it is changed. Resuming overwrites its weights.
    training, validation : PreparedData
        Structures to learn from, and to choose the best weights by.
    config : TrainingConfig
        Loop, optimiser, schedule.
    folder : Path
        Gets `last.ckpt`, `best.ckpt`, CSV and TensorBoard logs.
    loss : LossConfig, optional
        What is minimised.
    bands : BandLossConfig, optional
        Band energies in it; the training data must carry what they need.
    resume : bool
        Go on from `last.ckpt` in the folder, if it is there.

    Raises
    ------
    KeyboardInterrupt
        Interrupted; the last complete epoch is in `last.ckpt`.
    ModelError
        The checkpoint is damaged.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if config.threads:
        torch.set_num_threads(config.threads)
    device = pick_device(config.device)
    module = HamiltonianTraining(network, training.elements, loss or LossConfig(), config, bands)
    best = ModelCheckpoint(
        dirpath=folder,
        filename="best",
        monitor="validation/mae" if validation is not None else None,
        save_last=True,
        every_n_epochs=config.validate_every,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    callbacks: list[Callback] = [best]
    terminal = sys.stderr.isatty()
    callbacks.append(TQDMProgressBar(refresh_rate=10) if terminal else _Lines())
    stopper = None
    if config.patience and validation is not None:
        stopper = EarlyStopping("validation/mae", patience=config.patience, mode="min")
        callbacks.append(stopper)
    loggers: list[Logger] = [
        # lines come every `log_every` steps: whoever watches the file sees each of them
        CSVLogger(folder, name="csv", flush_logs_every_n_steps=1),
        TensorBoardLogger(folder, name="tensorboard"),
    ]
    quiet = logging.getLogger("lightning.pytorch")
    level = quiet.level
    # its remarks about hardware, slogans and worker processes are not for our users
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # structures lie prepared in memory: worker processes would only copy them
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
            warnings.filterwarnings("ignore", message=".*have no `val_dataloader`.*")
            warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
            # lightning and torch among themselves
            warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
            trainer = lightning.Trainer(
                accelerator={"cuda": "gpu"}.get(device.type, device.type),
                devices=1,
                max_epochs=config.epochs,
                callbacks=callbacks,
                logger=loggers,
                plugins=[ArchiveCheckpoints()],
                gradient_clip_val=config.clip or None,
                check_val_every_n_epoch=config.validate_every,
                log_every_n_steps=config.log_every,
                num_sanity_val_steps=0,
                enable_progress_bar=terminal,
                enable_model_summary=False,
            )
            last = folder / "last.ckpt"
            _fit(trainer, module, training, validation, config, last if resume else None)
    finally:
        quiet.setLevel(level)
    return _result(trainer, module, best, stopper, validation, folder)


def _fit(
    trainer: lightning.Trainer,
    module: HamiltonianTraining,
    training: PreparedData,
    validation: PreparedData | None,
    config: TrainingConfig,
    checkpoint: Path | None,
) -> None:
    path = str(checkpoint) if checkpoint is not None and checkpoint.is_file() else None
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(
            module,
            _loader(training, config, shuffle=True),
            None if validation is None else _loader(validation, config, shuffle=False),
            ckpt_path=path,
        )
    except SystemExit as stop:
        if trainer.interrupted:
            # lightning leaves the process deaf to further interrupts
            signal.signal(signal.SIGINT, handler)
            raise KeyboardInterrupt from stop
        raise


def _result(
    trainer: lightning.Trainer,
    module: HamiltonianTraining,
    best: ModelCheckpoint,
    stopper: EarlyStopping | None,
    validation: PreparedData | None,
    folder: Path,
) -> TrainingResult:
    """Averaged weights: those of the end, or of the best validation if that was better."""
    averaged = module.averaged.module.eval()
    if validation is not None:
        # lightning has moved the network back
        averaged = averaged.to(validation.device)
    metrics: dict[str, float] = {}

    def errors() -> dict[str, float]:
        sums = _ValidationErrors(module.elements)
        with torch.no_grad():
            for n in range(len(validation or ())):
                sums.add(averaged, validation[n])  # type: ignore[index]
        return sums.result()

    if validation is not None:
        # a time limit ends training between two validations, with the smallest learning rate
        metrics = errors()
        score = best.best_model_score
        if best.best_model_path and score is not None and float(score) < metrics["mae"]:
            state = ArchiveCheckpoints().load_checkpoint(best.best_model_path)["state_dict"]
            prefix = "averaged.module."
            averaged.load_state_dict(
                {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            )
            metrics = errors()
    stopped = "finished"
    if module.out_of_time:
        stopped = "time limit"
    elif stopper is not None and stopper.stopped_epoch:
        stopped = "no improvement"
    return TrainingResult(
        network=averaged.cpu(),
        best=metrics,
        epochs=trainer.current_epoch,
        steps=trainer.global_step,
        minutes=module.seconds / 60,
        stopped=stopped,
        folder=folder,
    )
