import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.errors import InvalidRequestError, NotOfferedError
from server.wire import framing
from server.wire.outcome import MessageTooLargeError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5S", 5.0), ("2H", 7200.0), ("3M", 180.0), ("250m", 0.25), ("10u", 1e-5), ("99999999n", 0.099999999)],
)
def test_timeouts_are_read_in_every_unit(text: str, seconds: float) -> None:
    assert framing.timeout_secs(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "S", "5", "5s", "123456789S", "-1S", "1.5S", "٣S"])
def test_what_is_no_timeout_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"^grpc-timeout is "):
        framing.timeout_secs(text)


def test_texts_travel_in_percents() -> None:
    assert framing.encoded_text("100 % of 'é'\n") == b"100 %25 of '%C3%A9'%0A"


@given(data=st.binary(max_size=2000), encoding=st.sampled_from(["gzip", "deflate"]))
def test_what_is_packed_is_unpacked(data: bytes, encoding: str) -> None:
    frame = framing.framed(data, encoding)

    assert frame[0] == 1
    assert int.from_bytes(frame[1:5], "big") == len(frame) - 5
    assert framing.unpacked(frame[5:], encoding, 2000) == data


def test_a_plain_frame_is_a_zero_and_the_length() -> None:
    assert framing.framed(b"abc") == b"\0\0\0\0\3abc"


def test_a_message_that_grows_too_large_is_refused() -> None:
    with pytest.raises(MessageTooLargeError, match="Decompressed message larger than max"):
        framing.unpacked(gzip.compress(bytes(10_000_000)), "gzip", 1000)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no gzip",
        gzip.compress(b"abc", mtime=0)[:-3],
        gzip.compress(b"abc", mtime=0) + b"more",
        zlib.compress(b"abc"),
    ],
)
def test_bytes_that_are_no_gzip_are_the_callers_mistake(data: bytes) -> None:
    with pytest.raises(InvalidRequestError, match=r"^the message is no gzip"):
        framing.unpacked(data, "gzip", 1000)


def test_an_encoding_that_we_lack_is_not_offered() -> None:
    with pytest.raises(NotOfferedError, match=r"^grpc-encoding 'snappy' is not offered; send identity"):
        framing.unpacked(b"", "snappy", 1000)


def test_a_length_is_refused_before_there_is_room_for_it() -> None:
    with pytest.raises(MessageTooLargeError, match=r"SERVER: Received message larger than max \(11 vs. 10"):
        framing.check_length(11, 10)
    framing.check_length(10, 10)
