"""Calls that are answered without a task end, and are counted, as those with one do."""

import asyncio
import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from ensemble.errors import OverloadedError
from ensemble.member import Rows
from ensemble.servable import Scored
from server.batching.batcher import Pending
from server.batching.promise import Promise
from server.wire.access import Tokens
from server.wire.admission import Admission, AdmissionLimits
from server.wire.framing import framed
from server.wire.gate import Gate
from server.wire.head import Head
from server.wire.health import Health
from server.wire.http2 import frames
from server.wire.http2.stream import CallStream
from server.wire.messages import message_class
from server.wire.oip import Oip
from server.wire.reloading import Reloaded
from server.wire.serving import ModelInfo
from server.wire.short_call import ShortCall
from server.wire.transport_asgi import AsgiTransport
from server.wire.transport_options import TransportOptions
from tests.server.wire.http2.talk import Talk, settle
from tests.server.wire.test_known_requests import sums_request
from tests.support.models import FakeModels, sums
from tests.support.observers import Recorder

REQUEST = framed(sums_request(1, 2, 3, 4))
RESPONSE = message_class("inference.ModelInferResponse")
Code = str


@dataclass
class Waiting(FakeModels):
    """Answers when the test says so."""

    asked: list[tuple[Promise, Rows]] = field(default_factory=list)
    withdrawn: int = 0
    stale: bool = False

    def begin(
        self,
        asked: tuple[str, str],  # noqa: ARG002 - as the others
        info: ModelInfo,  # noqa: ARG002
        rows: Rows,
        deadline: float,  # noqa: ARG002
        promise: Promise,
    ) -> Callable[[], None] | None:
        if self.stale:
            return None
        if self.failure is not None:
            raise self.failure
        self.asked.append((promise, rows))
        return self._withdraw

    def _withdraw(self) -> None:
        self.withdrawn += 1

    def answer(self) -> None:
        for promise, rows in self.asked:
            promise.set_result(Scored(sums(rows)))


class World:
    """A transport over models that wait, and one connection to it, without a socket."""

    tells_who_left = True

    def __init__(self, *, gate: Gate | None = None, **options: Any) -> None:
        self.models, self.told = Waiting(), Recorder()
        self.transport = AsgiTransport(
            *(Oip(self.models).methods(), Health()),
            host=self,
            observer=self.told,
            options=TransportOptions(**options),
            gate=gate,
        )
        self.talk = Talk(taker=self)

    def refuse(self, _head: Head) -> None:
        """Refuse nothing by its head alone: see test_refusals.py for that."""

    def wants_all(self, head: Head) -> bool:
        return self.transport.wants_all(head)

    def shorten(self, stream: CallStream) -> Any:
        return self.transport.shorten(stream)

    async def take(self, head: Head, stream: CallStream) -> None:
        await self.transport.take(head, stream.receive, stream.send)

    async def serve(self, transport: AsgiTransport) -> int:
        raise NotImplementedError

    async def farewell(self) -> None:
        """Nobody is told."""

    async def close(self) -> None:
        """Nothing is open."""

    def ask(self, number: int = 1, body: bytes = REQUEST, *more: tuple[str, str]) -> None:
        path = (":path", "/inference.GRPCInferenceService/ModelInfer")
        self.talk.send(self.talk.head(number, path, *more), self.talk.data(number, body))

    async def answered(self) -> tuple[Code, bytes]:
        """What came of the only call: its code, and its message."""
        await settle()
        came = self.talk.came()
        blocks = [payload for kind, _, _, payload in came if kind == frames.HEADERS]
        body = b"".join(payload for kind, _, _, payload in came if kind == frames.DATA)
        [code] = [block.split(b"grpc-status")[1][1:3].strip(b"\0").decode() for block in blocks[-1:]]
        return code, body[5:]

    def counted(self) -> list[tuple[str, str, str]]:
        """The code, model and version of each call that was counted."""
        handled = [given for name, _, given in self.told.calls if name == "handled"]
        return [(given["code"], given["model"], given["version"]) for given in handled]


async def test_a_call_that_is_there_as_a_whole_is_answered_without_a_task() -> None:
    world = World()
    world.ask()
    assert len(asyncio.all_tasks()) == 1
    assert world.transport.calls.running == 1
    world.models.answer()
    code, message = await world.answered()
    assert (code, world.counted(), world.transport.calls.running) == ("0", [("OK", "sums", "3")], 0)
    assert RESPONSE.FromString(message).model_name == "sums"


async def test_it_says_what_a_call_with_a_task_says() -> None:
    short, plain = World(), World()
    plain.models.stale = True
    for world in (short, plain):
        world.ask()
    assert len(asyncio.all_tasks()) == 2
    short.models.answer()
    assert await short.answered() == await plain.answered()
    assert short.counted() == plain.counted() == [("OK", "sums", "3")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        REQUEST[:-1],
        REQUEST + b"x",
        framed(sums_request(1, 2, 3, 4), "gzip"),
        framed(sums_request(1, 2, float("nan"), 4)),
        framed(sums_request(1, 2, 3, 4, id="7")),
        framed(bytes(4000)),
    ],
)
async def test_what_is_not_plain_is_left_to_a_task(body: bytes) -> None:
    world = World(max_message_bytes=3000)
    world.ask(1, body)
    assert not world.models.asked
    assert len(asyncio.all_tasks()) == 2
    assert len(await world.answered()) == 2
    assert len(world.counted()) == 1


