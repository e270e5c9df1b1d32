"""Spin in learning: real parts, their irreps, and the symmetries of predicted spinors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import eigh

from ase_mlham import hooks, read_system
from ase_mlham.core import OrbitalBasis, SpinKind, Structure
from ase_mlham.core.spin import PAULI, spin_blocks, su2
from ase_mlham.core.transform import orbital_rotation, rotated_matrix
from ase_mlham.errors import DomainError, InputError
from ase_mlham.learning.dataset import ReferenceData
from ase_mlham.learning.layout import BlockLayout
from ase_mlham.learning.model import HamiltonianModel
from ase_mlham.learning.networks import make_network
from ase_mlham.learning.parts import n_real, part_names, parts_of, real_parts, to_components
from ase_mlham.learning.tensors import left_out, to_coefficients, to_matrix
from ase_mlham.learning.testing import check_family, probe_basis
from ase_mlham.testing.strategies import systems

ROUND_OFF = 1e-12


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(list(SpinKind)), st.integers(0, 2**31))
def test_real_parts_hold_everything(spin, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(spin.n_components, 3, 4, 5))
    if spin is SpinKind.SPINOR:
        values = values + 1j * rng.normal(size=values.shape)
    parts = parts_of(spin, part_names(spin))
    real, left = real_parts(values, parts)
    assert real.shape == (n_real(parts), 3, 4, 5)
    assert left == 0.0
    np.testing.assert_array_equal(to_components(real, parts, spin), values)


@pytest.mark.parametrize("spin", list(SpinKind))
def test_parts_that_are_not_there_are_zero(spin):
    values = np.arange(6.0).reshape(1, 1, 2, 3)
    whole = to_components(values, parts_of(spin, "P"), spin)
    assert whole.shape == (spin.n_components, 1, 2, 3)
    np.testing.assert_array_equal(whole[:1], values)
    assert not whole[1:].any()


def test_what_is_left_out_is_said():
    values = np.zeros((4, 1, 1, 1), complex)
    values[:, 0, 0, 0] = [1 + 0.25j, 2j, 3j, 0.5 + 4j]
    real, left = real_parts(values, parts_of(SpinKind.SPINOR))
    assert real[:, 0, 0, 0].tolist() == [1, 2, 3, 4]
    assert left == 0.5


def test_parts_must_belong_to_the_spin_kind():
    with pytest.raises(InputError, match="a none Hamiltonian has P"):
        parts_of(SpinKind.NONE, ("P", "B"))
    with pytest.raises(InputError, match="P cannot be left out"):
        parts_of(SpinKind.SPINOR, ("B",))


def test_irreps_of_the_axial_part():
    """Multiplicities of s2p2d1 x s2p2d1 coupled with an axial vector, counted by hand."""
    basis = OrbitalBasis((probe_basis()[14],))
    plain, spinor = BlockLayout(basis), BlockLayout(basis, SpinKind.SPINOR)

    def counts(layout, part):
        found = {}
        for L, entries in enumerate(layout.channels):
            for channel in entries:
                if channel.part == part:
                    key = f"{L}{'e' if channel.natural == (L % 2 == 0) else 'o'}"
                    found[key] = found.get(key, 0) + 1
        return found

    assert plain.n_coefficients == 169
    assert spinor.n_coefficients == 4 * 169
    assert counts(spinor, 0) == counts(plain, 0)
    assert counts(spinor, 1) == {
        "0e": 5,
        "0o": 12,
        "1e": 23,
        "1o": 16,
        "2e": 15,
        "2o": 20,
        "3e": 11,
        "3o": 8,
        "4e": 2,
        "4o": 4,
        "5e": 1,
    }


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(list(SpinKind)), st.data())
def test_coefficients_of_any_hamiltonian_give_it_back(spin, data):
    system = data.draw(systems(spin=spin, max_atoms=3))
    layout = BlockLayout(system.basis, spin, part_names(spin))
    coefficients = to_coefficients(layout, system.hamiltonian)
    assert left_out(layout, system.hamiltonian) == 0.0
    again = to_matrix(layout, system.hamiltonian.pattern, coefficients)
    for a, b in zip(again.values, system.hamiltonian.values, strict=True):
        np.testing.assert_allclose(a, b, atol=ROUND_OFF * 100)
    # the change of basis is orthogonal: nothing grows or shrinks
    overlap = to_coefficients(layout, system.overlap)
    assert overlap.onsite.shape[1] == layout.n_coefficients


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_on_site_coefficients_are_their_own_reversal(data):
    spin = SpinKind.SPINOR
    system = data.draw(systems(spin=spin, max_atoms=3))
    layout = BlockLayout(system.basis, spin, part_names(spin))
    index, sign = layout.reversal
    onsite = to_coefficients(layout, system.hamiltonian).onsite.numpy()
    np.testing.assert_allclose(onsite[:, index] * sign, onsite, atol=ROUND_OFF * 100)


@pytest.mark.parametrize("family", ["pairwise", "hamgnn"])
def test_families_conform_with_spin_orbit_coupling(family):
    if family == "hamgnn":
        pytest.importorskip("ase_mlham_hamgnn")
    small = {"natural": 6, "other": 4, "layers": 1, "hidden": 8, "bessel": 4}
    config = small if family == "hamgnn" else {}
    check_family(family, spin="spinor", steps=40, **config).raise_for_failures()


@pytest.fixture(scope="module")
def spinor_model():
    pytest.importorskip("ase_mlham_hamgnn")
    torch.manual_seed(0)
    spec = hooks.find("model family", "hamgnn")
    config = hooks.load(spec.config)(natural=6, other=4, layers=1, hidden=8, bessel=4)
    layout = BlockLayout(probe_basis(), SpinKind.SPINOR)
    network = hooks.load(spec.module)(config, layout).double()
    cell = 4.6 * np.array([[0.0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    positions = np.array([[0.0, 0, 0], [1.2, 1.0, 1.3]])
    structure = Structure(np.array([6, 14]), positions, cell, np.array([True] * 3))
    model = HamiltonianModel.untrained(
        network, spec, config, probe_basis(), example=structure, spin=SpinKind.SPINOR
    )
    for name in ("onsite_scale", "offsite_scale"):
        # the baseline has no spin: without this the network would count for nothing
        model.transform.get_buffer(name).fill_(0.05)
    return model, structure


def test_predicted_spinors_are_hermitian_and_obey_time_reversal(spinor_model):
    model, structure = spinor_model
    system = model.predict(structure)
    assert system.spin is SpinKind.SPINOR
    axial = [max(abs(v[n]).max() for v in system.hamiltonian.values) for n in (1, 2, 3)]
    assert min(axial) > 1e-3
    k = np.array([[0.13, 0.37, -0.21], [-0.13, -0.37, 0.21], [0.5, 0.0, 0.5]])
    h = [spin_blocks(x, system.spin)[0] for x in system.hamiltonian.at_k(k)]
    s = [np.kron(np.eye(2), x[0]) for x in system.overlap.at_k(k)]
    for matrix in h:
        np.testing.assert_allclose(matrix, matrix.conj().T, atol=1e-10)
    n = len(h[0]) // 2
    flip = np.kron(1j * PAULI[2], np.eye(n))
    # T H(k) T^-1 = H(-k) with T = i sigma_y K
    np.testing.assert_allclose(flip @ h[0].conj() @ flip.T, h[1], atol=1e-10)
    levels = eigh(h[2], s[2], eigvals_only=True)
    # Kramers pairs where k = -k; single precision would already show here
    np.testing.assert_allclose(levels[::2], levels[1::2], atol=1e-8)
    general = eigh(h[0], s[0], eigvals_only=True)
    # without inversion symmetry the pairs split elsewhere
    assert abs(general[::2] - general[1::2]).max() > 1e-4


# a distance may fall into the next bin of the training histogram by rounding
@pytest.mark.filterwarnings("ignore::ase_mlham.learning.domain.DomainWarning")
def test_turning_a_structure_turns_its_spinors_by_su2(spinor_model):
    model, structure = spinor_model
    axis = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    for Q in (axis, -axis):
        turned = Structure(
            structure.numbers, structure.positions @ Q.T, structure.cell @ Q.T, structure.pbc
        )
        before, after = model.predict(structure), model.predict(turned)
        expected = rotated_matrix(before.hamiltonian, before.basis, Q, "pauli")
        for a, b in zip(after.hamiltonian.values, expected.values, strict=True):
            # single precision of the network, of numbers up to 30 eV
            np.testing.assert_allclose(a, b, atol=2e-5)
        k = np.array([[0.13, 0.37, -0.21]])
        h, g = (spin_blocks(x.hamiltonian.at_k(k)[0], x.spin)[0] for x in (before, after))
        d = [orbital_rotation(before.basis[int(z)].l, Q) for z in structure.numbers]
        zero = np.zeros((len(d[0]), len(d[1])))
        whole = np.kron(su2(Q), np.block([[d[0], zero], [zero.T, d[1]]]))
        np.testing.assert_allclose(g, whole @ h @ whole.conj().T, atol=2e-4)


def _untrained(spin, parts=None):
    pytest.importorskip("ase_mlham_hamgnn")
    torch.manual_seed(1)
    spec = hooks.find("model family", "hamgnn")
    config = hooks.load(spec.config)(natural=6, other=4, layers=1, hidden=8, bessel=4)
    network = make_network(spec, config, BlockLayout(probe_basis(), spin, parts))
    positions = [[0.0, 0, 0], [1.5, 1.2, 0.3], [0.2, -1.7, 1.1]]
    atoms = Atoms("CSi2", positions, cell=[5, 5, 5], pbc=True)
    atoms.set_initial_magnetic_moments([1.0, -0.5, 0.25])
    model = HamiltonianModel.untrained(
        network,
        spec,
        config,
        probe_basis(),
        example=Structure.from_atoms(atoms),
        spin=spin,
        parts=parts,
    )
    for name in ("onsite_scale", "offsite_scale"):
        model.transform.get_buffer(name).fill_(0.05)
    return model, atoms


def test_turning_collinear_moments_round_exchanges_up_and_down():
    model, atoms = _untrained(SpinKind.COLLINEAR)
    before = model.predict(atoms)
    atoms.set_initial_magnetic_moments(-atoms.get_initial_magnetic_moments())
    after = model.predict(atoms)
    k = np.array([[0.1, 0.2, 0.3]])
    up, down = spin_blocks(before.hamiltonian.at_k(k)[0], before.spin)
    assert abs(up - down).max() > 1e-3
    flipped = spin_blocks(after.hamiltonian.at_k(k)[0], after.spin)
    # the same additions in the same order: not even the last bit differs
    np.testing.assert_array_equal(flipped, [down, up])
    atoms.set_initial_magnetic_moments(np.zeros(3))
    none = model.predict(atoms)
    assert not any(values[1].any() for values in none.hamiltonian.values)


def test_a_magnetic_model_asks_for_moments():
    model, atoms = _untrained(SpinKind.COLLINEAR)
    with pytest.raises(DomainError, match="set_initial_magnetic_moments"):
        model.predict(Atoms("CSi2", atoms.positions, cell=atoms.cell, pbc=True))
    atoms = Atoms("CSi2", atoms.positions, cell=atoms.cell, pbc=True)
    atoms.set_initial_magnetic_moments(np.ones((3, 3)))
    with pytest.raises(DomainError, match="along z"):
        model.predict(atoms)


@pytest.mark.parametrize(
    ("path", "spin", "moments"),
    [
        # moments as OpenMX prints them (Mulliken): 2.26 and 1 Bohr magnetons
        ("fe_bcc/fe_bcc.scfout", SpinKind.COLLINEAR, [[0, 0, 2.26]]),
        ("o2_triplet/o2_triplet.scfout", SpinKind.COLLINEAR, [[0, 0, 1.0]] * 2),
        # along theta = 50, phi = 30 degrees
        ("o2_nc/o2_nc.scfout.zst", SpinKind.SPINOR, [[0.663, 0.383, 0.643]] * 2),
    ],
)
def test_magnetic_hamiltonians_of_openmx(shared, path, spin, moments):
    system = read_system(shared / "data" / "openmx" / path)
    data = ReferenceData([system], message_cutoff=4.0, parts=part_names(spin))
    example = data[0]
    # Mulliken moments of a k mesh that is not OpenMX's own
    np.testing.assert_allclose(example.graph.moments.numpy(), moments, atol=0.02)
    assert data.largest_left_out == 0.0
    again = to_matrix(data.layout, data.pattern(system), example.target)
    rest = again.on_pattern(system.hamiltonian.pattern.union(again.pattern))
    whole = system.hamiltonian.on_pattern(rest.pattern)
    inside, _ = again.pattern.find(rest.pattern.i, rest.pattern.j, rest.pattern.R)
    for group, a, b in zip(rest.pattern.groups, rest.values, whole.values, strict=True):
        known = inside[group.slice] >= 0
        np.testing.assert_allclose(a[:, known], b[:, known], atol=1e-10)


def test_what_is_not_learned_is_said(shared, caplog):
    system = read_system(shared / "data" / "openmx" / "o2_nc" / "o2_nc.scfout.zst")
    with caplog.at_level("WARNING", "ase_mlham"):
        data = ReferenceData([system], message_cutoff=4.0)
        _ = data[0]
    assert data.largest_left_out > 0.1
    assert "in parts other than P, B" in caplog.text
