"""Spherical Bessel functions of the first kind, all degrees at once.

SciPy's `spherical_jn` takes one degree at a time and is ten times slower on the large outer
products that radial transforms need.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["spherical_bessel"]

_SERIES_TERMS = 26


def spherical_bessel(l_max: int, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values j_0(x) .. j_l_max(x).

    Parameters
    ----------
    l_max : int
        Largest degree.
    x : array of float
        Arguments >= 0, any shape.

    Returns
    -------
    (l_max + 1, *x.shape) float

    Notes
    -----
    The upward recurrence j_{l+1} = (2 l + 1) j_l / x - j_{l-1} loses no digits where x > l; below
    that the power series about zero converges quickly.
    """
    x = np.asarray(x, dtype=np.float64)
    out = np.empty((l_max + 1, *x.shape))
    large = x > l_max + 1.5
    if large.all():
        _recurrence(x, out)
        return out
    values = np.empty((l_max + 1, int(large.sum())))
    _recurrence(x[large], values)
    out[:, large] = values
    small = x[~large]
    square, double_factorial = -0.5 * small * small, 1.0
    for l in range(l_max + 1):
        double_factorial *= 2 * l + 1
        term, total = np.ones_like(small), np.ones_like(small)
        for t in range(1, _SERIES_TERMS):
            term = term * square / (t * (2 * (l + t) + 1))
            total += term
        out[l][~large] = total * small**l / double_factorial
    return out


def _recurrence(x: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    inverse = 1.0 / x
    np.multiply(np.sin(x), inverse, out=out[0])
    if len(out) > 1:
        out[1] = (out[0] - np.cos(x)) * inverse
    for l in range(2, len(out)):
        np.multiply(inverse, out[l - 1], out=out[l])
        out[l] *= 2 * l - 1
        out[l] -= out[l - 2]
