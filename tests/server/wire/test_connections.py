"""What becomes of connections that fall silent, and of those that grow old, on each transport."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from server.wire.call import Call
from server.wire.health import Health
from server.wire.messages import message_class
from server.wire.method import Method
from server.wire.transport_options import TransportOptions
from server.workers import envoy
from tests.support.bindings import Binding, envoy_running
from tests.support.http2_peer import GOAWAY, PING, connected, relaying
from tests.support.observers import Recorder

REQUEST = message_class("inference.ModelReadyRequest")
RESPONSE = message_class("inference.ModelReadyResponse")
# Those that are cut off for their silence are so before they are of age.
AGE_SECS, KEEPALIVE_SECS, ANSWER_SECS = 1.2, 0.4, 0.5
# No shorter ones can be asked of the whole server, as Envoy is here.
ENVOYS_AGE_SECS, ENVOYS_KEEPALIVE_SECS = 2.0, 1.0


@pytest.fixture(scope="module", params=["grpcio", "http2", "envoy"], name="impatient")
def fixture_impatient(request: pytest.FixtureRequest) -> Iterator[Binding]:
    """Each transport, where Envoy was told to be quick."""
    if request.param != "envoy":
        yield Binding(http2=request.param == "http2")
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(envoy, "KEEPALIVE_TIMEOUT_SECS", ANSWER_SECS)
        with envoy_running(
            keepalive_secs=ENVOYS_KEEPALIVE_SECS, max_connection_age_secs=ENVOYS_AGE_SECS
        ) as process:
            yield Binding(process)


async def ready(_message: Any, _call: Call) -> Any:
    return RESPONSE(ready=True)


@asynccontextmanager
async def served(binding: Binding, **options: float) -> AsyncIterator[str]:
    """The address of a server of one method."""
    method = Method("test.Service", "Ask", REQUEST, RESPONSE, ready)
    # gRPC's own server takes no less than a second; ours does.
    pace = 0.2 if binding.http2 else 1.0
    made = TransportOptions(**{name: pace * secs for name, secs in options.items()})  # type: ignore[arg-type]
    async with (
        asyncio.timeout(30),
        binding.serve([method], Health(), observer=Recorder(), options=made) as (_, address),
    ):
        yield address


async def test_a_peer_that_answers_no_ping_is_cut_off(impatient: Binding) -> None:
    async with (
        served(impatient, keepalive_secs=KEEPALIVE_SECS, keepalive_timeout_secs=ANSWER_SECS) as address,
        connected(address) as peer,
    ):
        assert PING in await peer.until(None, answers=False)


async def test_a_peer_that_answers_pings_is_kept(impatient: Binding) -> None:
    async with (
        served(impatient, keepalive_secs=KEEPALIVE_SECS, keepalive_timeout_secs=ANSWER_SECS) as address,
        connected(address) as peer,
    ):
        for _ in range(2):
            await peer.until(PING, answers=True)


async def test_a_connection_that_reaches_its_age_is_told_to_go(impatient: Binding) -> None:
    async with served(impatient, max_connection_age_secs=AGE_SECS) as address, connected(address) as peer:
        await peer.until(GOAWAY, answers=True)


async def test_callers_connect_anew_when_theirs_is_of_age_and_lose_no_call(impatient: Binding) -> None:
    # A client that has given a call to a connection just as that says goodbye gives it to another one: the
    # transparent retry, which is on unless it is switched off.
    async with (
        served(impatient, max_connection_age_secs=AGE_SECS) as address,
        relaying(address) as relay,
        grpc.aio.insecure_channel(relay.address, [("grpc.use_local_subchannel_pool", 1)]) as channel,
    ):
        ask = channel.unary_unary("/test.Service/Ask")
        while relay.connections < 2:
            assert RESPONSE.FromString(await ask(b"", timeout=20)).ready
