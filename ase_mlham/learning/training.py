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
from collections.abc import Sequence
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
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from ase_mlham.learning.band_loss import BandLossConfig, band_loss
from ase_mlham.learning.checkpoints import ArchiveCheckpoints
from ase_mlham.learning.dataset import PreparedData, PreparedExample
from ase_mlham.learning.family import Coefficients
from ase_mlham.learning.losses import LossConfig, OrbitalElements, block_loss, gauge_shift
from ase_mlham.learning.nn.chunks import set_recompute
from ase_mlham.learning.processes import (
    EpochOrder,
    Share,
    average_gradients,
    from_first,
    gathered,
    mixed,
    same_everywhere,
    training_device,
)
from ase_mlham.learning.schedules import Plateau, cosine, make_optimiser
from ase_mlham.learning.training_options import TrainingConfig

__all__ = ["HamiltonianTraining", "TrainingConfig", "TrainingResult", "train"]

_log = logging.getLogger(__name__)

_PRECISION = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


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


class _ValidationErrors:
    """Sums over structures of what is left of the error after the best shift of each."""

    def __init__(self, elements: OrbitalElements) -> None:
        self._elements = elements
        self._sums = torch.zeros(5, dtype=torch.float64)
        self._worst = 0.0

    def add(self, network: nn.Module, example: PreparedExample) -> None:
        """Include a structure."""
        # as predictions will be: in single precision
        with _exactly(example.overlap):
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

    def result(self, device: torch.device | None = None) -> dict[str, float]:
        """Mean errors in meV; with a device, over the structures of all processes."""
        if device is not None:
            own = torch.cat([self._sums, torch.tensor([self._worst], dtype=torch.float64)])
            everywhere = torch.stack(gathered(own, device))
            self._sums, self._worst = everywhere[:, :-1].sum(0), float(everywhere[:, -1].max())
        total, onsite, squares, n, n_onsite = self._sums.tolist()
        return {
            "mae": total / n,
            "rms": math.sqrt(squares / n),
            "onsite": onsite / max(n_onsite, 1.0),
            "offsite": (total - onsite) / max(n - n_onsite, 1.0),
            "worst_structure": self._worst,
        }


