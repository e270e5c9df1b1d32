"""Spherical atoms with GTH pseudopotentials: the densities from which the SCF cycle starts.

The sum of atomic densities gives the "superposition" Hamiltonian, from which the converged one
differs by a few meV on average. Hartree atomic units.
"""

from __future__ import annotations

import json
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.linalg import eigh
from scipy.special import erf, gamma

from ase_mlham.engines.pyscf.functional import xc_energy_potential
from ase_mlham.errors import EngineError

__all__ = ["AtomicDensity", "atomic_density", "gth_projector"]

_EXPONENTS = 0.02 * 2.0 ** np.arange(13)
"""Even-tempered, from the outer shell of sodium to the 3d shell of germanium."""

_POLARISATION = 0.9
"""Largest ratio of moment and electrons that the start density gets."""


def gth_projector(r: NDArray[np.float64], l: int, index: int, radius: float) -> NDArray[np.float64]:
    """Radial projector p_i(r) of Goedecker, Teter and Hutter, normalised, bohr^(-3/2).

    Parameters
    ----------
    r : array
        Distances in bohr.
    l, index : int
        Angular momentum; number of the projector from 0.
    radius : float
        r_l of the pseudopotential, bohr.

    Notes
    -----
    Phys. Rev. B 54, 1703 (1996), equation 6; here i = index + 1.
    """
    power = l + (4 * index + 3) / 2
    norm = np.sqrt(2.0) / (radius**power * np.sqrt(gamma(power)))
    return norm * r ** (l + 2 * index) * np.exp(-0.5 * (r / radius) ** 2)


