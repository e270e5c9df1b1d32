"""Collinear spins: the limit without them, PySCF's own unrestricted code, and symmetries."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from scipy.linalg import eigh

from ase_mlham.core import SpinKind, Structure
from ase_mlham.electronic.charges import charges
from ase_mlham.engines import compute_system
from ase_mlham.engines.pyscf.atoms import atomic_density
from ase_mlham.engines.pyscf.basis_sets import load_basis
from ase_mlham.engines.pyscf.cell import make_box
from ase_mlham.engines.pyscf.functional import xc_energy_potential
from ase_mlham.engines.pyscf.potential import LocalPotential
from ase_mlham.errors import InputError
from ase_mlham.units import CODATA_2018

pytest.importorskip("pyscf")

HARTREE = CODATA_2018.hartree
CHEAP = {"ecut_ry": 60.0, "kpts": (2, 2, 1), "xc": "lda"}


def hydrogen(*moments, distance=2.4):
    """Hydrogen atoms on a stretched simple lattice, in a row along z: a magnet for little money."""
    n = len(moments)
    atoms = Atoms(f"H{n}", cell=[distance, distance, n * distance], pbc=True, magmoms=moments)
    atoms.positions[:, 2] = distance * np.arange(n)
    atoms.positions[-1] += [0.0, 0.1, 0.05 * (n - 1)]  # no symmetry that could hide an error
    return atoms


def channels(system, k):
    """Eigenvalues of up and down, (2, n_k, n) eV."""
    out = []
    for (one, z), (s,) in zip(system.hamiltonian.at_k(k), system.overlap.at_k(k), strict=True):
        out.append([eigh(one + sign * z, s, eigvals_only=True) for sign in (1, -1)])
    return np.array(out).swapaxes(0, 1)


def largest(matrix, component):
    return max(abs(values[component]).max() for values in matrix.values)


@pytest.fixture(scope="module")
def ferromagnet():
    """Partly polarised, so that both channels count."""
    return compute_system(hydrogen(1.0), smearing=0.3, eps_cutoff=1e-5, **CHEAP)


@pytest.fixture(scope="module")
def oxygen():
    """O2 in a basis that PySCF has too, with whole occupations."""
    return compute_system(
        molecule("O2"), basis="gth-dzvp-molopt-sr", smearing=0.0, total_moment=2.0
    )


# ------------------------------------------------------------------ the limit without spin
@pytest.mark.parametrize("xc", ["pbe", "lda"])
def test_crystal_without_moments_is_the_restricted_one(xc):
    silicon = bulk("Si")
    silicon.positions[1] += [0.05, -0.03, 0.02]
    settings = {"xc": xc, "kpts": (2, 1, 1), "ecut_ry": 40.0}
    plain = compute_system(silicon, **settings)
    spin = compute_system(silicon, spin="collinear", **settings)
    assert plain.spin is SpinKind.NONE
    assert spin.spin is SpinKind.COLLINEAR
    # the same operations on both channels: round-off of libxc's two formulas, through the cycle
    for name in ("hamiltonian", "superposition"):
        a = getattr(plain, name, None) or plain.operators[name]
        b = getattr(spin, name, None) or spin.operators[name]
        for x, y in zip(a.values, b.values, strict=True):
            np.testing.assert_allclose(y[0], x[0], atol=1e-8)
        assert largest(b, 1) < 1e-8
    assert spin.fermi_level == pytest.approx(plain.fermi_level, abs=1e-8)
    energies = [s.provenance["free_energy"] for s in (plain, spin)]
    assert energies[1] == pytest.approx(energies[0], abs=1e-8)
    assert spin.provenance["total_moment"] == pytest.approx(0, abs=1e-8)


def test_molecule_without_moments_is_the_restricted_one():
    hydride = molecule("LiH")
    plain = compute_system(hydride)
    spin = compute_system(hydride, spin="collinear")
    for x, y in zip(plain.hamiltonian.values, spin.hamiltonian.values, strict=True):
        # PySCF mixes the two with other numbers; both are converged to 1e-4 eV
        np.testing.assert_allclose(y[0], x[0], atol=2e-5)
    assert largest(spin.hamiltonian, 1) < 1e-8
    assert spin.provenance["free_energy"] == pytest.approx(
        plain.provenance["free_energy"], abs=1e-6
    )


def test_spin_none_leaves_moments_out():
    settings = {"spin": "none", "smearing": 0.3, **CHEAP}
    system = compute_system(hydrogen(1.0), **settings)
    assert system.spin is SpinKind.NONE
    assert "total_moment" not in system.provenance
    assert system.structure.moments is None


# ------------------------------------------------------------------ PySCF
def test_oxygen_molecule_equals_pyscf(oxygen):
    from pyscf import dft, gto

    mol = gto.M(
        atom=[(a.symbol, a.position / CODATA_2018.bohr) for a in molecule("O2")],
        unit="Bohr",
        basis="gth-dzvp-molopt-sr",
        pseudo="gth-pbe",
        spin=2,
        verbose=0,
    )
    mf = dft.UKS(mol, xc="pbe").run(conv_tol=1e-10)
    up, down = (
        eigh(h, oxygen.overlap.dense()[0], eigvals_only=True)
        for h in oxygen.hamiltonian.dense()[0] + [[[1]], [[-1]]] * oxygen.hamiltonian.dense()[1]
    )
    # PySCF's default grid is two levels coarser than the engine's: 0.5 meV
    np.testing.assert_allclose(up[:8], mf.mo_energy[0][:8] * HARTREE, atol=2e-3)
    np.testing.assert_allclose(down[:8], mf.mo_energy[1][:8] * HARTREE, atol=2e-3)
    assert oxygen.provenance["free_energy"] == pytest.approx(mf.e_tot * HARTREE, abs=2e-3)
    # exchange puts the half-filled level of the majority below the other by more than 2 eV
    assert down[6] - up[6] > 2
    assert up[6] < oxygen.fermi_level < down[5]


def compare_with_kuks(system, atoms, xc, pseudo, tolerance, smearing):
    from pyscf.pbc import dft, gto
    from pyscf.pbc.scf.smearing import smearing as smeared

    p = system.provenance
    cell = gto.Cell()
    cell.unit, cell.a = "Bohr", atoms.cell.array / CODATA_2018.bohr
    cell.atom = [(a.symbol, a.position / CODATA_2018.bohr) for a in atoms]
    cell.basis, cell.pseudo, cell.verbose = "gth-dzvp-molopt-sr", pseudo, 0
    cell.precision, cell.mesh, cell.spin = 1e-8, p["grid"], 0
    cell.build()
    mf = dft.KUKS(cell, cell.make_kpts(p["kpts"]), xc=xc)
    mf = smeared(mf, sigma=smearing / HARTREE, method="fermi")
    mf.conv_tol = 1e-9
    mf.init_guess_breaksym = 1
    start = mf.get_init_guess(cell, "minao")
    start[1] *= 0.2  # hydrogen: up in the majority
    mf.kernel(dm0=start)
    assert mf.converged
    energy = (mf.e_free if mf.e_free is not None else mf.e_tot) * HARTREE
    assert p["free_energy"] == pytest.approx(energy, abs=tolerance)
    D = mf.make_rdm1()
    overlap = mf.get_ovlp()
    moment = np.einsum("kij,kji->", D[0] - D[1], overlap).real / len(overlap)
    assert p["total_moment"] == pytest.approx(moment, abs=1e-3)
    k = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.37, 0.12, 0.05]])
    reference = np.array(mf.get_bands(cell.get_abs_kpts(k))[0]) * HARTREE
    mine = channels(system, k)
    near = abs(reference - system.fermi_level) < 8
    assert near[0].any()
    assert near[1].any()
    assert abs(mine - reference)[near].max() < tolerance


@pytest.mark.filterwarnings("ignore")  # PySCF warns about itself
def test_crystal_equals_pyscf(ferromagnet):
    assert 0.2 < ferromagnet.provenance["total_moment"] < 0.98
    # the accuracy of the restricted case, 1 meV
    compare_with_kuks(ferromagnet, hydrogen(1.0), "lda_xc_teter93", "gth-pade", 1e-3, smearing=0.3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_crystal_equals_pyscf_with_gradients():
    settings = {"xc": "pbe", "ecut_ry": 120.0, "kpts": (2, 2, 1), "smearing": 0.3}
    system = compute_system(hydrogen(1.0, distance=2.1), eps_cutoff=1e-5, **settings)
    assert 0.1 < system.provenance["total_moment"] < 0.98
    # gradients are taken on the grid here, from the orbitals there
    compare_with_kuks(system, hydrogen(1.0, distance=2.1), "pbe", "gth-pbe", 3e-3, smearing=0.3)


# ------------------------------------------------------------------ symmetries and sums
def test_flipped_moments_swap_the_channels(ferromagnet):
    flipped = compute_system(hydrogen(-1.0), smearing=0.3, eps_cutoff=1e-5, **CHEAP)
    assert largest(ferromagnet.hamiltonian, 1) > 1
    # sums over both channels in another order: round-off, through the cycle
    for matrix, other in (
        (ferromagnet.hamiltonian, flipped.hamiltonian),
        (ferromagnet.operators["superposition"], flipped.operators["superposition"]),
    ):
        for a, b in zip(matrix.values, other.values, strict=True):
            np.testing.assert_allclose(b[0], a[0], atol=1e-7)
            np.testing.assert_allclose(b[1], -a[1], atol=1e-7)
    assert flipped.provenance["total_moment"] == pytest.approx(
        -ferromagnet.provenance["total_moment"], abs=1e-7
    )
    assert flipped.fermi_level == pytest.approx(ferromagnet.fermi_level, abs=1e-7)


def test_moment_counts_up_minus_down_electrons(ferromagnet):
    from ase_mlham.engines.pyscf.kpoints import time_reversal_mesh

    k, weights = time_reversal_mesh(ferromagnet.kpts)
    occupied = 1 / (1 + np.exp((channels(ferromagnet, k) - ferromagnet.fermi_level) / 0.3))
    up, down = np.einsum("k,ckn->c", weights, occupied)
    # bands from the blocks kept by the cut-off radii
    assert up + down == pytest.approx(ferromagnet.n_electrons, abs=1e-3)
    assert up - down == pytest.approx(ferromagnet.provenance["total_moment"], abs=1e-3)


def test_moments_of_atoms_sum_to_the_total():
    """A ferrimagnet of unequal neighbours, and the same moments from H and S alone."""
    system = compute_system(hydrogen(1.0, -1.0, distance=3.0), smearing=0.1, **CHEAP)
    p = system.provenance
    assert p["initial_moments"] == [1.0, -1.0]
    assert sum(p["atomic_moments"]) == pytest.approx(p["total_moment"], abs=1e-9)
    assert p["atomic_moments"][0] > 0.3
    assert p["atomic_moments"][1] < -0.3
    found = charges(system, kpts=system.kpts, smearing=0.1)
    # cut-off radii again
    np.testing.assert_allclose(found.moments[:, 2], p["atomic_moments"], atol=2e-3)
    np.testing.assert_array_equal(system.structure.moments[:, 2], p["atomic_moments"])


def test_moments_of_a_molecule(oxygen):
    p = oxygen.provenance
    assert p["initial_moments"] == [1.0, 1.0]  # ASE's molecules bring them
    np.testing.assert_allclose(p["atomic_moments"], [1, 1], atol=1e-6)
    np.testing.assert_array_equal(oxygen.structure.moments[:, 2], p["atomic_moments"])
    np.testing.assert_allclose(charges(oxygen).moments[:, 2], [1, 1], atol=1e-6)
    free = compute_system(molecule("O2"), basis="gth-dzvp-molopt-sr")
    for a, b in zip(free.hamiltonian.values, oxygen.hamiltonian.values, strict=True):
        # the moment is free and finds the triplet; both are converged to 1e-4 eV
        np.testing.assert_allclose(a, b, atol=2e-4)


def test_start_density_has_the_moments():
    atoms = hydrogen(0.6, -0.2)
    box = make_box(
        Structure.from_atoms(atoms), load_basis("gth-szv-molopt-sr", {"H"}), "gth-pbe", 1e-6
    )
    moments = atoms.get_initial_magnetic_moments()
    potential = LocalPotential(box, (20, 20, 40), "pbe", moments)
    up, down = potential.start_density.sum(axis=(1, 2, 3)) * potential.element
    assert up + down == pytest.approx(2, abs=1e-12)
    assert up - down == pytest.approx(0.4, abs=1e-6)
    alone = LocalPotential(box, (20, 20, 40), "pbe").start_density
    np.testing.assert_allclose(potential.start_density.sum(axis=0), alone[0], atol=1e-12)
    assert potential.start_density.min() >= 0


def test_cycle_finds_its_way_past_a_saddle():
    """From full polarisation over a hump of the error, where extrapolation alone stays for ever."""
    settings = {"ecut_ry": 60.0, "xc": "lda", "smearing": 0.3}
    system = compute_system(hydrogen(1.0, distance=2.6), kpts=(2, 2, 1), **settings)
    assert 0.4 < system.provenance["total_moment"] < 0.6
    assert system.provenance["iterations"] < 15


def test_open_levels_carry_the_moment_of_an_atom():
    from pyscf.pbc.gto.pseudo import load

    oxygen = atomic_density("O", load("gth-pbe", "O"), "pbe")
    assert oxygen.n_open == 4
    shell = 4 * np.pi * oxygen.weight * oxygen.r**2
    assert shell @ oxygen.rho_open == pytest.approx(4, abs=1e-6)
    assert (oxygen.rho_open <= oxygen.rho).all()
    weights = oxygen.spin_weights(np.array([2.0, -5.0, 0.0, 4.0]))
    # two of four p electrons; five are more than p holds, and all six take part; never all of them
    np.testing.assert_allclose(weights, [[0, -5 / 6, 0, 0], [0.5, 0, 0, 0.9]])
    neon = atomic_density("Ne", load("gth-pbe", "Ne"), "pbe")
    assert neon.n_open == 0
    np.testing.assert_allclose(neon.spin_weights(np.array(2.0)), [0.25, 0])
    r = np.array([0.5, 1.0, 40.0])
    value, slope = oxygen.open_at(r)
    step = (oxygen.open_at(r + 1e-4)[0] - oxygen.open_at(r - 1e-4)[0]) / 2e-4
    np.testing.assert_allclose(slope, step, rtol=2e-4, atol=1e-12)
    assert value[2] == slope[2] == 0


@pytest.mark.parametrize("xc", ["pbe", "lda"])
def test_functional_of_two_channels(xc):
    rng = np.random.default_rng(5)
    rho = rng.uniform(0.01, 0.3, (1, 50))
    gradient = rng.normal(0, 0.1, (1, 3, 50))
    whole = xc_energy_potential(xc, rho, gradient)
    halves = xc_energy_potential(
        xc, np.repeat(rho / 2, 2, axis=0), np.repeat(gradient / 2, 2, axis=0)
    )
    for one, two in zip(whole, halves, strict=True):
        np.testing.assert_allclose(two, np.broadcast_to(one, two.shape), rtol=1e-10, atol=1e-12)
    # an empty channel: finite, and the full one is what exchange of one spin says
    lone = np.concatenate([rho, rng.normal(0, 1e-13, rho.shape)])
    noise = np.concatenate([gradient, rng.normal(0, 1e-9, gradient.shape)])
    exc, scalar, vector = xc_energy_potential(xc, lone, noise)
    assert all(np.isfinite(part).all() for part in (exc, scalar, vector))
    swapped = xc_energy_potential(xc, lone[::-1], noise[::-1])
    np.testing.assert_allclose(swapped[1], scalar[::-1], rtol=1e-12)
    # derivative of the energy with respect to the density of the majority
    step = 1e-5
    shift = np.array([[step], [0]])
    more, less = (
        rho.sum(axis=0) * xc_energy_potential(xc, rho, noise)[0]
        for rho in (lone + shift, lone - shift)
    )
    np.testing.assert_allclose((more - less) / (2 * step), scalar[0], rtol=1e-4)


# ------------------------------------------------------------------ fixed moments
def test_fixed_moment():
    system = compute_system(hydrogen(1.0), smearing=0.1, total_moment=0.2, **CHEAP)
    assert system.provenance["total_moment"] == pytest.approx(0.2, abs=1e-9)
    assert system.fermi_level is None
    assert "fixed at 0.2 Bohr magnetons" in system.warnings[0]
    whole = compute_system(hydrogen(1.0), smearing=0.0, total_moment=-1.0, **CHEAP)
    assert whole.provenance["total_moment"] == pytest.approx(-1, abs=1e-9)


def test_radical():
    """An odd electron; two states share it, as the smearing has it."""
    system = compute_system(molecule("OH"))
    assert system.n_electrons == 7
    assert system.provenance["total_moment"] == pytest.approx(1, abs=1e-3)
    assert system.provenance["atomic_moments"][0] > 0.9


# ------------------------------------------------------------------ what is refused
def vectors():
    return Atoms("H", cell=[2.4] * 3, pbc=True, magmoms=[[0.5, 0.0, 0.5]])


@pytest.mark.parametrize(
    ("atoms", "settings", "message"),
    [
        (vectors(), {}, r"shape \(1, 3\), which are vectors; this engine computes collinear"),
        (hydrogen(1.5), {}, r"atom 0 has .* of 1\.5 Bohr magnetons, but only 1 valence"),
        (hydrogen(np.nan), {}, "finite number"),
        (hydrogen(0.0), {"total_moment": 1.0}, "no initial magnetic moments and spin='auto'"),
        (hydrogen(1.0), {"smearing": 0.0}, "how many electrons are up: give total_moment"),
        (hydrogen(1.0), {"smearing": 0.0, "total_moment": 0.0}, "1 electrons have an odd whole"),
        (hydrogen(1.0), {"total_moment": 3.0}, "total_moment=3 Bohr magnetons: there are 1"),
        (hydrogen(1.0), {"total_moment": np.inf}, "total_moment=inf must be a number"),
        (hydrogen(1.0), {"spin": "none", "total_moment": 1.0}, "spin='none' has no moment"),
        (hydrogen(1.0), {"spin": "spinor"}, "give 'auto', 'none' or 'collinear'"),
        (molecule("O2"), {"total_moment": 0.5}, "12 electrons have an even whole moment"),
        (Atoms("H"), {}, "1 electrons cannot all be paired: give the atoms initial"),
        (Atoms("H"), {"spin": "collinear"}, "1 electrons cannot all be paired"),
        (Atoms("H", magmoms=[-2.0]), {}, "only 1 valence electrons"),
    ],
)
def test_refusals(atoms, settings, message):
    crystal = CHEAP if atoms.pbc.any() else {}
    with pytest.raises(InputError, match=message):
        compute_system(atoms, **crystal, **settings)


def test_vectors_without_spin_do_not_matter():
    atoms = vectors()
    system = compute_system(atoms, spin="none", smearing=0.3, **CHEAP)
    assert system.spin is SpinKind.NONE
    atoms.set_initial_magnetic_moments([[0.0, 0.0, 0.0]])
    assert compute_system(atoms, smearing=0.3, **CHEAP).spin is SpinKind.NONE
