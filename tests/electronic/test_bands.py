"""Bands, Fermi level and gap of models with closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from ase.spectrum.band_structure import BandStructure
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import eigh

import ase_mlham as mh
from ase_mlham.core.spin import spin_blocks
from ase_mlham.electronic.bands import band_states
from ase_mlham.electronic.states import eigenstates, orbital_norm
from ase_mlham.errors import InputError, SolverError
from ase_mlham.testing.strategies import k_points, systems
from ase_mlham.testing.tolerances import tolerance

EIGENVALUES = tolerance().eigenvalues


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_energies_are_those_of_scipy(data: st.DataObject) -> None:
    system = data.draw(systems())
    k = data.draw(k_points(system.structure.pbc))
    states = eigenstates(system, k[None], spin=True, measures={"norm": orbital_norm})
    overlap = system.overlap.at_k(k)[0]
    doubled = np.kron(np.eye(states.energies.shape[-1] // len(overlap)), overlap)
    for found, matrix in zip(
        states.energies, spin_blocks(system.hamiltonian.at_k(k), system.spin), strict=True
    ):
        expected = eigh(matrix, doubled, eigvals_only=True)
        scale = max(1.0, abs(expected).max())
        assert np.allclose(found[0], expected, rtol=0, atol=EIGENVALUES * scale)
    # eigenvalues of S lie between 1/2 and 3/2, so C^H C lies between 2/3 and 2
    assert np.all((states.measured["norm"] > 0.66) & (states.measured["norm"] < 2.01))
    length = np.linalg.norm(states.spin_expectation, axis=-1)
    assert np.all(length <= 1 + EIGENVALUES)


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_vectors_solve_the_problem(data: st.DataObject) -> None:
    system = data.draw(systems(spin="spinor"))
    k = data.draw(k_points(system.structure.pbc))
    states = eigenstates(system, k[None], vectors=True)
    c = states.measured["vectors"][0, 0].T
    h = spin_blocks(system.hamiltonian.at_k(k), system.spin)[0]
    s = np.kron(np.eye(2), system.overlap.at_k(k)[0])
    energies = states.energies[0, 0]
    assert np.allclose(h @ c, s @ c * energies, atol=EIGENVALUES * max(1, abs(energies).max()))
    assert np.allclose(c.conj().T @ s @ c, np.eye(len(s)), atol=EIGENVALUES)


def test_chain(chain) -> None:
    system = chain(hopping=-1.3, overlap=0.2, onsite=0.4)
    structure = mh.bands(system, "GX", npoints=11, kpts=(12, 1, 1))
    assert isinstance(structure, BandStructure)
    cosine = np.cos(2 * np.pi * structure.path.kpts[:, 0])
    expected = (0.4 - 2.6 * cosine) / (1 + 0.4 * cosine)
    assert np.allclose(structure.energies[0, :, 0], expected, atol=EIGENVALUES)
    # half filling: the level of the band at a quarter of the zone, where cos = 0
    assert structure.reference == pytest.approx(0.4, abs=1e-6)


def test_dirac_point(honeycomb) -> None:
    states = band_states(honeycomb(), "GMKG", npoints=40)
    at_k = states.path.special_points["K"]
    touch = eigenstates(honeycomb(), at_k[None]).energies[0, 0]
    assert np.allclose(touch, 0, atol=EIGENVALUES)
    assert states.energies.min() == pytest.approx(-3 * 2.7, abs=EIGENVALUES)
    assert mh.gap(honeycomb(), kpts=(12, 12, 1)).is_metal
    assert mh.fermi_level(honeycomb(), kpts=(12, 12, 1)) == pytest.approx(0, abs=1e-3)


def test_massive_honeycomb_has_a_direct_gap_at_k(honeycomb) -> None:
    # a mesh of 7 does not hold K: the search has to find it
    found = mh.gap(honeycomb(mass=0.35), kpts=(7, 7, 1), path=False)
    assert found.fundamental == pytest.approx(0.7, abs=1e-4)
    assert found.is_direct
    third = np.sort(abs(np.array(found.vbm.k[:2]) - np.round(found.vbm.k[:2])))
    assert np.allclose(third, 1 / 3, atol=2e-3)
    assert found.fermi_level == pytest.approx(0, abs=1e-4)


def test_gap_survives_its_dictionary(honeycomb) -> None:
    import json
    from dataclasses import replace

    from ase_mlham.electronic.gap import ChannelGap, Gap

    for mass in (0.0, 0.35):
        found = mh.gap(honeycomb(mass=mass), kpts=(6, 6, 1))
        assert Gap.from_dict(json.loads(json.dumps(found.to_dict()))) == found
        assert ("metal" in str(found)) == (mass == 0)
    # strict JSON knows no infinity, which is the gap of a channel that is empty
    empty = replace(found, channels=(ChannelGap("down", np.inf, np.inf),))
    assert Gap.from_dict(json.loads(json.dumps(empty.to_dict(), allow_nan=False))) == empty


def test_ill_conditioned_overlap_is_refused_by_name(chain) -> None:
    # S(k) = 1 + 2 s cos(2 pi k) vanishes at the zone boundary for s = 1/2
    system = chain(overlap=0.5)
    with pytest.raises(SolverError, match=r"k = \(0\.5, 0, 0\).*overlap_floor"):
        eigenstates(system, [[0.5, 0.0, 0.0]])
    assert eigenstates(system, [[0.25, 0.0, 0.0]]).energies[0, 0, 0] == pytest.approx(0)


def test_overlap_floor_projects(make_system) -> None:
    structure = mh.Structure([1, 1], [[0, 0, 0], [1, 0, 0]], np.zeros((3, 3)), [False] * 3)
    nearly = 1 - 1e-9
    system = make_system(
        structure,
        [(0, 0, (0, 0, 0), -1.0), (1, 1, (0, 0, 0), -1.0), (0, 1, (0, 0, 0), -1.0)],
        2,
        [(0, 1, (0, 0, 0), nearly)],
    )
    with pytest.raises(SolverError, match=r"eigenvalue 1\.0e-09"):
        eigenstates(system)
    states = eigenstates(system, overlap_floor=1e-4)
    # what is left is the bonding combination, E = (e + t) / (1 + s)
    assert states.energies.shape == (1, 1, 1)
    assert states.energies[0, 0, 0] == pytest.approx(-2 / (1 + nearly))
    with pytest.raises(InputError, match="between 0 and 1"):
        eigenstates(system, overlap_floor=2.0)


def test_unknown_solver_names_the_nearest(chain) -> None:
    with pytest.raises(SolverError, match="did you mean 'dense'"):
        eigenstates(chain(), solver="dens")


def test_molecule_has_gamma_only(make_system) -> None:
    structure = mh.Structure([1, 1], [[0, 0, 0], [1, 0, 0]], np.zeros((3, 3)), [False] * 3)
    system = make_system(structure, [(0, 1, (0, 0, 0), -1.5)], 2)
    levels = mh.bands(system)
    assert levels.energies[0].tolist() == [pytest.approx([-1.5, 1.5])]
    found = mh.gap(system)
    assert (found.fundamental, found.vbm.energy, found.cbm.energy) == pytest.approx((3, -1.5, 1.5))
    assert mh.fermi_level(system) == pytest.approx(0)
