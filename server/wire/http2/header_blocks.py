"""Header blocks: those of requests through `hpack`, those of answers by hand.

A client that asks again and again sends the same few bytes, which say the same as long as the table is the
same that both sides keep: what they said is remembered. Reading them anew takes 40 us, looking them up one.
"""

from dataclasses import dataclass
from functools import lru_cache

from hpack import Decoder, HPACKError

from ..asgi_call import only_headers
from ..head import Head, Pairs
from ..outcome import Outcome
from .frames import Code, Http2Error
from .request_rules import check_request

# What is this many times larger than metadata may be is not answered in gRPC's words: the connection ends.
SLACK = 4
# Blocks that are remembered for one connection, and how long they may be.
MOST_KNOWN, MOST_KNOWN_BYTES = 64, 512
SHORT = 0x7F


class HeaderBlocks:
    """Reads the header blocks of one connection, in order."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes * SLACK
        self._decoder = Decoder(self.most_bytes)
        self._known: dict[bytes, Head] = {}
        self._changed = False  # the table, by the block that was read last

    def head(self, block: bytes) -> Head:
        """Read a request's; MalformedError if it is none, Http2Error if it can't be read at all."""
        known = self._known.get(block)
        if known is not None:
            return known
        pairs = self.pairs(block)
        check_request(pairs)
        head = Head.of(pairs)
        if not self._changed and len(block) <= MOST_KNOWN_BYTES:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[block] = head
        return head

    def pairs(self, block: bytes) -> Pairs:
        """Read any: names and values, those of HTTP/2's own among them."""
        table = self._decoder.header_table
        size, count, newest = table.maxsize, len(table.dynamic_entries), self._newest()
        try:
            pairs = [(name, value) for name, value in self._decoder.decode(block, raw=True)]
        except HPACKError as error:
            raise Http2Error(Code.COMPRESSION_ERROR, f"headers can't be read: {error}") from error
        if newest is not self._newest() or (size, count) != (table.maxsize, len(table.dynamic_entries)):
            # Also this block would now say something else, or add to the table again.
            self._known.clear()
            self._changed = True
        else:
            self._changed = False
        return pairs

    def _newest(self) -> object:
        """Return the entry that was added last: while somebody holds it, no other can be mistaken for it."""
        entries = self._decoder.header_table.dynamic_entries
        return entries[0] if entries else None


@dataclass(slots=True)
class Parts:
    """A block that comes in several frames, one right after another."""

    number: int
    flags: int  # of its first frame
    most_bytes: int
    block: bytearray

    def add(self, number: int, part: bytes) -> None:
        """Take the next part; Http2Error if it is another stream's, or one too many."""
        if number != self.number:
            raise Http2Error(Code.PROTOCOL_ERROR, f"headers of {self.number} go on as of {number}")
        self.block += part
        if len(self.block) > self.most_bytes:
            raise Http2Error(Code.ENHANCE_YOUR_CALM, f"headers of more than {self.most_bytes} bytes")


@lru_cache(maxsize=256)
def answer_block(headers: tuple[tuple[bytes, bytes], ...], *, status: bool) -> bytes:
    """Write an answer's headers, none of which the client need remember; `status` adds HTTP's 200."""
    parts = [b"\x88"] if status else []
    for name, value in headers:
        parts += [b"\x00", _length(len(name)), name, _length(len(value)), value]
    return b"".join(parts)


@lru_cache(maxsize=64)
def refusal_block(outcome: Outcome) -> bytes:
    """Write the headers of an answer that is nothing but how the call ends."""
    return answer_block(tuple(only_headers(outcome)), status=True)


def _length(size: int) -> bytes:
    """Write a length in seven bits and what goes beyond in more of them: RFC 7541, section 5.1."""
    if size < SHORT:
        return bytes([size])
    written, rest = [SHORT], size - SHORT
    while rest > SHORT:
        written.append(rest & SHORT | 0x80)
        rest >>= 7
    return bytes([*written, rest])
