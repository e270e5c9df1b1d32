"""Exchange and correlation, by libxc."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["LIBXC", "PSEUDO", "is_gga", "xc_energy_potential"]

LIBXC = {"pbe": "pbe", "lda": "lda_xc_teter93"}
PSEUDO = {"pbe": "gth-pbe", "lda": "gth-pade"}

_SMALLEST = 1e-9
"""Densities below this (bohr^-3) carry no exchange and correlation: gradients there are noise."""

_MINORITY = 1e-5
"""Least fraction of the density in either channel: at full polarisation PBE's potential of the
empty one is infinite. It moves the energy of a fully polarised electron by 0.3 meV."""


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
    rho : (n_channels, n) float
        Density of all electrons, or of up and of down electrons; bohr^-3, may be slightly negative.
    gradient : (n_channels, 3, n) float
        Its gradient; not looked at for "lda".

    Returns
    -------
    exc : (n,) float
        Hartree per electron.
    scalar : (n_channels, n) float
        Derivative of exc times the whole density with respect to each channel's density.
    vector : (n_channels, 3, n) float
        The same with respect to each channel's gradient, zero for "lda".
    """
    from pyscf.dft.numint import NumInt

    channels, n = rho.shape
    spin, total = channels - 1, rho.sum(axis=0)
    smallest = np.maximum(_SMALLEST / channels, _MINORITY * total) if spin else _SMALLEST
    # where one channel is empty its gradient is noise, while the other still counts
    small = rho < smallest
    density = np.where(small, smallest, rho)
    vector = np.zeros((channels, 3, n))
    if is_gga(xc) and gradient is not None:
        inner = np.where(small[:, None], 0.0, gradient)
        field = np.concatenate([density[:, None], inner], axis=1)
        field = field if spin else field[0]
        exc, v = NumInt().eval_xc_eff(LIBXC[xc], field, deriv=1, xctype="GGA", spin=spin)[:2]
        vector = v.reshape(channels, 4, n)[:, 1:]
    else:
        field = density if spin else density[0]
        exc, v = NumInt().eval_xc_eff(LIBXC[xc], field, deriv=1, xctype="LDA", spin=spin)[:2]
    exc, scalar = np.ravel(exc), v.reshape(channels, -1, n)[:, 0]
    empty = total < _SMALLEST
    exc[empty] = 0.0
    scalar[:, empty] = 0.0
    vector[:, :, empty] = 0.0
    return exc, scalar, vector
