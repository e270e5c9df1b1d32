"""Band gap: how wide, direct or not, where in the zone, in which spin channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.system import LCAOSystem
from ase_mlham.electronic.collapse import attach
from ase_mlham.electronic.fermi import BandEdges, band_edges, fermi_level_of_states, mesh_of
from ase_mlham.electronic.kpoints import KPoints
from ase_mlham.electronic.path import band_path
from ase_mlham.electronic.states import EigenStates, eigenstates

__all__ = ["ChannelGap", "Edge", "Gap", "gap", "gap_of_states"]

SMALL = 300
"""Orbitals up to which band edges are searched between the points of the mesh."""


@dataclass(frozen=True)
class Edge:
    """A band edge.

    Attributes
    ----------
    energy : float
        eV on the scale of the Hamiltonian.
    k : (3,) float
        Fractions of the reciprocal lattice vectors.
    channel : str
        "up" or "down" in a collinear system, else "".
    """

    energy: float
    k: tuple[float, float, float]
    channel: str = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Edge:
        """Inverse of `dataclasses.asdict`."""
        x, y, z = data["k"]
        return cls(float(data["energy"]), (float(x), float(y), float(z)), str(data["channel"]))


@dataclass(frozen=True)
class ChannelGap:
    """Gap of one spin channel with the filling of the whole system.

    Attributes
    ----------
    channel : str
        "up" or "down".
    fundamental : float
        eV; zero if the channel conducts, infinite if it has no filled or no empty states.
    direct : float
        Smallest vertical gap, eV.
    """

    channel: str
    fundamental: float
    direct: float


@dataclass(frozen=True)
class Gap:
    """Band gap of a system.

    Attributes
    ----------
    fundamental : float
        Lowest empty minus highest filled state, eV; zero for a metal.
    direct : float
        Smallest distance at one k (within one spin channel), eV; zero for a metal.
    fermi_level : float
        Middle of the gap, or Fermi level of the metal, eV.
    vbm, cbm : Edge or None
        Where the edges are; None for a metal.
    direct_k : (3,) float or None
        Where the direct gap is.
    channels : tuple of ChannelGap
        Of a collinear system: up and down. A half-metal conducts in one of them.
    n_kpts : int
        k-points looked at.
    warnings : tuple of str
        What is to be said against the numbers.
    """

    fundamental: float
    direct: float
    fermi_level: float
    vbm: Edge | None = None
    cbm: Edge | None = None
    direct_k: tuple[float, float, float] | None = None
    channels: tuple[ChannelGap, ...] = ()
    n_kpts: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def is_metal(self) -> bool:
        """Whether filled and empty states touch."""
        return self.vbm is None

    @property
    def is_direct(self) -> bool:
        """Whether both edges are at the same k, within 0.1 meV of the gap."""
        return not self.is_metal and self.direct - self.fundamental < 1e-4

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values that `from_dict` reads; an infinite gap is None."""
        out = asdict(self)
        out["is_metal"], out["is_direct"] = self.is_metal, self.is_direct
        # JSON has no infinity
        for record in (out, *out["channels"]):
            for name in ("fundamental", "direct"):
                record[name] = None if np.isinf(record[name]) else record[name]
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Gap:
        """Inverse of `to_dict`."""

        def edge(value: Any) -> Edge | None:
            return None if value is None else Edge.from_dict(value)

        def width(record: Mapping[str, Any], name: str) -> float:
            return np.inf if record[name] is None else float(record[name])

        at = data["direct_k"]
        return cls(
            fundamental=width(data, "fundamental"),
            direct=width(data, "direct"),
            fermi_level=float(data["fermi_level"]),
            vbm=edge(data["vbm"]),
            cbm=edge(data["cbm"]),
            direct_k=None if at is None else (float(at[0]), float(at[1]), float(at[2])),
            channels=tuple(
                ChannelGap(
                    str(channel["channel"]), width(channel, "fundamental"), width(channel, "direct")
                )
                for channel in data["channels"]
            ),
            n_kpts=int(data["n_kpts"]),
            warnings=tuple(data["warnings"]),
        )

    def __str__(self) -> str:
        lines = []
        if self.vbm is None or self.cbm is None or self.direct_k is None:
            lines.append(f"metal, Fermi level {self.fermi_level:.3f} eV")
        else:
            kind = "direct" if self.is_direct else "indirect"
            if self.vbm.channel != self.cbm.channel:
                kind = "between spin channels"
            lines.append(f"gap {self.fundamental:.3f} eV, {kind}")
            for name, edge in (
                ("valence band maximum", self.vbm),
                ("conduction band minimum", self.cbm),
            ):
                spin = f", spin {edge.channel}" if edge.channel else ""
                lines.append(f"{name:24s}{edge.energy:9.3f} eV at k = {_point(edge.k)}{spin}")
            if not self.is_direct:
                at = _point(self.direct_k)
                lines.append(f"{'smallest direct gap':24s}{self.direct:9.3f} eV at k = {at}")
        for channel in self.channels:
            gap_text = (
                "conducts"
                if channel.fundamental == 0
                else "no filled or no empty states"
                if np.isinf(channel.fundamental)
                else f"gap {channel.fundamental:.3f} eV, direct {channel.direct:.3f} eV"
            )
            lines.append(f"spin {channel.channel}: {gap_text}")
        lines.extend(f"warning: {text}" for text in self.warnings)
        return "\n".join(lines)


