"""Hamiltonians of OpenMX: real files against printed numbers, made files for every way to fail."""

from __future__ import annotations

import gzip
import shutil

import numpy as np
import pytest
import scipy.linalg
import zstandard

from ase_mlham.core.spin import SpinKind, spin_blocks
from ase_mlham.errors import FormatError
from ase_mlham.formats import read_system
from ase_mlham.formats.openmx import reader
from ase_mlham.formats.openmx.bands import read_bands, read_levels
from ase_mlham.formats.openmx.input import OpenMXInput
from ase_mlham.formats.openmx.orbitals import BasisString, from_openmx_order, m_order
from ase_mlham.formats.openmx.scfout import parse_header, read_scfout
from ase_mlham.hooks import registered
from ase_mlham.testing.formats import assert_same_system, check_format
from ase_mlham.units import OPENMX

BULK = (
    "si_diamond sige_zb graphene mos2 bi2se3_soc gaas_soc fe_bcc "
    "si_diamond_v39 fe_bcc_v39 gaas_soc_v39"
).split()
MOLECULES = "h2o ch4 o2_triplet o2_nc o2_spdf".split()

# OpenMX prints eigenvalues with 14 digits after the point (hartree) and wrote what it solved. The
# highest states, where S is nearly singular, differ by 3e-7 eV.
PRINTED = 1e-6


def eigenvalues(system, k):
    """(n_channels, n) eigenvalues of H(k) c = E S(k) c, eV."""
    h = spin_blocks(system.hamiltonian.at_k(k), system.spin)
    s = system.overlap.at_k(k)[0]
    if system.spin is SpinKind.SPINOR:
        s = np.kron(np.eye(2), s)
    return np.stack([scipy.linalg.eigvalsh(block, s) for block in h])


def scfout_of(folder):
    return next(p for p in folder.iterdir() if ".scfout" in p.name)


# ------------------------------------------------------------------ against OpenMX's own numbers
@pytest.mark.parametrize("name", BULK)
def test_bands_are_those_of_openmx(shared, name):
    folder = shared / "data" / "openmx" / name
    system = read_system(scfout_of(folder))
    printed = read_bands(folder / f"{name}.Band")
    assert abs(printed.fermi_level - system.fermi_level) < 1e-10
    for n in range(0, len(printed.kpts), 11):
        found = eigenvalues(system, printed.kpts[n])
        assert abs(found - printed.energies[:, n]).max() < PRINTED


@pytest.mark.parametrize("name", BULK + MOLECULES)
def test_levels_are_those_that_openmx_printed(shared, name):
    folder = shared / "data" / "openmx" / name
    check_levels(folder, scfout_of(folder), name)


@pytest.mark.parametrize("name", ["h2o", "o2_triplet", "o2_nc"])
def test_levels_of_the_samples(openmx_samples, name):
    path = next(openmx_samples.glob(f"{name}.scfout*"))
    check_levels(openmx_samples, path, name)


def check_levels(folder, path, name):
    system = read_system(path)
    printed = read_levels(folder / f"{name}.out.gz")
    if system.kpts != (1, 1, 1):
        printed = printed.on_mesh(system.kpts)
    for n in range(0, len(printed.kpts), 1 + len(printed.kpts) // 3):
        found = eigenvalues(system, printed.kpts[n])
        # without spin the text repeats the column
        assert abs(found - printed.energies[:, n]).max() < PRINTED


def test_r_zero_alone_is_not_what_openmx_diagonalised(openmx_samples):
    system = read_system(openmx_samples / "h2o.scfout")
    printed = read_levels(openmx_samples / "h2o.out.gz").energies[0, 0]
    home = scipy.linalg.eigvalsh(system.hamiltonian.dense()[0], system.overlap.dense()[0])
    assert abs(home - printed).max() > 0.1
    assert system.warnings == (
        (
            "a molecule whose orbitals reach into the next box: OpenMX used the sum over all "
            "cells, which is k = 0"
        ),
    )


def test_what_a_real_file_holds(openmx_samples):
    system = read_system(openmx_samples / "o2_triplet.scfout")
    assert system.spin is SpinKind.COLLINEAR
    assert system.n_electrons == 12
    assert system.kpts == (1, 1, 1)
    assert not system.structure.pbc.any()
    oxygen = system.basis[8]
    assert (oxygen.label, oxygen.layout, oxygen.valence) == ("O5.0-s2p2d1", "s2p2d1", 6)
    assert oxygen.cutoff == pytest.approx(5 * OPENMX.bohr)
    assert oxygen.shells[3].label == "p2"
    assert not oxygen.has_radial
    assert system.structure.positions[1] == pytest.approx([3.0, 3.0, 4.22])
    assert system.provenance["source"] == "OpenMX"
    assert system.provenance["total_spin"] == pytest.approx(1.0)
    assert system.provenance["pseudopotentials"] == {"O": "O_PBE13"}
    # the same molecule non-collinear: same exchange splitting, moment along theta = 50, phi = 30
    tilted = read_system(openmx_samples / "o2_nc.scfout.zst")
    assert tilted.spin is SpinKind.SPINOR
    assert tilted.hamiltonian.dtype == np.float64
    moment = tilted.hamiltonian[0, 0, (0, 0, 0)][1:].trace(axis1=1, axis2=2)
    theta, phi = np.radians([50.0, 30.0])
    direction = [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)]
    # electrons prefer the direction of the moment: the exchange field is against it
    assert -moment / np.linalg.norm(moment) == pytest.approx(direction, abs=1e-6)


