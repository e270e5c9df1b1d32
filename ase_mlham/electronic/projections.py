"""Projections of eigenstates on orbitals, shells, elements, atoms and layers.

Mulliken: the weight of a state on orbital a is Re C_a* (S C)_a (J. Chem. Phys. 23, 1833, 1955).
Half of each overlap population goes to either orbital; single weights may be slightly negative or
above one, which is a property of the projection and not an error. Löwdin: |(S^(1/2) C)_a|^2, the
weight on the orthonormal orbitals nearest to those of the basis (J. Chem. Phys. 18, 365, 1950),
never negative. Over all orbitals the weights of either sum to one, whatever the overlap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_mlham.core.basis import LETTERS
from ase_mlham.core.spin import SpinKind
from ase_mlham.core.system import LCAOSystem
from ase_mlham.electronic.degeneracy import DEGENERACY_TOLERANCE, mean_of_degenerate
from ase_mlham.electronic.layers import LAYER_TOLERANCE, find_layers
from ase_mlham.electronic.solvers.problem import Measure, Orthogonalised
from ase_mlham.electronic.states import eigenstates
from ase_mlham.errors import InputError

__all__ = [
    "GroupSpins",
    "GroupWeights",
    "Grouping",
    "OrbitalGroups",
    "Projection",
    "atom_groups",
    "orbital_groups",
    "orbital_name",
    "state_on_atoms",
    "state_spins",
    "state_weights",
]

_HARMONICS: Mapping[int, tuple[str, ...]] = {
    0: ("",),
    1: ("y", "z", "x"),
    2: ("xy", "yz", "z2", "xz", "x2-y2"),
}

_ABOVE = 8
"""States above a chosen one that are found with it, to see which share its energy."""


class Projection(Enum):
    """How the charge between two orbitals is shared among them."""

    MULLIKEN = "mulliken"
    LOWDIN = "lowdin"

    @classmethod
    def parse(cls, value: Projection | str) -> Projection:
        """From its name; "löwdin" is accepted too."""
        if isinstance(value, cls):
            return value
        try:
            return cls(str(value).lower().replace("ö", "o"))
        except ValueError:
            accepted = ", ".join(one.value for one in cls)
            raise InputError(f"projection {value!r} is unknown; accepted: {accepted}") from None

    @property
    def label(self) -> str:
        """As it is printed: Mulliken, Löwdin."""
        return {"mulliken": "Mulliken", "lowdin": "Löwdin"}[self.value]

    def measure(self, measure: Measure) -> Measure:
        """A measure made of products of C and S C, taken with this projection."""
        return measure if self is Projection.MULLIKEN else Orthogonalised(measure)


class Grouping(Enum):
    """What the orbitals are collected by."""

    ELEMENT = "element"
    SHELL = "shell"
    ORBITAL = "orbital"
    ATOM = "atom"
    LAYER = "layer"

    @classmethod
    def parse(cls, value: Grouping | str) -> Grouping:
        """From its name."""
        if isinstance(value, cls):
            return value
        try:
            return cls(str(value).lower())
        except ValueError:
            accepted = ", ".join(one.value for one in cls)
            raise InputError(f"projection by {value!r} is unknown; accepted: {accepted}") from None


@dataclass(frozen=True, eq=False)
class OrbitalGroups:
    """Orbitals collected in groups.

    Attributes
    ----------
    of_orbital : (n_orbitals,) int
        Group of each orbital.
    info : tuple of mapping
        What each group is, in the words of ASE's DOS collections: "symbol", "orbital", "index" (of
        the atom), "layer" and "height" (Å) as they apply.
    """

    of_orbital: NDArray[np.int64]
    info: tuple[Mapping[str, str], ...]

    def __len__(self) -> int:
        return len(self.info)

    def sums(self, of_orbitals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums over the orbitals of each group, from (n_channels, n_orbitals, n_bands).

        Returns
        -------
        (n_channels, n_bands, n_groups)
        """
        order = np.argsort(self.of_orbital, kind="stable")
        present, starts = np.unique(self.of_orbital[order], return_index=True)
        n_channels, _, n_bands = of_orbitals.shape
        out = np.zeros((n_channels, n_bands, len(self)))
        sums = np.add.reduceat(of_orbitals[:, order], starts, axis=1)
        out[..., present] = sums.swapaxes(1, 2)
        return out


def orbital_name(l: int, m: int) -> str:
    """Letter and direction, for example "px"; beyond d the number m."""
    directions = _HARMONICS.get(l)
    return LETTERS[l] + (f"{m:+d}" if directions is None else directions[m + l])


