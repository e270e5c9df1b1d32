"""Orbital basis: which shells sit on which element, with radial functions and valence electrons.

Orbitals of an atom are ordered shell by shell as listed, m = -l..l within a shell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.radial import RadialFunction, radial_from_dict
from ase_mlham.core.structure import frozen_array
from ase_mlham.errors import BasisError

__all__ = ["LETTERS", "OrbitalBasis", "Projectors", "Shell", "SpeciesBasis", "symbol"]

LETTERS = "spdfghi"

_SYMBOLS = (
    "X H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se "
    "Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy "
    "Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf "
    "Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og"
).split()


def symbol(number: int) -> str:
    """Chemical symbol of an atomic number."""
    return _SYMBOLS[number]


@dataclass(frozen=True)
class Shell:
    """2 l + 1 orbitals that share a radial function.

    Parameters
    ----------
    l : int
        Angular momentum.
    cutoff : float
        Distance beyond which the orbital is zero, Å.
    radial : RadialFunction, optional
        None where a format carries none: then S must come from the file.
    label : str
        What the source calls it, for example "3s" or "d1".
    """

    l: int
    cutoff: float
    radial: RadialFunction | None = None
    label: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.l < len(LETTERS):
            raise BasisError(f"a shell with l = {self.l}; l = 0 to {len(LETTERS) - 1} are known")
        if not (np.isfinite(self.cutoff) and self.cutoff > 0):
            raise BasisError(f"a shell with cut-off {self.cutoff} Å; it must be positive")

    @property
    def n_orbitals(self) -> int:
        """2 l + 1."""
        return 2 * self.l + 1


@dataclass(frozen=True, eq=False)
class Projectors:
    """Separable non-local pseudopotential of one atom: V = sum_l sum_m |p_i lm> D_ij <p_j lm|.

    Parameters
    ----------
    shells : tuple of Shell
        The projectors p.
    coupling : (n_shells, n_shells) float
        D in eV; zero between shells of different l.
    """

    shells: tuple[Shell, ...]
    coupling: NDArray[np.float64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shells", tuple(self.shells))
        object.__setattr__(self, "coupling", frozen_array(self.coupling, np.float64))
        l = np.array([shell.l for shell in self.shells])
        if self.coupling.shape != (len(l), len(l)) or not np.allclose(
            self.coupling, self.coupling.T
        ):
            raise BasisError("the coupling of projectors must be a symmetric square matrix")
        if np.any(self.coupling[l[:, None] != l[None, :]]):
            raise BasisError("projectors of different angular momentum cannot be coupled")


@dataclass(frozen=True)
class SpeciesBasis:
    """The orbitals of one element.

    Parameters
    ----------
    number : int
        Atomic number.
    shells : tuple of Shell
        In storage order.
    valence : float
        Electrons that a neutral atom brings.
    label : str
        Name of the set, for example "Si7.0-s2p2d1".
    projectors : Projectors, optional
        Non-local part of the pseudopotential, if known.
    """

    number: int
    shells: tuple[Shell, ...]
    valence: float
    label: str = ""
    projectors: Projectors | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "shells", tuple(self.shells))
        if not self.shells:
            raise BasisError(f"the basis of {symbol(self.number)} has no shells")
        if not self.valence >= 0:
            raise BasisError(f"{symbol(self.number)}: {self.valence} valence electrons")

    @property
    def symbol(self) -> str:
        """Chemical symbol."""
        return symbol(self.number)

    @property
    def n_orbitals(self) -> int:
        """Orbitals on one atom."""
        return sum(shell.n_orbitals for shell in self.shells)

    @property
    def cutoff(self) -> float:
        """Largest cut-off of the shells, Å."""
        return max(shell.cutoff for shell in self.shells)

    @property
    def offsets(self) -> NDArray[np.int64]:
        """First orbital of each shell, and the total at the end: (n_shells + 1,)."""
        return np.cumsum([0] + [shell.n_orbitals for shell in self.shells])

    @property
    def l(self) -> tuple[int, ...]:
        """Angular momentum of each shell."""
        return tuple(shell.l for shell in self.shells)

    @property
    def layout(self) -> str:
        """Shell counts such as "s2p2d1"."""
        return "".join(f"{LETTERS[l]}{self.l.count(l)}" for l in range(len(LETTERS)) if l in self.l)

    @property
    def has_radial(self) -> bool:
        """Whether every shell knows its radial function."""
        return all(shell.radial is not None for shell in self.shells)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and arrays that `from_dict` reads."""
        out: dict[str, Any] = {
            "number": self.number,
            "valence": self.valence,
            "label": self.label,
            "shells": [_shell_to_dict(shell) for shell in self.shells],
        }
        if self.projectors is not None:
            out["projectors"] = {
                "shells": [_shell_to_dict(shell) for shell in self.projectors.shells],
                "coupling": self.projectors.coupling,
            }
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SpeciesBasis:
        """Inverse of `to_dict`."""
        projectors = data.get("projectors")
        return cls(
            number=int(data["number"]),
            shells=tuple(_shell_from_dict(entry) for entry in data["shells"]),
            valence=float(data["valence"]),
            label=str(data.get("label", "")),
            projectors=None
            if projectors is None
            else Projectors(
                tuple(_shell_from_dict(entry) for entry in projectors["shells"]),
                projectors["coupling"],
            ),
        )


