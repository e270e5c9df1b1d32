"""Rows evaluated a portion at a time, so that memory does not grow with their number.

In prediction a portion is forgotten as soon as its result is used. In training the graph of
derivatives keeps what every portion computed; with `recompute` it keeps the inputs alone, and each
portion is evaluated a second time on the way back, with the same random numbers and in the same
precision (activation checkpointing).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ase_mlham.errors import InputError

__all__ = ["evaluated", "in_portions", "rows_at_once", "set_recompute"]


def rows_at_once(most: int, cached: int, device: torch.device) -> int:
    """Rows in a portion: `most`, and on a processor no more than stay in its cache.

    Parameters
    ----------
    most : int
        What bounds the memory.
    cached : int
        Rows whose values stay in the cache of one core from one operation to the next.
    device : torch.device
        Where they are evaluated.
    """
    if device.type != "cpu":
        return most
    # threads share the rows of an operation, and each has a cache of its own
    return min(most, cached * torch.get_num_threads())


def in_portions(
    function: Callable[..., Any], n_rows: int, step: int, *arguments: Any, recompute: bool = False
) -> Iterator[tuple[slice, Any]]:
    """Evaluate a function over rows, one portion after another.

    Parameters
    ----------
    function : callable
        `function(part, *arguments)` with a slice of the rows; gives a tensor or a tuple of them.
        What changes between two uses must come through the arguments: a name of the surrounding
        function may mean something else when the portion is evaluated again.
    n_rows : int
        Number of rows; nothing is evaluated for none.
    step : int
        Rows in a portion.
    *arguments
        Handed on, whole.
    recompute : bool
        Where derivatives are wanted, keep the arguments alone and evaluate again on the way back.

    Yields
    ------
    (slice, result)
        Of each portion. Results that are only summed up are not kept for the derivatives.
    """
    again = recompute and torch.is_grad_enabled()
    for start in range(0, n_rows, max(step, 1)):
        part = slice(start, min(start + step, n_rows))
        if again:
            yield part, checkpoint(function, part, *arguments, use_reentrant=False)
        else:
            yield part, function(part, *arguments)


def evaluated(
    function: Callable[..., Tensor],
    n_rows: int,
    step: int,
    *arguments: Any,
    recompute: bool = False,
) -> Tensor:
    """The results of `in_portions`, one after another in one tensor.

    With no rows the function is asked once for an empty slice, which says what columns there are.
    """
    results = [
        result for _, result in in_portions(function, n_rows, step, *arguments, recompute=recompute)
    ]
    if not results:
        return function(slice(0, 0), *arguments)
    return results[0] if len(results) == 1 else torch.cat(results)


def set_recompute(network: nn.Module, on: bool) -> None:
    """Switch activation checkpointing, in all modules that have an attribute `recompute`.

    Raises
    ------
    InputError
        It is to be switched on, and no module of the network has it.
    """
    able = [module for module in network.modules() if hasattr(module, "recompute")]
    if on and not able:
        raise InputError(
            f"recompute = true: {type(network).__name__} cannot evaluate its layers again (it has "
            "no attribute `recompute`); leave recompute out, or use smaller structures"
        )
    for module in able:
        module.recompute = on
