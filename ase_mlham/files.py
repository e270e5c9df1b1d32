"""Writing a file so that a reader finds all of it or none."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ase_mlham.errors import FormatError

__all__ = ["atomic_path"]


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary name in the same folder, renamed to `path` when the block ends without an error.

    The contents are on disk before the rename; after an error or an interruption the temporary file
    is removed and a former file of that name is untouched.

    Parameters
    ----------
    path : Path
        The final name.

    Raises
    ------
    FormatError
        The folder does not exist or cannot be written, or the disk is full.
    """
    if not path.parent.is_dir():
        raise FormatError(f"cannot write {path}: the folder {path.parent} does not exist")
    if path.is_dir():
        raise FormatError(f"cannot write {path}: a folder has this name")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise FormatError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    # the rename itself survives a power failure only once the folder is on disk too; where a
    # folder cannot be opened (Windows), the system offers no such call
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(path.parent, os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
