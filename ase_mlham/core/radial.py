"""Radial parts of atomic orbitals: tables and contracted Gaussians behind one interface.

An orbital is phi(r) = R(|r|) Y_lm(r/|r|) with R in Å^(-3/2). Both kinds answer the same calls, so
that integrals need not know which one they have.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.structure import frozen_array
from ase_mlham.errors import BasisError

__all__ = ["GaussianRadial", "RadialFunction", "TabulatedRadial", "radial_from_dict"]


@runtime_checkable
class RadialFunction(Protocol):
    """What an orbital's radial part must answer."""

    @property
    def cutoff(self) -> float:
        """Distance beyond which the function is taken as zero, Å."""
        ...

    def __call__(self, r: NDArray[np.float64]) -> NDArray[np.float64]:
        """R(r) in Å^(-3/2) at distances r in Å; zero beyond the cut-off."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Everything needed to make the function again: numbers, strings and arrays only."""
        ...


@dataclass(frozen=True, eq=False)
class TabulatedRadial:
    """A function given at points and interpolated by cubics.

    Parameters
    ----------
    r : (n,) float
        Increasing distances in Å, all positive.
    values : (n,) float
        R(r) in Å^(-3/2). Below r[0] the first value holds; beyond `cutoff` it is zero.
    cutoff : float
        Å.
    interpolation : str
        "spline": a cubic spline in log r. "parabolic": cubics in r whose slope at a point is that
        of the parabola through it and its two neighbours. OpenMX interpolates so, and its functions
        have a kink at their end, where the choice matters more than anything else in an overlap.
    """

    r: NDArray[np.float64]
    values: NDArray[np.float64]
    cutoff: float
    interpolation: str = "spline"

    def __post_init__(self) -> None:
        object.__setattr__(self, "r", frozen_array(self.r, np.float64))
        object.__setattr__(self, "values", frozen_array(self.values, np.float64))
        if self.r.ndim != 1 or self.r.shape != self.values.shape or len(self.r) < 4:
            raise BasisError(
                f"radial table of shapes {self.r.shape} and {self.values.shape}: give two equal "
                "one-dimensional arrays of at least four points"
            )
        if self.r[0] <= 0 or np.any(np.diff(self.r) <= 0):
            raise BasisError("the distances of a radial table must be positive and increasing")
        if not (np.isfinite(self.values).all() and self.cutoff > 0):
            raise BasisError("a radial table needs finite values and a positive cut-off")
        if self.interpolation not in ("spline", "parabolic"):
            raise BasisError(
                f"interpolation {self.interpolation!r} of a radial table; known: spline, parabolic"
            )

    @cached_property
    def _cubics(self) -> Any:
        from scipy.interpolate import CubicHermiteSpline, CubicSpline

        if self.interpolation == "spline":
            return CubicSpline(np.log(self.r), self.values)
        h, rise = np.diff(self.r), np.diff(self.values) / np.diff(self.r)
        slope = np.zeros_like(self.r)
        slope[1:-1] = (rise[1:] * h[:-1] + rise[:-1] * h[1:]) / (h[:-1] + h[1:])
        # at the ends the slope of the outermost parabola
        slope[0], slope[-1] = 2 * rise[0] - slope[1], 2 * rise[-1] - slope[-2]
        return CubicHermiteSpline(self.r, self.values, slope)

    def __repr__(self) -> str:
        return f"<TabulatedRadial {len(self.r)} points, cutoff {self.cutoff:g} Å>"

    def __call__(self, r: NDArray[np.float64]) -> NDArray[np.float64]:
        """R(r) in Å^(-3/2)."""
        r = np.asarray(r, dtype=np.float64)
        inside = np.clip(r, self.r[0], self.r[-1])
        out = self._cubics(np.log(inside) if self.interpolation == "spline" else inside)
        return np.where((r > self.cutoff) | (r > self.r[-1]), 0.0, out)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and arrays that `radial_from_dict` reads."""
        return {
            "kind": "table",
            "r": self.r,
            "values": self.values,
            "cutoff": self.cutoff,
            "interpolation": self.interpolation,
        }


@dataclass(frozen=True, eq=False)
class GaussianRadial:
    """A contraction R(r) = r^l sum_i c_i exp(-a_i r^2).

    Parameters
    ----------
    l : int
        Angular momentum.
    exponents : (n,) float
        a_i in Å^(-2).
    coefficients : (n,) float
        c_i in Å^(-3/2-l); they multiply bare powers and exponentials, normalisation included.
    cutoff : float
        Å. A Gaussian has no end; where it is treated as zero is part of the basis.
    """

    l: int
    exponents: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    cutoff: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "exponents", frozen_array(self.exponents, np.float64))
        object.__setattr__(self, "coefficients", frozen_array(self.coefficients, np.float64))
        if self.exponents.ndim != 1 or self.exponents.shape != self.coefficients.shape:
            raise BasisError("a contraction needs as many coefficients as exponents")
        if self.l < 0 or np.any(self.exponents <= 0) or not self.cutoff > 0:
            raise BasisError("a contraction needs l >= 0, positive exponents and cut-off")
        if not np.isfinite(self.coefficients).all():
            raise BasisError("a contraction coefficient is not a finite number")

    def __call__(self, r: NDArray[np.float64]) -> NDArray[np.float64]:
        """R(r) in Å^(-3/2)."""
        r = np.asarray(r, dtype=np.float64)
        out = r**self.l * (np.exp(-np.multiply.outer(r * r, self.exponents)) @ self.coefficients)
        return np.where(r > self.cutoff, 0.0, out)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and arrays that `radial_from_dict` reads."""
        return {
            "kind": "gaussian",
            "l": self.l,
            "exponents": self.exponents,
            "coefficients": self.coefficients,
            "cutoff": self.cutoff,
        }


def radial_from_dict(data: dict[str, Any]) -> RadialFunction:
    """Inverse of `to_dict`.

    Raises
    ------
    BasisError
        The kind is unknown.
    """
    fields = {key: value for key, value in data.items() if key != "kind"}
    if data.get("kind") == "table":
        return TabulatedRadial(**fields)
    if data.get("kind") == "gaussian":
        return GaussianRadial(**fields)
    raise BasisError(f"radial function of kind {data.get('kind')!r}; known: table, gaussian")
