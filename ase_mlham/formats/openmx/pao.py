"""Radial functions of OpenMX's orbitals: `.pao` files.

A file holds up to fifteen functions for each l on a logarithmic grid; a basis "Si7.0-s2p2d1" takes
the first 2, 2 and 1 of l = 0, 1, 2 of `Si7.0.pao`, signs as they stand. The files belong to
OpenMX's database and are found beside the output or where `MLHAM_OPENMX_DATA` says.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.radial import TabulatedRadial
from ase_mlham.errors import FormatError
from ase_mlham.formats.compression import read_text
from ase_mlham.formats.openmx.orbitals import BasisString
from ase_mlham.units import OPENMX

__all__ = ["DATA_VARIABLE", "PaoFile", "find_pao", "read_pao"]

DATA_VARIABLE = "MLHAM_OPENMX_DATA"
"""Environment variable with the folder of OpenMX's database (or of its .pao files)."""

_LIMIT = 1 << 26
_NORM_TOLERANCE = 0.05  # the database itself deviates by up to 0.015 (Mo7.0), damage by far more


@dataclass(frozen=True, eq=False)
class PaoFile:
    """Radial functions of one element.

    Attributes
    ----------
    path : Path
        Where they were read.
    valence : float
        Valence electrons of the pseudo-atom.
    cutoff : float
        Radius beyond which all functions are zero, Å.
    r : (n,) float
        Distances in Å.
    functions : dict
        l to (n_functions, n) float, R(r) in Å^(-3/2).
    """

    path: Path
    valence: float
    cutoff: float
    r: NDArray[np.float64]
    functions: dict[int, NDArray[np.float64]]

    def radial(self, l: int, n: int) -> TabulatedRadial:
        """The n-th function (from 0) of an l, interpolated as OpenMX does.

        Raises
        ------
        FormatError
            The file has not so many.
        """
        held = len(self.functions.get(l, ()))
        if n >= held:
            raise FormatError(
                f"{self.path}: function {n + 1} of l = {l} is asked for, the file holds {held}; is "
                "it the right version of the database?"
            )
        values = self.functions[l][n]
        # OpenMX's interpolation reaches two points past the last number that is not zero
        last = min(int(np.flatnonzero(values).max(initial=0)) + 2, len(self.r) - 1)
        return TabulatedRadial(self.r, values, float(self.r[last]), "parabolic")


def _value(lines: list[str], keyword: str, path: Path) -> float:
    for line in lines:
        words = line.split("#")[0].split()
        if len(words) > 1 and words[0].lower() == keyword:
            try:
                value = float(words[1])
            except ValueError:
                break
            if 0 < value < 1e4:
                return value
            break
    raise FormatError(f"{path}: no positive number after {keyword!r}; is it a complete .pao file?")


def read_pao(path: str | os.PathLike[str]) -> PaoFile:
    """Read a `.pao` file, plain or compressed.

    Parameters
    ----------
    path : path
        The file.

    Raises
    ------
    FormatError
        It is damaged or no such file.
    """
    path = Path(path)
    lines = read_text(path, _LIMIT).splitlines()
    valence = _value(lines, "valence.electron", path)
    cutoff = _value(lines, "radial.cutoff.pao", path)
    l_max = int(_value(lines, "pao.lmax", path)) if _says(lines, "pao.lmax") else -1
    functions: dict[int, NDArray[np.float64]] = {}
    r = np.empty(0)
    for l in range(l_max + 1):
        table = _table(lines, f"pseudo.atomic.orbitals.L={l}", path)
        grid, values = table[:, 1], table[:, 2:].T
        if l and not np.array_equal(grid, r):
            raise FormatError(f"{path}: the grid of l = {l} is not that of l = 0")
        r, functions[l] = grid, values * OPENMX.bohr**-1.5
        # orthonormal by construction: catches damaged and mixed-up columns
        density = values**2 * grid**3
        norms = (density[:, 1:] + density[:, :-1]) @ np.diff(np.log(grid)) / 2
        deviation = np.abs(norms - 1)
        if deviation.max() > _NORM_TOLERANCE:
            worst = int(deviation.argmax())
            raise FormatError(
                f"{path}: function {worst + 1} of l = {l} has norm {norms[worst]:.4f} instead of "
                "1; the file is damaged"
            )
    if not functions:
        raise FormatError(f"{path}: no radial functions; this is not a .pao file of optimised PAOs")
    return PaoFile(path, valence, cutoff * OPENMX.bohr, r * OPENMX.bohr, functions)


def _says(lines: list[str], keyword: str) -> bool:
    return any(line.lower().startswith(keyword) for line in lines)


def _table(lines: list[str], name: str, path: Path) -> NDArray[np.float64]:
    """Numbers between `<name` and `name>`: x = ln r, r, functions."""
    try:
        first = lines.index(f"<{name}") + 1
        last = lines.index(f"{name}>", first)
    except ValueError:
        raise FormatError(f"{path}: the table <{name} is missing or has no end") from None
    rows = [line.split() for line in lines[first:last]]
    if len(rows) < 10 or len({len(row) for row in rows}) != 1 or len(rows[0]) < 3:
        raise FormatError(f"{path}: the table <{name} is incomplete")
    try:
        table = np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise FormatError(f"{path}: the table <{name} is damaged: {error}") from None
    r = table[:, 1]
    if not np.isfinite(table).all() or r[0] <= 0 or np.any(np.diff(r) <= 0) or r[-1] > 1e3:
        raise FormatError(f"{path}: the table <{name} is damaged: r must increase from above 0")
    if abs(table[:, 2:]).max() > 1e4:
        raise FormatError(f"{path}: the table <{name} is damaged: a value is beyond 10000")
    return table


def find_pao(basis: BasisString, near: Path, data_path: str = "") -> Path | None:
    """The file of a basis's radial functions, None if it is nowhere.

    Looked for, in this order, in the folder that `MLHAM_OPENMX_DATA` names and its `PAO`; beside
    the output and in `pao` or `PAO` there and one folder up; in `PAO` of the input's `DATA.PATH`.

    Parameters
    ----------
    basis : BasisString
        Names the file.
    near : Path
        The output file.
    data_path : str
        `DATA.PATH` of the input.

    Raises
    ------
    FormatError
        `MLHAM_OPENMX_DATA` is set, but is not a folder.
    """
    here = near.absolute().parent
    folders = []
    if DATA_VARIABLE in os.environ:
        data = Path(os.environ[DATA_VARIABLE])
        if not data.is_dir():
            raise FormatError(f"{DATA_VARIABLE} is {str(data)!r}, which is not a folder")
        folders += [data, data / "PAO", data / "pao"]
    folders += [here, here / "pao", here / "PAO", here.parent / "pao", here.parent / "PAO"]
    if data_path and "\0" not in data_path:
        folders.append(here / data_path / "PAO")
    for folder in folders:
        for ending in ("", ".zst", ".gz"):
            path = folder / f"{basis.file}.pao{ending}"
            if path.is_file():
                return path
    return None
