"""Errors of matrices and bands, free of gauge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ase_mlham as mh
from ase_mlham.core import OrbitalBasis, Shell, SpeciesBasis
from ase_mlham.electronic.comparison import (
    BandComparison,
    compare_bands,
    compare_matrices,
    compare_systems,
)
from ase_mlham.errors import InputError
from ase_mlham.testing.strategies import matrices, systems


@settings(max_examples=15, deadline=None)
@given(data=st.data(), shift=st.floats(-5, 5))
def test_a_shift_of_energy_is_no_error(data: st.DataObject, shift: float) -> None:
    # shift_energy needs H to reach as far as S
    system = data.draw(systems(same_pattern=True))
    found = compare_matrices(system.shift_energy(shift), system)
    assert found.shift == pytest.approx(shift, abs=1e-9)
    assert found.error.max < 1e-9
    kpts = tuple(2 if p else 1 for p in system.structure.pbc)
    bands = compare_systems(system.shift_energy(shift), system, kpts)
    assert bands.shift == pytest.approx(shift, abs=1e-6)
    assert bands.occupied.count == 0 or bands.occupied.max < 1e-6
    assert bands.gap_error == pytest.approx(0, abs=1e-6)


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_matrix_error_counts_both_members_of_pairs(data: st.DataObject) -> None:
    system = data.draw(systems(spin="none", max_atoms=2))
    noise = data.draw(
        matrices(system.hamiltonian.pattern, n_components=1, symmetry=1, is_complex=False)
    )
    other = system.replace(hamiltonian=system.hamiltonian + 0.01 * noise)
    found = compare_matrices(other, system)
    # by definition: all R, both directions, on the union with the pattern of S
    union = system.hamiltonian.pattern.union(system.overlap.pattern)
    h = (0.01 * noise).on_pattern(union)
    s = system.overlap.on_pattern(union)
    d = np.concatenate([(h.dense(R) - found.shift * s.dense(R)).ravel() for R in h.cells])
    weight = np.where(union.onsite, 1, 2)
    numbers = sum(
        int(weight[g.slice].sum()) * int(np.prod(union.block_shape(g))) for g in union.groups
    )
    # `dense` has zeros where no block is: only sums agree
    assert found.error.mean * numbers == pytest.approx(abs(d).sum(), rel=1e-9)
    assert found.error.rms**2 * numbers == pytest.approx((d**2).sum(), rel=1e-9)
    ds = np.concatenate([s.dense(R).ravel() for R in s.cells])
    dh = np.concatenate([h.dense(R).ravel() for R in h.cells])
    assert found.shift == pytest.approx((dh @ ds) / (ds @ ds), abs=1e-12)


def test_windows_of_an_insulator(honeycomb) -> None:
    first, second = honeycomb(mass=0.52), honeycomb(mass=0.5)
    found = compare_systems(first, second, (6, 6, 1))
    assert found.gap_error == pytest.approx(0.04, abs=1e-6)
    # states move apart: the median shift is zero, and both sides err by at most the mass
    assert abs(found.shift) < 0.021
    assert found.occupied.count == 36
    assert set(found.windows) == {"1 eV", "3 eV"}
    assert found.windows["1 eV"].count < found.windows["3 eV"].count < 72
    assert BandComparison.from_dict(found.to_dict()) == found
    assert "meV" in str(found)


def test_band_structures_of_ase_too(honeycomb) -> None:
    path = mh.bands(honeycomb(mass=0.5), npoints=20)
    other = mh.bands(honeycomb(mass=0.5).shift_energy(1.0), npoints=20)
    found = compare_bands(other, path)
    assert found.shift == pytest.approx(1.0)
    assert found.occupied.max < 1e-9


def test_what_cannot_be_compared(honeycomb, chain) -> None:
    with pytest.raises(InputError, match="different atoms"):
        compare_matrices(honeycomb(), chain())
    with pytest.raises(InputError, match="collinear"):
        compare_matrices(chain(spin="collinear"), chain())
    moved = honeycomb(cell_height=10.0)
    with pytest.raises(InputError, match="differ by more"):
        compare_matrices(moved, honeycomb())
    with pytest.raises(InputError, match="same k-points"):
        compare_bands(mh.bands(chain(), npoints=4), mh.bands(chain(), npoints=5))


def test_basis_of_a_model_may_know_more_elements(honeycomb) -> None:
    from ase_mlham.core import BlockMatrix, BlockPattern

    system = honeycomb()
    shell = (Shell(0, 1.0),)
    basis = OrbitalBasis((SpeciesBasis(1, shell, 1.0), *system.basis.species))
    species = basis.species_index(system.structure.numbers)
    p = system.hamiltonian.pattern

    def moved(matrix: BlockMatrix) -> BlockMatrix:
        q = matrix.pattern
        return BlockMatrix(BlockPattern(species, basis.sizes, q.i, q.j, q.R), matrix.values)

    wider = system.replace(
        basis=basis, hamiltonian=moved(system.hamiltonian), overlap=moved(system.overlap)
    )
    assert len(basis.sizes) > len(p.sizes)
    assert compare_matrices(wider, system).error.max == 0
