"""Spin on a plane of k-points, and on the lines of one energy in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.structure import frozen_array
from ase_mlham.core.system import LCAOSystem
from ase_mlham.electronic.degeneracy import DEGENERACY_TOLERANCE
from ase_mlham.electronic.k_plane import KPlane
from ase_mlham.electronic.spin_texture import (
    SpinTexture,
    bands_to_find,
    need_spin,
    spin_axis,
    spin_texture,
)
from ase_mlham.electronic.states import eigenstates
from ase_mlham.errors import InputError

__all__ = ["ContourLine", "SpinContour", "SpinPlane", "spin_contour", "spin_plane"]

CONTOUR_TOLERANCE = 1e-5
"""eV from the energy asked for at which the points of a contour are left where they are."""

_STEPS = 6
"""Corrections of the points of a contour at most."""

_AXES_OF_PLANE = ("radial", "tangential", "normal", "u", "v")


def _components(
    plane: KPlane, axis: str | Sequence[float], uv: NDArray[np.float64], spin: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Component of spins (..., n, 3) at n coordinates along an axis that may turn with k."""
    turns = isinstance(axis, str) and axis in _AXES_OF_PLANE
    directions = plane.directions(axis if turns else spin_axis(axis), uv)
    return np.asarray(np.einsum("...nx,nx->...n", spin, directions))