class AtomicDensity:
    """Valence density of a neutral spherical atom.

    Attributes
    ----------
    r, weight, rho : (n,) float
        Radial points, weights of the integral over r, and density (bohr^-3).
    rho_open, n_open : (n,) float and float
        Density and number of the electrons in levels that are not full.
    eigenvalues : list of arrays
        For each l, hartree.
    """

    def __init__(self, symbol: str, pseudo: list, xc: str) -> None:
        self.symbol, self.xc = symbol, xc
        x, w = np.polynomial.legendre.leggauss(300)
        x, w = (x + 1) / 2, w / 2
        self.r, self.weight = 30.0 * x**3, w * 90.0 * x**2  # dense near the nucleus
        occupation = list(pseudo[0])
        self._solve(pseudo, occupation)

    def _one_electron(self, pseudo: list, l: int) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Basis functions, derivatives, overlap and T + V_loc + V_nl."""
        r, w2 = self.r, self.weight * self.r**2
        a = _EXPONENTS[:, None]
        norm = np.sqrt(2 * (2 * a) ** (l + 1.5) / gamma(l + 1.5))
        R = norm * r**l * np.exp(-a * r**2)
        dR = R * (l / r - 2 * a * r)
        q, radius, c = sum(pseudo[0]), pseudo[1], pseudo[3]
        x = r / radius
        v = -q * erf(x / np.sqrt(2)) / r
        v += np.exp(-(x**2) / 2) * sum(ci * x ** (2 * i) for i, ci in enumerate(c))
        h = 0.5 * ((dR * w2) @ dR.T + l * (l + 1) * (R * self.weight) @ R.T) + (R * w2 * v) @ R.T
        if len(pseudo) > 5 + l and pseudo[5 + l][1]:
            radius, n, coupling = pseudo[5 + l]
            p = np.array([gth_projector(r, l, i, radius) for i in range(n)])
            b = (p * w2) @ R.T
            h = h + b.T @ np.asarray(coupling) @ b
        return R, dR, (R * w2) @ R.T, h

    def _solve(self, pseudo: list, occupation: list[float]) -> None:
        r, w2 = self.r, self.weight * self.r**2
        shells = [self._one_electron(pseudo, l) for l in range(len(occupation))]
        rho = drho = vh = v0 = v1 = np.zeros_like(r)
        for iteration in range(300):
            self.eigenvalues = []
            # (all levels or those not full, density or its slope, n)
            new = np.zeros((2, 2, r.size))
            n_open = 0.0
            for l, (R, dR, S, h) in enumerate(shells):
                cross = (R * w2 * v1) @ dR.T
                e, c = eigh(h + (R * w2 * (vh + v0)) @ R.T + cross + cross.T, S)
                self.eigenvalues.append(e)
                left = occupation[l]
                for n in range(len(e)):
                    full = 2 * (2 * l + 1)
                    f = min(left, full)
                    if f <= 0:
                        break
                    left -= f
                    u, du = c[:, n] @ R, c[:, n] @ dR
                    level = np.stack([f * u**2, f * 2 * u * du]) / (4 * np.pi)
                    new[0] += level
                    if f < full:
                        new[1] += level
                        n_open += f
            change = 4 * np.pi * np.sum(w2 * abs(new[0, 0] - rho))
            if iteration and change < 1e-9:
                self.rho, self._slope, self._hartree = rho, drho, vh
                (self.rho_open, self._slope_open), self.n_open = new[1], n_open
                return
            mix = 0.4 if iteration else 1.0
            rho, drho = rho + mix * (new[0, 0] - rho), drho + mix * (new[0, 1] - drho)
            charge = 4 * np.pi * w2 * rho
            inner = np.cumsum(charge) - charge / 2
            shell = charge / r
            vh = inner / r + np.cumsum(shell[::-1])[::-1] - shell / 2
            gradient = np.zeros((1, 3, r.size))
            gradient[0, 2] = drho
            _, scalar, vector = xc_energy_potential(self.xc, rho[None], gradient)
            v0, v1 = scalar[0], vector[0, 2]
        raise EngineError(
            f"the spherical {self.symbol} atom did not converge (density change {change:.1e}); its "
            "pseudopotential is not usable for a start density"
        )

    def transform(self, G: NDArray[np.float64]) -> NDArray[np.float64]:
        """Fourier transform of the density at |G| (1/bohr); the electron count at G = 0."""
        return self._transform(G, self.rho, self.electrons)

    def transform_open(self, G: NDArray[np.float64]) -> NDArray[np.float64]:
        """Fourier transform of `rho_open` at |G| (1/bohr); `n_open` at G = 0."""
        return self._transform(G, self.rho_open, self.n_open)

    def _transform(
        self, G: NDArray[np.float64], rho: NDArray[np.float64], electrons: float
    ) -> NDArray[np.float64]:
        g = np.linspace(0, float(G.max()) + 1e-6, 800)
        f = 4 * np.pi * (np.sinc(g[:, None] * self.r / np.pi) @ (self.weight * self.r**2 * rho))
        return CubicSpline(g, f * (electrons / f[0]))(G)

    def spin_weights(self, moments: NDArray[np.float64]) -> NDArray[np.float64]:
        """Parts of `rho` and of `rho_open` whose sum has a moment.

        Levels that are not full carry it if they hold enough electrons, else all levels; never all
        of them, because full polarisation is a trap: PBE's potential of the empty channel is
        infinite there.

        Parameters
        ----------
        moments : (...) float
            In Bohr magnetons, that is in electrons.

        Returns
        -------
        (2, ...) float
        """
        fits = abs(moments) <= self.n_open
        most = _POLARISATION * np.where(fits, self.n_open, self.electrons)
        moments = np.clip(moments, -most, most)
        open_part = np.where(fits, moments, 0.0) / max(self.n_open, 1.0)
        return np.stack([np.where(fits, 0.0, moments) / self.electrons, open_part])

    def at(
        self, r: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Density (bohr^-3), its derivative and its Hartree potential (hartree) at distances r."""
        end = self.r[-1]
        inside = np.minimum(r, end)
        table = np.stack([self.rho, self._slope, self._hartree * self.r], axis=1)
        rho, slope, charge = CubicSpline(self.r, table)(inside).T
        far = r >= end
        charge[far] = self.electrons
        rho[far] = slope[far] = 0.0
        return rho, slope, charge / np.maximum(r, 1e-12)

    def open_at(self, r: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """`rho_open` (bohr^-3) and its derivative at distances r."""
        table = np.stack([self.rho_open, self._slope_open], axis=1)
        inside = CubicSpline(self.r, table)(np.minimum(r, self.r[-1])).T
        rho, slope = np.where(r < self.r[-1], inside, 0.0)
        return rho, slope

    @property
    def electrons(self) -> float:
        """Electrons of the density, exact to quadrature."""
        return float(round(4 * np.pi * np.sum(self.weight * self.r**2 * self.rho)))


@lru_cache(maxsize=64)
def _cached(symbol: str, pseudo: str, xc: str) -> AtomicDensity:
    return AtomicDensity(symbol, json.loads(pseudo), xc)


def atomic_density(symbol: str, pseudo: list, xc: str) -> AtomicDensity:
    """Density of an element with a GTH pseudopotential (PySCF's list of its parameters)."""
    return _cached(symbol, json.dumps(pseudo), xc)
