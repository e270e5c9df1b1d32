"""`ase.io.read`, `ase convert`, `ase info` and `ase gui` on files that hold a Hamiltonian."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase.io import read
from ase.io.formats import UnknownFileTypeError, filetype

from ase_mlham.errors import FormatError
from ase_mlham.formats import read_system, write_system

DATA = Path(__file__).parents[1] / "data"
H2O = DATA / "openmx" / "h2o.scfout"
O2_ZST = DATA / "openmx" / "o2_nc.scfout.zst"
NATIVE = DATA / "native" / "version-1.0.h5"


def ase(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ase", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=cwd,
    )


@pytest.fixture
def files(tmp_path) -> list[Path]:
    """The same molecule in every spelling of its file."""
    plain = tmp_path / "water.scfout"
    shutil.copy(H2O, plain)
    packed = tmp_path / "water.scfout.gz"
    packed.write_bytes(gzip.compress(H2O.read_bytes()))
    native = tmp_path / "water.h5"
    write_system(read_system(H2O), native)
    unnamed = tmp_path / "result-of-tuesday"
    shutil.copy(native, unnamed)
    return [plain, packed, native, unnamed]


def test_atoms_of_every_kind_of_file(files):
    expected = read_system(H2O)
    for path in files:
        atoms = read(path)
        assert atoms.get_chemical_formula() == "H2O"
        np.testing.assert_array_equal(atoms.positions, expected.structure.positions)
        np.testing.assert_array_equal(np.asarray(atoms.cell), expected.structure.cell)
        np.testing.assert_array_equal(atoms.pbc, expected.structure.pbc)
        assert atoms.info == {
            "source": "OpenMX",
            "n_electrons": expected.n_electrons,
            "fermi_level": expected.fermi_level,
        }
        # there is no energy in such a file, and none is made up
        assert atoms.calc is None
        assert len(read(path, index=":")) == 1


def test_formats_by_name_and_zst():
    assert len(read(O2_ZST)) == 2
    assert len(read(O2_ZST, format="openmx-scfout")) == 2
    assert len(read(NATIVE, format="mlham")) == len(read(NATIVE))


def test_hdf5_of_other_programs_is_left_alone(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "somebody else's"
        file["data"] = np.arange(1000.0)
    # "h5" is the extension, which ASE answers with where it knows nothing
    assert filetype(str(path)) == "h5"
    with pytest.raises(UnknownFileTypeError):
        read(path)


def test_large_native_files_are_recognised_by_their_beginning(files):
    """ASE looks at the first 50,000 bytes; what they are stands in the first few thousand."""
    for path in (files[2], NATIVE):
        assert path.read_bytes().find(b"ase-mlham system") < 10_000


def test_a_damaged_file_says_so(tmp_path):
    path = tmp_path / "cut.scfout"
    path.write_bytes(H2O.read_bytes()[:20_000])
    with pytest.raises(FormatError, match="cut off"):
        read(path)


def test_convert_keeps_the_atoms(files, tmp_path):
    done = ase("convert", files[2], "water.extxyz", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    again = read(tmp_path / "water.extxyz")
    # extended XYZ has eight decimals
    np.testing.assert_allclose(again.positions, read(files[2]).positions, rtol=0, atol=1e-8)
    assert again.info["source"] == "OpenMX"


def test_info_names_the_formats(files, tmp_path):
    done = ase("info", "--files", *files)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("(openmx-scfout)") == 2
    assert done.stdout.count("(mlham)") == 2


def test_info_lists_formats_and_plugins_once():
    pytest.importorskip("ase._4.plugins", reason="ASE before its preview of plugins")
    done = ase("info", "--formats", "--plugins")
    assert done.returncode == 0, done.stderr
    formats = done.stdout.partition("Provides:")[0]
    names = [line.split()[0] for line in formats.splitlines() if line.startswith("  ")]
    assert names.count("mlham") == names.count("openmx-scfout") == 1
    ours = done.stdout[done.stdout.index("ase_mlham ") :]
    assert "Machine-learned" in ours
    assert "CalculatorPlugin\n----------------\nmlham" in ours
    assert "openmx-scfout" in ours


def test_the_plugin_of_ase_4_gives_the_calculator():
    pytest.importorskip("ase._4.plugins", reason="ASE before its preview of plugins")
    from ase._4.plugins import plugins

    from ase_mlham.ase_plugin import ase4
    from ase_mlham.calculator import MLHamiltonian

    (found,) = [p for p in plugins.calculators if p.name == "mlham"]
    assert found() is MLHamiltonian
    assert found in ase4.__ase_plugins__
    assert found.package_data["Name"] == "ase-mlham"
    with pytest.raises(AttributeError, match="no attribute 'plugins'"):
        _ = ase4.plugins


def test_gui_opens_them(files):
    """`ase gui FILE...` reads through `Images`; no window is needed for that."""
    from ase.gui.images import Images

    images = Images()
    images.read([str(path) for path in files], slice(0, None))
    assert [len(atoms) for atoms in images] == [3] * len(files)
