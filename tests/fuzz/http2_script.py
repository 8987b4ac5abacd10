"""A client of HTTP/2 that does what bytes tell it to: mostly what is allowed, in any order and any pieces.

It keeps count of what it may expect: so long as it broke no rule, its connection must go on, and every call
of its must be answered or reset.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from hpack import Encoder

from server.wire import framing
from server.wire.http2 import frames
from server.wire.messages import message_class

T = TypeVar("T")
INFER = message_class("inference.ModelInferRequest")
MESSAGE = framing.framed(
    INFER(
        model_name="sums",
        inputs=[INFER.InferInputTensor(name="x", datatype="FP32", shape=[1, 4])],
        raw_input_contents=[bytes(16)],
    ).SerializeToString()
)
SERVICE = "/inference.GRPCInferenceService/"
PATHS = (
    *(f"{SERVICE}ModelInfer", f"{SERVICE}ModelInfer", f"{SERVICE}ServerMetadata"),
    *(f"{SERVICE}ModelStreamInfer", f"{SERVICE}None", "/grpc.health.v1.Health/Check"),
    *("/test.Service/Much",) * 3,
)
MORE = (
    *(
        ("a", "b"),
        ("a", " "),
        ("a-bin", "AA"),
        ("grpc-timeout", "9S"),
        ("grpc-timeout", "x"),
        ("host", "there"),
    ),
    *(("grpc-encoding", "gzip"), ("authorization", "Bearer x"), ("long", "x" * 3000), ("cookie", "")),
)
# Each makes a request malformed, and no more than that.
MALFORMED = (
    *(("A", "b"), ("", "b"), ("a b", ""), ("a", "\0"), ("connection", "close"), ("te", "gzip")),
    *((":path", "/x"), ("content-length", "x"), (":status", "200")),
)
BODIES = (
    MESSAGE,
    MESSAGE * 2,
    MESSAGE[:7],
    MESSAGE[7:],
    b"",
    b"\1" + MESSAGE[1:],
    bytes(5),
    b"\0\0\0\xff\xff",
)
SETTINGS = (
    *((frames.INITIAL_WINDOW, size) for size in (0, 1, 100, 65_535, 2**20)),
    *((frames.FRAME_SIZE, size) for size in (16_384, 20_000, 2**24 - 1)),
    *((frames.HEADER_TABLE_SIZE, size) for size in (0, 100, 4096, 9999)),
    *((frames.ENABLE_PUSH, 0), (frames.MAX_STREAMS, 1), (99, 99)),
)
INCREMENTS = 1, 7, 100, 20_000
FIRST_TABLE_BYTES = 4096
MOST_BODY_BYTES = 60_000  # of one call


class Choices:
    """Bytes, as what somebody chose; when they are used up the first is chosen."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def left(self) -> bool:
        return self._at < len(self._data)

    def number(self, most: int) -> int:
        """A number from 0 to `most`, which is at most 255."""
        chosen = self._data[self._at] % (most + 1) if self.left else 0
        self._at += 1
        return chosen

    def of(self, options: Sequence[T]) -> T:
        return options[self.number(len(options) - 1)]

    def bytes(self, most: int) -> bytes:
        size = self.number(most)
        self._at += size
        return self._data[self._at - size : self._at]


@dataclass
class Asked:
    """A call, as its client knows it."""

    ended: bool = False
    given_up: bool = False
    malformed: bool = False
    sent: int = 0


