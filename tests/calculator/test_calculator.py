"""The ASE calculator on a model that can be checked by hand.

Numbers in names of tests, such as 1_9, are facts about ASE 3.29 that the calculator has to respect:
what its base class does and does not do for us.
"""

from __future__ import annotations

import pickle  # noqa: TID251 - as processes that share work do; nothing is stored

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import (
    InputError,
    PropertyNotImplementedError,
)
from ase.calculators.lj import LennardJones
from ase.dft.bandgap import GapInfo, bandgap
from ase.dft.dos import DOS
from ase.dft.kpoints import monkhorst_pack
from ase.spectrum.band_structure import BandStructure, calculate_band_structure

from ase_mlham import errors
from ase_mlham.calculator import CalculatorInputError, MLHamiltonian
from ase_mlham.core import SpinKind
from ase_mlham.learning.domain import DomainWarning

MESH = (4, 4, 4)


@pytest.fixture
def calc(toy, silicon):
    calculator = MLHamiltonian(toy, kpts=MESH)
    silicon.calc = calculator
    return calculator


def n_diagonalised(calculator) -> int:
    return len(calculator._states)


# ---------------------------------------------------------------------- parameters
# ---------------------------------------------------------------------- caches
def test_getters_follow_the_live_atoms(toy, calc, silicon):
    before = calc.get_homo_lumo()
    silicon.positions[1] += 0.05
    assert calc.get_homo_lumo() != before
    assert toy.calls == 2
    silicon.positions[1] -= 0.05
    calc.get_homo_lumo()


def test_atoms_may_be_given_explicitly(toy, silicon):
    calculator = MLHamiltonian(toy, kpts=MESH)
    assert calculator.gap(silicon).fundamental > 0
    assert calculator.system(silicon).n_electrons == 8


def test_charge_takes_electrons_away(toy, silicon):
    assert MLHamiltonian(toy, charge=2).system(silicon).n_electrons == 6


# ---------------------------------------------------------------------- electronic structure
def test_chain_is_the_textbook_metal(toy, chain):
    """E = -2 cos(2 pi k), half filled: Fermi level 0, lowest state -2."""
    chain.calc = MLHamiltonian(toy, kpts=(8, 1, 1))
    # 1e-8: the level of a metal is found by bisection
    assert chain.calc.get_fermi_level() == pytest.approx(0.0, abs=1e-8)
    k = chain.calc.get_ibz_k_points()[:, 0]
    energies = [chain.calc.get_eigenvalues(kpt=n)[0] for n in range(len(k))]
    np.testing.assert_allclose(energies, -2 * np.cos(2 * np.pi * k), atol=1e-12)
    assert chain.calc.get_number_of_bands() == 1
    assert not chain.calc.get_spin_polarized()


def test_weights_and_maps_describe_the_mesh(calc):
    ibz, weights = calc.get_ibz_k_points(), calc.get_k_point_weights()
    bz, index = calc.get_bz_k_points(), calc.get_bz_to_ibz_map()
    assert weights.sum() == pytest.approx(1.0)
    assert len(bz) == 64
    assert len(ibz) < len(bz)
    np.testing.assert_allclose(np.bincount(index) / 64, weights)
    for k, n in zip(bz, index, strict=True):
        same = [np.abs((k - s * ibz[n] + 0.5) % 1 - 0.5).max() for s in (1, -1)]
        assert min(same) < 1e-12


@pytest.mark.parametrize("kpts", [(4, 4, 4), (3, 3, 3), {"size": (4, 4, 4), "gamma": False}])
def test_mesh_is_in_the_order_that_ase_expects(calc, kpts):
    from ase.dft.kpoints import get_monkhorst_pack_size_and_offset

    calc.set(kpts=kpts)
    size, offset = get_monkhorst_pack_size_and_offset(calc.get_bz_k_points())
    expected = kpts["size"] if isinstance(kpts, dict) else kpts
    assert tuple(size) == expected
    np.testing.assert_allclose(monkhorst_pack(size) + offset, calc.get_bz_k_points(), atol=1e-12)


def test_occupations_hold_all_electrons(calc):
    weights = calc.get_k_point_weights()
    electrons = sum(
        weight * calc.get_occupation_numbers(kpt=n).sum() for n, weight in enumerate(weights)
    )
    assert electrons == pytest.approx(8.0)


def test_bandgap_of_ase_agrees_with_ours_on_the_mesh(calc):
    gap, valence, conduction = bandgap(calc)
    homo, lumo = calc.get_homo_lumo()
    assert gap == pytest.approx(lumo - homo)
    assert gap > 0
    assert valence[2] == 3
    assert conduction[2] == 4
    info = GapInfo.fromcalc(calc)
    assert not info.is_metallic
    # our own looks between the points of the mesh as well
    assert calc.gap().fundamental <= gap + 1e-9


