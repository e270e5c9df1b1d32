"""Plain, gzip and zstd read alike; what is cut off or damaged is refused."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import zstandard

from ase_mlham.errors import FormatError
from ase_mlham.formats.compression import ByteStream, plain_name, read_text

COMPRESS = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    # several frames in one file, as parallel compressors write them
    "frames": lambda data: b"".join(
        zstandard.ZstdCompressor().compress(data[at : at + 30_000])
        for at in range(0, len(data), 30_000)
    ),
}
DATA = np.random.default_rng(0).bytes(100_000)


@pytest.mark.parametrize("kind", COMPRESS)
def test_pieces_of_any_size(tmp_path, kind):
    path = tmp_path / "file"
    path.write_bytes(COMPRESS[kind](DATA))
    with ByteStream(path) as stream:
        assert stream.read(10, "the start") == DATA[:10]
        stream.skip(50_000, "the middle")
        assert stream.position == 50_010
        values = stream.array(">i4", 3, "numbers")
        assert values.tolist() == np.frombuffer(DATA[50_010:50_022], ">i4").tolist()
        assert values.dtype == np.dtype("=i4")
        assert stream.remaining == (None if kind != "plain" else 100_000 - 50_022)
        assert stream.rest(50_000) == DATA[50_022:]
        stream.drain()
    with ByteStream(path) as stream, pytest.raises(FormatError, match="longer than 99999 bytes"):
        stream.rest(99_999)


@pytest.mark.parametrize("kind", COMPRESS)
def test_asking_for_more_than_there_is(tmp_path, kind):
    path = tmp_path / "file"
    path.write_bytes(COMPRESS[kind](DATA))
    for method in ("read", "skip"):
        with ByteStream(path) as stream, pytest.raises(FormatError, match="cut off or damaged"):
            getattr(stream, method)(10**12, "a terabyte")


@pytest.mark.parametrize("kind", ["gzip", "zstd", "frames"])
@pytest.mark.parametrize("keep", [0.3, 0.5, 0.99])
def test_truncated_streams(tmp_path, kind, keep):
    path = tmp_path / "file"
    whole = COMPRESS[kind](DATA)
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(FormatError, match="cannot be decompressed"):
        read_text(path)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_damaged_streams(tmp_path, kind):
    path = tmp_path / "file"
    # incompressible data would be stored as they are, and zstd has no checksum by default
    whole = bytearray(COMPRESS[kind](b"some text that repeats, not quite %d\n" % 7 * 3000))
    whole[8 if kind == "zstd" else len(whole) // 2] ^= 0xFF
    path.write_bytes(whole)
    with pytest.raises(FormatError, match="cannot be decompressed"), ByteStream(path) as stream:
        stream.drain()


def test_names():
    from pathlib import Path

    assert plain_name(Path("a/b.scfout.zst")) == "b.scfout"
    assert plain_name(Path("b.scfout.gz")) == "b.scfout"
    assert plain_name(Path("b.scfout")) == "b.scfout"


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FormatError, match="cannot be read"):
        ByteStream(tmp_path / "absent")
