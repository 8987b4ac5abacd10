"""Bodies of HTTP requests and answers: how large they may be, and the encodings that shrink them.

Nothing is inflated beyond the limit: what would be is refused with no more than the limit in memory.
"""

import gzip
import zlib

from ensemble.errors import InvalidRequestError
from server.wire.outcome import MessageTooLargeError

# zlib finds out by itself which of the two headers there is: gzip's, or deflate's.
EITHER_HEADER = 32 + zlib.MAX_WBITS
ENCODINGS = ("gzip", "deflate")
# What is smaller gains nothing.
LEAST_BYTES = 1024
FASTEST = 1


class Inflater:
    """Takes a body piece by piece and keeps it, inflated; refuses one that grows beyond `limit` bytes.

    `encoding` is what `encoding_of` gave.
    """

    def __init__(self, encoding: str, limit: int) -> None:
        self._limit = limit
        self._whole = bytearray()
        self._stream = zlib.decompressobj(EITHER_HEADER) if encoding else None

    def feed(self, data: bytes) -> None:
        """Take the next piece. Raises MessageTooLargeError and InvalidRequestError."""
        room = self._limit - len(self._whole)
        # One byte more than fits is enough to know; zlib takes 0 for no bound, which this never is.
        self._whole += data if self._stream is None else self._inflated(data, room + 1)
        if len(self._whole) > self._limit:
            raise MessageTooLargeError("body", len(self._whole), self._limit)

    def finish(self) -> bytes:
        """Give the whole body; InvalidRequestError if it ends too early."""
        if self._stream is not None and not self._stream.eof:
            raise InvalidRequestError("the body ends before its compressed data does")
        return bytes(self._whole)

    def _inflated(self, data: bytes, most: int) -> bytes:
        stream = self._stream
        if stream is None:  # For the type checker: `feed` has looked.
            return data
        try:
            inflated = stream.decompress(data, most)
        except zlib.error as error:
            raise InvalidRequestError(f"the body can't be inflated: {error}") from error
        if stream.unused_data:
            raise InvalidRequestError("bytes follow the body's compressed data")
        return inflated


def encoding_of(header: str) -> str | None:
    """Read a content-encoding: empty for none; None if it is one that isn't read here."""
    name = header.strip().lower()
    if name in ("", "identity"):
        return ""
    return name if name in ENCODINGS else None


def deflated(body: bytes, accepted: str) -> tuple[bytes, str]:
    """Shrink an answer if that pays and its caller reads one of our encodings; give it and the encoding."""
    offers = {offer.split(";")[0].strip().lower() for offer in accepted.split(",")}
    if len(body) < LEAST_BYTES:
        return body, ""
    if "gzip" in offers:
        return gzip.compress(body, FASTEST), "gzip"
    if "deflate" in offers:
        return zlib.compress(body, FASTEST), "deflate"
    return body, ""
