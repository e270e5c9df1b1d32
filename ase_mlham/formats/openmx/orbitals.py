"""Order of OpenMX's orbitals, against ours.

OpenMX lists l ascending, for each l the radial functions, for each of those the real harmonics
without Condon-Shortley sign: p as x, y, z; d as 3z2-r2, x2-y2, xy, xz, yz; from l = 3 on m = 0, 1,
-1, 2, -2...
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.basis import LETTERS
from ase_mlham.core.blocks import BlockMatrix
from ase_mlham.errors import FormatError

__all__ = ["BasisString", "from_openmx_order", "m_order", "reorder"]

_NAME = re.compile(r"(?P<file>(?P<symbol>[A-Z][a-z]?)(?P<radius>\d+(?:\.\d+)?)\w*)-(?P<shells>\S+)")
_SHELLS = re.compile(r"([spdfghi])(\d+)(?:>(\d+))?")


@dataclass(frozen=True)
class BasisString:
    """A basis as OpenMX writes it, "Si7.0-s2p2d1".

    Attributes
    ----------
    text : str
        As it was.
    file : str
        Name of the file of radial functions, without ".pao".
    symbol : str
        Element of the orbitals.
    radius : float
        Cut-off radius in bohr, from the name.
    counts : dict
        l to number of radial functions.
    contracted : bool
        "s4>2": the functions are combinations that no file holds.
    """

    text: str
    file: str
    symbol: str
    radius: float
    counts: dict[int, int]
    contracted: bool

    @classmethod
    def parse(cls, text: str) -> BasisString:
        """Take a basis string apart.

        Raises
        ------
        FormatError
            It does not look like "Si7.0-s2p2d1".
        """
        match = _NAME.fullmatch(text)
        shells = _SHELLS.findall(match["shells"]) if match else []
        rebuilt = "".join(f"{s}{n}" + (f">{c}" if c else "") for s, n, c in shells)
        counts = {LETTERS.index(s): int(c or n) for s, n, c in shells}
        if (
            match is None
            or rebuilt != match["shells"]
            or len(counts) != len(shells)
            or not all(0 < n < 100 for n in counts.values())
            or not float(match["radius"]) > 0
        ):
            raise FormatError(f"basis {text!r} is not of the form 'Si7.0-s2p2d1'")
        return cls(
            text,
            match["file"],
            match["symbol"],
            float(match["radius"]),
            dict(sorted(counts.items())),
            any(c for _, _, c in shells),
        )

    @property
    def shells(self) -> tuple[int, ...]:
        """Angular momenta of the shells, in order."""
        return tuple(l for l, n in self.counts.items() for _ in range(n))

    @property
    def n_orbitals(self) -> int:
        """Orbitals on one atom."""
        return sum(n * (2 * l + 1) for l, n in self.counts.items())


def m_order(l: int) -> tuple[int, ...]:
    """The m of OpenMX's orbitals of a shell, in its order."""
    if l == 1:
        return (1, -1, 0)
    if l == 2:
        return (0, 2, -2, 1, -1)
    return (0, *(sign * m for m in range(1, l + 1) for sign in (1, -1)))


@lru_cache(maxsize=128)
def from_openmx_order(shells: tuple[int, ...]) -> NDArray[np.int64]:
    """Permutation p of an atom's orbitals: ours[k] = OpenMX's[p[k]].

    Parameters
    ----------
    shells : tuple of int
        l of each shell.
    """
    out, start = [], 0
    for l in shells:
        order = m_order(l)
        out += [start + order.index(m) for m in range(-l, l + 1)]
        start += 2 * l + 1
    permutation = np.array(out, dtype=np.int64)
    permutation.flags.writeable = False
    return permutation


def reorder(matrix: BlockMatrix, permutations: list[NDArray[np.int64]]) -> BlockMatrix:
    """The matrix with each species' orbitals permuted.

    Parameters
    ----------
    matrix : BlockMatrix
        In OpenMX's order.
    permutations : list of (n_orbitals,) int
        One for each species, see `from_openmx_order`.
    """
    values = []
    for group, array in zip(matrix.pattern.groups, matrix.values, strict=True):
        a, b = permutations[group.species_i], permutations[group.species_j]
        values.append(np.ascontiguousarray(array[:, :, a[:, None], b[None, :]]))
    return BlockMatrix(matrix.pattern, tuple(values), matrix.symmetry)
