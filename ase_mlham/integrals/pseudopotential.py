"""Non-local pseudopotential V_nl = sum_a sum_ij |p_i a> D_ij <p_j a| between orbitals.

A product of two two-centre tables: exact, and no part of H that a network has to learn. Each atom a
that carries projectors couples all pairs of its neighbours, itself included.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.basis import OrbitalBasis
from ase_mlham.core.blocks import BlockMatrix
from ase_mlham.core.neighbours import neighbour_list
from ase_mlham.core.pattern import BlockPattern
from ase_mlham.core.structure import Structure
from ase_mlham.core.system import basis_pattern
from ase_mlham.errors import BasisError
from ase_mlham.integrals.tables import TwoCentreTables, tables_of

__all__ = ["nonlocal_pattern", "nonlocal_potential"]

_NUMBERS_AT_ONCE = 500_000
_PAIRS_AT_ONCE = 500_000


class _Neighbours(NamedTuple):
    """Atoms (j, R) whose orbitals touch the projectors of the atoms a, sorted by a."""

    a: NDArray[np.int64]
    j: NDArray[np.int64]
    R: NDArray[np.int64]
    vectors: NDArray[np.float64]


def nonlocal_pattern(structure: Structure, basis: OrbitalBasis) -> BlockPattern:
    """Pattern of all pairs of atoms that touch the projectors of a common atom.

    It is wider than that of the overlap: V_nl joins orbitals that do not overlap.
    """
    near = _projector_neighbours(structure, basis)
    species = basis.species_index(structure.numbers)
    i, j, R = np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 3), np.int64)
    for first, second in _pairs(near.a):
        # every part is made unique before the next, so that the list stays short
        part = BlockPattern.from_pairs(
            species,
            basis.sizes,
            np.concatenate([i, near.j[first]]),
            np.concatenate([j, near.j[second]]),
            np.concatenate([R, near.R[second] - near.R[first]]),
        )
        i, j, R = (x.astype(np.int64) for x in (part.i, part.j, part.R))
    return part


def nonlocal_potential(
    structure: Structure,
    basis: OrbitalBasis,
    pattern: BlockPattern | None = None,
    *,
    tables: TwoCentreTables | None = None,
) -> BlockMatrix:
    """Non-local pseudopotential <phi_i | V_nl | phi_j(R)>.

    Parameters
    ----------
    structure : Structure
        Where the atoms are.
    basis : OrbitalBasis
        Species without `projectors` have none (a local pseudopotential); at least one must have
        some.
    pattern : BlockPattern, optional
        Which blocks to compute, by default those of the overlap; V_nl has further ones, which
        `nonlocal_pattern` lists.
    tables : TwoCentreTables, optional
        Radial tables of this basis; by default those remembered for it.

    Returns
    -------
    BlockMatrix
        One component, eV.

    Raises
    ------
    BasisError
        No species of the structure has projectors.
    """
    tables = tables_of(basis) if tables is None else tables
    pattern = basis_pattern(structure, basis) if pattern is None else pattern
    near = _projector_neighbours(structure, basis)
    species = basis.species_index(structure.numbers)
    matrix = BlockMatrix.zeros(pattern)
    amplitudes = {
        int(kind): _amplitudes(int(kind), near, species, tables)
        for kind in np.unique(species[near.a])
    }
    longest = float(np.linalg.norm(pattern.vectors(structure), axis=1).max()) + 1e-6
    for first, second in _pairs(near.a):
        apart = np.linalg.norm(near.vectors[second] - near.vectors[first], axis=1)
        first, second = first[apart <= longest], second[apart <= longest]
        slot, swapped = pattern.find(near.j[first], near.j[second], near.R[second] - near.R[first])
        # of a pair and its Hermitian partner one is listed, and perhaps the other one stored
        first, second = np.where(swapped, second, first), np.where(swapped, first, second)
        keep = slot >= 0
        first, second, slot = first[keep], second[keep], slot[keep]
        order = np.argsort(slot, kind="stable")
        first, second, slot = first[order], second[order], slot[order]
        for kind, (bare, coupled, place) in amplitudes.items():
            mine = species[near.a[first]] == kind
            for group, values in zip(pattern.groups, matrix.values, strict=True):
                low, high = np.searchsorted(slot, (group.start, group.stop))
                here = low + np.flatnonzero(mine[low:high])
                _accumulate(
                    values[0],
                    slot[here] - group.start,
                    (bare.get(group.species_i), place[first[here]]),
                    (coupled.get(group.species_j), place[second[here]]),
                )
    for group, values in zip(pattern.groups, matrix.values, strict=True):
        here = np.flatnonzero(pattern.onsite[group.slice])
        if len(here):
            block = values[:, here]
            values[:, here] = (block + block.swapaxes(-1, -2)) / 2
    return matrix


def _projector_neighbours(structure: Structure, basis: OrbitalBasis) -> _Neighbours:
    species = basis.species_index(structure.numbers)
    orbital = np.array([entry.cutoff for entry in basis.species])
    projector = np.array(
        [
            max(shell.cutoff for shell in entry.projectors.shells) if entry.projectors else -np.inf
            for entry in basis.species
        ]
    )
    carriers = np.flatnonzero(np.isfinite(projector[species]))
    if not len(carriers):
        raise BasisError(
            "no species of the structure has projectors, so the non-local pseudopotential is "
            "unknown; give a basis that states them"
        )
    reach = float(orbital[species].max() + projector[species].max())
    a, j, R, distance = neighbour_list(structure, reach)
    keep = distance < projector[species[a]] + orbital[species[j]]
    # an atom touches its own projectors
    a = np.concatenate([a[keep], carriers])
    j = np.concatenate([j[keep], carriers])
    R = np.concatenate([R[keep], np.zeros((len(carriers), 3), dtype=np.int64)])
    order = np.argsort(a, kind="stable")
    a, j, R = a[order], j[order], R[order]
    vectors = structure.positions[j] - structure.positions[a] + R @ structure.cell
    return _Neighbours(a, j, R, vectors)


def _pairs(a: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """All unordered pairs of entries that share a projector atom, for some atoms at a time."""
    _, start, count = np.unique(a, return_index=True, return_counts=True)
    chunk = np.cumsum(count * (count + 1) // 2) // _PAIRS_AT_ONCE
    # entry n of an atom is paired with itself and those after it
    partners = np.repeat(start + count, count) - np.arange(len(a))
    for n in np.unique(chunk):
        begin, size = start[chunk == n], count[chunk == n]
        rows = np.arange(begin[0], begin[-1] + size[-1])
        first = np.repeat(rows, partners[rows])
        ends = np.cumsum(partners[rows])
        second = first + np.arange(ends[-1]) - np.repeat(ends - partners[rows], partners[rows])
        yield first, second


def _amplitudes(
    kind: int, near: _Neighbours, species: NDArray[np.int64], tables: TwoCentreTables
) -> tuple[dict[int, NDArray[np.float64]], dict[int, NDArray[np.float64]], NDArray[np.int64]]:
    """P and D P of the projectors of one species with their neighbours, by species of those."""
    projectors = tables.basis.species[kind].projectors
    if projectors is None:
        raise BasisError(f"{tables.basis.species[kind].symbol} has no projectors")
    sizes = [shell.n_orbitals for shell in projectors.shells]
    starts = np.cumsum([0, *sizes])
    coupling = np.zeros((starts[-1], starts[-1]))
    for p, n in enumerate(sizes):
        for q in range(len(sizes)):
            if projectors.coupling[p, q]:
                rows = slice(starts[p], starts[p + 1])
                coupling[rows, starts[q] : starts[q + 1]] = projectors.coupling[p, q] * np.eye(n)
    amplitudes, coupled = {}, {}
    place = np.zeros(len(near.a), dtype=np.int64)
    for other in np.unique(species[near.j]):
        rows_of = np.flatnonzero((species[near.a] == kind) & (species[near.j] == other))
        place[rows_of] = np.arange(len(rows_of))
        blocks = tables.table("projector", kind, int(other)).blocks(near.vectors[rows_of])[0]
        amplitudes[int(other)] = np.ascontiguousarray(blocks.swapaxes(-1, -2))
        coupled[int(other)] = np.matmul(coupling, blocks)
    return amplitudes, coupled, place


def _accumulate(
    out: NDArray[np.float64],
    slot: NDArray[np.int64],
    left: tuple[NDArray[np.float64] | None, NDArray[np.int64]],
    right: tuple[NDArray[np.float64] | None, NDArray[np.int64]],
) -> None:
    """out[slot] += left[rows] @ right[columns], slots sorted and repeating."""
    (a, rows), (b, columns) = left, right
    if a is None or b is None:
        return
    step = max(1, _NUMBERS_AT_ONCE // (out.shape[1] * out.shape[2]))
    for start in range(0, len(slot), step):
        part = slice(start, start + step)
        products = np.matmul(a[rows[part]], b[columns[part]])
        run = np.flatnonzero(np.diff(slot[part], prepend=-1))
        # a slot that goes on in the next part is added to once more there
        out[slot[part][run]] += np.add.reduceat(products, run, axis=0)
