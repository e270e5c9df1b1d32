"""From an OpenMX `.scfout` file to a system.

The numbers are taken as they are: converted with OpenMX's own constants, orbitals permuted to our
order, of each Hermitian pair the mean (the difference, 1e-9 eV in a sound file, is kept in the
provenance), spin as Pauli components. Matrices that cannot be Hermitian are refused, not repaired.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.basis import LETTERS, OrbitalBasis, Shell, SpeciesBasis, symbol
from ase_mlham.core.blocks import BlockMatrix
from ase_mlham.core.pattern import BlockPattern
from ase_mlham.core.spin import SpinKind
from ase_mlham.core.structure import Structure
from ase_mlham.core.system import LCAOSystem
from ase_mlham.errors import BasisError, FormatError, InputError
from ase_mlham.formats.compression import ByteStream, plain_name, read_text
from ase_mlham.formats.openmx.input import OpenMXInput, Species
from ase_mlham.formats.openmx.orbitals import from_openmx_order, reorder
from ase_mlham.formats.openmx.pao import PaoFile, find_pao, read_pao
from ase_mlham.formats.openmx.scfout import (
    HEADER_BYTES,
    READ_VERSIONS,
    Scfout,
    ScfoutOutline,
    parse_header,
    read_scfout,
    read_scfout_outline,
)
from ase_mlham.formats.outline import Outline
from ase_mlham.units import OPENMX

__all__ = ["outline", "read", "sniff"]

_log = logging.getLogger(__name__)

_NUMBERS = {symbol(number): number for number in range(1, 119)}
_SPIN = {0: SpinKind.NONE, 1: SpinKind.COLLINEAR, 3: SpinKind.SPINOR}

# In a sound file pairs of H differ by 1e-8 eV, of S by 1e-10; positions and gradients are made
# on a grid and differ by up to 1e-3 Å. Other matrices in their place differ by their own size.
_WORST = {"hamiltonian": 1e-3, "overlap": 1e-6, "position": 0.1, "gradient": 0.1}
_ELECTRON_TOLERANCE = 1e-3

SOURCE = "OpenMX"
"""In the provenance, and in messages."""


def sniff(path: Path) -> float:
    """How sure it is that this is a `.scfout` file: its header and its name."""
    if path.is_dir():
        return 0.0
    named = plain_name(path).endswith(".scfout")
    try:
        with ByteStream(path) as stream:
            header = parse_header(stream.read(HEADER_BYTES, "the header"))
    except FormatError:
        header = None
    if header is None:
        # damaged, but named so: claim it weakly, so that `read` can say what is wrong
        return 0.2 if named else 0.0
    known = header.version in READ_VERSIONS
    return (0.95 if known else 0.6) if named else (0.7 if known else 0.1)


def read(
    path: str | os.PathLike[str], *, input_file: str | os.PathLike[str] | None = None
) -> LCAOSystem:
    """Read a system from a `.scfout` file, plain, .gz or .zst.

    Parameters
    ----------
    path : path
        The file. Radial functions (`.pao`) are looked for as `pao.find_pao` says; without them the
        basis knows cut-off radii only.
    input_file : path, optional
        The input, to be used instead of the copy in the file: OpenMX copies it at the end of the
        run, and it may have been edited meanwhile.

    Returns
    -------
    LCAOSystem
        With the position operator, and the gradient from OpenMX 3.9 on. A direction is periodic if
        an orbital reaches into the next cell along it; OpenMX's clusters have a mesh of k = 0.

    Raises
    ------
    FormatError
        Not such a file, of another version, cut off, damaged, or in disagreement with its input.
    """
    contents = read_scfout(path)
    with _named(contents, input_file) as text:
        source = _Source(contents, OpenMXInput(text))
    try:
        return source.system()
    except (InputError, BasisError) as error:
        raise FormatError(f"{contents.path}: the contents do not fit together: {error}") from error


def outline(
    path: str | os.PathLike[str], *, input_file: str | os.PathLike[str] | None = None
) -> Outline:
    """The atoms of a `.scfout` file and the Fermi level, without reading a matrix.

    Parameters
    ----------
    path, input_file : path
        As for `read`.

    Raises
    ------
    FormatError
        Not such a file, of another version, cut off, or in disagreement with its input.
    """
    contents = read_scfout_outline(path)
    with _named(contents, input_file) as text:
        atoms = _Atoms(contents, OpenMXInput(text))
    try:
        structure = atoms.structure()
    except InputError as error:
        raise FormatError(f"{contents.path}: the contents do not fit together: {error}") from error
    return Outline(
        structure,
        _SPIN[contents.header.spin_switch],
        contents.n_electrons,
        contents.chemical_potential * OPENMX.hartree,
        SOURCE,
    )


@contextmanager
def _named(contents: ScfoutOutline, input_file: str | os.PathLike[str] | None) -> Iterator[str]:
    """Text of the input; complaints about it say which input it is, and what to do."""
    try:
        yield contents.input_text if input_file is None else read_text(input_file)
    except FormatError as error:
        origin = "its copy of the input" if input_file is None else str(input_file)
        raise FormatError(
            f"{contents.path}: {origin} cannot be used: {error}; give the input of the run as "
            "input_file="
        ) from error


def _joined(matrices: list[BlockMatrix]) -> BlockMatrix:
    """One matrix of all components."""
    values = (np.concatenate(arrays) for arrays in zip(*(m.values for m in matrices), strict=True))
    return BlockMatrix(matrices[0].pattern, tuple(values), matrices[0].symmetry)


@dataclass(eq=False)
class _Atoms:
    """A file without its matrices and its input, checked against one another."""

    contents: ScfoutOutline
    input: OpenMXInput

    def __post_init__(self) -> None:
        self._check_orbitals()
        self.species = self._elements()

    def _check_orbitals(self) -> None:
        contents, atoms = self.contents, self.input.atoms
        if len(atoms) != len(contents.n_orbitals):
            raise FormatError(
                f"it lists {len(atoms)} atoms, the matrices are for {len(contents.n_orbitals)}"
            )
        for n, ((species, _), size) in enumerate(zip(atoms, contents.n_orbitals, strict=True)):
            if species.basis.n_orbitals != size:
                raise FormatError(
                    f"atom {n} has basis {species.basis.text} with {species.basis.n_orbitals} "
                    f"orbitals, the matrices have {size}: the input was edited during the run"
                )
            if species.is_empty:
                raise FormatError(f"atom {n} is an empty atom (pseudopotential E): not supported")

    def _elements(self) -> dict[str, Species]:
        out: dict[str, Species] = {}
        for species, _ in self.input.atoms:
            element = species.basis.symbol
            if element not in _NUMBERS:
                raise FormatError(f"basis {species.basis.text!r}: {element!r} is not an element")
            known = out.setdefault(element, species)
            if known.basis != species.basis:
                raise FormatError(
                    f"{element} has two bases, {known.basis.text} and {species.basis.text}; one "
                    "for each element is supported"
                )
        return out

    def structure(self) -> Structure:
        contents = self.contents
        numbers = [_NUMBERS[species.basis.symbol] for species, _ in self.input.atoms]
        return Structure(
            np.array(numbers),
            contents.positions * OPENMX.bohr,
            contents.cell * OPENMX.bohr,
            np.any(contents.R != 0, axis=0),
        )


@dataclass(eq=False)
class _Source(_Atoms):
    """Both, with the matrices; makes the parts of the system."""

    contents: Scfout
    warnings: list[str] = field(default_factory=list)
    asymmetry: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.k_mesh = self.input.k_mesh
        self.charge = self.input.number("scf.system.charge", 0.0)
        self.pao: dict[str, PaoFile] = {}

    # ------------------------------------------------------------------ what the input says
    def _read_radial_functions(self) -> None:
        for element, species in self.species.items():
            found = find_pao(species.basis, self.contents.path, self.input.word("DATA.PATH"))
            if species.basis.contracted:
                found = None  # the file holds the primitives, not their combinations
            if found is None:
                _log.info("no radial functions for basis %s", species.basis.text)
            else:
                self.pao[element] = read_pao(found)

    def _valence(self) -> dict[str, float]:
        """Electrons of each neutral atom, such that they add up to those of the run."""
        expected = self.contents.n_electrons + self.charge
        counts = dict.fromkeys(self.species, 0)
        started: dict[str, set[float | None]] = {e: set() for e in self.species}
        for species, electrons in self.input.atoms:
            counts[species.basis.symbol] += 1
            started[species.basis.symbol].add(electrons)
        # the database's pseudo-atom may have another valence than the pseudopotential
        candidates: list[Mapping[str, float | None]] = [
            {e: next(iter(seen)) if len(seen) == 1 else None for e, seen in started.items()},
            {e: self.pao[e].valence if e in self.pao else None for e in self.species},
        ]
        if len(counts) == 1:
            candidates.append({e: expected / n for e, n in counts.items()})
        for guess in candidates:
            known = {e: v for e, v in guess.items() if v is not None}
            total = sum(counts[e] * v for e, v in known.items())
            if len(known) == len(counts) and abs(total - expected) < _ELECTRON_TOLERANCE:
                return known
        self.warnings.append(
            "valence electrons of the elements are not known (the input's initial charges do not "
            f"add up to {expected:g}); they are set to the mean, only their sum is right"
        )
        return dict.fromkeys(counts, expected / sum(counts.values()))

    # ------------------------------------------------------------------ parts of the system
    def _check_electrons(self) -> None:
        contents = self.contents
        counted = contents.density_trace * (2 if contents.header.spin_switch == 0 else 1)
        if abs(counted - contents.n_electrons) > _ELECTRON_TOLERANCE:
            self.warnings.append(
                f"the density matrix holds {counted:.4f} electrons, the file states "
                f"{contents.n_electrons:.4f}"
            )

    def basis(self) -> OrbitalBasis:
        valence = self._valence()
        out = []
        for element, species in self.species.items():
            basis, pao, shells = species.basis, self.pao.get(element), []
            cutoff = basis.radius * OPENMX.bohr if pao is None else pao.cutoff
            for l, n in basis.counts.items():
                for zeta in range(n):
                    radial = None if pao is None else pao.radial(l, zeta)
                    shells.append(Shell(l, cutoff, radial, f"{LETTERS[l]}{zeta + 1}"))
            out.append(SpeciesBasis(_NUMBERS[element], tuple(shells), valence[element], basis.text))
        return OrbitalBasis(tuple(out))

    def _matrix(
        self, name: str, flat: NDArray, pattern: BlockPattern, symmetry: int = 1
    ) -> BlockMatrix:
        """Blocks of the file in our order; refused if pairs of them contradict one another."""
        c = self.contents
        matrix, asymmetry = BlockMatrix.from_flat(pattern, c.i, c.j, c.R, flat, symmetry)
        if not asymmetry <= _WORST[name]:
            more = (
                "; such files are written by modified programs, with other matrices here and the "
                "first Hamiltonian of the SCF instead of the last: run the unmodified OpenMX"
                if name == "position"
                else ": the file is damaged"
            )
            raise FormatError(
                f"{c.path}: blocks (i, j, R) and (j, i, -R) of the {name} differ by "
                f"{asymmetry:.2g}{more}"
            )
        self.asymmetry[name] = max(asymmetry, self.asymmetry.get(name, 0.0))
        shells = {_NUMBERS[e]: s.basis.shells for e, s in self.species.items()}
        return reorder(matrix, [from_openmx_order(shells[n]) for n in sorted(shells)])

    def hamiltonian(self, pattern: BlockPattern) -> BlockMatrix:
        h = self.contents.hamiltonian * OPENMX.hartree
        if len(h) == 1:
            return self._matrix("hamiltonian", h, pattern)
        if len(h) == 2:
            pauli = np.stack([h[0] + h[1], h[0] - h[1]]) / 2
            return self._matrix("hamiltonian", pauli, pattern)
        a = self.contents.imaginary
        if a is None or not a.any():
            # without spin-orbit coupling every component is real: x = Re ud, y = -Im ud
            pauli = np.stack([(h[0] + h[1]) / 2, h[2], -h[3], (h[0] - h[1]) / 2])
            return self._matrix("hamiltonian", pauli, pattern)
        a = a * OPENMX.hartree
        uu, dd, ud = h[0] + 1j * a[0], h[1] + 1j * a[1], h[2] + 1j * (h[3] + a[2])
        diagonal = self._matrix("hamiltonian", np.stack([uu + dd, uu - dd]) / 2, pattern)
        # x = (ud + ud^H) / 2 and y = (i ud + (i ud)^H) / 2: the Hermitian parts of ud and i ud.
        # ud is not Hermitian itself, so that its pairs have nothing to agree on
        c = self.contents
        mixed, _ = BlockMatrix.from_flat(pattern, c.i, c.j, c.R, np.stack([ud, 1j * ud]))
        shells = {_NUMBERS[e]: s.basis.shells for e, s in self.species.items()}
        mixed = reorder(mixed, [from_openmx_order(shells[n]) for n in sorted(shells)])
        return _joined([diagonal.component(0), mixed, diagonal.component(1)])

    def operators(self, pattern: BlockPattern, structure: Structure) -> dict[str, BlockMatrix]:
        c = self.contents
        sizes = c.n_orbitals[c.i] * c.n_orbitals[c.j]
        half = (structure.positions[c.j] - structure.positions[c.i] + c.R @ structure.cell) / 2
        # one axis at a time: of a large system the three together are the largest array there is
        axes = []
        for axis in range(3):
            # the file's origin is the bra's atom, ours the middle of the pair
            shift = np.repeat(half[:, axis], sizes) * c.overlap[0]
            flat = c.position[axis] * OPENMX.bohr - shift
            axes.append(self._matrix("position", flat, pattern))
        out = {"position": _joined(axes)}
        if c.momentum is not None:
            # stored is <d i/dx | j> = -<i | d/dx j>
            axes = [
                self._matrix("gradient", flat / -OPENMX.bohr, pattern, symmetry=-1)
                for flat in c.momentum
            ]
            out["gradient"] = _joined(axes)
        return out

    def system(self) -> LCAOSystem:
        c = self.contents
        self._read_radial_functions()
        basis, structure = self.basis(), self.structure()
        species = basis.species_index(structure.numbers)
        pattern = BlockPattern.from_pairs(species, basis.sizes, c.i, c.j, c.R)
        if len(c.i) != 2 * pattern.n_blocks - pattern.n_atoms:
            raise FormatError(
                f"{c.path}: {len(c.i)} blocks, but {pattern.n_blocks} pairs: a block lacks its "
                "partner or occurs twice; the file is damaged"
            )
        hamiltonian = self.hamiltonian(pattern)
        overlap = self._matrix("overlap", c.overlap, pattern)
        operators = self.operators(pattern, structure)
        self._check_electrons()
        if c.R.any() and self.k_mesh == (1, 1, 1) and self._is_cluster:
            self.warnings.append(
                "a molecule whose orbitals reach into the next box: OpenMX used the sum over all "
                "cells, which is k = 0"
            )
        return LCAOSystem(
            structure,
            basis,
            hamiltonian=hamiltonian,
            overlap=overlap,
            n_electrons=self.contents.n_electrons,
            spin=_SPIN[c.header.spin_switch],
            fermi_level=c.chemical_potential * OPENMX.hartree,
            kpts=self.k_mesh,
            operators=operators,
            provenance=self.provenance(),
            warnings=tuple(self.warnings),
        )

    @property
    def _is_cluster(self) -> bool:
        return self.input.word("scf.EigenvalueSolver").lower().startswith("cluster")

    def provenance(self) -> dict[str, Any]:
        c, read_word = self.contents, self.input.word
        return {
            "source": SOURCE,
            "format": "scfout",
            "version": c.header.version,
            "file": c.path.name,
            "system_name": read_word("System.Name"),
            "functional": read_word("scf.XcType"),
            "spin_polarization": read_word("scf.SpinPolarization", "off"),
            "spin_orbit": read_word("scf.SpinOrbit.Coupling", "off").lower() == "on",
            "solver": read_word("scf.EigenvalueSolver"),
            "energy_cutoff_rydberg": read_word("scf.energycutoff"),
            "scf_criterion": read_word("scf.criterion"),
            "electronic_temperature_kelvin": c.temperature,
            "total_spin": c.total_spin,
            "charge": self.charge,
            "bases": {e: s.basis.text for e, s in self.species.items()},
            "pseudopotentials": {e: s.pseudopotential for e, s in self.species.items()},
            "radial_functions": {e: pao.path.name for e, pao in self.pao.items()},
            "hartree_in_ev": OPENMX.hartree,
            "bohr_in_angstrom": OPENMX.bohr,
            "asymmetry": dict(self.asymmetry),
        }
