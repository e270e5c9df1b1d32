"""Text files of OpenMX: orbitals, bands, printed levels."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from ase_mlham.errors import FormatError
from ase_mlham.formats import read_system
from ase_mlham.formats.compression import read_text
from ase_mlham.formats.openmx.bands import read_bands, read_levels
from ase_mlham.formats.openmx.orbitals import BasisString
from ase_mlham.formats.openmx.pao import DATA_VARIABLE, find_pao, read_pao
from ase_mlham.testing.formats import damaged_copies
from ase_mlham.units import OPENMX


# ------------------------------------------------------------------ radial functions
def pao_text(cutoff=5.0, valence=6.0, n=400, l_max=1, scale=1.0) -> str:
    """A file in OpenMX's manner with normalised functions of its grid."""
    x = np.linspace(-7, np.log(cutoff * 1.2), n)
    r = np.exp(x)
    lines = [
        "# made up",
        f"valence.electron  {valence}",
        f"radial.cutoff.pao  {cutoff}   # default=5.0",
        f"PAO.Lmax   {l_max}",
        "PAO.Mul   2",
    ]
    for l in range(l_max + 1):
        lines.append(f"<pseudo.atomic.orbitals.L={l}")
        functions = []
        for a in (1.0, 2.0):
            f = r**l * np.exp(-a * r * r) * (r < cutoff)
            functions.append(scale * f / np.sqrt(np.trapezoid(f**2 * r**3, x)))
        rows = zip(x, r, *functions, strict=True)
        lines += [" ".join(f"{value: .15f}" for value in row) for row in rows]
        lines.append(f"pseudo.atomic.orbitals.L={l}>")
    return "\n".join(lines) + "\n"


def test_radial_functions_of_a_made_file(tmp_path):
    path = tmp_path / "O5.0.pao"
    path.write_text(pao_text())
    pao = read_pao(path)
    assert pao.valence == 6
    assert pao.cutoff == pytest.approx(5 * OPENMX.bohr)
    assert {l: f.shape for l, f in pao.functions.items()} == {0: (2, 400), 1: (2, 400)}
    radial = pao.radial(1, 1)
    r = np.linspace(1e-3, 1.2 * pao.cutoff, 4001)
    # trapezoidal sums of smooth functions that start and end at zero
    assert np.trapezoid(radial(r) ** 2 * r**2, r) == pytest.approx(1, abs=1e-5)
    assert not radial(r[r > pao.cutoff]).any()
    with pytest.raises(FormatError, match="function 3 of l = 1 is asked for, the file holds 2"):
        pao.radial(1, 2)
    with pytest.raises(FormatError, match="function 1 of l = 4 is asked for, the file holds 0"):
        pao.radial(4, 0)


L0, L1 = "pseudo.atomic.orbitals.L=0", "pseudo.atomic.orbitals.L=1"


def _no_grid(text):
    head, _, tail = text.partition("<pseudo.atomic.orbitals.L=1\n")
    first, _, rest = tail.partition("\n")
    words = first.split()
    words[1] = "0.0009"
    return f"{head}<pseudo.atomic.orbitals.L=1\n{' '.join(words)}\n{rest}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace("valence.electron", "else"), "no positive number after 'valence.elec"),
        (lambda t: t.replace("valence.electron  6.0", "valence.electron  x"), "no positive number"),
        (lambda t: t.replace("radial.cutoff.pao  5.0", "radial.cutoff.pao  -5"), "no positive num"),
        (lambda t: t.replace("PAO.Lmax", "PAO.Lmin"), "not a .pao file of optimised PAOs"),
        (lambda t: t.replace(f"<{L1}", ""), "missing or has no end"),
        (lambda t: t.replace(f"{L1}>", ""), "missing or has no end"),
        (lambda t: t.replace(f"\n{L1}>", f" 1\n{L1}>"), "is incomplete"),
        (lambda t: t.replace(" 0.0", " a.0", 1), "is damaged: could not convert"),
        (lambda t: t.replace(" 0.0", "-0.0", 1), "r must increase from above 0"),
        (lambda t: t.replace(f"<{L0}\n", f"<{L0}\n-7.1 0.0009 9e9 0\n"), "a value is beyond"),
        (_no_grid, "the grid of l = 1 is not that of l = 0"),
        (lambda _: pao_text(scale=1.1), "has norm .* instead of 1"),
    ],
)
def test_what_cannot_be_a_pao_file(tmp_path, change, message):
    path = tmp_path / "O5.0.pao"
    text = pao_text()
    assert change(text) != text
    path.write_text(change(text))
    with pytest.raises(FormatError, match=message):
        read_pao(path)