def _exactly(like: Tensor) -> torch.autocast:
    """Single precision, whatever a network is evaluated in."""
    return torch.autocast(like.device.type, enabled=False)


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
        self.averaged.requires_grad_(False)
        self.elements, self.loss, self.options = elements, loss, config
        self.bands = bands or BandLossConfig()
        self.seconds_before, self._started = 0.0, time.monotonic()
        self.out_of_time = False
        self.plateau = Plateau(config) if config.schedule == "plateau" else None
        self._now = 0.0
        self._summed, self._counted = 0.0, 0
        self._found: float | None = None
        self._losses = torch.zeros(2, dtype=torch.float64)

    # ------------------------------------------------------------------ optimiser
    def _average(self, averaged: Any, current: Any, n: Any) -> None:
        # short memory at first: the random start must not linger
        count = float(n)
        decay = min(self.options.ema, (1.0 + count) / (10.0 + count))
        torch._foreach_lerp_(list(averaged), list(current), 1.0 - decay)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam or AdamW."""
        return make_optimiser(self.network.parameters(), self.options)

    @property
    def seconds(self) -> float:
        """Wall time of training, earlier parts of a resumed run included."""
        return self.seconds_before + time.monotonic() - self._started

    def learning_rate(self) -> float:
        """Warm-up, then what the schedule says: a cosine over steps, or time if that ends first."""
        options = self.options
        step = self.global_step
        rate = options.learning_rate if self.plateau is None else self.plateau.rate
        factor = 1.0
        if options.schedule == "cosine":
            progress = step / max(1.0, float(self.trainer.estimated_stepping_batches))
            if options.max_minutes is not None:
                progress = max(progress, self._now / (60 * options.max_minutes))
            factor = cosine(progress, options.final_fraction)
        return rate * factor * min(1.0, (step + 1) / (options.warmup_steps + 1))

    # ------------------------------------------------------------------ steps
    def on_fit_start(self) -> None:
        """Begin the clock; a training that has come to its end is not taken up again."""
        self._started = time.monotonic()
        same_everywhere(self)
        if self.plateau is not None and self.plateau.ended:
            self.trainer.should_stop = True

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the learning rate of this step, and seed what the network draws in it."""
        if self.options.max_minutes is not None:
            # clocks differ, and what follows from them must not
            self._now = from_first(self.seconds, self.device)
        seed = mixed(self.options.seed + 1, self.global_step) + self.global_rank
        # torch.manual_seed would format the call stack each time, for devices that are not there
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        rate = self.learning_rate()
        for group in self.optimizers().param_groups:
            group["lr"] = rate

    def _outputs(self, batch: Sequence[PreparedExample], network: nn.Module) -> list[Coefficients]:
        if not self.options.merge:
            outputs = [network(example.graph, example.precomputed) for example in batch]
        else:
            from ase_mlham.learning.batching import merge_graphs, split_output

            graphs = [example.graph for example in batch]
            outputs = split_output(network(merge_graphs(graphs)), graphs)
        return [Coefficients(*(part.float() for part in output)) for output in outputs]

    def training_step(self, batch: Sequence[PreparedExample], batch_idx: int) -> Tensor:
        """Mean loss of the structures of a step, meV."""
        outputs = self._outputs(batch, self.network)
        with _exactly(batch[0].overlap):
            losses = [
                self._loss_of(example, example.error(output, self.elements))
                for example, output in zip(batch, outputs, strict=True)
            ]
            loss = torch.stack(losses).mean()
        value = float(loss.detach())
        self._summed, self._counted = self._summed + value, self._counted + 1
        self._losses += torch.tensor([value, 1.0])
        return loss

    def _loss_of(self, example: PreparedExample, error: Tensor) -> Tensor:
        loss = block_loss(error, example.overlap, example.elements.n_onsite, self.loss)
        if self.bands.weight and example.bands is not None:
            loss = loss + self.bands.weight * band_loss(example.bands, error.cpu(), self.bands).to(
                loss.device
            )
        return loss

    def on_after_backward(self) -> None:
        """The mean over processes, as if one of them had seen all structures of the step."""
        average_gradients(self.network.parameters())

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Update the averaged weights; stop when the time is over."""
        self.averaged.update_parameters(self.network)
        limit = self.options.max_minutes
        if limit is not None and self._now > 60 * limit:
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
        sampler = self.trainer.val_dataloaders.sampler
        if isinstance(sampler, Share) and not sampler.is_own(batch_idx):
            return
        for example in batch:
            self._errors.add(self.averaged.module, example)

    def on_validation_epoch_end(self) -> None:
        """Report the mean errors in meV."""
        found = self._errors.result(self.device)
        self._found = found["mae"]
        self.log_dict({f"validation/{k}": v for k, v in found.items()}, batch_size=1)

    def on_train_epoch_end(self) -> None:
        """Lower the learning rate where it helps no more; this comes before a checkpoint."""
        found, self._found = self._found, None
        if self.plateau is None or (self.current_epoch + 1) % self.options.validate_every:
            return
        if not self.trainer.val_dataloaders:
            total, count = torch.stack(gathered(self._losses, self.device)).sum(0).tolist()
            self._losses.zero_()
            found = total / count
        if found is not None:
            self.plateau.note(found)
            self.trainer.should_stop |= self.plateau.ended

    # ------------------------------------------------------------------ plumbing
    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """Nothing: prepared structures are already where they are needed."""
        return batch

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the time that was spent, and how far the learning rate has come down."""
        checkpoint["seconds"] = self.seconds
        if self.plateau is not None:
            checkpoint["plateau"] = self.plateau.state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on counting from there."""
        self.seconds_before = float(checkpoint["seconds"])
        self._started = time.monotonic()
        if self.plateau is not None:
            self.plateau.restore(checkpoint["plateau"])


class _Lines(Callback):
    """One line a validation, or as often without one, where there is no terminal for a bar."""

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        epoch = trainer.current_epoch + 1
        if not trainer.is_global_zero:
            return
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
        if trainer.sanity_checking or not trainer.is_global_zero:
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
    sampler: EpochOrder | Share | None = None
    if shuffle:
        sampler = EpochOrder(len(data), config.seed, config.batch_size, config.devices)
    elif config.devices > 1:
        sampler = Share(len(data), config.devices)
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
    InputError
        The devices do not know the precision, or the network cannot recompute.
    KeyboardInterrupt
        Interrupted; the last complete epoch is in `last.ckpt`.
    ModelError
        The checkpoint is damaged.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if config.threads:
        torch.set_num_threads(config.threads)
    device = training_device(config)
    set_recompute(network, config.recompute)
    module = HamiltonianTraining(network, training.elements, loss or LossConfig(), config, bands)
    callbacks: list[Callback] = []
    best = None
    if validation is not None:
        best = _checkpoint(folder, "best", config, monitor="validation/mae")
        callbacks.append(best)
    # after the best one, whose state it holds; written whether the errors have become better or not
    callbacks.append(_checkpoint(folder, "last", config))
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
    quiet = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in quiet]
    # its remarks about hardware, slogans and worker processes are not for our users
    for logger in quiet:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # structures lie prepared in memory: worker processes would only copy them
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
            warnings.filterwarnings("ignore", message=".*have no `val_dataloader`.*")
            warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
            # lightning and torch among themselves
            warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
            # the errors of all processes are summed before they are reported
            warnings.filterwarnings("ignore", message=".*sync_dist=True.*")
            trainer = lightning.Trainer(
                accelerator={"cuda": "gpu"}.get(device.type, device.type),
                devices=config.devices,
                strategy="auto" if config.devices == 1 else _Processes(),
                use_distributed_sampler=False,
                precision=_PRECISION[config.precision],
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
        for logger, level in zip(quiet, levels, strict=True):
            logger.setLevel(level)
        if config.devices > 1 and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    return _result(trainer, module, best, stopper, validation, folder)


def _checkpoint(
    folder: Path, name: str, config: TrainingConfig, monitor: str | None = None
) -> ModelCheckpoint:
    """Writes a file after each validation, or after those with the least error so far."""
    return ModelCheckpoint(
        dirpath=folder,
        filename=name,
        monitor=monitor,
        every_n_epochs=config.validate_every,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )


class _Processes(DDPStrategy):
    """Lightning starts the processes, and the module shares its gradients itself.

    Which weights a step needs depends on the elements in it, and layers may be evaluated twice.
    """

    def configure_ddp(self) -> None:
        """Leave the module as it is."""


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
    best: ModelCheckpoint | None,
    stopper: EarlyStopping | None,
    validation: PreparedData | None,
    folder: Path,
) -> TrainingResult:
    """Averaged weights: those of the end, or of the best validation if that was better."""
    averaged = module.averaged.module.eval()
    for mean, own in zip(averaged.parameters(), module.network.parameters(), strict=True):
        mean.requires_grad_(own.requires_grad)
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

    if validation is not None and best is not None and trainer.is_global_zero:
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
    elif (stopper is not None and stopper.stopped_epoch) or (
        module.plateau is not None and module.plateau.ended
    ):
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
