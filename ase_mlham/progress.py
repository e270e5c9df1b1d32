"""How far a long calculation is: library code tells, whoever listens shows.

A loop that may take seconds says `for k in track(points, len(points), "k-points")`. Nobody hears it
unless a reporter was set: the command line sets one that draws a bar or writes lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

__all__ = ["Reporter", "reporting", "track"]

Step = TypeVar("Step")

Reporter = Callable[[Iterable[Step], int, str], Iterable[Step]]
"""Gives the same steps again, and shows how many of the total have been taken."""

_reporter: ContextVar[Reporter | None] = ContextVar("reporter", default=None)


def track(steps: Iterable[Step], total: int, task: str) -> Iterable[Step]:
    """The same steps, shown to the reporter if there is one.

    Parameters
    ----------
    steps : iterable
        What is looped over.
    total : int
        How many there are.
    task : str
        Plural noun for the line that users see, for example "k-points".
    """
    reporter = _reporter.get()
    return steps if reporter is None else reporter(steps, total, task)


@contextmanager
def reporting(reporter: Reporter) -> Iterator[None]:
    """Have everything that is tracked in this block shown."""
    token = _reporter.set(reporter)
    try:
        yield
    finally:
        _reporter.reset(token)
