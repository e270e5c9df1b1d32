"""One line in `~/.ase/gui.py`, which plain `ase gui` runs when it starts, brings the menu there.

The file is the user's. The line carries a mark, nothing else in the file is ever touched, and it
does nothing where the package is no longer installed.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ase_mlham.errors import InputError

__all__ = ["MARK", "add_line", "remove_line", "user_file"]

MARK = "# ase-mlham: Electronic structure menu"
"""How the line is recognised."""

LINE = (
    'import importlib.util; importlib.util.find_spec("ase_mlham") and '
    f'importlib.import_module("ase_mlham.gui.patch")  {MARK} (mlham gui --remove-menu)'
)


def user_file() -> Path:
    """The file that ASE runs when its window starts."""
    return Path("~/.ase/gui.py").expanduser()


def add_line(path: Path | None = None) -> bool:
    """Add the line at the end of the file; False if it is there already.

    Raises
    ------
    InputError
        The file is no valid Python, so that no place in it is safe, or it cannot be written.
    """
    path = user_file() if path is None else path
    before = path.read_bytes() if path.exists() else b""
    if MARK.encode() in before:
        return False
    newline = b"\r\n" if b"\r\n" in before else b"\n"
    gap = newline if before and not before.endswith(b"\n") else b""
    after = before + gap + LINE.encode() + newline
    for text in (before, after):
        try:
            compile(text, str(path), "exec")
        except (SyntaxError, ValueError) as error:
            raise InputError(
                f"{path} is not valid Python ({error}), and is left as it is; mend it, or add this "
                f"line yourself: {LINE}"
            ) from error
    _replace(path, after)
    return True


def remove_line(path: Path | None = None) -> bool:
    """Take the line out; False if it is not there. A file with nothing else is removed."""
    path = user_file() if path is None else path
    before = path.read_bytes() if path.exists() else b""
    lines = before.splitlines(keepends=True)
    kept = [line for line in lines if MARK.encode() not in line]
    if len(kept) == len(lines):
        return False
    if kept:
        _replace(path, b"".join(kept))
    else:
        path.resolve().unlink()
    return True


def _replace(path: Path, content: bytes) -> None:
    """Write the whole file or nothing; a link stays a link, and permissions stay."""
    target = path.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".gui.py.")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            temporary.chmod(target.stat().st_mode & 0o777 if target.exists() else 0o644)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{target} cannot be written ({error.strerror}); is it yours?") from error
