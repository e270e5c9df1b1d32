"""Where matrix elements and their errors lie, gathered in a memory that does not grow.

A test set has millions of matrix elements. What is drawn of them, predicted against reference and
the size of the error against the size of the element, is counted in bins while structures pass by:
two megabytes, however many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.errors import InputError

__all__ = ["ElementHistograms", "SizeHistogram", "SquareHistogram"]

_BINS = 512
_PER_DECADE = 10


def _empty() -> NDArray[np.int64]:
    return np.zeros((_BINS, _BINS), dtype=np.int64)


@dataclass(eq=False)
class SquareHistogram:
    """Counts of pairs of numbers in equal bins of a square around zero.

    A number outside has the square doubled: four bins become one, and no count is lost.

    Attributes
    ----------
    half_width : float
        The square reaches from -half_width to half_width, eV.
    counts : (512, 512) int
        First axis: first number.
    """

    half_width: float = 1.0
    counts: NDArray[np.int64] = field(default_factory=_empty)

    @property
    def edges(self) -> NDArray[np.float64]:
        """Edges of the bins of either axis, (513,), eV."""
        return np.linspace(-self.half_width, self.half_width, _BINS + 1)

    def add(self, first: NDArray[np.float64], second: NDArray[np.float64], times: int = 1) -> None:
        """Count pairs of numbers.

        Parameters
        ----------
        first, second : arrays of one shape
            Finite numbers, eV.
        times : int
            How often each counts.

        Raises
        ------
        InputError
            A number is not finite.
        """
        first, second = np.ravel(first), np.ravel(second)
        if not first.size:
            return
        largest = max(float(abs(first).max()), float(abs(second).max()))
        if not np.isfinite(largest):
            raise InputError("a matrix element is not a finite number; the Hamiltonian is damaged")
        while largest >= self.half_width:
            self._double()
        scale = _BINS / (2 * self.half_width)
        row = ((first + self.half_width) * scale).astype(np.int64)
        column = ((second + self.half_width) * scale).astype(np.int64)
        # a number just below the upper edge may be rounded onto it
        place = np.minimum(row, _BINS - 1) * _BINS + np.minimum(column, _BINS - 1)
        found = np.bincount(place, minlength=_BINS * _BINS).reshape(_BINS, _BINS)
        self.counts += times * found

    def _double(self) -> None:
        half, quarter = _BINS // 2, _BINS // 4
        merged = self.counts.reshape(half, 2, half, 2).sum(axis=(1, 3))
        self.counts = _empty()
        self.counts[quarter : quarter + half, quarter : quarter + half] = merged
        self.half_width *= 2

    def to_dict(self) -> dict[str, Any]:
        """Half width and the bins that are not empty, as [row, column, count]."""
        row, column = np.nonzero(self.counts)
        bins = np.stack([row, column, self.counts[row, column]], axis=1)
        return {"half_width": self.half_width, "bins": _BINS, "counts": bins.tolist()}


@dataclass(eq=False)
class SizeHistogram:
    """Counts by the size of a matrix element and of its error, ten bins a decade of either.

    Smaller or larger sizes count in the first or last bin.

    Attributes
    ----------
    counts : (90, 90) int
        First axis: |reference| from 1e-6 to 1e3 eV; second: |error| from 1e-8 to 10 eV.
    """

    LOWEST = (-6, -8)
    DECADES = 9

    counts: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros((9 * _PER_DECADE, 9 * _PER_DECADE), dtype=np.int64)
    )

    @property
    def edges(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Edges of the bins of |reference| and |error|, (91,) each, eV."""
        first, second = (
            10.0 ** np.linspace(low, low + self.DECADES, self.DECADES * _PER_DECADE + 1)
            for low in self.LOWEST
        )
        return first, second

    def add(self, reference: NDArray, error: NDArray, times: int = 1) -> None:
        """Count elements.

        Parameters
        ----------
        reference, error : arrays of one shape
            eV.
        times : int
            How often each counts.
        """
        n = self.DECADES * _PER_DECADE
        places = []
        for values, low in zip((reference, error), self.LOWEST, strict=True):
            size = np.maximum(abs(np.ravel(values)), 10.0**low)
            place = ((np.log10(size) - low) * _PER_DECADE).astype(np.int64)
            places.append(np.minimum(place, n - 1))
        found = np.bincount(places[0] * n + places[1], minlength=n * n).reshape(n, n)
        self.counts += times * found

    @property
    def errors(self) -> NDArray[np.int64]:
        """Counts by |error| alone, (90,)."""
        return np.asarray(self.counts.sum(axis=0))

    def quantiles(self, parts: Sequence[float]) -> NDArray[np.float64]:
        """Sizes of error below which given parts of all elements lie, eV.

        Exact to the width of a bin, a quarter of the value; within a bin the logarithm is taken as
        evenly spread.
        """
        counts = self.errors
        total = counts.sum()
        if not total:
            return np.full(len(parts), np.nan)
        below = np.concatenate([[0], np.cumsum(counts)]) / total
        return np.asarray(10.0 ** np.interp(parts, below, np.log10(self.edges[1])))

    def to_dict(self) -> dict[str, Any]:
        """Logarithms of the lowest sizes and the bins that are not empty, [row, column, count]."""
        row, column = np.nonzero(self.counts)
        bins = np.stack([row, column, self.counts[row, column]], axis=1)
        return {
            "log10_lowest_eV": list(self.LOWEST),
            "bins_per_decade": _PER_DECADE,
            "counts": bins.tolist(),
        }


@dataclass(eq=False)
class ElementHistograms:
    """What is drawn of all matrix elements.

    Real numbers count one by one: of a Hamiltonian with spin the real parts P, B, C and K of
    `learning.parts`.

    Attributes
    ----------
    values : SquareHistogram
        Reference (first axis) and prediction, shifted.
    sizes : SizeHistogram
        Size of the reference (first axis) and of the error.
    """

    values: SquareHistogram = field(default_factory=SquareHistogram)
    sizes: SizeHistogram = field(default_factory=SizeHistogram)

    def add(self, predicted: NDArray, reference: NDArray, times: int = 1) -> None:
        """Count elements; both real and of one shape, eV."""
        self.values.add(reference, predicted, times)
        self.sizes.add(reference, predicted - reference, times)

    def to_dict(self) -> dict[str, Any]:
        """Both."""
        return {"values": self.values.to_dict(), "sizes": self.sizes.to_dict()}
