"""Optimisers, and the learning rate from step to step.

The rate is a function of the step, or of a small state that a checkpoint holds: a resumed training
takes the steps that it would have taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from ase_mlham.learning.training_options import TrainingConfig

__all__ = ["Plateau", "cosine", "make_optimiser"]

_NOTICED = 1e-4
"""Part of the best value by which a better one must be lower to count as better."""


def make_optimiser(
    parameters: Iterable[nn.Parameter], options: TrainingConfig
) -> torch.optim.Optimizer:
    """Adam or AdamW, as the options say."""
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    return kinds[options.optimiser](
        parameters,
        lr=options.learning_rate,
        betas=(options.beta1, options.beta2),
        weight_decay=options.weight_decay,
        foreach=True,
    )


def cosine(progress: float, low: float) -> float:
    """Factor that falls from 1 to `low` while `progress` goes from 0 to 1."""
    return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


class Plateau:
    """Learning rate that is lowered where a value no longer falls.

    Parameters
    ----------
    options : TrainingConfig
        Largest and smallest rate, factor, patience.

    Attributes
    ----------
    rate : float
        Now.
    ended : bool
        The smallest rate was reached, and has helped no more either.
    """

    def __init__(self, options: TrainingConfig) -> None:
        self._factor, self._patience = options.plateau_factor, options.plateau_patience
        self._smallest = options.smallest_rate
        self.rate, self.ended = options.learning_rate, False
        self._best, self._waited = math.inf, 0

    def note(self, value: float) -> None:
        """Take in the value of a validation."""
        if value < self._best * (1 - _NOTICED):
            self._best, self._waited = value, 0
            return
        self._waited += 1
        if self._waited > self._patience:
            self.ended = self.rate <= self._smallest
            self.rate = max(self._smallest, self.rate * self._factor)
            self._waited = 0

    def state(self) -> dict[str, Any]:
        """Everything that changes."""
        return {
            "rate": self.rate,
            "ended": self.ended,
            # a number without end has no place in JSON
            "best": None if math.isinf(self._best) else self._best,
            "waited": self._waited,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.rate, self.ended = float(state["rate"]), bool(state["ended"])
        self._best = math.inf if state["best"] is None else float(state["best"])
        self._waited = int(state["waited"])
