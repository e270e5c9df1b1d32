"""The package's own file: one system, everything it holds, in HDF5.

Layout of version 1, for other programs:

    /                   attributes: format, version, conventions, units, spin, n_electrons,
                        fermi_level, kpts, complete (written last)
    /structure/         numbers, positions (Å), cell (rows, Å), pbc; moments (Bohr magnetons) if
                        known
    /basis/             description (JSON, see `packing`), numbers (radial functions, projectors)
    /patterns/0, 1...   (n_blocks, 5): i, j, R1, R2, R3; one of each Hermitian pair
    /hamiltonian/       attributes: pattern, components, symmetry; one array a pair of species,
    /overlap/           named "Si-Ge": [component, block, orbital of i, orbital of j]
    /operators/NAME/
    /provenance         JSON
    /warnings           JSON

HDF5's own metadata carries checksums (format of HDF5 1.10), every array one by Fletcher: a flipped
bit is an error, not another number. Matrices are read only when asked for, so that a data set of
thousands of files opens quickly.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.basis import OrbitalBasis
from ase_mlham.core.blocks import BlockMatrix
from ase_mlham.core.pattern import BlockPattern
from ase_mlham.core.spin import SpinKind
from ase_mlham.core.structure import Structure
from ase_mlham.core.system import LCAOSystem
from ase_mlham.errors import BasisError, FormatError, InputError
from ase_mlham.files import atomic_path
from ase_mlham.formats.outline import Outline
from ase_mlham.formats.packing import pack, unpack

if TYPE_CHECKING:
    import h5py

__all__ = ["CONVENTIONS", "VERSION", "NativeFile", "outline", "read", "sniff", "write"]

FORMAT = "ase-mlham system"
VERSION = (1, 1)
"""Major and minor version written; a file of a newer major version is refused."""

CONVENTIONS = """\
Energies eV, lengths Å. X[i, j, R] = <phi_i in the home cell | X | phi_j in the cell R>; of the
blocks (i, j, R) and (j, i, -R) = symmetry * adjoint one is stored: (species i, i) < (species j, j),
own images with R >= 0. X(k) = sum_R exp(2 pi i k.R) X(R), k in fractions of the reciprocal cell.
Orbitals: shells in the order of the basis, m = -l..l, real harmonics without Condon-Shortley sign
(p: y, z, x; d: xy, yz, z2, xz, x2-y2). Species are sorted by atomic number. Spin: Pauli components
1 | 1, z | 1, x, y, z with X = sum_mu X_mu sigma_mu. position is relative to the middle of the pair:
r - (tau_i + tau_j + R)/2. H is defined up to mu*S; fermi_level is on its scale."""

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_CHUNK_BYTES = 1 << 20
_DEFLATE_RATIO = 1040  # deflate cannot pack better than 1032 : 1
_DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, OverflowError)
"""Raised by h5py for missing names, wrong types, failed checksums; by NumPy for absurd values."""
_DTYPES = ("<f4", "<f8", "<c8", "<c16")


def sniff(path: Path) -> float:
    """1 for an HDF5 file that names this format, else 0."""
    if path.is_dir():
        return 0.0
    with path.open("rb") as stream:
        if stream.read(len(_SIGNATURE)) != _SIGNATURE:
            return 0.0
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return 1.0 if _text(file.attrs.get("format")) == FORMAT else 0.0
    except _DAMAGE:
        # damaged HDF5 with our extension: claim it weakly, so that `read` can say what is wrong
        return 0.2 if path.suffix in (".h5", ".hdf5") else 0.0


def read(path: Path) -> LCAOSystem:
    """Everything in a file.

    Raises
    ------
    FormatError
        Not such a file, incomplete, damaged, or of a newer major version.
    """
    with NativeFile(path) as file:
        return file.read()


def outline(path: Path) -> Outline:
    """The atoms of a file and the Fermi level, without reading a matrix.

    Raises
    ------
    FormatError
        Not such a file, incomplete, damaged, or of a newer major version.
    """
    with NativeFile(path) as file:
        source = str(file.provenance.get("source", "unknown"))
        return Outline(file.structure, file.spin, file.n_electrons, file.fermi_level, source)


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value if isinstance(value, str) else None


class NativeFile:
    """A native file, read piece by piece.

    Parameters
    ----------
    path : path
        The file. It stays open until `close`, or the end of a `with` block.

    Raises
    ------
    FormatError
        Not such a file, incomplete, damaged, or of a newer major version.

    Examples
    --------
    >>> with NativeFile("silicon.h5") as file:  # doctest: +SKIP
    ...     print(file.basis.elements, file.structure.n_atoms)
    ...     h = file.read_hamiltonian()
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        import h5py

        self.path = Path(path)
        try:
            # no locks: files are complete once they have their name, and never change
            self._file = h5py.File(self.path, "r", locking=False)
        except (OSError, RuntimeError) as error:
            raise FormatError(
                f"{self.path}: cannot be opened as HDF5 ({error}); copy it again if it was cut off"
            ) from error
        try:
            self._check_header()
        except BaseException:
            self._file.close()
            raise

    def _check_header(self) -> None:
        with self._refusals("the header"):
            if _text(self._file.attrs.get("format")) != FORMAT:
                raise FormatError(f"an HDF5 file, but not one of format {FORMAT!r}")
            version = _text(self._file.attrs.get("version")) or ""
            major, _, minor = version.partition(".")
            if not (major.isdecimal() and minor.isdecimal()):
                raise FormatError(f"version {version!r} is not of the form 'major.minor'")
            if int(major) > VERSION[0]:
                raise FormatError(
                    f"version {version}; versions up to {VERSION[0]}.x are read: update ase-mlham"
                )
            if self._file.attrs.get("complete") != 1:
                raise FormatError("the record is not complete: its writer was interrupted")
            self.version = version

    @contextmanager
    def _refusals(self, what: str) -> Iterator[None]:
        """Name the file and the part in every complaint about it."""
        if not self._file:
            raise InputError(f"{self.path} is closed: read {what} before that")
        try:
            yield
        except FormatError as error:
            message = str(error)
            prefix = f"{self.path}: "
            raise FormatError(
                message if message.startswith(prefix) else f"{prefix}{what}: {message}"
            ) from error
        except (InputError, BasisError) as error:
            raise FormatError(f"{self.path}: {what} cannot be: {error}") from error
        except _DAMAGE as error:
            raise FormatError(
                f"{self.path}: {what} is missing or damaged ({error}); make or copy the file again"
            ) from error

    # ------------------------------------------------------------------ opening and closing
    def close(self) -> None:
        """Close the file; what was read stays."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # ------------------------------------------------------------------ pieces
    def _array(self, name: str, ndim: int, dtypes: tuple[str, ...]) -> NDArray:
        """Dataset of a dimension and type; sizes are checked before memory is asked for."""
        import h5py

        dataset = self._file[name]
        if not isinstance(dataset, h5py.Dataset):
            raise FormatError(f"{name} is not an array")
        if dataset.ndim != ndim or dataset.dtype not in [np.dtype(t) for t in dtypes]:
            raise FormatError(
                f"{name} is {dataset.dtype} of shape {dataset.shape}; expected "
                f"{' or '.join(dtypes)} with {ndim} dimensions"
            )
        claimed, stored = dataset.nbytes, dataset.id.get_storage_size()
        if claimed > _DEFLATE_RATIO * stored:
            raise FormatError(f"{name} claims {claimed} bytes, {stored} are stored")
        return dataset[()]

    def _string(self, name: str) -> str:
        """Text kept as bytes, so that it carries a checksum like every array."""
        try:
            return self._array(name, 1, ("|u1",)).tobytes().decode("utf-8")
        except UnicodeDecodeError as error:
            raise FormatError(f"{name} is not UTF-8 text") from error

    def _json(self, name: str, kind: type) -> Any:
        value = json.loads(self._string(name))
        if not isinstance(value, kind):
            raise FormatError(f"{name} is not a JSON {kind.__name__}")
        return value

    @cached_property
    def structure(self) -> Structure:
        """The atoms."""
        with self._refusals("structure"):
            return Structure(
                self._array("structure/numbers", 1, ("<i8",)),
                self._array("structure/positions", 2, ("<f8",)),
                self._array("structure/cell", 2, ("<f8",)),
                self._array("structure/pbc", 1, ("|u1",)).astype(bool),
                self._array("structure/moments", 2, ("<f8",))
                if "structure/moments" in self._file
                else None,
            )

    @cached_property
    def basis(self) -> OrbitalBasis:
        """The orbitals, with radial functions and projectors where the source has them."""
        with self._refusals("basis"):
            numbers = self._array("basis/numbers", 1, ("<f8",))
            return OrbitalBasis.from_dict(unpack(self._string("basis/description"), numbers))

    @cached_property
    def spin(self) -> SpinKind:
        """Spin kind."""
        with self._refusals("spin"):
            return SpinKind.parse(_text(self._file.attrs["spin"]) or "")

    @cached_property
    def n_electrons(self) -> float:
        """Valence electrons in the cell."""
        with self._refusals("n_electrons"):
            return float(self._file.attrs["n_electrons"])

    @cached_property
    def fermi_level(self) -> float | None:
        """Fermi level that the source states, eV."""
        with self._refusals("fermi_level"):
            value = self._file.attrs.get("fermi_level")
            if value is None:
                return None
            if not np.isfinite(value):
                raise FormatError("not a finite number")
            return float(value)

    @cached_property
    def kpts(self) -> tuple[int, int, int] | None:
        """Mesh of k-points of the source."""
        with self._refusals("kpts"):
            value = self._file.attrs.get("kpts")
            if value is None:
                return None
            if np.shape(value) != (3,) or np.min(value) < 1:
                raise FormatError(f"{value} is not a mesh")
            a, b, c = (int(n) for n in value)
            return a, b, c

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Where the numbers come from."""
        with self._refusals("provenance"):
            return self._json("provenance", dict)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What the source has to say against the numbers."""
        with self._refusals("warnings"):
            return tuple(str(entry) for entry in self._json("warnings", list))

    @cached_property
    def operators(self) -> tuple[str, ...]:
        """Names of the further operators in the file."""
        with self._refusals("operators"):
            return tuple(sorted(self._file["operators"]))

    @cached_property
    def _patterns(self) -> dict[str, BlockPattern]:
        return {}

    def _pattern(self, name: str) -> BlockPattern:
        if name not in self._patterns:
            if not name.isdecimal():
                raise FormatError(f"{name!r} is not the name of a pattern")
            pairs = self._array(f"patterns/{name}", 2, ("<i4",))
            if pairs.shape[1] != 5:
                raise FormatError(f"pattern {name} has {pairs.shape[1]} columns; expected 5")
            species = self.basis.species_index(self.structure.numbers)
            i, j, R = pairs[:, 0], pairs[:, 1], pairs[:, 2:]
            self._patterns[name] = BlockPattern(species, self.basis.sizes, i, j, R)
        return self._patterns[name]

    def read_pattern(self, name: str = "hamiltonian") -> BlockPattern:
        """Which blocks a matrix has, without reading its numbers.

        Parameters
        ----------
        name : str
            "hamiltonian", "overlap" or "operators/NAME".
        """
        with self._refusals(name):
            return self._pattern(_text(self._file[name].attrs["pattern"]) or "")

    def _matrix(self, name: str) -> BlockMatrix:
        with self._refusals(name):
            pattern = self.read_pattern(name)
            group = self._file[name]
            values = []
            for pair in pattern.groups:
                array = self._array(f"{name}/{_pair_name(self.basis, pair)}", 4, _DTYPES)
                values.append(np.asarray(array, dtype=array.dtype.newbyteorder("=")))
            return BlockMatrix(pattern, tuple(values), int(group.attrs["symmetry"]))

    def read_hamiltonian(self) -> BlockMatrix:
        """H in eV."""
        return self._matrix("hamiltonian")

    def read_overlap(self) -> BlockMatrix:
        """S."""
        return self._matrix("overlap")

    def read_operator(self, name: str) -> BlockMatrix:
        """A further operator.

        Raises
        ------
        FormatError
            The file does not hold it.
        """
        if name not in self.operators:
            held = ", ".join(self.operators) or "none"
            raise FormatError(f"{self.path}: no operator {name!r}; the file holds: {held}")
        return self._matrix(f"operators/{name}")

    def read(self, *, operators: bool = True) -> LCAOSystem:
        """The system.

        Parameters
        ----------
        operators : bool
            Whether to read the further operators too.
        """
        parts = {
            name: getattr(self, name)
            for name in ("structure", "basis", "n_electrons", "spin", "fermi_level", "kpts")
        }
        names = self.operators if operators else ()
        with self._refusals("the system"):
            return LCAOSystem(
                **parts,
                hamiltonian=self.read_hamiltonian(),
                overlap=self.read_overlap(),
                operators={name: self.read_operator(name) for name in names},
                provenance=self.provenance,
                warnings=self.warnings,
            )


def _pair_name(basis: OrbitalBasis, pair: Any) -> str:
    return f"{basis.species[pair.species_i].symbol}-{basis.species[pair.species_j].symbol}"


# ---------------------------------------------------------------------- writing
def write(
    system: LCAOSystem, path: Path, *, compression: int | None = 1, single: bool = False
) -> None:
    """Write a system.

    Parameters
    ----------
    system : LCAOSystem
        What to write.
    path : Path
        An existing file is replaced, in one step.
    compression : int, optional
        Level of deflate, 1 to 9, after a byte shuffle; None stores the numbers as they are.
    single : bool
        Store H and the operators in single precision (about 1e-6 eV for elements of some ten eV). S
        keeps its precision: where it is nearly singular its errors are amplified.

    Raises
    ------
    FormatError
        The file cannot be written.
    InputError
        The provenance holds something that is not JSON, or the compression level is not one.
    """
    import h5py

    path = Path(path)
    if compression is not None and compression not in range(1, 10):
        raise InputError(f"compression {compression!r}; give a level from 1 to 9, or None")
    texts = _texts(system)
    description, numbers = pack(system.basis.to_dict())
    texts["basis/description"] = description
    matrices = {"hamiltonian": system.hamiltonian, "overlap": system.overlap}
    matrices |= {f"operators/{name}": matrix for name, matrix in system.operators.items()}
    packing: dict[str, Any] = {"fletcher32": True}
    if compression is not None:
        packing |= {"compression": "gzip", "compression_opts": compression, "shuffle": True}

    with (
        atomic_path(path) as temporary,
        h5py.File(temporary, "w", libver=("v110", "v110"), locking=False) as file,
    ):
        _write_header(file, system)
        for name, text in texts.items():
            file.create_dataset(name, data=np.frombuffer(text.encode(), np.uint8), **packing)
        structure = system.structure
        moments = [] if structure.moments is None else [structure.moments.astype("<f8")]
        for name, array in (
            *(("structure/moments", array) for array in moments),
            ("structure/numbers", structure.numbers.astype("<i8")),
            ("structure/positions", structure.positions.astype("<f8")),
            ("structure/cell", structure.cell.astype("<f8")),
            ("structure/pbc", structure.pbc.astype("u1")),
            # HDF5 has no chunks of nothing: a basis without radial functions leaves one zero
            ("basis/numbers", numbers.astype("<f8") if numbers.size else np.zeros(1)),
        ):
            file.create_dataset(name, data=array, chunks=_chunks(array.shape, array), **packing)
        file.create_group("operators")
        file.create_group("patterns")
        patterns: list[BlockPattern] = []
        for name, matrix in matrices.items():
            pattern = matrix.pattern
            if pattern not in patterns:
                pairs = np.column_stack([pattern.i, pattern.j, pattern.R]).astype("<i4")
                file.create_dataset(f"patterns/{len(patterns)}", data=pairs, **packing)
                patterns.append(pattern)
            group = file.create_group(name)
            group.attrs["pattern"] = str(patterns.index(pattern))
            group.attrs["symmetry"] = matrix.symmetry
            group.attrs["components"] = _component_names(name, matrix, system.spin)
            for pair, values in zip(pattern.groups, matrix.values, strict=True):
                dtype = values.dtype.newbyteorder("<")
                if single and name != "overlap":
                    dtype = np.dtype("<c8" if np.iscomplexobj(values) else "<f4")
                file.create_dataset(
                    f"{name}/{_pair_name(system.basis, pair)}",
                    data=values.astype(dtype, copy=False),
                    chunks=_chunks(values.shape, values),
                    **packing,
                )
        file.attrs["complete"] = 1


def _texts(system: LCAOSystem) -> dict[str, str]:
    try:
        provenance = json.dumps(dict(system.provenance), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"the provenance cannot be written as JSON: {error}") from error
    return {"provenance": provenance, "warnings": json.dumps(list(system.warnings))}


def _write_header(file: h5py.File, system: LCAOSystem) -> None:
    file.attrs["format"] = FORMAT
    file.attrs["version"] = ".".join(str(n) for n in VERSION)
    file.attrs["conventions"] = CONVENTIONS
    file.attrs["units"] = "eV, Å"
    file.attrs["spin"] = system.spin.value
    file.attrs["n_electrons"] = float(system.n_electrons)
    if system.fermi_level is not None:
        file.attrs["fermi_level"] = float(system.fermi_level)
    if system.kpts is not None:
        file.attrs["kpts"] = np.array(system.kpts, dtype="<i8")


def _component_names(name: str, matrix: BlockMatrix, spin: SpinKind) -> str:
    if name == "hamiltonian":
        return ", ".join(spin.components)
    return {1: "1", 3: "x, y, z"}.get(matrix.n_components, f"{matrix.n_components} components")


def _chunks(shape: tuple[int, ...], array: NDArray) -> tuple[int, ...]:
    """Whole blocks, about a megabyte: [component, block, a, b] is cut along the blocks only."""
    if len(shape) != 4:
        return tuple(max(n, 1) for n in shape)
    one = array.itemsize * shape[0] * shape[2] * shape[3]
    return shape[0], max(1, min(shape[1], _CHUNK_BYTES // one)), shape[2], shape[3]
