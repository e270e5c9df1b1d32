"""Charges and magnetic moments of atoms, Mulliken or Löwdin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.spin import SpinKind
from ase_mlham.core.structure import frozen_array
from ase_mlham.core.system import LCAOSystem
from ase_mlham.electronic.fermi import Occupation, fermi_filling, mesh_of
from ase_mlham.electronic.projections import GroupSpins, GroupWeights, Projection, atom_groups
from ase_mlham.electronic.states import eigenstates

__all__ = ["Charges", "charges"]


@dataclass(frozen=True, eq=False)
class Charges:
    """Charges and moments of atoms.

    Attributes
    ----------
    charges : (n_atoms,) float
        In e, positive where electrons are missing against the neutral atom of the basis.
    moments : (n_atoms, 3) float
        In Bohr magnetons, of the spin; z for collinear systems, zero without spin.
    fermi_level : float
        eV.
    projection : Projection
        How overlap populations are shared among the atoms.
    """

    charges: NDArray[np.float64]
    moments: NDArray[np.float64]
    fermi_level: float
    projection: Projection = Projection.MULLIKEN

    def __post_init__(self) -> None:
        for name in ("charges", "moments"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.float64))
        object.__setattr__(self, "projection", Projection.parse(self.projection))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values that `from_dict` reads."""
        return {
            "charges": self.charges.tolist(),
            "moments": self.moments.tolist(),
            "fermi_level": self.fermi_level,
            "projection": self.projection.value,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Charges:
        """Inverse of `to_dict`."""
        return cls(
            data["charges"],
            data["moments"],
            float(data["fermi_level"]),
            Projection.parse(data.get("projection", "mulliken")),
        )


def charges(
    system: LCAOSystem,
    kpts: Any = None,
    smearing: float | None = None,
    method: Occupation | str | None = None,
    *,
    projection: Projection | str = Projection.MULLIKEN,
    overlap_floor: float | None = None,
    solver: str | None = None,
) -> Charges:
    """Charges and spin moments of the atoms.

    Either projection depends on the basis: compare numbers of one basis and one projection only.

    Parameters
    ----------
    system : LCAOSystem
        Any.
    kpts : as for `k_points`
        A mesh; by default Gamma-centred with 5 points per Å^-1.
    smearing : float, optional
        Width in eV. An insulator needs none; a metal is smeared by 0.1 eV if nothing is given.
    method : {"fermi-dirac", "gaussian"}, optional
        Occupation; "fermi-dirac" by default.
    projection : {"mulliken", "lowdin"}
        "mulliken": half of each overlap population goes to either atom. "lowdin": populations of
        the orthonormal orbitals nearest to those of the basis.
    overlap_floor, solver
        As for `eigenstates`.
    """
    chosen_projection = Projection.parse(projection)
    # the channels of a collinear system are its spins: a quarter of the numbers is enough
    kind = GroupSpins if system.spin is SpinKind.SPINOR else GroupWeights
    measure = chosen_projection.measure(kind(atom_groups(system), system.spin))
    states = eigenstates(
        system,
        # moments at k and -k are opposite: neither stands for the other
        mesh_of(system, kpts, reduce=system.spin is not SpinKind.SPINOR),
        measures={"atoms": measure},
        overlap_floor=overlap_floor,
        solver=solver,
    )
    level, filling = fermi_filling(states, smearing, method)
    populations = states.degeneracy * np.einsum(
        "k,skb,skb...->s...", states.weights, filling, states.measured["atoms"], optimize=True
    )
    electrons, moments = _sums(populations, system.spin)
    valence = np.array([system.basis[int(z)].valence for z in system.structure.numbers])
    return Charges(valence - electrons, moments, level, projection=chosen_projection)


def _sums(
    populations: NDArray[np.float64], spin: SpinKind
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Electrons (n_atoms,) and moments (n_atoms, 3) of the populations of the channels."""
    if spin is SpinKind.SPINOR:
        return populations[0, :, 0], populations[0, :, 1:]
    moments = np.zeros((populations.shape[1], 3))
    if spin is SpinKind.COLLINEAR:
        moments[:, 2] = populations[0] - populations[1]
    return populations.sum(axis=0), moments