@pytest.mark.parametrize("name", ["bi2se3_soc", "gaas_soc"])
def test_non_magnetic_spinors_obey_time_reversal(shared, name):
    system = read_system(scfout_of(shared / "data" / "openmx" / name))
    for array in system.hamiltonian.values:
        # X_1 real, X_xyz imaginary; the SCF leaves a moment of about 1e-6 eV
        assert abs(array[0].imag).max() < 1e-5
        assert abs(array[1:].real).max() < 1e-5
        assert abs(array[1:].imag).max() > 0.01


def test_orbital_order_makes_two_centre_overlaps_diagonal_in_m(shared):
    """The overlap of shells along their axis connects equal m only, for any radial functions."""
    from ase_mlham.core.harmonics import rotation_matrix

    for name in ("mos2", "o2_spdf"):
        system = read_system(scfout_of(shared / "data" / "openmx" / name))
        pattern, entry = system.overlap.pattern, system.basis
        vectors = pattern.vectors(system.structure)
        worst = 0.0
        for n in range(pattern.n_blocks):
            d = vectors[n]
            if np.linalg.norm(d) < 0.5:
                continue
            i, j = int(pattern.i[n]), int(pattern.j[n])
            block = system.overlap[i, j, pattern.R[n]][0]
            z = d / np.linalg.norm(d)
            x = np.cross(z, [0.3, 0.5, 0.8])
            x /= np.linalg.norm(x)
            to_axis = np.stack([x, np.cross(z, x), z])
            turns = [
                scipy.linalg.block_diag(
                    *(
                        rotation_matrix(l, to_axis)
                        for l in entry[int(system.structure.numbers[atom])].l
                    )
                )
                for atom in (i, j)
            ]
            turned = turns[0] @ block @ turns[1].T
            m = [
                np.concatenate([np.arange(-l, l + 1) for l in entry[int(number)].l])
                for number in system.structure.numbers[[i, j]]
            ]
            worst = max(worst, abs(turned[m[0][:, None] != m[1][None, :]]).max())
        # OpenMX integrates S in one dimension per pair: exact up to its rounding
        assert worst < 1e-9


def test_pattern_is_that_of_the_orbital_cutoffs(shared):
    for name in ("mos2", "h2o", "sige_zb"):
        system = read_system(scfout_of(shared / "data" / "openmx" / name))
        assert system.pattern_from_basis() == system.overlap.pattern


def test_radial_functions_are_found_beside(shared):
    system = read_system(scfout_of(shared / "data" / "openmx" / "mos2"))
    molybdenum = system.basis[42]
    assert molybdenum.has_radial
    assert molybdenum.layout == "s3p2d2"
    assert system.provenance["radial_functions"]["Mo"] == "Mo7.0.pao.zst"
    r = np.linspace(1e-4, molybdenum.cutoff, 20001)
    radial = molybdenum.shells[0].radial
    # the database normalises on a finer grid of its own
    assert np.trapezoid(radial(r) ** 2 * r**2, r) == pytest.approx(1, abs=2e-2)


