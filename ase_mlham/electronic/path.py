"""Paths through the Brillouin zone, for crystals, slabs, wires and molecules.

ASE's special points by default. The periodic directions always enter: a slab in a box has the
path of its two-dimensional lattice, a molecule has Gamma alone.
"""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.structure import Structure
from ase_mlham.electronic.kpoints import KPoints, check_periodic
from ase_mlham.errors import InputError

if TYPE_CHECKING:
    from ase.cell import Cell
    from ase.dft.kpoints import BandPath

__all__ = ["DEFAULT_PATH_DENSITY", "band_path", "path_points"]

DEFAULT_PATH_DENSITY = 20.0
"""Points of a path per Å^-1 (2 pi included): about 150 for silicon, smooth to the eye."""


def path_points(path: BandPath) -> KPoints:
    """The k-points of a path; their equal weights mean nothing physical."""
    n = len(path.kpts)
    return KPoints(np.array(path.kpts), np.full(n, 1 / n), path=path)


def band_path(
    structure: Structure,
    path: Any = None,
    *,
    npoints: int | None = None,
    density: float | None = None,
    eps: float = 2e-4,
) -> BandPath:
    """Path through the zone of a structure.

    Parameters
    ----------
    structure : Structure
        Its cell and periodic directions decide; atoms matter for "seekpath" only.
    path : None, str, (n, 3) float or BandPath
        None: the special points of the lattice. A string of special points such as "GXL" or
        "GX,UG" (a comma is a jump). "seekpath": its path, which follows the symmetry of the
        crystal. An array: these points. A `BandPath`: itself, if its cell is that of the
        structure.
    npoints : int, optional
        Total number of points; a few more where there are many sections, or very short ones.
    density : float, optional
        Points per Å^-1 instead; 20 by default.
    eps : float
        Tolerance of the recognition of the lattice. A slightly strained cubic cell is triclinic at
        2e-4; 1e-2 restores its path.

    Returns
    -------
    ase.dft.kpoints.BandPath

    Raises
    ------
    InputError
        A label is unknown, a point lies along a direction that is not periodic, or both npoints and
        density are given.
    """
    from ase.cell import Cell
    from ase.dft.kpoints import BandPath

    if npoints is not None and density is not None:
        raise InputError("give npoints or density of a path, not both")
    if npoints is not None and npoints < 1:
        raise InputError(f"a path of {npoints} points; at least one is needed")
    if npoints is None and density is None:
        density = DEFAULT_PATH_DENSITY
    cell = Cell(structure.cell.copy())
    if isinstance(path, BandPath):
        return _given(structure, path)
    if path is not None and not isinstance(path, str):
        return _explicit(structure, cell, path)
    if not structure.pbc.any():
        return _molecule(cell, path)
    sampling: dict[str, Any] = {"npoints": npoints, "density": density, "pbc": structure.pbc}
    if path == "seekpath":
        labels, special = _seekpath(structure)
        return _turned_back(structure, cell.bandpath(labels, special_points=special, **sampling))
    try:
        found = cell.bandpath(path or None, eps=eps, **sampling)
    except (KeyError, ValueError) as error:
        sampling |= {"npoints": 0, "density": None}
        points = cell.bandpath(eps=eps, **sampling).special_points
        raise InputError(
            f"path {path!r}: {error.args[0]!r} is not understood; special points of this cell: "
            f"{', '.join(sorted(points))}"
        ) from None
    check_periodic(structure, found.kpts)
    return _turned_back(structure, found)


def _turned_back(structure: Structure, path: BandPath) -> BandPath:
    """The path with the cell as it stands: ASE gives it in the standard orientation."""
    from ase.cell import Cell
    from ase.dft.kpoints import BandPath

    cell = Cell(structure.cell.copy()).uncomplete(structure.pbc)
    kpts = _short_sections_kept(path)
    return BandPath(cell, kpts, special_points=path.special_points, path=path.path)


def _short_sections_kept(path: BandPath) -> NDArray[np.float64]:
    """Points of a path, with one in the middle of each section that is too short to have any.

    ASE takes two special points next to one another for a jump: it would draw the section with no
    length, and its bands torn apart.
    """
    from ase.dft.kpoints import parse_path_string

    kpts = np.asarray(path.kpts, dtype=np.float64)
    out, at = [], 0
    for section in parse_path_string(path.path):
        corners = [path.special_points[name] for name in section]
        for n, corner in enumerate(corners):
            # on from here to the next corner; a path cut short by npoints may lack some
            rest = np.flatnonzero(abs(kpts[at:] - corner).max(axis=1) < 1e-9)
            if not len(rest):
                return kpts
            between = kpts[at : at + rest[0]]
            if n and not len(between):
                between = (corners[n - 1] + corner)[None] / 2
            out += [*between, corner]
            at += int(rest[0]) + 1
    return np.array([*out, *kpts[at:]])


