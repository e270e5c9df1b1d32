"""Reading plain, gzip and zstd files as one stream, recognised by their first bytes.

Files of DFT codes are large and are kept compressed. A stream that ends early or does not
decompress is a `FormatError` that names the file and the place, whatever the compression.
"""

from __future__ import annotations

import gzip
import io
import os
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ase_mlham.errors import FormatError

__all__ = ["ByteStream", "plain_name", "read_text"]

_SUFFIXES = (".gz", ".zst")
_PIECE = 1 << 24
# a block of zstd may unpack to tens of thousands of times its size: feed little at a time
_ZSTD_FEED = 1 << 14


def plain_name(path: Path) -> str:
    """File name without the ending that tells the compression."""
    return path.name.removesuffix(path.suffix) if path.suffix in _SUFFIXES else path.name


class _ZstdStream(io.RawIOBase):
    """Decompressed bytes of a zstd file; unlike the library's reader it notices a missing end."""

    def __init__(self, source: BinaryIO) -> None:
        import zstandard

        self._new = zstandard.ZstdDecompressor().decompressobj
        self._error = zstandard.ZstdError
        self._source, self._frame = source, self._new()
        self._fresh, self._ready, self._rest = True, b"", b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        while not self._ready:
            data = self._rest or self._source.read(_ZSTD_FEED)
            self._rest = b""
            if not data:
                if not self._fresh:
                    raise EOFError("the compressed data end early")
                return 0
            try:
                self._ready = self._frame.decompress(data)
            except self._error as error:
                raise OSError(str(error)) from error
            self._fresh = False
            if self._frame.eof:
                self._rest = self._frame.unused_data
                self._frame, self._fresh = self._new(), True
        n = min(len(view), len(self._ready))
        view[:n], self._ready = self._ready[:n], self._ready[n:]
        return n

    def close(self) -> None:
        self._source.close()
        super().close()


class ByteStream:
    """The decompressed bytes of a file, in order.

    Parameters
    ----------
    path : path
        Plain, gzip or zstd.

    Attributes
    ----------
    position : int
        Bytes read so far, after decompression.

    Raises
    ------
    FormatError
        The file cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path, self.position = Path(path), 0
        try:
            source: BinaryIO = self.path.open("rb")
        except OSError as error:
            raise FormatError(f"{path}: cannot be read ({error.strerror})") from error
        magic = source.read(4)
        source.seek(0)
        self.compressed = True
        if magic[:2] == b"\x1f\x8b":
            source.close()
            self._stream: Any = gzip.open(self.path, "rb")  # noqa: SIM115 - closed by `close`
        elif magic == b"\x28\xb5\x2f\xfd":
            self._stream = io.BufferedReader(_ZstdStream(source), 1 << 18)
        else:
            self._stream, self.compressed = source, False
        self._size = None if self.compressed else self.path.stat().st_size

    @property
    def remaining(self) -> int | None:
        """Bytes to come; unknown (None) for compressed files."""
        return None if self._size is None else self._size - self.position

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _some(self, n: int) -> bytes:
        try:
            data = self._stream.read(n)
        except (OSError, EOFError, zlib.error) as error:
            raise FormatError(
                f"{self.path}: cannot be decompressed beyond byte {self.position} ({error}); the "
                "file is damaged or cut off: copy it again"
            ) from error
        self.position += len(data)
        return data

    def _check_room(self, n: int, what: str) -> None:
        if self.remaining is not None and n > self.remaining:
            raise FormatError(
                f"{self.path}: {what} should take {n} bytes at byte {self.position}, the file has "
                f"{self.remaining} more; it is cut off or damaged"
            )

    def read(self, n: int, what: str) -> bytearray:
        """Exactly n bytes.

        Parameters
        ----------
        n : int
            How many. Memory is taken piece by piece, as far as there are data.
        what : str
            What they are, for the message if they are missing.
        """
        self._check_room(n, what)
        data = bytearray()
        while missing := n - len(data):
            piece = self._some(min(missing, _PIECE))
            if not piece:
                raise FormatError(
                    f"{self.path}: ends at byte {self.position}, {missing} bytes before the end of "
                    f"{what}; it is cut off or damaged"
                )
            data += piece
        return data

    def array(self, dtype: DTypeLike, count: int, what: str) -> NDArray[Any]:
        """Exactly `count` numbers, in the byte order of this machine."""
        kind = np.dtype(dtype)
        values = np.frombuffer(self.read(count * kind.itemsize, what), kind)
        return values.astype(kind.newbyteorder("="), copy=False)

    def skip(self, n: int, what: str) -> None:
        """Leave out n bytes, which must exist."""
        self._check_room(n, what)
        if not self.compressed:
            self._stream.seek(n, io.SEEK_CUR)
            self.position += n
            return
        while n:
            step = min(n, _PIECE)
            self.read(step, what)
            n -= step

    def drain(self) -> None:
        """Read a compressed file to its end, where its checksum is."""
        while self.compressed and self._some(_PIECE):
            pass

    def rest(self, limit: int) -> bytes:
        """All bytes to come.

        Raises
        ------
        FormatError
            There are more than `limit`.
        """
        data = bytearray()
        while piece := self._some(min(_PIECE, limit + 1)):
            data += piece
            if len(data) > limit:
                raise FormatError(f"{self.path}: longer than {limit} bytes, too long for its kind")
        return bytes(data)


def read_text(path: str | os.PathLike[str], limit: int = 1 << 30) -> str:
    """Text of a plain or compressed file; bytes beyond ASCII are kept as Latin-1.

    Parameters
    ----------
    path : path
        The file.
    limit : int
        Bytes after decompression beyond which the file is refused.
    """
    with ByteStream(path) as stream:
        return stream.rest(limit).decode("latin-1")
