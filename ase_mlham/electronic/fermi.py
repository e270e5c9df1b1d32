"""Fermi level that puts the electrons of a system into its bands.

For an insulator it is the middle of the gap. For a metal it is where the integrated density of
states reaches the number of electrons, by linear tetrahedra or with smeared occupations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.system import LCAOSystem
from ase_mlham.electronic.kpoints import KPoints, has_time_reversal, k_points
from ase_mlham.electronic.states import EigenStates, eigenstates
from ase_mlham.electronic.tetrahedra import Tetrahedra
from ase_mlham.errors import InputError

__all__ = [
    "DEFAULT_SMEARING",
    "BandEdges",
    "Occupation",
    "band_edges",
    "electron_count",
    "fermi_filling",
    "fermi_level",
    "fermi_level_of_states",
    "mesh_of",
    "occupations",
]

DEFAULT_SMEARING = 0.1
"""eV; where a method needs a width and none is given."""

TOUCHING = 5e-3
"""eV; gaps that the grid of a DFT code opens where symmetry has bands touch (graphene: 0.7 meV)."""

GAP_TOLERANCE = 1e-4
"""eV; bands closer than this touch: degenerate states of a file differ by its rounding."""


class Occupation(Enum):
    """How states around the Fermi level are filled."""

    TETRAHEDRON = "tetrahedron"
    FERMI_DIRAC = "fermi-dirac"
    GAUSSIAN = "gaussian"

    @classmethod
    def parse(cls, value: Occupation | str) -> Occupation:
        """From its name."""
        if isinstance(value, cls):
            return value
        try:
            return cls(str(value).lower())
        except ValueError:
            accepted = ", ".join(one.value for one in cls)
            raise InputError(f"method {value!r} is unknown; accepted: {accepted}") from None

    def filling(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Occupation at (E - E_F) / width; the Gaussian width is a standard deviation."""
        if self is Occupation.FERMI_DIRAC:
            return np.asarray(0.5 - 0.5 * np.tanh(x / 2))
        # loaded here: it takes as long as everything else that bands need
        from scipy.special import erfc

        return np.asarray(0.5 * erfc(x / np.sqrt(2)))


@dataclass(frozen=True)
class BandEdges:
    """Highest filled and lowest empty state of an insulator.

    Attributes
    ----------
    vbm, cbm : float
        eV.
    vbm_at, cbm_at : (spin, k, band) int
        Which states.
    """

    vbm: float
    cbm: float
    vbm_at: tuple[int, int, int]
    cbm_at: tuple[int, int, int]

    @property
    def gap(self) -> float:
        """Cbm - vbm."""
        return self.cbm - self.vbm

    @property
    def middle(self) -> float:
        """Middle of the gap."""
        return (self.vbm + self.cbm) / 2


def mesh_of(
    system: LCAOSystem, kpts: Any = None, *, symmetry: bool = False, reduce: bool = True
) -> KPoints:
    """k-points that can be integrated over: any but a path; of k and -k one is kept where allowed.

    Raises
    ------
    InputError
        The points lie along a path.
    """
    reversal = reduce and has_time_reversal(system)
    points = k_points(kpts, system.structure, time_reversal=reversal, symmetry=symmetry)
    if points.path is not None and len(points) > 1:
        raise InputError(
            "k-points along a path do not sample the zone: give a mesh, for example kpts=(8, 8, 8)"
        )
    return points


def band_edges(states: EigenStates) -> BandEdges | None:
    """Edges of the gap if the same whole number of bands is filled at every k, else None.

    Each spin channel has its own number; they are found by filling states from below.
    """
    filled = states.n_electrons / states.degeneracy
    count = round(filled)
    if abs(filled - count) > 1e-6:
        return None
    total = states.energies.shape[0] * states.n_bands
    if not 0 < count < total:
        return None
    filled_bands = _separate(states, count)
    if filled_bands is None:
        return None
    top = [(s, n - 1) for s, n in enumerate(filled_bands) if n > 0]
    bottom = [(s, n) for s, n in enumerate(filled_bands) if n < states.n_bands]
    vbm, vbm_at = max((_extreme(states, s, b, highest=True) for s, b in top), key=lambda e: e[0])
    cbm, cbm_at = min(
        (_extreme(states, s, b, highest=False) for s, b in bottom), key=lambda e: e[0]
    )
    if cbm - vbm < GAP_TOLERANCE:
        return None
    return BandEdges(vbm, cbm, vbm_at, cbm_at)


