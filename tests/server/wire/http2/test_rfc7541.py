"""RFC 7541: header blocks as any client may write them, and those that can't be read and end the connection.

All that the library `hpack` refuses must come out as COMPRESSION_ERROR, and what it takes must mean the same.
"""

from collections.abc import Iterator

import pytest

from tests.server.wire.http2.conformance import COMPRESSION, Answered, Case, Gone, each
from tests.server.wire.http2.raw_client import (
    ASK,
    AUTHORITY,
    END_HEADERS,
    GRPC,
    HTTP,
    POST,
    TE,
    Served,
    asked,
    data,
    frame,
    opened,
    served,
    text,
)

BROKEN = Gone(COMPRESSION)
PATH = b"/test.Service/Ask"
REST = AUTHORITY + GRPC + TE
# The same path in Huffman's code: RFC 7541, appendix B.
PACKED = bytes.fromhex("61254257dc5b3b9885621475")
# A literal that both sides remember: the path's name is static entry 4; a value of one's own, and its name.
KEPT_PATH = b"\x44\x11" + PATH
# Entry 62 is the newest of the table, 63 the one before.
NEWEST, BEFORE = b"\xbe", b"\xbf"


def kept(name: str, value: str) -> bytes:
    """A header that both sides remember: section 6.2.1."""
    return b"\x40" + text(name, value)[1:]


def number(value: int, bits: int, first: int = 0) -> bytes:
    """A number after a prefix: section 5.1."""
    most = 2**bits - 1
    if value < most:
        return bytes([first | value])
    written, rest = [first | most], value - most
    while rest > 127:
        written.append(rest & 127 | 128)
        rest >>= 7
    return bytes([*written, rest])


def with_path(field: bytes, *before: bytes) -> bytes:
    return b"".join([*before, POST, HTTP, field, REST])


def first_then(first: bytes, second: bytes) -> bytes:
    return asked(1, first) + asked(3, second)


ADDED = with_path(KEPT_PATH)
REFERS = with_path(NEWEST)
PACKED_PATH = b"\x04" + bytes([0x80 | len(PACKED)]) + PACKED
LONG_NUMBER = b"\x04\x7f\x80\x00" + b"/" * 127  # 127 in three bytes
LONG = b"\x40\1a" + number(5000, 7) + b"x" * 5000
GROWN = number(4096, 5, 0x20)
IN_PARTS = opened(1, ASK + b"\0\1a" + number(16000, 7), flags=0) + frame(9, END_HEADERS, 1, b"x" * 16000)
BOTH = Answered((1, 3))
TRAILERS = opened(1, kept("b", "c"), flags=5)

