"""Systems whose bands are known in closed form."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

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


def tight_binding(
    structure: Structure,
    hoppings: list[tuple[int, int, tuple[int, int, int], float]],
    n_electrons: float,
    overlaps: list[tuple[int, int, tuple[int, int, int], float]] | None = None,
    spin: SpinKind | str = SpinKind.NONE,
    components: list[list[tuple[int, int, tuple[int, int, int], complex]]] | None = None,
) -> LCAOSystem:
    """One s orbital an atom, given hoppings and overlaps (i, j, R, value); S = 1 on site."""
    spin = SpinKind.parse(spin)
    numbers = np.unique(structure.numbers)
    basis = OrbitalBasis(tuple(SpeciesBasis(int(z), (Shell(0, 1.0),), 1.0) for z in numbers))
    species = basis.species_index(structure.numbers)

    def matrix(elements: list[list[tuple[int, int, tuple[int, int, int], complex]]]) -> BlockMatrix:
        listed = [e for one in elements for e in one]
        i, j, R = ([e[n] for e in listed] for n in range(3))
        pattern = BlockPattern.from_pairs(species, basis.sizes, i, j, np.reshape(R, (-1, 3)))
        kind = np.complex128 if any(np.iscomplex(e[3]) for e in listed) else np.float64
        out = BlockMatrix.zeros(pattern, len(elements), kind)
        for c, one in enumerate(elements):
            for i_, j_, R_, value in one:
                index, swapped = pattern.find([i_], [j_], [R_])
                for group, array in zip(pattern.groups, out.values, strict=True):
                    if group.start <= index[0] < group.stop:
                        stored = np.conj(value) if swapped[0] else value
                        array[c, index[0] - group.start] = (
                            stored if kind == np.complex128 else (np.real(stored))
                        )
        return out

    everything = components or [hoppings]
    while len(everything) < spin.n_components:
        everything.append([])
    ones = [(a, a, (0, 0, 0), 1.0) for a in range(structure.n_atoms)]
    return LCAOSystem(
        structure,
        basis,
        matrix(everything),
        matrix([ones + (overlaps or [])]),
        n_electrons,
        spin,
    )


@pytest.fixture
def chain() -> Callable[..., LCAOSystem]:
    """E(k) = (e + 2 t cos ka) / (1 + 2 s cos ka)."""

    def make(
        hopping: float = -1.0,
        overlap: float = 0.0,
        onsite: float = 0.0,
        n_electrons: float = 1.0,
        spin: str = "none",
    ) -> LCAOSystem:
        structure = Structure([1], np.zeros((1, 3)), np.diag([2.0, 0, 0]), [True, False, False])
        return tight_binding(
            structure,
            [(0, 0, (0, 0, 0), onsite), (0, 0, (1, 0, 0), hopping)],
            n_electrons,
            [(0, 0, (1, 0, 0), overlap)],
            spin,
        )

    return make


@pytest.fixture
def cubic() -> Callable[..., LCAOSystem]:
    """E(k) = 2 t (cos kx + cos ky + cos kz), one s orbital on a cubic lattice."""

    def make(n_electrons: float = 1.0, hopping: float = -1.0, spin: str = "none") -> LCAOSystem:
        structure = Structure([1], np.zeros((1, 3)), 2.0 * np.eye(3), [True] * 3)
        hops = [(0, 0, R, hopping) for R in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
        return tight_binding(structure, hops, n_electrons, spin=spin)

    return make


@pytest.fixture
def honeycomb() -> Callable[..., LCAOSystem]:
    """Graphene's pz bands, E = +-sqrt(m^2 + t^2 |f(k)|^2), with a mass that opens a gap 2 m."""

    def make(
        mass: float = 0.0, hopping: float = -2.7, n_electrons: float = 2.0, cell_height: float = 0.0
    ) -> LCAOSystem:
        a = 2.46
        cell = np.array([[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, cell_height]])
        positions = np.array([[0, 0, 0], [0, a / np.sqrt(3), 0]])
        structure = Structure([6, 6], positions, cell, [True, True, False])
        hops = [(0, 1, R, hopping) for R in ((0, 0, 0), (0, -1, 0), (-1, -1, 0))]
        onsite = [(0, 0, (0, 0, 0), mass), (1, 1, (0, 0, 0), -mass)]
        return tight_binding(structure, hops + onsite, n_electrons)

    return make


@pytest.fixture
def make_system() -> Callable[..., LCAOSystem]:
    """Any one-orbital model."""
    return tight_binding
