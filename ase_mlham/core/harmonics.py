"""Real spherical harmonics and how they turn.

Order m = -l..l, no Condon-Shortley sign: l = 1 is y, z, x; l = 2 is xy, yz, z2, xz, x2-y2. Every
foreign convention is converted by one matrix or permutation, at the border; that of e3nn is here.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ase_mlham.errors import InputError

__all__ = ["clebsch_gordan", "e3nn_matrix", "gaunt", "real_harmonics", "rotation_matrix"]


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
def _sample(l: int) -> tuple[NDArray, NDArray]:
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


def _complex_coupling(l_a: int, l_b: int, l_c: int) -> NDArray[np.float64]:
    """Clebsch-Gordan coefficients <l_a m_a l_b m_b | l_c m_c> by Racah's sum."""
    from math import factorial as f

    out = np.zeros((2 * l_a + 1, 2 * l_b + 1, 2 * l_c + 1))
    triangle = (
        (2 * l_c + 1)
        * f(l_c + l_a - l_b)
        * f(l_c - l_a + l_b)
        * f(l_a + l_b - l_c)
        / f(l_a + l_b + l_c + 1)
    )
    for a in range(-l_a, l_a + 1):
        for b in range(-l_b, l_b + 1):
            c = a + b
            if abs(c) > l_c:
                continue
            magnitude = f(l_c + c) * f(l_c - c) * f(l_a - a) * f(l_a + a) * f(l_b - b) * f(l_b + b)
            total = 0.0
            for t in range(l_a + l_b - l_c + 1):
                terms = (
                    l_a + l_b - l_c - t,
                    l_a - a - t,
                    l_b + b - t,
                    l_c - l_b + a + t,
                    l_c - l_a - b + t,
                )
                if min(terms) >= 0:
                    total += (-1) ** t / (f(t) * np.prod([float(f(n)) for n in terms]))
            out[a + l_a, b + l_b, c + l_c] = np.sqrt(triangle * magnitude) * total
    return out


def _real_from_complex(l: int) -> NDArray[np.complex128]:
    """Unitary U with Y_real = U Y_complex (Condon-Shortley phase in the complex ones)."""
    out = np.zeros((2 * l + 1, 2 * l + 1), dtype=complex)
    out[l, l] = 1.0
    for m in range(1, l + 1):
        out[l + m, l + m], out[l + m, l - m] = (-1) ** m / np.sqrt(2), 1 / np.sqrt(2)
        out[l - m, l + m], out[l - m, l - m] = -1j * (-1) ** m / np.sqrt(2), 1j / np.sqrt(2)
    return out


@lru_cache(maxsize=512)
def clebsch_gordan(l_a: int, l_b: int, l_c: int) -> NDArray[np.float64]:
    """Coupling of two real harmonics to a third degree, (2 l_a + 1, 2 l_b + 1, 2 l_c + 1).

    Orthonormal: sum_ab C[a, b, c] C[a, b, d] = delta_cd. Unlike `gaunt` it does not vanish for odd
    l_a + l_b + l_c: a p-p block, for example, has an antisymmetric part of degree 1. For even sums
    it is a positive multiple of `gaunt` or of minus it; the tests fix which.

    Raises
    ------
    InputError
        The degrees do not obey the triangle rule.
    """
    if not abs(l_a - l_b) <= l_c <= l_a + l_b:
        raise InputError(f"degrees {l_a}, {l_b} do not couple to {l_c}")
    u_a, u_b, u_c = (_real_from_complex(l) for l in (l_a, l_b, l_c))
    out = np.einsum(
        "ax,by,cz,xyz->abc",
        u_a.conj(),
        u_b.conj(),
        u_c,
        _complex_coupling(l_a, l_b, l_c),
        optimize=True,
    )
    # real harmonics make it purely real or, for odd sums, purely imaginary
    real = out.real if (l_a + l_b + l_c) % 2 == 0 else out.imag
    real = np.where(abs(real) < 1e-14, 0.0, real)
    real.flags.writeable = False
    return real


def e3nn_matrix(l: int) -> NDArray[np.float64]:
    """Matrix C with Y_e3nn = C Y_ours for harmonics of degree l: orthogonal, (2 l + 1, 2 l + 1).

    e3nn's polar axis is y where ours is z: its harmonics of (x, y, z) are ours of (z, x, y). Hence
    Wigner matrices are related by D_e3nn = C D_ours C^T; and e3nn called with vectors whose columns
    are (y, z, x) gives our harmonics, in our order, without any matrix.
    """
    return rotation_matrix(l, np.roll(np.eye(3), 1, axis=0))
