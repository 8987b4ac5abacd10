"""Calls whose request isn't there as a whole: begun when it is, or when it takes too long."""

import asyncio
from collections.abc import Callable

import pytest

from server.wire.head import Head
from server.wire.http2 import frames, starts
from server.wire.http2.stream import CallStream
from tests.server.wire.http2.talk import Talk, settle

FULL = b"x" * frames.FRAME_BYTES


class Patient(Talk):
    """A talk with somebody who wants all of a request, and answers some calls without a task."""

    def __init__(self, *, narrow: bool = False) -> None:
        self.began: list[tuple[int, bytes]] = []
        super().__init__(narrow=narrow)

    def wants_all(self, _head: Head) -> bool:
        return True

    def shorten(self, stream: CallStream) -> None:
        self.began.append((stream.number, stream.body()))


@pytest.fixture(name="patience")
def fixture_patience(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    return lambda secs: monkeypatch.setattr(starts, "PATIENCE_SECS", secs)


async def test_a_call_begins_when_its_request_is_there_as_a_whole(patience: Callable[[float], None]) -> None:
    patience(3600)
    talk = Patient()
    talk.send(talk.head(1), talk.data(1, b"ab", ended=False))
    await settle()
    assert (talk.began, talk.calls) == ([], [])
    talk.send(talk.data(1, b"cd"))
    assert talk.began == [(1, b"abcd")]


async def test_one_that_comes_at_once_begins_at_once() -> None:
    talk = Patient()
    talk.send(talk.head(1), talk.data(1, b"ab"))
    assert talk.began == [(1, b"ab")]


async def test_an_end_by_trailers_is_one_too(patience: Callable[[float], None]) -> None:
    patience(3600)
    talk = Patient()
    talk.send(talk.head(1), talk.data(1, b"ab", ended=False))
    trailers = talk.encoder.encode([("x", "y")])
    talk.send(frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 1, trailers))
    assert talk.began == [(1, b"ab")]


async def test_a_request_that_takes_too_long_is_waited_for_by_a_task(
    patience: Callable[[float], None],
) -> None:
    patience(0.0)
    talk = Patient()
    talk.send(talk.head(1), talk.data(1, b"ab", ended=False))
    assert talk.calls == []
    while not talk.calls:
        await asyncio.sleep(0.001)
    talk.send(talk.data(1, b"cd"))
    assert (talk.began, [stream.number for stream in talk.calls]) == ([], [1])


class Clock:
    """A loop whose time the test tells, and whose timers the test runs."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, secs: float, callback: Callable[[], None]) -> str:
        self.timers.append((round(self.now + secs, 6), callback))
        return "a handle"


async def test_only_those_that_took_too_long_are_begun_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, talk = Clock(), Patient()
    monkeypatch.setattr(talk.starts, "_loop", clock)
    talk.send(talk.head(1))
    clock.now += 0.02
    talk.send(talk.head(3))
    assert [due for due, _ in clock.timers] == [100.03]
    clock.now = 100.0 + starts.PATIENCE_SECS - starts.EARLY_SECS / 2
    clock.timers.pop()[1]()
    await settle()
    assert [stream.number for stream in talk.calls] == [1]
    assert [due for due, _ in clock.timers] == [100.05]
    talk.send(talk.data(3, b""))
    clock.now = 100.05
    clock.timers.pop()[1]()
    assert (talk.began, clock.timers) == ([(3, b"")], [])


async def test_of_a_large_request_room_is_given_before_all_is_there(
    patience: Callable[[float], None],
) -> None:
    patience(3600)
    talk = Patient()
    talk.send(talk.head(1))
    for _ in range(starts.LARGE_BYTES // len(FULL)):
        talk.send(talk.data(1, FULL, ended=False))
    await settle()
    assert talk.calls == []
    talk.send(talk.data(1, b"x", ended=False))
    await settle()
    assert [stream.number for stream in talk.calls] == [1]


@pytest.mark.parametrize("lost", [False, True])
async def test_one_that_was_given_up_never_begins(lost: bool, patience: Callable[[float], None]) -> None:
    patience(0.0)
    talk = Patient()
    talk.send(talk.head(1), talk.data(1, FULL, ended=False))
    if lost:
        talk.connection.connection_lost(None)
    else:
        talk.send(frames.reset(1, frames.Code.NO_ERROR))
    await asyncio.sleep(0.01)
    assert (talk.began, talk.calls) == ([], [])
