"""What a user sees of a long calculation: a bar on a terminal, lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["show"]

PATIENCE = 2.0
"""Seconds of silence before anything is shown."""

INTERVAL = 10.0
"""Seconds between lines where there is no terminal."""


def show(steps: Iterable[Any], total: int, task: str) -> Iterable[Any]:
    """Reporter for `ase_mlham.progress`."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        return tqdm(steps, total=total, desc=task, delay=PATIENCE, leave=False, file=sys.stderr)
    return _lines(steps, total, task)


def _lines(steps: Iterable[Any], total: int, task: str) -> Iterator[Any]:
    start = time.monotonic()
    due = start + PATIENCE
    for done, step in enumerate(steps, 1):
        yield step
        now = time.monotonic()
        if now >= due and done < total:
            left = (now - start) / done * (total - done)
            sys.stderr.write(f"mlham: {done} of {total} {task}, about {left:.0f} s left\n")
            due = now + INTERVAL
