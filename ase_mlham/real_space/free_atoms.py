"""Free atoms: how many electrons are in each subshell, and their spherical densities in a basis.

Ground-state configurations follow the Madelung rule but for twenty elements; those are from the
table of ground levels of neutral atoms of NIST (W. C. Martin, A. Musgrove, S. Kotochigova and J. E.
Sansonetti, Ground Levels and Ionization Energies for the Neutral Atoms, NIST, 2011).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from ase_mlham.core.basis import LETTERS, SpeciesBasis, symbol
from ase_mlham.core.blocks import BlockMatrix
from ase_mlham.core.pattern import BlockPattern
from ase_mlham.core.system import LCAOSystem
from ase_mlham.errors import BasisError, InputError

__all__ = ["ground_state", "shell_filling", "superposed_atoms"]

_EXCEPTIONS: Mapping[str, str] = {
    "Cr": "3d5 4s1",
    "Cu": "3d10 4s1",
    "Nb": "4d4 5s1",
    "Mo": "4d5 5s1",
    "Ru": "4d7 5s1",
    "Rh": "4d8 5s1",
    "Pd": "4d10 5s0",
    "Ag": "4d10 5s1",
    "La": "4f0 5d1",
    "Ce": "4f1 5d1",
    "Gd": "4f7 5d1",
    "Pt": "5d9 6s1",
    "Au": "5d10 6s1",
    "Ac": "5f0 6d1",
    "Th": "5f0 6d2",
    "Pa": "5f2 6d1",
    "U": "5f3 6d1",
    "Np": "5f4 6d1",
    "Cm": "5f7 6d1",
    "Lr": "6d0 7p1",
}
"""Where the rule fails: the subshells that differ from it."""


@lru_cache(maxsize=128)
def ground_state(number: int) -> Mapping[tuple[int, int], int]:
    """Electrons in the subshells (n, l) of a free atom, in the order of (n, l).

    Parameters
    ----------
    number : int
        Atomic number.

    Raises
    ------
    InputError
        Beyond element 103 ground states are not measured.
    """
    if not 1 <= number <= 103:
        raise InputError(f"the ground state of element {number} is not in the table (1 to 103)")
    out: dict[tuple[int, int], int] = {}
    left = number
    subshells = [(n, l) for n in range(1, 9) for l in range(n)]
    # n + l ascending, then n
    for n, l in sorted(subshells, key=lambda s: (sum(s), s)):
        if left <= 0:
            break
        out[n, l] = min(left, 2 * (2 * l + 1))
        left -= out[n, l]
    for word in _EXCEPTIONS.get(symbol(number), "").split():
        out[int(word[0]), LETTERS.index(word[1])] = int(word[2:])
    if sum(out.values()) != number:
        raise AssertionError(f"the table of exceptions miscounts {symbol(number)}")
    return {subshell: n for subshell, n in sorted(out.items()) if n}


def shell_filling(entry: SpeciesBasis) -> tuple[float, ...]:
    """Electrons in each shell of a basis, for a free atom in its ground state.

    Parameters
    ----------
    entry : SpeciesBasis
        Shells, and how many electrons are not in the core.

    Returns
    -------
    tuple of float
        One number for each shell, together the valence electrons.

    Raises
    ------
    BasisError
        The subshells do not separate into core and valence, or the basis lacks a shell for one.

    Notes
    -----
    Subshells are ordered by n and l; the core is what comes first and holds Z - valence electrons.
    Of the rest, those of each l fill the basis's shells of that l in order.
    """
    number = entry.number
    core = round(number - entry.valence)
    if abs(number - entry.valence - core) > 1e-9 or core < 0:
        raise _misfit(entry, f"{entry.valence:g} valence electrons leave no whole core")
    valence: dict[int, list[int]] = {}
    held = 0
    for (_, l), electrons in ground_state(number).items():
        if held < core:
            held += electrons
        else:
            valence.setdefault(l, []).append(electrons)
    if held != core:
        raise _misfit(entry, f"a core of {core} electrons ends within a subshell")
    out = [0.0] * len(entry.shells)
    for l, counts in valence.items():
        shells = [index for index, shell in enumerate(entry.shells) if shell.l == l]
        if len(shells) < len(counts):
            raise _misfit(
                entry, f"it has {len(shells)} {LETTERS[l]} shells for {len(counts)} of the atom"
            )
        for index, electrons in zip(shells, counts, strict=False):
            out[index] = float(electrons)
    return tuple(out)


def _misfit(entry: SpeciesBasis, what: str) -> BasisError:
    configuration = " ".join(
        f"{n}{LETTERS[l]}{count}" for (n, l), count in ground_state(entry.number).items()
    )
    return BasisError(
        f"{entry.symbol}: the basis {entry.label or entry.layout} with {entry.valence:g} valence "
        f"electrons does not fit the free atom {configuration}: {what}; give the electrons of its "
        f"shells, filling={{'{entry.symbol}': {{shell: electrons, ...}}}}"
    )


def _given(entry: SpeciesBasis, filling: Mapping[int, float]) -> tuple[float, ...]:
    """Occupations that the caller gives."""
    out = [0.0] * len(entry.shells)
    for index, electrons in filling.items():
        if not 0 <= index < len(out):
            raise InputError(
                f"filling of {entry.symbol}: there is no shell {index}; it has 0 to {len(out) - 1}"
            )
        room = 2 * entry.shells[index].n_orbitals
        if not 0 <= electrons <= room:
            raise InputError(
                f"filling of {entry.symbol}: {electrons} electrons in shell {index}, which holds "
                f"{room}"
            )
        out[index] = float(electrons)
    if abs(sum(out) - entry.valence) > 1e-9:
        raise InputError(
            f"filling of {entry.symbol} has {sum(out):g} electrons, the atom {entry.valence:g}"
        )
    return tuple(out)


def superposed_atoms(
    system: LCAOSystem,
    pattern: BlockPattern,
    filling: Mapping[str, Mapping[int, float]] | None = None,
) -> BlockMatrix:
    """Density matrix of spherical neutral atoms side by side: diagonal, one component.

    Parameters
    ----------
    system : LCAOSystem
        For the basis.
    pattern : BlockPattern
        Of the result.
    filling : mapping, optional
        Element to shell index to electrons, in place of the ground state.
    """
    given = dict(filling or {})
    unknown = set(given) - {entry.symbol for entry in system.basis.species}
    if unknown:
        raise InputError(
            f"filling of {', '.join(sorted(unknown))}: not in the basis ({system.basis.elements})"
        )
    out = BlockMatrix.zeros(pattern)
    for group, values in zip(pattern.groups, out.values, strict=True):
        onsite = np.flatnonzero(pattern.onsite[group.slice])
        if not len(onsite):
            continue
        entry = system.basis.species[group.species_i]
        shells = (
            _given(entry, given[entry.symbol]) if entry.symbol in given else shell_filling(entry)
        )
        sizes = np.array([shell.n_orbitals for shell in entry.shells])
        values[0, onsite] = np.diag(np.repeat(np.array(shells) / sizes, sizes))
    return out
