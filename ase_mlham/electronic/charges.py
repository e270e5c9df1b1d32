"""Mulliken charges and magnetic moments of atoms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.spin import SpinKind
from ase_mlham.core.structure import frozen_array
from ase_mlham.core.system import LCAOSystem
from ase_mlham.electronic.fermi import (
    DEFAULT_SMEARING,
    Occupation,
    band_edges,
    fermi_level_of_states,
    mesh_of,
    occupations,
)
from ase_mlham.electronic.states import eigenstates

__all__ = ["Charges", "charges"]


@dataclass(frozen=True, eq=False)
class Charges:
    """Mulliken charges and moments.

    Attributes
    ----------
    charges : (n_atoms,) float
        In e, positive where electrons are missing against the neutral atom of the basis.
    moments : (n_atoms, 3) float
        In Bohr magnetons, of the spin; z for collinear systems, zero without spin.
    fermi_level : float
        eV.
    """

    charges: NDArray[np.float64]
    moments: NDArray[np.float64]
    fermi_level: float

    def __post_init__(self) -> None:
        for name in ("charges", "moments"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.float64))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values that `from_dict` reads."""
        return {
            "charges": self.charges.tolist(),
            "moments": self.moments.tolist(),
            "fermi_level": self.fermi_level,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Charges:
        """Inverse of `to_dict`."""
        return cls(data["charges"], data["moments"], float(data["fermi_level"]))


@dataclass(frozen=True, eq=False)
class _AtomSpins:
    """Measure: 1, x, y, z of each state on each atom, (n_channels, n_bands, n_atoms, 4)."""

    atom_of_orbital: NDArray[np.int64]
    n_atoms: int
    spin: SpinKind

    def __call__(self, vectors: NDArray, overlap_vectors: NDArray) -> NDArray[np.float64]:
        n_channels, _, n_bands = vectors.shape
        out = np.zeros((self.n_atoms, n_channels, n_bands, 4))

        def add(component: int, products: NDArray) -> None:
            np.add.at(out[..., component], self.atom_of_orbital, products.swapaxes(0, 1))

        if self.spin is not SpinKind.SPINOR:
            add(0, (vectors.conj() * overlap_vectors).real)
            if self.spin is SpinKind.COLLINEAR:
                out[..., 3] = out[..., 0] * np.array([1.0, -1.0])[:, None]
        else:
            n = len(self.atom_of_orbital)
            up, down = vectors[:, :n].conj(), vectors[:, n:].conj()
            over_up, over_down = overlap_vectors[:, :n], overlap_vectors[:, n:]
            uu, dd = up * over_up, down * over_down
            # <sigma_x> = 2 Re(up* S down) on average of the two orders, which differ on one orbital
            ud, du = up * over_down, down * over_up
            add(0, (uu + dd).real)
            add(1, (ud + du).real)
            add(2, (ud - du).imag)
            add(3, (uu - dd).real)
        return np.moveaxis(out, 0, -2)


def charges(
    system: LCAOSystem,
    kpts: Any = None,
    smearing: float | None = None,
    method: Occupation | str | None = None,
    *,
    overlap_floor: float | None = None,
    solver: str | None = None,
) -> Charges:
    """Mulliken charges and spin moments.

    Half of each overlap population goes to either atom (Mulliken, J. Chem. Phys. 23, 1833, 1955),
    which depends on the basis: compare numbers of one basis only.

    Parameters
    ----------
    system : LCAOSystem
        Any.
    kpts : as for `k_points`
        A mesh; by default Gamma-centred with 5 points per Å^-1.
    smearing : float, optional
        Width in eV. An insulator needs none; a metal is smeared by 0.1 eV if nothing is given.
    method : {"fermi-dirac", "gaussian"}, optional
        "fermi-dirac" by default.
    overlap_floor, solver
        As for `eigenstates`.
    """
    labels = system.orbital_labels()
    measure = _AtomSpins(
        np.array([label[0] for label in labels]), system.structure.n_atoms, system.spin
    )
    states = eigenstates(
        system,
        # moments at k and -k are opposite: neither stands for the other
        mesh_of(system, kpts, reduce=system.spin is not SpinKind.SPINOR),
        measures={"atoms": measure},
        overlap_floor=overlap_floor,
        solver=solver,
    )
    chosen = method or Occupation.FERMI_DIRAC
    if smearing is None and band_edges(states) is not None:
        level = fermi_level_of_states(states)
        filling = (states.energies <= level).astype(float)
    else:
        width = DEFAULT_SMEARING if smearing is None else smearing
        level = fermi_level_of_states(states, width, chosen)
        filling = occupations(states, level, width, chosen)
    populations = states.degeneracy * np.einsum(
        "k,skb,skbax->ax", states.weights, filling, states.measured["atoms"], optimize=True
    )
    valence = np.array([system.basis[int(z)].valence for z in system.structure.numbers])
    return Charges(valence - populations[:, 0], populations[:, 1:], level)