def test_position_and_gradient_obey_the_commutator_with_symmetry(shared):
    """On-site <s|x|p_x> of the two spellings of one file, and parity: no diagonal elements."""
    old = read_system(scfout_of(shared / "data" / "openmx" / "si_diamond"))
    new = read_system(scfout_of(shared / "data" / "openmx" / "si_diamond_v39"))
    assert "gradient" in new.operators
    assert "gradient" not in old.operators
    assert new.operators["gradient"].symmetry == -1
    x = old.operators["position"][0, 0, (0, 0, 0)]
    # parity to the grid's accuracy
    assert abs(x.diagonal(axis1=1, axis2=2)).max() < 1e-4
    s1, p1 = 0, slice(2, 5)
    coupling = x[:, s1, p1]  # columns y, z, x
    assert coupling[0, 2] == pytest.approx(coupling[1, 0], abs=1e-4)
    assert abs(coupling[0, 2]) > 0.1
    assert abs(coupling[0, :2]).max() < 1e-4
    a, b = old.operators["position"], new.operators["position"]
    for left, right in zip(a.values, b.values, strict=True):
        assert left == pytest.approx(right, abs=1e-9)
    # d/dx of s overlaps with p_x of the same sign as x s does not: <s|d/dx|s'> decreases along +x
    gradient = new.operators["gradient"]
    d = gradient.pattern.vectors(new.structure)
    far = int(np.argmax(np.where(gradient.pattern.onsite, -1, d[:, 0])))
    block = gradient[
        int(gradient.pattern.i[far]), int(gradient.pattern.j[far]), gradient.pattern.R[far]
    ]
    assert block[0, 0, 0] > 0  # the neighbour at +x rises towards its own centre


# ------------------------------------------------------------------ made files: meaning
def test_every_kind_reads_in_either_byte_order_and_compression(scfout):
    for version in (0, 3):
        for spin in (0, 1, 3):
            kind = {"version": version, "spin": spin}
            expected = read_system(scfout(**kind))
            assert expected.spin.n_components == {0: 1, 1: 2, 3: 4}[spin]
            for order, name, compress in (
                (">", "made.scfout", None),
                ("<", "made.scfout", gzip.compress),
                ("<", "made.scfout", zstandard.ZstdCompressor().compress),
            ):
                found = read_system(scfout(order=order, name=name, compress=compress, **kind))
                assert_same_system(found, expected)


def test_spinor_matrix_is_that_of_the_formula(scfout):
    """H(k) from the file's own blocks, by the documented formula and plain loops."""
    path = scfout(spin=3)
    system, raw = read_system(path), read_scfout(path)
    k = np.array([0.13, -0.31, 0.2])
    offsets = np.concatenate([[0], np.cumsum(raw.n_orbitals)])
    n = offsets[-1]
    h, a = raw.hamiltonian, raw.imaginary
    parts = h[0] + 1j * a[0], h[1] + 1j * a[1], h[2] + 1j * (h[3] + a[2])
    uu, dd, ud = (np.zeros((n, n), complex) for _ in range(3))
    start = 0
    for i, j, R in zip(raw.i, raw.j, raw.R, strict=True):
        rows, columns = slice(*offsets[i : i + 2]), slice(*offsets[j : j + 2])
        size = raw.n_orbitals[i] * raw.n_orbitals[j]
        for target, flat in zip((uu, dd, ud), parts, strict=True):
            block = flat[start : start + size].reshape(raw.n_orbitals[i], raw.n_orbitals[j])
            target[rows, columns] += np.exp(2j * np.pi * R @ k) * block
        start += size
    full = np.block([[uu, ud], [ud.conj().T, dd]]) * OPENMX.hartree
    order = np.concatenate([[0, 2, 3, 1], [4, 5], [6, 7]])  # p as y, z, x
    both = np.concatenate([order, n + order])
    found = spin_blocks(system.hamiltonian.at_k(k), system.spin)[0]
    # sums of some ten products of order ten
    assert found == pytest.approx(full[np.ix_(both, both)], abs=1e-11)


def test_spinors_without_coupling_are_real_and_the_same(scfout):
    def symmetric(fields):
        fields["H"] = np.tile(fields["H"][: fields["S"].size], 4) * np.repeat(
            [1.0, 0.5, 0.2, 0.3], fields["S"].size
        )

    real = read_system(scfout(symmetric, spin=3, soc=False))

    def almost(fields):
        symmetric(fields)
        fields["iHNL"][0] = 0.0
        fields["iHNL"][-1] = 1e-300

    general = read_system(scfout(almost, spin=3, soc=False))
    assert real.hamiltonian.dtype == np.float64
    assert general.hamiltonian.dtype == np.complex128
    for a, b in zip(real.hamiltonian.values, general.hamiltonian.values, strict=True):
        assert a == pytest.approx(b, abs=1e-12)