@dataclass
class Script:
    """The client. `step` returns what it writes next."""

    choices: Choices
    breaks_rules: bool
    calls: dict[int, Asked] = field(default_factory=dict)
    lawful: bool = True
    granted: int = 0

    def __post_init__(self) -> None:
        self._encoder = Encoder()
        self._next = 1
        # The table that answers may refer to, of each SETTINGS that isn't acknowledged; the greeting's first.
        self.tables: list[int] = [FIRST_TABLE_BYTES]
        self._steps: Sequence[Callable[[], bytes]] = (
            *(self._open, self._open, self._data, self._data, self._data, self._reset, self._settings),
            *(self._window, self._trailers, self._ping, self._others, self._malformed, self._raw),
        )

    def step(self) -> bytes:
        return self.choices.of(self._steps)()

    def rest(self) -> bytes:
        """End all requests, and take all answers."""
        self.tables.append(FIRST_TABLE_BYTES)
        ends = [frames.settings({frames.INITIAL_WINDOW: 2**20}), frames.window_update(0, 2**24)]
        going_on = [
            number
            for number, call in self.calls.items()
            if not (call.ended or call.given_up or call.malformed)
        ]
        ends += [frames.frame(frames.DATA, frames.END_STREAM, number) for number in going_on]
        return b"".join(ends)

    def _open(self, *more: tuple[str, str]) -> bytes:
        number, self._next = self._next, self._next + 2 + 2 * (self.choices.number(9) == 9)
        own = [(":method", "POST"), (":scheme", "http"), (":path", self.choices.of(PATHS))]
        told = [("content-type", "application/grpc"), ("te", "trailers")]
        others = [self.choices.of(MORE) for _ in range(self.choices.number(3))]
        self._encoder.header_table_size = self.choices.of((4096, 4096, 4096, 100, 0))
        huffman = bool(self.choices.number(1))
        block = self._encoder.encode([*own, *told, *others, *more], huffman=huffman)
        self.calls[number] = call = Asked(ended=self.choices.number(3) == 1, malformed=bool(more))
        return self._headers(number, block, ended=call.ended)

    def _malformed(self) -> bytes:
        return self._open(self.choices.of(MALFORMED))

    def _headers(self, number: int, block: bytes, *, ended: bool) -> bytes:
        """A block in as many frames, with as much padding, as is chosen."""
        flags = frames.END_STREAM * ended
        pad, priority, parts = (self.choices.number(most) for most in (20, 4, 5))
        first = block if parts < 2 else block[: len(block) // parts]
        payload = first
        if priority == 1:
            flags, payload = flags | frames.PRIORITIZED, bytes(5) + payload
        if pad % 4 == 1:
            flags, payload = flags | frames.PADDED, bytes([pad]) + payload + bytes(pad)
        written = [frames.frame(frames.HEADERS, flags, number, payload)]
        size = max(1, len(block) // max(parts, 1))
        written += [
            frames.frame(frames.CONTINUATION, 0, number, block[at : at + size])
            for at in range(len(first), len(block), size)
        ]
        # The flags of a frame are its fifth byte; the last ends the block.
        last = bytearray(written.pop())
        last[4] |= frames.END_HEADERS
        return b"".join([*written, last])

    def _one(self) -> int:
        """A call that was asked, or none."""
        return self.choices.of(list(self.calls)) if self.calls else 0

    def _going_on(self) -> int:
        """One whose request may go on, or none."""
        number = self._one()
        call = self.calls.get(number)
        return 0 if call is None or call.ended or call.given_up or call.malformed else number

    def _data(self) -> bytes:
        number, payload = self._going_on(), self.choices.of(BODIES)
        ended, pad = self.choices.number(2) == 1, self.choices.number(40)
        if not number or self.calls[number].sent > MOST_BODY_BYTES:
            return b""
        flags = frames.END_STREAM * ended
        if pad % 4 == 1:
            flags, payload = flags | frames.PADDED, bytes([pad]) + payload + bytes(pad)
        self.calls[number].sent += len(payload)
        self.calls[number].ended = ended
        return frames.frame(frames.DATA, flags, number, payload)

    def _trailers(self) -> bytes:
        number = self._going_on()
        if not number:
            return b""
        self.calls[number].ended = True
        return self._headers(number, self._encoder.encode([self.choices.of(MORE)]), ended=True)

    def _reset(self) -> bytes:
        number = self._one()
        if not number:
            return b""
        self.calls[number].given_up = True
        return frames.reset(number, frames.Code.NO_ERROR)

    def _settings(self) -> bytes:
        chosen = dict(self.choices.of(SETTINGS) for _ in range(self.choices.number(3)))
        self.tables.append(chosen.get(frames.HEADER_TABLE_SIZE, FIRST_TABLE_BYTES))
        return frames.settings(chosen)

    def _window(self) -> bytes:
        more = self.choices.of(INCREMENTS)
        number = self._one() if self.choices.number(1) else 0
        if not number:
            self.granted += more
        return frames.window_update(number, more)

    def _ping(self) -> bytes:
        return frames.frame(frames.PING, self.choices.number(1), 0, bytes(8))

    def _others(self) -> bytes:
        return self.choices.of(
            (
                frames.frame(frames.PRIORITY, 0, 1, b"\0\0\0\1\1"),
                frames.frame(0x77, 0xFF, 3, b"?"),
                frames.frame(frames.GOAWAY, 0, 0, bytes(8)),
                frames.frame(frames.SETTINGS, frames.ACK, 0),
            )
        )

    def _raw(self) -> bytes:
        """Anything at all: what comes of it nobody can say."""
        if not self.breaks_rules:
            return b""
        self.lawful = False
        kind, flags, number = (self.choices.number(most) for most in (10, 255, 20))
        return frames.frame(kind, flags, number, self.choices.bytes(60))