@pytest.fixture(name="without_collector")
def fixture_without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def alive() -> int:
    return sum(isinstance(each, ShortCall | CallStream | Pending) for each in gc.get_objects())


@pytest.mark.parametrize("end", ["answer", "failure", "reset", "lost", "no room"])
@pytest.mark.usefixtures("without_collector")
async def test_nothing_of_it_stays_when_it_has_ended(end: str) -> None:
    before = alive()
    world = World(gate=Gate(admission=Admission(AdmissionLimits(calls=end != "no room"))))
    world.ask()
    if end == "answer":
        world.models.answer()
    elif end == "failure":
        world.models.asked[0][0].set_exception(OverloadedError("full"))
    elif end == "reset":
        world.talk.send(frames.reset(1, frames.Code.NO_ERROR))
    elif end == "lost":
        world.talk.connection.connection_lost(None)
    world.models.asked.clear()
    await settle()
    assert alive() == before


async def test_a_deadline_ends_it_and_takes_its_rows_out_of_the_queue() -> None:
    world = World()
    world.ask(1, REQUEST, ("grpc-timeout", "20m"))
    assert world.transport.calls.running == 1
    while world.transport.calls.running:
        await asyncio.sleep(0.005)
    assert (await world.answered())[0] == "4"
    assert (world.counted(), world.models.withdrawn) == ([("DEADLINE_EXCEEDED", "sums", "3")], 1)
    world.models.asked.clear()
    world.ask(3, REQUEST, ("grpc-timeout", "20 minutes"))
    assert (not world.models.asked, (await world.answered())[0]) == (True, "3")


async def test_a_caller_that_goes_is_counted_and_its_rows_leave_the_queue() -> None:
    world = World()
    world.ask(1)
    world.ask(3, REQUEST, ("grpc-timeout", "1m"))
    for number in (1, 3):
        world.talk.send(frames.reset(number, frames.Code.NO_ERROR))
    assert world.models.withdrawn == 2
    assert [code for code, *_ in world.counted()] == ["CANCELLED", "DEADLINE_EXCEEDED"]
    world.ask(5)
    [promise] = [promise for promise, _ in world.models.asked[2:]]
    world.talk.connection.connection_lost(None)
    assert (promise.done(), world.transport.calls.running, len(world.counted())) == (True, 0, 3)


async def test_it_finds_no_room_and_says_so() -> None:
    told = Recorder()
    world = World(gate=Gate(admission=Admission(AdmissionLimits(calls=1), told)))
    world.ask(1)
    world.ask(3)
    assert (await world.answered())[0] == "8"
    world.models.answer()
    assert (await world.answered())[0] == "0"
    assert told.of("refused") == [("calls",)]
    assert told.of("in_flight")[-1] == (0, 0)


async def test_what_goes_wrong_is_told() -> None:
    world = World()
    for number, (error, code) in enumerate([(OverloadedError("full"), "14"), (ValueError(), "13")]):
        world.models.failure = error
        world.ask(2 * number + 1)
        assert (await world.answered())[0] == code
    world.models.failure = None
    world.ask(5)
    world.ask(7)
    (first, _), (second, _) = world.models.asked
    first.set_exception(OverloadedError("full"))
    assert (await world.answered())[0] == "14"
    second.set_result(Scored(np.zeros((1, 2), complex)))  # which no client could be sent
    assert (await world.answered())[0] == "13"
    assert world.transport.calls.running == 0


async def test_an_answer_that_is_too_large_is_none() -> None:
    world = World(max_message_bytes=len(REQUEST) - 5)
    world.ask()
    promise, _ = world.models.asked[0]
    promise.set_result(Scored(sums({"x": world.models.asked[0][1]["x"].repeat(99, 0)})))
    assert (await world.answered())[0] == "8"


async def test_an_answer_waits_for_the_window() -> None:
    world = World()
    world.talk.send(frames.settings({frames.INITIAL_WINDOW: 10}))
    world.talk.came()
    world.ask()
    world.models.answer()
    await settle()
    world.talk.send(frames.window_update(1, 1000))
    code, message = await world.answered()
    assert code == "0"
    assert len(message) > 10


async def test_a_drain_refuses_it_and_waits_for_those_that_run() -> None:
    world = World()
    world.ask(1)
    world.transport.drain()
    stopping = asyncio.create_task(world.transport.stop(5))
    await settle()
    world.ask(3)
    assert len(world.models.asked) == 1
    world.models.answer()
    await stopping
    assert [code for code, *_ in world.counted()] == ["OK", "UNAVAILABLE"]


async def test_a_token_is_wanted_before_anything_is_read() -> None:
    tokens: Any = Reloaded("tokens", lambda: Tokens(b"", ()), Recorder())
    world = World(gate=Gate(tokens=tokens))
    world.ask()
    assert not world.models.asked
    assert (await world.answered())[0] == "16"
