"""Eigenvalues that OpenMX printed itself: `.Band` files and the list in the `.out` text.

They are the check of everything that is computed from a `.scfout` file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ase_mlham.errors import FormatError
from ase_mlham.formats.compression import read_text
from ase_mlham.units import OPENMX

__all__ = ["BandSegment", "PrintedBands", "read_bands", "read_levels"]

_NUMBER = r"[-+]?\d+\.\d+(?:[eE][-+]?\d+)?"
_K_LINE = re.compile(rf"\s*k1=\s*({_NUMBER})\s+k2=\s*({_NUMBER})\s+k3=\s*({_NUMBER})\s*")
_LEVEL_LINE = re.compile(rf"\s*(\d+)\s+({_NUMBER})(?:\s+({_NUMBER}))?\s*")
_VERSION = re.compile(r"performed by OpenMX Ver\. (\d+)\.(\d+)")
_POTENTIAL = re.compile(rf"Chemical Potential \(Har?tree\)\s*=\s*({_NUMBER})")


@dataclass(frozen=True)
class BandSegment:
    """A straight piece of a path through the Brillouin zone.

    Attributes
    ----------
    n_points : int
        Points on it, both ends included.
    start, end : tuple of float
        In fractions of the reciprocal vectors.
    labels : tuple of str
        Of both ends.
    """

    n_points: int
    start: tuple[float, float, float]
    end: tuple[float, float, float]
    labels: tuple[str, str]


@dataclass(frozen=True, eq=False)
class PrintedBands:
    """Eigenvalues as printed.

    Attributes
    ----------
    kpts : (n_k, 3) float
        Fractions of the reciprocal vectors.
    energies : (n_channels, n_k, n_bands) float
        eV, absolute. Two channels if the text has two columns, which an `.out` text also has for
        systems without spin.
    fermi_level : float
        Chemical potential, eV.
    segments : tuple of BandSegment
        The path; empty for lists on a mesh.
    version : tuple of int
        Of OpenMX, (0, 0) where the text does not say.
    """

    kpts: NDArray[np.float64]
    energies: NDArray[np.float64]
    fermi_level: float
    segments: tuple[BandSegment, ...] = ()
    version: tuple[int, int] = (0, 0)

    def on_mesh(self, mesh: tuple[int, int, int]) -> PrintedBands:
        """The same with exact k-points: the text gives five digits, the bands' slope needs more.

        OpenMX 3.8 uses -1/2 + (2 i + 1) / 2 n, OpenMX 3.9 i/n, both with a small shift that lifts
        degeneracies: (1, -1, 2) times 1e-6 and 1e-8.

        Parameters
        ----------
        mesh : (3,) int
            `scf.Kgrid`.

        Raises
        ------
        FormatError
            The printed k-points are not on that mesh.
        """
        n = np.array(mesh)
        new = self.version >= (3, 9)
        origin = np.zeros(3) if new else 1 / (2 * n) - 0.5
        exact = np.round((self.kpts - origin) * n) / n + origin
        if abs(exact - self.kpts).max() > 2e-5:
            raise FormatError(f"the printed k-points are not those of a mesh {tuple(mesh)}")
        shift = np.array([1, -1, 2]) * (1e-8 if new else 1e-6)
        return replace(self, kpts=exact + np.where(n > 1, shift, 0.0))


def read_bands(path: str | os.PathLike[str]) -> PrintedBands:
    """Bands along a path from a `.Band` file, plain or compressed.

    Parameters
    ----------
    path : path
        The file.

    Raises
    ------
    FormatError
        Not such a file, cut off or damaged.
    """
    path = Path(path)
    words = iter(enumerate(line.split() for line in read_text(path).splitlines()))
    try:
        return _parse_bands(words)
    except StopIteration:
        raise FormatError(f"{path}: ends early; was the run interrupted?") from None
    except (ValueError, IndexError) as error:
        line = next(words, (None,))[0]
        where = "at its end" if line is None else f"before line {line + 1}"
        raise FormatError(f"{path}: not a .Band file of OpenMX, {where}: {error}") from error


def _parse_bands(lines: Iterator[tuple[int, list[str]]]) -> PrintedBands:
    _, (n_word, spin_word, potential) = next(lines)
    n_bands, n_channels = int(n_word), 2 if int(spin_word) == 1 else 1
    next(lines)  # the reciprocal vectors, known from the structure
    segments = []
    for _ in range(int(next(lines)[1][0])):
        w = next(lines)[1]
        start, end = (tuple(float(x) for x in w[at : at + 3]) for at in (1, 4))
        segments.append(BandSegment(int(w[0]), start, end, (w[7], w[8])))  # type: ignore[arg-type]
    n_k = sum(segment.n_points for segment in segments)
    kpts, energies = [], []
    for _ in range(n_k):
        channels = []
        for _ in range(n_channels):
            count, *k = next(lines)[1]
            values = [float(x) for x in next(lines)[1]]
            if int(count) != n_bands or len(values) != n_bands or len(k) != 3:
                raise ValueError(f"{len(values)} eigenvalues instead of {n_bands}")
            channels.append(values)
        kpts.append([float(x) for x in k])
        energies.append(channels)
    if not kpts:
        raise ValueError("no k-points")
    values_ev = np.array(energies).swapaxes(0, 1) * OPENMX.hartree
    if not np.isfinite(values_ev).all():
        raise ValueError("an eigenvalue is not a finite number")
    level = float(potential) * OPENMX.hartree
    return PrintedBands(np.array(kpts), values_ev, level, tuple(segments))


def read_levels(path: str | os.PathLike[str]) -> PrintedBands:
    """The last list of eigenvalues in an `.out` text, plain or compressed.

    Parameters
    ----------
    path : path
        The text; `level.of.fileout` must have let OpenMX print the list.

    Returns
    -------
    PrintedBands
        With k-points as printed: five digits. See `PrintedBands.on_mesh`.

    Raises
    ------
    FormatError
        There is no list, or it is cut off.
    """
    path = Path(path)
    text = read_text(path)
    version = _VERSION.search(text)
    parts = re.split(r"Eigenvalues \(Hartree\) (?:of|for) .*KS-eq\.", text)
    if len(parts) < 2:
        raise FormatError(f"{path}: no list of eigenvalues")
    potential = _POTENTIAL.search(parts[-1])
    if potential is None:
        raise FormatError(f"{path}: the list of eigenvalues has no chemical potential")
    kpts, lists = _parse_levels(parts[-1])
    if not lists or len({(len(entry), len(entry[0])) for entry in lists if entry}) != 1:
        raise FormatError(f"{path}: the list of eigenvalues is cut off")
    if not all(lists):
        raise FormatError(f"{path}: the list of eigenvalues is cut off at a k-point")
    return PrintedBands(
        np.array(kpts),
        np.array(lists).transpose(2, 0, 1) * OPENMX.hartree,
        float(potential[1]) * OPENMX.hartree,
        version=(int(version[1]), int(version[2])) if version else (0, 0),
    )


def _parse_levels(text: str) -> tuple[list[list[float]], list[list[list[float]]]]:
    """k-points and, for each, rows of one or two columns."""
    kpts: list[list[float]] = []
    lists: list[list[list[float]]] = []
    for line in text.partition("Eigenvalues")[2].splitlines():
        if match := _K_LINE.fullmatch(line):
            kpts.append([float(x) for x in match.groups()])
            lists.append([])
        elif match := _LEVEL_LINE.fullmatch(line):
            if not lists:  # the cluster solver prints one list and no k-point
                kpts.append([0.0, 0.0, 0.0])
                lists.append([])
            if int(match[1]) != len(lists[-1]) + 1:
                break
            lists[-1].append([float(x) for x in match.groups()[1:] if x is not None])
        elif line.startswith("*****") and lists:
            break
    return kpts, lists
