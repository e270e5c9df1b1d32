"""Nested dictionaries with arrays, as one JSON text and one flat array of numbers.

A basis is a tree of small dictionaries whose leaves are dozens of short arrays. HDF5 spends a tenth
of a millisecond on each of them; one text and one array open at once, keep every bit of the numbers
and remain readable by eye.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.errors import FormatError, InputError

__all__ = ["pack", "unpack"]

_ARRAY = "@numbers"


def pack(tree: Any) -> tuple[str, NDArray[np.float64]]:
    """JSON text and flat numbers of a tree of dictionaries, lists, plain values and float arrays.

    Parameters
    ----------
    tree
        Arrays of it become {"@numbers": first, "shape": [...]}.

    Returns
    -------
    text : str
        JSON.
    numbers : (n,) float
        All arrays, one after another, row-major.

    Raises
    ------
    InputError
        A value cannot be written as JSON.
    """
    numbers: list[NDArray[np.float64]] = []
    length = 0

    def visit(node: Any) -> Any:
        nonlocal length
        if isinstance(node, np.ndarray):
            entry = {_ARRAY: length, "shape": list(node.shape)}
            numbers.append(node.astype(np.float64).ravel())
            length += node.size
            return entry
        if isinstance(node, dict):
            return {key: visit(value) for key, value in node.items()}
        if isinstance(node, list | tuple):
            return [visit(value) for value in node]
        return node.item() if isinstance(node, np.generic) else node

    try:
        text = json.dumps(visit(tree), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"this cannot be written to a file: {error}") from error
    return text, np.concatenate(numbers) if numbers else np.empty(0)


def unpack(text: str, numbers: NDArray[np.float64]) -> Any:
    """The tree that `pack` was given.

    Raises
    ------
    FormatError
        The text is not JSON, or refers to numbers that are not there.
    """

    def visit(node: dict[str, Any]) -> Any:
        if _ARRAY not in node:
            return node
        start, shape = node[_ARRAY], node.get("shape")
        if (
            not isinstance(start, int)
            or not isinstance(shape, list)
            or not all(isinstance(n, int) and n >= 0 for n in shape)
        ):
            raise FormatError("a reference to stored numbers is malformed")
        stop = start + int(np.prod([int(n) for n in shape], dtype=object))
        if not 0 <= start <= stop <= len(numbers):
            raise FormatError(f"numbers {start} to {stop} are used, {len(numbers)} are stored")
        return numbers[start:stop].reshape(shape)

    try:
        return json.loads(text, object_hook=visit)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"text that should be JSON is not: {error}") from error