def _given(structure: Structure, path: BandPath) -> BandPath:
    """A path made elsewhere, if it belongs to this cell."""
    if len(path.kpts) == 0:
        raise InputError("the band path has no points; interpolate it with npoints or density")
    theirs, ours = np.asarray(path.cell)[structure.pbc], structure.cell[structure.pbc]
    # lengths and angles, since ASE turns the cell of a path into its standard orientation; half a
    # milliangstrom on vectors of ten, because cells read back from text files are rounded
    if not np.allclose(theirs @ theirs.T, ours @ ours.T, rtol=0, atol=1e-2):
        raise InputError(
            "the band path was made for another cell; make it from this structure, or give the "
            "path as a string such as 'GXL'"
        )
    check_periodic(structure, path.kpts)
    return path


def _explicit(structure: Structure, cell: Cell, path: Any) -> BandPath:
    """A list of points, with labels where it turns: without any, ASE cannot draw it."""
    from ase.dft.kpoints import BandPath, find_bandpath_kinks, resolve_custom_points

    try:
        kpts = np.atleast_2d(np.asarray(path, dtype=np.float64))
    except (TypeError, ValueError):
        raise InputError(
            f"path {path!r} is not understood; give labels such as 'GXL', 'seekpath', or points "
            "(n, 3)"
        ) from None
    if kpts.ndim != 2 or kpts.shape[1] != 3:
        raise InputError(f"a path of shape {kpts.shape}; expected points (n, 3)")
    check_periodic(structure, kpts)
    if len(kpts) < 2:
        return BandPath(cell, kpts=kpts)
    known = {"G": np.zeros(3)}
    if structure.pbc.any():
        known = cell.bandpath(npoints=0, pbc=structure.pbc).special_points
    turns = kpts[find_bandpath_kinks(cell, kpts)]
    # 1e-5: as `find_bandpath_kinks`; points of a list of decimals are special ones if they look so
    labels, special = resolve_custom_points(turns, known, eps=1e-5)
    return BandPath(cell, kpts=kpts, special_points=special, path=labels)


def _molecule(cell: Cell, path: str | None) -> BandPath:
    """Gamma, which is all that a molecule has."""
    from ase.dft.kpoints import BandPath

    if path not in (None, "", "G", "seekpath"):
        raise InputError(
            f"path {path!r} for a structure that is not periodic: it has Gamma only; set its pbc"
        )
    return BandPath(cell, kpts=np.zeros((1, 3)), special_points={"G": np.zeros(3)}, path="G")


def _seekpath(structure: Structure) -> tuple[str, dict[str, Any]]:
    """Labels and special points of seekpath, in the cell of the structure.

    Raises
    ------
    InputError
        The cell is not primitive: the path would be that of another cell, whose bands are folded
        here.
    """
    import seekpath
    from seekpath.hpkot import SymmetryDetectionError

    cell = structure.full_cell
    scaled = structure.positions @ np.linalg.inv(cell)
    with warnings.catch_warnings():
        warnings.simplefilter("error", seekpath.SupercellWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=seekpath.hpkot.EdgeCaseWarning)
        try:
            found = seekpath.get_path_orig_cell((cell, scaled, structure.numbers))
        except seekpath.SupercellWarning:
            raise InputError(
                "seekpath gives the path of the primitive cell, and this cell is not primitive: "
                "its bands are folded; use the primitive cell, or path=None for ASE's path of "
                "this cell"
            ) from None
        except SymmetryDetectionError:
            raise InputError(
                "seekpath did not find the symmetry of this structure; use path=None for ASE's path"
            ) from None
    name = {label: _ase_label(label) for label in found["point_coords"]}
    flat = ~structure.pbc
    special = {
        name[label]: np.array(point)
        for label, point in found["point_coords"].items()
        if not abs(np.array(point)[flat]).max(initial=0.0) > 1e-9
    }
    labels, last = "", None
    for start, stop in found["path"]:
        if name[start] not in special or name[stop] not in special:
            continue
        if name[start] != last:
            labels += ("," if labels else "") + name[start]
        labels += name[stop]
        last = name[stop]
    return labels, special


def _ase_label(label: str) -> str:
    """ASE's spelling of a label: one capital and digits."""
    if label == "GAMMA":
        return "G"
    plain = label.replace("_", "")
    if not re.fullmatch(r"[A-Z]\d*", plain):
        raise InputError(f"seekpath label {label!r} has no counterpart in ASE; use path=None")
    return plain
