import asyncio
import logging
from collections.abc import Mapping, Sequence

import pytest

from model_store.errors import StoreCorruptError
from server.lifecycle.retrying import RetryOptions
from server.lifecycle.watcher import Watcher, WatchOptions
from tests.support.observers import Recorder


class World:
    """A store whose wanted versions the test sets, and a server that takes them up or fails to."""

    def __init__(self) -> None:
        self.current: dict[str, int | Sequence[int] | Exception] | Exception = {"digits": 1}
        self.broken: dict[int, Exception] = {}
        self.tries: list[tuple[str, int]] = []
        self.served: dict[str, list[int]] = {}
        self.lacks: dict[int, set[str]] = {}
        self.told = Recorder()

    def read(self) -> Mapping[str, Sequence[int] | Exception]:
        if isinstance(self.current, Exception):
            raise self.current
        return {
            name: (wanted,) if isinstance(wanted, int) else wanted for name, wanted in self.current.items()
        }

    def versions(self, name: str) -> Sequence[int]:
        return self.served.get(name, [])

    def absent(self, name: str, version: int) -> set[str]:  # noqa: ARG002 - one ensemble's here
        return self.lacks.get(version, set())

    async def take_up(self, name: str, version: int, wanted: Sequence[int]) -> None:
        self.tries.append((name, version))
        if version in self.broken:
            raise self.broken[version]
        self.served.setdefault(name, []).append(version)
        self.settle(name, wanted)

    def settle(self, name: str, wanted: Sequence[int]) -> None:
        kept = [version for version in wanted if version in self.served.get(name, [])]
        if kept:
            self.served[name] = kept

    def watcher(self, first: float = 1000.0, last: float = 1000.0) -> Watcher:
        return Watcher(self.read, self, self.told, WatchOptions(0.001, RetryOptions(first, last)))


BROKEN = ValueError("it is broken")


async def test_what_is_new_is_taken_up_once() -> None:
    world = World()
    watcher = world.watcher()
    await watcher.look()
    await watcher.look()
    world.current = {"digits": 2, "letters": 5}
    await watcher.look()
    assert world.tries == [("digits", 1), ("digits", 2), ("letters", 5)]


async def test_a_rollback_is_taken_up_like_any_other_change() -> None:
    world = World()
    watcher = world.watcher()
    for version in (2, 1):
        world.current = {"digits": version}
        await watcher.look()
    assert world.tries == [("digits", 2), ("digits", 1)]


async def test_a_broken_version_is_left_alone_until_its_retry_and_a_newer_one_is_not() -> None:
    world = World()
    watcher = world.watcher()
    world.broken = {1: BROKEN}
    await watcher.look()
    await watcher.look()
    assert world.tries == [("digits", 1)]
    world.current = {"digits": 2}
    await watcher.look()
    assert world.tries == [("digits", 1), ("digits", 2)]


async def test_a_broken_version_is_tried_again_when_its_rest_is_over() -> None:
    world = World()
    watcher = world.watcher(first=0.0, last=0.0)
    world.broken = {1: BROKEN}
    await watcher.look()
    world.broken = {}
    await watcher.look()
    await watcher.look()
    assert world.tries == [("digits", 1), ("digits", 1)]


