"""Options of the training loop, apart from it: they can be read without loading Lightning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ase_mlham.errors import InputError

__all__ = ["TrainingConfig"]

Optimiser = Literal["adam", "adamw"]
Schedule = Literal["cosine", "plateau", "constant"]
Precision = Literal["32", "bf16", "16"]
_CHOICES = {"optimiser": Optimiser, "schedule": Schedule, "precision": Precision}


@dataclass(frozen=True)
class TrainingConfig:
    """Options of the training loop.

    Parameters
    ----------
    epochs : int
        Passes over the training structures; the learning rate comes down over all of them.
    max_minutes : float
        Wall time after which training ends; a cosine then comes down in time. None: no limit.
    batch_size : int
        Structures in one step, of each device.
    merge : bool
        Put the structures of a step into one graph (quicker on a GPU). Otherwise one after another,
        with what depends on the structure alone computed once and kept.
    optimiser : str
        "adam" or "adamw", which shrinks the weights apart from the gradients.
    beta1, beta2 : float
        Memory of the optimiser for gradients and for their squares.
    weight_decay : float
        Of the optimiser.
    learning_rate : float
        Largest one.
    schedule : str
        "cosine" comes down from the first step to the last; "plateau" lowers the rate where the
        validation error (without validation, the training loss) no longer falls; "constant".
    final_fraction : float
        Of a cosine: learning rate at the end, as a fraction of the largest.
    plateau_factor : float
        Of a plateau: by what the rate is multiplied.
    plateau_patience : int
        Of a plateau: validations without improvement that are borne before that.
    smallest_rate : float
        Of a plateau: the rate is not lowered below. Training ends where it has brought no
        improvement for as long either.
    warmup_steps : int
        Steps over which the rate rises from zero.
    clip : float
        Largest norm of the gradient; 0 for no limit.
    ema : float
        Decay of the running average of weights, which is what is validated and kept.
    validate_every : int
        Epochs between validations and checkpoints.
    patience : int
        Validations without improvement after which training ends; 0 to go on to the end.
    log_every : int
        Steps between lines in the logs.
    threads : int
        Of torch; 0 leaves its own choice.
    device : str
        "auto", "cpu", "cuda" or "mps".
    devices : int
        How many of them; each takes its share of every step, in a process of its own.
    precision : str
        "32", or mixed: "bf16", and "16" on GPUs. The network's products are made in it; frames,
        baseline, loss and validation stay in single precision.
    recompute : bool
        Evaluate layers in portions and, on the way back, once more instead of keeping what they
        computed: less memory, a third more time.
    memory_gb : float
        Of prepared structures that are kept; others are prepared again in every epoch.
    seed : int
        Of the weights, the order of structures and everything else that is random.
    """

    epochs: int = 100
    max_minutes: float | None = None
    batch_size: int = 1
    merge: bool = False
    optimiser: Optimiser = "adam"
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.0
    learning_rate: float = 3e-3
    schedule: Schedule = "cosine"
    final_fraction: float = 0.01
    plateau_factor: float = 0.5
    plateau_patience: int = 20
    smallest_rate: float = 1e-5
    warmup_steps: int = 100
    clip: float = 50.0
    ema: float = 0.995
    validate_every: int = 1
    patience: int = 0
    log_every: int = 50
    threads: int = 0
    device: str = "auto"
    devices: int = 1
    precision: Precision = "32"
    recompute: bool = False
    memory_gb: float = 8.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, kinds in _CHOICES.items():
            if getattr(self, name) not in get_args(kinds):
                known = ", ".join(map(repr, get_args(kinds)))
                raise InputError(f"{name} = {getattr(self, name)!r} is unknown (accepted: {known})")
        positive = (
            "epochs",
            "batch_size",
            "learning_rate",
            "validate_every",
            "log_every",
            "devices",
        )
        for name in positive:
            if not getattr(self, name) > 0:
                raise InputError(f"{name} = {getattr(self, name)} must be positive")
        if not (0 <= self.ema < 1 and 0 < self.final_fraction <= 1):
            raise InputError("ema must lie in 0..1 (1 excluded), final_fraction in 0..1")
        if self.schedule == "plateau":
            self._check_plateau()
        if self.max_minutes is not None and not self.max_minutes > 0:
            raise InputError(f"max_minutes = {self.max_minutes} must be positive")

    def _check_plateau(self) -> None:
        if not (0 < self.plateau_factor < 1 and self.plateau_patience >= 0):
            raise InputError(
                "plateau_factor must lie between 0 and 1, plateau_patience not below 0"
            )
        if not 0 < self.smallest_rate <= self.learning_rate:
            raise InputError(
                f"smallest_rate = {self.smallest_rate} must be positive and not above "
                f"learning_rate = {self.learning_rate}"
            )
