"""Writing results: a file appears complete or not at all; tables for the terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ase_mlham.errors import InputError
from ase_mlham.files import atomic_path

__all__ = ["PICTURES", "check_target", "table", "write_json", "write_text"]

PICTURES = (".png", ".pdf", ".svg", ".eps", ".jpg")
"""Suffixes of pictures that matplotlib draws without a display."""


def check_target(path: str | Path, suffixes: Sequence[str] = (), *, overwrite: bool = True) -> Path:
    """Refuse, before anything is computed, a file that could not be written afterwards.

    Parameters
    ----------
    path : str or Path
        Where the user wants the result.
    suffixes : sequence of str
        What its name may end with; any if empty.
    overwrite : bool
        Whether a file that exists may be replaced.

    Raises
    ------
    InputError
        The suffix is unknown, the folder is missing or cannot be written to, or the file exists.
    """
    path = Path(path)
    if suffixes and path.suffix.lower() not in suffixes:
        raise InputError(
            f"{path}: the name of the output says what to write; it must end with one of "
            f"{', '.join(suffixes)}"
        )
    folder = path.parent
    if not folder.is_dir():
        raise InputError(f"{path}: there is no folder {folder}; make it first (mkdir -p {folder})")
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the name of a file")
    if not os.access(folder, os.W_OK):
        raise InputError(f"{path}: the folder {folder.resolve()} cannot be written to")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists; give another name, or --force to replace it")
    return path


def write_text(path: str | Path, text: str) -> None:
    """Write a text file; "-" is the standard output."""
    if str(path) == "-":
        sys.stdout.write(text)
        return
    with atomic_path(Path(path)) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: str | Path, data: Any) -> None:
    """Write plain data as JSON; "-" is the standard output."""
    write_text(path, json.dumps(data, indent=1, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    """JSON form of NumPy numbers and arrays."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Text in aligned columns: numbers to the right, the rest to the left."""
    cells = [[str(cell) for cell in row] for row in rows]
    numeric = [
        bool(rows) and all(isinstance(row[c], (int, float)) for row in rows)
        for c in range(len(header))
    ]
    widths = [max(len(row[c]) for row in [list(header), *cells]) for c in range(len(header))]
    lines = []
    for row in [list(header), *cells]:
        parts = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)
