"""Whole conversations with our own HTTP/2, by scripts that mostly keep the rules, and what comes of it."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hpack import Decoder

from server.wire.admission import Admission, AdmissionLimits
from server.wire.call import Call
from server.wire.gate import Gate
from server.wire.health import Health
from server.wire.http2 import frames
from server.wire.http2.line import CONNECTION_WINDOW_BYTES
from server.wire.http2.listener import http2_transport
from server.wire.messages import message_class
from server.wire.method import Method
from server.wire.oip import Oip
from server.wire.transport_options import TransportOptions
from tests.fuzz.http2_script import Choices, Script
from tests.fuzz.http2_target import CODES, Server
from tests.fuzz.target import Target
from tests.server.wire.http2.talk import Socket
from tests.support.models import FakeModels
from tests.support.observers import Recorder

# What the first byte says: is there no room for calls; is anything sent at all.
FULL, BREAKS_RULES = 1, 2
MOST_STREAMS, MOST_STEPS = 8, 300
# Turns of the loop in which all that was asked is answered: nothing waits for the clock.
LAST_TURNS = 400
# What may be written for a byte that came, beside DATA and what every connection is told.
MOST_WRITTEN = 40
MUCH_BYTES = 40_000
NAMED = message_class("inference.ServerMetadataResponse")


async def much(_request: Any, _call: Call) -> Any:
    return NAMED(name="x" * MUCH_BYTES)


MUCH = Method("test.Service", "Much", message_class("inference.ModelReadyRequest"), NAMED, much)


@dataclass
class Heard:
    """What came of one call."""

    blocks: int = 0
    ended: bool = False
    reset: int | None = None


@dataclass
class Ears:
    """A client's ears: what comes must be HTTP/2."""

    streams: dict[int, Heard] = field(default_factory=dict)
    goaway: int | None = None
    data: int = 0
    _decoder: Decoder = field(default_factory=Decoder)

    def hear(self, written: bytes, script: Script) -> None:
        at = 0
        while at < len(written):
            end = at + frames.HEAD_BYTES + int.from_bytes(written[at : at + 3], "big")
            assert end <= len(written), "the last frame is cut off"
            kind, flags, number = (
                written[at + 3],
                written[at + 4],
                int.from_bytes(written[at + 5 : at + 9], "big"),
            )
            self._frame(kind, flags, number, written[at + frames.HEAD_BYTES : end])
            at = end
        if script.lawful:
            assert set(self.streams) <= set(script.calls)
            assert self.goaway in {None, frames.Code.NO_ERROR}, self.goaway

    def _frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind in (frames.DATA, frames.HEADERS, frames.RST_STREAM):
            self._of_call(kind, flags, self.streams.setdefault(number, Heard()), payload)
        elif kind == frames.GOAWAY:
            assert self.goaway in {None, frames.Code.NO_ERROR}, "two errors"
            self.goaway = int.from_bytes(payload[4:8], "big")
        else:
            assert kind in (frames.SETTINGS, frames.PING, frames.WINDOW_UPDATE), kind

    def _of_call(self, kind: int, flags: int, heard: Heard, payload: bytes) -> None:
        assert heard.reset is None, "a stream goes on after its reset"
        if kind == frames.RST_STREAM:
            heard.reset = int.from_bytes(payload, "big")
            return
        assert not heard.ended, "a stream goes on after its end"
        heard.ended = bool(flags & frames.END_STREAM)
        if kind == frames.DATA:
            assert heard.blocks == 1, "DATA without headers"
            self.data += len(payload)
            return
        names = {str(name) for name, _ in self._decoder.decode(payload)}
        heard.blocks += 1
        assert (":status" in names) == (heard.blocks == 1)
        assert ("grpc-status" in names) == heard.ended


