"""Bands as points that can be pointed at: which state lies under the mouse, and what it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.electronic.bands import reference_level, to_band_structure
from ase_mlham.electronic.collapse import complaints
from ase_mlham.electronic.degeneracy import DEGENERACY_TOLERANCE
from ase_mlham.electronic.fermi import band_edges
from ase_mlham.electronic.path import band_path
from ase_mlham.electronic.states import EigenStates

if TYPE_CHECKING:
    from ase import Atoms
    from ase.spectrum.band_structure import BandStructure

    from ase_mlham.calculator import MLHamiltonian

__all__ = ["BandPoints", "StateAt", "band_points"]

SMALL, SMOOTH = 100, 40.0
"""Orbitals up to which a path gets so many points per 1/Å that no corner of a line is seen."""


@dataclass(frozen=True)
class StateAt:
    """One state of a band structure.

    Attributes
    ----------
    k : (3,) tuple of float
        Fractions of the reciprocal lattice vectors.
    place : str
        Name of the point, or of the segment it lies on.
    spin : int
        Channel.
    band : int
        Counted from the lowest, 0.
    energy : float
        eV as the Hamiltonian has it.
    relative : float
        eV above the Fermi level, for an insulator above the middle of the gap.
    degeneracy : int
        States of this energy at this k.
    first : int
        The lowest band among them.
    channels : int
        2 in a collinear system.
    """

    k: tuple[float, float, float]
    place: str
    spin: int
    band: int
    energy: float
    relative: float
    degeneracy: int = 1
    first: int = 0
    channels: int = 1

    def __str__(self) -> str:
        k = ", ".join(f"{x:.4g}" for x in self.k)
        spin = f", spin {('up', 'down')[self.spin]}" if self.channels == 2 else ""
        several = f", one of {self.degeneracy} of this energy" if self.degeneracy > 1 else ""
        return (
            f"{self.place}, k = ({k}): band {self.band}{spin}{several}, "
            f"E − E_F = {self.relative:.3f} eV (E = {self.energy:.3f} eV)"
        )


@dataclass(frozen=True, eq=False)
class BandPoints:
    """A band structure with what is needed to find a state in its picture.

    Attributes
    ----------
    states : EigenStates
        Along the path.
    level : float
        What is drawn as zero, eV.
    gap : str
        Gap or Fermi level in words.
    warnings : tuple of str
        What is to be said against the bands.
    """

    states: EigenStates
    level: float
    gap: str
    warnings: tuple[str, ...] = ()

    @property
    def bands(self) -> BandStructure:
        """As ASE's object."""
        return to_band_structure(self.states, self.level)

    @property
    def x(self) -> NDArray[np.float64]:
        """(n_k,) place of each k-point along the axis of the picture."""
        return np.asarray(self.bands.get_labels()[0], dtype=np.float64)

    def nearest(
        self,
        to_pixels: Callable[[NDArray[np.float64]], NDArray[np.float64]],
        at: tuple[float, float],
        reach: float = 12.0,
    ) -> tuple[int, int, int] | None:
        """Spin, k and band of the point nearest to a place of the picture, if one is near.

        Parameters
        ----------
        to_pixels : callable
            Pixels (n, 2) of points (n, 2) given as x and energy above `level`.
        at : (2,) float
            Pixels.
        reach : float
            Pixels.
        """
        x = self.x
        if len(x) == 1:
            x = np.array([at[0]])  # the levels of a molecule are lines: any place on them is near
            columns = np.array([0])
        else:
            columns_at = to_pixels(np.column_stack([x, np.zeros(len(x))]))[:, 0]
            distance = abs(columns_at - at[0])
            columns = np.flatnonzero(distance <= max(reach, float(distance.min()) + 1e-6))
        relative = self.states.energies[:, columns] - self.level
        places = np.column_stack(
            [np.broadcast_to(x[columns][None, :, None], relative.shape).ravel(), relative.ravel()]
        )
        pixels = to_pixels(places)
        if len(self.x) == 1:
            pixels[:, 0] = at[0]
        distance = np.hypot(pixels[:, 0] - at[0], pixels[:, 1] - at[1])
        best = int(distance.argmin())
        if not distance[best] <= reach:
            return None
        s, column, band = np.unravel_index(best, relative.shape)
        return int(s), int(columns[column]), int(band)

    def state(self, index: tuple[int, int, int]) -> StateAt:
        """What a point is.

        Parameters
        ----------
        index : (3,) int
            Spin, k and band.
        """
        s, k, band = index
        energy = float(self.states.energies[index])
        first, last = self.level_of(index)
        a, b, c = (float(x) + 0.0 for x in np.round(self.states.kpts[k], 10))
        return StateAt(
            (a, b, c),
            self.place(k),
            s,
            band,
            energy,
            energy - self.level,
            last - first + 1,
            first,
            len(self.states.energies),
        )

    def level_of(self, index: tuple[int, int, int]) -> tuple[int, int]:
        """First and last band of the degenerate level that a state belongs to."""
        s, k, band = index
        energies = self.states.energies[s, k]
        new = np.flatnonzero(np.diff(energies) > DEGENERACY_TOLERANCE)
        first = int(new[new < band].max(initial=-1)) + 1
        last = int(new[new >= band].min(initial=len(energies) - 1))
        return first, last

    def place(self, k: int) -> str:
        """Name of a special point, or of the segment between two."""
        x, ticks, names = self.bands.get_labels()
        names = ["Γ" if name == "G" else name for name in names]
        special: dict[str, Any] = dict(self.states.path.special_points if self.states.path else {})
        here = self.states.kpts[k]
        for name, point in special.items():
            if np.allclose(point, here, atol=1e-6):
                return "Γ" if name == "G" else name
        before = [n for n, tick in zip(names, ticks, strict=True) if tick <= x[k] + 1e-9]
        after = [n for n, tick in zip(names, ticks, strict=True) if tick > x[k] + 1e-9]
        return f"{before[-1]}–{after[0]}" if before and after else "on the path"


def band_points(calculator: MLHamiltonian, atoms: Atoms, path: str | None = None) -> BandPoints:
    """Bands of a structure along a path, with the Fermi level from a mesh.

    Parameters
    ----------
    calculator : MLHamiltonian
        Keeps what it diagonalises.
    atoms : ase.Atoms
        One cell.
    path : str, optional
        As for `ase_mlham.electronic.path.band_path`.
    """
    system = calculator.system(atoms)
    density = SMOOTH if system.n_orbitals <= SMALL else None
    along = band_path(system.structure, path or None, density=density)
    mesh = calculator.states(atoms=atoms)
    states = calculator.states(along, atoms=atoms)
    level = reference_level(mesh, states)
    return BandPoints(
        states,
        level,
        _gap(mesh, states, level),
        tuple(text for text, _ in complaints(system, states, level)),
    )


def _gap(mesh: EigenStates, along: EigenStates, level: float) -> str:
    """Gap of the mesh and the path together."""
    edges = [band_edges(mesh), band_edges(along)]
    if edges[0] is None or edges[1] is None:
        return f"metal, E_F = {level:.3f} eV"
    vbm = max(edge.vbm for edge in edges if edge is not None)
    cbm = min(edge.cbm for edge in edges if edge is not None)
    if vbm >= cbm:
        return f"metal, E_F = {level:.3f} eV"
    return f"gap {cbm - vbm:.3f} eV, its middle (E_F) at {level:.3f} eV"