def orbital_groups(
    system: LCAOSystem,
    by: Grouping | str = Grouping.SHELL,
    *,
    direction: str | Sequence[float] = "c",
    tolerance: float = LAYER_TOLERANCE,
) -> OrbitalGroups:
    """Groups of the orbitals of a system.

    Parameters
    ----------
    system : LCAOSystem
        Whose basis says which orbital is what.
    by : {"element", "shell", "orbital", "atom", "layer"}
        "element": all orbitals of an element. "shell": those of an element and angular momentum.
        "orbital": of an element, l and m. "atom": each atom with its angular momenta. "layer": all
        orbitals of the atoms at one height.
    direction, tolerance
        Of layers, as for `find_layers`.
    """
    by = Grouping.parse(by)
    layers = find_layers(system.structure, direction, tolerance) if by is Grouping.LAYER else None
    keys: dict[tuple[tuple[str, str], ...], int] = {}
    if layers is not None:
        # in order of height, and not of the atoms
        for n, height in enumerate(layers.heights):
            keys[("layer", str(n)), ("height", f"{height + 0.0:.2f}")] = n
    of_orbital = []
    for atom, symbol, _, l, m in system.orbital_labels():
        if layers is not None:
            of_orbital.append(int(layers.of_atom[atom]))
            continue
        key = {"symbol": symbol}
        if by is not Grouping.ELEMENT:
            key["orbital"] = orbital_name(l, m) if by is Grouping.ORBITAL else LETTERS[l]
        if by is Grouping.ATOM:
            key["index"] = str(atom)
        of_orbital.append(keys.setdefault(tuple(key.items()), len(keys)))
    return OrbitalGroups(np.array(of_orbital, dtype=np.int64), tuple(dict(key) for key in keys))


def atom_groups(system: LCAOSystem) -> OrbitalGroups:
    """All orbitals of each atom, in the order of the atoms."""
    return OrbitalGroups(
        np.array([label[0] for label in system.orbital_labels()], dtype=np.int64),
        tuple(
            {"symbol": system.basis[int(number)].symbol, "index": str(atom)}
            for atom, number in enumerate(system.structure.numbers)
        ),
    )


@dataclass(frozen=True, eq=False)
class GroupWeights:
    """Measure: weight of each state on groups of orbitals, (n_channels, n_bands, n_groups).

    Parameters
    ----------
    groups : OrbitalGroups
        Which orbitals belong together.
    spin : SpinKind
        Spinor vectors hold up and down, whose weights are added.
    """

    groups: OrbitalGroups
    spin: SpinKind

    def __call__(self, vectors: NDArray, overlap_vectors: NDArray) -> NDArray[np.float64]:
        """Weights of some states; see `ase_mlham.electronic.solvers.problem.Measure`."""
        weights = (vectors.conj() * overlap_vectors).real
        if self.spin is SpinKind.SPINOR:
            n = weights.shape[1] // 2
            weights = weights[:, :n] + weights[:, n:]
        return self.groups.sums(weights)


@dataclass(frozen=True, eq=False)
class GroupSpins:
    """Measure: weight and spin of each state on groups, (n_channels, n_bands, n_groups, 4).

    The last axis is 1, x, y, z: the weight and <sigma> restricted to the group. Summed over all
    groups they are 1 and the spin of the state.

    Parameters
    ----------
    groups : OrbitalGroups
        Which orbitals belong together.
    spin : SpinKind
        Collinear states have their spin along z; without spin it is zero.
    """

    groups: OrbitalGroups
    spin: SpinKind

    def __call__(self, vectors: NDArray, overlap_vectors: NDArray) -> NDArray[np.float64]:
        """Weights and spins; see `ase_mlham.electronic.solvers.problem.Measure`."""
        if self.spin is not SpinKind.SPINOR:
            weights = self.groups.sums((vectors.conj() * overlap_vectors).real)
            out = np.zeros((*weights.shape, 4))
            out[..., 0] = weights
            if self.spin is SpinKind.COLLINEAR:
                out[..., 3] = weights * np.array([1.0, -1.0])[:, None, None]
            return out
        n = vectors.shape[1] // 2
        up, down = vectors[:, :n].conj(), vectors[:, n:].conj()
        over_up, over_down = overlap_vectors[:, :n], overlap_vectors[:, n:]
        uu, dd = (up * over_up).real, (down * over_down).real
        # <sigma_x> = 2 Re(up* S down) on average of the two orders, which differ on one orbital
        ud, du = up * over_down, down * over_up
        parts = (uu + dd, (ud + du).real, (ud - du).imag, uu - dd)
        return np.stack([self.groups.sums(part) for part in parts], axis=-1)


