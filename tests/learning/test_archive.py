"""Trees in safetensors files: exact round trip, refusal of everything damaged."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ase_mlham.errors import ModelError
from ase_mlham.learning.archive import read_archive, read_header, write_archive

VERSION = (1, 0)

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.int64, np.bool_, np.uint8]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    )
)
keys = st.text(max_size=6) | st.sampled_from(["@tensor", "@tuple"]) | st.integers(0, 9)
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=8,
)


def same(a, b) -> bool:
    if isinstance(a, np.ndarray):
        return (
            isinstance(b, np.ndarray)
            and a.dtype == b.dtype
            and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        )
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@settings(max_examples=60, deadline=None)
@given(tree=trees)
def test_round_trip_is_exact(tree, tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "a.mlham"
    digest = write_archive(path, tree, kind="test", version=VERSION)
    read, stated = read_archive(path, kind="test", version=VERSION)
    assert same(tree, read)
    assert stated == digest


def test_infinite_numbers_survive(tmp_path):
    path = tmp_path / "a"
    write_archive(path, [math.inf, -math.inf, math.nan], kind="test", version=VERSION)
    read, _ = read_archive(path, kind="test", version=VERSION)
    assert read[:2] == [math.inf, -math.inf]
    assert math.isnan(read[2])


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "a.mlham"
    write_archive(path, {"x": np.arange(50.0), "n": 3}, kind="test", version=VERSION)
    return path


def test_header_alone_holds_no_arrays(archive):
    tree, digest = read_header(archive, kind="test", version=VERSION)
    assert tree == {"x": None, "n": 3}
    assert digest == read_archive(archive, kind="test", version=VERSION)[1]


@pytest.mark.parametrize("keep", [0, 4, 9, 60, 300, -1, -100])
def test_truncated_file_is_refused(archive, keep):
    archive.write_bytes(archive.read_bytes()[:keep])
    with pytest.raises(ModelError, match="damaged"):
        read_archive(archive, kind="test", version=VERSION)


@settings(max_examples=80, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_flipped_bit_is_refused(where, bit, tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "a.mlham"
    write_archive(path, {"x": np.arange(50.0), "n": 3}, kind="test", version=VERSION)
    data = bytearray(path.read_bytes())
    data[int(where * len(data))] ^= 1 << bit
    path.write_bytes(bytes(data))
    try:
        tree, _ = read_archive(path, kind="test", version=VERSION)
    except ModelError:
        return
    # blanks that pad the header of the container carry no information
    assert same(tree, {"x": np.arange(50.0), "n": 3})


def test_newer_major_version_is_refused_with_the_reason(archive):
    write_archive(archive, {}, kind="test", version=(2, 0))
    with pytest.raises(ModelError, match=r"version 2\.0.*up to 1\.x: upgrade"):
        read_archive(archive, kind="test", version=VERSION)
    write_archive(archive, {}, kind="test", version=(1, 7))
    assert read_archive(archive, kind="test", version=VERSION)[0] == {}


def test_other_files_are_refused(archive, tmp_path):
    from safetensors.numpy import save_file

    with pytest.raises(ModelError, match="is a test file; expected a model file"):
        read_archive(archive, kind="model", version=VERSION)
    with pytest.raises(ModelError, match="does not exist"):
        read_archive(tmp_path / "none", kind="model", version=VERSION)
    save_file({"x": np.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="without the description"):
        read_archive(tmp_path / "other.safetensors", kind="model", version=VERSION)


def test_objects_are_refused(tmp_path):
    with pytest.raises(ModelError, match=r"\.f: a function cannot be stored|\.f: a builtin"):
        write_archive(tmp_path / "a", {"f": len}, kind="test", version=VERSION)
    assert not list(tmp_path.iterdir())


def test_failed_write_leaves_the_old_file(archive, monkeypatch):
    before = archive.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ModelError, match="No space left"):
        write_archive(archive, {}, kind="test", version=VERSION)
    assert archive.read_bytes() == before
    assert [p.name for p in archive.parent.iterdir()] == [archive.name]
