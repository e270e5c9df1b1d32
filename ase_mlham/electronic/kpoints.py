"""k-points: every way to ask for them, brought to one form.

A tuple of three integers is a Gamma-centred mesh, whatever its Python or NumPy type; three floats
are a point; a number is a density; a string is a path. ASE's own conversion takes an array of
three integers for a point and leaves Gamma out of even meshes, which for band edges is the wrong
default.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.spin import SpinKind
from ase_mlham.core.structure import Structure, frozen_array
from ase_mlham.core.system import LCAOSystem
from ase_mlham.electronic.assembly import without_zero_imaginary
from ase_mlham.errors import InputError

if TYPE_CHECKING:
    from ase.dft.kpoints import BandPath

__all__ = [
    "DEFAULT_DENSITY",
    "KPoints",
    "Mesh",
    "ascending",
    "check_periodic",
    "has_time_reversal",
    "k_mesh",
    "k_points",
    "mesh_size",
]

DEFAULT_DENSITY = 5.0
"""Points of a mesh per Å^-1 of reciprocal length (2 pi included) if nothing is asked."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """A regular mesh and where each of its points is found in a reduced list.

    Attributes
    ----------
    size : (3,) int
        Points along the reciprocal lattice vectors.
    index : (n1 * n2 * n3,) int
        Of point (a, b, c), the last index fastest: its entry in the list of k-points.
    """

    size: tuple[int, int, int]
    index: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class KPoints:
    """A list of k-points.

    Attributes
    ----------
    kpts : (n_k, 3) float
        Fractions of the reciprocal lattice vectors.
    weights : (n_k,) float
        Sum to one.
    mesh : Mesh, optional
        If they cover the zone regularly: then they serve for integrals.
    path : ase.dft.kpoints.BandPath, optional
        If they lie along a path: then they serve for pictures only.
    """

    kpts: NDArray[np.float64]
    weights: NDArray[np.float64]
    mesh: Mesh | None = None
    path: BandPath | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "kpts", frozen_array(self.kpts, np.float64))
        object.__setattr__(self, "weights", frozen_array(self.weights, np.float64))
        if self.kpts.ndim != 2 or self.kpts.shape[1] != 3 or len(self.kpts) == 0:
            raise InputError(f"k-points of shape {self.kpts.shape}; expected (n_k, 3)")
        if self.weights.shape != (len(self.kpts),):
            raise InputError(f"{self.weights.shape} weights for {len(self.kpts)} k-points")
        if not np.isfinite(self.kpts).all():
            raise InputError("a k-point is not a finite number")

    def __len__(self) -> int:
        return len(self.kpts)


def has_time_reversal(system: LCAOSystem) -> bool:
    """Whether E(-k) = E(k) follows from H(R): from time reversal, or from real H(R) per channel.

    Without spin and for collinear spin H(R) must be real in each channel; for spinors the unit
    component must be real and x, y, z imaginary.
    """
    if system.spin is not SpinKind.SPINOR:
        return not np.iscomplexobj(without_zero_imaginary(system.hamiltonian).values[0])
    scale = max(float(abs(array).max(initial=0.0)) for array in system.hamiltonian.values)
    # a file holds what an SCF converged to: 1e-7 of the largest element is not a magnetic moment
    return all(
        float(abs(array[0].imag).max(initial=0.0)) <= 1e-7 * scale
        and float(abs(array[1:].real).max(initial=0.0)) <= 1e-7 * scale
        for array in system.hamiltonian.values
    )


def check_periodic(structure: Structure, kpts: NDArray[np.float64]) -> None:
    """Refuse k-points (n_k, 3) with a component along a direction that is not periodic."""
    axes = np.flatnonzero(~structure.pbc)
    bad = np.argwhere(abs(kpts[:, axes]) > 1e-9)
    if len(bad):
        row, axis = int(bad[0, 0]), int(axes[bad[0, 1]])
        raise InputError(
            f"k-point {row} = {tuple(float(x) for x in kpts[row])} has a component along "
            f"{'abc'[axis]}, which is not periodic; set it to zero, or the structure's pbc"
        )


def mesh_size(structure: Structure, density: float = DEFAULT_DENSITY) -> tuple[int, int, int]:
    """Mesh whose points are at most 1 / density apart (Å^-1, 2 pi included)."""
    if not (np.isfinite(density) and density > 0):
        raise InputError(f"a k-point density of {density}; it must be positive (points per 1/Å)")
    reciprocal = 2 * np.pi * np.linalg.inv(structure.full_cell).T
    lengths = np.linalg.norm(reciprocal, axis=1)
    # 1e-6: a mesh must not grow because a lattice constant was rounded
    counts = np.maximum(1, np.ceil(lengths * density - 1e-6)).astype(int)
    a, b, c = np.where(structure.pbc, counts, 1)
    return int(a), int(b), int(c)


def k_mesh(
    structure: Structure,
    size: tuple[int, int, int],
    *,
    gamma: bool = True,
    time_reversal: bool = False,
    symmetry: bool = False,
) -> KPoints:
    """Regular mesh over the zone.

    Parameters
    ----------
    structure : Structure
        Its non-periodic directions must have size 1.
    size : (3,) int
        Points along each reciprocal lattice vector.
    gamma : bool
        Centred on Gamma; if not, the mesh of Monkhorst and Pack (1976), which for even sizes lies
        half a step away.
    time_reversal : bool
        Keep one of k and -k.
    symmetry : bool
        Keep one of all k that the crystal's symmetry makes equal (spglib). Predicted Hamiltonians
        have the symmetry of the crystal only as far as the model has.

    Raises
    ------
    InputError
        A size is not positive, or larger than one along a direction that is not periodic.
    """
    if min(size) < 1:
        raise InputError(f"a k mesh of {size}; sizes must be positive")
    for axis in np.flatnonzero(~structure.pbc):
        if size[axis] != 1:
            raise InputError(
                f"a k mesh of {size} for a structure that is not periodic along {'abc'[axis]}; "
                "use 1 there, or set its pbc"
            )
    n = np.array(size)
    shift = np.zeros(3, dtype=int) if gamma else (n % 2 == 0).astype(int)
    grid = np.stack(np.meshgrid(*(np.arange(s) for s in size), indexing="ij"), -1).reshape(-1, 3)
    # twice the numerator: k = doubled / (2 n)
    doubled = 2 * grid + shift
    representative = np.arange(len(grid))
    if time_reversal:
        opposite = (-doubled - shift) // 2 % n
        partner = (opposite[:, 0] * n[1] + opposite[:, 1]) * n[2] + opposite[:, 2]
        representative = np.minimum(representative, partner)
    if symmetry:
        representative = _by_symmetry(structure, n, shift, time_reversal=time_reversal)
    kept, index = np.unique(representative, return_inverse=True)
    kpts = doubled[kept] / (2 * n)
    kpts = kpts - np.round(kpts - 1e-9)
    weights = np.bincount(index) / len(grid)
    return KPoints(kpts, weights, mesh=Mesh(size, index.astype(np.int64)))


def ascending(points: KPoints) -> KPoints:
    """A whole mesh with its points ascending along each axis, the order of ASE's meshes.

    Parameters
    ----------
    points : KPoints
        A mesh of which no point was left out; anything else is given back as it is.
    """
    mesh = points.mesh
    if mesh is None or len(points) != len(mesh.index):
        return points
    kpts = points.kpts[mesh.index]
    order = np.lexsort((kpts[:, 2], kpts[:, 1], kpts[:, 0]))
    index = np.empty(len(order), dtype=np.int64)
    index[order] = np.arange(len(order))
    return KPoints(kpts[order], points.weights[mesh.index][order], mesh=Mesh(mesh.size, index))


def _by_symmetry(
    structure: Structure, n: NDArray[np.int64], shift: NDArray[np.int64], *, time_reversal: bool
) -> NDArray[np.int64]:
    """Representative of each mesh point, an index into the mesh with the last axis fastest."""
    import spglib

    cell = structure.full_cell
    scaled = structure.positions @ np.linalg.inv(cell)
    crystal: Any = (cell, scaled, structure.numbers)
    # the error exists in the versions that raise it
    failure: type[Exception] = getattr(spglib, "SpglibError", RuntimeError)
    with warnings.catch_warnings():
        # spglib announces that it will raise where it returned None; both are understood here
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            found = spglib.get_ir_reciprocal_mesh(
                n, crystal, is_shift=shift, is_time_reversal=time_reversal
            )
        except failure:
            found = None
    if found is None:
        raise InputError("the symmetry of the structure was not found; use symmetry=False")
    mapping, grid = np.asarray(found[0]), np.asarray(found[1]) % n
    rank = (grid[:, 0] * n[1] + grid[:, 1]) * n[2] + grid[:, 2]
    representative = np.empty(len(rank), dtype=np.int64)
    representative[rank] = rank[mapping]
    # the order of the other library decides which point represents: take the first of ours
    first = np.full(len(rank), len(rank))
    np.minimum.at(first, representative, np.arange(len(rank)))
    return first[representative]


def _is_integer_triple(kpts: Any) -> bool:
    array = np.asarray(kpts)
    return array.shape == (3,) and np.issubdtype(array.dtype, np.integer)


def k_points(
    kpts: Any,
    structure: Structure,
    *,
    time_reversal: bool = False,
    symmetry: bool = False,
) -> KPoints:
    """k-points from whatever a user gives.

    Parameters
    ----------
    kpts : None, float, (3,) int, (3,) float, (n_k, 3) float, str, dict, BandPath or KPoints
        None: a mesh of the default density. A float: a mesh of that density, points per Å^-1.
        Three integers: a Gamma-centred mesh. Three floats: one point. A string: a path. A
        dictionary as in ASE: "size" or "density" with "gamma" (default True) and "even", or
        "path" with "npoints" or "density".
    structure : Structure
        For cell and periodicity.
    time_reversal, symmetry : bool
        Reduce meshes, see `k_mesh`.

    Raises
    ------
    InputError
        None of these, or a point with a component along a direction that is not periodic.
    """
    if isinstance(kpts, KPoints):
        check_periodic(structure, kpts.kpts)
        return kpts
    if kpts is None:
        kpts = DEFAULT_DENSITY
    if isinstance(kpts, str):
        kpts = {"path": kpts}
    if isinstance(kpts, int | float | np.integer | np.floating) and not isinstance(kpts, bool):
        kpts = {"density": float(kpts)}
    if isinstance(kpts, Mapping):
        return _from_mapping(dict(kpts), structure, time_reversal=time_reversal, symmetry=symmetry)
    if hasattr(kpts, "special_points") and hasattr(kpts, "kpts"):
        from ase_mlham.electronic.path import band_path, path_points

        return path_points(band_path(structure, kpts))
    if hasattr(kpts, "kpts"):
        kpts = kpts.kpts
    try:
        triple = _is_integer_triple(kpts)
        array = np.asarray(kpts, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"k-points {kpts!r} are not understood; {_ACCEPTED}") from None
    if triple:
        a, b, c = (int(x) for x in np.asarray(kpts))
        return k_mesh(structure, (a, b, c), time_reversal=time_reversal, symmetry=symmetry)
    array = np.atleast_2d(array)
    if array.ndim != 2 or array.shape[1] != 3 or len(array) == 0:
        raise InputError(f"k-points of shape {array.shape}; {_ACCEPTED}")
    points = KPoints(array, np.full(len(array), 1 / len(array)))
    check_periodic(structure, points.kpts)
    return points


_ACCEPTED = (
    "give three integers (a mesh), points (n, 3), a density in points per 1/Å, or a path such as "
    "'GXL'"
)


def _from_mapping(
    options: dict[str, Any], structure: Structure, *, time_reversal: bool, symmetry: bool
) -> KPoints:
    if "path" in options:
        from ase_mlham.electronic.path import band_path, path_points

        unknown = set(options) - {"path", "npoints", "density", "eps"}
        if unknown:
            raise InputError(
                f"unknown k-path options {sorted(unknown)}; known: npoints, density, eps"
            )
        return path_points(band_path(structure, **options))
    unknown = set(options) - {"size", "density", "gamma", "even"}
    if unknown or ("size" in options) == ("density" in options):
        raise InputError(
            f"k-point options {sorted(options)}; give one of size, density, path, and "
            "with the first two gamma and even"
        )
    if "size" in options:
        if not _is_integer_triple(options["size"]):
            raise InputError(f"a k mesh of size {options['size']!r}; expected three integers")
        size = tuple(int(x) for x in np.asarray(options["size"]))
    else:
        size = mesh_size(structure, float(options["density"]))
    if options.get("even"):
        size = tuple(s + s % 2 if p else s for s, p in zip(size, structure.pbc, strict=True))
    return k_mesh(
        structure,
        (size[0], size[1], size[2]),
        gamma=options.get("gamma") is not False,
        time_reversal=time_reversal,
        symmetry=symmetry,
    )
