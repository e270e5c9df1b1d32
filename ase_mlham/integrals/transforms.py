"""Atomic orbitals in reciprocal space, and those of the orbitals acted upon by r or d/dr.

With f(k) = sqrt(2/pi) Int r^2 R(r) j_l(kr) dr every two-centre integral becomes a product of two
such functions. Multiplying an orbital by a coordinate, or differentiating it, gives orbitals with
l - 1 and l + 1 (`Channels`), so that positions and gradients are more shells and not more code. In
reciprocal space the derivative is -k f(k) for l + 1 and +k f(k) for l - 1: no radial derivative is
ever taken.

Gaussians are transformed in closed form and never truncated: their cut-off only decides which pairs
of atoms exist. Everything else is integrated numerically up to its cut-off, between the knots of a
table, where an interpolated function is smooth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from math import gamma

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.basis import LETTERS, Shell
from ase_mlham.core.harmonics import gaunt
from ase_mlham.core.radial import GaussianRadial, RadialFunction, TabulatedRadial
from ase_mlham.errors import BasisError
from ase_mlham.integrals.bessel import spherical_bessel

__all__ = ["Channels", "RadialTransform", "pair_reach", "radial_panels", "wave_vectors"]

_NORM_TOLERANCE = 1e-8
"""Part of an orbital's norm that may lie beyond the largest wave vector."""
_KINETIC_TOLERANCE = 1e-6
"""Part of its kinetic energy: tables carry kinks whose transform falls off slowly."""
_FIRST_K, _GROWTH, _LAST_K = 56.0, 1.3, 700.0
"""Wave vectors in 1/Å: where the search begins, its factor, and where it gives up."""
_GAUSSIAN_EXPONENT = 41.5
"""-ln of the weight at which a Gaussian is given up: 1e-18."""
_SAMPLING_MARGIN = 1.25
_FINEST_PANELS = 1024
"""Where the points of a table lie closer than its reach over this, its kinks are harmless."""
_SQRT_2_OVER_PI = float(np.sqrt(2 / np.pi))