def state_on_atoms(
    system: LCAOSystem,
    kpt: ArrayLike,
    band: int,
    spin: int = 0,
    *,
    method: Projection | str = Projection.MULLIKEN,
    tolerance: float = DEGENERACY_TOLERANCE,
    overlap_floor: float | None = None,
) -> NDArray[np.float64]:
    """Weight and spin of one state on the atoms, from one solution at its k-point.

    Parameters
    ----------
    system, kpt, band, spin, method, tolerance, overlap_floor
        As for `state_weights`.

    Returns
    -------
    (n_atoms, 4) float
        1, x, y, z as `GroupSpins` has them: what `state_weights` and `state_spins` give.

    Raises
    ------
    InputError
        There is no such band, channel or k-point.
    """
    measure = Projection.parse(method).measure(GroupSpins(atom_groups(system), system.spin))
    size = system.n_orbitals * (2 if system.spin is SpinKind.SPINOR else 1)
    if not 0 <= spin < system.spin.n_channels:
        raise InputError(f"spin channel {spin} of a {system.spin.value} system; counted from 0")
    if not 0 <= band < size:
        raise InputError(f"band {band} of a system that has bands 0 to {size - 1}")
    states = eigenstates(
        system,
        np.atleast_2d(np.asarray(kpt, dtype=np.float64)),
        n_bands=None if overlap_floor else min(size, band + 1 + _ABOVE),
        measures={"measure": measure},
        overlap_floor=overlap_floor,
    )
    if len(states.kpts) != 1:
        raise InputError(f"{len(states.kpts)} k-points; the weights of a state are those at one")
    if band >= states.n_bands:
        raise InputError(f"band {band}; overlap_floor leaves bands 0 to {states.n_bands - 1}")
    measured = states.measured["measure"][spin, 0]
    if tolerance > 0:
        measured = mean_of_degenerate(states.energies[spin, 0], measured, tolerance)
    return np.asarray(measured[band])


def state_weights(
    system: LCAOSystem,
    kpt: ArrayLike,
    band: int,
    spin: int = 0,
    *,
    method: Projection | str = Projection.MULLIKEN,
    tolerance: float = DEGENERACY_TOLERANCE,
    overlap_floor: float | None = None,
) -> NDArray[np.float64]:
    """Weights of one state on the atoms; they sum to one.

    Parameters
    ----------
    system : LCAOSystem
        Any.
    kpt : (3,) float
        Fractions of the reciprocal lattice vectors.
    band : int
        Counted from the lowest, 0.
    spin : int
        Channel of a collinear system, 0 up and 1 down.
    method : {"mulliken", "lowdin"}
        Projection.
    tolerance : float
        States within so many eV of a neighbour are one level, and the weights are the mean over it:
        those of a single one are arbitrary. 0 takes the state as the solver gave it.
    overlap_floor : float, optional
        As for `eigenstates`.

    Returns
    -------
    (n_atoms,) float

    Raises
    ------
    InputError
        There is no such band, channel or k-point.
    """
    found = state_on_atoms(
        system,
        kpt,
        band,
        spin,
        method=method,
        tolerance=tolerance,
        overlap_floor=overlap_floor,
    )
    return found[:, 0]


def state_spins(
    system: LCAOSystem,
    kpt: ArrayLike,
    band: int,
    spin: int = 0,
    *,
    method: Projection | str = Projection.MULLIKEN,
    tolerance: float = DEGENERACY_TOLERANCE,
    overlap_floor: float | None = None,
) -> NDArray[np.float64]:
    """Spin of one state on the atoms: <sigma> restricted to each, which sum to that of the state.

    Parameters
    ----------
    system, kpt, band, spin, method, tolerance, overlap_floor
        As for `state_weights`. The mean over a degenerate level is taken here too: that of a pair
        of Kramers sums to zero, and what is left on single atoms is a "hidden" spin.

    Returns
    -------
    (n_atoms, 3) float
        Along Cartesian axes; zero without spin.
    """
    found = state_on_atoms(
        system,
        kpt,
        band,
        spin,
        method=method,
        tolerance=tolerance,
        overlap_floor=overlap_floor,
    )
    return found[:, 1:]