async def test_a_version_served_without_a_member_is_tried_again_ever_more_seldom_until_it_is_whole(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.lacks = {1: {"forest"}}
    watcher = world.watcher(first=0.0, last=0.0)
    with caplog.at_level(logging.WARNING, "unisono"):
        for _ in range(5):
            await watcher.look()
    # More often than what lies in the bytes of a version that isn't served at all.
    assert world.tries == [("digits", 1)] * 5
    assert caplog.messages[0] == "digits version 1 is served without forest; trying again in 0 s"
    world.lacks = {}
    await watcher.look()
    assert len(world.tries) == 5


async def test_a_member_that_is_missing_rests_between_tries_and_not_when_somebody_loads_the_ensemble() -> (
    None
):
    world = World()
    world.lacks = {1: {"forest"}}
    watcher = world.watcher()
    await watcher.look()
    await watcher.look()
    assert world.tries == [("digits", 1)]
    await watcher.load("digits")
    assert world.tries == [("digits", 1)] * 2


async def test_a_store_that_cannot_be_read_is_counted_and_looked_at_again() -> None:
    world = World()
    watcher = world.watcher()
    world.current = OSError("the disk is gone")
    await watcher.look()
    assert world.told.of("store_failed") == [()]
    world.current = {"digits": 1}
    await watcher.look()
    assert world.tries == [("digits", 1)]


async def test_an_ensemble_that_cannot_be_read_is_logged_once_and_holds_up_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    watcher = world.watcher()
    world.current = {"broken": OSError("a page is missing"), "digits": 1}
    with caplog.at_level(logging.ERROR, "unisono"):
        await watcher.look()
        await watcher.look()
    assert world.tries == [("digits", 1)]
    assert world.told.of("store_failed") == [(), ()]
    assert caplog.messages == ["could not read broken; what is served stays served: a page is missing"]
    world.current = {"broken": 4, "digits": 1}
    await watcher.look()
    assert world.tries == [("digits", 1), ("broken", 4)]


async def test_an_ensemble_that_vanishes_stays_served_and_counts_as_a_store_that_cannot_be_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    watcher = world.watcher()
    await watcher.look()
    assert world.told.of("store_read") == [()]
    world.current = {}
    with caplog.at_level(logging.ERROR, "unisono"):
        await watcher.look()
        await watcher.look()
    assert world.served == {"digits": [1]}
    assert (len(world.told.of("store_read")), len(world.told.of("store_failed"))) == (1, 2)
    reason = "it was in the store and isn't there now; is the store mounted?"
    assert caplog.messages == [f"could not read digits; what is served stays served: {reason}"]
    world.current = {"digits": 1}
    await watcher.look()
    assert len(world.told.of("store_read")) == 2


async def test_several_versions_are_taken_up_side_by_side_and_go_when_they_are_wanted_no_more() -> None:
    world = World()
    watcher = world.watcher()
    world.current = {"digits": (3, 2)}
    await watcher.look()
    world.current = {"digits": (2, 3)}
    await watcher.look()
    assert world.served == {"digits": [2, 3]}
    world.current = {"digits": (4,)}
    await watcher.look()
    assert world.served == {"digits": [4]}
    assert world.tries == [("digits", 3), ("digits", 2), ("digits", 4)]


async def test_a_broken_version_holds_up_none_beside_it() -> None:
    world = World()
    watcher = world.watcher()
    world.broken = {3: BROKEN}
    world.current = {"digits": (3, 2)}
    await watcher.look()
    assert world.served == {"digits": [2]}


async def test_wrong_bytes_are_tried_a_few_times_and_then_left_until_somebody_asks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    watcher = world.watcher(first=0.0, last=0.0)
    world.broken = {1: StoreCorruptError("the sha256 is another")}
    with caplog.at_level(logging.ERROR, "unisono"):
        for _ in range(6):
            await watcher.look()
    assert world.tries == [("digits", 1)] * 3
    assert [message.rsplit("; ", 1)[1] for message in caplog.messages] == [
        "trying again in 0 s",
        "trying again in 0 s",
        "not trying again until it is loaded by hand or another is published",
    ]
    assert caplog.messages[0].startswith("could not load digits version 1 (digest); version none stays")

    world.broken = {}
    await watcher.load("digits")
    assert world.served == {"digits": [1]}


async def test_a_version_that_is_wanted_anew_is_tried_anew() -> None:
    world = World()
    watcher = world.watcher()
    world.broken = {2: BROKEN}
    for current in (2, 2, 1, 2):
        world.current = {"digits": current}
        await watcher.look()
    assert world.tries == [("digits", 2), ("digits", 1), ("digits", 2)]


async def test_a_look_at_the_whole_store_is_told_of() -> None:
    world = World()
    watcher = world.watcher()
    await watcher.look()
    assert world.told.of("store_read") == [()]
    world.current = {"digits": 1, "letters": OSError("a page is missing")}
    await watcher.look()
    assert world.told.of("store_read") == [()]


async def test_a_nudge_makes_the_next_look_come_at_once() -> None:
    world = World()
    options = WatchOptions(poll_interval=3600.0)
    watcher = Watcher(world.read, world, world.told, options)
    task = asyncio.create_task(watcher.watch())
    await asyncio.sleep(0)
    watcher.nudge()
    async with asyncio.timeout(5):
        while not world.tries:
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert world.tries == [("digits", 1)]


async def test_watching_goes_on_until_cancelled() -> None:
    world = World()
    task = asyncio.create_task(world.watcher().watch())
    async with asyncio.timeout(5):
        while world.tries != [("digits", 1)]:
            await asyncio.sleep(0)
        world.current = {"digits": 2}
        while world.tries != [("digits", 1), ("digits", 2)]:
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert world.served == {"digits": [2]}