class Conversations(Server):
    """A server that scripts talk to."""

    async def _read(self, data: bytes) -> set[str]:
        how = data[0] if data else 0
        script, told, ears = Script(Choices(data[1:]), bool(how & BREAKS_RULES)), Recorder(), Ears()
        expected = 9.0 if how & FULL else 0.0
        gate = Gate(admission=Admission(AdmissionLimits(), None, lambda _: expected))
        transport: Any = http2_transport(
            *([*Oip(FakeModels()).methods(), MUCH], Health()),
            observer=told,
            options=TransportOptions(max_message_bytes=2**16, max_concurrent_streams=MOST_STREAMS),
            gate=gate,
        )
        connection, far = (await self._factory(transport))(), Socket()
        connection.connection_made(far)
        talk = Talk(script, ears, connection, far, transport._host)  # noqa: SLF001
        await talk.run()
        connection.connection_lost(None)
        for _ in range(4):
            await asyncio.sleep(0)
        await transport._host.close()  # noqa: SLF001
        assert asyncio.all_tasks() == {asyncio.current_task()}
        codes = {arguments["code"] for name, _, arguments in told.calls if name == "handled"}
        assert codes <= CODES, codes
        return codes


@dataclass
class Talk:
    """One conversation."""

    script: Script
    ears: Ears
    connection: Any
    far: Socket
    host: Any
    _waiting: bytes = frames.PREFACE + frames.settings({})
    _sent: int = 0
    _heard: int = 0
    _narrow: bool = False

    async def run(self) -> None:
        """Have the script speak, in pieces, and listen; at its end all must be answered."""
        choices = self.script.choices
        events: list[Callable[[], object]] = [self._pause, self._resume, self._turn, self._speak]
        for _ in range(MOST_STEPS):
            if not choices.left:
                break
            self._waiting += self.script.step()
            what = choices.number(15)
            if what < len(events):
                events[what]()
                await self._listen(1 + choices.number(5))
        self._resume()
        self._narrow = True
        self._turn()
        self._waiting += self.script.rest()
        while self._waiting and not self.far.closed:
            self._speak()
            await self._listen(1)
        for _ in range(LAST_TURNS):
            if self.connection._streams:  # noqa: SLF001
                await self._listen(1)
        await self._listen(2)
        if not self.far.closed:
            self._check_end()

    def _speak(self) -> None:
        """Have what is waiting come, whole or in part."""
        if self.far.closed:
            return
        if self.far.reading:
            part = self.script.choices.of((1.0, 1.0, 0.5, 0.1)) if self.script.choices.left else 1.0
            size = max(1, int(len(self._waiting) * part))
            data, self._waiting = self._waiting[:size], self._waiting[size:]
            self._sent += len(data)
            self.connection.data_received(data)

    def _pause(self) -> None:
        if not self.far.closed:
            self.connection.pause_writing()

    def _resume(self) -> None:
        if not self.far.closed:
            self.connection.resume_writing()

    def _turn(self) -> None:
        """Have a crowd come or go."""
        self._narrow = not self._narrow
        self.host._crowd._crowding.narrow = self._narrow  # noqa: SLF001
        self.host._crowd._wake()  # noqa: SLF001
        if not self.far.closed:
            self.host._turn()  # noqa: SLF001

    async def _listen(self, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        written = bytes(self.far.written)
        self.far.written.clear()
        self._heard += len(written)
        self.ears.hear(written, self.script)
        assert len(self.connection._streams) <= MOST_STREAMS  # noqa: SLF001
        beside = self._heard - self.ears.data
        assert beside <= 2000 + MOST_WRITTEN * self._sent, "far more is written than came"

    def _check_end(self) -> None:
        line = self.connection._line  # noqa: SLF001
        if self.script.lawful:
            for number, call in self.script.calls.items():
                heard = self.ears.streams.get(number, Heard())
                assert call.given_up or heard.ended or heard.reset is not None, f"call {number} got no answer"
                assert not call.malformed or call.given_up or heard.reset is not None
            assert not self.connection._streams  # noqa: SLF001
            # What came is room again.
            assert line._room + line._owed == CONNECTION_WINDOW_BYTES  # noqa: SLF001
            assert self.ears.data <= 2**24 + 65_535 + self.script.granted


def http2_script_target() -> Target:
    """Make the target: conversations that mostly keep the rules."""
    return Target("http2_script", Conversations().read, list(_seeds()))


def _seeds() -> Iterator[bytes]:
    """Scripts of some forty steps, from different beginnings."""
    for first in range(13):
        yield bytes([first % 4, *[0] * 9, 3, 0, *((first * step) % 251 for step in range(120))])
