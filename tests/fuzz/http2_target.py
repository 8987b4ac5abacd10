"""A connection of our own HTTP/2, from its first byte to its end, before real methods."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from functools import cached_property
from types import SimpleNamespace
from typing import Any

from hpack import Encoder

from server.wire import framing
from server.wire.admission import Admission, AdmissionLimits
from server.wire.gate import Gate
from server.wire.health import Health
from server.wire.http2 import frames
from server.wire.http2.listener import http2_transport
from server.wire.messages import message_class
from server.wire.oip import Oip
from server.wire.transport_options import TransportOptions
from tests.fuzz.target import Target
from tests.server.wire.http2.talk import Socket
from tests.support.models import FakeModels
from tests.support.observers import Recorder

# What the first byte of an input says: is there no room for calls; are the bytes greeted already; how many
# pieces do they come in.
FULL, GREETED, PIECES = 0x1, 0x2, 0x3C
# Beside what a method may say of a mistake: there is no room, and whoever asked hangs up.
CODES = {
    *("OK", "INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED", "FAILED_PRECONDITION", "UNAVAILABLE"),
    *("RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "CANCELLED"),
}
TURNS = 8


class Server(logging.Handler):
    """A server whose connections are made by hand; what it logs as an error is a finding."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.errors = list[str]()

    def emit(self, record: logging.LogRecord) -> None:
        self.errors.append(record.getMessage() + str(record.exc_info and record.exc_info[1]))

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        logging.getLogger("unisono").addHandler(self)
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda _, context: self.errors.append(str(context)))
        return loop

    def read(self, data: bytes) -> str:
        """Have `data` come on a connection of its own, lost then; return OK if a call was answered."""
        codes = self._loop.run_until_complete(self._read(data))
        assert not self.errors, self.errors
        return "OK" if "OK" in codes else ""

    async def _read(self, data: bytes) -> set[str]:
        how = data[0] if data else 0
        told = Recorder()
        methods = Oip(FakeModels()).methods()
        gate = Gate(admission=Admission(AdmissionLimits(), None, lambda _: 9.0 if how & FULL else 0.0))
        transport = http2_transport(
            methods, Health(), observer=told, options=TransportOptions(max_message_bytes=2**16), gate=gate
        )
        connection, far = (await self._factory(transport))(), Socket()
        connection.connection_made(far)
        stream = (frames.PREFACE if how & GREETED else b"") + data[1:]
        size = len(stream) // (1 + ((how & PIECES) >> 2)) + 1
        for at in range(0, len(stream), size):
            if not far.closed:
                connection.data_received(stream[at : at + size])
            await _turn()
        connection.connection_lost(None)
        await _turn()
        await transport._host.close()  # noqa: SLF001 - not through `stop`, which waits for clients
        assert asyncio.all_tasks() == {asyncio.current_task()}
        codes = {arguments["code"] for name, _, arguments in told.calls if name == "handled"}
        assert codes <= CODES, codes
        _check_frames(bytes(far.written))
        return codes

    async def _factory(self, transport: Any) -> Callable[[], Any]:
        """Start, without a socket."""
        factories: list[Callable[[], Any]] = []
        named = SimpleNamespace(getsockname=lambda: ("", 0))

        async def create_server(factory: Callable[[], Any], *_: object, **__: object) -> Any:
            factories.append(factory)
            return SimpleNamespace(sockets=[named], close=lambda: None)

        self._loop.create_server = create_server  # type: ignore[method-assign,assignment]
        await transport.start()
        return factories[0]


async def _turn() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


def _check_frames(written: bytes) -> None:
    """Fail unless these are whole frames."""
    at = 0
    while at < len(written):
        at += frames.HEAD_BYTES + int.from_bytes(written[at : at + 3], "big")
    assert at == len(written), "the last frame is cut off"


def http2_target() -> Target:
    """Make the target: any bytes end a connection at most."""
    return Target("http2", Server().read, list(_connections()))


def _connections() -> Iterator[bytes]:
    """Calls as clients send them: at once, refused, in pieces, padded, with trailers, given up."""
    infer = message_class("inference.ModelInferRequest")
    tensor = infer.InferInputTensor(name="x", datatype="FP32", shape=[1, 4])
    message = framing.framed(
        infer(model_name="sums", inputs=[tensor], raw_input_contents=[bytes(16)]).SerializeToString()
    )
    encoder = Encoder()

    def head(number: int, name: str, flags: int = frames.END_HEADERS, *more: tuple[str, str]) -> bytes:
        path = f"/inference.GRPCInferenceService/{name}"
        pairs = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "here")]
        block = encoder.encode([*pairs, ("content-type", "application/grpc"), ("te", "trailers"), *more])
        return frames.frame(frames.HEADERS, flags, number, block)

    def body(number: int, flags: int = frames.END_STREAM, data: bytes = message) -> bytes:
        return frames.frame(frames.DATA, flags, number, data)

    ours = frames.settings({frames.INITIAL_WINDOW: 10, frames.FRAME_SIZE: 20_000})
    more = frames.window_update(0, 1000) + frames.frame(frames.PING, 0, 0, b"12345678")
    calls = head(1, "ModelInfer") + body(1) + head(3, "ServerLive", 5) + head(5, "ModelInfer") + body(5)
    for how in (GREETED, GREETED | FULL, GREETED | PIECES, GREETED | PIECES | FULL):
        encoder = Encoder()
        yield bytes([how]) + frames.settings({}) + calls
    encoder = Encoder()
    yield b"\0" + frames.PREFACE + ours + head(1, "ModelInfer") + body(1) + more + frames.window_update(1, 99)
    encoder = Encoder()
    stream = head(1, "ModelStreamInfer", 4, ("grpc-timeout", "1S")) + body(1, 0) * 2
    trailers = frames.frame(frames.HEADERS, 5, 1, encoder.encode([("a", "b")]))
    yield bytes([GREETED]) + frames.settings({}) + stream + trailers + frames.reset(1, frames.Code.NO_ERROR)
    encoder = Encoder()
    padded = body(1, frames.PADDED | frames.END_STREAM, b"\2" + message + b"--")
    yield bytes([GREETED]) + frames.settings({}) + head(1, "ModelInfer", 4, ("a-bin", "AA")) + padded
