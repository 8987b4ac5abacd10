import gzip
import tracemalloc
import zlib

import pytest

from ensemble.errors import InvalidRequestError
from server.wire.outcome import MessageTooLargeError
from server.wire.rest.bodies import Inflater, deflated, encoding_of

TEXT = b"a body of some length, " * 100


def read(data: bytes, encoding: str, limit: int = 10_000, step: int = 7) -> bytes:
    inflater = Inflater(encoding, limit)
    for at in range(0, len(data), step):
        inflater.feed(data[at : at + step])
    return inflater.finish()


@pytest.mark.parametrize(
    ("encoding", "data"),
    [("", TEXT), ("gzip", gzip.compress(TEXT, mtime=0)), ("deflate", zlib.compress(TEXT))],
)
def test_a_body_comes_out_as_it_went_in_whatever_pieces_it_comes_in(encoding: str, data: bytes) -> None:
    assert read(data, encoding) == TEXT
    assert read(data, encoding, step=10_000) == TEXT


@pytest.mark.parametrize(
    ("encoding", "data"),
    [("", TEXT), ("gzip", gzip.compress(TEXT, mtime=0)), ("deflate", zlib.compress(TEXT))],
)
def test_the_limit_is_of_what_comes_out(encoding: str, data: bytes) -> None:
    assert read(data, encoding, limit=len(TEXT)) == TEXT
    with pytest.raises(MessageTooLargeError, match="body larger than max"):
        read(data, encoding, limit=len(TEXT) - 1)


def test_a_bomb_takes_no_more_memory_than_the_limit() -> None:
    bomb = gzip.compress(bytes(2**28), 9)
    tracemalloc.start()
    with pytest.raises(MessageTooLargeError):
        read(bomb, "gzip", limit=2**20, step=len(bomb))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**22


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"no gzip at all", "the body can't be inflated"),
        (gzip.compress(TEXT, mtime=0)[:-9], "the body ends before its compressed data does"),
        (gzip.compress(TEXT, mtime=0) + b"more", "bytes follow the body's compressed data"),
    ],
)
def test_what_is_not_what_its_header_says_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(InvalidRequestError, match=what):
        read(data, "gzip", step=10_000)


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        ("", ""),
        ("identity", ""),
        ("GZIP ", "gzip"),
        ("deflate", "deflate"),
        ("br", None),
        ("gzip, gzip", None),
    ],
)
def test_two_encodings_are_read(header: str, encoding: str | None) -> None:
    assert encoding_of(header) == encoding


def test_an_answer_is_shrunk_where_its_caller_asks_for_that_and_it_pays() -> None:
    assert deflated(TEXT, "") == (TEXT, "")
    assert deflated(TEXT, "br") == (TEXT, "")
    assert deflated(b"short", "gzip") == (b"short", "")
    gzipped, encoding = deflated(TEXT, "br;q=1.0, gzip;q=0.8")
    assert (gzip.decompress(gzipped), encoding) == (TEXT, "gzip")
    zipped, encoding = deflated(TEXT, "deflate")
    assert (zlib.decompress(zipped), encoding) == (TEXT, "deflate")
