"""Where H comes from."""

from __future__ import annotations

import warnings
from collections.abc import Hashable
from typing import Literal, Protocol

from ase import Atoms

from ase_mlham.core import LCAOSystem

__all__ = ["PredictsHamiltonian", "mention_ignored_moments"]


class PredictsHamiltonian(Protocol):
    """What the calculator needs of a model: `ase_mlham.HamiltonianModel`, or anything like it.

    One whose prediction depends on the magnetic moments of the atoms says so with a true attribute
    `sees_moments`.
    """

    @property
    def identity(self) -> Hashable:
        """A text, or name, version and content hash: equal for equal predictions."""
        ...

    def predict(self, atoms: Atoms, *, on_unknown: Literal["error", "warn"]) -> LCAOSystem:
        """H and S of a structure."""
        ...


def mention_ignored_moments(
    system: LCAOSystem, model: PredictsHamiltonian, atoms: Atoms
) -> LCAOSystem:
    """The system, with a reservation if atoms have moments and the model did not look at them.

    Moments are often left over from another calculation, so this is a `DomainWarning` and no error.

    Parameters
    ----------
    system : LCAOSystem
        What the model predicted for the atoms.
    model : PredictsHamiltonian
        The model.
    atoms : ase.Atoms
        With `initial_magmoms`, or without.
    """
    if getattr(model, "sees_moments", False) or not atoms.get_initial_magnetic_moments().any():
        return system
    from ase_mlham.learning.domain import DomainWarning

    text = (
        "the atoms have magnetic moments, but the model was not trained on any: H is predicted as "
        "if there were none"
    )
    name = getattr(model, "name", model.identity)
    warnings.warn(f"model {name!r}: {text}", DomainWarning, stacklevel=3)
    return system.replace(warnings=(*system.warnings, text))
