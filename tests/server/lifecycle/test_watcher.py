import asyncio
import logging
from collections.abc import Mapping

import pytest

from server.lifecycle.watcher import Watcher, WatchOptions
from tests.support.observers import Recorder


class World:
    """A store whose current versions the test sets, and a server that takes them up or fails to."""

    def __init__(self) -> None:
        self.current: dict[str, int | Exception] | Exception = {"digits": 1}
        self.broken: set[int] = set()
        self.tries: list[tuple[str, int]] = []
        self.told = Recorder()

    def read(self) -> Mapping[str, int | Exception]:
        if isinstance(self.current, Exception):
            raise self.current
        return self.current

    async def take_up(self, name: str, version: int) -> None:
        self.tries.append((name, version))
        if version in self.broken:
            raise ValueError(f"version {version} is broken")

    def watcher(self, first_retry: float = 1000.0, last_retry: float = 1000.0) -> Watcher:
        options = WatchOptions(poll_interval=0.001, first_retry=first_retry, last_retry=last_retry)
        return Watcher(self.read, self.take_up, self.told, options)


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
    world.broken = {1}
    await watcher.look()
    await watcher.look()
    assert world.tries == [("digits", 1)]
    world.current = {"digits": 2}
    await watcher.look()
    assert world.tries == [("digits", 1), ("digits", 2)]


async def test_a_broken_version_is_tried_again_when_its_rest_is_over() -> None:
    world = World()
    watcher = world.watcher(first_retry=0.0, last_retry=0.0)
    world.broken = {1}
    await watcher.look()
    world.broken = set()
    await watcher.look()
    await watcher.look()
    assert world.tries == [("digits", 1), ("digits", 1)]


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


async def test_watching_goes_on_until_cancelled() -> None:
    world = World()
    seen = asyncio.Event()
    real = world.take_up

    async def take_up(name: str, version: int) -> None:
        await real(name, version)
        if version == 2:
            seen.set()
        world.current = {"digits": 2}

    watcher = Watcher(world.read, take_up, world.told, WatchOptions(poll_interval=0.001))
    task = asyncio.create_task(watcher.watch())
    async with asyncio.timeout(5):
        await seen.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert world.tries == [("digits", 1), ("digits", 2)]
