"""Training in several processes: who this one is, and what they must agree about.

Lightning starts the same command once more for each further device. Every process prepares the
data, trains on its share of each step and validates its share; the first one alone writes files.
Whatever decides about going on (time, errors of a validation) is made equal in all of them, or
they would wait for one another for ever.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.utils.data import Sampler

from ase_mlham.errors import InputError
from ase_mlham.learning.training_options import TrainingConfig

__all__ = [
    "EpochOrder",
    "Share",
    "average_gradients",
    "from_first",
    "gathered",
    "rank",
    "same_everywhere",
    "training_device",
]


def rank() -> int:
    """Number of this process among those of a training; 0 where there is only one."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")))


def training_device(config: TrainingConfig) -> torch.device:
    """Where this process trains.

    Raises
    ------
    InputError
        There are not so many devices, or they do not know the precision.
    """
    from ase_mlham.learning.model import pick_device

    device = pick_device(config.device)
    if config.precision == "16" and device.type == "cpu":
        raise InputError(
            'precision = "16" needs a GPU (float16 has too small a range without one): use '
            '"bf16", or "32", on a CPU'
        )
    if config.devices == 1:
        return device
    if device.type == "cuda":
        there = torch.cuda.device_count()
        if config.devices > there:
            raise InputError(f"devices = {config.devices}: this machine has {there} GPU(s)")
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    if device.type != "cpu":
        raise InputError(f"devices = {config.devices}: of {device.type} there is one; set 1")
    return device


def mixed(seed: int, count: int) -> int:
    """A seed that depends on both."""
    return (seed * 1_000_003 + count) % 2**63


class EpochOrder(Sampler[int]):
    """A random order that depends on the seed and the epoch alone. Lightning tells it the epoch.

    A step takes the next structures of this order, as many as one process would with a batch that
    is larger by the number of processes, and divides them. In the last step of an epoch some
    structures are repeated where the processes would get different numbers.

    Parameters
    ----------
    n : int
        Structures.
    seed : int
        Of the order.
    batch : int
        Structures of a process in one step.
    processes : int
        Their number.
    rank : callable
        Which of them this one is.
    """

    def __init__(
        self, n: int, seed: int, batch: int = 1, processes: int = 1, rank: Callable[[], int] = rank
    ) -> None:
        self._n, self._seed, self._epoch = n, seed, 0
        self._batch, self._processes, self._rank = batch, processes, rank

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes."""
        self._epoch = epoch

    def __len__(self) -> int:
        return -(-self._n // self._processes)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(mixed(self._seed, self._epoch))
        order = torch.randperm(self._n, generator=generator).tolist()
        if self._processes == 1:
            return iter(order)
        return iter(self._share(order))

    def _share(self, order: list[int]) -> list[int]:
        missing = -len(order) % self._processes
        order += [order[n % len(order)] for n in range(missing)]
        out, step, own = [], self._batch * self._processes, self._rank()
        for start in range(0, len(order), step):
            together = order[start : start + step]
            size = len(together) // self._processes
            out += together[own * size : (own + 1) * size]
        return out


class Share(Sampler[int]):
    """Every process's share of structures: each P-th, and at the end perhaps one of another.

    All get the same number; `is_own` says which count.
    """

    def __init__(self, n: int, processes: int, rank: Callable[[], int] = rank) -> None:
        self._n, self._processes, self._rank = n, processes, rank

    def __len__(self) -> int:
        return -(-self._n // self._processes)

    def __iter__(self) -> Iterator[int]:
        own = (k * self._processes + self._rank() for k in range(len(self)))
        return iter([index % self._n for index in own])

    def is_own(self, position: int) -> bool:
        """Whether the structure at a position of this share is nobody else's."""
        return position * self._processes + self._rank() < self._n


def _several() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def gathered(values: Tensor, device: torch.device) -> list[Tensor]:
    """The tensors of all processes, in the order of their numbers."""
    if not _several():
        return [values]
    own = values.to(device)
    out = [torch.empty_like(own) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(out, own)
    return [part.to(values.device) for part in out]


def from_first(value: float, device: torch.device) -> float:
    """The number that the first process has."""
    if not _several():
        return value
    shared = torch.tensor([value], dtype=torch.float64, device=device)
    torch.distributed.broadcast(shared, 0)
    return float(shared)


def same_everywhere(module: nn.Module) -> None:
    """Give all processes the weights and buffers of the first one."""
    if not _several():
        return
    with torch.no_grad():
        for tensor in module.state_dict().values():
            torch.distributed.broadcast(tensor, 0)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace the gradients by their mean over the processes.

    A weight that was of no use in a process counts as zero there; one that was of no use in any
    keeps no gradient, as with one process.
    """
    if not _several():
        return
    kept = [parameter for parameter in parameters if parameter.requires_grad]
    used = [0.0 if parameter.grad is None else 1.0 for parameter in kept]
    parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in kept]
    flat = torch.cat([*(part.flatten() for part in parts), parts[0].new_tensor(used)])
    torch.distributed.all_reduce(flat)
    *means, counts = flat.split([*(part.numel() for part in parts), len(kept)])
    for parameter, mean, count in zip(kept, means, counts.tolist(), strict=True):
        if count:
            parameter.grad = (mean / torch.distributed.get_world_size()).view_as(parameter)
