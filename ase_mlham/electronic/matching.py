"""Which band of one source is which of another, and how far apart they then are.

Bands are matched by their number, counted from the highest filled one: a pseudopotential may treat
as valence what another freezes, and the lowest bands of the one have then no partner. Sources of
different spin kinds are compared state by state, each state holding one electron.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.spin import SpinKind
from ase_mlham.electronic.comparison import (
    WINDOWS,
    BandComparison,
    compare_bands,
    states_compared,
)
from ase_mlham.electronic.states import EigenStates
from ase_mlham.errors import InputError

__all__ = ["MatchedBands", "match_bands"]


@dataclass(frozen=True, eq=False)
class MatchedBands:
    """Two sets of states at the same k-points, band by band.

    Attributes
    ----------
    first, second : EigenStates
        Of equal shape: what has no partner is left out.
    comparison : BandComparison
        Errors of the first against the second, after the best shift.
    groups : mapping
        Which states the comparison counts as "occupied" and in each window, masks of the shape of
        the energies.
    notes : tuple of str
        How they were matched, in words.
    """

    first: EigenStates
    second: EigenStates
    comparison: BandComparison
    groups: Mapping[str, NDArray[np.bool_]]
    notes: tuple[str, ...]

    @property
    def differences(self) -> NDArray[np.float64]:
        """First minus second minus the shift, (n_spin, n_k, n_bands) eV."""
        return self.first.energies - self.second.energies - self.comparison.shift


def match_bands(
    first: EigenStates, second: EigenStates, windows: Mapping[str, float] = WINDOWS
) -> MatchedBands:
    """Match the bands of two sources.

    Parameters
    ----------
    first, second : EigenStates
        At the same k-points, from the lowest state; spin kinds and numbers of electrons may differ.
    windows : mapping
        As for `compare_bands`.

    Raises
    ------
    InputError
        k-points differ, or the numbers of electrons differ by a part of a band.
    """
    notes = []
    if first.spin is not second.spin:
        notes.append(
            f"spin kinds differ ({first.spin.value}, {second.spin.value}): states of one electron "
            "each are compared, in order of energy"
        )
        first, second = _single_electrons(first), _single_electrons(second)
    per_band = first.degeneracy * first.spin.n_channels
    extra = (first.n_electrons - second.n_electrons) / per_band
    count = round(extra)
    if abs(extra - count) > 1e-3:
        raise InputError(
            f"{first.n_electrons:g} and {second.n_electrons:g} electrons: the filled bands of the "
            "two sources cannot be matched; compare systems of the same charge"
        )
    first, second = _without_lowest(first, max(count, 0)), _without_lowest(second, max(-count, 0))
    if count:
        which = "first" if count > 0 else "second"
        notes.append(
            f"the {which} source has {abs(count)} filled bands more: its lowest {abs(count)} are "
            "left out, and bands are matched from the highest filled one down and up"
        )
    else:
        notes.append("bands are matched by their number, counted from the lowest")
    n = min(first.n_bands, second.n_bands)
    if first.n_bands != second.n_bands:
        notes.append(f"{n} bands are compared: one source has no more")
    first, second = (replace(one, energies=one.energies[..., :n]) for one in (first, second))
    return MatchedBands(
        first,
        second,
        compare_bands(first, second, windows=windows),
        states_compared(second, windows),
        tuple(notes),
    )


def _single_electrons(states: EigenStates) -> EigenStates:
    """The same energies as those of spinors: one channel, one electron a state."""
    energies = states.energies
    if states.spin is SpinKind.NONE:
        energies = np.repeat(energies, 2, axis=2)
    elif states.spin is SpinKind.COLLINEAR:
        energies = np.sort(np.concatenate(list(energies), axis=1), axis=1)[None]
    return replace(states, energies=energies, spin=SpinKind.SPINOR, measured={})


def _without_lowest(states: EigenStates, count: int) -> EigenStates:
    """States without the lowest bands of each channel, and without their electrons."""
    electrons = count * states.degeneracy * states.spin.n_channels
    return replace(
        states,
        energies=states.energies[..., count:],
        n_electrons=states.n_electrons - electrons,
        measured={},
    )
