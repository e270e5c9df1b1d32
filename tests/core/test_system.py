"""A system is complete or refused; its energy zero can be moved."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import eigvalsh

from ase_mlham.core import (
    BlockMatrix,
    BlockPattern,
    LCAOSystem,
    OrbitalBasis,
    Shell,
    SpeciesBasis,
    SpinKind,
    Structure,
)
from ase_mlham.core.spin import spin_blocks
from ase_mlham.core.system import OPERATORS, VECTOR_OPERATORS
from ase_mlham.errors import BasisError, InputError
from ase_mlham.testing.strategies import k_points, systems
from ase_mlham.testing.tolerances import tolerance

EXACT, EIGENVALUES = tolerance().algebra, tolerance().eigenvalues


def eigenvalues(system: LCAOSystem, k: np.ndarray) -> np.ndarray:
    """Generalised eigenvalues of each spin channel."""
    overlap = system.overlap.at_k(k)[0]
    blocks = spin_blocks(system.hamiltonian.at_k(k), system.spin)
    repeat = blocks.shape[-1] // len(overlap)
    return np.stack([eigvalsh(h, np.kron(np.eye(repeat), overlap)) for h in blocks])


@given(systems(), k_points(), st.floats(-5.0, 5.0))
def test_shifting_the_energy_zero_moves_all_eigenvalues(
    system: LCAOSystem, k: np.ndarray, shift: float
) -> None:
    """H + mu S, also where S reaches further than H."""
    moved = system.shift_energy(shift)
    assert abs(eigenvalues(moved, k) - eigenvalues(system, k) - shift).max() < EIGENVALUES
    assert (moved.fermi_level is None) == (system.fermi_level is None)
    if system.fermi_level is not None:
        assert moved.fermi_level == system.fermi_level + shift


@given(systems(time_reversal=True), k_points())
def test_time_reversal_gives_equal_levels_at_minus_k(system: LCAOSystem, k: np.ndarray) -> None:
    levels, opposite = eigenvalues(system, k), eigenvalues(system, -k)
    assert abs(levels - opposite).max() < EIGENVALUES


@given(systems(spin="spinor", time_reversal=True))
def test_kramers_pairs_at_gamma(system: LCAOSystem) -> None:
    levels = eigenvalues(system, np.zeros(3))[0]
    assert abs(levels[::2] - levels[1::2]).max() < EIGENVALUES


@given(systems())
def test_orbital_labels_follow_storage_order(system: LCAOSystem) -> None:
    labels = system.orbital_labels()
    assert len(labels) == system.n_orbitals
    offsets = system.overlap.pattern.offsets
    for atom, number in enumerate(system.structure.numbers):
        mine = labels[offsets[atom] : offsets[atom + 1]]
        entry = system.basis[int(number)]
        assert {label[0] for label in mine} == {atom}
        assert [label[3] for label in mine if label[4] == 0] == list(entry.l)
        for shell, start in enumerate(entry.offsets[:-1]):
            l = entry.l[shell]
            run = mine[start : start + 2 * l + 1]
            assert [label[2] for label in run] == [shell] * (2 * l + 1)
            assert [label[4] for label in run] == list(range(-l, l + 1))


@given(systems(operators=OPERATORS))
def test_replace_keeps_the_rest(system: LCAOSystem) -> None:
    again = system.replace(provenance={"source": "test"})
    assert again.source == "test"
    assert again.hamiltonian is system.hamiltonian
    assert again.operators == system.operators
    assert system.replace(provenance={}).source == "unknown"


BASIS = OrbitalBasis(
    (SpeciesBasis(1, (Shell(0, 1.5),), 1.0), SpeciesBasis(6, (Shell(1, 1.5),), 4.0))
)
STRUCTURE = Structure([1, 6], [[0, 0, 0], [0, 0, 1.1]], np.zeros((3, 3)), [False] * 3)
PATTERN = BlockPattern.from_pairs([0, 1], [1, 3], [0], [1], [(0, 0, 0)])


def unit(scale: float = 1.0) -> BlockMatrix:
    onsite = (np.ones((1, 1, 1, 1)), np.zeros((1, 1, 1, 3)), np.eye(3)[None, None])
    return BlockMatrix(PATTERN, tuple(scale * array for array in onsite))


def beyond() -> BlockMatrix:
    pattern = BlockPattern.from_pairs([0, 1], [1, 3], [0], [1], [(0, 0, 1)])
    return BlockMatrix.zeros(pattern)


zeros = partial(BlockMatrix.zeros, PATTERN)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"structure": Structure([6, 1], np.eye(3)[:2], np.eye(3), [False] * 3)},
            BasisError,
            "fit",
        ),
        ({"structure": Structure([1, 7], np.eye(3)[:2], np.eye(3), [False] * 3)}, BasisError, "N"),
        ({"basis": OrbitalBasis(BASIS.species[:1])}, BasisError, r"atom 1 \(C\)"),
        ({"fermi_level": np.nan}, InputError, "Fermi level is nan"),
        ({"hamiltonian": beyond()}, InputError, "hamiltonian has blocks along a direction"),
        ({"spin": "spinor"}, InputError, "4 Pauli components, this one 1"),
        ({"spin": "up"}, InputError, "spin kind 'up'"),
        ({"hamiltonian": zeros(symmetry=-1)}, InputError, "must be Hermitian"),
        ({"overlap": zeros(n_components=2)}, InputError, "one real matrix"),
        ({"overlap": zeros(dtype=complex)}, InputError, "one real matrix"),
        ({"overlap": zeros()}, InputError, "no norm"),
        ({"n_electrons": 8.5}, InputError, "hold 8"),
        ({"n_electrons": -1.0}, InputError, "-1.0 electrons"),
        ({"n_electrons": np.nan}, InputError, "nan electrons"),
        ({"operators": {"spam": zeros()}}, InputError, "known: kinetic"),
        ({"operators": {"position": zeros()}}, InputError, "1 components and symmetry 1; exp"),
        ({"operators": {"gradient": zeros(n_components=3)}}, InputError, "expected 3 and -1"),
        ({"operators": {"kinetic": zeros(symmetry=-1)}}, InputError, "symmetry -1; expected 1"),
    ],
)
def test_refusals(changes: dict, error: type, message: str) -> None:
    parts = {
        "structure": STRUCTURE,
        "basis": BASIS,
        "hamiltonian": unit(-3.0),
        "overlap": unit(),
        "n_electrons": 5.0,
    }
    assert LCAOSystem(**parts).spin is SpinKind.NONE
    with pytest.raises(error, match=message):
        LCAOSystem(**{**parts, **changes})


def test_vector_operators_are_known_operators() -> None:
    assert set(OPERATORS) >= VECTOR_OPERATORS


@given(systems())
def test_a_system_can_be_printed(system: LCAOSystem) -> None:
    """Structure, basis and sizes, but no matrix elements: failing examples are read by people."""
    text = repr(system)
    assert len(text) < 6000
    assert repr(system.hamiltonian) in text
    assert f"{system.hamiltonian.pattern.n_blocks} blocks, " in repr(system.hamiltonian)
    assert f"{system.n_orbitals} orbitals" in repr(system.overlap.pattern)
