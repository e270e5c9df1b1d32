"""What a model was trained on, and whether a structure lies inside it.

A network answers any question, also those it has no idea of. Elements that it never saw and atoms
closer than any in training are refused. The subtler hole is a distance that a pair of elements
never had in training although both elements occur: the table of (pair of elements, distance) is
kept in the model file, and a prediction that enters an empty bin says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core import BlockPattern, Structure
from ase_mlham.core.basis import symbol
from ase_mlham.core.neighbours import neighbour_list
from ase_mlham.errors import DomainError, MLHamWarning

__all__ = ["Domain", "DomainWarning", "OnUnknown"]

OnUnknown = Literal["error", "warn"]


class DomainWarning(MLHamWarning):
    """A prediction leaves what the model was trained on; the same text is in `system.warnings`."""


@dataclass(frozen=True)
class Domain:
    """Training structures in a few numbers.

    Attributes
    ----------
    numbers : tuple of int
        Atomic numbers, ascending.
    n_structures : int
        How many structures.
    n_atoms : (int, int)
        Smallest and largest number of atoms.
    closest : dict
        (number, number), ascending, to the shortest distance of such atoms, Å.
    bin_width : float
        Of the histogram, Å.
    histogram : dict
        (number, number), ascending, to counts of pairs at distances n * bin_width onwards.
    """

    numbers: tuple[int, ...]
    n_structures: int = 0
    n_atoms: tuple[int, int] = (0, 0)
    closest: Mapping[tuple[int, int], float] = field(default_factory=dict)
    bin_width: float = 0.2
    histogram: Mapping[tuple[int, int], NDArray[np.int64]] = field(default_factory=dict)

    # ------------------------------------------------------------------ check
    def check(
        self, structure: Structure, pattern: BlockPattern, on_unknown: OnUnknown = "error"
    ) -> tuple[str, ...]:
        """Compare a structure with the training structures.

        Parameters
        ----------
        structure : Structure
            To be predicted.
        pattern : BlockPattern
            Its blocks.
        on_unknown : "error" or "warn"
            What to do about distances shorter than any in training.

        Returns
        -------
        tuple of str
            Reservations, to be kept with the result.

        Raises
        ------
        DomainError
            An element, a pair of elements or a distance is unknown to the model.
        """
        self.check_elements(structure)
        found = [*self._too_close(structure)]
        if found and on_unknown == "error":
            raise DomainError(
                f'{found[0]}; check the structure, or allow it with on_unknown="warn"'
            )
        found += self._empty_bins(structure, pattern)
        return tuple(found)

    def check_elements(self, structure: Structure) -> None:
        """Refuse elements that the model does not know.

        Raises
        ------
        DomainError
            Names the first such atom.
        """
        unknown = np.flatnonzero(~np.isin(structure.numbers, self.numbers))
        if len(unknown):
            atom = int(unknown[0])
            known = ", ".join(symbol(z) for z in self.numbers)
            raise DomainError(
                f"atom {atom} ({symbol(int(structure.numbers[atom]))}): the model knows only "
                f"{known}; use another model"
            )

    def _too_close(self, structure: Structure) -> list[str]:
        if not self.closest:
            return []
        # half a bin of grace: the shortest of a few hundred vibrations is not a hard wall
        grace = 0.5 * self.bin_width
        i, j, _, distance = neighbour_list(structure, max(self.closest.values()))
        z = structure.numbers
        low, high = np.minimum(z[i], z[j]), np.maximum(z[i], z[j])
        out = []
        for (a, b), shortest in self.closest.items():
            here = np.flatnonzero((low == a) & (high == b) & (distance < shortest - grace))
            if len(here):
                worst = here[np.argmin(distance[here])]
                out.append(
                    f"atoms {i[worst]} and {j[worst]} ({symbol(a)}-{symbol(b)}) are "
                    f"{distance[worst]:.2f} Å apart; the shortest such distance in training was "
                    f"{shortest:.2f} Å"
                )
        return out

    def _empty_bins(self, structure: Structure, pattern: BlockPattern) -> list[str]:
        if not self.histogram:
            return []
        distance = np.linalg.norm(pattern.vectors(structure), axis=1)
        off = ~pattern.onsite
        z = structure.numbers
        low = np.minimum(z[pattern.i], z[pattern.j])
        high = np.maximum(z[pattern.i], z[pattern.j])
        n_off, out = int(off.sum()), []
        for pair in np.unique(np.stack([low[off], high[off]], 1), axis=0) if n_off else ():
            a, b = int(pair[0]), int(pair[1])
            here = off & (low == a) & (high == b)
            names = f"{symbol(a)}-{symbol(b)}"
            counts = self.histogram.get((a, b), np.zeros(1, dtype=np.int64))
            if not counts.any():
                out.append(
                    f"{int(here.sum())} pairs {names}: no training structure had such a pair, "
                    "their blocks are a guess"
                )
                continue
            bins = (distance[here] / self.bin_width).astype(int)
            empty = counts[np.minimum(bins, len(counts) - 1)] == 0
            if empty.any():
                out.append(
                    f"{int(empty.sum())} of {n_off} pairs are {names} at distances "
                    f"({self._ranges(bins[empty])} Å) that no training structure had; their blocks "
                    "are extrapolated"
                )
        return out

    def _ranges(self, bins: NDArray[np.int64]) -> str:
        """Runs of neighbouring bins as text, the first three of them."""
        runs: list[list[int]] = []
        for index in np.unique(bins):
            if runs and runs[-1][1] == index:
                runs[-1][1] = int(index) + 1
            else:
                runs.append([int(index), int(index) + 1])
        text = ", ".join(f"{a * self.bin_width:.1f}-{b * self.bin_width:.1f}" for a, b in runs[:3])
        return text + (" and more" if len(runs) > 3 else "")

    # ------------------------------------------------------------------ storage
    def to_dict(self) -> dict[str, Any]:
        """Plain values and arrays that `from_dict` reads."""
        return {
            "elements": [symbol(z) for z in self.numbers],
            "numbers": list(self.numbers),
            "n_structures": self.n_structures,
            "n_atoms": list(self.n_atoms),
            "closest": {f"{a}-{b}": d for (a, b), d in self.closest.items()},
            "bin_width": self.bin_width,
            "histogram": {
                f"{a}-{b}": np.asarray(counts, dtype=np.int64)
                for (a, b), counts in self.histogram.items()
            },
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Domain:
        """Inverse of `to_dict`."""

        def pair(text: str) -> tuple[int, int]:
            a, _, b = text.partition("-")
            return int(a), int(b)

        low, high = data["n_atoms"]
        return cls(
            numbers=tuple(int(z) for z in data["numbers"]),
            n_structures=int(data["n_structures"]),
            n_atoms=(int(low), int(high)),
            closest={pair(key): float(d) for key, d in data["closest"].items()},
            bin_width=float(data["bin_width"]),
            histogram={pair(key): np.asarray(n) for key, n in data["histogram"].items()},
        )