def test_own_dos_uses_the_eigenvalues_that_are_there(toy, calc):
    level = calc.get_fermi_level()
    dos = calc.dos(window=(level - 20, level + 10))
    assert (toy.calls, n_diagonalised(calc)) == (1, 1)
    energies = np.asarray(dos.get_energies())
    total = np.asarray(dos.total().get_weights())
    # van Hove singularities between the points of the grid: half a percent
    filled = np.trapezoid(np.where(energies < level, total, 0), energies)
    assert filled == pytest.approx(8.0, rel=5e-3)


def test_projected_dos_sums_to_the_total(toy, calc):
    window = (calc.get_fermi_level() - 5, calc.get_fermi_level() + 5)
    total = calc.dos(window=window, npoints=50).total().get_weights()
    shells = calc.pdos("shell", window=window, npoints=50)
    assert {curve.info["orbital"] for curve in shells} == {"s", "p"}
    # Mulliken weights sum to one; tetrahedra with equal corners keep seven digits of a density
    np.testing.assert_allclose(shells.total().get_weights(), total, atol=1e-5)
    assert len(shells.select(orbital="p")) == 1
    assert toy.calls == 1


@pytest.mark.parametrize(("width", "tolerance"), [(0.3, 0.02), (0.0, 0.05)])
def test_dos_of_ase_counts_the_electrons(toy, silicon, width, tolerance):
    """Integral up to the gap is 8 electrons; tolerances: the Gaussians' tails, the energy grid."""
    silicon.calc = MLHamiltonian(toy, kpts=(3, 3, 3))
    dos = DOS(silicon.calc, width=width, npts=400, window=(-25, 25))
    energies = dos.get_energies()
    weights = dos.get_dos()
    filled = np.trapezoid(np.where(energies < 0, weights, 0), energies)
    assert filled == pytest.approx(8.0, rel=tolerance)


def test_2_5_dos_on_a_path_is_refused(calc):
    calc.set(kpts={"path": "GX", "npoints": 5})
    with pytest.raises(CalculatorInputError, match="path"):
        DOS(calc, width=0.1)


def test_2_4_a_path_as_kpts_leaves_the_mesh_of_the_fermi_level(calc):
    before = calc.get_fermi_level()
    calc.set(kpts={"path": "GX", "npoints": 7})
    assert calc.get_fermi_level() == before
    assert len(calc.get_ibz_k_points()) == 7
    assert calc.band_structure().energies.shape == (1, 7, 8)


def test_2_4_calculate_band_structure_of_ase(toy, silicon):
    silicon.calc = MLHamiltonian(toy, kpts=MESH, potential=LennardJones())
    path = silicon.cell.bandpath("GX", npoints=6)
    found = calculate_band_structure(silicon, path)
    np.testing.assert_allclose(found.energies, silicon.calc.band_structure("GX", 6).energies)
    assert silicon.calc.parameters.kpts == MESH


def test_2_4_without_energy_the_route_of_ase_fails_and_ours_works(calc, silicon):
    with pytest.raises(PropertyNotImplementedError, match="gives no energy"):
        calculate_band_structure(silicon, silicon.cell.bandpath("GX", npoints=6))
    assert calc.band_structure("GX", npoints=6).energies.shape == (1, 6, 8)


def test_2_6_band_structure_is_a_plain_one_that_ase_reads_back(calc, tmp_path):
    bands = calc.band_structure("GXW", npoints=9)
    assert type(bands) is BandStructure
    bands.write(tmp_path / "bands.json")
    again = BandStructure.read(tmp_path / "bands.json")
    np.testing.assert_array_equal(again.energies, bands.energies)
    assert again.reference == bands.reference
    homo, lumo = calc.get_homo_lumo()
    assert homo <= bands.reference <= lumo


def test_slab_and_molecule_have_their_own_paths(toy):
    slab = Atoms("Si", cell=[2.3, 2.3, 15.0], pbc=(True, True, False))
    slab.calc = MLHamiltonian(toy)
    assert np.all(slab.calc.band_structure().path.kpts[:, 2] == 0)
    molecule = Atoms("H2", positions=[(0, 0, 0), (0, 0, 1.0)])
    molecule.calc = MLHamiltonian(toy)
    # bonding and antibonding state of two orbitals with hopping -1
    np.testing.assert_allclose(molecule.calc.get_eigenvalues(), [-1, 1], atol=1e-12)
    assert molecule.calc.get_homo_lumo() == pytest.approx((-1, 1))
    assert molecule.calc.get_fermi_level() == pytest.approx(0, abs=1e-8)
    assert molecule.calc.gap().fundamental == pytest.approx(2)


