"""Atomic orbitals in reciprocal space, and those of the orbitals acted upon by r or d/dr.

With f(k) = sqrt(2/pi) Int r^2 R(r) j_l(kr) dr every two-centre integral becomes a product of two
such functions. Multiplying an orbital by a coordinate, or differentiating it, gives orbitals with l
- 1 and l + 1 (`Channels`), so that positions and gradients are more shells and not more code. In
reciprocal space the derivative is -k f(k) for l + 1 and +k f(k) for l - 1: no radial derivative is
ever taken.

Gaussians are transformed in closed form and never truncated: their cut-off only decides which pairs
of atoms exist. Everything else is integrated numerically up to its cut-off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.basis import LETTERS, Shell
from ase_mlham.core.harmonics import gaunt
from ase_mlham.core.radial import GaussianRadial, TabulatedRadial
from ase_mlham.errors import BasisError
from ase_mlham.integrals.bessel import spherical_bessel

__all__ = ["Channels", "RadialTransform", "pair_reach"]

_NORM_TOLERANCE = 1e-8
"""Part of an orbital's norm that may lie beyond the largest wave vector."""
_KINETIC_TOLERANCE = 1e-6
"""Part of its kinetic energy: tables carry kinks whose transform falls off slowly."""
_K_START, _K_LIMIT = 56.0, 1000.0
_PANEL_POINTS = 8
_GAUSSIAN_DECADES = 41.5
"""-ln of the weight at which a Gaussian is given up: 1e-18."""
_SQRT_2_OVER_PI = np.sqrt(2 / np.pi)


