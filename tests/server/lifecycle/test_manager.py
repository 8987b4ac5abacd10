import asyncio
import gc
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from ensemble.errors import MemberError
from ensemble.member import Member, Rows, Scores, row_count
from ensemble.signature import Signature, TensorSpec
from server.lifecycle.manager import Loaded, Manager, rows_of_zeros
from tests.support.members import Constant, Failing, SoftmaxLinear, servable, signature_of
from tests.support.observers import Recorder


@dataclass
class Counting:
    """Remembers how many rows it was asked for."""

    asked: list[int] = field(default_factory=list)
    name: str = "counting"
    digest: str = "c"
    signature: Signature = field(default_factory=signature_of)
    runtime: str = "python"

    def predict(self, rows: Rows) -> Scores:
        self.asked.append(row_count(rows))
        return Constant("inner").predict(rows)


class Store:
    """Loads `digits` with members `a` and, from version 2 on, `b`; remembers what was used again."""

    def __init__(self) -> None:
        self.reused: list[set[str]] = []
        self.broken = False
        self.lacks: frozenset[str] = frozenset()

    def load(self, name: str, version: int, reuse: Mapping[str, Member]) -> Loaded:
        self.reused.append({member.name for member in reuse.values()})
        if self.broken:
            raise OSError("the disk is gone")
        members = (Constant("a"), SoftmaxLinear("b"))[: min(version, 2)]
        loaded = replace(servable(*members, name=name, version=version), absent=self.lacks)
        return Loaded(loaded, {member.name: 0.5 for member in members}, 0.25)


async def test_a_version_that_is_taken_up_is_served_and_told_of() -> None:
    store, told = Store(), Recorder()
    manager = Manager(store.load, told)
    assert manager.served == {}
    await manager.take_up("digits", 2)
    served = manager.served["digits"]
    assert (served.servable.name, served.servable.version) == ("digits", 2)
    [(_, args, kwargs)] = [call for call in told.calls if call[0] == "swapped"]
    assert args == ("digits", 2)
    expected = {"weights": {"a": 0.5, "b": 0.5}, "losses": {"a": 0.5, "b": 0.5}, "loss": 0.25}
    assert kwargs == expected | {"refit": None}
    [(name, seconds)] = told.of("loaded")
    assert name == "digits"
    assert seconds > 0


async def test_a_member_that_is_still_missing_changes_nothing_and_one_that_came_back_is_served() -> None:
    store, told = Store(), Recorder()
    store.lacks = frozenset({"b"})
    manager = Manager(store.load, told)
    await manager.take_up("digits", 2)
    before = manager.served["digits"].servable
    assert manager.absent("digits", 2) == {"b"}
    await manager.take_up("digits", 2)
    assert manager.served["digits"].servable is before
    assert told.of("load_failed") == [("digits", "absent")]
    store.lacks = frozenset()
    await manager.take_up("digits", 2)
    assert manager.absent("digits", 2) == frozenset()
    assert manager.absent("digits", 7) == manager.absent("letters", 1) == frozenset()
    # What was loaded isn't loaded again; what was missing is.
    assert store.reused == [set(), {"a"}, {"a"}]


async def test_members_already_in_memory_are_used_again() -> None:
    store = Store()
    manager = Manager(store.load, Recorder())
    await manager.take_up("digits", 1)
    await manager.take_up("digits", 2)
    assert store.reused == [set(), {"a"}]


async def test_a_version_that_fails_to_load_leaves_the_one_before_served() -> None:
    store, told = Store(), Recorder()
    manager = Manager(store.load, told)
    await manager.take_up("digits", 1)
    store.broken = True
    with pytest.raises(OSError, match="the disk is gone"):
        await manager.take_up("digits", 2)
    assert manager.served["digits"].servable.version == 1
    assert told.of("load_failed") == [("digits", "other")]


async def test_a_version_whose_warm_up_fails_is_not_served() -> None:
    def load(_: str, __: int, ___: Mapping[str, Member]) -> Loaded:
        return Loaded(servable(Failing("a")), {}, None)

    manager = Manager(load, Recorder())
    with pytest.raises(RuntimeError, match="the device is gone"):
        await manager.take_up("digits", 1)
    assert manager.served == {}


async def test_each_member_is_a_model_of_its_own_with_its_own_scores() -> None:
    manager = Manager(Store().load, Recorder())
    await manager.take_up("digits", 2)
    alone = manager.served["digits"].members["b"]
    rows = {"x": np.array([[1, 2]], dtype=np.float32)}
    assert alone.name == "digits.b"
    np.testing.assert_array_equal(alone.score(rows), SoftmaxLinear("b").predict(rows))