def test_damaged_pao_files(tmp_path):
    path = tmp_path / "O5.0.pao"
    path.write_text(pao_text(n=40))
    work = tmp_path / "work"
    work.mkdir()
    refused = 0
    for _, variant in damaged_copies(path, work, n_cuts=20, n_flips=60):
        try:
            read_pao(variant)
        except FormatError:
            refused += 1
    assert refused > 20


def test_real_pao_files(shared):
    pao = read_pao(shared / "data" / "openmx" / "pao" / "Mo7.0.pao.zst")
    assert pao.valence == 14
    assert sorted(pao.functions) == [0, 1, 2, 3]
    assert pao.functions[0].shape == (15, 500)


def test_where_radial_functions_are_looked_for(openmx_samples, tmp_path, monkeypatch):
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    run = tmp_path / "runs" / "o2"
    run.mkdir(parents=True)
    output = run / "o2_triplet.scfout"
    shutil.copy(openmx_samples / "o2_triplet.scfout", output)
    basis = BasisString.parse("O5.0-s2p2d1")
    assert find_pao(basis, output, "../DATA") is None
    places = [
        tmp_path / "runs" / "DATA" / "PAO",
        tmp_path / "runs" / "pao",
        run / "pao",
        run,
    ]
    for place in places:  # each later one goes before
        place.mkdir(exist_ok=True, parents=True)
        (place / "O5.0.pao").write_text(pao_text(l_max=2))
        assert find_pao(basis, output, "../DATA") == run / ".." / "DATA" / "PAO" / "O5.0.pao" or (
            find_pao(basis, output, "../DATA") == place / "O5.0.pao"
        )
    database = tmp_path / "database"
    (database / "PAO").mkdir(parents=True)
    (database / "PAO" / "O5.0.pao").write_text(pao_text(l_max=2))
    monkeypatch.setenv(DATA_VARIABLE, str(database))
    assert find_pao(basis, output) == database / "PAO" / "O5.0.pao"
    system = read_system(output)
    assert system.basis[8].has_radial
    assert system.provenance["radial_functions"] == {"O": "O5.0.pao"}
    # a file that is found and damaged is said, not skipped
    (database / "PAO" / "O5.0.pao").write_text("")
    with pytest.raises(FormatError, match=r"PAO/O5\.0\.pao: no positive number"):
        read_system(output)
    monkeypatch.setenv(DATA_VARIABLE, str(database / "absent"))
    with pytest.raises(FormatError, match=r"MLHAM_OPENMX_DATA is .* which is not a folder"):
        read_system(output)


def test_contracted_bases_have_no_radial_functions(scfout, tmp_path):
    (tmp_path / "C2.0.pao").write_text(pao_text(cutoff=2.0))

    def contracted(fields):
        fields["input"] = fields["input"].replace("C2.0-s1p1", "C2.0-s4>1p1")

    assert read_system(scfout()).basis[6].has_radial
    system = read_system(scfout(contracted))
    assert not system.basis[6].has_radial
    assert system.basis[6].layout == "s1p1"


# ------------------------------------------------------------------ bands
def band_text(spin=1):
    return f" 2  {spin}  -0.1\n0 1 0 1 0 0 0 0 1\n1\n2  0.0 0.0 0.0   0.5 0.0 0.0  G X\n" + "".join(
        f"2  {k} 0.0 0.0\n{-1 - k + shift:.6f}  {0.5 + shift:.6f}\n"
        for k in (0.0, 0.5)
        for shift in ((0.0, 0.2) if spin == 1 else (0.0,))
    )


