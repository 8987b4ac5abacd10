"""HTTP/2 frames as bytes: RFC 9113, sections 4 and 6. Pure functions, and the numbers that both sides use."""

from dataclasses import dataclass
from enum import IntEnum

from ensemble.errors import EnsembleError

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# Right behind it come SETTINGS, whose kind and flags are the last of so many bytes.
GREETING_BYTES = len(PREFACE) + 5
# Length, kind, flags, stream.
HEAD_BYTES = 9
# The most in one frame, until a peer says otherwise; we never do.
FRAME_BYTES = 16384
MOST_FRAME_BYTES = 2**24 - 1
FIRST_WINDOW, MOST_WINDOW = 65535, 2**31 - 1
FIRST_TABLE_BYTES = 4096
LAST_STREAM = 2**31 - 1

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = range(5)
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(5, 10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 0x1, 0x1, 0x4, 0x8, 0x20
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW, FRAME_SIZE, HEADER_LIST_SIZE = range(1, 7)
SETTING_BYTES, PRIORITY_BYTES, WORD_BYTES = 6, 5, 4
# How many bytes may be in each of the connection's own.
SETTINGS_SIZES, ACK_SIZES = range(FRAME_BYTES + 1), range(1)
PING_SIZES, GOAWAY_SIZES = range(8, 9), range(8, FRAME_BYTES + 1)


class Code(IntEnum):
    """Why a stream or a connection ends: RFC 9113, section 7."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


SETTING_BOUNDS = {
    ENABLE_PUSH: (0, 1, Code.PROTOCOL_ERROR),
    INITIAL_WINDOW: (0, MOST_WINDOW, Code.FLOW_CONTROL_ERROR),
    FRAME_SIZE: (FRAME_BYTES, MOST_FRAME_BYTES, Code.PROTOCOL_ERROR),
}


class Http2Error(EnsembleError):
    """A peer breaks the protocol: its connection ends."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code


class MalformedError(Http2Error):
    """One request breaks HTTP's rules: its stream ends, and the connection goes on."""

    def __init__(self, text: str) -> None:
        super().__init__(Code.PROTOCOL_ERROR, text)


@dataclass(slots=True)
class Peer:
    """What the other side lets us send."""

    stream_window: int = FIRST_WINDOW
    frame_bytes: int = FRAME_BYTES
    # Whether its table of headers became smaller, and our next block has to say that ours is empty.
    shrank: bool = False


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Write one frame."""
    return (len(payload) << 48 | kind << 40 | flags << 32 | stream).to_bytes(HEAD_BYTES, "big") + payload


def greeted(data: bytes) -> int:
    """Return where frames begin, 0 while the greeting isn't whole; Http2Error if it is another's."""
    if not PREFACE.startswith(data[: len(PREFACE)]):
        raise Http2Error(Code.PROTOCOL_ERROR, "this port speaks gRPC over HTTP/2 alone")
    if len(data) < GREETING_BYTES:
        return 0
    kind, flags = data[GREETING_BYTES - 2 : GREETING_BYTES]
    if kind != SETTINGS or flags & ACK:
        raise Http2Error(Code.PROTOCOL_ERROR, f"the first frame is of kind {kind}, and not SETTINGS")
    return len(PREFACE)


def settings(values: dict[int, int]) -> bytes:
    """Write a SETTINGS frame."""
    payload = b"".join(
        name.to_bytes(2, "big") + value.to_bytes(WORD_BYTES, "big") for name, value in values.items()
    )
    return frame(SETTINGS, 0, 0, payload)


def read_settings(payload: bytes, peer: Peer) -> None:
    """Take the peer's settings up that bound what we send; Http2Error if they can't be."""
    if len(payload) % SETTING_BYTES:
        raise Http2Error(Code.FRAME_SIZE_ERROR, f"SETTINGS of {len(payload)} bytes")
    for at in range(0, len(payload), SETTING_BYTES):
        name = int.from_bytes(payload[at : at + 2], "big")
        value = int.from_bytes(payload[at + 2 : at + SETTING_BYTES], "big")
        if name in SETTING_BOUNDS:
            least, most, code = SETTING_BOUNDS[name]
            if not least <= value <= most:
                raise Http2Error(code, f"setting {name} is {value}; it must be {least} to {most}")
        if name == INITIAL_WINDOW:
            peer.stream_window = value
        elif name == FRAME_SIZE:
            peer.frame_bytes = value
        elif name == HEADER_TABLE_SIZE and value < FIRST_TABLE_BYTES:
            peer.shrank = True


def check_connections_own(what: str, number: int, payload: bytes, *, sizes: range) -> None:
    """Refuse a frame that is the connection's if it is on a stream, or of another length."""
    if number:
        raise Http2Error(Code.PROTOCOL_ERROR, f"{what} on stream {number}")
    if len(payload) not in sizes:
        raise Http2Error(Code.FRAME_SIZE_ERROR, f"{what} of {len(payload)} bytes")


def check_priority(number: int, payload: bytes) -> None:
    """Refuse a PRIORITY that can't be one; what it says is not asked for any more."""
    if not number:
        raise Http2Error(Code.PROTOCOL_ERROR, "PRIORITY on stream 0")
    if len(payload) != PRIORITY_BYTES:
        raise Http2Error(Code.FRAME_SIZE_ERROR, f"PRIORITY of {len(payload)} bytes")


def word(payload: bytes, what: str) -> int:
    """Read the one number that a frame is, without its highest bit."""
    if len(payload) != WORD_BYTES:
        raise Http2Error(Code.FRAME_SIZE_ERROR, f"{what} of {len(payload)} bytes")
    return int.from_bytes(payload, "big") & MOST_WINDOW


def window_update(stream: int, more: int) -> bytes:
    """Let the peer send so many bytes more."""
    return frame(WINDOW_UPDATE, 0, stream, more.to_bytes(WORD_BYTES, "big"))


def reset(stream: int, code: Code) -> bytes:
    """End one stream."""
    return frame(RST_STREAM, 0, stream, code.to_bytes(WORD_BYTES, "big"))


# A reset without an error, around its stream's number.
RESET, UNHARMED = frame(RST_STREAM, 0, 0, bytes(WORD_BYTES))[: HEAD_BYTES - WORD_BYTES], bytes(WORD_BYTES)


def answered(stream: int, block: bytes, *, ended: bool) -> bytes:
    """Answer a stream with headers alone; one whose request hasn't `ended` is to go no further."""
    number = stream.to_bytes(WORD_BYTES, "big")
    begun = (len(block) << 16 | HEADERS << 8 | END_HEADERS | END_STREAM).to_bytes(5, "big")
    return b"".join((begun, number, block) if ended else (begun, number, block, RESET, number, UNHARMED))


def goaway(last: int, code: Code, text: str = "") -> bytes:
    """End a connection, from the stream after `last` on."""
    return frame(
        GOAWAY, 0, 0, last.to_bytes(WORD_BYTES, "big") + code.to_bytes(WORD_BYTES, "big") + text.encode()
    )


def unpadded(flags: int, payload: bytes) -> bytes:
    """Return what DATA or HEADERS hold, without padding and priority."""
    pad = 0
    if flags & PADDED:
        pad, payload = (payload[0] if payload else 1), payload[1:]
    if flags & PRIORITIZED:
        if len(payload) < PRIORITY_BYTES:
            raise Http2Error(Code.FRAME_SIZE_ERROR, "a priority is cut off")
        payload = payload[PRIORITY_BYTES:]
    if pad > len(payload):
        raise Http2Error(Code.PROTOCOL_ERROR, f"{pad} bytes of padding in {len(payload)}")
    return payload[: len(payload) - pad]
