"""Exchange and correlation, by libxc."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["LIBXC", "PSEUDO", "is_gga", "xc_energy_potential"]

LIBXC = {"pbe": "pbe", "lda": "lda_xc_teter93"}
PSEUDO = {"pbe": "gth-pbe", "lda": "gth-pade"}

_SMALLEST = 1e-9
"""Densities below this (bohr^-3) carry no exchange and correlation: gradients there are noise."""


def is_gga(xc: str) -> bool:
    """Whether the functional needs the density gradient."""
    return xc == "pbe"


def xc_energy_potential(
    xc: str, rho: NDArray[np.float64], gradient: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Energy per electron and derivatives of the energy density.

    Parameters
    ----------
    xc : str
        "pbe" or "lda".
    rho : (n,) float
        Density, bohr^-3; may be slightly negative.
    gradient : (3, n) float
        Its gradient; not looked at for "lda".

    Returns
    -------
    exc : (n,) float
        Hartree per electron.
    scalar : (n,) float
        d(rho exc)/d rho.
    vector : (3, n) float
        d(rho exc)/d grad rho, zero for "lda".
    """
    from pyscf.dft.numint import NumInt

    small = rho < _SMALLEST
    density = np.where(small, _SMALLEST, rho)
    vector = np.zeros((3, rho.size))
    if is_gga(xc) and gradient is not None:
        field = np.vstack([density[None], np.where(small, 0.0, gradient)])
        exc, v = NumInt().eval_xc_eff(LIBXC[xc], field, deriv=1, xctype="GGA")[:2]
        vector = v[1:]
        vector[:, small] = 0.0
    else:
        exc, v = NumInt().eval_xc_eff(LIBXC[xc], density, deriv=1, xctype="LDA")[:2]
    exc, scalar = np.ravel(exc), v.reshape(-1, rho.size)[0]
    exc[small] = 0.0
    scalar[small] = 0.0
    return exc, scalar, vector
