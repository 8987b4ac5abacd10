import asyncio
from collections.abc import Mapping

import pytest

from ensemble.errors import ModelNotFoundError
from ensemble.member import Member
from server.lifecycle.manager import Loaded, Manager
from server.lifecycle.repository import IndexEntry, Repository
from server.lifecycle.retrying import RetryOptions
from server.lifecycle.watcher import Watcher, WatchOptions
from tests.support.members import Constant, servable
from tests.support.observers import Recorder


class World:
    """`digits` is published in version 2, and `letters`, which can't be loaded, in version 1."""

    def __init__(self) -> None:
        self.published = {"digits": 2, "letters": 1}
        self.beside: tuple[int, ...] = ()
        self.broken = {"letters"}
        self.told = Recorder()
        self.manager = Manager(self.load, self.told)
        options = WatchOptions(retry=RetryOptions(1000, 1000))
        self.watcher = Watcher(self.wanted, self.manager, Recorder(), options)
        self.repository = Repository(self.manager, self.watcher)

    def wanted(self) -> dict[str, tuple[int, ...]]:
        return {name: (version, *self.beside) for name, version in self.published.items()}

    def load(self, name: str, version: int, _: Mapping[str, Member]) -> Loaded:
        if name in self.broken:
            raise ValueError(f"{name} is broken")
        return Loaded(servable(Constant("a"), name=name, version=version), {}, None)


async def test_the_index_says_what_is_served_and_why_the_rest_is_not() -> None:
    world = World()
    await world.watcher.look()
    await world.repository.unload("digits")

    assert await world.repository.index() == [
        IndexEntry("digits", 2, "UNAVAILABLE", "unloaded"),
        IndexEntry("letters", 1, "UNAVAILABLE", "not loaded; the server's log says why"),
    ]
    await world.repository.load("digits")
    world.published["digits"] = 3
    assert await world.repository.index() == [
        IndexEntry("digits", 2, "READY"),
        IndexEntry("digits.a", 2, "READY"),
        IndexEntry("digits", 3, "UNAVAILABLE", "not loaded; the server's log says why"),
        IndexEntry("letters", 1, "UNAVAILABLE", "not loaded; the server's log says why"),
    ]


async def test_what_is_unloaded_stays_so_until_it_is_loaded() -> None:
    world = World()
    await world.watcher.look()
    await world.repository.unload("digits")
    world.published["digits"] = 3
    await world.watcher.look()
    assert world.manager.served == {}
    assert list(world.manager.dropped) == ["digits"]
    assert world.told.of("dropped") == [("digits",)]

    await world.repository.load("digits")
    assert world.manager.served["digits"].servable.version == 3
    assert list(world.manager.dropped) == []
    world.published["digits"] = 4
    await world.watcher.look()
    assert world.manager.served["digits"].servable.version == 4


async def test_loading_what_is_served_does_nothing_and_unloading_twice_neither() -> None:
    world = World()
    await world.watcher.look()
    served = world.manager.served["digits"]
    await world.repository.load("digits")
    assert world.manager.served["digits"] is served
    await world.repository.unload("digits")
    await world.repository.unload("digits")
    assert world.told.of("dropped") == [("digits",)]


async def test_a_load_tries_at_once_what_the_watcher_would_leave_alone_and_says_what_is_wrong() -> None:
    world = World()
    await world.watcher.look()
    with pytest.raises(ValueError, match="letters is broken"):
        await world.repository.load("letters")
    world.broken.clear()
    await world.repository.load("letters")
    assert world.manager.served["letters"].servable.version == 1


async def test_what_is_being_loaded_is_listed_so() -> None:
    world, seen = World(), []
    loop = asyncio.get_running_loop()
    load = world.load

    def slow(name: str, version: int, reuse: Mapping[str, Member]) -> Loaded:
        seen.extend(asyncio.run_coroutine_threadsafe(world.repository.index(), loop).result(10))
        return load(name, version, reuse)

    world.manager = Manager(slow, world.told)
    world.watcher = Watcher(lambda: {"digits": (2,)}, world.manager, Recorder(), WatchOptions())
    world.repository = Repository(world.manager, world.watcher)
    await world.watcher.look()

    assert seen == [IndexEntry("digits", 2, "LOADING", "being loaded")]


async def test_only_what_is_published_can_be_loaded_and_unloaded() -> None:
    world = World()
    with pytest.raises(
        ModelNotFoundError, match=r"^failed to load 'x', failed to poll from model repository"
    ):
        await world.repository.load("x")
    with pytest.raises(ModelNotFoundError, match=r"^failed to unload 'x', it is not in the model repository"):
        await world.repository.unload("x")


async def test_every_version_that_is_served_is_listed_with_its_members() -> None:
    world = World()
    world.beside = (1,)
    world.broken.clear()
    world.published = {"digits": 2}
    await world.watcher.look()

    assert await world.repository.index() == [
        IndexEntry("digits", 1, "READY"),
        IndexEntry("digits.a", 1, "READY"),
        IndexEntry("digits", 2, "READY"),
        IndexEntry("digits.a", 2, "READY"),
    ]