def _extreme(
    states: EigenStates, s: int, band: int, *, highest: bool
) -> tuple[float, tuple[int, int, int]]:
    energies = states.energies[s, :, band]
    k = int(energies.argmax() if highest else energies.argmin())
    return float(energies[k]), (s, k, band)


def _separate(states: EigenStates, count: int) -> tuple[int, ...] | None:
    """Filled bands of each channel such that all of them lie below all others, if there are."""
    tops, bottoms = states.energies.max(axis=1), states.energies.min(axis=1)
    n_spin, n_bands = tops.shape
    choices = (
        [(count,)]
        if n_spin == 1
        else [(up, count - up) for up in range(max(0, count - n_bands), min(n_bands, count) + 1)]
    )
    for filled in choices:
        vbm = max(tops[s, n - 1] for s, n in enumerate(filled) if n > 0)
        cbm = min((bottoms[s, n] for s, n in enumerate(filled) if n < n_bands), default=np.inf)
        if vbm < cbm:
            return filled
    return None


def occupations(
    states: EigenStates, level: float, smearing: float, method: Occupation | str = "fermi-dirac"
) -> NDArray[np.float64]:
    """Occupation (0 to 1) of each state at a Fermi level, (n_spin, n_k, n_bands).

    Raises
    ------
    InputError
        The width is not positive, or tetrahedra are asked for: they weight states, see
        `Tetrahedra`.
    """
    method = Occupation.parse(method)
    if method is Occupation.TETRAHEDRON:
        raise InputError("tetrahedra give weights, not occupations: use fermi-dirac or gaussian")
    if not smearing > 0:
        raise InputError(f"a smearing of {smearing} eV; it must be positive")
    return method.filling((states.energies - level) / smearing)


def fermi_level_of_states(
    states: EigenStates,
    smearing: float | None = None,
    method: Occupation | str | None = None,
) -> float:
    """Fermi level of states on a mesh, eV; see `fermi_level`."""
    if states.first_band != 0:
        raise InputError("the Fermi level needs all states from the lowest")
    chosen = _method(states, smearing, method)
    room = states.degeneracy * states.energies.shape[0] * states.n_bands
    if states.n_electrons > room + 1e-6:
        raise InputError(
            f"{states.n_electrons:g} electrons do not fit into {states.n_bands} bands, which hold "
            f"{room}; ask for more bands"
        )
    if smearing is None:
        edges = band_edges(states)
        if edges is not None:
            return edges.middle
    low, high = float(states.energies.min()), float(states.energies.max())
    if chosen is not Occupation.TETRAHEDRON:
        width = DEFAULT_SMEARING if smearing is None else float(smearing)
        low, high = low - 40 * width, high + 40 * width
    electrons = _counter(states, smearing, chosen)
    return _level(electrons, states.n_electrons, low - 1e-3, high + 1e-3)


def electron_count(
    states: EigenStates,
    level: float,
    smearing: float | None = None,
    method: Occupation | str | None = None,
) -> float:
    """Electrons in the states up to a level, in one cell.

    Parameters
    ----------
    states : EigenStates
        On a mesh, from the lowest.
    level : float
        eV.
    smearing, method
        As for `fermi_level`: by default linear tetrahedra on a regular mesh, and where there is
        none a Fermi function of 0.1 eV.

    Raises
    ------
    InputError
        The states are not all from the lowest, or options exclude one another.
    """
    if states.first_band != 0:
        raise InputError("counting electrons needs all states from the lowest")
    return float(_counter(states, smearing, _method(states, smearing, method))(level))