READ = [
    Case("6.1", "refers to the static table", asked(1), Answered()),
    Case("6.2.1", "adds a path to the table", asked(1, ADDED), Answered()),
    Case("6.2.1", "adds one by its own name", asked(1, with_path(kept(":path", PATH.decode()))), Answered()),
    Case("6.2.2", "writes the name anew", asked(1, with_path(text(":path", PATH.decode()))), Answered()),
    Case("6.2.3", "has it never indexed", asked(1, with_path(b"\x14\x11" + PATH)), Answered()),
    Case("6.2.3", "never with its name", asked(1, with_path(b"\x10\x05:path\x11" + PATH)), Answered()),
    Case("5.2", "packs the path", asked(1, with_path(PACKED_PATH)), Answered()),
    Case("5.2", "packs nothing", asked(1, ASK + b"\0\1a\x80"), Answered()),
    Case("5.1", "takes more bytes for a number", asked(1, with_path(LONG_NUMBER)), Answered((1,), "12")),
    Case("2.3.2", "refers to what it added", first_then(ADDED, REFERS), BOTH),
    Case("2.3.2", "refers to what came before", first_then(ADDED + kept("a", "b"), with_path(BEFORE)), BOTH),
    Case("2.3.2", "adds the same twice", first_then(ADDED, ADDED), BOTH),
    Case("2.3.2", "takes a name of it", first_then(ADDED, with_path(b"\x0f\x2f\x11" + PATH)), BOTH),
    Case("2.2", "adds where it is malformed", first_then(TE + ADDED, REFERS), Answered((3,))),
    Case("2.2", "adds in trailers", opened(1) + TRAILERS + asked(3, ASK + NEWEST), Answered((3,))),
    Case("2.2", "adds in what comes late", asked(1, b"") + TRAILERS + asked(3, ASK + NEWEST), Answered((3,))),
    Case("4.2", "shrinks the table", asked(1, with_path(KEPT_PATH, b"\x20")), Answered()),
    Case("4.2", "shrinks it, and lets it grow", first_then(b"\x20" + GROWN + ADDED, REFERS), BOTH),
    Case("4.4", "adds more than the table holds", asked(1, ASK + LONG), Answered()),
    Case("5.2", "sends a value of 16 KiB in parts", IN_PARTS + data(1), Answered()),
]
UNREAD = [
    Case("2.3.3", "refers to entry 0", asked(1, ASK + b"\x80"), BROKEN),
    Case("2.3.3", "refers to the first entry there isn't", asked(1, ASK + NEWEST), BROKEN),
    Case("2.3.3", "takes a name there isn't", asked(1, ASK + b"\x7e\1a"), BROKEN),
    Case("2.3.3", "takes a name there isn't, unindexed", asked(1, ASK + b"\x0f\x2f\1a"), BROKEN),
    Case("2.3.3", "refers to a far entry", asked(1, ASK + number(10**6, 7, 0x80)), BROKEN),
    Case("4.2", "changes the table's size at the end", asked(1, ASK + b"\x20"), BROKEN),
    Case("4.2", "changes it in the middle", asked(1, POST + b"\x20" + ASK[1:]), BROKEN),
    Case("4.3", "refers to what was put out", first_then(ADDED, b"\x20" + REFERS), BROKEN),
    Case("4.4", "refers to what never fitted", first_then(ADDED + LONG, REFERS), BROKEN),
    Case("6.3", "wants a larger table than it was given", asked(1, number(4097, 5, 0x20) + ASK), BROKEN),
    Case("6.3", "wants a table without end", asked(1, number(2**31, 5, 0x20) + ASK), BROKEN),
    Case("5.1", "writes a number of many bytes", asked(1, ASK + b"\xff" + b"\x80" * 30 + b"\0"), BROKEN),
    Case("5.1", "writes a number beyond 64 bits", asked(1, ASK + b"\xff" + b"\xff" * 12 + b"\x7f"), BROKEN),
    Case("5.1", "breaks off in a number", asked(1, ASK + b"\xff\x80"), BROKEN),
    Case("5.2", "breaks off in a name", asked(1, ASK + b"\0\5abc"), BROKEN),
    Case("5.2", "breaks off before a value", asked(1, ASK + b"\0\1a"), BROKEN),
    Case("5.2", "breaks off in a value", asked(1, ASK + b"\0\1a\5abc"), BROKEN),
    Case("5.2", "breaks off after a field's first byte", asked(1, ASK + b"\x40"), BROKEN),
    # "a" is 00011 in Huffman's code, then ones up to a whole byte.
    Case("5.2", "packs with eight bits too many", asked(1, ASK + b"\0\1a\x82\x1f\xff"), BROKEN),
    Case("5.2", "pads a packed value with zeros", asked(1, ASK + b"\0\1a\x81\x18"), BROKEN),
    Case("5.2", "packs the end of strings", asked(1, ASK + b"\0\1a\x84\xff\xff\xff\xff"), BROKEN),
    Case("5.2", "packs it behind a letter", asked(1, ASK + b"\0\1a\x85\x1f\xff\xff\xff\xff"), BROKEN),
    Case("5.2", "breaks off in a packed letter", asked(1, ASK + b"\0\1a\x81\xfe"), BROKEN),
]


@pytest.fixture(scope="module", name="server")
def fixture_server() -> Iterator[Served]:
    with served() as server:
        yield server


@each([*READ, *UNREAD])
def test_a_client_that(server: Served, case: Case) -> None:
    case.check(server)
