"""Gap and Fermi level of the frames of a trajectory, one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ase_mlham.electronic.fermi import band_edges, fermi_level_of_states
from ase_mlham.errors import MLHamError
from ase_mlham.progress import track

if TYPE_CHECKING:
    from ase_mlham.gui.source import Hamiltonians, Shown

__all__ = ["FrameGap", "gaps_along"]


@dataclass(frozen=True)
class FrameGap:
    """One frame.

    Attributes
    ----------
    frame : int
        Which.
    gap : float
        eV on the mesh; zero for a metal, nan if it could not be computed.
    fermi_level : float
        eV, the middle of the gap of an insulator; nan likewise.
    problem : str
        Why it could not be computed.
    """

    frame: int
    gap: float
    fermi_level: float
    problem: str = ""


def gaps_along(
    frames: Sequence[Shown], hamiltonians: Hamiltonians, tell: Callable[[FrameGap], None]
) -> list[FrameGap]:
    """Gap of each frame, told one by one.

    Band edges are those of the mesh: the search between its points that `mlham gap` makes would
    take many times as long.

    Parameters
    ----------
    frames : sequence of Shown
        In the order of the trajectory.
    hamiltonians : Hamiltonians
        Where H comes from.
    tell : callable
        Given each result when it is there.

    Raises
    ------
    MLHamError
        The first frame cannot be computed, and so the others probably neither. A later one that
        cannot is a result without numbers.
    """
    found: list[FrameGap] = []
    for what in track(frames, len(frames), "frames"):
        try:
            one = _gap(what, hamiltonians)
        except MLHamError as error:
            if not found:
                raise
            one = FrameGap(what.frame, float("nan"), float("nan"), str(error))
        found.append(one)
        tell(one)
    return found


def _gap(what: Shown, hamiltonians: Hamiltonians) -> FrameGap:
    mesh = hamiltonians.calculator(what).states(atoms=what.atoms)
    edges = band_edges(mesh)
    if edges is None:
        return FrameGap(what.frame, 0.0, fermi_level_of_states(mesh))
    return FrameGap(what.frame, edges.gap, edges.middle)
