"""`mlham info`: what a structure, a DFT output, or a model file holds."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_mlham.cli.moments import SHOWN_ATOMS, describe_moments
from ase_mlham.cli.output import write_json
from ase_mlham.cli.source import MODEL_SUFFIX, format_of, read_file, read_images

if TYPE_CHECKING:
    from ase import Atoms

    from ase_mlham.core import LCAOSystem, Structure

__all__ = ["add_arguments", "print_facts", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mlham info`."""
    parser.epilog = """\
examples:
  mlham info silicon.scfout
  mlham info POSCAR
  mlham info trained.mlham
  mlham info H.h5 --json -
"""
    parser.add_argument("file", metavar="FILE", help="structure, file with a Hamiltonian, or model")
    parser.add_argument("--json", metavar="FILE", help="write it as JSON ('-': print it)")


def run(options: argparse.Namespace) -> int:
    """Describe a file."""
    path = Path(options.file)
    if path.suffix == MODEL_SUFFIX:
        from ase_mlham.cli.models import describe_model

        facts = describe_model(str(path))
    else:
        found = format_of(path)
        facts = describe_images(read_images(path)) if found is None else {"format": found}
        if found is not None:
            facts |= describe_system(read_file(path))
    if options.json:
        write_json(options.json, facts)
    if options.json != "-":
        print_facts(facts)
    return 0


def print_facts(facts: Mapping[str, Any], indent: str = "") -> None:
    """Print names and values, nested ones indented."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            print(f"{indent}{name}")
            print_facts(value, indent + "  ")
        elif isinstance(value, list):
            print(f"{indent}{name:<22} {', '.join(_items(value)) or '-'}")
        else:
            shown = f"{value:.6g}" if isinstance(value, float) else value
            print(f"{indent}{name:<22} {'-' if shown is None else shown}")


def _items(values: list[Any]) -> list[str]:
    """Members of a list; of many numbers or vectors, the first of them."""
    if len(values) <= SHOWN_ATOMS or isinstance(values[0], str):
        return [str(value) for value in values]
    return [*map(str, values[:SHOWN_ATOMS]), f"... ({len(values)} in all; --json has them)"]


def _moments(structure: Structure) -> dict[str, Any]:
    """Moments that a structure carries, if it does."""
    import numpy as np

    facts = describe_moments(structure)
    for name in {"total", "atoms"} & facts.keys():
        # -0.0 + 0.0 is 0.0
        facts[name] = (np.round(facts[name], 4) + 0.0).tolist()
    return {"moments": facts} if facts else {}


def _structure(structure: Structure) -> dict[str, Any]:
    import numpy as np

    atoms = structure.to_atoms()
    periodic = "".join(axis for axis, on in zip("abc", structure.pbc, strict=True) if on)
    lengths = np.linalg.norm(structure.cell, axis=1)
    return {
        "formula": atoms.get_chemical_formula(),
        "atoms": structure.n_atoms,
        "periodic along": periodic or "nothing (a molecule)",
        "cell (Å)": [round(float(x), 4) for x in lengths],
        "angles (degrees)": [round(float(x), 2) for x in atoms.cell.angles()],
        **_moments(structure),
    }


def describe_images(images: list[Atoms]) -> dict[str, Any]:
    """A structure file."""
    from ase_mlham.core import Structure
    from ase_mlham.core.neighbours import check_no_overlap

    structure = Structure.from_atoms(images[-1])
    check_no_overlap(structure)
    facts = {"format": "structure, no Hamiltonian", "images": len(images)}
    return {**facts, **_structure(structure)}


def describe_system(system: LCAOSystem) -> dict[str, Any]:
    """A system."""
    from ase_mlham.core import SpinKind
    from ase_mlham.machine import size

    n = system.n_orbitals * (2 if system.spin is SpinKind.SPINOR else 1)
    return {
        "source": system.source,
        **_structure(system.structure),
        "spin": system.spin.value,
        "electrons": system.n_electrons,
        "orbitals": system.n_orbitals,
        "basis": {
            entry.symbol: f"{entry.layout}, {entry.n_orbitals} orbitals, {entry.valence:g} valence "
            f"electrons, cut-off {entry.cutoff:.3f} Å"
            + ("" if entry.has_radial else ", no radial functions")
            for entry in system.basis.species
        },
        "Fermi level (eV)": system.fermi_level,
        "k mesh": None if system.kpts is None else list(system.kpts),
        "blocks of H": system.hamiltonian.pattern.n_blocks,
        "blocks of S": system.overlap.pattern.n_blocks,
        "memory of H and S": size(system.hamiltonian.nbytes + system.overlap.nbytes),
        "memory of one k-point": size(6 * 16 * n**2),
        "further operators": sorted(system.operators),
        "warnings": list(system.warnings),
        "provenance": {
            key: value if isinstance(value, str | int | float) else str(value)
            for key, value in system.provenance.items()
            if key != "source"
        },
    }
