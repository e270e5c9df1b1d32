"""Collinear magnetism: what the atoms' initial moments ask for, and the moments that came out.

Moments are in Bohr magnetons, so that the moment of a cell is its up minus its down electrons. A
calculation without spin has one channel of doubly occupied levels, one with spin has up and down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.engines.pyscf.settings import PyscfSettings
from ase_mlham.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

__all__ = [
    "atomic_moments",
    "channel_electrons",
    "check_valence",
    "moments_record",
    "pauli",
    "starting_moments",
    "uneven_levels",
]

NEGLIGIBLE = 1e-8
"""Moments below this (Bohr magnetons) are zero."""


def starting_moments(atoms: Atoms, settings: PyscfSettings) -> NDArray[np.float64] | None:
    """Moments of the atoms that the first density gets, None for a calculation without spin.

    Returns
    -------
    (n_atoms,) float
        Bohr magnetons, positive where up electrons are in the majority.

    Raises
    ------
    InputError
        The moments are vectors, or the settings speak of a moment that is not computed.
    """
    if settings.spin == "none":
        return None
    moments = np.asarray(atoms.get_initial_magnetic_moments(), dtype=float)
    if not np.isfinite(moments).all():
        raise InputError("an initial magnetic moment of the atoms is not a finite number")
    magnetic = bool((abs(moments) > NEGLIGIBLE).any())
    if moments.ndim != 1:
        if magnetic:
            raise InputError(
                f"the atoms carry magnetic moments of shape {moments.shape}, which are vectors; "
                "this engine computes collinear spins: give one number an atom, positive for up, "
                "negative for down (Bohr magnetons)"
            )
        moments = np.zeros(len(atoms))
    if settings.spin == "collinear" or magnetic:
        return moments
    if settings.total_moment is not None:
        raise InputError(
            f"total_moment={settings.total_moment:g}, but the atoms have no initial magnetic "
            "moments and spin='auto' then computes without spin: give moments, or spin='collinear'"
        )
    return None


def check_valence(moments: NDArray[np.float64], valence: NDArray[np.float64]) -> None:
    """Refuse a moment that is larger than the number of an atom's electrons."""
    wrong = np.flatnonzero(abs(moments) > valence)
    if len(wrong):
        atom = int(wrong[0])
        raise InputError(
            f"atom {atom} has an initial magnetic moment of {moments[atom]:g} Bohr magnetons, but "
            f"only {valence[atom]:g} valence electrons"
        )


def channel_electrons(
    n_electrons: int, magnetic: bool, settings: PyscfSettings, *, whole: bool
) -> NDArray[np.float64]:
    """Electrons of all channels together, or of up and down where the total moment is fixed.

    Parameters
    ----------
    n_electrons : int
        In the cell.
    magnetic : bool
        Whether there are two channels.
    settings : PyscfSettings
        Its `total_moment` and `smearing` count.
    whole : bool
        Whether each channel must get whole electrons.

    Returns
    -------
    (1,) or (2,) float

    Raises
    ------
    InputError
        No such moment is possible, or it is needed and not given.
    """
    moment = settings.total_moment
    if not magnetic:
        return np.array([float(n_electrons)])
    if moment is None:
        if settings.smearing == 0:
            raise InputError(
                "integer occupation (smearing=0) has to know how many electrons are up: give "
                "total_moment (Bohr magnetons), or smearing > 0 for a moment that is free"
            )
        return np.array([float(n_electrons)])
    electrons = np.array([n_electrons + moment, n_electrons - moment]) / 2
    if electrons.min() < 0:
        raise InputError(
            f"total_moment={moment:g} Bohr magnetons: there are {n_electrons} electrons"
        )
    if (whole or settings.smearing == 0) and abs(electrons - np.round(electrons)).max() > 1e-9:
        kind = "even" if n_electrons % 2 == 0 else "odd"
        raise InputError(
            f"total_moment={moment:g}: {n_electrons} electrons have an {kind} whole moment here; "
            "fractions need a crystal with smearing > 0"
        )
    return electrons


def pauli(channels: NDArray) -> NDArray:
    """Pauli components (1) or (1, z) of a matrix given for its channel or for up and down."""
    if len(channels) == 1:
        return channels
    up, down = channels
    return np.stack([up + down, up - down]) / 2


def atomic_moments(
    D: NDArray[np.float64], S: NDArray[np.float64], atom_of_orbital: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Mulliken moments, Bohr magnetons.

    Parameters
    ----------
    D : (2, n_R, n, n) float
        Density matrices of up and down electrons.
    S : (n_R, n, n) float
        Overlap.
    atom_of_orbital : (n,) int
        In the order of the matrices.

    Returns
    -------
    (n_atoms,) float
    """
    population = np.einsum("rij,rij->i", D[0] - D[1], S)
    return np.bincount(atom_of_orbital, weights=population).astype(np.float64)


def uneven_levels(electrons: NDArray[np.float64], levels: NDArray[np.float64]) -> str:
    """What a system says whose two channels have no common Fermi level.

    Parameters
    ----------
    electrons, levels : (2,) float
        Of up and down; levels in eV.
    """
    (up, down), moment = levels, electrons[0] - electrons[1]
    return (
        f"the total moment was fixed at {moment:g} Bohr magnetons, with Fermi levels {up:.3f} eV "
        f"of the up and {down:.3f} eV of the down electrons: a common level, which an analysis "
        "takes, gives another moment"
    )


def moments_record(
    start: NDArray[np.float64] | None, result: NDArray[np.float64] | None
) -> dict[str, Any]:
    """Entries of the provenance, in Bohr magnetons; none without spin."""
    if start is None or result is None:
        return {}
    return {
        "initial_moments": [float(m) for m in start],
        "atomic_moments": [float(m) for m in result],
        "total_moment": float(result.sum()),
    }