def test_higher_powers_and_extra_blocks_are_skipped(scfout):
    first = read_system(scfout(version=3))
    powers = read_system(scfout(version=3, order_max=3, name="powers.scfout"))
    assert set(first.operators) == {"position", "gradient"}
    assert powers.operators["position"].n_components == 3

    def trailing(fields):
        fields["vxc"] = np.ones(500)
        fields["text"] = b"\n  This calculation was performed by OpenMX\n"

    longer = read_system(scfout(trailing, version=3))
    assert_same_system(longer, first)


def test_position_is_relative_to_the_middle(scfout):
    path = scfout()
    system, raw = read_system(path), read_scfout(path)
    n = int(np.flatnonzero((raw.i == 1) & (raw.j == 2))[0])
    sizes = raw.n_orbitals[raw.i] * raw.n_orbitals[raw.j]
    start = sizes[:n].sum()
    block = raw.position[:, start : start + sizes[n]].reshape(3, 2, 2) * OPENMX.bohr
    positions, cell = system.structure.positions, system.structure.cell
    d = positions[2] - positions[1] + raw.R[n] @ cell
    s = system.overlap[1, 2, raw.R[n]]
    expected = block - d[:, None, None] / 2 * s
    assert system.operators["position"][1, 2, raw.R[n]] == pytest.approx(expected, abs=1e-12)


def test_periodic_directions_are_those_that_orbitals_cross(scfout):
    system = read_system(scfout())
    assert system.structure.pbc.tolist() == [True, True, False]
    assert system.kpts == (3, 2, 1)


def test_charged_cells_keep_neutral_atoms(scfout):
    def charged(fields):
        fields["input"] += "scf.system.charge 0.5\n"
        fields["numbers"][8] -= 0.5
        fields["DM"] *= 5.5 / 6

    system = read_system(scfout(charged))
    assert system.n_electrons == 5.5
    assert [entry.valence for entry in system.basis.species] == [1, 4]
    assert system.warnings == ()


def test_unknown_valence_and_electrons_that_disagree_are_said(scfout):
    def odd(fields):
        fields["input"] = fields["input"].replace("2.0 2.0", "2.0 2.5")
        fields["DM"] *= 2

    system = read_system(scfout(odd))
    assert len(system.warnings) == 2
    assert "valence electrons of the elements are not known" in system.warnings[0]
    assert (
        "the density matrix holds 12.0000 electrons, the file states 6.0000" in system.warnings[1]
    )
    assert system.basis.n_electrons(system.structure.numbers) == pytest.approx(6)


def test_one_element_needs_no_initial_charges(openmx_samples, tmp_path):
    text = (openmx_samples / "o2_triplet.dat").read_text().replace("4.00 2.00", "")
    edited = tmp_path / "edited.dat"
    edited.write_text(text)
    path = openmx_samples / "o2_triplet.scfout"
    system = read_system(path, input_file=edited)
    assert system.basis[8].valence == 6


# ------------------------------------------------------------------ made files: refusals
def _set(name, index, value):
    def change(fields):
        fields[name].reshape(-1)[index] = value

    return change


def _edit_input(old, new):
    def change(fields):
        assert old in fields["input"]
        fields["input"] = fields["input"].replace(old, new)

    return change


def _cut(fields):
    fields.pop("input")
    fields["numbers"] = fields["numbers"][:4]


def _duplicate(fields):
    first = int(fields["FNAN"][0])
    fields["natn"][first] = fields["natn"][first - 1]
    fields["ncn"][first] = fields["ncn"][first - 1]


def _elsewhere(fields):
    """One block in a cell that no orbital reaches; its partner stays where it was."""
    used = set(fields["ncn"].tolist())
    fields["ncn"][2] = next(c for c in range(27) if c not in used)