def test_bands_of_a_made_file(tmp_path):
    path = tmp_path / "made.Band"
    path.write_text(band_text())
    bands = read_bands(path)
    assert bands.energies.shape == (2, 2, 2)
    assert bands.energies[1, 1] == pytest.approx(np.array([-1.3, 0.7]) * OPENMX.hartree)
    assert bands.fermi_level == pytest.approx(-0.1 * OPENMX.hartree)
    assert bands.kpts.tolist() == [[0, 0, 0], [0.5, 0, 0]]
    assert bands.segments[0].labels == ("G", "X")
    assert bands.segments[0].n_points == 2
    path.write_text(band_text(spin=0))
    assert read_bands(path).energies.shape == (1, 2, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: "\n".join(t.splitlines()[:-1]), "ends early"),
        (lambda t: t.replace("-1.500000", ""), "1 eigenvalues instead of 2"),
        (lambda t: t.replace("2  0.5", "3  0.5"), "2 eigenvalues instead of 2|not a .Band file"),
        (lambda t: t.replace("G X", ""), "not a .Band file of OpenMX, before line 5"),
        (lambda t: t.replace("-0.1", "x", 1), "not a .Band file of OpenMX"),
        (lambda t: t.replace("-1.500000", "nan"), "not a finite number"),
        (lambda t: t.replace("\n1\n", "\n0\n"), "no k-points"),
        (lambda t: "text\n", "not a .Band file of OpenMX, at its end"),
        (lambda t: "", "ends early"),
    ],
)
def test_what_cannot_be_a_band_file(tmp_path, change, message):
    path = tmp_path / "made.Band"
    assert change(band_text()) != band_text()
    path.write_text(change(band_text()))
    with pytest.raises(FormatError, match=message):
        read_bands(path)


# ------------------------------------------------------------------ printed levels
def test_levels_of_a_molecule(openmx_samples):
    levels = read_levels(openmx_samples / "o2_triplet.out.gz")
    assert levels.energies.shape == (2, 1, 26)
    assert levels.version == (3, 8)
    assert levels.fermi_level == pytest.approx(-0.205078125 * OPENMX.hartree)
    assert levels.energies[1, 0, 0] == pytest.approx(-1.17843212358862 * OPENMX.hartree)
    assert levels.on_mesh((1, 1, 1)).kpts.tolist() == [[0, 0, 0]]


MESH_TEXT = """\
  This calculation was performed by OpenMX Ver. {version}
   Eigenvalues (Hartree) of SCF KS-eq.
   Chemical Potential (Hatree) =  -0.25
   Eigenvalues
   kloop=0
   k1=  {k} k2=  {k} k3=   0.00000

    1   -0.50000000000000
    2    0.50000000000000

   kloop=1
   k1=  {k} k2=   {k} k3=   0.00000

    1   -0.40000000000000
    2    0.60000000000000

***********************************************************
    1   7.0
"""


def test_levels_on_a_mesh(tmp_path):
    path = tmp_path / "made.out"
    path.write_text(MESH_TEXT.format(version="3.8.5", k="-0.33333"))
    levels = read_levels(path)
    assert levels.energies.shape == (1, 2, 2)
    third = levels.on_mesh((3, 3, 1)).kpts[0]
    assert third == pytest.approx([-1 / 3 + 1e-6, -1 / 3 - 1e-6, 0], abs=1e-12)
    with pytest.raises(FormatError, match=r"not those of a mesh \(4, 4, 1\)"):
        levels.on_mesh((4, 4, 1))
    path.write_text(MESH_TEXT.format(version="3.9.23", k="0.16667"))
    sixth = read_levels(path).on_mesh((6, 6, 1)).kpts[0]
    assert sixth == pytest.approx([1 / 6 + 1e-8, 1 / 6 - 1e-8, 0], abs=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace("KS-eq", "else"), "no list of eigenvalues"),
        (lambda t: t.replace("Chemical", "Other"), "has no chemical potential"),
        (lambda t: t[: t.index("    2    0.6")], "is cut off"),
        (lambda t: t[: t.index("    1   -0.4")], "is cut off at a k-point"),
        (lambda t: t[: t.index("   kloop=0")], "is cut off"),
    ],
)
def test_what_cannot_be_a_list_of_levels(tmp_path, change, message):
    path = tmp_path / "made.out"
    text = MESH_TEXT.format(version="3.8.5", k="0.25000")
    path.write_text(change(text))
    with pytest.raises(FormatError, match=message):
        read_levels(path)


def test_damaged_texts(openmx_samples, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    band = tmp_path / "made.Band"
    band.write_text(band_text())
    level = tmp_path / "made.out"
    level.write_text(read_text(openmx_samples / "o2_nc.out.gz"))
    for path, read in ((band, read_bands), (level, read_levels)):
        refused = 0
        for _, variant in damaged_copies(path, work, n_cuts=20, n_flips=60):
            try:
                read(variant)
            except FormatError:
                refused += 1
        assert refused > 5
