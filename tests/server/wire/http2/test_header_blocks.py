from typing import Any

import pytest
from hpack import Decoder, Encoder
from hypothesis import given
from hypothesis import strategies as st

from server.wire.http2.frames import Code, Http2Error
from server.wire.http2.header_blocks import MOST_KNOWN, HeaderBlocks, answer_block

OWN = st.fixed_dictionaries(
    {
        ":method": st.sampled_from(["POST", "GET"]),
        ":scheme": st.just("http"),
        ":path": st.text("/xy", min_size=1),
    }
)
NAMES = st.sampled_from(["user-agent", "a", "b", "c"])
ANSWERS = st.lists(st.tuples(st.binary(min_size=1, max_size=300), st.binary(max_size=20000)), max_size=5)
HEADERS = st.lists(st.tuples(NAMES, st.text("xyz", max_size=30)), max_size=6)


@given(st.lists(st.tuples(OWN, HEADERS, st.booleans()), max_size=40), st.integers(0, 300))
def test_what_is_remembered_is_what_the_table_says(
    calls: list[tuple[dict[str, str], list[tuple[str, str]], bool]], size: int
) -> None:
    encoder, blocks, plain = Encoder(), HeaderBlocks(10**6), Decoder()
    encoder.header_table_size = size
    for own, headers, huffman in calls:
        block = encoder.encode([*own.items(), *headers], huffman=huffman)
        found = blocks.head(block)
        texts: dict[Any, Any] = dict(plain.decode(block))
        assert found.headers == {name: value for name, value in texts.items() if name[0] != ":"}
        assert (found.path, found.method) == (texts.get(":path", ""), texts.get(":method", ""))


def test_the_same_block_is_read_once_and_of_others_not_all_are_kept() -> None:
    blocks, encoder = HeaderBlocks(10**6), Encoder()
    headers = [(":method", "POST"), (":scheme", "http"), (":path", "/a"), ("te", "trailers")]
    blocks.head(encoder.encode(headers))  # adds to the table
    block = encoder.encode(headers)
    assert blocks.head(block) is blocks.head(block)
    first = blocks.head(block)
    for number in range(MOST_KNOWN + 1):
        blocks.head(block + answer_block(((b"a", b"%d" % number),), status=False))
    assert blocks.head(block) is not first


def test_long_blocks_are_not_kept() -> None:
    # POST, http, /, and a header.
    block = b"\x83\x86\x84" + answer_block(((b"a", b"x" * 600),), status=False)
    blocks = HeaderBlocks(10**6)
    assert blocks.head(block) is not blocks.head(block)


def test_what_is_no_block_ends_the_connection() -> None:
    with pytest.raises(Http2Error) as raised:
        HeaderBlocks(100).head(b"\xff\xff")
    assert raised.value.code == Code.COMPRESSION_ERROR


@given(headers=ANSWERS, status=st.booleans())
def test_answers_say_what_they_should_and_add_nothing_to_the_table(
    headers: list[tuple[bytes, bytes]], *, status: bool
) -> None:
    decoder = Decoder(10**9)
    told = [
        (bytes(name), bytes(value))
        for name, value in decoder.decode(answer_block(tuple(headers), status=status), raw=True)
    ]
    assert told == [*([(b":status", b"200")] if status else []), *headers]
    assert not decoder.header_table.dynamic_entries
