"""Training, validation and test sets without leakage.

Rattled copies of one structure are nearly the same structure. If one of them is trained on and
another is tested on, the test error says nothing. So whole families of structures go to one side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ase_mlham.core import Structure
from ase_mlham.errors import InputError

__all__ = ["split_groups", "structure_group"]


def structure_group(structure: Structure, provenance: Mapping[str, Any] | None = None) -> str:
    """Name of the family that a structure belongs to.

    What its source states as "parent" or "group", else a hash of the composition and of the shape
    of the cell: copies of one structure with displaced atoms have the same.

    Parameters
    ----------
    structure : Structure
        The atoms.
    provenance : mapping, optional
        Of its system.
    """
    for key in ("group", "parent"):
        if provenance and provenance.get(key):
            return f"{key}:{provenance[key]}"
    numbers, counts = np.unique(structure.numbers, return_counts=True)
    cell = structure.cell[structure.pbc]
    # lengths and angles do not depend on how the crystal is turned; 0.01 Å^2 absorbs file rounding
    metric = np.round(cell @ cell.T, 2) + 0.0
    text = repr((numbers.tolist(), counts.tolist(), structure.pbc.tolist(), metric.tolist()))
    return f"shape:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def split_groups(
    groups: Sequence[str], fractions: Mapping[str, float], seed: int = 0
) -> dict[str, list[int]]:
    """Divide structures so that no group is on two sides.

    Parameters
    ----------
    groups : sequence of str
        Group of each structure.
    fractions : mapping
        Name of a part to its share; the first part gets what is left over.
    seed : int
        Another seed, another division. Adding structures to the end of a list moves none of the
        former ones between groups of the same hash order, because the order of groups depends on
        their names alone.

    Returns
    -------
    dict
        Name of a part to the sorted indices of its structures.

    Raises
    ------
    InputError
        Shares do not fit, or a part with a share would be empty.
    """
    names = list(fractions)
    if not names or min(fractions.values()) < 0 or sum(fractions.values()) > 1 + 1e-9:
        raise InputError(f"fractions {dict(fractions)} must be positive and add up to at most 1")
    members: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)

    def rank(group: str) -> str:
        return hashlib.sha256(f"{seed} {group}".encode()).hexdigest()

    out: dict[str, list[int]] = {name: [] for name in names}
    quota = {name: fractions[name] * len(groups) for name in names[1:]}
    for group in sorted(members, key=rank):
        # the part that lacks most of its share, if the group brings it closer to the share
        lacking = max(quota, key=lambda n: quota[n] - len(out[n]), default=names[0])
        need = quota.get(lacking, 0.0) - len(out.get(lacking, []))
        chosen = lacking if need > 0 and need >= len(members[group]) / 2 else names[0]
        out[chosen] += members[group]
    for name in names:
        if fractions[name] > 0 and not out[name]:
            raise InputError(
                f"the {name} set would be empty: {len(groups)} structures in {len(members)} groups "
                f"cannot be divided as {dict(fractions)}; give more structures, other fractions, "
                "or list the files of each set"
            )
    return {name: sorted(indices) for name, indices in out.items()}
