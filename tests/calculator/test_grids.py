"""Grids behind the calculator: ASE's STM and Wannier, and methods of our own."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

import ase_mlham as mh
from ase_mlham.calculator import CalculatorInputError
from ase_mlham.electronic.states import eigenstates
from ase_mlham.errors import InputError
from ase_mlham.real_space import Grid, local_dos, stm_image
from ase_mlham.units import CODATA_2018

pytest.importorskip("pyscf")


@pytest.fixture(scope="module")
def compute():
    from pyscf.scf import hf

    patch = pytest.MonkeyPatch()
    # PySCF opens a temporary file for each calculation and never closes it
    patch.setattr(hf, "MUTE_CHKFILE", True)
    yield mh.compute_system
    patch.undo()


@pytest.fixture(scope="module")
def layer(compute):
    """A layer of hydrogen molecules that lie in the plane, in a cell with vacuum."""
    atoms = Atoms(
        "H2",
        positions=[[0.5, 0.6, 4.0], [1.2, 0.8, 4.2]],
        cell=[[3.0, 0, 0], [0.4, 2.8, 0], [0, 0, 9.0]],
        pbc=(True, True, False),
    )
    return compute(
        atoms, basis="gth-dzvp", kpts=(2, 2, 1), ecut_ry=60.0, smearing=0.0, eps_cutoff=1e-5
    )


@pytest.fixture(scope="module")
def silicon(compute):
    return compute(bulk("Si"), kpts=(4, 4, 4), ecut_ry=60.0, smearing=0.0)


@pytest.fixture
def calc(layer):
    return mh.MLHamiltonian(system=layer, kpts=(2, 2, 1), spacing=0.25)


def test_stm_of_ase(calc, layer):
    """Image by ASE, by the package, and from PySCF's orbitals on the same points."""
    from ase.dft.stm import STM
    from pyscf.pbc import gto
    from pyscf.pbc.dft import numint

    from ase_mlham.engines.pyscf.basis_sets import orbital_order

    atoms = calc.get_atoms()
    microscope = STM(atoms)
    bias = -12.0
    microscope.calculate_ldos(bias)
    grid = Grid.of_cell(layer.structure, 0.25)
    assert microscope.ldos.shape == tuple(calc.get_number_of_grid_points()) == grid.shape
    # ASE counts a state of two electrons once
    mine = local_dos(layer, (bias, 0.0), (2, 2, 1), grid=grid)
    assert mine.values.max() > 0.05
    assert np.allclose(2 * microscope.ldos, mine.values, atol=1e-12)

    cell = gto.Cell()
    cell.unit, cell.a = "Bohr", np.asarray(atoms.cell) / CODATA_2018.bohr
    cell.atom = [(a.symbol, a.position / CODATA_2018.bohr) for a in atoms]
    cell.basis, cell.pseudo, cell.verbose, cell.dimension = "gth-dzvp", "gth-pade", 0, 2
    cell.build()
    states = eigenstates(layer, (2, 2, 1), vectors=True)
    vectors = np.zeros_like(states.measured["vectors"][0])
    vectors[..., orbital_order(cell)] = states.measured["vectors"][0]
    points = grid.points().reshape(-1, 3) / CODATA_2018.bohr
    orbitals = numint.eval_ao_kpts(cell, points, cell.get_abs_kpts(states.kpts))
    inside = (states.energies[0] - calc.get_fermi_level() > bias) & (
        states.energies[0] < calc.get_fermi_level()
    )
    reference = sum(
        weight * (abs(a @ c[chosen].T) ** 2).sum(axis=1)
        for weight, a, c, chosen in zip(states.weights, orbitals, vectors, inside, strict=True)
    )
    reference = reference.reshape(grid.shape) / CODATA_2018.bohr**3
    # orbitals and pairs are given up at 1e-6 and 1e-5
    assert abs(microscope.ldos - reference).max() < 1e-5

    # images: constant height on a plane of the grid, and constant current
    height = grid.points()[0, 0, 25, 2]
    image = calc.stm(bias, height=height - 4.2)
    plane = mine.values[:, :, 25] / 2
    assert image.values.shape == plane.shape
    assert np.allclose(image.values, 2 * plane, atol=1e-9)
    assert microscope.get_averaged_current(bias, height) == pytest.approx(plane.mean(), rel=1e-6)
    _, _, heights = microscope.scan(bias, 1e-4)
    followed = calc.stm(bias, current=2e-4)
    # ASE interpolates linearly between planes 0.25 Å apart, where the density falls by a half
    assert abs(followed.values + 4.2 - heights).max() < 0.08
    assert np.allclose(followed.positions[..., 2], followed.values + 4.2)


