"""Mulliken projections of eigenstates on orbitals, shells and elements.

The weight of a state on orbital a is Re C_a* (S C)_a. Over all orbitals these weights sum to one,
whatever the overlap; single ones may be slightly negative or above one, which is a property of the
projection and not an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.basis import LETTERS
from ase_mlham.core.spin import SpinKind
from ase_mlham.core.system import LCAOSystem
from ase_mlham.errors import InputError

__all__ = ["Grouping", "MullikenWeights", "OrbitalGroups", "orbital_groups", "orbital_name"]

_HARMONICS: Mapping[int, tuple[str, ...]] = {
    0: ("",),
    1: ("y", "z", "x"),
    2: ("xy", "yz", "z2", "xz", "x2-y2"),
}


class Grouping(Enum):
    """What the orbitals are collected by."""

    ELEMENT = "element"
    SHELL = "shell"
    ORBITAL = "orbital"
    ATOM = "atom"

    @classmethod
    def parse(cls, value: Grouping | str) -> Grouping:
        """From its name."""
        if isinstance(value, cls):
            return value
        try:
            return cls(str(value).lower())
        except ValueError:
            accepted = ", ".join(one.value for one in cls)
            raise InputError(f"projection by {value!r} is unknown; accepted: {accepted}") from None


@dataclass(frozen=True, eq=False)
class OrbitalGroups:
    """Orbitals collected in groups.

    Attributes
    ----------
    of_orbital : (n_orbitals,) int
        Group of each orbital.
    info : tuple of mapping
        What each group is, in the words of ASE's DOS collections: "symbol", "orbital", "index".
    """

    of_orbital: NDArray[np.int64]
    info: tuple[Mapping[str, str], ...]

    def __len__(self) -> int:
        return len(self.info)


def orbital_name(l: int, m: int) -> str:
    """Letter and direction, for example "px"; beyond d the number m."""
    directions = _HARMONICS.get(l)
    return LETTERS[l] + (f"{m:+d}" if directions is None else directions[m + l])


def orbital_groups(system: LCAOSystem, by: Grouping | str = Grouping.SHELL) -> OrbitalGroups:
    """Groups of the orbitals of a system.

    Parameters
    ----------
    system : LCAOSystem
        Whose basis says which orbital is what.
    by : {"element", "shell", "orbital", "atom"}
        "element": all orbitals of an element. "shell": those of an element and angular momentum.
        "orbital": of an element, l and m. "atom": each atom with its angular momenta.
    """
    by = Grouping.parse(by)
    keys: dict[tuple[tuple[str, str], ...], int] = {}
    of_orbital = []
    for atom, symbol, _, l, m in system.orbital_labels():
        key = {"symbol": symbol}
        if by is not Grouping.ELEMENT:
            key["orbital"] = orbital_name(l, m) if by is Grouping.ORBITAL else LETTERS[l]
        if by is Grouping.ATOM:
            key["index"] = str(atom)
        of_orbital.append(keys.setdefault(tuple(key.items()), len(keys)))
    return OrbitalGroups(np.array(of_orbital, dtype=np.int64), tuple(dict(key) for key in keys))


@dataclass(frozen=True, eq=False)
class MullikenWeights:
    """Measure: weight of each state on groups of orbitals, (n_channels, n_bands, n_groups).

    Parameters
    ----------
    groups : OrbitalGroups
        Which orbitals belong together.
    spin : SpinKind
        Spinor vectors hold up and down, whose weights are added.
    """

    groups: OrbitalGroups
    spin: SpinKind

    def __call__(self, vectors: NDArray, overlap_vectors: NDArray) -> NDArray[np.float64]:
        """Weights of some states; see `ase_mlham.electronic.solvers.problem.Measure`."""
        of_orbital = self.groups.of_orbital
        if self.spin is SpinKind.SPINOR:
            of_orbital = np.concatenate([of_orbital, of_orbital])
        weights = (vectors.conj() * overlap_vectors).real
        out = np.zeros((len(self.groups), vectors.shape[0], vectors.shape[2]))
        np.add.at(out, of_orbital, weights.swapaxes(0, 1))
        return np.moveaxis(out, 0, -1)