def _shell_to_dict(shell: Shell) -> dict[str, Any]:
    out: dict[str, Any] = {"l": shell.l, "cutoff": shell.cutoff, "label": shell.label}
    if shell.radial is not None:
        out["radial"] = shell.radial.to_dict()
    return out


def _shell_from_dict(data: Mapping[str, Any]) -> Shell:
    radial = data.get("radial")
    return Shell(
        l=int(data["l"]),
        cutoff=float(data["cutoff"]),
        radial=None if radial is None else radial_from_dict(dict(radial)),
        label=str(data.get("label", "")),
    )


@dataclass(frozen=True)
class OrbitalBasis:
    """Basis sets of several elements, one for each.

    Parameters
    ----------
    species : tuple of SpeciesBasis
        Sorted by atomic number on construction; the position in this tuple is the species index
        that patterns and graphs use.
    """

    species: tuple[SpeciesBasis, ...]

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.species, key=lambda entry: entry.number))
        object.__setattr__(self, "species", ordered)
        numbers = [entry.number for entry in ordered]
        if not numbers:
            raise BasisError("an orbital basis needs at least one element")
        if len(set(numbers)) != len(numbers):
            raise BasisError("an element appears twice in the orbital basis")

    def __getitem__(self, number: int) -> SpeciesBasis:
        for entry in self.species:
            if entry.number == number:
                return entry
        raise BasisError(f"{symbol(number)} is not in the basis, which covers {self.elements}")

    @property
    def elements(self) -> str:
        """Symbols, comma separated, for messages."""
        return ", ".join(entry.symbol for entry in self.species)

    @cached_property
    def numbers(self) -> NDArray[np.int64]:
        """Atomic numbers, ascending."""
        return frozen_array([entry.number for entry in self.species], np.int64)

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Orbitals on an atom of each species."""
        return frozen_array([entry.n_orbitals for entry in self.species], np.int64)

    def species_index(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Species index of each atom.

        Raises
        ------
        BasisError
            An element is not covered; the message names the first such atom.
        """
        numbers = np.asarray(numbers)
        index = np.searchsorted(self.numbers, numbers)
        index = np.minimum(index, len(self.numbers) - 1)
        missing = np.flatnonzero(self.numbers[index] != numbers)
        if len(missing):
            atom = int(missing[0])
            raise BasisError(
                f"atom {atom} ({symbol(int(numbers[atom]))}) is not in the basis, which covers "
                f"{self.elements}; give a basis for it, or use another model"
            )
        return index

    def n_electrons(self, numbers: NDArray[np.int64]) -> float:
        """Valence electrons of neutral atoms."""
        valence = np.array([entry.valence for entry in self.species])
        return float(valence[self.species_index(numbers)].sum())

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and arrays that `from_dict` reads."""
        return {"species": [entry.to_dict() for entry in self.species]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OrbitalBasis:
        """Inverse of `to_dict`."""
        return cls(tuple(SpeciesBasis.from_dict(entry) for entry in data["species"]))
