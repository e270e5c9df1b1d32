"""Neighbours of every atom, sorted by distance, as tables in which nothing loops over atoms.

Distances closer than `TIE` are one shell: their order means nothing. It is fixed later, by
geometry.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["TIE", "NeighbourTable", "neighbour_table"]

TIE = 1e-4
"""Lengths closer than this are equal, Å. Coordinates of perfect crystals are written with five or
more decimals and single precision resolves 5e-7 Å at the range of messages; atoms that move at any
temperature differ by far more."""


@dataclass(frozen=True)
class NeighbourTable:
    """Neighbours of atoms, nearest first; rows shorter than the longest end in empty places.

    Attributes
    ----------
    message : (n_atoms, width) int64
        Row of the message; any in an empty place.
    distance : (n_atoms, width)
        Å; infinite in an empty place.
    direction : (n_atoms, width, 3)
        Unit vectors; zero in an empty place.
    shell : (n_atoms, width) int64
        Running number of the shell of equal distances.
    """

    message: Tensor
    distance: Tensor
    direction: Tensor
    shell: Tensor

    @property
    def width(self) -> int:
        """Most neighbours of an atom, at least one place."""
        return self.distance.shape[1]

    def next_distance(self, n: int) -> Tensor:
        """Distance of the first neighbour after the nearest n, infinite without any: (n_atoms,)."""
        if n < self.width:
            return self.distance[:, n]
        return torch.full_like(self.distance[:, 0], torch.inf)

    def has_ties(self, n: int) -> Tensor:
        """Whether two of the nearest n neighbours are equally far away: (n_atoms,) bool."""
        shell, there = self.shell[:, :n], torch.isfinite(self.distance[:, :n])
        return ((shell[:, 1:] == shell[:, :-1]) & there[:, 1:]).any(1)


def neighbour_table(
    message_i: Tensor, vectors: Tensor, n_atoms: int, cutoff: float, tie: float = TIE
) -> NeighbourTable:
    """Table of the messages within a range.

    Parameters
    ----------
    message_i : (n_messages,) int64
        Atoms.
    vectors : (n_messages, 3)
        To their neighbours, Å.
    n_atoms : int
        Number of atoms.
    cutoff : float
        Å.
    tie : float
        Lengths that differ by less are of one shell; negative: each is a shell of its own.
    """
    distance = vectors.norm(dim=1)
    near = torch.nonzero(distance < cutoff).squeeze(1)
    near = near[torch.argsort(distance[near], stable=True)]
    near = near[torch.argsort(message_i[near], stable=True)]
    atom, length = message_i[near], distance[near]
    count = torch.bincount(atom, minlength=n_atoms)
    width = max(1, int(count.max()) if len(count) else 0)
    place = torch.arange(len(near), device=near.device) - (count.cumsum(0) - count)[atom]
    shape = (n_atoms, width)
    message = torch.zeros(shape, dtype=torch.int64, device=near.device)
    message[atom, place] = near
    table = vectors.new_full(shape, torch.inf)
    table[atom, place] = length
    direction = vectors.new_zeros(*shape, 3)
    direction[atom, place] = vectors[near] / length[:, None]
    # inf - inf is not a number, and not larger than anything: empty places are one shell
    step = table[:, 1:] - table[:, :-1] > tie
    shell = torch.nn.functional.pad(step.long().cumsum(1), (1, 0))
    return NeighbourTable(message, table, direction, shell)
