"""A server over HTTP that tests can hold up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from server.telemetry.statistics import Statistics
from server.wire.call import Call
from server.wire.gate import Gate
from server.wire.method import Method
from server.wire.oip import Oip
from server.wire.oip_management import OipManagement
from server.wire.rest.offer import http_transport
from server.wire.transport_options import TransportOptions
from tests.support.http_client import Told, ask
from tests.support.models import FakeModels, FakeRepository
from tests.support.observers import Recorder

INFER = "/v2/models/sums/infer"
BODY = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}


class World:
    """A server over HTTP whose inference waits for `go_on`, where that isn't set."""

    def __init__(self, gate: Gate, told: Recorder, **options: Any) -> None:
        self.told = told
        self.models = FakeModels()
        self.go_on, self.began = asyncio.Event(), asyncio.Event()
        self.go_on.set()
        management = OipManagement(self.models, Statistics(), FakeRepository(), model_control=True)
        methods = [*Oip(self.models).methods(), *management.methods()]
        self.transport = http_transport(
            [self._waiting(method) if method.name == "ModelInfer" else method for method in methods],
            lambda accept: (b"figure 1\n", f"text/plain; accept={accept}"),
            observer=told,
            options=TransportOptions("127.0.0.1:0", **options),
            max_json_bytes=2**16,
            gate=gate,
        )
        self.port = 0

    def _waiting(self, method: Method) -> Method:
        async def wait(message: Any, call: Call) -> Any:
            assert "authorization" not in call.metadata
            self.began.set()
            await self.go_on.wait()
            return await method.function(message, call)

        return Method(method.service, method.name, method.request, method.response, wait)

    async def ask(self, path: str, body: Any = None, **options: Any) -> Told:
        return await ask(self.port, path, body, **options)

    def codes(self) -> list[tuple[str, str]]:
        return [(each["method"], each["code"]) for name, _, each in self.told.calls if name == "handled"]


@asynccontextmanager
async def world_of(gate: Gate | None = None, **options: Any) -> AsyncIterator[World]:
    told = Recorder()
    world = World(gate or Gate(), told, **options)
    world.port = await world.transport.start()
    try:
        yield world
    finally:
        world.go_on.set()
        await world.transport.stop(5)
