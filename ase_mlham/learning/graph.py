"""What a network sees of a structure: atoms, messages between them, and pairs to predict.

Messages reach as far as atoms tell one another about themselves; pairs reach as far as orbitals do
and are the stored half of the block pattern. Papers that use one radius for both are the special
case.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from ase_mlham.core import BlockPattern, OrbitalBasis, Structure
from ase_mlham.core.neighbours import neighbour_list

__all__ = ["HamiltonianGraph", "build_graph"]


@dataclass(frozen=True)
class HamiltonianGraph:
    """Tensors of one structure, or of several put one after another.

    Attributes
    ----------
    species : (n_atoms,) int64
        Species index in the basis.
    structure : (n_atoms,) int64
        Which structure of the batch an atom belongs to.
    message_i, message_j : (n_messages,) int64
        Receiver and sender, sorted by receiver.
    message_vectors : (n_messages, 3)
        From receiver to sender's image, tau_j + R - tau_i, Å.
    pair_i, pair_j : (n_pairs,) int64
        Bra and ket of the stored off-site blocks, in the order of the pattern.
    pair_vectors : (n_pairs, 3)
        tau_j + R - tau_i, Å.
    moments : (n_atoms, 3)
        Magnetic moments, Bohr magnetons: axial vectors that turn with the structure, or, for
        collinear spin, numbers along z that do not. Zero where none are known.
    """

    species: Tensor
    structure: Tensor
    message_i: Tensor
    message_j: Tensor
    message_vectors: Tensor
    pair_i: Tensor
    pair_j: Tensor
    pair_vectors: Tensor
    moments: Tensor

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.species)

    @property
    def n_pairs(self) -> int:
        """Number of off-site blocks."""
        return len(self.pair_i)

    def some_pairs(self, part: slice) -> HamiltonianGraph:
        """The same atoms and messages with some of the pairs; nothing is copied."""
        return replace(
            self,
            pair_i=self.pair_i[part],
            pair_j=self.pair_j[part],
            pair_vectors=self.pair_vectors[part],
        )

    def pairs_within(self, cutoff: float) -> Tensor:
        """Rows of the pairs that are nearer than a cut-off, Å: int64."""
        return torch.nonzero(self.pair_vectors.norm(dim=1) < cutoff).squeeze(1)

    def reversed_moments(self) -> HamiltonianGraph:
        """The same with all moments turned round, as time reversal does."""
        return replace(self, moments=-self.moments)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> HamiltonianGraph:
        """Copy on a device; `dtype` applies to the vectors."""
        moved = {}
        for field in fields(self):
            tensor: Tensor = getattr(self, field.name)
            moved[field.name] = tensor.to(device, dtype if tensor.is_floating_point() else None)
        return replace(self, **moved)


def build_graph(
    structure: Structure,
    basis: OrbitalBasis,
    pattern: BlockPattern,
    message_cutoff: float,
    dtype: torch.dtype = torch.float32,
) -> HamiltonianGraph:
    """Graph of a structure.

    Parameters
    ----------
    structure : Structure
        The atoms.
    basis : OrbitalBasis
        Gives the species index.
    pattern : BlockPattern
        Blocks to predict.
    message_cutoff : float
        Å.
    dtype : torch dtype
        Of the vectors, which are computed in double precision before.
    """
    i, j, R, _ = neighbour_list(structure, message_cutoff)
    vectors = structure.positions[j] - structure.positions[i] + R @ structure.cell
    off = ~pattern.onsite

    def integers(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.int64))

    moments = np.zeros((structure.n_atoms, 3)) if structure.moments is None else structure.moments
    return HamiltonianGraph(
        species=integers(basis.species_index(structure.numbers)),
        structure=torch.zeros(structure.n_atoms, dtype=torch.int64),
        message_i=integers(i),
        message_j=integers(j),
        message_vectors=torch.from_numpy(vectors).to(dtype),
        pair_i=integers(pattern.i[off]),
        pair_j=integers(pattern.j[off]),
        pair_vectors=torch.from_numpy(pattern.vectors(structure)[off]).to(dtype),
        # a copy: what a structure holds is read-only
        moments=torch.from_numpy(np.array(moments)).to(dtype),
    )
