"""k mesh, time reversal, Fermi-Dirac occupation."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

__all__ = ["mesh_for_spacing", "occupations", "time_reversal_mesh"]


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
    energies: NDArray[np.float64], weights: NDArray[np.float64], n_pairs: float, sigma: float
) -> tuple[NDArray[np.float64], float, float]:
    """Occupation of doubly occupied levels.

    Parameters
    ----------
    energies : (n_k, n) float
        Ascending at each k.
    weights : (n_k,) float
        Sum to one.
    n_pairs : float
        Electrons divided by two.
    sigma : float
        Fermi-Dirac width in the unit of the energies, zero for integer occupation.

    Returns
    -------
    f : (n_k, n) float
        Between 0 and 1.
    level : float
        Fermi level; the middle of the gap for integer occupation.
    entropy_term : float
        -T S in the unit of the energies, both spins.
    """
    if sigma == 0:
        n = round(n_pairs)
        f = np.zeros_like(energies)
        f[:, :n] = 1.0
        top = energies[:, n - 1].max()
        bottom = energies[:, n].min() if energies.shape[1] > n else top
        return f, float((top + bottom) / 2), 0.0

    def fermi(level: float) -> NDArray[np.float64]:
        return 1.0 / (1.0 + np.exp(np.clip((energies - level) / sigma, -200, 200)))

    low, high = energies.min() - 40 * sigma, energies.max() + 40 * sigma
    for _ in range(200):
        level = (low + high) / 2
        if (weights @ fermi(level)).sum() > n_pairs:
            high = level
        else:
            low = level
        if high - low < 1e-14:
            break
    f = fermi(level)
    g, h = np.clip(f, 1e-300, 1), np.clip(1 - f, 1e-300, 1)
    entropy = 2 * sigma * (weights @ (g * np.log(g) + h * np.log(h))).sum()
    return f, float(level), float(entropy)
