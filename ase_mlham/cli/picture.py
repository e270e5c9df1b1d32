"""Pictures written to files, without a display."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["drawing"]


@contextmanager
def drawing(target: Path) -> Iterator[list[Any]]:
    """Draw in the block and append the axes to the list: they are saved when it ends well.

    Parameters
    ----------
    target : Path
        Its suffix says the format. It appears complete or not at all.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    from ase_mlham.plots.style import save

    axes: list[Any] = []
    yield axes
    part = target.with_name(f".{target.stem}-{secrets.token_hex(4)}{target.suffix}")
    try:
        save(axes[0], part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
        plt.close("all")