def test_stm_refusals(layer):
    with pytest.raises(InputError, match="bias of 0"):
        stm_image(layer, 0)
    with pytest.raises(InputError, match="not both"):
        stm_image(layer, -1, height=2, current=1e-4)
    with pytest.raises(InputError, match="orbitals end at"):
        stm_image(layer, -12, height=30.0)
    with pytest.raises(InputError, match="is reached nowhere"):
        stm_image(layer, -12, current=10.0)
    with pytest.raises(InputError, match="is reached where orbitals end"):
        stm_image(layer, -12, current=1e-30)


def test_getters_on_the_grid(calc, layer):
    density = calc.get_pseudo_density()
    grid = Grid.of_cell(layer.structure, 0.25)
    # the cell ends 4 Å from the molecules, and GTH hydrogen is hard
    assert density.sum() * grid.element == pytest.approx(2.0, abs=2e-2)
    assert np.allclose(calc.get_pseudo_density(spin=1), density / 2)
    psi = calc.get_pseudo_wave_function(band=0, kpt=1, spin=0)
    field = calc.wave_function(1, 0, grid=grid)
    # the two are solved for in different sets of k-points
    phase = np.vdot(psi, field.values)
    assert np.allclose(field.values, psi * phase / abs(phase), atol=1e-8)
    for band, kpt, spin in ((99, 0, 0), (0, 9, 0), (0, 0, 1)):
        with pytest.raises(CalculatorInputError, match="counted from 0"):
            calc.get_pseudo_wave_function(band, kpt, spin)
    with pytest.raises(CalculatorInputError, match="0 is up"):
        calc.get_pseudo_density(spin=2)
    with pytest.raises(CalculatorInputError, match="k-point 7 of"):
        calc.wave_function(7)


def test_methods_answer_as_the_functions(calc, layer):
    options = {"spacing": 0.25}
    assert np.allclose(
        calc.density(**options).values, mh.charge_density(layer, (2, 2, 1), **options).values
    )
    assert np.allclose(
        calc.difference_density(**options).values,
        mh.difference_density(layer, (2, 2, 1), **options).values,
    )
    assert np.allclose(
        calc.local_dos((-12.0, 0.0), **options).values,
        mh.local_dos(layer, (-12.0, 0.0), (2, 2, 1), **options).values,
    )
    with pytest.raises(InputError, match="no spin density"):
        calc.spin_density()


def test_spacing_and_symmetry_are_parameters(calc):
    with pytest.raises(CalculatorInputError, match="expected a length"):
        calc.set(spacing=0)
    with pytest.raises(CalculatorInputError, match='accepted: "time-reversal"'):
        calc.set(symmetry="on")
    assert np.array_equal(calc.get_number_of_grid_points(), [12, 12, 36])
    calc.set(spacing=0.5)
    assert np.array_equal(calc.get_number_of_grid_points(), [6, 6, 18])


