"""Spin and projections through the calculator are those of the functions on its system."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ase_mlham as mh
from ase_mlham.electronic.k_plane import k_plane
from ase_mlham.electronic.projections import state_weights
from ase_mlham.electronic.spin_plane import spin_contour, spin_plane

DATA = Path(__file__).parent.parent / "data" / "openmx"


@pytest.fixture
def oxygen():
    """A magnetic molecule with spinors, moments along theta = 50 and phi = 30 degrees."""
    return mh.MLHamiltonian(str(DATA / "o2_nc.scfout.zst")).get_atoms()


def test_moments_are_vectors(oxygen) -> None:
    system = oxygen.calc.system()
    for projection in ("mulliken", "lowdin"):
        found = oxygen.calc.charges(projection=projection)
        assert found.projection.value == projection
        expected = mh.charges(system, projection=projection)
        assert np.allclose(found.moments, expected.moments)
        assert np.allclose(np.linalg.norm(found.moments, axis=1), 1, atol=1e-4)


def test_bands_with_weights_and_spin(oxygen) -> None:
    calc, system = oxygen.calc, oxygen.calc.system()
    found = calc.fat_bands(by="shell", method="lowdin")
    expected = mh.fat_bands(system, by="shell", method="lowdin")
    assert np.allclose(found.weights, expected.weights)
    assert found.bands.reference == pytest.approx(calc.band_structure().reference)
    wide = mh.MLHamiltonian(system=system, smearing=0.4)
    assert wide.fat_bands().bands.reference == pytest.approx(wide.band_structure().reference)
    spins = calc.spin_bands(reference=0.5)
    assert spins.bands.reference == 0.5
    alone = ~spins.degenerate
    assert np.allclose(np.linalg.norm(spins.spin[alone], axis=-1), 1, atol=1e-4)
    weights = calc.state_weights((0, 0, 0), 3, method="lowdin")
    assert np.allclose(weights, state_weights(system, (0, 0, 0), 3, method="lowdin"))


def test_planes_and_contours(triangular) -> None:
    calc = mh.MLHamiltonian(system=triangular, kpts=(3, 3, 1))
    found = calc.spin_plane("G", [0, 1], extent=0.5, size=4)
    plane = k_plane(triangular.structure, "G", extent=0.5, size=4)
    assert np.array_equal(found.plane.kpts, plane.kpts)
    assert np.allclose(found.spin, spin_plane(triangular, plane, [0, 1]).spin)
    strict = calc.spin_plane("G", [0, 1], extent=0.5, size=4, tolerance=0.0)
    assert not strict.degenerate.any()
    level = calc.get_fermi_level()
    lines = calc.spin_contour(size=9, extent=1.2)
    assert lines.energy == pytest.approx(level)
    expected = spin_contour(triangular, level, k_plane(triangular.structure, extent=1.2, size=9))
    assert len(lines.lines) == len(expected.lines) > 0


@pytest.fixture
def triangular():
    """A metal of one s orbital on a triangular lattice with a field along x."""
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

    cell = np.array([[2.5, 0, 0], [-1.25, 2.165, 0], [0, 0, 12.0]])
    structure = Structure([1], np.zeros((1, 3)), cell, [True, True, False])
    basis = OrbitalBasis((SpeciesBasis(1, (Shell(0, 1.5),), 1.0),))
    pattern = BlockPattern.from_cutoffs(structure, np.zeros(1, int), basis.sizes, [1.5])
    onsite = pattern.onsite
    (array,) = BlockMatrix.zeros(pattern, 4, np.complex128).values
    array[0, ~onsite] = -1.0
    array[1, onsite] = 0.3
    (overlap,) = BlockMatrix.zeros(pattern, 1, np.float64).values
    overlap[0, onsite] = 1.0
    return LCAOSystem(
        structure,
        basis,
        BlockMatrix(pattern, (array,)),
        BlockMatrix(pattern, (overlap,)),
        1.0,
        SpinKind.SPINOR,
    )
