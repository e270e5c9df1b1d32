"""Hamiltonians as text, one line a block.

    hopping-text 1
    pbc 1 1 1
    cell 0.0 2.7 2.7
    cell 2.7 0.0 2.7
    cell 2.7 2.7 0.0
    basis Si 4 2.5 s p              element, valence electrons, cut-off in Å, shells
    atom Si 0.0 0.0 0.0             element, position in Å
    atom Si 1.35 1.35 1.35
    fermi 1.25                      may be left out
    H 0 1 0 0 0 -2.1 0.3 ...        atoms i and j (from 0), R, the block row by row in eV
    S 0 1 0 0 0 0.2 0.1 ...
    end

Blocks that are not listed are zero, or the adjoint of their partner (j, i, -R) if that is listed.
Orbitals of a shell are ordered m = -l..l: p is y, z, x. No spin.

What a reader owes its users: it never trusts the file, and it raises nothing but `FormatError`,
which names file and line, what was expected, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from ase_mlham import BlockMatrix, LCAOSystem, OrbitalBasis, SpinKind, Structure
from ase_mlham.core import BlockPattern, Shell, SpeciesBasis
from ase_mlham.errors import FormatError, MLHamError
from ase_mlham.files import atomic_path

__all__ = ["read", "sniff", "write"]

MAGIC = "hopping-text 1"
LETTERS = "spdf"


def sniff(path: Path) -> float:
    """How sure this format is that a file is its own, from 0 to 1: the first line says it."""
    if path.is_dir():
        return 0.0
    with path.open("rb") as stream:
        return 1.0 if stream.readline(64).startswith(b"hopping-text") else 0.0


@dataclass
class _Blocks:
    """Lines of one matrix, in the order of the file."""

    pairs: list[list[int]] = field(default_factory=list)
    numbers: list[list[float]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


@dataclass
class _Content:
    """What the lines of a file say."""

    pbc: list[bool] = field(default_factory=lambda: [True, True, True])
    cell: list[list[float]] = field(default_factory=list)
    species: dict[int, SpeciesBasis] = field(default_factory=dict)
    numbers: list[int] = field(default_factory=list)
    positions: list[list[float]] = field(default_factory=list)
    fermi_level: float | None = None
    matrices: dict[str, _Blocks] = field(default_factory=lambda: {"H": _Blocks(), "S": _Blocks()})

    def add(self, line: int, word: str, values: list[str]) -> None:
        """Take in one line; anything wrong with it is a ValueError or KeyError."""
        match word:
            case "pbc":
                self.pbc = [bool(int(value)) for value in _exactly(3, values)]
            case "cell":
                self.cell.append(_finite(_exactly(3, values)))
            case "basis":
                element, valence, cutoff, *shells = values
                number = atomic_numbers[element]
                self.species[number] = SpeciesBasis(
                    number=number,
                    shells=tuple(Shell(LETTERS.index(name), float(cutoff)) for name in shells),
                    valence=float(valence),
                )
            case "atom":
                element, *position = _exactly(4, values)
                self.numbers.append(atomic_numbers[element])
                self.positions.append(_finite(position))
            case "fermi":
                (self.fermi_level,) = _finite(_exactly(1, values))
            case "H" | "S":
                blocks = self.matrices[word]
                blocks.pairs.append([int(value) for value in _exactly(5, values[:5])])
                blocks.numbers.append(_finite(values[5:]))
                blocks.lines.append(line)
            case _:
                raise ValueError(f"unknown word {word!r}")


def _exactly(n: int, values: list[str]) -> list[str]:
    if len(values) != n:
        raise ValueError(f"{len(values)} values where {n} belong")
    return values


def _finite(values: Iterable[str]) -> list[float]:
    numbers = [float(value) for value in values]
    if not np.isfinite(numbers).all():
        raise ValueError("a number is not finite")
    return numbers


def read(path: Path) -> LCAOSystem:
    """Read a system.

    Raises
    ------
    FormatError
        A line cannot be understood, or the file is incomplete.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: cannot be read as text ({error})") from error
    first, *rest = text.rstrip().splitlines() or [""]
    if first.strip() != MAGIC:
        raise FormatError(f"{path}, line 1: {first.strip()[:40]!r}; this reader knows {MAGIC!r}")
    # without a mark at its end a file that lost its last digits would be read as if it were whole
    if not rest or rest.pop().strip() != "end":
        raise FormatError(f"{path}: the last line is not 'end'; was the file cut short?")
    content = _Content()
    for line, entry in enumerate(rest, start=2):
        word, *values = entry.partition("#")[0].split() or [""]
        if word:
            try:
                content.add(line, word, values)
            except (ValueError, KeyError, MLHamError) as error:
                raise FormatError(
                    f"{path}, line {line}: {entry.strip()[:60]!r} cannot be understood ({error}); "
                    "the format is described in mlham_template.hopping_text"
                ) from error
    try:
        return _system(path, content)
    except FormatError:
        raise
    except MLHamError as error:
        raise FormatError(f"{path}: what it holds does not fit together: {error}") from error


