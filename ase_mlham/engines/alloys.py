"""Random alloys, of which only those with something new are kept.

Most random occupations of a lattice repeat what earlier ones had: the same atoms around the same
atom, turned or reflected. A structure is worth computing if it holds an *environment* that none
before it held, and there are enough of them when a long row of draws brought none. So M. Su,
J.-H. Yang, H.-J. Xiang and X.-G. Gong made the SiGe set of LC-Net ("Efficient determination of the
Hamiltonian and electronic properties using graph neural network with complete local coordinates",
eq. 7).

An environment is told apart by the dot products r_A · r_B of the vectors to the neighbours, as in
the paper; they know neither rotation nor order. The paper sorts all of them into one list. Such a
list says which products occur but not which of them share an atom, and takes different
environments for one: of the 3,044 different occupations of the first two shells of diamond by two
elements it tells 1,091 apart. Here each neighbour has its own list, of products and elements of
the others, and the environment is the set of these lists after two rounds (the second sees the
lists of the first in place of the elements): that tells all 3,044 apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core import Structure
from ase_mlham.core.neighbours import neighbour_list
from ase_mlham.errors import InputError
from ase_mlham.progress import track

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["AlloySet", "Mixture", "Neighbourhoods", "environments", "random_alloys"]

SHELL_GAP = 0.1
"""Å between the distances of two atoms from which on they count as two shells of neighbours."""

TOLERANCE = 0.01
"""Å²: dot products that differ by less are the same, unless they happen to be rounded apart."""

# where numbers are rounded: products of lattice vectors are round numbers, and must not lie there
_OFFSET = math.sqrt(2) / 10


@dataclass(frozen=True)
class Mixture:
    """Which elements share the sites of a parent structure.

    Parameters
    ----------
    elements : tuple of str
        Symbols. All sites on which the parent has one of them are mixed.
    fractions : tuple of float, optional
        Of the sites, summing to one; met exactly where the number of sites allows it. None: every
        structure has another composition, evenly drawn.

    Raises
    ------
    InputError
        There are fewer than two elements, one is named twice or does not exist, or the fractions
        do not sum to one.
    """

    elements: tuple[str, ...]
    fractions: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        from ase.data import atomic_numbers

        named = ", ".join(self.elements)
        if len(self.elements) < 2:
            raise InputError(f"an alloy of {named or 'nothing'}: name at least two elements")
        if len(set(self.elements)) < len(self.elements):
            raise InputError(f"an alloy of {named}: an element is named twice")
        unknown = [name for name in self.elements if atomic_numbers.get(name, 0) == 0]
        if unknown:
            raise InputError(f"an alloy of {named}: {unknown[0]} is no chemical symbol")
        if self.fractions is None:
            return
        if len(self.fractions) != len(self.elements):
            raise InputError(
                f"an alloy of {named}: {len(self.fractions)} fractions; give one for each element, "
                "or none"
            )
        total = sum(self.fractions)
        if not (min(self.fractions) >= 0 and abs(total - 1) < 1e-6):
            raise InputError(
                f"an alloy of {named}: the fractions {self.fractions} sum to {total:g}; they are "
                "shares of the sites and sum to 1"
            )

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Atomic numbers."""
        from ase.data import atomic_numbers

        return np.array([atomic_numbers[name] for name in self.elements])

    def sites(self, atoms: Atoms) -> NDArray[np.int64]:
        """Atoms of a parent that are mixed, (n,)."""
        return np.flatnonzero(np.isin(atoms.numbers, self.numbers))

    def draw(self, n_sites: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Atomic numbers on the sites, at random, (n_sites,)."""
        fractions = self.fractions or rng.dirichlet(np.ones(len(self.elements)))
        wanted = np.asarray(fractions) * n_sites
        counts = np.floor(wanted + 1e-9).astype(int)
        # what is left goes to those that were rounded down most; equal ones by lot
        lot = rng.permutation(len(counts))
        most = lot[np.argsort((counts - wanted)[lot].round(9), kind="stable")]
        counts[most[: n_sites - counts.sum()]] += 1
        return rng.permutation(np.repeat(self.numbers, counts))


@dataclass(frozen=True)
class AlloySet:
    """What a search found.

    Attributes
    ----------
    structures : tuple of ase.Atoms
        In the order in which they were drawn; `info` says how many environments each was the first
        to have (`new_environments`).
    n_environments : int
        Different environments in them.
    n_draws : int
        Structures that were drawn.
    exhausted : bool
        Whether the search ended because nothing new came.
    """

    structures: tuple[Atoms, ...]
    n_environments: int
    n_draws: int
    exhausted: bool

    @property
    def n_rejected(self) -> int:
        """Structures that brought nothing new."""
        return self.n_draws - len(self.structures)


def environments(atoms: Atoms, shells: int = 2, *, tolerance: float = TOLERANCE) -> NDArray:
    """A number for each atom that is the same exactly where its surroundings are the same.

    Elements, distances and angles count; rotation, reflection, position and order do not.

    Parameters
    ----------
    atoms : ase.Atoms
        On lattice sites. Displaced atoms all have surroundings of their own.
    shells : int
        Of neighbours that count: one for the nearest. Distances that differ by more than 0.1 Å
        belong to different shells.
    tolerance : float
        Rounding of dot products, Å².

    Returns
    -------
    (n_atoms,) uint64
        Different surroundings have different numbers but for what these lists of products cannot
        see (nothing in the first two shells of diamond), and a chance of 1e-19 for each pair.

    Examples
    --------
    >>> from ase.build import bulk
    >>> si, ge = environments(bulk("SiGe", "zincblende", a=5.54))
    >>> bool(si == ge)
    False
    """
    return Neighbourhoods(atoms, shells, tolerance).environments(atoms.numbers)


def random_alloys(
    parent: Atoms,
    mixtures: Sequence[Mixture],
    *,
    shells: int = 2,
    count: int = 1000,
    patience: int = 200,
    lengths: Mapping[str, float] | None = None,
    rattle: float = 0.0,
    seed: int = 0,
) -> AlloySet:
    """Random occupations of a parent's sites, each with an environment that is new.

    Parameters
    ----------
    parent : ase.Atoms
        Its sites; as large as the structures are to be.
    mixtures : sequence of Mixture
        What is mixed: one for each sublattice.
    shells : int
        Neighbours that count, as for `environments`; those of the parent, before the cell is
        scaled and atoms are displaced.
    count : int
        Structures at most.
    patience : int
        The search ends after so many draws in a row without anything new.
    lengths : mapping of str to float, optional
        Lattice constant (or another length, only ratios matter) that goes with each mixed element:
        cells are scaled by the mean over the mixed sites against that of the parent (Vegard's
        law), several sublattices one after the other. By default all have the parent's cell.
    rattle : float
        Standard deviation of random displacements along x, y and z, Å.
    seed : int
        The same structures for the same seed; more of them begin with the fewer.

    Raises
    ------
    InputError
        The parent has none of the elements, two mixtures share one, a length is missing, or a
        number is out of range.

    Examples
    --------
    >>> from ase.build import bulk
    >>> found = random_alloys(bulk("Si") * 2, [Mixture(("Si", "Ge"))], shells=1)
    >>> found.n_environments, found.exhausted
    (10, True)
    """
    _check(parent, mixtures, count, patience, rattle)
    search = _Search(parent, tuple(mixtures), dict(lengths or {}), rattle, seed)
    around = Neighbourhoods(parent, shells)
    structures = tuple(track(search.run(around, count, patience), count, "alloys at most"))
    return AlloySet(
        structures, len(search.known), search.n_draws, search.n_draws - search.last_new >= patience
    )


def _check(
    parent: Atoms, mixtures: Sequence[Mixture], count: int, patience: int, rattle: float
) -> None:
    if not mixtures:
        raise InputError("no alloy is named; give at least one mixture of elements")
    named = [name for mixture in mixtures for name in mixture.elements]
    for name in named:
        if named.count(name) > 1:
            raise InputError(
                f"{name} is in two alloys, and it cannot be told whose sites are meant; name it "
                "in one of them"
            )
    for mixture in mixtures:
        if len(mixture.sites(parent)) == 0:
            raise InputError(
                f"the parent {parent.get_chemical_formula()} has no site with "
                f"{' or '.join(mixture.elements)}; sites are those that hold one of the elements"
            )
    for name, value in (("count", count), ("patience", patience)):
        if value < 1:
            raise InputError(f"{name}={value}: at least one is needed")
    if not (rattle >= 0 and math.isfinite(rattle)):
        raise InputError(f"rattle={rattle} Å must not be negative")


class _Search:
    """Draws, and what they have brought so far."""

    def __init__(
        self,
        parent: Atoms,
        mixtures: tuple[Mixture, ...],
        lengths: dict[str, float],
        rattle: float,
        seed: int,
    ) -> None:
        self.parent, self.rattle, self.seed = parent, rattle, seed
        self.places = [(mixture, mixture.sites(parent)) for mixture in mixtures]
        self.lengths = _lengths_by_number(mixtures, lengths)
        self.known: set[int] = set()
        self.n_draws = 0
        self.last_new = 0

    def run(self, around: Neighbourhoods, count: int, patience: int) -> Iterator[Atoms]:
        """Structures with something new, as they come."""
        kept = 0
        while kept < count and self.n_draws - self.last_new < patience:
            # one generator a draw: nothing depends on how many are kept
            rng = np.random.default_rng((self.seed, self.n_draws))
            self.n_draws += 1
            numbers = self.parent.numbers.copy()
            for mixture, sites in self.places:
                numbers[sites] = mixture.draw(len(sites), rng)
            new = set(around.environments(numbers).tolist()) - self.known
            if new:
                self.known |= new
                self.last_new = self.n_draws
                kept += 1
                yield self._structure(numbers, len(new), rng)

    def _structure(self, numbers: NDArray, n_new: int, rng: np.random.Generator) -> Atoms:
        from ase import Atoms

        before = self.parent
        scale = math.prod(
            self.lengths[numbers[sites]].mean() / self.lengths[before.numbers[sites]].mean()
            for _, sites in self.places
        )
        # without what a file may say of the parent's sites and symmetry
        atoms = Atoms(numbers, positions=before.positions, cell=before.cell, pbc=before.pbc)
        if before.has("initial_magmoms"):
            atoms.set_initial_magnetic_moments(before.get_initial_magnetic_moments())
        if scale != 1.0:
            atoms.set_cell(atoms.cell.array * scale, scale_atoms=True)
        atoms.positions += rng.normal(0.0, self.rattle, atoms.positions.shape)
        atoms.info["new_environments"] = n_new
        return atoms


def _lengths_by_number(mixtures: tuple[Mixture, ...], lengths: dict[str, float]) -> NDArray:
    """Length of each atomic number, one where none was given."""
    named = [name for mixture in mixtures for name in mixture.elements]
    strange = [name for name in lengths if name not in named]
    if strange:
        raise InputError(f"a length of {strange[0]}, which is not mixed; mixed: {', '.join(named)}")
    out = np.ones(120)
    for mixture in mixtures:
        missing = [name for name in mixture.elements if name not in lengths]
        if 0 < len(missing) < len(mixture.elements):
            raise InputError(
                f"no length of {missing[0]}; give one for each of {', '.join(mixture.elements)}"
            )
        for name, number in zip(mixture.elements, mixture.numbers, strict=True):
            value = lengths.get(name, 1.0)
            if not (value > 0 and math.isfinite(value)):
                raise InputError(f"the length {value} of {name} must be positive")
            out[number] = value
    return out


class Neighbourhoods:
    """Who surrounds each site of a lattice, whatever elements are on it.

    Parameters
    ----------
    atoms, shells, tolerance
        As for `environments`, which is enough where only one occupation is of interest.
    """

    def __init__(self, atoms: Atoms, shells: int = 2, tolerance: float = TOLERANCE) -> None:
        if shells < 1:
            raise InputError(f"shells={shells}: at least the nearest neighbours have to count")
        if not tolerance > 0:
            raise InputError(f"tolerance={tolerance} Å² must be positive")
        structure = Structure.from_atoms(atoms)
        # of atoms with as many neighbours: which, who they are (n, m), and products (n, m, m)
        self.groups: list[tuple[NDArray, NDArray, NDArray]] = []
        neighbours = _shells(structure, shells)
        sizes = np.array([len(j) for j, _ in neighbours])
        for size in np.unique(sizes):
            members = np.flatnonzero(sizes == size)
            others = np.array([neighbours[i][0] for i in members], dtype=np.int64)
            vectors = np.array([neighbours[i][1] for i in members]).reshape(len(members), size, 3)
            products = np.einsum("nik,njk->nij", vectors, vectors) / tolerance
            rounded = np.floor(products + _OFFSET).astype(np.int64).astype(np.uint64)
            self.groups.append((members, others.reshape(len(members), size), rounded))

    def environments(self, numbers: NDArray) -> NDArray:
        """As the function `environments`, for atomic numbers on the sites, (n_atoms,)."""
        elements = _mix(numbers.astype(np.uint64))
        out = np.empty(len(numbers), dtype=np.uint64)
        for members, others, products in self.groups:
            out[members] = _fold(elements[members], elements[others], products)
        return out


def _fold(centres: NDArray, neighbours: NDArray, products: NDArray, rounds: int = 2) -> NDArray:
    """Numbers of environments.

    A sum of well-mixed numbers stands for a sorted list: it does not depend on the order, and two
    lists have the same sum only by chance.

    Parameters
    ----------
    centres : (n,) uint64
        A number for the element at the centre.
    neighbours : (n, m) uint64
        The same for its neighbours.
    products : (n, m, m) uint64
        Rounded dot products of the vectors to them.
    rounds : int
        How often each neighbour learns of the others.
    """
    own = _mix(np.einsum("naa->na", products))
    off = ~np.eye(products.shape[-1], dtype=bool)
    colours = neighbours
    for _ in range(rounds):
        seen = _mix(_mix(products) ^ colours[:, None, :]) * off
        colours = _mix(_mix(colours) ^ _mix(own)) ^ seen.sum(axis=2, dtype=np.uint64)
    return _mix(centres ^ _mix(colours).sum(axis=1, dtype=np.uint64))


def _mix(x: NDArray) -> NDArray:
    """Unlike numbers of alike ones, one to one (the finaliser of SplitMix64).

    G. L. Steele, D. Lea and C. H. Flood, OOPSLA 2014.
    """
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _shells(structure: Structure, shells: int) -> list[tuple[NDArray, NDArray]]:
    """Neighbours (m,) of each atom in its first shells, and vectors (m, 3) to them."""
    cutoff = 3.0
    while True:
        i, j, R, distance = neighbour_list(structure, cutoff)
        start = np.searchsorted(i, np.arange(structure.n_atoms + 1))
        atoms = [slice(a, b) for a, b in pairwise(start)]
        ends = [_end(np.sort(distance[part]), shells) for part in atoms]
        # an atom of a molecule may have fewer shells, but then all others are in them
        everything = not structure.pbc.any() and len(i) == structure.n_atoms * (
            structure.n_atoms - 1
        )
        if everything or None not in ends:
            break
        cutoff *= 1.5
    vectors = structure.positions[j] + R @ structure.cell - structure.positions[i]
    out = []
    for part, end in zip(atoms, ends, strict=True):
        within = distance[part] < (np.inf if end is None else end)
        out.append((j[part][within], vectors[part][within]))
    return out


def _end(distances: NDArray, shells: int) -> float | None:
    """A distance between the last shell and the next, None if the next is not in the list."""
    gaps = np.flatnonzero(np.diff(distances) > SHELL_GAP)
    if len(gaps) < shells:
        return None
    last = gaps[shells - 1]
    return float(distances[last : last + 2].mean())
