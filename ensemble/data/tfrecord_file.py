"""TFRecord files of tf.Example: each record framed by its length and two CRCs, all of them checked.

A record whose bytes are damaged is one bad row, and so is the one in which the file ends. A damaged length
hides where the next record begins, so such a file is refused when it is opened.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import IO, Any

import pyarrow as pa

from ..errors import InvalidDataError
from .crc32c import masked_crc32c
from .damage import CUT
from .opening import PIECE, ROW_BYTES_AT_MOST, EndsEarlyError, File, is_packed, opened, size_of
from .source import Block, Raw, Wanted
from .table import check_columns, to_raw, used_columns
from .tensors import Place
from .tf_example import Values, features

HEADER = struct.Struct("<QI")  # the length, its CRC
FOOTER = struct.Struct("<I")  # the CRC of the bytes
HEADERS_CHECKED = 4096  # at once
ENDS = -1  # no CRC: the file ends in this record


@dataclass(frozen=True, slots=True)
class TfRecordFile:
    """One TFRecord file. `names` are the features of its first record that can be read."""

    path: File
    names: tuple[str, ...]
    untyped: bool = False

    @classmethod
    def open(cls, path: File) -> "TfRecordFile":
        """Read the first records of `path`."""
        with _clear_errors(path), opened(path) as file:
            for index, (data, crc) in enumerate(islice(_records(file, path), 64)):
                try:
                    return cls(path, tuple(_checked(data, crc, Place(path, index))))
                except InvalidDataError:
                    continue
        return cls(path, ())

    def check(self, wanted: Wanted) -> None:
        """Raise `InvalidDataError` unless the wanted features are there; an empty file has none."""
        if self.names:
            check_columns(wanted, self.names, Place(self.path))

    def count(self, wanted: Wanted) -> int:  # noqa: ARG002 - a record is a row, whatever it holds
        """Go from record to record, check every length, and count them."""
        total = 0
        with _clear_errors(self.path), opened(self.path) as file:
            headers = _headers(file, self.path)
            while some := list(islice(headers, HEADERS_CHECKED)):
                whole = [header for header in some if len(header) == HEADER.size]
                sums = masked_crc32c([header[:8] for header in whole])
                for index, header in enumerate(whole):
                    if HEADER.unpack(header)[1] != int(sums[index]):
                        raise _lost(self.path, total + index)
                if not total and not whole:
                    raise _lost(self.path, 0)
                total += len(some)
        return total

    def floor(self, row: int) -> int:  # noqa: ARG002 - records are of any length
        """The first row."""
        return 0

    def read(self, wanted: Wanted, rows: int, start: int = 0) -> Iterator[Block]:
        """Give the records from row `start`, `rows` at a time."""
        with _clear_errors(self.path), opened(self.path) as file:
            records = islice(_records(file, self.path), start, None)
            while some := list(islice(records, rows)):
                yield RecordBlock(some, self.names, wanted, Place(self.path, start))
                start += len(some)


@dataclass(frozen=True, slots=True)
class RecordBlock:
    """Records with the CRCs that the file says they have."""

    records: list[tuple[bytes, int]]
    names: tuple[str, ...]
    wanted: Wanted
    place: Place

    @property
    def rows(self) -> int:
        """How many they are."""
        return len(self.records)

    def slice(self, start: int, count: int) -> "RecordBlock":
        """Return `count` of the rows, from `start`."""
        some = self.records[start : start + count]
        return RecordBlock(some, self.names, self.wanted, self.place.after(start))

    def only(self, wanted: Wanted) -> "RecordBlock":
        """Return the same rows, of which no more is wanted than this."""
        return replace(self, wanted=wanted)

    def raw(self) -> Raw:
        """Check and parse them, or raise `InvalidDataError`."""
        sums = masked_crc32c([data for data, _ in self.records])
        for index, (_, crc) in enumerate(self.records):
            if crc != int(sums[index]):
                raise _damaged(self.place.after(index), crc)
        found = []
        for index, (data, _) in enumerate(self.records):
            found.append(_parsed(data, self.place.after(index)))
        used = used_columns(self.wanted, self.names, self.place)
        columns = {name: [record.get(name) for record in found] for name in used}
        kept = {
            name: [_single(value, name, self.place) for value in columns[name]] for name in self.wanted.keep
        }
        try:
            batch = pa.record_batch([_lists(columns[name]) for name in used], names=used)
            raw = to_raw(batch, Wanted(self.wanted.inputs, self.wanted.label), self.place)
            return Raw(
                self.rows, raw.inputs, raw.label, {name: pa.array(values) for name, values in kept.items()}
            )
        except (pa.ArrowException, TypeError) as error:
            raise InvalidDataError(f"{self.place.row(0)}: can't be read: {error}", code="type") from None


def _lists(values: list[Values | None]) -> Any:
    """Return a column of lists; a feature that is not there, or empty, is missing."""
    return pa.array([None if value is None or not len(value) else value for value in values])


def _single(values: Values | None, name: str, place: Place) -> Any:
    """Return the one value of a kept feature, None if it has none."""
    if values is None or not len(values):
        return None
    if len(values) > 1:
        raise InvalidDataError(
            f"{place.row(0)}: {name!r} has {len(values)} values; one can be kept", code="shape"
        )
    return values[0]


def _checked(data: bytes, crc: int, place: Place) -> dict[str, Values]:
    """Return the features of one record, if its bytes are whole."""
    if crc != int(masked_crc32c([data])[0]):
        raise _damaged(place, crc)
    return _parsed(data, place)


def _parsed(data: bytes, place: Place) -> dict[str, Values]:
    """Return the features of one record; the error says which it is."""
    try:
        return features(data)
    except InvalidDataError as error:
        raise InvalidDataError(f"{place.row(0)}: {error}", code=error.code) from None


def _records(file: IO[bytes], path: File) -> Iterator[tuple[bytes, int]]:
    """Give each record's bytes and the CRC they should have; `ENDS` for the one in which the file ends."""
    most = ROW_BYTES_AT_MOST if is_packed(path) else size_of(path)
    crc = 0
    while crc != ENDS:
        try:
            found = _record(file, most)
        except EndsEarlyError:
            found = b"", ENDS
        if found is None:
            return
        yield found
        crc = found[1]


