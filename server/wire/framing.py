"""gRPC over HTTP/2 as bytes: messages with their five bytes before them, timeouts, texts in headers.

Pure functions; `asgi_call` reads and sends. From gRPC's PROTOCOL-HTTP2.
"""

import zlib
from urllib.parse import quote

from ensemble.errors import InvalidRequestError, NotOfferedError

from .outcome import MessageTooLargeError

# A byte that says whether the message is compressed, then its length.
PREFIX_BYTES = 5
GZIP = "gzip"
IDENTITY = "identity"
# What zlib calls them: gzip's own header, and zlib's for what gRPC calls deflate.
WINDOWS = {GZIP: 31, "deflate": 15}
ENCODINGS = ", ".join((IDENTITY, *WINDOWS))
# Quick beats small: both sides wait for it.
LEVEL = 1
UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
MAX_TIMEOUT_DIGITS = 8
# Printable ASCII but the percent sign: what a text may hold as it is.
PLAIN = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


def timeout_secs(text: str) -> float:
    """Read a `grpc-timeout`; InvalidRequestError if it is none."""
    digits, unit = text[:-1], text[-1:]
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= MAX_TIMEOUT_DIGITS and unit in UNITS):
        raise InvalidRequestError(
            f"grpc-timeout is {text[:20]!r}; it must be 1 to {MAX_TIMEOUT_DIGITS} digits and one of HMSmun"
        )
    return int(digits) * UNITS[unit]


def encoded_text(text: str) -> bytes:
    """Write a status text as `grpc-message` wants it: what isn't printable ASCII in percents."""
    return quote(text, safe=PLAIN, errors="replace").encode("ascii")


def prefix(size: int) -> bytes:
    """Write what comes before a message of so many bytes that isn't compressed."""
    return size.to_bytes(PREFIX_BYTES, "big")


def framed(data: bytes, encoding: str = IDENTITY) -> bytes:
    """Write one message, compressed where `encoding` says so."""
    if encoding == IDENTITY:
        return prefix(len(data)) + data
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, WINDOWS[encoding])
    packed = packer.compress(data) + packer.flush()
    return b"\1" + len(packed).to_bytes(4, "big") + packed


def check_length(length: int, most: int) -> None:
    """Refuse a message by the length that it announces, before there is room for it."""
    if length > most:
        raise MessageTooLargeError("SERVER: Received message", length, most)


def unpacked(data: bytes, encoding: str, most: int) -> bytes:
    """Decompress one message, never to more than `most` bytes and one.

    Raises NotOfferedError for an encoding that we don't have, MessageTooLargeError, and InvalidRequestError
    for bytes that aren't what they should be.
    """
    window = WINDOWS.get(encoding)
    if window is None:
        raise NotOfferedError(f"grpc-encoding '{encoding[:20]}' is not offered; send {ENCODINGS}")
    unpacker = zlib.decompressobj(window)
    try:
        message = unpacker.decompress(data, most + 1)
    except zlib.error as error:
        raise InvalidRequestError(f"the message is no {encoding}: {error}") from error
    if len(message) > most:
        raise MessageTooLargeError("SERVER: Decompressed message", len(message), most)
    if not unpacker.eof or unpacker.unused_data:
        raise InvalidRequestError(f"the message is no {encoding}: it ends too early or too late")
    return message