def _counter(
    states: EigenStates, smearing: float | None, chosen: Occupation
) -> Callable[[float], float]:
    """Electrons in the states as a function of the level."""
    if chosen is Occupation.TETRAHEDRON:
        if states.mesh is None:
            raise InputError("tetrahedra need a regular mesh of k-points: give kpts=(n1, n2, n3)")
        tetrahedra = Tetrahedra(states.mesh)
        sorted_corners = [tetrahedra.corners(channel) for channel in states.energies]
        return lambda level: (
            states.degeneracy * sum(tetrahedra.count(c, level) for c in sorted_corners)
        )
    width = DEFAULT_SMEARING if smearing is None else float(smearing)

    def electrons(level: float) -> float:
        filling = occupations(states, level, width, chosen)
        return float(states.degeneracy * np.einsum("k,skb->", states.weights, filling))

    return electrons


def _method(
    states: EigenStates, smearing: float | None, method: Occupation | str | None
) -> Occupation:
    if method is not None:
        chosen = Occupation.parse(method)
        if chosen is Occupation.TETRAHEDRON and smearing is not None:
            raise InputError("tetrahedra have no width: leave smearing out, or name another method")
        return chosen
    if smearing is not None:
        return Occupation.FERMI_DIRAC
    regular = states.mesh is not None and max(states.mesh.size) > 1
    return Occupation.TETRAHEDRON if regular else Occupation.FERMI_DIRAC


def _level(electrons: Any, wanted: float, low: float, high: float) -> float:
    """Where a non-decreasing function reaches a value; the middle where it is flat there."""
    tolerance = 1e-9 * max(1.0, wanted)

    def boundary(target: float) -> float:
        a, b = low, high
        for _ in range(80):
            middle = (a + b) / 2
            if electrons(middle) < target:
                a = middle
            else:
                b = middle
            if b - a < 1e-10:
                break
        return (a + b) / 2

    return (boundary(wanted - tolerance) + boundary(wanted + tolerance)) / 2


def fermi_level(
    system: LCAOSystem,
    kpts: Any = None,
    smearing: float | None = None,
    method: Occupation | str | None = None,
    *,
    overlap_floor: float | None = None,
    solver: str | None = None,
) -> float:
    """Fermi level of a system, eV on the scale of its Hamiltonian.

    Parameters
    ----------
    system : LCAOSystem
        With its number of electrons.
    kpts : as for `k_points`
        A mesh; by default Gamma-centred with 5 points per Å^-1.
    smearing : float, optional
        Width in eV: k_B T for "fermi-dirac", the standard deviation for "gaussian". If None, an
        insulator has its level in the middle of the gap, and a metal is integrated by tetrahedra.
        With a width, electrons are counted as it says, in insulators too.
    method : {"tetrahedron", "fermi-dirac", "gaussian"}, optional
        "fermi-dirac" with a width, else "tetrahedron".
    overlap_floor, solver
        As for `eigenstates`.

    Raises
    ------
    InputError
        The k-points lie along a path, or options exclude one another.
    SolverError
        The eigenproblem cannot be solved.
    """
    points = mesh_of(system, kpts)
    states = eigenstates(system, points, overlap_floor=overlap_floor, solver=solver)
    return fermi_level_of_states(states, smearing, method)


def fermi_filling(
    states: EigenStates,
    smearing: float | None = None,
    method: Occupation | str | None = None,
) -> tuple[float, NDArray[np.float64]]:
    """Fermi level, and fillings of the states that count the electrons exactly.

    Tetrahedra weight states without filling them. So what is a sum over filled states (charges,
    densities) is taken with sharp fillings in an insulator, and with a width in a metal and where
    bands touch but for the noise of a DFT code: of equal states one must not be filled alone.

    Parameters
    ----------
    states : EigenStates
        On a mesh.
    smearing : float, optional
        Width in eV. An insulator needs none; a metal is smeared by `DEFAULT_SMEARING`.
    method : {"fermi-dirac", "gaussian"}, optional
        "fermi-dirac" by default.

    Returns
    -------
    level : float
        eV.
    filling : (n_spin, n_k, n_bands) float
        Between 0 and 1.
    """
    edges = band_edges(states) if smearing is None else None
    if edges is not None and edges.cbm - edges.vbm > TOUCHING:
        level = fermi_level_of_states(states)
        return level, (states.energies <= level).astype(np.float64)
    width = DEFAULT_SMEARING if smearing is None else smearing
    chosen = method or Occupation.FERMI_DIRAC
    level = fermi_level_of_states(states, width, chosen)
    return level, occupations(states, level, width, chosen)
