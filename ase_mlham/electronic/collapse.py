"""Collapse: states that a predicted Hamiltonian pulls out of the near-null space of S.

Functions of neighbouring atoms nearly cancel in some combinations, whose norm is a small
eigenvalue s of S. Normalised, such a combination has coefficients of size 1 / sqrt(s) and, in a
converged calculation, lies tens or hundreds of eV above the Fermi level. An error of a few meV in
every element of H moves it by that error divided by s, and past some size it falls through the
gap into the valence bands: every band is then wrong by electronvolts, and looks like a band.

What gives such a state away is C^H C, the sum of its squared coefficients, which for C^H S C = 1
is also the largest factor by which an error of H enters its energy. In 70 structures computed by
DFT (SiGe, graphene, MoS2, molecules) it is at most 1.4 for filled states and 2.6 up to 1 eV above
the gap; where white noise in H made bands collapse, it was 200 to 800.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np

from ase_mlham.core.system import LCAOSystem
from ase_mlham.electronic.states import EigenStates, eigenstates, orbital_norm
from ase_mlham.errors import MLHamWarning

__all__ = [
    "Collapse",
    "CollapseWarning",
    "SourceWarning",
    "attach",
    "check_collapse",
    "complaints",
]

LIMIT = 8.0
"""C^H C of a state near or below the Fermi level that no converged calculation has."""

NEAR = 1.0
"""eV above the lowest empty state up to which states are looked at."""

FAR = 10.0
"""eV above the Fermi level beyond which no state is looked at: a small molecule may have none."""

DEPTH = 40.0
"""eV below the lowest diagonal element of H at which no valence state can lie."""


class CollapseWarning(MLHamWarning):
    """States lie where none should: the bands are not those of the material."""


class SourceWarning(MLHamWarning):
    """What the source of a system has to say against its numbers."""


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Collapse:
    """Whether spurious states have fallen among the bands.

    Attributes
    ----------
    n_filled : int
        Most spurious states at one k that lie below the Fermi level: each of them pushes out a
        band.
    n_above : int
        Most at one k within 1 eV above the lowest empty state.
    amplification : float
        Largest C^H C among the states up to there: 1 to 3 is normal.
    lowest_energy : float
        Lowest state, eV.
    lowest_plausible : float
        40 eV below the lowest diagonal element of H, eV.
    smallest_overlap : float
        Smallest eigenvalue of S at the k-points looked at.
    k : (3,) float
        Where the largest amplification is.
    """

    n_filled: int
    n_above: int
    amplification: float
    lowest_energy: float
    lowest_plausible: float
    smallest_overlap: float
    k: tuple[float, float, float]

    @property
    def collapsed(self) -> bool:
        """Whether a spurious state is filled."""
        return self.n_filled > 0 or self.lowest_energy < self.lowest_plausible

    @property
    def suspicious(self) -> bool:
        """Whether anything is to be said."""
        return self.collapsed or self.n_above > 0

    def __str__(self) -> str:
        at = "k = (" + ", ".join(f"{x:.3g}" for x in self.k) + ")"
        floor = max(5e-3, self.smallest_overlap)
        null_space = (
            f"the near-null space of S (their squared coefficients sum to {self.amplification:.0f} "
            f"where 1 to 3 is normal; smallest eigenvalue of S {self.smallest_overlap:.1e})"
        )
        remedy = (
            "the Hamiltonian is not accurate enough for this basis: compare with a calculation, "
            f"use a better model, or bound the error with overlap_floor={floor:.0e}"
        )
        if self.n_filled:
            return (
                f"collapse: {self.n_filled} of the filled states at {at} come from {null_space}; "
                f"bands, gap and Fermi level are meaningless; {remedy}"
            )
        if self.collapsed:
            return (
                f"collapse: the lowest state lies at {self.lowest_energy:.1f} eV, below anything "
                f"that the diagonal of H allows ({self.lowest_plausible:.1f} eV); {remedy}"
            )
        if self.n_above:
            return (
                f"near collapse: {self.n_above} of the states up to {NEAR:g} eV above the Fermi "
                f"level or gap at {at} come from {null_space}; the conduction bands are doubtful; "
                f"{remedy}"
            )
        return (
            f"no collapse: squared coefficients of the states up to {NEAR:g} eV above the Fermi "
            f"level or gap sum to at most {self.amplification:.1f}; smallest eigenvalue of S "
            f"{self.smallest_overlap:.1e}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values that `from_dict` reads."""
        return {**asdict(self), "collapsed": self.collapsed, "suspicious": self.suspicious}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Collapse:
        """Inverse of `to_dict`."""
        x, y, z = data["k"]
        return cls(
            n_filled=int(data["n_filled"]),
            n_above=int(data["n_above"]),
            amplification=float(data["amplification"]),
            lowest_energy=float(data["lowest_energy"]),
            lowest_plausible=float(data["lowest_plausible"]),
            smallest_overlap=float(data["smallest_overlap"]),
            k=(float(x), float(y), float(z)),
        )


