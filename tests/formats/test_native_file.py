"""The package's own file: nothing is lost, nothing damaged is believed, nothing is read unasked."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ase_mlham.core.basis import OrbitalBasis, Projectors, Shell, SpeciesBasis
from ase_mlham.core.blocks import BlockMatrix
from ase_mlham.core.pattern import BlockPattern
from ase_mlham.core.radial import GaussianRadial, TabulatedRadial
from ase_mlham.core.structure import Structure
from ase_mlham.core.system import LCAOSystem
from ase_mlham.errors import FormatError, InputError
from ase_mlham.formats import NativeFile, native
from ase_mlham.formats.packing import pack, unpack
from ase_mlham.hooks import registered
from ase_mlham.testing.formats import assert_same_system, check_format
from ase_mlham.testing.strategies import systems


@pytest.fixture
def system() -> LCAOSystem:
    """Two species, radial functions of both kinds, projectors, S shorter than H, an operator."""
    r = np.geomspace(1e-3, 3.0, 50)
    table = TabulatedRadial(r, np.exp(-r), 3.0)
    gaussian = GaussianRadial(1, np.array([0.5, 2.0]), np.array([0.3, -0.1]), 3.0)
    projectors = Projectors((Shell(0, 1.0, GaussianRadial(0, [4.0], [1.0], 1.0)),), [[2.5]])
    basis = OrbitalBasis(
        (
            SpeciesBasis(14, (Shell(0, 3.0, table, "3s"), Shell(1, 3.0, gaussian)), 4, "Si-x"),
            SpeciesBasis(6, (Shell(0, 2.0),), 4, projectors=projectors),
        )
    )
    structure = Structure([14, 6], [[0, 0, 0], [1.1, 1.2, 1.3]], np.eye(3) * 4.4, [1, 1, 1])
    species = basis.species_index(structure.numbers)
    short = BlockPattern.from_cutoffs(structure, species, basis.sizes, [2.0, 3.0])
    far = BlockPattern.from_cutoffs(structure, species, basis.sizes, [3.0, 3.5])
    random = np.random.default_rng(3)

    def draw(pattern: BlockPattern, n: int) -> BlockMatrix:
        i, j, R = pattern.i, pattern.j, pattern.R
        sizes = pattern.sizes[pattern.species]
        flat = random.normal(size=(n, int((sizes[i] * sizes[j]).sum())))
        return BlockMatrix.from_flat(pattern, i, j, R, flat)[0]

    s = draw(short, 1)
    identity = BlockMatrix.zeros(short)
    for group, array in zip(short.groups, identity.values, strict=True):
        array[0, short.onsite[group.slice]] = 9 * np.eye(array.shape[2])
    return LCAOSystem(
        structure,
        basis,
        hamiltonian=draw(far, 2),
        overlap=s + identity,
        n_electrons=7.5,
        spin="collinear",
        fermi_level=-1.25,
        kpts=(4, 4, 2),
        operators={"position": draw(short, 3)},
        provenance={"source": "made up", "settings": {"cutoff": [200, None, True]}},
        warnings=("not converged",),
    )


@pytest.fixture
def stored(system, tmp_path):
    path = tmp_path / "system.h5"
    native.write(system, path)
    return path


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(drawn=systems(moments=True), level=st.sampled_from([None, 1, 9]))
def test_any_system_survives_to_the_last_bit(drawn, level, tmp_path):
    path = tmp_path / "drawn.h5"
    native.write(drawn, path, compression=level)
    assert_same_system(native.read(path), drawn)


def test_conformance(system, stored, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    check_format(registered("format")["mlham"], [stored], work)


def test_pieces_are_read_alone(system, stored):
    with NativeFile(stored) as file:
        assert file.structure == system.structure
        assert file.basis.elements == "C, Si"
        assert file.spin is system.spin
        assert file.operators == ("position",)
        assert file.version == "1.1"
        assert file.read_pattern() == system.hamiltonian.pattern
        assert file.read_pattern("overlap") == system.overlap.pattern
        assert file.read_operator("position").n_components == 3
        assert not file.read(operators=False).operators
        with pytest.raises(FormatError, match="no operator 'kinetic'; the file holds: position"):
            file.read_operator("kinetic")
    with pytest.raises(InputError, match="is closed"):
        file.read_overlap()


def test_matrices_on_one_pattern_share_it(system, tmp_path):
    path = tmp_path / "one.h5"
    native.write(system.replace(hamiltonian=system.hamiltonian * 2.0), path)
    with h5py.File(path) as file:
        assert sorted(file["patterns"]) == ["0", "1"]
    back = native.read(path)
    assert back.overlap.pattern is back.operators["position"].pattern


def test_single_precision_rounds_all_but_the_overlap(system, tmp_path):
    path = tmp_path / "single.h5"
    native.write(system, path, single=True)
    back = native.read(path)
    assert back.hamiltonian.dtype == np.float32
    assert back.overlap.dtype == np.float64
    for a, b in zip(back.hamiltonian.values, system.hamiltonian.values, strict=True):
        # numbers of order one, 24 bits
        assert abs(a - b).max() < 3e-7


def test_file_explains_itself(stored):
    with h5py.File(stored) as file:
        assert file.attrs["format"] == "ase-mlham system"
        assert file.attrs["units"] == "eV, Å"
        assert "X(k) = sum_R exp(2 pi i k.R) X(R)" in file.attrs["conventions"]
        assert file["hamiltonian"].attrs["components"] == "1, z"
        assert sorted(file["hamiltonian"]) == ["C-C", "C-Si", "Si-Si"]
        assert json.loads(file["provenance"][()].tobytes())["source"] == "made up"


def test_fixed_length_text_of_other_programs(stored):
    def change(file):
        file.attrs["version"] = np.bytes_("1.7")

    _edit(stored, change)
    with NativeFile(stored) as file:
        # a newer minor version only adds things
        assert file.version == "1.7"


@pytest.mark.parametrize("version", ["1.0"])
def test_old_files_load_forever(system, version):
    """Regression: files written by released versions, never to be written again."""
    path = Path(__file__).resolve().parent.parent / "data" / "native" / f"version-{version}.h5"
    assert_same_system(native.read(path), system)


def _edit(path, change):
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        change(file)


def _replace(name, data, **options):
    def change(file):
        if name in file:
            del file[name]
        file.create_dataset(name, data=data, **options)

    return change


def _attribute(name, value, where="/"):
    def change(file):
        file[where].attrs[name] = value

    return change


def _remove(name):
    def change(file):
        del file[name]

    return change


def _grow(file):
    """An array that claims a terabyte and stores nothing."""
    del file["patterns/0"]
    file.create_dataset("patterns/0", shape=(50_000_000_000, 5), dtype="<i4", chunks=(1000, 5))


def _bytes(text):
    return np.frombuffer(text.encode(), np.uint8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_attribute("version", "2.0"), r"version 2\.0; versions up to 1\.x are read: update"),
        (_attribute("version", "new"), "'new' is not of the form"),
        (_attribute("format", "else"), "not one of format 'ase-mlham system'"),
        (_attribute("complete", 0), "not complete: its writer was interrupted"),
        (_attribute("spin", "sideways"), "spin kind 'sideways' is unknown"),
        (_attribute("n_electrons", 1e6), "1000000.0 electrons in"),
        (_attribute("n_electrons", "many"), "n_electrons is missing or damaged"),
        (_attribute("fermi_level", np.nan), "fermi_level: not a finite number"),
        (_attribute("kpts", [4, 4]), "kpts: .* is not a mesh"),
        (_attribute("kpts", [4, 4, 0]), "kpts: .* is not a mesh"),
        (_attribute("pattern", "../x", "hamiltonian"), "not the name of a pattern"),
        (_attribute("pattern", "7", "hamiltonian"), "hamiltonian is missing or damaged"),
        (_attribute("symmetry", -1, "hamiltonian"), "H and S must be Hermitian"),
        (_remove("overlap/Si-Si"), "overlap is missing or damaged"),
        (_remove("operators"), "operators is missing or damaged"),
        (_replace("overlap/Si-Si", np.ones((1, 2, 4, 4))), "shape"),
        (_replace("overlap/Si-Si", np.ones((1, 2, 4))), "with 4 dimensions"),
        (_replace("overlap/Si-Si", np.ones((1, 2, 4, 4), "i2")), "expected <f4 or"),
        (_replace("structure/positions", np.full((2, 3), np.inf)), "is not a finite number"),
        (_replace("structure/numbers", [14]), "structure cannot be"),
        (_replace("structure/numbers", np.array([14, 200])), "atomic number 200"),
        (_replace("structure/numbers", np.array([14, 7])), r"atom 1 \(N\) is not in the basis"),
        (_replace("patterns/0", np.zeros((3, 4), "<i4")), "has 4 columns"),
        (_replace("patterns/0", np.full((3, 5), 99, "<i4")), "atom outside"),
        (_grow, "claims 1000000000000 bytes, 0 are stored"),
        (_replace("provenance", _bytes("[1]")), "not a JSON dict"),
        (_replace("provenance", _bytes("{")), "provenance is missing or damaged"),
        (_replace("provenance", np.array([255, 254], np.uint8)), "is not UTF-8 text"),
        (_replace("basis/description", _bytes("{")), "should be JSON is not"),
        (_replace("basis/description", _bytes('{"species": [3]}')), "basis is missing or damaged"),
        (_replace("basis/numbers", np.zeros(3)), "are used, 3 are stored"),
        (lambda file: (_remove("warnings")(file), file.create_group("warnings")), "not an array"),
    ],
)
def test_what_cannot_be_is_refused(stored, change, message):
    _edit(stored, change)
    with pytest.raises(FormatError, match=message) as caught:
        native.read(stored)
    assert str(caught.value).count(str(stored)) == 1


def test_malformed_reference_to_numbers():
    with pytest.raises(FormatError, match="malformed"):
        unpack('{"@numbers": "x", "shape": [1]}', np.zeros(3))


def test_what_json_cannot_hold_is_the_callers_error(system, tmp_path):
    path = tmp_path / "x.h5"
    with pytest.raises(InputError, match="provenance cannot be written as JSON"):
        native.write(system.replace(provenance={"when": object()}), path)
    with pytest.raises(InputError, match="cannot be written to a file"):
        pack({"a": float("nan")})
    with pytest.raises(InputError, match="compression 11"):
        native.write(system, path, compression=11)
    assert not list(tmp_path.iterdir())


def test_interrupted_writing_leaves_the_former_file(system, stored, monkeypatch):
    before = stored.read_bytes()

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(native, "_write_header", interrupt)
    with pytest.raises(KeyboardInterrupt):
        native.write(system, stored)
    assert stored.read_bytes() == before
    assert [entry.name for entry in stored.parent.iterdir()] == [stored.name]


def test_where_nothing_can_be_written(system, tmp_path):
    with pytest.raises(FormatError, match=r"the folder .* does not exist"):
        native.write(system, tmp_path / "absent" / "x.h5")
    with pytest.raises(FormatError, match="a folder has this name"):
        native.write(system, tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a device that is always full")
def test_full_disk_is_a_format_error(system, tmp_path, monkeypatch):
    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(FormatError, match="No space left on device"):
        native.write(system, tmp_path / "x.h5")
    assert not list(tmp_path.iterdir())


def test_other_hdf5_files_are_not_claimed(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "something else"
    assert native.sniff(path) == 0.0
    assert native.sniff(tmp_path) == 0.0
    with pytest.raises(FormatError, match="not one of format"):
        NativeFile(path)
    path.write_bytes(native._SIGNATURE + bytes(100))
    assert 0 < native.sniff(path) < 0.5
    with pytest.raises(FormatError, match="cannot be opened as HDF5"):
        NativeFile(path)
