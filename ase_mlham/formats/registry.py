"""Which format a file has: every installed one is asked, the surest answer wins."""

from __future__ import annotations

import logging
from difflib import get_close_matches
from fnmatch import fnmatch
from os import PathLike
from pathlib import Path
from typing import Any

from ase_mlham import hooks
from ase_mlham.core.system import LCAOSystem
from ase_mlham.errors import FormatError, PluginError
from ase_mlham.formats.outline import Outline
from ase_mlham.hooks import FormatSpec

__all__ = ["detect_format", "read_outline", "read_system", "sniff_formats", "write_system"]

_log = logging.getLogger(__name__)


def _existing(path: str | PathLike[str]) -> Path:
    """The path, if there is something readable at it."""
    path = Path(path)
    try:
        if path.is_dir():
            return path
        with path.open("rb") as stream:
            empty = not stream.read(1)
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file{_nearest(path)}") from None
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror})") from error
    if empty:
        raise FormatError(f"{path}: the file is empty; was the program that wrote it interrupted?")
    return path


def _nearest(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f" (the folder {folder} does not exist either)"
    close = get_close_matches(path.name, [entry.name for entry in folder.iterdir()], n=1)
    return f"; did you mean {folder / close[0]}?" if close else ""


def _known(specs: dict[str, FormatSpec]) -> str:
    return ", ".join(f"{s.name} ({', '.join(s.patterns)})" for s in specs.values()) or "none"


def sniff_formats(path: str | PathLike[str]) -> dict[str, float]:
    """How sure each format is that a file is its own.

    Parameters
    ----------
    path : path
        A file, or a folder for formats that are folders.

    Returns
    -------
    dict
        Format name to confidence, above 0 and at most 1, the surest first.

    Raises
    ------
    FormatError
        There is no such file, or it cannot be opened, or it is empty.
    PluginError
        A format answers with something that is not a confidence.
    """
    path = _existing(path)
    found: dict[str, float] = {}
    for name, spec in hooks.registered("format").items():
        try:
            confidence = hooks.load(spec.sniff)(path)
        except Exception as error:  # noqa: BLE001 - a stranger's code may raise anything
            _log.warning(
                "format %s could not look at %s: %s: %s", name, path, type(error).__name__, error
            )
            continue
        if not isinstance(confidence, int | float) or not 0 <= confidence <= 1:
            raise PluginError(
                f"format {name!r} answers {confidence!r} for {path}; expected a number from 0 to 1"
            )
        if confidence > 0:
            found[name] = float(confidence)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def detect_format(path: str | PathLike[str]) -> FormatSpec:
    """The format of a file.

    Parameters
    ----------
    path : path
        A file or folder.

    Raises
    ------
    FormatError
        No format recognises the file, or two are equally sure; the message names them.
    """
    specs = dict(hooks.registered("format"))
    found = sniff_formats(path)
    if not found:
        raise FormatError(
            f"{path}: not a file with a Hamiltonian in any known format; known: {_known(specs)}"
        )
    best = max(found.values())
    candidates = [name for name, confidence in found.items() if confidence == best]
    if len(candidates) > 1:
        raise FormatError(
            f"{path}: could be any of {', '.join(candidates)}; say which with format="
        )
    return specs[candidates[0]]


def read_system(
    path: str | PathLike[str],
    format: str | None = None,  # noqa: A002 - the word of ase.io.read
    **options: Any,
) -> LCAOSystem:
    """Hamiltonian, overlap, structure and basis from a file.

    Parameters
    ----------
    path : path
        A file (or folder) in any installed format; compressed files (.gz, .zst) are read as they
        are where the format allows it.
    format : str, optional
        Name of the format; found out from the file if not given.
    **options
        Passed to the reader of that format.

    Returns
    -------
    LCAOSystem
        Energies in eV, lengths in Å.

    Raises
    ------
    FormatError
        There is no such file, its format is unknown or ambiguous, or it is damaged.

    Examples
    --------
    >>> import ase_mlham as mh
    >>> system = mh.read_system("silicon.scfout")  # doctest: +SKIP
    """
    return hooks.load(_chosen(path, format).read)(Path(path), **options)


def read_outline(
    path: str | PathLike[str],
    format: str | None = None,  # noqa: A002 - as above
) -> Outline:
    """Atoms, electrons and Fermi level of a file, without its matrices where the format can.

    Parameters
    ----------
    path : path
        As for `read_system`.
    format : str, optional
        Likewise.

    Raises
    ------
    FormatError
        There is no such file, its format is unknown or ambiguous, or it is damaged.
    """
    spec = _chosen(path, format)
    if spec.outline is None:
        return Outline.of(hooks.load(spec.read)(Path(path)))
    return hooks.load(spec.outline)(Path(path))


def _chosen(path: str | PathLike[str], name: str | None) -> FormatSpec:
    """The format of a name, or else that of the file, which must exist."""
    if name is None:
        return detect_format(path)
    spec: FormatSpec = hooks.find("format", name, FormatError)
    _existing(path)
    return spec


def write_system(
    system: LCAOSystem,
    path: str | PathLike[str],
    format: str | None = None,  # noqa: A002 - the word of ase.io.write
    **options: Any,
) -> None:
    """Write a system, atomically: a reader finds all of it or none.

    Parameters
    ----------
    system : LCAOSystem
        What to write.
    path : path
        An existing file is replaced.
    format : str, optional
        Name of the format; chosen by the file name if not given ("*.h5" is the package's own).
    **options
        Passed to the writer of that format.

    Raises
    ------
    FormatError
        No format that writes fits the name, or the file cannot be written.
    """
    path = Path(path)
    writers = {n: s for n, s in hooks.registered("format").items() if s.write is not None}
    if format is not None:
        spec = hooks.find("format", format, FormatError)
        if spec.write is None:
            raise FormatError(
                f"format {format!r} is read, not written; written are: {_known(writers)}"
            )
    else:
        fitting = [
            s for s in writers.values() if any(fnmatch(path.name, glob) for glob in s.patterns)
        ]
        if len(fitting) != 1:
            several = ", ".join(s.name for s in fitting)
            reason = f"{several} all write such files" if fitting else "no format writes such files"
            raise FormatError(
                f"{path}: {reason}; say which with format= (written are: {_known(writers)})"
            )
        spec = fitting[0]
    hooks.load(spec.write)(system, path, **options)
