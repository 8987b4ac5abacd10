import asyncio
from collections.abc import Mapping

import numpy as np
import pytest

from ensemble.errors import InvalidRequestError, ModelNotFoundError, UnavailableError
from ensemble.member import Member, Rows
from ensemble.servable import Scored, Servable
from server.batching.batch_queue import BatchLimits
from server.batching.batcher import Batcher
from server.lifecycle.manager import Loaded, Manager
from server.wire.served_models import ServedModels
from server.wire.serving import ModelInfo
from tests.support.members import Constant, SoftmaxLinear, servable
from tests.support.observers import Recorder

ROWS: Rows = {"x": np.array([[1, 2]], dtype=np.float32)}


def load(name: str, version: int, _: Mapping[str, Member]) -> Loaded:
    return Loaded(servable(Constant("a"), SoftmaxLinear("b"), name=name, version=version), {}, None)


async def run(model: Servable, rows: Rows, _count: int) -> Scored:
    by_member = {member.name: member.predict(rows) for member in model.voters}
    return Scored(model.score(rows), by_member)


class World:
    def __init__(self) -> None:
        self.manager = Manager(load, Recorder())
        self.batcher = Batcher(run, BatchLimits(max_batch_size=16), Recorder())
        self.models = ServedModels(self.manager, self.batcher, max_batch_size=16)


async def test_an_ensemble_and_its_members_are_models() -> None:
    world = World()
    await world.manager.take_up("digits", 3)
    assert world.models.names() == ["digits", "digits.a", "digits.b"]
    info = world.models.find("digits", "")
    assert (info.name, info.version, info.versions, info.platform) == ("digits", 3, (3,), "ensemble")
    assert info.max_batch_size == 16
    member = world.models.find("digits.a", "3")
    assert (member.platform, member.backend) == ("python", "python")
    assert [step.model for step in info.steps] == ["digits.a", "digits.b"]
    assert world.models.find("digits.a", "3").steps == ()


async def test_a_member_that_weighs_nothing_is_a_model_but_no_step() -> None:
    def silent(name: str, version: int, _: Mapping[str, Member]) -> Loaded:
        members = (Constant("a"), SoftmaxLinear("b"))
        return Loaded(servable(*members, weights={"a": 1.0, "b": 0.0}, name=name, version=version), {}, None)

    manager = Manager(silent, Recorder())
    models = ServedModels(manager, World().batcher, max_batch_size=16)
    await manager.take_up("digits", 3)

    assert [step.model for step in models.find("digits", "").steps] == ["digits.a"]
    assert models.find("digits.b", "").name == "digits.b"


async def test_what_is_not_served_is_said_in_the_words_that_clients_know() -> None:
    world = World()
    await world.manager.take_up("digits", 3)
    for name, version, error, said in (
        ("letters", "", ModelNotFoundError, "Request for unknown model: 'letters' is not found"),
        ("digits.c", "", ModelNotFoundError, "Request for unknown model: 'digits.c' is not found"),
        ("digits", "2", ModelNotFoundError, "Request for unknown model: 'digits' version 2 is not found"),
        ("digits", "two", InvalidRequestError, "failed to get model version from specified version"),
    ):
        with pytest.raises(error, match=said):
            world.models.find(name, version)


async def test_an_ensemble_whose_first_version_loads_is_known_but_not_ready() -> None:
    started, go_on = asyncio.Event(), asyncio.Event()
    world = World()
    loop = asyncio.get_running_loop()

    def slow(name: str, version: int, reuse: Mapping[str, Member]) -> Loaded:
        loop.call_soon_threadsafe(started.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(10)
        return load(name, version, reuse)

    world.manager = Manager(slow, Recorder())
    world.models = ServedModels(world.manager, world.batcher, max_batch_size=16)
    taking = asyncio.create_task(world.manager.take_up("digits", 1))
    await started.wait()
    with pytest.raises(UnavailableError, match="'digits' version 1 is not at ready state"):
        world.models.find("digits", "1")
    with pytest.raises(ModelNotFoundError, match="'digits' has no available versions"):
        world.models.find("digits", "")
    go_on.set()
    await taking
    assert world.models.find("digits", "1").version == 1


async def test_an_answer_comes_from_the_version_that_the_rows_were_read_for() -> None:
    world = World()
    await world.manager.take_up("digits", 1)
    serving = asyncio.create_task(world.batcher.serve())
    seen: list[ModelInfo] = []

    def decode(info: ModelInfo) -> Rows:
        seen.append(info)
        return ROWS

    deadline = asyncio.get_running_loop().time() + 5
    asked = asyncio.create_task(world.models.infer("digits", "", decode, deadline))
    await asyncio.sleep(0)
    await world.manager.take_up("digits", 2)
    first = await asked
    alone = await world.models.infer("digits.b", "", decode, deadline, members=True)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)

    assert [info.version for info in seen] == [1, 2]
    assert (first.version, alone.version) == (1, 2)
    np.testing.assert_array_equal(first.scores, load("digits", 1, {}).servable.score(ROWS))
    np.testing.assert_array_equal(alone.scores, SoftmaxLinear("b").predict(ROWS))
    assert (dict(first.by_member), list(alone.by_member), alone.weights) == ({}, ["b"], {"b": 1.0})


async def test_ready_means_that_everything_wanted_is_served_and_no_drain_has_begun() -> None:
    world = World()
    assert not world.models.ready()
    world.models.want(frozenset({"digits"}))
    assert not world.models.ready()
    await world.manager.take_up("digits", 1)
    assert world.models.ready()
    world.models.want(frozenset({"digits", "letters"}))
    assert not world.models.ready()
    world.models.want(frozenset({"digits"}))
    world.manager.drop("digits")
    assert not world.models.ready()
    await world.manager.take_up("digits", 1)
    world.models.want(frozenset({"digits", "letters"}))
    world.manager.drop("letters")
    assert world.models.ready()
    world.models.drain()
    assert not world.models.ready()


async def test_a_server_of_an_empty_store_is_ready_once_something_is_published() -> None:
    world = World()
    world.models.want(frozenset())
    assert not world.models.ready()
    await world.manager.take_up("digits", 1)
    assert world.models.ready()


async def test_versions_side_by_side_are_found_by_their_numbers() -> None:
    def growing(name: str, version: int, _: Mapping[str, Member]) -> Loaded:
        members = (Constant("a"), SoftmaxLinear("b"))[:version]
        return Loaded(servable(*members, name=name, version=version), {}, None)

    manager = Manager(growing, Recorder())
    models = ServedModels(manager, World().batcher, max_batch_size=16)
    await manager.take_up("digits", 2, (1, 2))
    await manager.take_up("digits", 1, (1, 2))

    assert models.names() == ["digits", "digits.a", "digits.b"]
    assert [models.find("digits", text).version for text in ("", "1", "2")] == [1, 1, 2]
    assert models.find("digits", "").versions == (1, 2)
    # A member that the version which answers lacks is found in the one that has it.
    assert (models.find("digits.b", "").version, models.find("digits.b", "").versions) == (2, (2,))
    with pytest.raises(ModelNotFoundError, match=r"'digits\.b' version 1 is not found"):
        models.find("digits.b", "1")