def test_collinear_spin(toy, silicon):
    silicon.calc = MLHamiltonian(type(toy)(SpinKind.COLLINEAR, split=0.1), kpts=(2, 2, 2))
    calc = silicon.calc
    assert calc.get_number_of_spins() == 2
    assert calc.get_spin_polarized()
    difference = calc.get_eigenvalues(0, 0) - calc.get_eigenvalues(0, 1)
    np.testing.assert_allclose(difference, 0.2, atol=1e-12)
    assert bandgap(calc)[0] > 0
    assert calc.get_occupation_numbers(0, 0).max() == pytest.approx(1.0)


def test_spinor_bands_hold_one_electron_each(toy, silicon):
    silicon.calc = MLHamiltonian(type(toy)(SpinKind.SPINOR, split=0.0), kpts=(2, 2, 2))
    calc = silicon.calc
    assert calc.get_number_of_spins() == 1
    assert calc.get_number_of_bands() == 16
    assert bandgap(calc)[1][2] == 7


# ---------------------------------------------------------------------- properties
def test_charges_are_neutral_and_fair(calc, silicon):
    # both atoms are equal by symmetry
    np.testing.assert_allclose(silicon.get_charges(), 0.0, atol=1e-8)


def test_charges_sum_to_the_charge(toy, silicon):
    silicon.calc = MLHamiltonian(toy, kpts=(2, 2, 2), charge=1.0)
    assert silicon.get_charges().sum() == pytest.approx(1.0, abs=1e-6)


# ---------------------------------------------------------------------- copies
# ---------------------------------------------------------------------- a real model
def test_a_model_file_by_path_and_as_an_object(model_file, silicon):
    from ase_mlham import load_model

    silicon.calc = MLHamiltonian(model_file, kpts=(2, 2, 2))
    assert silicon.calc.parameters.model == model_file
    by_path = silicon.calc.band_structure("GX", npoints=4).energies
    h, s = silicon.calc.hamiltonian()
    assert h[0, 1, (0, 0, 0)].shape == (1, 4, 4)
    assert s.n_components == 1
    again = pickle.loads(pickle.dumps(silicon))
    # the same arithmetic on the same weights
    np.testing.assert_array_equal(again.calc.band_structure("GX", npoints=4).energies, by_path)
    given = MLHamiltonian(load_model(model_file), kpts=(2, 2, 2))
    assert given.parameters.model.startswith("untrained 1 ")
    np.testing.assert_array_equal(
        given.band_structure("GX", npoints=4, atoms=silicon).energies, by_path
    )


def test_domain_errors_come_through(model_file):
    gaas = bulk("GaAs", "zincblende", a=5.65)
    gaas.calc = MLHamiltonian(model_file)
    for kind in (errors.DomainError, InputError):
        with pytest.raises(kind, match="Ga"):
            gaas.calc.get_fermi_level()


# ---------------------------------------------------------------------- magnetic moments
def test_a_magnetic_model_predicts_for_the_moments_of_the_atoms(magnet, chain):
    chain.set_initial_magnetic_moments([1.0])
    chain.calc = MLHamiltonian(magnet, kpts=(8, 1, 1))
    assert chain.get_magnetic_moment() == pytest.approx(1.0)
    np.testing.assert_allclose(chain.get_magnetic_moments(), [1.0])
    chain.set_initial_magnetic_moments([-1.0])
    assert chain.get_magnetic_moment() == pytest.approx(-1.0)
    assert magnet.calls == 2


def test_no_moments_are_not_zero_moments(magnet, chain):
    chain.calc = MLHamiltonian(magnet, kpts=(8, 1, 1))
    chain.set_initial_magnetic_moments([0.0])
    chain.calc.get_fermi_level()
    chain.set_initial_magnetic_moments(None)
    with pytest.raises(errors.DomainError, match="needs moments"):
        chain.calc.get_fermi_level()


def test_moments_that_the_model_does_not_see_are_a_warning(toy, chain):
    chain.calc = MLHamiltonian(toy, kpts=(8, 1, 1))
    assert chain.calc.system().warnings == ()
    chain.set_initial_magnetic_moments([1.0])
    # the prediction is kept: the reservation comes with the atoms, and goes with them
    with pytest.warns(DomainWarning, match="model 'toy': .* not trained on any"):
        system = chain.calc.system()
    assert any("not trained on any" in text for text in system.warnings)
    chain.set_initial_magnetic_moments(None)
    assert chain.calc.system().warnings == ()
    assert toy.calls == 1


