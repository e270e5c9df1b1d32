"""Cube and XSF files of fields, in the dialects that ASE reads.

A cube file is in atomic units throughout: programs that draw isosurfaces take 0.02 for electrons
per cubic bohr; energies stay in eV. An XSF file has angstroms. ASE's own writer of the latter keeps
six decimals, too few for a difference density: the structure is written by ASE, the numbers here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np

from ase_mlham.errors import InputError
from ase_mlham.files import atomic_path
from ase_mlham.real_space.quantities import BOHR_POWER
from ase_mlham.units import ASE

if TYPE_CHECKING:
    from ase_mlham.real_space.field import Field

__all__ = ["SUFFIXES", "write_field"]

SUFFIXES = (".cube", ".cub", ".xsf")
"""Endings of the files that are written."""


def write_field(field: Field, path: Path) -> None:
    """Write a real field of one component; see `Field.write`."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(
            f"{path}: the name says the format of a volumetric file; it must end with one of "
            f"{', '.join(SUFFIXES)}"
        )
    with atomic_path(path) as part, part.open("w", encoding="utf-8") as stream:
        if suffix == ".xsf":
            _write_xsf(field, stream)
        else:
            _write_cube(field, stream)


def _write_cube(field: Field, stream: TextIO) -> None:
    from ase.io.cube import write_cube

    atoms = field.structure.to_atoms()
    atoms.cell = field.grid.cell
    if field.unit not in BOHR_POWER:
        raise InputError(f"the unit {field.unit!r} of the {field.name} is unknown to cube files")
    unit = field.unit.replace("Å", "bohr")
    write_cube(
        stream,
        atoms,
        field.values * ASE.bohr ** BOHR_POWER[field.unit],
        origin=field.grid.origin,
        comment=f"{field.name}, {unit}, ase-mlham",
    )


def _write_xsf(field: Field, stream: TextIO) -> None:
    from ase.io.xsf import write_xsf

    grid = field.grid
    if list(grid.pbc) != sorted(grid.pbc, reverse=True):
        raise InputError(
            "XSF files know crystals, slabs in a and b, and polymers along a; for other periodic "
            "directions write a .cube file"
        )
    atoms = field.structure.to_atoms()
    atoms.set_initial_magnetic_moments(None)
    cell = field.structure.cell.copy()
    for axis in range(3):
        if not cell[axis].any():
            cell[axis] = grid.cell[axis]
    atoms.cell = cell
    write_xsf(stream, [atoms])
    # a general grid of XSF ends with the point that repeats the first one
    values = np.pad(field.values, [(0, int(p)) for p in grid.pbc], mode="wrap")
    spans = np.where(grid.pbc[:, None], grid.cell, grid.cell - grid.steps)
    stream.write(f"BEGIN_BLOCK_DATAGRID_3D\n {field.name.replace(' ', '_')}\n")
    stream.write(" BEGIN_DATAGRID_3D_values\n")
    stream.write("  {} {} {}\n".format(*values.shape))
    for vector in (grid.origin, *spans):
        stream.write("  {:.10f} {:.10f} {:.10f}\n".format(*vector))
    for plane in values.transpose(2, 1, 0):
        np.savetxt(stream, plane, fmt="%.9e")
    stream.write(" END_DATAGRID_3D\nEND_BLOCK_DATAGRID_3D\n")