@lru_cache(maxsize=4)
def _gauss_legendre(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.polynomial.legendre.leggauss(n)


def wave_vectors(reach: float, k_max: float) -> NDArray[np.float64]:
    """Equidistant k > 0 that sample all functions which vanish beyond `reach` exactly, 1/Å."""
    dk = float(np.pi / reach / _SAMPLING_MARGIN)
    return dk * np.arange(1, int(np.ceil(k_max / dk)) + 1, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class RadialTransform:
    """Fourier-Bessel transform of one shell.

    Parameters
    ----------
    shell : Shell
        Must have a radial function.
    owner : str
        Element, for messages.
    """

    shell: Shell
    owner: str = ""
    _quadratures: dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]] = field(
        default_factory=dict, repr=False
    )

    def __post_init__(self) -> None:
        if self.shell.radial is None:
            raise BasisError(
                f"{self.owner}: the {self.name} has no radial function, so integrals with it "
                "cannot be computed; give a basis with radial functions (for OpenMX the .pao "
                "files), or use matrices that the file itself holds"
            )
        if isinstance(self.shell.radial, GaussianRadial) and self.shell.radial.l != self.shell.l:
            raise BasisError(
                f"{self.owner}: a contraction with r^{self.shell.radial.l} in a shell with l = "
                f"{self.shell.l}; the two must agree"
            )

    @property
    def name(self) -> str:
        """What messages call the shell."""
        return f"{self.shell.label or LETTERS[self.shell.l]} shell"

    @property
    def l(self) -> int:
        """Angular momentum."""
        return self.shell.l

    @property
    def radial(self) -> RadialFunction:
        """The radial function."""
        if self.shell.radial is None:
            raise BasisError(f"{self.owner}: the {self.name} has no radial function")
        return self.shell.radial

    @property
    def is_gaussian(self) -> bool:
        """Whether the transform is known in closed form."""
        return isinstance(self.radial, GaussianRadial)

    @cached_property
    def reach(self) -> float:
        """Distance beyond which the orbital vanishes (to 1e-18 of a Gaussian's weight), Å."""
        radial = self.radial
        if isinstance(radial, GaussianRadial):
            return float(np.sqrt(_GAUSSIAN_EXPONENT / radial.exponents.min()))
        return float(radial.cutoff)

    def quadrature(self, k_max: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Nodes r, and r^2 R(r) times their weights, for wave vectors up to k_max."""
        # few different sets, so that they are shared
        level = max(0, int(np.ceil(np.log(k_max / _FIRST_K) / np.log(_GROWTH) - 1e-9)))
        if level not in self._quadratures:
            r, weights = radial_panels(self.radial, self.reach, _FIRST_K * _GROWTH**level)
            self._quadratures[level] = r, weights * r * r * self.radial(r)
        return self._quadratures[level]

    @cached_property
    def norm(self) -> float:
        """Int r^2 R(r)^2 dr."""
        radial = self.radial
        if isinstance(radial, GaussianRadial):
            p = radial.l + 1.5
            sums = radial.exponents[:, None] + radial.exponents[None, :]
            return float(radial.coefficients @ (gamma(p) / (2 * sums**p)) @ radial.coefficients)
        r, weighted = self.quadrature(_FIRST_K)
        return float(weighted @ radial(r))

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
        radial, l = self.radial, self.l
        if isinstance(radial, GaussianRadial):
            a = radial.exponents[:, None]
            base = radial.coefficients[:, None] * np.exp(-k * k / (4 * a)) / (2 * a) ** (l + 1.5)
            if degree is None:
                return k**l * base.sum(axis=0)
            if degree == l + 1:
                return k**degree * (base / (2 * a)).sum(axis=0)
            return k**degree * (base * (2 * l + 1 - k * k / (2 * a))).sum(axis=0)
        r, weighted = self.quadrature(float(k[-1]))
        q = l
        if degree is not None:
            q, weighted = degree, weighted * r
        kernels = {} if kernels is None else kernels
        key = r.tobytes()
        if key not in kernels or len(kernels[key]) <= q:
            kernels[key] = spherical_bessel(q, np.outer(r, k))
        return _SQRT_2_OVER_PI * (weighted @ kernels[key][q])


def radial_panels(
    radial: RadialFunction, reach: float, k_max: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gauss-Legendre nodes and weights on [0, reach] for functions times j_l(kr), k <= k_max.

    Parameters
    ----------
    radial : RadialFunction
        Panels end where its derivatives jump.
    reach : float
        Å.
    k_max : float
        1/Å.

    Notes
    -----
    A panel with 5 points integrates 1.5 radians of an oscillation to 1e-11, one with 8 points five.
    """
    edges = np.linspace(0.0, reach, 33)
    if isinstance(radial, TabulatedRadial):
        # derivatives of an interpolated function jump at its knots: panels end there
        knots = radial.r[radial.r < reach]
        first = np.unique((knots * (_FINEST_PANELS / reach)).astype(np.int64), return_index=True)[1]
        edges = np.concatenate([[0.0], knots[first[1:]], [reach]])
    pieces = np.maximum(1, np.ceil(np.diff(edges) * k_max / 5.0)).astype(np.int64)
    starts = np.repeat(edges[:-1], pieces)
    h = np.repeat(np.diff(edges) / pieces, pieces)
    starts = starts + h * (np.arange(len(h)) - np.repeat(np.cumsum(pieces) - pieces, pieces))
    r, weights = [], []
    for points, here in ((5, h * k_max <= 1.5), (8, h * k_max > 1.5)):
        x, w = _gauss_legendre(points)
        r.append((starts[here][:, None] + h[here][:, None] * (x + 1) / 2).ravel())
        weights.append((h[here][:, None] * w / 2).ravel())
    return np.concatenate(r), np.concatenate(weights)


@dataclass(frozen=True, eq=False)
class Channels:
    """Shells as they enter an integral on one side, with how orbitals are rebuilt from them.

    Parameters
    ----------
    transforms : tuple of RadialTransform
        The shells of a species.
    kind : str
        "plain", "position" (r - tau) phi, or "gradient" d phi/dr.
    plain : Channels, optional
        The same shells not acted upon, whose transforms the gradient shares.
    """

    transforms: tuple[RadialTransform, ...]
    kind: str = "plain"
    plain: Channels | None = None
    _spectra: dict[float, NDArray[np.float64]] = field(default_factory=dict, repr=False)
    _k_max: dict[int, float] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, shells: Sequence[Shell], owner: str = "") -> Channels:
        """Plain channels of a sequence of shells."""
        return cls(tuple(RadialTransform(shell, owner) for shell in shells))

    def acted_on(self, kind: str) -> Channels:
        """The same shells, multiplied by the coordinate or differentiated."""
        return Channels(self.transforms, kind, self)

    @cached_property
    def sources(self) -> tuple[tuple[int, int], ...]:
        """Shell index and degree of each channel."""
        if self.kind == "plain":
            return tuple((n, t.l) for n, t in enumerate(self.transforms))
        return tuple(
            (n, t.l + step)
            for n, t in enumerate(self.transforms)
            for step in (-1, 1)
            if t.l + step >= 0
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
        return np.cumsum([0, *(2 * t.l + 1 for t in self.transforms)])

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
            rows = slice(self.orbital_offsets[source], self.orbital_offsets[source + 1])
            columns = slice(self.offsets[c], self.offsets[c + 1])
            # Y_1 is y, z, x
            vector = np.sqrt(4 * np.pi / 3) * gaunt(self.transforms[source].l, degree, 1)
            out[:, rows, columns] = vector[:, :, [2, 0, 1]].transpose(2, 0, 1)
        return out

    # ------------------------------------------------------------------ reciprocal space
    def k_max(self, power: int) -> float:
        """Wave vector beyond which k^(2 + power) f(k)^2 of no shell contributes, 1/Å.

        Parameters
        ----------
        power : int
            0 for norms, 2 for kinetic energies.

        Raises
        ------
        BasisError
            A function is too rough for any reasonable wave vector.
        """
        if self.plain is not None:
            return self.plain.k_max(power)
        if power not in self._k_max:
            self._k_max[power] = max(
                max((_gaussian_k_max(t) for t in self.transforms if t.is_gaussian), default=0.0),
                self._converged_k(power),
            )
        return self._k_max[power]

    def _converged_k(self, power: int) -> float:
        numerical = [n for n, t in enumerate(self.transforms) if not t.is_gaussian]
        if not numerical:
            return 0.0
        # the sampling that a pair of this species needs, so that its transforms serve again
        reach, k_max = 2 * max(self.transforms[n].reach for n in numerical), _FIRST_K
        tolerance = _KINETIC_TOLERANCE if power else _NORM_TOLERANCE
        while True:
            k = wave_vectors(reach, k_max)
            rough = [
                n
                for n in numerical
                if not _is_converged(self.transforms[n], k, self(k)[n], power, tolerance)
            ]
            if not rough:
                return k_max
            if k_max > _LAST_K:
                transform = self.transforms[rough[0]]
                raise BasisError(
                    f"{transform.owner}: the {transform.name} is too rough: its transform has not "
                    f"converged at {k_max:.0f} 1/Å; check the table for jumps, and whether its "
                    "distances are in Å"
                )
            k_max *= _GROWTH

    def __call__(self, k: NDArray[np.float64]) -> NDArray[np.float64]:
        """Transforms of all channels at equidistant k > 0, (n_channels, n_k)."""
        if self.kind == "gradient" and self.plain is not None:
            plain = self.plain(k)
            return np.array(
                [(-k if q > self.transforms[n].l else k) * plain[n] for n, q in self.sources]
            )
        known = self._spectra.get(float(k[0]), np.empty((len(self.sources), 0)))
        if known.shape[1] < len(k):
            more = self._evaluate(k[known.shape[1] :])
            known = self._spectra[float(k[0])] = np.concatenate([known, more], axis=1)
        return known[:, : len(k)]

    def _evaluate(self, k: NDArray[np.float64]) -> NDArray[np.float64]:
        kernels: dict[bytes, NDArray[np.float64]] = {}
        out = np.empty((len(self.sources), len(k)))
        # from the largest degree down, so that every Bessel function is computed once
        for c in sorted(range(len(self.sources)), key=lambda c: -self.degrees[c]):
            n, degree = self.sources[c]
            out[c] = self.transforms[n](k, None if self.kind == "plain" else degree, kernels)
        return out


def _gaussian_k_max(transform: RadialTransform) -> float:
    radial = transform.radial
    if not isinstance(radial, GaussianRadial):
        return 0.0
    return float(np.sqrt(2 * _GAUSSIAN_EXPONENT * radial.exponents.max()))


def _is_converged(
    transform: RadialTransform,
    k: NDArray[np.float64],
    f: NDArray[np.float64],
    power: int,
    tolerance: float,
) -> bool:
    """Whether sum k^2 f^2 is the norm, or for other powers has stopped growing."""
    density = k[0] * k ** (2 + power) * f * f
    if power == 0:
        return bool(abs(density.sum() - transform.norm) < tolerance * transform.norm)
    last = density[int(len(k) / _GROWTH) :].sum()
    return bool(last < tolerance * density.sum())


def pair_reach(a: Channels, b: Channels) -> float:
    """Distance of two atoms beyond which all integrals vanish, Å.

    Functions with an end vanish beyond the sum of their radii; two Gaussians with reaches r and s
    beyond sqrt(r^2 + s^2), where exp(-X^2 a b / (a + b)) is as small as each was at its own.
    """
    return max(
        float(np.hypot(s.reach, t.reach)) if s.is_gaussian and t.is_gaussian else s.reach + t.reach
        for s in a.transforms
        for t in b.transforms
    )