def _record(file: IO[bytes], most: int) -> tuple[bytes, int] | None:
    """Read one record, of at most so many bytes; None if there is no more."""
    header = file.read(HEADER.size)
    if not header:
        return None
    length = HEADER.unpack(header)[0] if len(header) == HEADER.size else most + 1
    if length > most:  # before so many bytes are asked for
        return b"", ENDS
    data, footer = file.read(length), file.read(FOOTER.size)
    return (data, FOOTER.unpack(footer)[0]) if len(footer) == FOOTER.size else (b"", ENDS)


def _headers(file: IO[bytes], path: File) -> Iterator[bytes]:
    """Give each record's header; of the one in which the file ends, what there is of it."""
    size = None if is_packed(path) else size_of(path)
    header = b""
    with suppress(EndsEarlyError):
        while header := _header(file):
            yield header
            if len(header) < HEADER.size:
                return
            length = HEADER.unpack(header)[0]
            if size is None and length > ROW_BYTES_AT_MOST:
                raise InvalidDataError(
                    f"{path}: a record has {length:,} bytes; where files are packed, rows have"
                    f" {ROW_BYTES_AT_MOST:,} at most: unpack it first"
                )
            if not _pass(file, length + FOOTER.size, size):
                return


def _header(file: IO[bytes]) -> bytes:
    """Read a header; where a packed file ends, it has a byte at least that never came out."""
    try:
        return file.read(HEADER.size)
    except EndsEarlyError:
        return b"?"


def _pass(file: IO[bytes], length: int, size: int | None) -> bool:
    """Go over so many bytes; whether there are. `size` is the file's; None where it must be read."""
    if size is not None:
        end = file.tell() + length
        file.seek(min(end, size))
        return end <= size
    while length and (data := file.read(min(length, PIECE))):
        length -= len(data)
    return not length


def _damaged(place: Place, crc: int) -> InvalidDataError:
    if crc == ENDS:
        return InvalidDataError(f"{place.row(0)}: the file ends in it: write it again", code=CUT)
    return InvalidDataError(
        f"{place.row(0)}: its bytes don't fit their CRC: write the record again", code="crc"
    )


def _lost(path: File, row: int) -> InvalidDataError:
    return InvalidDataError(
        f"{path}: row {row}: its length is damaged, so what follows can't be found, or this is no TFRecord"
        " file: write it again (the name of a compressed one ends in .gz or .zst)"
    )


@contextmanager
def _clear_errors(path: File) -> Iterator[None]:
    """Turn what the system says about a broken file into our error."""
    try:
        yield
    except (OSError, MemoryError, OverflowError) as error:
        raise InvalidDataError(f"{path}: can't be read as TFRecord: {error}") from error
