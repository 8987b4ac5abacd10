"""How many calls Envoy refuses by itself: the rule, and a real Envoy that is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.wire.admission import Admission, AdmissionLimits, TooBusyError
from server.wire.call import Call
from server.wire.health import Health
from server.wire.messages import message_class
from server.wire.method import Method
from server.wire.oip import Oip
from server.wire.tfs import Tfs
from server.workers.envoy import SCORING
from server.workers.envoy_admin import shed_calls, shed_so_far
from server.workers.shedding import Shedding, keep_shedding
from tests.support.bindings import Binding, EnvoyProcess
from tests.support.models import FakeModels
from tests.support.observers import Recorder

MESSAGE = message_class("inference.ModelReadyResponse")


def let_through(shedding: Shedding, offered: int) -> int:
    return round(offered * (100 - shedding.percent) / 100)


def looks(shedding: Shedding, offered: int, taken: int, count: int) -> list[int]:
    """So many looks at a server that takes `taken` of what comes through; the percent after each."""
    percents = []
    for _ in range(count):
        came = let_through(shedding, offered)
        percents.append(shedding.note(came, max(came - taken, 0)))
    return percents


def test_ten_times_too_much_comes_down_to_a_little_more_than_is_taken() -> None:
    shedding = Shedding()

    percents = looks(shedding, offered=1000, taken=100, count=80)

    assert percents[0] > 80  # At the first look already.
    assert percents[-1] == 87  # 100 - 12.5, and one call a look in any case.


def test_a_server_that_refuses_few_judges_each_call_itself() -> None:
    assert set(looks(Shedding(), offered=120, taken=100, count=80)) == {0}


def test_a_few_refusals_one_after_another_are_no_overload() -> None:
    shedding = Shedding()

    # Of two calls a look, every one refused: forty a second.
    assert set(looks(shedding, offered=2, taken=0, count=80)) == {0}


def test_when_no_more_comes_than_is_taken_nothing_is_shed_a_second_later() -> None:
    shedding = Shedding()
    looks(shedding, offered=1000, taken=100, count=80)

    assert looks(shedding, offered=90, taken=100, count=20)[-1] == 0


def test_when_nobody_comes_any_more_the_next_one_is_let_in() -> None:
    shedding = Shedding()
    looks(shedding, offered=1000, taken=100, count=80)

    assert looks(shedding, offered=0, taken=100, count=20)[-1] == 0


def test_a_server_that_takes_nothing_still_sees_some_calls() -> None:
    shedding = Shedding()

    assert looks(shedding, offered=1000, taken=0, count=80)[-1] == 99
    assert looks(shedding, offered=1000, taken=1000, count=80)[-1] == 0


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 1)), max_size=50))
def test_whatever_comes_the_percent_is_one_and_without_refusals_it_is_0(
    seen: list[tuple[int, float]],
) -> None:
    some, none = Shedding(), Shedding()
    for came, refused in seen:
        assert 0 <= some.note(came, round(came * refused)) <= 99
        assert none.note(came, 0) == 0


def test_what_may_be_shed_is_every_method_that_wants_one_answer_of_the_members() -> None:
    methods = [*Oip(FakeModels()).methods(), *Tfs(FakeModels(), lambda _: {}).methods()]

    assert sorted(SCORING) == sorted(m.name for m in methods if m.scores and m.refuse is None)


async def answer(_message: Any, _call: Call) -> Any:
    return MESSAGE(ready=True)


@asynccontextmanager
async def served(envoy: EnvoyProcess) -> AsyncIterator[Any]:
    methods = [
        Method("inference.GRPCInferenceService", name, MESSAGE, MESSAGE, answer, scores=name == "ModelInfer")
        for name in ("ModelInfer", "ServerReady")
    ]
    async with (
        Binding(envoy).serve(methods, Health(), observer=Recorder()) as (_, address),
        grpc.aio.insecure_channel(address) as channel,
    ):
        try:
            yield lambda name: channel.unary_unary(f"/inference.GRPCInferenceService/{name}")(b"", timeout=20)
        finally:
            shed_calls(envoy.admin, 0)


async def ended(shedding: "asyncio.Task[None]") -> None:
    """End it, and what it was telling Envoy: the same Envoy serves other tests."""
    shedding.cancel()
    await asyncio.gather(shedding, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_default_executor()


async def test_envoy_refuses_in_our_words_with_a_hint_and_counts(envoy: EnvoyProcess) -> None:
    async with served(envoy) as ask:
        before = shed_so_far(envoy.admin)
        await ask("ModelInfer")
        shed_calls(envoy.admin, 100)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await ask("ModelInfer")
        await ask("ServerReady")
        shed_calls(envoy.admin, 0)
        await ask("ModelInfer")
        counted = shed_so_far(envoy.admin) - before

    assert raised.value.code().name == "RESOURCE_EXHAUSTED"
    assert raised.value.details() == (
        "server is at its limit: more calls come than it can answer; retry with backoff"
    )
    assert dict(raised.value.trailing_metadata())["grpc-retry-pushback-ms"] == "5000"
    assert counted == 1


async def test_while_the_server_refuses_most_calls_envoy_refuses_some_and_they_are_counted(
    envoy: EnvoyProcess,
) -> None:
    told = Recorder()
    admission = Admission(AdmissionLimits(wait_secs=1.0), told, lambda _: 2.0)
    shedding = asyncio.create_task(keep_shedding(admission, envoy.admin))
    try:
        async with served(envoy) as ask, asyncio.timeout(30):
            while not any(reason[0] == "shed" for reason in told.of("refused")):
                with pytest.raises(TooBusyError):
                    admission.enter(waits=True)
                for _ in range(10):
                    with pytest.raises(TooBusyError):
                        admission.enter(waits=True)
                await asyncio.gather(ask("ModelInfer"), return_exceptions=True)
    finally:
        await ended(shedding)
        shed_calls(envoy.admin, 0)


async def test_what_a_worker_before_this_one_had_envoy_refuse_is_taken_back(envoy: EnvoyProcess) -> None:
    async with served(envoy) as ask:
        shed_calls(envoy.admin, 100)
        shedding = asyncio.create_task(keep_shedding(Admission(AdmissionLimits()), envoy.admin))
        async with asyncio.timeout(30):
            while isinstance((await asyncio.gather(ask("ModelInfer"), return_exceptions=True))[0], Exception):
                pass
        await ended(shedding)


async def test_an_envoy_that_does_not_answer_is_asked_again(envoy: EnvoyProcess) -> None:
    admission = Admission(AdmissionLimits(calls=0))
    shedding = asyncio.create_task(keep_shedding(admission, envoy.admin.with_name("nobody")))
    for _ in range(3):
        with pytest.raises(TooBusyError):
            admission.enter(waits=True)
        await asyncio.sleep(0.06)
    assert not shedding.done()
    await ended(shedding)
