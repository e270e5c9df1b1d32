"""Binary `.scfout` files: what is in them, in OpenMX's own units and order.

The layout is a plain sequence of C arrays with no markers: a wrong length would be followed blindly
to the end of memory. Every count is therefore compared with what the file can
still hold, and with what is known already, before anything of its size is made.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ase_mlham.errors import FormatError
from ase_mlham.formats.compression import ByteStream

__all__ = [
    "READ_VERSIONS",
    "Header",
    "Scfout",
    "ScfoutOutline",
    "parse_header",
    "read_scfout",
    "read_scfout_outline",
]

READ_VERSIONS = {0: "OpenMX 3.8 and before", 3: "OpenMX 3.9 and later"}
"""Versions of the layout that are read."""

HEADER_BYTES = 24
_MAX_ATOMS = 10_000_000
_MAX_LINES = 1_000_000
_MAX_ORBITALS = 1000
_LINE = 256


class Header(NamedTuple):
    """The first six numbers.

    Attributes
    ----------
    order : str
        Byte order, "<" or ">".
    n_atoms : int
        Atoms in the cell.
    version : int
        Of the layout.
    spin_switch : int
        0 none, 1 collinear, 3 non-collinear.
    n_cells : int
        Lattice translations besides 0.
    """

    order: str
    n_atoms: int
    version: int
    spin_switch: int
    n_cells: int


def parse_header(data: bytes | bytearray) -> Header | None:
    """The header, if these bytes can be one.

    Parameters
    ----------
    data : bytes
        The first 24 bytes of the file, decompressed.

    Returns
    -------
    Header or None
        None if neither byte order makes sense. The version may be one that is not read.
    """
    if len(data) < HEADER_BYTES:
        return None
    for order in "<>":
        n, code, *transport, cells = (int(v) for v in np.frombuffer(data, f"{order}i4", 6))
        edge = round((cells + 1) ** (1 / 3)) if 0 <= cells < 10**8 else 0
        # cells fill a cube -m..m; versions beyond the known ones are let through to be named
        if (
            0 < n <= _MAX_ATOMS
            and 0 <= code < 64
            and all(0 <= count <= n for count in transport)
            and edge % 2 == 1
            and edge**3 == cells + 1
        ):
            return Header(order, n, code // 4, code % 4, cells)
    return None


@dataclass(frozen=True, eq=False, kw_only=True)
class ScfoutOutline:
    """Contents of a file without its matrices: Hartree, bohr, every block in both directions.

    Attributes
    ----------
    path : Path
        The file.
    header : Header
        Version and spin.
    cell : (3, 3) float
        Lattice vectors as rows, bohr.
    positions : (n_atoms, 3) float
        bohr.
    n_orbitals : (n_atoms,) int
        Orbitals on each atom.
    i, j : (n_blocks,) int
        Atoms of each block, from 0.
    R : (n_blocks, 3) int
        Lattice vector of j.
    solver : int
        2 cluster, 3 band.
    chemical_potential : float
        Hartree.
    temperature : float
        Electronic, K.
    n_electrons : float
        Valence electrons, as the file states them.
    total_spin : float
        Half the magnetic moment in Bohr magnetons.
    input_text : str
        The copy of the input.
    """

    path: Path
    header: Header
    cell: NDArray[np.float64]
    positions: NDArray[np.float64]
    n_orbitals: NDArray[np.int64]
    i: NDArray[np.int64]
    j: NDArray[np.int64]
    R: NDArray[np.int64]
    solver: int
    chemical_potential: float
    temperature: float
    n_electrons: float
    total_spin: float
    input_text: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Scfout(ScfoutOutline):
    """Contents of a file, in OpenMX's orbital order.

    Attributes
    ----------
    hamiltonian : (1, 2 or 4, n) float
        Blocks one after another, row-major: H; H up, H down; or uu, dd, Re ud, Im ud.
    imaginary : (3, n) float, optional
        Non-collinear: imaginary parts of uu, dd, ud from the non-local potential.
    overlap : (1, n) float
        S.
    position : (3, n) float
        <i| r - tau_i |j>, bohr.
    momentum : (3, n) float, optional
        <d i/dx | j>, 1/bohr; version 3 only.
    density_trace : float
        Sum of the density matrix times S: electrons, or half of them without spin.
    """

    hamiltonian: NDArray[np.float64]
    imaginary: NDArray[np.float64] | None
    overlap: NDArray[np.float64]
    position: NDArray[np.float64]
    momentum: NDArray[np.float64] | None
    density_trace: float


class _Reader:
    """One pass over the stream; knows file and byte order for messages and types."""

    def __init__(self, stream: ByteStream, header: Header) -> None:
        self.stream, self.header = stream, header

    def refuse(self, reason: str) -> FormatError:
        return FormatError(
            f"{self.stream.path}: {reason} (before byte {self.stream.position}); the file is "
            "damaged: copy it again, or run OpenMX again"
        )

    def integers(self, count: int, what: str, low: int, high: int) -> NDArray[np.int64]:
        values = self.stream.array(f"{self.header.order}i4", count, what)
        if count and not (low <= values.min() and values.max() <= high):
            raise self.refuse(f"{what} must lie between {low} and {high}")
        return values.astype(np.int64)

    def reals(self, count: int, what: str, bound: float) -> NDArray[np.float64]:
        values = self.stream.array(f"{self.header.order}f8", count, what)
        # not "any larger": a NaN must fail too
        if count and not (-bound <= values.min() and values.max() <= bound):
            raise self.refuse(f"{what}: a number is beyond {bound:g} or is none")
        return values

    def vectors(self, count: int, what: str) -> NDArray[np.float64]:
        """Rows of four, of which the first number is unused memory."""
        rows = self.stream.array(f"{self.header.order}f8", 4 * count, what).reshape(-1, 4)[:, 1:]
        if not abs(rows).max(initial=0.0) <= 1e7:
            raise self.refuse(f"{what}: a number is beyond 1e7 or is none")
        return rows


def read_scfout(path: str | os.PathLike[str]) -> Scfout:
    """Read a `.scfout` file, plain or compressed, of either byte order.

    Parameters
    ----------
    path : path
        The file.

    Raises
    ------
    FormatError
        Not such a file, of a version that is not read, cut off or damaged.
    """
    with ByteStream(path) as stream:
        reader = _Reader(stream, _read_header(stream))
        atoms = _read_atoms(reader)
        matrices = _read_matrices(reader, atoms)
        contents = Scfout(**atoms.fields, **matrices, **_read_end(reader))
        stream.drain()
    return contents


def read_scfout_outline(path: str | os.PathLike[str]) -> ScfoutOutline:
    """Read a `.scfout` file and leave out the matrices: memory does not grow with their size.

    A plain file is read at both ends only; a compressed one has to be decompressed on the way.

    Parameters
    ----------
    path : path
        The file.

    Raises
    ------
    FormatError
        Not such a file, of a version that is not read, or cut off.
    """
    with ByteStream(path) as stream:
        reader = _Reader(stream, _read_header(stream))
        atoms = _read_atoms(reader)
        stream.skip(8 * atoms.matrix_size * _matrices_in(atoms), "the matrices")
        contents = ScfoutOutline(**atoms.fields, **_read_end(reader))
        stream.drain()
    return contents


def _read_header(stream: ByteStream) -> Header:
    path = stream.path
    header = parse_header(stream.read(HEADER_BYTES, "the header"))
    if header is None:
        raise FormatError(f"{path}: does not begin like a .scfout file of OpenMX")
    if header.version not in READ_VERSIONS:
        known = " and ".join(f"{v} ({name})" for v, name in READ_VERSIONS.items())
        raise FormatError(
            f"{path}: version {header.version} of the .scfout layout; versions {known} are "
            "read. Run the calculation again with one of these"
        )
    if header.spin_switch == 2:
        raise FormatError(f"{path}: spin switch 2 does not exist (0, 1 and 3 do)")
    return header


class _Atoms(NamedTuple):
    """What stands before the matrices: fields of the outline, and what the matrices look like."""

    fields: dict[str, Any]
    matrix_size: int
    order_max: int


def _read_atoms(reader: _Reader) -> _Atoms:
    header = reader.header
    n_atoms = header.n_atoms
    order_max = 1
    if header.version:
        order_max = int(reader.integers(1, "the order of the position matrices", 1, 100)[0])
    translations = reader.vectors(header.n_cells + 1, "the lattice translations")
    rows = reader.stream.array(f"{header.order}i4", 4 * (header.n_cells + 1), "the cell indices")
    cells = rows.reshape(-1, 4)[:, 1:].astype(np.int64)
    if abs(cells).max() > 1000:
        raise reader.refuse("a cell index is beyond 1000")
    n_orbitals = reader.integers(n_atoms, "the orbitals of each atom", 1, _MAX_ORBITALS)
    n_neighbours = 1 + reader.integers(
        n_atoms, "the neighbours of each atom", 0, n_atoms * (header.n_cells + 1)
    )
    n_pairs = int(n_neighbours.sum())
    j = reader.integers(n_pairs, "the neighbour list", 1, n_atoms) - 1
    R = cells[reader.integers(n_pairs, "the cells of the neighbours", 0, header.n_cells)]
    i = np.repeat(np.arange(n_atoms), n_neighbours)
    cell = reader.vectors(3, "the lattice vectors")
    reciprocal = reader.vectors(3, "the reciprocal vectors")
    positions = reader.vectors(n_atoms, "the positions")
    if abs(cells @ cell - translations).max() > 1e-6 * (1 + abs(translations).max()):
        raise reader.refuse("the lattice translations are not those of the lattice vectors")
    if abs(reciprocal @ cell.T / (2 * np.pi) - np.eye(3)).max() > 1e-6:
        raise reader.refuse("the reciprocal vectors are not those of the lattice vectors")
    fields = {
        "path": reader.stream.path,
        "header": header,
        "cell": cell,
        "positions": positions,
        "n_orbitals": n_orbitals,
        "i": i,
        "j": j,
        "R": R,
    }
    return _Atoms(fields, int((n_orbitals[i] * n_orbitals[j]).sum()), order_max)


def _matrices_in(atoms: _Atoms) -> int:
    """How many matrices follow: H, its imaginary part, S, positions, momenta, density."""
    header = atoms.fields["header"]
    n_spin = header.spin_switch + 1
    newer = 3 + 2 if header.version else 0
    return n_spin + (3 if n_spin == 4 else 0) + 1 + 3 * atoms.order_max + n_spin + newer


def _read_matrices(reader: _Reader, atoms: _Atoms) -> dict[str, Any]:
    header, n, order_max = reader.header, atoms.matrix_size, atoms.order_max

    def matrices(count: int, what: str, bound: float) -> NDArray[np.float64]:
        return reader.reals(count * n, what, bound).reshape(count, n)

    n_spin = header.spin_switch + 1
    hamiltonian = matrices(n_spin, "the Hamiltonian", 1e6)
    imaginary = matrices(3, "the imaginary part of H", 1e6) if n_spin == 4 else None
    overlap = matrices(1, "the overlap", 1e3)
    # powers above the first are stored after it, for each direction
    position = matrices(3 * order_max, "the position matrices", 1e12)[::order_max]
    momentum = matrices(3, "the momentum matrices", 1e6) if header.version else None
    electrons = 0.0
    for spin in range(n_spin):
        density = matrices(1, "the density matrix", 1e6)
        if spin < 2:
            electrons += float(np.vdot(density, overlap))
    if header.version:
        reader.stream.skip(2 * 8 * n, "the imaginary part of the density matrix")
    return {
        "hamiltonian": hamiltonian,
        "imaginary": imaginary,
        "overlap": overlap,
        "position": position,
        "momentum": momentum,
        "density_trace": electrons,
    }


def _read_end(reader: _Reader) -> dict[str, Any]:
    """What stands behind the matrices."""
    solver = int(reader.integers(1, "the code of the solver", 0, 100)[0])
    numbers = reader.reals(10, "the numbers after the matrices", 1e12)
    n_lines = int(reader.integers(1, "the length of the input", 0, _MAX_LINES)[0])
    copy = reader.stream.read(_LINE * n_lines, "the copy of the input")
    lines = [copy[at : at + _LINE].split(b"\0")[0] for at in range(0, len(copy), _LINE)]
    return {
        "solver": solver,
        "chemical_potential": float(numbers[0]),
        "temperature": float(numbers[1]),
        "n_electrons": float(numbers[8]),
        "total_spin": float(numbers[9]),
        "input_text": b"".join(
            line if line.endswith(b"\n") else line + b"\n" for line in lines
        ).decode("latin-1"),
    }