@pytest.mark.parametrize("mesh", [(3, 2, 2), {"size": (2, 2, 2), "gamma": False}, (4, 4, 1)])
def test_whole_mesh_in_the_order_of_ase(silicon, mesh):
    reduced = mh.MLHamiltonian(system=silicon, kpts=mesh)
    whole = mh.MLHamiltonian(system=silicon, kpts=mesh, symmetry="off")
    assert np.allclose(whole.get_bz_k_points(), whole.get_ibz_k_points(), atol=1e-12)
    assert np.allclose(whole.get_bz_k_points(), reduced.get_bz_k_points(), atol=1e-12)
    n = len(whole.get_ibz_k_points())
    assert np.array_equal(whole.get_bz_to_ibz_map(), np.arange(n))
    assert len(reduced.get_ibz_k_points()) < n
    assert whole.get_fermi_level() == pytest.approx(reduced.get_fermi_level(), abs=1e-6)
    energies = [whole.get_eigenvalues(kpt=k) for k in range(n)]
    few = [reduced.get_eigenvalues(kpt=int(k)) for k in reduced.get_bz_to_ibz_map()]
    assert np.allclose(energies, few, atol=1e-8)


BONDS = np.array([[1, 1, 1], [5, 1, 1], [1, 5, 1], [1, 1, 5]]) / 8
"""Centres of the four bonds of a silicon cell, in fractions."""


def test_wannier_functions_of_silicon_sit_on_the_bonds(silicon):
    from ase.dft.wannier import Wannier

    calc = mh.MLHamiltonian(system=silicon, kpts=(2, 2, 2), symmetry="off", spacing=0.3)
    start = [[[0.2, 0.1, 0.1], 0, 0.8], [[0.6, 0.2, 0.1], 0, 0.8]]
    start += [[[0.1, 0.6, 0.15], 0, 0.8], [[0.15, 0.1, 0.65], 0, 0.8]]
    wannier = Wannier(4, calc, nbands=4, fixedstates=4, initialwannier=start)
    before = wannier.get_functional_value()
    wannier.localize(tolerance=1e-9)
    assert wannier.get_functional_value() > before + 1e-3
    centres = wannier.get_centers() @ np.linalg.inv(bulk("Si").cell.array) % 1
    distance = abs((centres[:, None] - BONDS + 0.5) % 1 - 0.5).max(axis=2)
    # where a minimiser stops at 1e-9 of the spread, centres are right to its root
    assert distance.min(axis=1).max() < 1e-3
    assert sorted(distance.argmin(axis=1)) == [0, 1, 2, 3]
    spreads = wannier.get_spreads()
    assert np.ptp(spreads) < 1e-3

    # an evaluation of its own: the function itself on a grid, and its moments there
    function = wannier.get_function(0)
    grid = Grid.of_cell(silicon.structure, 0.3).repeated((2, 2, 2))
    # ASE normalises in one cell of the eight
    density = abs(function) ** 2 * grid.element / 8
    assert density.sum() == pytest.approx(1, abs=1e-4)
    reciprocal = np.linalg.inv(grid.cell).T
    scaled = grid.points() @ reciprocal.T
    for d, direction in enumerate(wannier.Gdir_dc):
        Z = (density * np.exp(2j * np.pi * (scaled @ direction))).sum()
        # the sum over points 0.3 Å apart
        assert abs(Z - wannier.Z_dww[d, 0, 0]) < 1e-4


def test_localization_matrix_of_a_closed_loop(silicon):
    """Of all states together the matrix is nearly unitary, and a step back undoes it."""
    calc = mh.MLHamiltonian(system=silicon, kpts=(3, 1, 1), symmetry="off")
    n = calc.get_number_of_bands()
    there = calc.get_wannier_localization_matrix(n, (1, 0, 0), 0, 1, (0, 0, 0))
    back = calc.get_wannier_localization_matrix(n, (1, 0, 0), 1, 0, (0, 0, 0))
    # the adjoint of a step is the step back; tables of integrals are right to 5e-9
    assert np.allclose(there.conj().T, back, atol=1e-6)
    singular = np.linalg.svd(there[:4, :4], compute_uv=False)
    assert singular.max() < 1 + 1e-6
    # a step out of the zone and the same step within it differ by nothing but the wrap
    around = calc.get_wannier_localization_matrix(n, (1, 0, 0), 2, 0, (-1, 0, 0))
    assert around.shape == (n, n)
    with pytest.raises(CalculatorInputError, match="counted from 0"):
        calc.get_wannier_localization_matrix(n + 1, (1, 0, 0), 0, 1, (0, 0, 0))
