"""The answer of most calls that go well: constant bytes around the stream's number and a message."""

from ..asgi_call import DONE, PLAIN_START
from .frames import END_HEADERS, END_STREAM, HEADERS, WORD_BYTES, frame
from .header_blocks import answer_block

HEAD = answer_block(tuple(PLAIN_START["headers"]), status=True)
TRAILERS = answer_block(tuple(DONE["headers"]), status=False)
# What comes before the streams' numbers.
BEGINS = frame(HEADERS, END_HEADERS, 0, HEAD)[: -len(HEAD) - WORD_BYTES]
ENDS = frame(HEADERS, END_HEADERS | END_STREAM, 0, TRAILERS)[: -len(TRAILERS) - WORD_BYTES]
# Of a frame of DATA: its length, its kind and its flags.
DATA_BEGINS_BYTES = 5


def plain_answer(stream: int, body: bytes) -> bytes:
    """Write headers, one frame of DATA and trailers that say OK."""
    number = stream.to_bytes(WORD_BYTES, "big")
    data = (len(body) << 16).to_bytes(DATA_BEGINS_BYTES, "big")
    return b"".join((BEGINS, number, HEAD, data, number, body, ENDS, number, TRAILERS))
