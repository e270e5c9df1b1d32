"""What is kept: the values that were used last."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

__all__ = ["Recent"]

Value = TypeVar("Value")


class Recent:
    """A few values that were used last, by key.

    Parameters
    ----------
    size : int
        How many; the one that was not used for longest goes first.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._values: OrderedDict[Hashable, Any] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key, made if it is not there."""
        if key not in self._values:
            self._values[key] = make()
            while len(self._values) > self.size:
                self._values.popitem(last=False)
        self._values.move_to_end(key)
        value: Value = self._values[key]
        return value

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
