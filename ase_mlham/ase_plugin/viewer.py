"""`ase.visualize.view(atoms, viewer="mlham")`: `mlham gui` in a process of its own.

Atoms are handed over as extended XYZ, which keeps initial moments and every other array (ASE's
trajectories lose them). The new process gets them through a pipe and keeps them in a folder that
goes when the window is closed, so that the caller need not wait and nothing stays behind.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_mlham.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["main", "view_mlham"]


def view_mlham(
    atoms: Atoms | Sequence[Atoms],
    data: Any = None,
    repeat: Sequence[int] | None = None,
    *,
    model: str | None = None,
) -> subprocess.Popen[bytes]:
    """Open `mlham gui` on atoms, and return at once.

    Parameters
    ----------
    atoms : ase.Atoms, or a sequence of them
        What is shown; the frames of a trajectory.
    data : None
        ASE's viewers of densities take values on a grid here; this one makes its own.
    repeat : (3,) int, optional
        How often the cell is repeated, as in `ase.visualize.view`.
    model : str, optional
        Model of the Hamiltonian; that of the atoms' own `MLHamiltonian` if not given.

    Returns
    -------
    subprocess.Popen
        The window's process.

    Raises
    ------
    InputError
        `data` was given.
    """
    if data is not None:
        raise InputError(
            "the viewer mlham takes no data: it computes densities and wave functions itself, in "
            "the window's menu"
        )
    images = [atoms] if hasattr(atoms, "positions") else list(atoms)
    model = _model_of(images[-1]) if model is None else model
    options = [] if model is None else ["--model", model]
    if repeat is not None:
        # repeated by the window, which keeps the cell that the electrons see
        options += ["--repeat", ",".join(str(n) for n in repeat)]
    process = subprocess.Popen(  # noqa: S603 - this interpreter and a module of ours
        [sys.executable, "-m", __name__, *options], stdin=subprocess.PIPE
    )
    if process.stdin is None:
        raise AssertionError("a pipe was asked for")
    with process.stdin:
        process.stdin.write(_extxyz(images))
    return process


def _model_of(atoms: Atoms) -> str | None:
    """Name or file of the source of an attached `MLHamiltonian`, if it can be named."""
    parameters = getattr(atoms.calc, "parameters", {})
    model = parameters.get("model") if getattr(atoms.calc, "name", "") == "mlhamiltonian" else None
    return model if isinstance(model, str) else None


def _extxyz(images: list[Atoms]) -> bytes:
    from ase.io import write

    text = io.StringIO()
    write(text, images, format="extxyz")
    return text.getvalue().encode()


def main() -> int:
    """Show what comes through the standard input; the exit code of `mlham gui`."""
    from ase_mlham.hooks import load

    with tempfile.TemporaryDirectory(prefix="mlham-view-") as folder:
        path = Path(folder) / "atoms.extxyz"
        path.write_bytes(sys.stdin.buffer.read())
        run = load("ase_mlham.cli.main:main")
        return int(run(["gui", str(path), *sys.argv[1:]]))


if __name__ == "__main__":
    raise SystemExit(main())
