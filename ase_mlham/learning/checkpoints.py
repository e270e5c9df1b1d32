"""Lightning checkpoints as safetensors archives instead of pickles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric.plugins import CheckpointIO
from torch import Tensor

from ase_mlham.learning.archive import read_archive, write_archive

__all__ = ["ArchiveCheckpoints"]

_VERSION = (1, 0)


def _to_numpy(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().cpu().numpy()
    if isinstance(value, Mapping):
        return {key: _to_numpy(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_to_numpy(entry) for entry in value)
    return str(value) if isinstance(value, Path) else value


def _to_torch(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        # the archive's buffer is read-only
        return torch.from_numpy(value.copy())
    if isinstance(value, dict):
        return {key: _to_torch(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_to_torch(entry) for entry in value)
    return value


class ArchiveCheckpoints(CheckpointIO):
    """Writes and reads the state of a training run; every number comes back bit for bit."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write the state of trainer, network and optimiser."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_archive(target, _to_numpy(checkpoint), kind="checkpoint", version=_VERSION)

    def load_checkpoint(
        self,
        path: Any,
        map_location: Callable[..., Any] | None = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Read what `save_checkpoint` wrote; tensors are on the CPU.

        Raises
        ------
        ModelError
            The file is missing or damaged.
        """
        tree, _ = read_archive(Path(path), kind="checkpoint", version=_VERSION)
        state: dict[str, Any] = _to_torch(tree)
        return state

    def remove_checkpoint(self, path: Any) -> None:
        """Delete a file."""
        Path(path).unlink(missing_ok=True)