def _modified_program(fields):
    """Derivatives of S, interleaved, where positions should be."""
    random = np.random.default_rng(1)
    fields["r"] = random.normal(size=fields["r"].size)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("header", 0, 0), "does not begin like a .scfout file"),
        (_set("header", 5, 5), "does not begin like a .scfout file"),
        (_set("header", 1, 5), r"version 1 of .* versions 0 \(.*3\.8.*\) and 3 \(.*are read"),
        (_set("header", 1, 9), "version 2 of"),
        (_set("header", 1, 16), "version 4 of"),
        (_set("header", 1, 2), "spin switch 2 does not exist"),
        (_set("atv", 7, 99.0), "lattice translations are not those"),
        (_set("atv", 7, np.nan), "lattice translations: a number is beyond"),
        (_set("atv_ijk", 7, 10**6), "cell index is beyond 1000"),
        (_set("norb", 0, -4), "the orbitals of each atom must lie between 1 and 1000"),
        (_set("FNAN", 0, 10**6), "the neighbours of each atom must lie between"),
        (_set("FNAN", 0, 60), "must lie between|should take|cut off"),
        (_set("natn", 3, 4), "the neighbour list must lie between 1 and 3"),
        (_set("ncn", 3, 27), "the cells of the neighbours must lie between 0 and 26"),
        (_set("rtv", 6, 0.5), "reciprocal vectors are not those"),
        (_set("H", 5, np.nan), "the Hamiltonian: a number is beyond 1e.06 or is none"),
        (_set("S", 5, 1e9), "the overlap: a number is beyond"),
        (_set("r", 5, np.inf), "the position matrices: a number is beyond"),
        (_set("H", -1, 0.7), "of the hamiltonian differ by .*damaged"),
        (_set("S", -1, 0.7), "of the overlap differ by"),
        (_modified_program, "of the position differ by .*written by modified programs"),
        (_duplicate, "the list holds a block twice"),
        (_elsewhere, "a block lacks its partner or occurs twice"),
        (_set("solver", 0, -1), "the code of the solver must lie"),
        (_set("numbers", 0, np.inf), "the numbers after the matrices"),
        (_set("numbers", 8, 400.0), "do not fit together: 400.0 electrons"),
        (_cut, "the numbers after the matrices should take 80 bytes"),
        (_edit_input("C2.0-s1p1", "C2.0-s2p1"), "atom 0 has basis .* with 5 orbitals, .* have 4"),
        (_edit_input(" 3 H1  0.0 1.0 0.3  0.5 0.5\n", ""), "lists 2 atoms, the matrices are for 3"),
        (_edit_input("<Definition", "<Redefinition"), "no table <Definition.of.Atomic.Species"),
        (
            _edit_input("Coordinates>", "Coordinates>>"),
            "SpeciesAndCoordinates of the input has no end",
        ),
        (_edit_input(" 3 H1", " 3 X"), "its label is none of C, H1"),
        (_edit_input("C2.0-s1p1", "C2.0_s1p1"), "basis 'C2.0_s1p1' is not of the form"),
        (_edit_input("C2.0-s1p1  C_PBE13", "C2.0-s1p1"), "expected label, basis, pseudopotential"),
        (_edit_input("C2.0-s1p1", "Q2.0-s1p1"), "'Q' is not an element"),
        (_edit_input("C_PBE13", "E"), "atom 0 is an empty atom"),
        (_edit_input("H1.5-s2", "C1.5-s2"), "C has two bases, C2.0-s1p1 and C1.5-s2"),
        (_edit_input("3 2 1", "3 2 x"), "scf.Kgrid is '3 2 x'; expected three positive integers"),
        (_edit_input("scf.Kgrid", "scf.system.charge x\nscf.Kgrid"), "charge is 'x' in the input"),
    ],
)
def test_what_cannot_be_is_refused(scfout, change, message):
    path = scfout(change)
    with pytest.raises(FormatError, match=message) as caught:
        reader.read(path)
    assert str(caught.value).startswith(str(path))


def test_order_of_the_position_matrices_is_bounded(scfout):
    with pytest.raises(FormatError, match="order of the position matrices must lie"):
        reader.read(scfout(_set("order_max", 0, 10**6), version=3))


def test_terabytes_are_not_asked_for(scfout):
    path = scfout(_set("header", 0, 9_000_000))
    with pytest.raises(FormatError, match=r"should take 36000000 bytes at byte .* it is cut off"):
        reader.read(path)
    path = scfout(_set("header", 0, 9_000_000), compress=gzip.compress)
    with pytest.raises(FormatError, match=r"ends at byte .* before the end of the orbitals"):
        reader.read(path)