@pytest.mark.parametrize(
    ("most", "allowed", "expected"),
    [(0, (), (1,)), (1, (), (1,)), (64, (), (1, 64)), (16, (1, 4, 16), (1, 4, 16))],
)
async def test_batches_of_every_allowed_size_or_of_the_ends_are_run_before_a_version_is_served(
    most: int, allowed: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    counting = Counting()
    loaded = replace(servable(counting), max_batch_size=most, batch_sizes=allowed)

    await Manager(lambda *_: Loaded(loaded, {}, None), Recorder()).take_up("digits", 1)

    assert tuple(counting.asked) == expected


async def test_members_that_fail_together_at_warm_up_are_served_one_after_another() -> None:
    class Short:
        names = frozenset({"a"})

        def predict(self, rows: Rows) -> Mapping[str, Scores]:
            raise MemberError(f"no memory for {len(rows)} rows")

    short = replace(servable(SoftmaxLinear("a")), together=Short())
    manager = Manager(lambda *_: Loaded(short, {}, None), Recorder())
    await manager.take_up("digits", 1)
    assert manager.served["digits"].servable is short


def test_warm_up_rows_fit_the_signature() -> None:
    signature = signature_of(TensorSpec("image", "uint8", (-1, 4)), TensorSpec("text", "bytes", ()))
    rows = rows_of_zeros(signature, 3)
    assert {name: (array.shape, array.dtype) for name, array in rows.items()} == {
        "image": ((3, 1, 4), np.dtype("uint8")),
        "text": ((3,), np.dtype(object)),
    }


async def test_versions_are_served_side_by_side_and_the_first_that_is_wanted_answers() -> None:
    store, told = Store(), Recorder()
    manager = Manager(store.load, told)
    await manager.take_up("digits", 2, (2, 1))
    await manager.take_up("digits", 1, (2, 1))
    assert (manager.versions("digits"), manager.versions("letters")) == ((2, 1), ())
    assert sorted(manager.served["digits"].versions) == [1, 2]
    manager.settle("digits", (1, 2))
    manager.settle("digits", (1, 2))
    assert manager.served["digits"].servable.version == 1
    assert [args[1] for args in told.of("swapped")] == [2, 1]
    assert told.of("serving") == [("digits", frozenset({2})), ("digits", frozenset({1, 2}))]
    manager.settle("letters", (1,))
    assert list(manager.served) == ["digits"]


async def test_until_the_version_that_is_to_answer_is_loaded_the_one_before_goes_on() -> None:
    manager = Manager(Store().load, Recorder())
    await manager.take_up("digits", 1)
    manager.settle("digits", (3, 2))
    assert manager.versions("digits") == (1,)
    await manager.take_up("digits", 2, (3, 2))
    assert manager.versions("digits") == (1, 2)
    await manager.take_up("digits", 3, (3, 2))
    assert manager.versions("digits") == (3, 2)


async def test_members_of_every_version_in_memory_are_used_again() -> None:
    store = Store()
    manager = Manager(store.load, Recorder())
    await manager.take_up("digits", 2, (2,))
    await manager.take_up("digits", 1, (1, 2))
    await manager.take_up("digits", 3, (3,))
    assert store.reused == [set(), {"a", "b"}, {"a", "b"}]


async def test_who_wants_to_know_hears_of_every_change() -> None:
    manager, changes = Manager(Store().load, Recorder()), []
    manager.changed = lambda: changes.append(manager.versions("digits"))
    await manager.take_up("digits", 1)
    await manager.take_up("digits", 2)
    manager.settle("digits", (2,))
    manager.drop("digits")
    manager.drop("digits")
    assert changes == [(1,), (2,), ()]


async def test_memory_goes_back_once_the_last_request_on_an_old_version_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given_back: list[int] = []
    monkeypatch.setattr("server.lifecycle.manager.trimmer", lambda: lambda: given_back.append(1))
    monkeypatch.setattr("server.lifecycle.manager.GONE_SECS", (0.01, 0.02))
    manager = Manager(Store().load, Recorder())
    await manager.take_up("digits", 1)
    request = manager.served["digits"].servable
    await manager.take_up("digits", 2)
    gc.collect()
    assert len(given_back) == 2

    assert request.version == 1
    del request
    async with asyncio.timeout(5):
        # Also what batches that still ran the first time had held.
        while len(given_back) < 4:
            await asyncio.sleep(0)
