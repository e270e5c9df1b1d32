"""Local coordinates of pairs and atoms: frames in which blocks of H are compared.

"complete" is Algorithm 1 of M. Su, J.-H. Yang, H.-J. Xiang and X.-G. Gong, Mach. Learn.: Sci.
Technol. (2023), doi 10.1088/2632-2153/accb26: axes follow the bond and the nearest neighbour of
one of its atoms, the anchor; where neighbours or anchors are equally good, the axes of the global
coordinates decide, so that every pair has one frame however it is stored. "plain" is the definition
before it (H. Li et al., Nat. Comput. Sci. 2, 367 (2022)), which takes the nearest in the order in
which neighbours happen to be stored; it is kept for comparison.

Where the algorithm is silent:

- A neighbour closer to the line of the bond than `COLLINEAR` defines no axis; the next does.
- The rotation that takes v1 to x is the one about v1 x x, and half a turn about z for v1 = -x.
- Candidates with equal angles to the auxiliary vector: the one with the largest x, then y, then z.
- Anchors with one candidate each and equally far nearest neighbours (as in a bond of two atoms that
  are nearest to one another): the nearer candidate, then the nearer second, third, ... neighbour,
  then the later species of the basis, then the smaller angle of the candidate to the bond, none of
  which depends on the orientation; at last the end from which the bond has the larger x, y, z.
- A pair without any candidate at its ends (a molecule of two atoms): the global axis that is least
  along the bond, z before y before x. An atom without neighbours: the global axes themselves.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ase_mlham_lcnet.neighbours import TIE, NeighbourTable

__all__ = ["AUXILIARY", "COLLINEAR", "Definition", "PairFrames", "atom_frames", "pair_frames"]

Definition = Literal["complete", "plain"]

AUXILIARY = (3.4, 4.5, 5.6)
"""The auxiliary vector of the publication."""

COLLINEAR = 0.1
"""Sine of the angle to the bond below which a neighbour defines no axis: at 0.1 a neighbour that
moves by 0.01 Å turns the frame by 2 degrees."""

_ALIKE = 1e-4
"""Cosines and components of unit vectors closer than this are equal: `TIE` at 1 Å."""

_ANTIPARALLEL = 1e-6
"""v1 is taken to be -x if 1 + cos of their angle is below: the rotation between is undetermined."""


class PairFrames(NamedTuple):
    """Frames of pairs.

    Attributes
    ----------
    rotation : (n, 3, 3)
        Columns are the local axes x', y', z' in global coordinates; right-handed.
    reversed : (n,) bool
        Whether the anchor is the second atom of a pair.
    """

    rotation: Tensor
    reversed: Tensor


class _Second(NamedTuple):
    """What an end of a pair offers as v2.

    found, unique : (n,) bool; distance, bond_cosine, cosine : (n,), the last to the auxiliary
    vector (zero for the only candidate); direction : (n, 3).
    """

    found: Tensor
    unique: Tensor
    distance: Tensor
    bond_cosine: Tensor
    cosine: Tensor
    direction: Tensor


def _turned_to_x(bond: Tensor, vectors: Tensor) -> Tensor:
    """Vectors (n, width, 3) after the rotation that takes each bond (n, 3) to x."""
    x = torch.zeros_like(bond)
    x[:, 0] = 1.0
    half = bond + x
    cosine = 1.0 + bond[:, 0]
    opposite = cosine < _ANTIPARALLEL
    share = torch.einsum("nwk,nk->nw", vectors, half / cosine.clamp(min=_ANTIPARALLEL)[:, None])
    along = torch.einsum("nwk,nk->nw", vectors, bond)
    turned = vectors - share[:, :, None] * half[:, None] + 2.0 * along[:, :, None] * x[:, None]
    half_turn = vectors * vectors.new_tensor([-1.0, -1.0, 1.0])
    return torch.where(opposite[:, None, None], half_turn, turned)


def _narrowed(candidates: Tensor, score: Tensor) -> Tensor:
    """Of some candidates (n, width) those with the largest score, and all that are equal to it."""
    best = torch.where(candidates, score, -torch.inf).amax(1, keepdim=True)
    return candidates & (score >= best - _ALIKE)


def _largest_components(candidates: Tensor, direction: Tensor) -> Tensor:
    """Of some candidates those with the largest x, of these those with the largest y, then z."""
    for axis in range(3):
        candidates = _narrowed(candidates, direction[:, :, axis])
    return candidates


def _first(candidates: Tensor) -> Tensor:
    """Place of the first candidate: (n, 1)."""
    return candidates.to(torch.int8).argmax(1, keepdim=True)


def _at(values: Tensor, place: Tensor) -> Tensor:
    if values.ndim == 3:
        return values.gather(1, place[:, :, None].expand(-1, -1, 3)).squeeze(1)
    return values.gather(1, place).squeeze(1)


def _second(distance: Tensor, direction: Tensor, bond: Tensor, definition: Definition) -> _Second:
    """The neighbour that defines v2 for v1 along a bond (function find_v2).

    Parameters
    ----------
    distance, direction
        Of the neighbours of the anchor, nearest first: (n, width) and (n, width, 3).
    bond : (n, 3)
        Unit vectors v1.
    definition : str
        "plain" takes the first neighbour.
    """
    along = torch.einsum("nwk,nk->nw", direction, bond)
    usable = torch.isfinite(distance) & (1.0 - along * along > COLLINEAR**2)
    nearest = torch.where(usable, distance, torch.inf).amin(1, keepdim=True)
    candidates = usable & (distance <= nearest + TIE)
    unique = candidates.sum(1) == 1
    found = usable.any(1)
    place = _first(usable if definition == "plain" else candidates)
    cosine = torch.zeros_like(bond[:, 0])
    rows = torch.nonzero(found & ~unique).squeeze(1)
    if len(rows) and definition == "complete":
        turned = _turned_to_x(bond[rows], direction[rows])
        auxiliary = bond.new_tensor(AUXILIARY)
        angle = turned @ (auxiliary / auxiliary.norm())
        chosen = _narrowed(candidates[rows], angle)
        chosen = _largest_components(chosen, direction[rows])
        place[rows] = _first(chosen)
        cosine[rows] = _at(angle, place[rows])
    return _Second(
        found, unique, _at(distance, place), _at(along, place), cosine, _at(direction, place)
    )


def _decided(*criteria: Tensor) -> Tensor:
    """Of each row the first criterion that is not zero."""
    out = criteria[0].clone()
    for criterion in criteria[1:]:
        out = torch.where(out == 0, criterion, out)
    return out


def _larger(a: Tensor, b: Tensor, tolerance: float) -> Tensor:
    """1 where a is larger, -1 where b is, 0 where they are equal."""
    return (a > b + tolerance).long() - (b > a + tolerance).long()


def _nearer(a: Tensor, b: Tensor) -> Tensor:
    """1 where the first distances that differ are smaller in a, -1 where in b, 0 without any."""
    # infinite ones in both differ by what is not a number, and not by more than anything
    step = a - b
    differ = step.abs() > TIE
    return torch.where(differ.any(1), -_at(step, _first(differ)).sign(), 0.0).long()


def _global_axis(bond: Tensor) -> Tensor:
    """The axis z, y or x that is least along a bond, the first of equals: (n, 3)."""
    along = bond.abs().flip(1)
    least = along <= along.amin(1, keepdim=True) + _ALIKE
    return torch.eye(3, dtype=bond.dtype, device=bond.device).flip(0)[_first(least).squeeze(1)]


def _axes(first: Tensor, second: Tensor) -> Tensor:
    """Frames (n, 3, 3) of unit vectors v1 and v2 (eq. 12)."""
    y = torch.linalg.cross(first, second)
    y = y / y.norm(dim=1, keepdim=True)
    return torch.stack([first, y, torch.linalg.cross(first, y)], 2)


def pair_frames(
    i: Tensor,
    j: Tensor,
    vectors: Tensor,
    table: NeighbourTable,
    species: Tensor,
    definition: Definition = "complete",
) -> PairFrames:
    """Frames of pairs of atoms; both directions of a pair have the same.

    Parameters
    ----------
    i, j : (n,) int64
        Atoms.
    vectors : (n, 3)
        From i to j, Å, none of them zero.
    table : NeighbourTable
        Neighbours of all atoms.
    species : (n_atoms,) int64
        In the order of the basis.
    definition : {"complete", "plain"}
        See above.
    """
    bond = vectors / vectors.norm(dim=1, keepdim=True)
    there = _second(table.distance[i], table.direction[i], bond, definition)
    back = _second(table.distance[j], table.direction[j], -bond, definition)
    nearest_i, nearest_j = table.distance[i, 0], table.distance[j, 0]
    found = there.found.long() - back.found.long()
    if definition == "plain":
        decision = _decided(found, _larger(nearest_j, nearest_i, 0.0))
    else:
        unique = there.unique & back.unique
        single = _decided(
            # two infinite distances are equal, not undefined
            torch.where(unique, _larger(nearest_j, nearest_i, TIE), 0),
            torch.where(unique, _larger(back.distance, there.distance, TIE), 0),
            torch.where(unique, _nearer(table.distance[i], table.distance[j]), 0),
            torch.where(unique, (species[i] - species[j]).sign(), 0),
            torch.where(unique, _larger(there.bond_cosine, back.bond_cosine, _ALIKE), 0),
        )
        decision = _decided(
            found,
            there.unique.long() - back.unique.long(),
            single,
            # zero for the only candidate, and without any
            _larger(there.cosine, back.cosine, _ALIKE),
            torch.where(there.found, 0, (species[i] - species[j]).sign()),
            *(_larger(bond[:, axis], -bond[:, axis], _ALIKE) for axis in range(3)),
        )
    turned = decision < 0
    first = torch.where(turned[:, None], -bond, bond)
    second = torch.where(turned[:, None], back.direction, there.direction)
    any_found = (there.found | back.found)[:, None]
    second = torch.where(any_found, second, _global_axis(first))
    return PairFrames(_axes(first, second), turned)


def atom_frames(table: NeighbourTable, definition: Definition = "complete") -> Tensor:
    """Frames of the on-site blocks: (n_atoms, 3, 3), columns are the local axes."""
    present = torch.isfinite(table.distance)
    if definition == "plain":
        nearest = present
    else:
        nearest = present & (table.distance <= table.distance[:, :1] + TIE)
        nearest = _largest_components(nearest, table.direction)
    first = _at(table.direction, _first(nearest))
    alone = ~present.any(1)
    axes = torch.eye(3, dtype=first.dtype, device=first.device)
    first = torch.where(alone[:, None], axes[0], first)
    second = _second(table.distance, table.direction, first, definition)
    direction = torch.where(second.found[:, None], second.direction, _global_axis(first))
    return torch.where(alone[:, None, None], axes, _axes(first, direction))
