"""Hypothesis strategies that draw structures, bases, patterns, systems, rotations and k-points.

The package's own property tests use them, and authors of plugins may: a family, format, solver or
analyser that holds for everything drawn here holds for molecules, wires, slabs and crystals, for
the three spin kinds, for tiny cells in which an atom is its own neighbour, for left-handed cells,
and for atoms that lie outside the cell.

    from hypothesis import given
    from ase_mlham.testing.strategies import systems

    @given(systems(spin="spinor"))
    def test_my_analyser(system): ...

Structures and bases are drawn number by number and shrink to simple ones. Matrix elements are many,
so they come from a random generator whose seed is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.basis import OrbitalBasis, Shell, SpeciesBasis
from ase_mlham.core.blocks import BlockMatrix
from ase_mlham.core.pattern import BlockPattern
from ase_mlham.core.radial import GaussianRadial
from ase_mlham.core.spin import SpinKind
from ase_mlham.core.structure import Structure
from ase_mlham.core.system import OPERATORS, LCAOSystem
from ase_mlham.hooks import missing_dependency

try:
    from hypothesis import strategies as st
except ModuleNotFoundError as error:
    raise missing_dependency(__name__, error) from error

__all__ = [
    "bases",
    "k_points",
    "matrices",
    "patterns",
    "rotations",
    "spin_kinds",
    "structures",
    "systems",
]

ELEMENTS = (1, 6, 14)
"""Atomic numbers that are drawn unless others are given: H, C, Si."""

_JITTER = 0.25
_VECTOR_OPERATORS = ("position", "gradient")


def spin_kinds() -> st.SearchStrategy[SpinKind]:
    """The three spin kinds."""
    return st.sampled_from(SpinKind)


@st.composite
def rotations(draw: st.DrawFn, proper: bool | None = None) -> NDArray[np.float64]:
    """Orthogonal 3 x 3 matrices, the unit matrix and turns by pi among them.

    Parameters
    ----------
    proper : bool, optional
        True: det = +1. False: det = -1. None: both.
    """
    # integer quaternions: exact special turns are frequent, and shrinking ends at the unit matrix
    w, x, y, z = draw(st.tuples(*[st.integers(-6, 6)] * 4))
    if not any((w, x, y, z)):
        w = 1
    turn = np.array(
        [
            [w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z],
        ]
    ) / (w * w + x * x + y * y + z * z)
    improper = draw(st.booleans()) if proper is None else not proper
    return -turn if improper else turn


@st.composite
def k_points(draw: st.DrawFn, pbc: Iterable[bool] = (True, True, True)) -> NDArray[np.float64]:
    """One k-point, (3,) in fractions of the reciprocal lattice vectors; special ones are frequent.

    Parameters
    ----------
    pbc : (3,) bool
        The component along a direction without periodicity is zero.
    """
    coordinate = st.one_of(
        st.sampled_from([0.0, 0.5, 0.25, 1 / 3, -0.5]),
        st.floats(-1.0, 1.0, allow_subnormal=False),
    )
    return np.array([draw(coordinate) if periodic else 0.0 for periodic in pbc])


@st.composite
def structures(
    draw: st.DrawFn,
    min_atoms: int = 1,
    max_atoms: int = 6,
    pbc: Iterable[bool] | None = None,
    elements: tuple[int, ...] = ELEMENTS,
    outside: bool = True,
    moments: bool = False,
) -> Structure:
    """Structures of a few atoms that are at least 1.3 Å apart, images included.

    Parameters
    ----------
    min_atoms, max_atoms : int
        How many atoms.
    pbc : (3,) bool, optional
        Periodic directions; drawn if not given, from none to all three.
    elements : tuple of int
        Atomic numbers to draw from.
    outside : bool
        Whether atoms may lie outside the cell.
    moments : bool
        Whether atoms may have magnetic moments.
    """
    n_atoms = draw(st.integers(min_atoms, max_atoms))
    directions = st.tuples(st.booleans(), st.booleans(), st.booleans())
    periodic = np.array(draw(directions) if pbc is None else tuple(pbc), dtype=bool)
    # atoms stand on some sites of a grid. Its steps form a triangular matrix, so that no two sites
    # are closer than the smallest diagonal element: no structure has to be thrown away
    shape = [1, 1, 1]
    while math.prod(shape) < n_atoms:
        shape[draw(st.integers(0, 2))] += 1
    step = np.diag(draw(st.tuples(*[st.floats(2.2, 3.2)] * 3)))
    step[np.tril_indices(3, -1)] = draw(st.tuples(*[st.floats(-0.9, 0.9)] * 3))
    sites = np.stack(np.unravel_index(np.arange(math.prod(shape)), shape), axis=1)
    chosen = draw(st.permutations(range(len(sites))))[:n_atoms]
    jitter = [draw(st.tuples(*[st.floats(-_JITTER, _JITTER)] * 3)) for _ in range(n_atoms)]
    cell = np.array(shape)[:, None] * step
    positions = sites[np.array(chosen)] @ step + np.array(jitter)
    if outside:
        cells = [draw(st.tuples(*[st.integers(-2, 2)] * 3)) for _ in range(n_atoms)]
        positions += (np.array(cells) * periodic) @ cell
    for axis in np.flatnonzero(~periodic):
        if draw(st.booleans()):
            cell[axis] = 0.0
    turn = draw(rotations())
    numbers = np.array([draw(st.sampled_from(elements)) for _ in range(n_atoms)])
    moment = st.tuples(*[st.floats(-3, 3)] * 3)
    vectors = draw(st.none() | st.tuples(*[moment] * n_atoms)) if moments else None
    return Structure(
        numbers,
        positions @ turn.T,
        cell @ turn.T,
        periodic,
        None if vectors is None else np.array(vectors),
    )


def _radial(l: int, cutoff: float) -> GaussianRadial:
    """Normalised Gaussian that is down to 2e-3 of its scale at the cut-off."""
    exponent = 6.0 / cutoff**2
    norm = math.sqrt(2 * (2 * exponent) ** (l + 1.5) / math.gamma(l + 1.5))
    return GaussianRadial(l, np.array([exponent]), np.array([norm]), cutoff)


@st.composite
def bases(
    draw: st.DrawFn,
    elements: Iterable[int] = ELEMENTS,
    max_l: int = 2,
    max_shells: int = 3,
    cutoffs: tuple[float, float] = (1.2, 2.2),
    radial: bool = True,
) -> OrbitalBasis:
    """Orbital bases of some elements.

    Parameters
    ----------
    elements : iterable of int
        Atomic numbers to cover.
    max_l, max_shells : int
        Largest angular momentum, and most shells of an element.
    cutoffs : (2,) float
        Smallest and largest cut-off of a shell, Å.
    radial : bool
        Whether the shells have (normalised Gaussian) radial functions.
    """
    species = []
    for number in sorted(set(elements)):
        shells = []
        for l in draw(st.lists(st.integers(0, max_l), min_size=1, max_size=max_shells)):
            cutoff = draw(st.floats(*cutoffs))
            shells.append(Shell(l, cutoff, _radial(l, cutoff) if radial else None))
        n_orbitals = sum(shell.n_orbitals for shell in shells)
        valence = float(draw(st.integers(1, n_orbitals)))
        species.append(SpeciesBasis(number, tuple(shells), valence, label=f"drawn-{number}"))
    return OrbitalBasis(tuple(species))


@st.composite
def patterns(
    draw: st.DrawFn,
    structure: Structure | None = None,
    basis: OrbitalBasis | None = None,
    reach: tuple[float, float] = (0.7, 1.3),
) -> BlockPattern:
    """Block patterns of a structure and basis (both drawn if not given).

    Parameters
    ----------
    structure : Structure, optional
        The atoms.
    basis : OrbitalBasis, optional
        Covers their elements.
    reach : (2,) float
        The cut-offs of the basis are multiplied by a number between these.
    """
    if structure is None:
        structure = draw(structures())
    if basis is None:
        basis = draw(bases(np.unique(structure.numbers).tolist()))
    factor = draw(st.floats(*reach))
    return BlockPattern.from_cutoffs(
        structure,
        basis.species_index(structure.numbers),
        basis.sizes,
        [factor * entry.cutoff for entry in basis.species],
    )


def _random_matrix(
    pattern: BlockPattern,
    structure: Structure | None,
    n_components: int,
    symmetry: int,
    is_complex: bool,
    rng: np.random.Generator,
) -> BlockMatrix:
    """Normal random numbers, damped by exp(-distance), with exact on-site symmetry."""
    decay = np.ones(pattern.n_blocks)
    if structure is not None:
        decay = np.exp(-np.linalg.norm(pattern.vectors(structure), axis=1))
    values = []
    for group in pattern.groups:
        shape = (n_components, group.n_blocks, *pattern.block_shape(group))
        block = rng.standard_normal(shape)
        if is_complex:
            block = block + 1j * rng.standard_normal(shape)
        block = block * decay[group.slice][None, :, None, None]
        here = np.flatnonzero(pattern.onsite[group.slice])
        if len(here):
            onsite = block[:, here]
            block[:, here] = (onsite + symmetry * onsite.conj().swapaxes(-1, -2)) / 2
        values.append(block)
    return BlockMatrix(pattern, tuple(values), symmetry)


@st.composite
def matrices(
    draw: st.DrawFn,
    pattern: BlockPattern | None = None,
    structure: Structure | None = None,
    n_components: int | None = None,
    symmetry: int | None = None,
    is_complex: bool | None = None,
) -> BlockMatrix:
    """Random Hermitian (or anti-Hermitian) matrices on a pattern; what is not given is drawn.

    Parameters
    ----------
    pattern : BlockPattern, optional
        Which blocks exist.
    structure : Structure, optional
        With it, blocks decay as exp(-distance / Å).
    n_components : int, optional
        1 to 4.
    symmetry : int, optional
        +1 or -1.
    is_complex : bool, optional
        Whether the numbers are complex128 rather than float64.
    """
    if pattern is None:
        pattern = draw(patterns(structure))
    n_components = draw(st.integers(1, 4)) if n_components is None else n_components
    symmetry = draw(st.sampled_from([1, -1])) if symmetry is None else symmetry
    is_complex = draw(st.booleans()) if is_complex is None else is_complex
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return _random_matrix(pattern, structure, n_components, symmetry, is_complex, rng)


def _random_overlap(
    pattern: BlockPattern, structure: Structure, rng: np.random.Generator
) -> BlockMatrix:
    """Unit matrix plus a decaying part whose rows sum to less than 1/2.

    By Gershgorin's theorem for blocks all eigenvalues of S(k) then lie between 1/2 and 3/2.
    """
    raw = _random_matrix(pattern, structure, 1, 1, False, rng)
    reach = np.zeros(pattern.n_atoms)
    for group, array in zip(pattern.groups, raw.values, strict=True):
        onsite = pattern.onsite[group.slice]
        norm = np.where(onsite, 0.0, np.sqrt((array[0] ** 2).sum(axis=(1, 2))))
        np.add.at(reach, pattern.i[group.slice], norm)
        np.add.at(reach, pattern.j[group.slice], norm)
    scale = 0.5 / max(float(reach.max()), 1.0)
    values = []
    for group, array in zip(pattern.groups, raw.values, strict=True):
        block = scale * array
        block[:, pattern.onsite[group.slice]] = np.eye(*pattern.block_shape(group))
        values.append(block)
    return BlockMatrix(pattern, tuple(values))


@st.composite
def systems(
    draw: st.DrawFn,
    spin: SpinKind | str | None = None,
    structure: Structure | None = None,
    basis: OrbitalBasis | None = None,
    operators: Iterable[str] = (),
    time_reversal: bool | None = None,
    same_pattern: bool | None = None,
    max_atoms: int = 4,
    max_l: int = 2,
    max_shells: int = 2,
    moments: bool = False,
) -> LCAOSystem:
    """Complete systems with random Hermitian H(R) and an S(R) that is positive at every k.

    The eigenvalues of S(k) lie between 1/2 and 3/2, so that the generalised eigenvalues are well
    defined. H, S and each operator have patterns of their own, unless `same_pattern` is set.

    Parameters
    ----------
    spin : SpinKind or str, optional
        Spin kind; drawn if not given.
    structure : Structure, optional
        The atoms; drawn if not given.
    basis : OrbitalBasis, optional
        Covers their elements; drawn if not given.
    operators : iterable of str
        Names of `core.system.OPERATORS` that the system shall carry.
    time_reversal : bool, optional
        True: the spin components x, y, z of H are imaginary (zero for a collinear system). False:
        they are general. Drawn if not given.
    same_pattern : bool, optional
        True: H, S and operators on one pattern. False: each on its own. Drawn if not given.
    max_atoms, max_l, max_shells : int
        Sizes of what is drawn.
    moments : bool
        Whether atoms may have magnetic moments.
    """
    kind = draw(spin_kinds()) if spin is None else SpinKind.parse(spin)
    if structure is None:
        structure = draw(structures(max_atoms=max_atoms, moments=moments))
    if basis is None:
        elements = np.unique(structure.numbers).tolist()
        basis = draw(bases(elements, max_l=max_l, max_shells=max_shells))
    shared = draw(st.booleans()) if same_pattern is None else same_pattern
    common = draw(patterns(structure, basis))

    def pattern() -> BlockPattern:
        return common if shared else draw(patterns(structure, basis))

    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    symmetric = draw(st.booleans()) if time_reversal is None else time_reversal
    spinor = kind is SpinKind.SPINOR
    hamiltonian = _random_matrix(pattern(), structure, kind.n_components, 1, spinor, rng)
    if symmetric:
        hamiltonian = _time_reversal_symmetric(hamiltonian, kind)
    further = {}
    for name in operators:
        n_components = 3 if name in _VECTOR_OPERATORS else 1
        symmetry = -1 if name == "gradient" else 1
        if name not in OPERATORS:
            raise ValueError(f"operator {name!r} is unknown; known: {', '.join(OPERATORS)}")
        further[name] = _random_matrix(pattern(), structure, n_components, symmetry, False, rng)
    return LCAOSystem(
        structure=structure,
        basis=basis,
        hamiltonian=hamiltonian,
        overlap=_random_overlap(pattern(), structure, rng),
        n_electrons=basis.n_electrons(structure.numbers),
        spin=kind,
        fermi_level=draw(st.none() | st.floats(-3.0, 3.0)),
        operators=further,
        provenance={"source": "hypothesis"},
    )


def _time_reversal_symmetric(matrix: BlockMatrix, kind: SpinKind) -> BlockMatrix:
    """The part of a Hamiltonian that time reversal keeps."""
    if kind is SpinKind.NONE:
        return matrix
    values = [array.copy() for array in matrix.values]
    for array in values:
        if kind is SpinKind.COLLINEAR:
            array[1] = 0.0
        else:
            array[0] = array[0].real
            array[1:] = 1j * array[1:].imag
    return BlockMatrix(matrix.pattern, tuple(values), matrix.symmetry)
