"""k mesh, time reversal, Fermi-Dirac occupation."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["mesh_for_spacing", "occupations", "shared_level", "time_reversal_mesh"]

_SHARP = 1e-4
"""Smearing (hartree) that tells whether integer occupations leave a gap common to all channels."""


def mesh_for_spacing(
    cell: NDArray[np.float64], spacing: float, sampled: NDArray[np.bool_]
) -> tuple[int, int, int]:
    """Gamma-centred mesh whose points lie at most `spacing` apart along each reciprocal vector.

    Parameters
    ----------
    cell : (3, 3) float
        Lattice vectors as rows, Å.
    spacing : float
        1/Å, with the factor 2 pi.
    sampled : (3,) bool
        Directions that get more than one point.
    """
    length = 2 * np.pi * np.linalg.norm(np.linalg.inv(cell), axis=0)
    mesh = np.where(sampled, np.maximum(1, np.ceil(length / spacing - 1e-9)), 1).astype(int)
    return int(mesh[0]), int(mesh[1]), int(mesh[2])


def time_reversal_mesh(
    mesh: tuple[int, int, int],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One of each pair k, -k of a Gamma-centred mesh, with weights that sum to one."""
    points = list(product(*(range(n) for n in mesh)))
    weights: dict[tuple[int, ...], int] = {}
    for p in points:
        opposite = tuple((-a) % n for a, n in zip(p, mesh, strict=True))
        key = min(p, opposite)
        weights[key] = weights.get(key, 0) + 1
    k = np.array(list(weights), dtype=float) / np.array(mesh)
    k[k > 0.5] -= 1.0
    return k, np.array(list(weights.values()), dtype=float) / len(points)


def occupations(
    energies: NDArray[np.float64],
    weights: NDArray[np.float64],
    electrons: ArrayLike,
    sigma: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Occupation of the levels of one channel, which hold two electrons, or of up and down.

    Parameters
    ----------
    energies : (n_channels, n_k, n) float
        Ascending at each k.
    weights : (n_k,) float
        Sum to one.
    electrons : float or (n_channels,) float
        Of all channels, which then share one Fermi level; or of each, with its own level.
    sigma : float
        Fermi-Dirac width in the unit of the energies, zero for integer occupation: the same number
        of levels at each k, in channels that share a Fermi level also in each.

    Returns
    -------
    f : (n_channels, n_k, n) float
        Between 0 and 1.
    level : (1,) or (n_channels,) float
        Fermi levels; the middle of the gap for integer occupation.
    entropy_term : float
        -T S in the unit of the energies, of all electrons.
    """
    counts = np.atleast_1d(np.asarray(electrons, dtype=float))
    capacity = 2 / len(energies)
    # (n_levels, channels of a level, n_k, n)
    groups = energies.reshape(len(counts), -1, *energies.shape[1:])
    parts = [_fill(e, weights, n / capacity, sigma) for e, n in zip(groups, counts, strict=True)]
    f = np.concatenate([part[0] for part in parts])
    return f, np.array([part[1] for part in parts]), capacity * sum(part[2] for part in parts)


def _fill(
    energies: NDArray[np.float64], weights: NDArray[np.float64], filled: float, sigma: float
) -> tuple[NDArray[np.float64], float, float]:
    """Occupation of levels that hold one electron and share a Fermi level."""
    if sigma == 0:
        n = round(filled / len(energies))
        f = np.zeros_like(energies)
        f[..., :n] = 1.0
        bottom = energies[..., n].min() if energies.shape[-1] > n else energies[..., -1].max()
        top = energies[..., n - 1].max() if n else bottom
        return f, float((top + bottom) / 2), 0.0

    def fermi(level: float) -> NDArray[np.float64]:
        return 1.0 / (1.0 + np.exp(np.clip((energies - level) / sigma, -200, 200)))

    low, high = energies.min() - 40 * sigma, energies.max() + 40 * sigma
    for _ in range(200):
        level = (low + high) / 2
        if (weights @ fermi(level)).sum() > filled:
            high = level
        else:
            low = level
        if high - low < 1e-14:
            break
    f = fermi(level)
    g, h = np.clip(f, 1e-300, 1), np.clip(1 - f, 1e-300, 1)
    entropy = sigma * (weights @ (g * np.log(g) + h * np.log(h))).sum()
    return f, float(level), float(entropy)


def shared_level(
    energies: NDArray[np.float64],
    weights: NDArray[np.float64],
    electrons: NDArray[np.float64],
    sigma: float,
) -> float | None:
    """Fermi level of all channels together, if it gives each the electrons that it has.

    Parameters
    ----------
    energies, weights, sigma
        As for `occupations`; hartree.
    electrons : (n_channels,) float
        Of each channel.
    """
    f, level, _ = occupations(energies, weights, electrons.sum(), sigma or _SHARP)
    found = 2 / len(energies) * np.einsum("k,ckn->c", weights, f)
    return float(level[0]) if np.allclose(found, electrons, rtol=0, atol=1e-3) else None
