"""Real spherical harmonics and how they turn.

Order m = -l..l, no Condon-Shortley sign: l = 1 is y, z, x; l = 2 is xy, yz, z2, xz, x2-y2.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ase_mlham.errors import InputError

__all__ = ["gaunt", "real_harmonics", "rotation_matrix"]


def real_harmonics(l_max: int, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormal real spherical harmonics of the directions of some vectors.

    Parameters
    ----------
    l_max : int
        Largest degree.
    vectors : (n, 3) float
        Any length; the zero vector is taken to point along z.

    Returns
    -------
    (n, (l_max + 1)**2) float
        Column l*l + l + m holds Y_lm.
    """
    vectors = np.asarray(vectors, dtype=np.float64)
    length = np.linalg.norm(vectors, axis=1)
    unit = vectors / np.where(length > 0, length, 1.0)[:, None]
    unit[length == 0] = (0.0, 0.0, 1.0)
    x, y, z = unit.T
    out = np.empty((len(unit), (l_max + 1) ** 2))
    # Re and Im of (x + i y)^m carry sin(theta)^m, so the Legendre part is a polynomial in z
    cosine, sine, diagonal = np.ones_like(x), np.zeros_like(x), 1.0
    for m in range(l_max + 1):
        before, legendre = np.zeros_like(x), np.full_like(x, diagonal)
        for l in range(m, l_max + 1):
            if l > m:
                before, legendre = (
                    legendre,
                    ((2 * l - 1) * z * legendre - (l + m - 1) * before) / (l - m),
                )
            norm = (2 * l + 1) / (4 * np.pi)
            for t in range(l - m + 1, l + m + 1):
                norm /= t
            scaled = np.sqrt(norm * (2 if m else 1)) * legendre
            out[:, l * l + l + m] = scaled * cosine
            if m:
                out[:, l * l + l - m] = scaled * sine
        cosine, sine = cosine * x - sine * y, cosine * y + sine * x
        diagonal *= 2 * m + 1
    return out


@lru_cache(maxsize=512)
def gaunt(l_a: int, l_b: int, l_c: int) -> NDArray[np.float64]:
    """Integral of three real harmonics over the sphere, (2 l_a + 1, 2 l_b + 1, 2 l_c + 1).

    Exact: a product quadrature of sufficient degree.
    """
    degree = l_a + l_b + l_c
    z, weight = np.polynomial.legendre.leggauss(degree // 2 + 1)
    phi = 2 * np.pi * np.arange(degree + 1) / (degree + 1)
    rho = np.sqrt(1 - z * z)
    points = np.stack(
        [np.outer(rho, np.cos(phi)), np.outer(rho, np.sin(phi)), np.outer(z, np.ones_like(phi))], -1
    )
    y = real_harmonics(max(l_a, l_b, l_c), points.reshape(-1, 3))
    weights = np.repeat(weight, degree + 1) * 2 * np.pi / (degree + 1)
    a, b, c = (y[:, l * l : (l + 1) ** 2] for l in (l_a, l_b, l_c))
    out = np.einsum("p,pa,pb,pc->abc", weights, a, b, c, optimize=True)
    out[abs(out) < 1e-13] = 0.0
    out.flags.writeable = False
    return out


@lru_cache(maxsize=32)
def _sample(l: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Directions and the pseudo-inverse of Y_l on them."""
    n = 4 * (2 * l + 1)
    z = 1 - (2 * np.arange(n) + 1) / n
    phi = np.pi * (3 - np.sqrt(5)) * np.arange(n)
    rho = np.sqrt(1 - z * z)
    points = np.stack([rho * np.cos(phi), rho * np.sin(phi), z], 1)
    y = real_harmonics(l, points)[:, l * l :]
    return points, np.linalg.pinv(y)


def rotation_matrix(l: int, rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrix D with Y_l(Q r) = D Y_l(r), for Q in O(3): the Wigner matrix of real harmonics.

    Improper Q are welcome: D then contains (-1)^l.

    Raises
    ------
    InputError
        Q is not orthogonal.
    """
    rotation = np.asarray(rotation, dtype=np.float64)
    if rotation.shape != (3, 3) or not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-9):
        raise InputError("a rotation must be an orthogonal 3 x 3 matrix")
    points, inverse = _sample(l)
    turned = real_harmonics(l, points @ rotation.T)[:, l * l :]
    return (inverse @ turned).T