def _point(k: tuple[float, float, float]) -> str:
    """Three decimals, which is what the search resolves, without trailing zeros."""
    texts = (f"{round(x, 3) + 0.0:.3f}".rstrip("0").rstrip(".") for x in k)
    return "(" + ", ".join(texts) + ")"


def _triple(k: NDArray[np.float64]) -> tuple[float, float, float]:
    # -0.0 + 0.0 is 0.0
    return float(k[0]) + 0.0, float(k[1]) + 0.0, float(k[2]) + 0.0


def gap_of_states(states: EigenStates, fermi_level: float, edges: BandEdges | None) -> Gap:
    """Gap of states at some k-points, whose edges and Fermi level are known."""
    names = ("up", "down") if states.energies.shape[0] == 2 else ("",)
    below = (states.energies <= fermi_level).sum(axis=2)
    channels = []
    direct, direct_at = np.inf, 0
    for s, name in enumerate(names):
        fundamental, vertical, at = _channel(states.energies[s], below[s])
        channels.append(ChannelGap(name, fundamental, vertical))
        if vertical < direct:
            direct, direct_at = vertical, at
    kept = tuple(channels) if len(names) == 2 else ()
    if edges is None:
        return Gap(
            0.0, 0.0, fermi_level, channels=kept, n_kpts=len(states.kpts), warnings=states.warnings
        )
    vbm, cbm = (
        Edge(energy, _triple(states.kpts[at[1]]), names[at[0]])
        for energy, at in ((edges.vbm, edges.vbm_at), (edges.cbm, edges.cbm_at))
    )
    return Gap(
        edges.gap,
        float(direct),
        fermi_level,
        vbm,
        cbm,
        _triple(states.kpts[direct_at]),
        kept,
        len(states.kpts),
        states.warnings,
    )


def _channel(energies: NDArray[np.float64], below: NDArray[np.int64]) -> tuple[float, float, int]:
    """Fundamental and direct gap of one channel (n_k, n_bands), and the k of the second."""
    n = int(below[0])
    if np.any(below != n):
        return 0.0, 0.0, 0
    if n in (0, energies.shape[1]):
        return np.inf, np.inf, 0
    vertical = energies[:, n] - energies[:, n - 1]
    fundamental = float(energies[:, n].min() - energies[:, n - 1].max())
    at = int(vertical.argmin())
    return max(0.0, fundamental), float(vertical[at]), at


