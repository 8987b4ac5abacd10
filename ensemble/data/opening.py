"""The bytes of a data file, on disk or in a bucket, unpacked if it is packed: a piece at a time, always.

A packed file whose bytes are damaged is refused: nothing tells which of its rows are. One that ends too early
gives what there is, and then `EndsEarlyError`.
"""

import io
import zlib
from pathlib import Path
from typing import IO, Any, Protocol, cast

import pyarrow as pa

# What follows the ending that says how a file is read.
PACKINGS = (".gz", ".zst")
PIECE = 1 << 20  # bytes unpacked at once: a few bytes may stand for very many
ZSTD_PIECE = 1 << 16
GZIP = 31  # zlib's word for it
ENDS = "the packed file ends in it: write it again"
DAMAGED = "its bytes are damaged, and nothing tells which of its rows are"
# A row of text or of TFRecord has no more: a packed file of few bytes could hold one of any size.
ROW_BYTES_AT_MOST = 1 << 26


class RemoteFile(Protocol):
    """A file in a bucket, as `model_store.bucket_data` has it."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def suffix(self) -> str:
        """How its name ends."""
        ...

    @property
    def stem(self) -> str:
        """Its name without that."""
        ...

    @property
    def size(self) -> int:
        """Its bytes."""
        ...

    @property
    def etag(self) -> str:
        """What tells it from what was there before or comes after it."""
        ...

    def open(self) -> IO[bytes]:
        """Open it for reading from any place; StoreError, then and whenever it is read."""
        ...


File = Path | RemoteFile


class EndsEarlyError(OSError):
    """A packed file ends before what was packed does."""


def kind(file: File) -> str:
    """How the file's name ends, less its packing: what says how it is read."""
    return Path(file.stem).suffix if is_packed(file) else file.suffix


def is_packed(file: File) -> bool:
    """Whether it can be read from its start only."""
    return file.suffix in PACKINGS


def size_of(file: File) -> int:
    """Its bytes, as they lie there. OSError."""
    return file.stat().st_size if isinstance(file, Path) else file.size


def bytes_of(file: File) -> IO[bytes]:
    """Open a file for reading, as it is. OSError, or StoreError of one in a bucket, here and later."""
    return file.open("rb") if isinstance(file, Path) else file.open()


def opened(file: File) -> IO[bytes]:
    """Open a file for reading, unpacked. Errors as above."""
    stream = bytes_of(file)
    if not is_packed(file):
        return stream
    unpacked = _Gunzipped(stream) if file.suffix == ".gz" else _Unzstd(stream)
    return cast("IO[bytes]", io.BufferedReader(unpacked, PIECE))


def for_arrow(file: File) -> Any:
    """Return what Arrow reads a file by: its name where it can go there itself, else its bytes."""
    return str(file) if isinstance(file, Path) and not is_packed(file) else opened(file)


class _Gunzipped(io.RawIOBase):
    """What a gzip file holds, one member after another."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._packed = b""
        self._member = zlib.decompressobj(GZIP)
        self._inside = False  # a member that has begun and not ended

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` with what comes next; 0 at the end."""
        while True:
            self._packed = self._packed or self._file.read(PIECE)
            if not self._packed and not self._inside:
                return 0
            data = self._unpacked(min(len(buffer), PIECE))
            if data:
                buffer[: len(data)] = data
                return len(data)

    def _unpacked(self, most: int) -> bytes:
        """Unpack some of what was read."""
        if not self._packed and not self._member.eof:
            # What the last bytes stand for may not have come out yet.
            data = self._member.decompress(b"", most)
            if data or self._member.eof:
                return data
            raise EndsEarlyError(ENDS)
        try:
            data = self._member.decompress(self._packed, most)
        except zlib.error as error:
            raise OSError(f"{DAMAGED}: {error}") from error
        self._packed, self._inside = self._member.unconsumed_tail, True
        if self._member.eof:
            # Zeros may follow, as on tapes; anything else is another member.
            self._packed = self._member.unused_data.lstrip(b"\0")
            self._member, self._inside = zlib.decompressobj(GZIP), False
        return data

    def close(self) -> None:
        """Close the file too."""
        self._file.close()
        super().close()


class _Unzstd(io.RawIOBase):
    """What a Zstandard file holds."""

    def __init__(self, file: IO[bytes]) -> None:
        self._stream = pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd")
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` with what comes next; 0 at the end."""
        try:
            # Always so much: a read that fails at the end gives nothing, and where that is may not depend
            # on who reads.
            self._left = self._left or self._stream.read(ZSTD_PIECE)
        except OSError as error:
            if "Truncated" in str(error):
                raise EndsEarlyError(ENDS) from error
            raise OSError(f"{DAMAGED}: {error}") from error
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size

    def close(self) -> None:
        """Close the file too."""
        self._stream.close()
        super().close()
