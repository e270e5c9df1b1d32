"""Options of the training loop, apart from it: they can be read without loading Lightning."""

from __future__ import annotations

from dataclasses import dataclass

from ase_mlham.errors import InputError

__all__ = ["TrainingConfig"]


@dataclass(frozen=True)
class TrainingConfig:
    """Options of the training loop.

    Parameters
    ----------
    epochs : int
        Passes over the training structures; the learning rate comes down over all of them.
    max_minutes : float
        Wall time after which training ends; the learning rate then comes down in time. None: no
        limit.
    batch_size : int
        Structures in one step.
    merge : bool
        Put the structures of a step into one graph (quicker on a GPU). Otherwise one after another,
        with what depends on the structure alone computed once and kept.
    learning_rate : float
        Largest one.
    final_fraction : float
        Learning rate at the end, as a fraction of the largest.
    warmup_steps : int
        Steps over which it rises from zero.
    beta1, beta2 : float
        Of Adam.
    weight_decay : float
        Of Adam.
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
    memory_gb : float
        Of prepared structures that are kept; others are prepared again in every epoch.
    seed : int
        Of the weights, the order of structures and everything else that is random.
    """

    epochs: int = 100
    max_minutes: float | None = None
    batch_size: int = 1
    merge: bool = False
    learning_rate: float = 3e-3
    final_fraction: float = 0.01
    warmup_steps: int = 100
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.0
    clip: float = 50.0
    ema: float = 0.995
    validate_every: int = 1
    patience: int = 0
    log_every: int = 50
    threads: int = 0
    device: str = "auto"
    memory_gb: float = 8.0
    seed: int = 0

    def __post_init__(self) -> None:
        positive = ("epochs", "batch_size", "learning_rate", "validate_every", "log_every")
        for name in positive:
            if not getattr(self, name) > 0:
                raise InputError(f"{name} = {getattr(self, name)} must be positive")
        if not (0 <= self.ema < 1 and 0 < self.final_fraction <= 1):
            raise InputError("ema must lie in 0..1 (1 excluded), final_fraction in 0..1")
        if self.max_minutes is not None and not self.max_minutes > 0:
            raise InputError(f"max_minutes = {self.max_minutes} must be positive")