def gap(
    system: LCAOSystem,
    kpts: Any = None,
    *,
    path: Any = None,
    refine: bool | None = None,
    overlap_floor: float | None = None,
    solver: str | None = None,
) -> Gap:
    """Band gap of a system.

    Band edges are looked for on a mesh and at the points of a path. In small cells the search
    goes on from the best points, with steps that shrink to 2e-4 of a reciprocal vector:
    the conduction band minimum of silicon lies on no mesh.

    Parameters
    ----------
    system : LCAOSystem
        From a file, an engine or a model.
    kpts : as for `k_points`
        Mesh; by default Gamma-centred with 5 points per Å^-1.
    path : as for `band_path`, or False
        Path whose points are looked at too; by default that of the lattice, in small cells.
    refine : bool, optional
        Search between the points. By default in cells of up to 300 orbitals.
    overlap_floor, solver
        As for `eigenstates`.

    Returns
    -------
    Gap

    Raises
    ------
    InputError
        The k-points lie along a path, or do not fit the structure.
    SolverError
        The eigenproblem cannot be solved.
    """
    small = system.n_orbitals <= SMALL
    refine = small if refine is None else refine
    mesh = eigenstates(system, mesh_of(system, kpts), overlap_floor=overlap_floor, solver=solver)
    states, edges = mesh, band_edges(mesh)
    level = fermi_level_of_states(mesh)
    texts = attach(system, mesh, level)
    if edges is None:
        return replace(gap_of_states(mesh, level, None), warnings=texts)
    periodic = bool(system.structure.pbc.any())
    if periodic and path is not False and (small or path is not None):
        along = band_path(system.structure, path)
        states = _joined(
            states,
            eigenstates(system, np.array(along.kpts), overlap_floor=overlap_floor, solver=solver),
        )
        edges = band_edges(states)
    if edges is not None and refine and periodic:
        search = _Search(system, mesh, overlap_floor, solver)
        filled = (states.energies <= edges.middle).sum(axis=2)[:, 0]
        for target in ("vbm", "cbm", "direct"):
            states = search.run(states, filled, target)
        edges = band_edges(states)
    if edges is None:
        # a metal after all: bands cross away from the mesh
        return replace(gap_of_states(states, level, None), warnings=texts)
    return replace(gap_of_states(states, edges.middle, edges), warnings=texts)


def _joined(a: EigenStates, b: EigenStates) -> EigenStates:
    """All k-points of both, without a mesh."""
    n = min(a.n_bands, b.n_bands)
    kpts = np.concatenate([a.kpts, b.kpts])
    return EigenStates(
        kpts,
        np.full(len(kpts), 1 / len(kpts)),
        np.concatenate([a.energies[..., :n], b.energies[..., :n]], axis=1),
        a.spin,
        a.n_electrons,
        overlap_floor=a.overlap_floor,
        warnings=a.warnings,
    )


class _Search:
    """Walk from the best k-point to a better neighbour, halving the step if there is none."""

    def __init__(
        self,
        system: LCAOSystem,
        mesh: EigenStates,
        overlap_floor: float | None,
        solver: str | None,
    ) -> None:
        self.system, self.overlap_floor, self.solver = system, overlap_floor, solver
        size = mesh.mesh.size if mesh.mesh is not None else (4, 4, 4)
        self.steps = np.array([0.5 / n for n in size])
        self.axes = np.flatnonzero(system.structure.pbc)

    def run(self, states: EigenStates, filled: NDArray[np.int64], target: str) -> EigenStates:
        """The states with those of the points that were visited."""
        best, k = self._best(states, filled, target)
        steps, way = self.steps.copy(), [k]
        # 2e-4 of a reciprocal vector: 0.01 meV even at the edges of a gapped Dirac cone
        while steps[self.axes].max() > 2e-4:
            tried = [s * steps[a] * np.eye(3)[a] for a in self.axes for s in (1, -1)]
            # a valley oblique to the axes is climbed down in zigzag: go on as the last steps led
            stride = k - way[-1 - len(self.axes)] if len(way) > len(self.axes) else np.zeros(3)
            tried += [n * stride for n in (1, 2, 4) if stride.any()]
            around = k + np.array(tried)
            found = eigenstates(
                self.system,
                KPoints(around, np.full(len(around), 1 / len(around))),
                overlap_floor=self.overlap_floor,
                solver=self.solver,
            )
            states = _joined(states, found)
            value, where = self._best(found, filled, target)
            if value < best:
                best, k = value, where
                way.append(k)
            else:
                steps, way = steps / 2, [k]
        return states

    @staticmethod
    def _best(
        states: EigenStates, filled: NDArray[np.int64], target: str
    ) -> tuple[float, NDArray[np.float64]]:
        """What is minimised, at its best k."""
        values = []
        for energies, n in zip(states.energies, filled, strict=True):
            top = energies[:, n - 1] if n > 0 else None
            bottom = energies[:, n] if n < energies.shape[1] else None
            if target == "vbm" and top is not None:
                values.append(-top)
            if target == "cbm" and bottom is not None:
                values.append(bottom)
            if target == "direct" and top is not None and bottom is not None:
                values.append(bottom - top)
        if not values:
            return np.inf, states.kpts[0]
        lowest = np.min(values, axis=0)
        at = int(lowest.argmin())
        return float(lowest[at]), states.kpts[at]
