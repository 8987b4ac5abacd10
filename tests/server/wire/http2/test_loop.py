import asyncio
from time import monotonic

import pytest

from server.offering import runner_for


async def now() -> tuple[str, float, float, float]:
    loop = asyncio.get_running_loop()
    return type(loop).__module__, monotonic(), loop.time(), monotonic()


@pytest.mark.parametrize("transport", ["grpcio", "http2"])
def test_a_server_has_a_loop_that_counts_time_as_others_do(transport: str) -> None:
    with runner_for(transport) as runner:
        module, before, told, after = runner.run(now())
    assert (module == "server.wire.http2.loop") == (transport == "http2")
    assert before <= told <= after


def test_timers_are_hardly_early() -> None:
    async def timed() -> float:
        loop = asyncio.get_running_loop()
        due, rang = loop.time() + 0.0104, loop.create_future()
        loop.call_at(due, lambda: rang.set_result(loop.time()))
        return float(await rang) - due

    with runner_for("http2") as runner:
        assert min(runner.run(timed()) for _ in range(20)) > -0.002