def test_spins_of_states_follow_the_field(magnet, chain):
    """One orbital in a field: the lower state along it, the upper one against it, at every k."""
    magnet.spin = SpinKind.SPINOR
    direction = np.array([0.48, 0.6, 0.64])
    chain.set_initial_magnetic_moments(direction[None])
    chain.calc = MLHamiltonian(magnet, kpts=(4, 1, 1))
    found = chain.calc.spin_texture()
    assert found.spin.shape == (1, 4, 2, 3)
    np.testing.assert_allclose(found.spin[0, :, 0], np.tile(direction, (4, 1)), atol=1e-12)
    np.testing.assert_allclose(found.spin[0, :, 1], np.tile(-direction, (4, 1)), atol=1e-12)
    one = chain.calc.spin_texture([[0.1, 0, 0], [0.2, 0, 0]], bands=[1])
    assert one.spin.shape == (1, 2, 1, 3)
    np.testing.assert_allclose(chain.get_magnetic_moments(), direction[None], atol=1e-9)


def test_no_spin_no_texture(calc):
    with pytest.raises(errors.InputError, match="no spin texture"):
        calc.spin_texture()


# ---------------------------------------------------------------------- invariances
def test_6_3_wrapped_permuted_and_repeated_cells(toy, silicon):
    """The same energies; a cell repeated along its first vector folds the bands to half the zone.

    1e-9: other sums of the same numbers; the Fermi level of an insulator is the middle of two.
    """

    def energies(atoms, kpts):
        calculator = MLHamiltonian(toy, kpts=kpts)
        states = calculator.states(atoms=atoms)
        every = states.energies[0][states.mesh.index]
        return np.sort(every.ravel()), calculator.fermi_level(atoms)

    expected, level = energies(silicon, (4, 2, 2))
    wrapped = silicon.copy()
    wrapped.positions += (4.1, -7.3, 2.2)
    wrapped.wrap()
    cases = [(wrapped, (4, 2, 2)), (silicon[[1, 0]], (4, 2, 2)), (silicon * (2, 1, 1), (2, 2, 2))]
    for atoms, kpts in cases:
        found, at = energies(atoms, kpts)
        np.testing.assert_allclose(found, expected, atol=1e-9)
        assert at == pytest.approx(level, abs=1e-9)


def test_6_3_results_are_plain_numbers_and_double_precision(calc, silicon):
    assert type(calc.get_fermi_level()) is float
    assert [type(e) for e in calc.get_homo_lumo()] == [float, float]
    assert isinstance(calc.get_number_of_spins(), int)
    for array in (calc.get_eigenvalues(), calc.get_ibz_k_points(), silicon.get_charges()):
        assert array.dtype == np.float64


def test_1_5_atoms_of_the_constructor_are_attached(toy, silicon):
    calculator = MLHamiltonian(toy, atoms=silicon, kpts=(2, 2, 2))
    assert silicon.calc is calculator
    assert calculator.get_fermi_level() == MLHamiltonian(toy, kpts=(2, 2, 2)).fermi_level(silicon)


def test_1_2_calculate_may_be_called_directly(toy, silicon):
    calculator = MLHamiltonian(toy, kpts=(2, 2, 2))
    calculator.calculate(silicon)
    assert calculator.results["charges"].shape == (2,)
    assert not calculator.calculation_required(silicon, ["charges"])
    assert calculator.get_property("magmoms", silicon, allow_calculation=False) is None


def test_bands_at_points_of_ones_own_can_be_drawn(calc, tmp_path):
    points = np.concatenate(
        [np.linspace([0, 0, 0], [0.5, 0, 0.5], 5), np.linspace([0.45, 0, 0.4], [0.1, 0.2, 0], 4)]
    )
    bands = calc.band_structure(points)
    assert bands.path.path.startswith("GX")
    np.testing.assert_array_equal(bands.path.kpts, points)
    bands.plot(filename=tmp_path / "bands.png")
    assert (tmp_path / "bands.png").stat().st_size > 1000


def test_2_2_bands_on_a_mesh_as_ase_makes_them(calc):
    """`get_band_structure` of ASE on our getters."""
    from ase.spectrum.band_structure import get_band_structure

    bands = get_band_structure(calc=calc)
    assert bands.energies.shape == (1, len(calc.get_ibz_k_points()), 8)
    assert bands.reference == calc.get_fermi_level()