def _lowest_diagonal(system: LCAOSystem) -> float:
    """Lowest diagonal element of H of any spin channel, relative to its norm in S, eV."""
    lowest = np.inf
    overlap = system.overlap.on_pattern(system.hamiltonian.pattern, drop=True)
    pattern = system.hamiltonian.pattern
    for group, h, s in zip(pattern.groups, system.hamiltonian.values, overlap.values, strict=True):
        onsite = pattern.onsite[group.slice]
        if onsite.any():
            diagonal = h[:, onsite].diagonal(axis1=2, axis2=3).real
            norm = s[0, onsite].diagonal(axis1=1, axis2=2)
            split = abs(diagonal[1:]).sum(axis=0)
            lowest = min(lowest, float(((diagonal[0] - split) / norm).min()))
    return lowest


def check_collapse(
    system: LCAOSystem, fermi_level: float, *, overlap_floor: float | None = None
) -> Collapse:
    """Look for spurious states among the bands.

    At Gamma and, in small cells, at all k with 2k a reciprocal lattice vector: there the matrices
    are real and cheap, and a state that has fallen does so throughout the zone.

    Parameters
    ----------
    system : LCAOSystem
        Any; a converged calculation passes.
    fermi_level : float
        Found from the same H, eV.
    overlap_floor : float, optional
        With which the bands were computed.
    """
    choices = [(0.0, 0.5) if periodic else (0.0,) for periodic in system.structure.pbc]
    kpts = np.array(list(product(*choices)))
    if system.n_orbitals > 300:
        kpts = kpts[[0, -1]] if system.n_orbitals <= 1000 else kpts[:1]
        kpts = np.unique(kpts, axis=0)
    states = eigenstates(system, kpts, measures={"norm": orbital_norm}, overlap_floor=overlap_floor)
    energies, norm = states.energies, states.measured["norm"]
    empty = energies[energies > fermi_level]
    lowest_empty = float(empty.min()) if empty.size else fermi_level
    top = min(lowest_empty + NEAR, fermi_level + FAR)
    seen = energies <= top
    high = seen & (norm > LIMIT)
    filled = high & (energies <= fermi_level)
    worst = np.unravel_index(int(np.where(seen, norm, 0.0).argmax()), norm.shape)
    smallest = min(float(np.linalg.eigvalsh(system.overlap.at_k(k)[0])[0]) for k in kpts)
    x, y, z = (float(component) for component in kpts[worst[1]])
    return Collapse(
        n_filled=int(filled.sum(axis=(0, 2)).max()),
        n_above=int((high & ~filled).sum(axis=(0, 2)).max()),
        amplification=float(norm[worst]),
        lowest_energy=float(energies.min()),
        lowest_plausible=_lowest_diagonal(system) - DEPTH,
        smallest_overlap=smallest,
        k=(x, y, z),
    )


def complaints(
    system: LCAOSystem, states: EigenStates, fermi_level: float
) -> tuple[tuple[str, type[MLHamWarning]], ...]:
    """Everything to be said against results: from the source, and from the look for a collapse."""
    found: list[tuple[str, type[MLHamWarning]]] = [
        (text, SourceWarning) for text in system.warnings
    ]
    verdict = check_collapse(system, fermi_level, overlap_floor=states.overlap_floor)
    if verdict.suspicious:
        found.append((str(verdict), CollapseWarning))
    return tuple(found)


def attach(
    system: LCAOSystem, states: EigenStates, fermi_level: float, stacklevel: int = 3
) -> tuple[str, ...]:
    """Issue a warning for each complaint, and give their texts for the result."""
    found = complaints(system, states, fermi_level)
    for text, kind in found:
        warnings.warn(text, kind, stacklevel=stacklevel)
    return tuple(text for text, _ in found)