@dataclass(frozen=True, eq=False)
class SpinPlane:
    """Energies and spins of some bands on a plane of k-points.

    Attributes
    ----------
    plane : KPlane
        Where.
    texture : SpinTexture
        Of the points of the plane, in their order.
    """

    plane: KPlane
    texture: SpinTexture

    @property
    def bands(self) -> NDArray[np.int64]:
        """Which bands, counted from the lowest, (n_bands,)."""
        return self.texture.bands

    def _on_grid(self, array: NDArray) -> NDArray:
        n_spin, _, n_bands, *rest = array.shape
        return np.moveaxis(array.reshape(n_spin, *self.plane.shape, n_bands, *rest), 3, 1)

    @property
    def energies(self) -> NDArray[np.float64]:
        """(n_spin, n_bands, n_u, n_v) eV."""
        return self._on_grid(self.texture.energies)

    @property
    def spin(self) -> NDArray[np.float64]:
        """<sigma> along Cartesian axes, (n_spin, n_bands, n_u, n_v, 3); see `SpinTexture`."""
        return self._on_grid(self.texture.spin)

    @property
    def degenerate(self) -> NDArray[np.bool_]:
        """Whether a state has no direction of its own, (n_spin, n_bands, n_u, n_v)."""
        return self._on_grid(self.texture.degenerate)

    def along(self, axis: str | Sequence[float]) -> NDArray[np.float64]:
        """Component of the spin along an axis, (n_spin, n_bands, n_u, n_v).

        Parameters
        ----------
        axis : {"x", "y", "z", "radial", "tangential", "normal", "u", "v"} or (3,) float
            Cartesian, or relative to k and the plane: "radial" away from its centre, "tangential"
            normal x radial, "u" and "v" along its axes.
        """
        spin = np.moveaxis(self.texture.spin, 2, 1)
        return _components(self.plane, axis, self.plane.grid, spin).reshape(
            *spin.shape[:2], *self.plane.shape
        )

    def at_energy(
        self, energy: float, width: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """States of all bands near an energy: how many, and their spin.

        Parameters
        ----------
        energy : float
            eV.
        width : float
            Standard deviation of the Gaussian that weights the states, eV.

        Returns
        -------
        density : (n_u, n_v) float
            States per eV at each k.
        spin : (n_u, n_v, 3) float
            Sum of <sigma> with the same weights, per eV.
        """
        if not width > 0:
            raise InputError(f"a width of {width} eV; it must be positive")
        x = (self.energies - energy) / width
        weights = np.exp(-0.5 * x**2) / (width * np.sqrt(2 * np.pi))
        spin = np.einsum("sbuv,sbuvx->uvx", weights, self.spin)
        return weights.sum(axis=(0, 1)), np.asarray(spin)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values that `from_dict` reads."""
        return {"plane": self.plane.to_dict(), "texture": self.texture.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SpinPlane:
        """Inverse of `to_dict`."""
        return cls(KPlane.from_dict(data["plane"]), SpinTexture.from_dict(data["texture"]))


def spin_plane(
    system: LCAOSystem,
    plane: KPlane,
    bands: Sequence[int] | None = None,
    *,
    tolerance: float = DEGENERACY_TOLERANCE,
    overlap_floor: float | None = None,
    solver: str | None = None,
) -> SpinPlane:
    """Spin of the states on a plane of k-points.

    Parameters
    ----------
    system : LCAOSystem
        Collinear or spinor.
    plane : KPlane
        From `k_plane`.
    bands, tolerance, overlap_floor, solver
        As for `spin_texture`.

    Raises
    ------
    InputError
        The system has no spin, or not so many bands.
    """
    found = spin_texture(
        system,
        plane.kpts,
        bands,
        tolerance=tolerance,
        overlap_floor=overlap_floor,
        solver=solver,
    )
    return SpinPlane(plane, found)


@dataclass(frozen=True, eq=False)
class ContourLine:
    """A line of one band at one energy, with the spin along it.

    Attributes
    ----------
    band : int
        Counted from the lowest.
    channel : int
        Spin channel of a collinear system, else 0.
    uv : (n, 2) float
        Coordinates in the plane, Å^-1; the first point again at the end if the line is closed.
    spin : (n, 3) float
        <sigma> along Cartesian axes.
    degenerate : (n,) bool
        Whether the state has no direction of its own, see `SpinTexture`.
    """

    band: int
    channel: int
    uv: NDArray[np.float64]
    spin: NDArray[np.float64]
    degenerate: NDArray[np.bool_]

    def __post_init__(self) -> None:
        object.__setattr__(self, "degenerate", frozen_array(self.degenerate, np.bool_))
        for name in ("uv", "spin"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.float64))

    @property
    def closed(self) -> bool:
        """Whether the line closes within the plane."""
        return len(self.uv) > 2 and bool(np.allclose(self.uv[0], self.uv[-1], atol=1e-9))


@dataclass(frozen=True, eq=False)
class SpinContour:
    """All lines on which a band has one energy.

    Attributes
    ----------
    plane : KPlane
        Where.
    energy : float
        eV on the scale of H.
    lines : tuple of ContourLine
        None at all where no band has this energy.
    residual : float
        Largest distance of the energy of a point from that asked for, eV.
    """

    plane: KPlane
    energy: float
    lines: tuple[ContourLine, ...]
    residual: float

    def along(self, line: ContourLine, axis: str | Sequence[float]) -> NDArray[np.float64]:
        """Component of the spin on a line along an axis, (n,); see `SpinPlane.along`."""
        return _components(self.plane, axis, line.uv, line.spin)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values that `from_dict` reads; "kpts" are the points in fractions."""
        return {
            "plane": self.plane.to_dict(),
            "energy": self.energy,
            "residual": self.residual,
            "lines": [
                {
                    "band": line.band,
                    "channel": line.channel,
                    "uv": line.uv.tolist(),
                    "kpts": self.plane.fractions(line.uv).tolist(),
                    "spin": line.spin.tolist(),
                    "degenerate": line.degenerate.tolist(),
                }
                for line in self.lines
            ],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SpinContour:
        """Inverse of `to_dict`."""
        names = ("band", "channel", "uv", "spin", "degenerate")
        lines = tuple(ContourLine(**{n: line[n] for n in names}) for line in data["lines"])
        plane = KPlane.from_dict(data["plane"])
        return cls(plane, float(data["energy"]), lines, float(data["residual"]))


def spin_contour(
    system: LCAOSystem,
    energy: float,
    plane: KPlane,
    bands: Sequence[int] | None = None,
    *,
    tolerance: float = DEGENERACY_TOLERANCE,
    overlap_floor: float | None = None,
    solver: str | None = None,
) -> SpinContour:
    """Lines of one energy in a plane of k-points, with the spin of the states on them.

    The lines are found on the grid of the plane, and their points then moved along the gradient of
    the band until their energy is that asked for: `residual` says how far off they still are. A
    pocket smaller than the mesh of the grid is not seen; give the plane more points.

    Parameters
    ----------
    system : LCAOSystem
        Collinear or spinor.
    energy : float
        eV on the scale of H, for example the Fermi level.
    plane : KPlane
        From `k_plane`.
    bands : sequence of int, optional
        Which bands, counted from 0; by default all that reach the energy.
    tolerance, overlap_floor, solver
        As for `spin_texture`.

    Raises
    ------
    InputError
        The system has no spin, or not so many bands.
    """
    need_spin(system)
    options: dict[str, Any] = {"overlap_floor": overlap_floor, "solver": solver}
    n_bands = bands_to_find(system, bands, overlap_floor)
    states = eigenstates(system, plane.kpts, n_bands=n_bands, **options)
    chosen = range(states.n_bands) if bands is None else [int(band) for band in bands]
    if any(not 0 <= band < states.n_bands for band in chosen):
        raise InputError(f"bands {bands!r} of a system that has bands 0 to {states.n_bands - 1}")
    pieces = []
    for channel in range(states.energies.shape[0]):
        for band in chosen:
            sheet = states.energies[channel, :, band].reshape(plane.shape)
            pieces += [(channel, band, *line) for line in _lines(plane, sheet, energy)]
    if not pieces:
        return SpinContour(plane, float(energy), (), 0.0)
    channels = np.concatenate([np.full(len(uv), c) for c, _, uv, _ in pieces])
    numbers = np.concatenate([np.full(len(uv), b) for _, b, uv, _ in pieces])
    uv = np.concatenate([piece[2] for piece in pieces])
    slope = np.concatenate([piece[3] for piece in pieces])
    rows = np.arange(len(uv))
    highest = [int(numbers.max())]
    n_bands = bands_to_find(system, highest, overlap_floor)
    longest = 0.5 * min(2 * e / (n - 1) for e, n in zip(plane.extent, plane.shape, strict=True))

    def error(points: NDArray[np.float64]) -> NDArray[np.float64]:
        there = eigenstates(system, plane.fractions(points), n_bands=n_bands, **options)
        return np.asarray(there.energies[channels, rows, numbers] - energy)

    uv = _moved(error, uv, slope, longest)
    found = spin_texture(
        system,
        plane.fractions(uv),
        range(int(numbers.max()) + 1),
        tolerance=tolerance,
        overlap_floor=overlap_floor,
        solver=solver,
    )
    where = (channels, rows, numbers)
    residual = float(abs(found.energies[where] - energy).max())
    spin, together = found.spin[where], found.degenerate[where]
    lines, at = [], 0
    for channel, band, old, _ in pieces:
        part = slice(at, at + len(old))
        lines.append(ContourLine(band, channel, uv[part], spin[part], together[part]))
        at += len(old)
    return SpinContour(plane, float(energy), tuple(lines), residual)


def _lines(
    plane: KPlane, sheet: NDArray[np.float64], energy: float
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Polygons on which a sheet (n_u, n_v) has an energy, and its gradient at their points."""
    if not sheet.min() <= energy <= sheet.max():
        return []
    from contourpy import contour_generator
    from scipy.interpolate import RegularGridInterpolator

    # contourpy has the first coordinate along the columns
    found = contour_generator(plane.u, plane.v, sheet.T).lines(energy)
    along_u, along_v = np.gradient(sheet, plane.u, plane.v)
    slopes = np.stack([along_u, along_v], axis=-1)
    slope = RegularGridInterpolator((plane.u, plane.v), slopes, bounds_error=False, fill_value=None)
    return [(np.asarray(uv), np.asarray(slope(uv))) for uv in found if len(uv) > 1]


def _moved(
    error: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    start: NDArray[np.float64],
    slope: NDArray[np.float64],
    longest: float,
) -> NDArray[np.float64]:
    """Points moved along the gradient to where the error vanishes, by the secant method.

    The gradient of a coarse grid is wrong where a band turns sharply, as it does near a crossing:
    after the first step only its direction is used. No point goes further than `longest`.
    """
    size = np.maximum(np.linalg.norm(slope, axis=-1), 1e-9)
    direction = slope / size[:, None]
    before, here = np.zeros(len(start)), np.zeros(len(start))
    old, now = np.zeros(len(start)), error(start)
    best, least = here, abs(now)
    for step in range(_STEPS):
        if least.max() < CONTOUR_TOLERANCE:
            break
        change = np.where(step == 0, size, now - old)
        run = np.where(step == 0, 1.0, here - before)
        move = -now * run / np.where(abs(change) > 1e-12, change, np.inf)
        before, old = here, now
        here = np.clip(here + move, -longest, longest)
        now = error(start + here[:, None] * direction)
        better = abs(now) < least
        best, least = np.where(better, here, best), np.minimum(abs(now), least)
    return np.asarray(start + best[:, None] * direction)