def test_what_happens_in_the_file_is_not_blamed_on_the_input(scfout, tmp_path):
    """A radial function that is found and lacks a shell is the message, not the input."""
    path = scfout()
    (tmp_path / "C2.0.pao").write_text("")
    with pytest.raises(FormatError, match=r"C2\.0\.pao: no positive number after 'valence"):
        reader.read(path)


def test_the_input_of_the_run_replaces_an_edited_copy(scfout, tmp_path):
    original = tmp_path / "right.dat"
    path = scfout()
    original.write_text(read_scfout(path).input_text)
    expected = reader.read(path)
    broken = scfout(_edit_input("C2.0-s1p1", "C2.0-s2p1"))
    with pytest.raises(FormatError, match="give the input of the run as input_file="):
        reader.read(broken)
    assert_same_system(reader.read(broken, input_file=original), expected)
    original.write_text("")
    with pytest.raises(FormatError, match=r"right\.dat cannot be used"):
        reader.read(broken, input_file=original)


# ------------------------------------------------------------------ recognising, damage
def test_sniffing(scfout, tmp_path):
    assert reader.sniff(scfout()) == 0.95
    assert reader.sniff(scfout(name="renamed.bin")) == 0.7
    assert reader.sniff(scfout(name="made.scfout.gz", compress=gzip.compress)) == 0.95
    future = _set("header", 1, 16)
    assert reader.sniff(scfout(future)) == 0.6
    assert reader.sniff(scfout(future, name="renamed.bin")) == 0.1
    damaged = tmp_path / "short.scfout"
    damaged.write_bytes(b"abc")
    assert reader.sniff(damaged) == 0.2
    assert parse_header(b"abc") is None
    assert reader.sniff(tmp_path) == 0.0


@pytest.mark.parametrize("name", ["h2o.scfout", "o2_nc.scfout.zst"])
def test_conformance(openmx_samples, tmp_path, name):
    check_format(registered("format")["openmx"], [openmx_samples / name], tmp_path)


def test_conformance_of_made_files(scfout, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    samples = [
        scfout(version=3, spin=3, name="a.scfout"),
        scfout(version=0, spin=1, name="b.scfout.gz", compress=gzip.compress),
    ]
    check_format(registered("format")["openmx"], samples, work, seed=5)


@pytest.mark.slow
@pytest.mark.parametrize("name", BULK)
def test_conformance_of_large_files(shared, tmp_path, name):
    sample = shutil.copy(scfout_of(shared / "data" / "openmx" / name), tmp_path)
    work = tmp_path / "work"
    work.mkdir()
    check_format(registered("format")["openmx"], [sample], work)


# ------------------------------------------------------------------ small parts
def test_orbital_order():
    assert [m_order(l) for l in range(4)] == [
        (0,),
        (1, -1, 0),
        (0, 2, -2, 1, -1),
        (0, 1, -1, 2, -2, 3, -3),
    ]
    assert from_openmx_order((0, 1)).tolist() == [0, 2, 3, 1]
    assert from_openmx_order((2,)).tolist() == [2, 4, 0, 3, 1]
    assert from_openmx_order((3,)).tolist() == [6, 4, 2, 0, 1, 3, 5]
    for l in range(7):
        assert sorted(from_openmx_order((l, 1))) == list(range(2 * l + 4))


@pytest.mark.parametrize(
    "text", ["", "Si", "Si7.0-", "si7.0-s1", "Si7.0-s1s2", "Si7.0-s0", "Si7.0-s1x"]
)
def test_malformed_basis_strings(text):
    with pytest.raises(FormatError, match="is not of the form"):
        BasisString.parse(text)


def test_basis_strings():
    basis = BasisString.parse("Fe5.5H-s3p2d1")
    assert (basis.file, basis.symbol, basis.radius) == ("Fe5.5H", "Fe", 5.5)
    assert basis.shells == (0, 0, 0, 1, 1, 2)
    assert basis.n_orbitals == 14
    assert not basis.contracted
    contracted = BasisString.parse("C5.0-s4>2p4>1")
    assert contracted.contracted
    assert contracted.counts == {0: 2, 1: 1}


def test_input_takes_the_first_of_two():
    text = OpenMXInput("a 1 # comment\nA 2\nscf.EigenvalueSolver Cluster\n")
    assert text.words("A") == ["1"]
    assert text.word("missing", "default") == "default"
    assert text.k_mesh == (1, 1, 1)
    assert OpenMXInput("").k_mesh is None