@lru_cache(maxsize=4)
def _gauss_legendre(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.polynomial.legendre.leggauss(n)


@dataclass(frozen=True, eq=False)
class RadialTransform:
    """Fourier-Bessel transforms of one shell.

    Parameters
    ----------
    shell : Shell
        Must have a radial function.
    owner : str
        Element, for messages.
    """

    shell: Shell
    owner: str = ""

    def __post_init__(self) -> None:
        if self.shell.radial is None:
            raise BasisError(
                f"{self.owner}: the {self._name} has no radial function, so integrals with it "
                "cannot be computed; give a basis with radial functions (for OpenMX the .pao "
                "files), or use matrices that the file itself holds"
            )
        if isinstance(self.shell.radial, GaussianRadial) and self.shell.radial.l != self.shell.l:
            raise BasisError(
                f"{self.owner}: a contraction with r^{self.shell.radial.l} in a shell with l = "
                f"{self.shell.l}; the two must agree"
            )

    @property
    def _name(self) -> str:
        return f"{self.shell.label or LETTERS[self.shell.l]} shell"

    @property
    def is_gaussian(self) -> bool:
        """Whether the transform is known in closed form."""
        return isinstance(self.shell.radial, GaussianRadial)

    @cached_property
    def reach(self) -> float:
        """Distance beyond which the orbital vanishes (to 1e-18 of a Gaussian's weight), Å."""
        radial = self.shell.radial
        if isinstance(radial, GaussianRadial):
            return float(np.sqrt(_GAUSSIAN_DECADES / radial.exponents.min()))
        return float(radial.cutoff)  # type: ignore[union-attr]  # refused in __post_init__

    @cached_property
    def _nodes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self._quadrature(_K_START)

    def _quadrature(self, k_max: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Nodes r and r^2 R(r) times weights, exact for wave vectors up to k_max."""
        radial = self.shell.radial
        x, w = _gauss_legendre(_PANEL_POINTS)
        # a panel of 8 points integrates 6 radians of an oscillation to 1e-12
        width = min(6.0 / k_max, self.reach / 48)
        edges = np.linspace(0.0, self.reach, int(np.ceil(self.reach / width)) + 1)
        if isinstance(radial, TabulatedRadial):
            # third derivatives of a spline jump at its knots: let panels end there
            knots = radial.r[radial.r < self.reach]
            far = knots[np.diff(knots, append=self.reach) > width / 4]
            near = edges[edges < (far[0] if len(far) else self.reach)]
            edges = np.unique(np.concatenate([near, far, [self.reach]]))
            wide = np.diff(edges) > width
            edges = np.sort(np.concatenate([edges, ((edges[:-1] + edges[1:]) / 2)[wide]]))
        h = np.diff(edges)[:, None]
        r = (edges[:-1, None] + h * (x + 1) / 2).ravel()
        weights = (h * w / 2).ravel()
        values = radial(r)  # type: ignore[misc]  # refused in __post_init__
        return r, weights * r * r * values

    @cached_property
    def norm(self) -> float:
        """Int r^2 R(r)^2 dr."""
        radial = self.shell.radial
        if isinstance(radial, GaussianRadial):
            from math import gamma

            p = radial.l + 1.5
            sums = radial.exponents[:, None] + radial.exponents[None, :]
            return float(radial.coefficients @ (gamma(p) / (2 * sums**p)) @ radial.coefficients)
        r, weighted = self._nodes
        return float(weighted @ radial(r))  # type: ignore[misc]  # refused in __post_init__

    def __call__(
        self,
        k: NDArray[np.float64],
        degree: int | None = None,
        kernels: dict[bytes, NDArray[np.float64]] | None = None,
    ) -> NDArray[np.float64]:
        """f(k) of the orbital, or of r R(r) with another degree.

        Parameters
        ----------
        k : (n,) float
            1/Å, positive, increasing.
        degree : int, optional
            l + 1 or l - 1: the transform sqrt(2/pi) Int r^3 R(r) j_degree(kr) dr that positions
            need.
        kernels : dict, optional
            Bessel functions of earlier shells at the same k, reused where the nodes are the same.

        Returns
        -------
        (n,) float
            Å^(3/2), or Å^(5/2) with `degree`.
        """
        radial, l = self.shell.radial, self.shell.l
        if isinstance(radial, GaussianRadial):
            a = radial.exponents[:, None]
            base = radial.coefficients[:, None] * np.exp(-k * k / (4 * a)) / (2 * a) ** (l + 1.5)
            if degree is None:
                return k**l * base.sum(axis=0)
            if degree == l + 1:
                return k**degree * (base / (2 * a)).sum(axis=0)
            return k**degree * (base * (2 * l + 1 - k * k / (2 * a))).sum(axis=0)
        r, weighted = self._quadrature(max(float(k[-1]), _K_START))
        q = l
        if degree is not None:
            q, weighted = degree, weighted * r
        kernels = {} if kernels is None else kernels
        key = r.tobytes()
        if key not in kernels or len(kernels[key]) <= q:
            kernels[key] = spherical_bessel(q, np.outer(r, k))
        return _SQRT_2_OVER_PI * (weighted @ kernels[key][q])

    @cached_property
    def _k_max(self) -> dict[int, float]:
        return {}

    def k_max(self, power: int) -> float:
        """Wave vector beyond which k^(2 + power) f(k)^2 contributes nothing, 1/Å.

        Parameters
        ----------
        power : int
            0 for norms, 2 for kinetic energies.

        Raises
        ------
        BasisError
            The function is too rough for any reasonable wave vector.
        """
        if power not in self._k_max:
            self._k_max[power] = self._find_k_max(power)
        return self._k_max[power]

    def _find_k_max(self, power: int) -> float:
        radial = self.shell.radial
        if isinstance(radial, GaussianRadial):
            return float(np.sqrt(2 * _GAUSSIAN_DECADES * radial.exponents.max()))
        dk = float(np.pi / self.reach / 1.25)
        k = dk * np.arange(1, int(np.ceil(_K_START / dk)) + 1, dtype=np.float64)
        f = self(k)
        while k[-1] < _K_LIMIT:
            density = dk * k ** (2 + power) * f * f
            total = density.sum()
            last = density[int(len(k) / 1.3) :].sum()
            inside = power > 0 or abs(total - self.norm) < _NORM_TOLERANCE * self.norm
            tolerance = _KINETIC_TOLERANCE if power else _NORM_TOLERANCE
            if inside and last < tolerance * total:
                return float(k[-1])
            more = k[-1] + dk * np.arange(1, int(0.3 * len(k)) + 1)
            k, f = np.concatenate([k, more]), np.concatenate([f, self(more)])
        raise BasisError(
            f"{self.owner}: the {self._name} is too rough: its transform has not converged at "
            f"{k[-1]:.0f} 1/Å; check the table for jumps, and whether its distances are in Å"
        )


@dataclass(frozen=True, eq=False)
class Channels:
    """Shells as they enter an integral on one side, with how orbitals are rebuilt from them.

    Parameters
    ----------
    transforms : tuple of RadialTransform
        The shells of a species.
    kind : str
        "plain", "position" (r - tau) phi, or "gradient" d phi/dr.
    """

    transforms: tuple[RadialTransform, ...]
    kind: str = "plain"

    @classmethod
    def of(cls, shells: Sequence[Shell], kind: str = "plain", owner: str = "") -> Channels:
        """Channels of a sequence of shells."""
        return cls(tuple(RadialTransform(shell, owner) for shell in shells), kind)

    def acted_on(self, kind: str) -> Channels:
        """The same shells, multiplied by the coordinate or differentiated."""
        return Channels(self.transforms, kind)

    @cached_property
    def sources(self) -> tuple[tuple[int, int], ...]:
        """Shell index and degree of each channel."""
        if self.kind == "plain":
            return tuple((n, t.shell.l) for n, t in enumerate(self.transforms))
        return tuple(
            (n, t.shell.l + step)
            for n, t in enumerate(self.transforms)
            for step in (-1, 1)
            if t.shell.l + step >= 0
        )

    @property
    def degrees(self) -> tuple[int, ...]:
        """Degree of each channel."""
        return tuple(degree for _, degree in self.sources)

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """First function of each channel, and the total: (n_channels + 1,)."""
        return np.cumsum([0, *(2 * degree + 1 for degree in self.degrees)])

    @cached_property
    def orbital_offsets(self) -> NDArray[np.int64]:
        """First orbital of each shell, and the total: (n_shells + 1,)."""
        return np.cumsum([0, *(2 * t.shell.l + 1 for t in self.transforms)])

    @property
    def n_components(self) -> int:
        """1, or 3 for x, y, z."""
        return 1 if self.kind == "plain" else 3

    @cached_property
    def coupling(self) -> NDArray[np.float64]:
        """Orbitals (acted upon) from channels: (n_components, n_orbitals, n_functions)."""
        n = int(self.orbital_offsets[-1])
        if self.kind == "plain":
            return np.eye(n)[None]
        out = np.zeros((3, n, int(self.offsets[-1])))
        for c, (source, degree) in enumerate(self.sources):
            l = self.transforms[source].shell.l
            rows = slice(self.orbital_offsets[source], self.orbital_offsets[source + 1])
            columns = slice(self.offsets[c], self.offsets[c + 1])
            # Y_1 is y, z, x
            vector = np.sqrt(4 * np.pi / 3) * gaunt(l, degree, 1)[:, :, [2, 0, 1]]
            out[:, rows, columns] = vector.transpose(2, 0, 1)
        return out

    def k_max(self, power: int) -> float:
        """Largest wave vector that any of the shells needs, 1/Å."""
        return max(t.k_max(power) for t in self.transforms)

    def __call__(self, k: NDArray[np.float64]) -> NDArray[np.float64]:
        """Transforms of all channels, (n_channels, n_k)."""
        kernels: dict[bytes, NDArray[np.float64]] = {}
        out: dict[int, NDArray[np.float64]] = {}
        # from the largest degree down, so that every Bessel function is computed once
        if self.kind == "position":
            for c in sorted(range(len(self.sources)), key=lambda c: -self.degrees[c]):
                n, degree = self.sources[c]
                out[c] = self.transforms[n](k, degree, kernels)
            return np.array([out[c] for c in range(len(self.sources))])
        for n in sorted(range(len(self.transforms)), key=lambda n: -self.transforms[n].shell.l):
            out[n] = self.transforms[n](k, kernels=kernels)
        plain = [out[n] for n in range(len(self.transforms))]
        if self.kind == "plain":
            return np.array(plain)
        return np.array(
            [
                (-k if degree > self.transforms[n].shell.l else k) * plain[n]
                for n, degree in self.sources
            ]
        )


def pair_reach(a: Channels, b: Channels) -> float:
    """Distance of two atoms beyond which all integrals vanish, Å.

    Functions with an end vanish beyond the sum of their radii; two Gaussians with reaches r and s
    beyond sqrt(r^2 + s^2), which is where exp(-X^2 a b / (a + b)) is as small as each was at its
    own.
    """
    return max(
        float(np.hypot(s.reach, t.reach)) if s.is_gaussian and t.is_gaussian else s.reach + t.reach
        for s in a.transforms
        for t in b.transforms
    )