def _system(path: Path, content: _Content) -> LCAOSystem:
    if len(content.cell) not in (0, 3):
        raise FormatError(
            f"{path}: {len(content.cell)} lines 'cell'; expected 3, or 0 if pbc 0 0 0"
        )
    if not content.species:
        raise FormatError(f"{path}: no line 'basis'")
    structure = Structure(
        np.array(content.numbers, dtype=int),
        np.array(content.positions).reshape(-1, 3),
        np.array(content.cell or np.zeros((3, 3))),
        np.array(content.pbc),
    )
    basis = OrbitalBasis(tuple(content.species.values()))
    matrices = {
        name: _matrix(path, name, blocks, structure, basis)
        for name, blocks in content.matrices.items()
    }
    return LCAOSystem(
        structure=structure,
        basis=basis,
        hamiltonian=matrices["H"],
        overlap=matrices["S"],
        n_electrons=basis.n_electrons(structure.numbers),
        fermi_level=content.fermi_level,
        provenance={"source": "hopping-text", "file": path.name},
    )


def _matrix(
    path: Path, name: str, blocks: _Blocks, structure: Structure, basis: OrbitalBasis
) -> BlockMatrix:
    if not blocks.pairs:
        raise FormatError(f"{path}: no line {name!r}")
    species = basis.species_index(structure.numbers)
    pairs = np.array(blocks.pairs)
    i, j, R = pairs[:, 0], pairs[:, 1], pairs[:, 2:]
    pattern = BlockPattern.from_pairs(species, basis.sizes, i, j, R)
    for line, a, b, numbers in zip(blocks.lines, i, j, blocks.numbers, strict=True):
        expected = int(basis.sizes[species[a]] * basis.sizes[species[b]])
        if len(numbers) != expected:
            raise FormatError(
                f"{path}, line {line}: {len(numbers)} matrix elements; the shells of atoms {a} and "
                f"{b} need {expected}"
            )
    flat = np.concatenate([np.asarray(numbers) for numbers in blocks.numbers])
    matrix, asymmetry = BlockMatrix.from_flat(pattern, i, j, R, flat)
    if asymmetry > 1e-6:
        raise FormatError(
            f"{path}: {name} is not Hermitian: a block and its partner differ by {asymmetry:.1e}"
        )
    return matrix


def write(system: LCAOSystem, path: Path) -> None:
    """Write a system; the file appears complete or not at all.

    Raises
    ------
    FormatError
        The system has spin, or the file cannot be written.
    """
    if system.spin is not SpinKind.NONE:
        raise FormatError(
            f"{path}: this format holds systems without spin, not {system.spin.value} ones; "
            "write a .h5 file"
        )
    lines = [MAGIC, "pbc " + _join(system.structure.pbc.astype(int))]
    lines += [f"cell {_join(vector)}" for vector in system.structure.cell]
    for entry in system.basis.species:
        if max(entry.l) >= len(LETTERS):
            raise FormatError(f"{path}: this format holds shells up to {LETTERS[-1]}")
        shells = " ".join(LETTERS[l] for l in entry.l)
        # one cut-off for each element: the largest keeps every block inside the basis' reach
        lines.append(f"basis {entry.symbol} {entry.valence!r} {entry.cutoff!r} {shells}")
    atoms = zip(system.structure.numbers, system.structure.positions, strict=True)
    lines += [f"atom {chemical_symbols[number]} {_join(place)}" for number, place in atoms]
    if system.fermi_level is not None:
        lines.append(f"fermi {system.fermi_level!r}")
    for name, matrix in (("H", system.hamiltonian), ("S", system.overlap)):
        pattern = matrix.pattern
        for group, values in zip(pattern.groups, matrix.values, strict=True):
            for n, block in enumerate(values[0], start=group.start):
                place = [pattern.i[n], pattern.j[n], *pattern.R[n]]
                lines.append(f"{name} {_join(place)} {_join(block.ravel())}")
    # a reader of the file finds all of it or none
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join([*lines, "end\n"]), encoding="utf-8")


def _join(values: Iterable[float]) -> str:
    # repr of a Python number is the shortest text that reads back as the same number
    return " ".join(repr(np.asarray(value).item()) for value in values)
