"""The object everything hangs on: a structure, its basis, H(R), S(R), electrons and provenance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.basis import OrbitalBasis
from ase_mlham.core.blocks import BlockMatrix
from ase_mlham.core.pattern import BlockPattern
from ase_mlham.core.spin import SpinKind
from ase_mlham.core.structure import Structure
from ase_mlham.errors import BasisError, InputError

__all__ = ["OPERATORS", "VECTOR_OPERATORS", "LCAOSystem", "basis_pattern"]

OPERATORS: Mapping[str, str] = {
    "kinetic": "kinetic energy, eV",
    "nonlocal": "non-local pseudopotential, eV",
    "superposition": "Hamiltonian of superposed atomic densities (the first of the SCF), eV",
    "position": "<i| r - (tau_i + tau_j + R)/2 |j>, Å: relative to the middle of the pair",
    "gradient": "<i| d/dr |j>, 1/Å; anti-Hermitian",
}
"""Names and meaning of the further operators that a system may carry."""

VECTOR_OPERATORS = frozenset({"position", "gradient"})
"""Those with the components x, y, z; the others are scalars, or spin components as H has them."""


@final
@dataclass(frozen=True, eq=False)
class LCAOSystem:
    """A Kohn-Sham Hamiltonian in a local orbital basis.

    A DFT output, an in-process calculation and a trained model are equal sources of one; nothing
    that computes with it may ask which it was.

    Parameters
    ----------
    structure : Structure
        The atoms.
    basis : OrbitalBasis
        Covers every element of the structure.
    hamiltonian : BlockMatrix
        H in eV, Pauli components as `spin` says.
    overlap : BlockMatrix
        S, one component; its pattern may differ from that of H.
    n_electrons : float
        Valence electrons in the cell.
    spin : SpinKind
        Spin kind.
    fermi_level : float, optional
        What the source states, eV on the scale of H.
    kpts : (3,) int, optional
        k mesh of the source.
    operators : mapping
        Further matrices, named as in `OPERATORS`.
    provenance : mapping
        Where the numbers come from: JSON values only. Key "source" names code or model.
    warnings : tuple of str
        What the source has to say against the numbers; shown with every result.

    Raises
    ------
    InputError, BasisError
        Parts do not fit together: a system is complete or refused.
    """

    structure: Structure
    basis: OrbitalBasis
    hamiltonian: BlockMatrix
    overlap: BlockMatrix
    n_electrons: float
    spin: SpinKind = SpinKind.NONE
    fermi_level: float | None = None
    kpts: tuple[int, int, int] | None = None
    operators: Mapping[str, BlockMatrix] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "spin", SpinKind.parse(self.spin))
        object.__setattr__(self, "operators", dict(self.operators))
        object.__setattr__(self, "provenance", dict(self.provenance))
        species = self.basis.species_index(self.structure.numbers)
        named = {"hamiltonian": self.hamiltonian, "overlap": self.overlap, **self.operators}
        for name, matrix in named.items():
            if not np.array_equal(matrix.pattern.species, species) or not np.array_equal(
                matrix.pattern.sizes, self.basis.sizes
            ):
                raise BasisError(f"the {name} does not fit the structure and its basis")
            if np.any(matrix.pattern.R[:, ~self.structure.pbc]):
                raise InputError(f"the {name} has blocks along a direction that is not periodic")
        for name, matrix in self.operators.items():
            if name not in OPERATORS:
                raise InputError(f"operator {name!r} is unknown; known: {', '.join(OPERATORS)}")
            allowed = {3} if name in VECTOR_OPERATORS else {1, self.spin.n_components}
            symmetry = -1 if name == "gradient" else 1
            if matrix.n_components not in allowed or matrix.symmetry != symmetry:
                raise InputError(
                    f"the operator {name!r} has {matrix.n_components} components and symmetry "
                    f"{matrix.symmetry}; expected {max(allowed)} and {symmetry}"
                )
        if self.hamiltonian.n_components != self.spin.n_components:
            raise InputError(
                f"a {self.spin.value} Hamiltonian has {self.spin.n_components} Pauli components, "
                f"this one {self.hamiltonian.n_components}"
            )
        if self.hamiltonian.symmetry != 1 or self.overlap.symmetry != 1:
            raise InputError("H and S must be Hermitian")
        if self.overlap.n_components != 1 or np.iscomplexobj(self.overlap.values[0]):
            raise InputError("the overlap must be one real matrix")
        for group, array in zip(self.overlap.pattern.groups, self.overlap.values, strict=True):
            onsite = array[0, self.overlap.pattern.onsite[group.slice]]
            if onsite.size and onsite.diagonal(axis1=1, axis2=2).min() <= 0:
                raise InputError("an orbital has no norm: S has a diagonal element that is <= 0")
        if self.fermi_level is not None and not np.isfinite(self.fermi_level):
            raise InputError(f"the Fermi level is {self.fermi_level}; leave it out if unknown")
        full = self.spin.electrons_per_state * self.n_orbitals
        full *= 2 if self.spin is not SpinKind.NONE else 1
        if not 0 <= self.n_electrons <= full:
            raise InputError(
                f"{self.n_electrons} electrons in {self.n_orbitals} orbitals that hold {full}"
            )

    @property
    def n_orbitals(self) -> int:
        """Orbitals in the cell (spatial: a spinor problem is twice as large)."""
        return self.overlap.pattern.n_orbitals

    @property
    def source(self) -> str:
        """Code or model that made the Hamiltonian."""
        return str(self.provenance.get("source", "unknown"))

    def pattern_from_basis(self) -> BlockPattern:
        """Pattern of all pairs of atoms whose orbitals touch."""
        return basis_pattern(self.structure, self.basis)

    def orbital_labels(self) -> list[tuple[int, str, int, int, int]]:
        """Of each orbital: atom, symbol, shell index on the atom, l, m."""
        out: list[tuple[int, str, int, int, int]] = []
        for atom, number in enumerate(self.structure.numbers):
            entry = self.basis[int(number)]
            for index, shell in enumerate(entry.shells):
                out += [
                    (atom, entry.symbol, index, shell.l, m) for m in range(-shell.l, shell.l + 1)
                ]
        return out

    def replace(self, **changes: Any) -> LCAOSystem:
        """A copy with some fields changed."""
        return replace(self, **changes)

    def shift_energy(self, shift: float) -> LCAOSystem:
        """The same physics with another energy zero: H + shift * S, and the Fermi level moved."""
        # where S reaches further than H, the new H has to reach as far
        pattern = self.hamiltonian.pattern.union(self.overlap.pattern)
        overlap = self.overlap.on_pattern(pattern)
        values: list[NDArray] = []
        hamiltonian = self.hamiltonian.on_pattern(pattern)
        for h, s in zip(hamiltonian.values, overlap.values, strict=True):
            moved = h.copy()
            moved[0] += shift * s[0]
            values.append(moved)
        level = None if self.fermi_level is None else self.fermi_level + shift
        return self.replace(hamiltonian=BlockMatrix(pattern, tuple(values)), fermi_level=level)


def basis_pattern(structure: Structure, basis: OrbitalBasis) -> BlockPattern:
    """Pattern of all pairs of atoms whose orbitals touch."""
    return BlockPattern.from_cutoffs(
        structure,
        basis.species_index(structure.numbers),
        basis.sizes,
        [entry.cutoff for entry in basis.species],
    )
