"""What a call costs in Python, without a transport's sockets: the ASGI application, asked in its own process.

    python benchmarks/call_path.py [--ensembles tabular images] [--callers 64] [--seconds 3] [--profile FILE]

Everything is as under Envoy, metrics of several processes included; only Envoy is left out. Figures are those
of the best quarter of a second: what others do on the machine makes the rest worse.
"""

import argparse
import asyncio
import cProfile
import os
import tempfile
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from ensembles import benchmark_store

from ensemble.runtimes.sample import random_rows
from ensemble.signature import Signature
from model_store.store import Store

SLICE = 0.25
PATH = "/inference.GRPCInferenceService/ModelInfer"
HEADERS = [(b"content-type", b"application/grpc"), (b"te", b"trailers"), (b"user-agent", b"h2load")]


class Host:
    """Stands where Envoy does: keeps the application."""

    application: Any = None
    tells_who_left = False

    async def serve(self, transport: Any) -> int:
        """Keep it."""
        self.application = transport.handle
        return 0

    async def farewell(self) -> None:
        """Tell nobody."""

    async def close(self) -> None:
        """Cut off nobody."""


async def call(application: Any, body: bytes) -> int:
    """Make one call; return how many bytes its answer has."""
    events: list[Mapping[str, Any]] = []
    given = False

    async def receive() -> Mapping[str, Any]:
        nonlocal given
        event = {"type": "http.request", "body": b"" if given else body, "more_body": False}
        given = True
        return event

    async def send(event: Mapping[str, Any]) -> None:
        events.append(event)

    scope = {"type": "http", "method": "POST", "path": PATH, "headers": HEADERS}
    # A task for each, as Envoy's calls have.
    await asyncio.create_task(application(scope, receive, send))
    if events[-1].get("headers") != [(b"grpc-status", b"0")]:
        raise SystemExit(f"not answered: {events}")
    return sum(len(event.get("body", b"")) for event in events)


async def load(application: Any, body: bytes, callers: int, seconds: float) -> tuple[int, float, list[float]]:
    """Have `callers` ask again and again; return how many answers came, how long it took, each latency."""
    latencies: list[float] = []
    began = time.perf_counter()

    async def ask() -> None:
        while (at := time.perf_counter()) < began + seconds:
            await call(application, body)
            latencies.append(time.perf_counter() - at)

    await asyncio.gather(*(ask() for _ in range(callers)))
    return len(latencies), time.perf_counter() - began, latencies


async def sliced(application: Any, body: bytes, callers: int) -> tuple[float, float, float]:
    """Load for a moment: calls a second, CPU microseconds a call, the median latency in ms."""
    cpu = time.process_time()
    count, took, latencies = await load(application, body, callers, SLICE)
    return count / took, (time.process_time() - cpu) / count * 1e6, float(np.median(latencies)) * 1e3


async def measure(given: argparse.Namespace) -> None:
    """Start the server, ask, print."""
    from server.app import running  # noqa: PLC0415 - the environment must be set before
    from server.config import ServeSettings  # noqa: PLC0415
    from server.offering import Role  # noqa: PLC0415
    from server.wire.transport_asgi import AsgiTransport  # noqa: PLC0415

    host = Host()
    store = Store.open(str(benchmark_store()))
    settings = ServeSettings(ensemble=tuple(given.ensembles), max_queue_wait_ms=600000, grpc_port=0)
    role = Role(lambda *a, **b: AsgiTransport(*a, host=host, **b), shares=True)
    async with running(store, settings, role):
        for name in given.ensembles:
            signature = Signature.from_json(store.manifest(name).signature)
            ((key, rows),) = random_rows(signature, 1, seed=1).items()
            body = framed(name, key, np.ascontiguousarray(rows, np.float32))
            for callers in given.callers:
                await load(host.application, body, callers, 0.5)
                profile = cProfile.Profile()
                if given.profile:
                    profile.enable()
                slices = [
                    await sliced(host.application, body, callers) for _ in range(round(given.seconds / SLICE))
                ]
                if given.profile:
                    profile.disable()
                    profile.dump_stats(given.profile)
                speeds, costs, latencies = zip(*slices, strict=True)
                print(
                    f"{name:8} {callers:3} at once: {max(speeds):7.0f} calls/s, "
                    f"{min(costs):5.0f} us CPU a call (median {np.median(costs):5.0f}), "
                    f"{min(latencies):.3f} ms each",
                    flush=True,
                )


def framed(name: str, key: str, rows: Any) -> bytes:
    """Write a request with its prefix."""
    from server.wire.messages import message_class  # noqa: PLC0415

    request = message_class("inference.ModelInferRequest")(model_name=name)
    request.inputs.add(name=key, datatype="FP32", shape=rows.shape)
    request.raw_input_contents.append(rows.tobytes())
    data: bytes = request.SerializeToString()
    return b"\0" + len(data).to_bytes(4, "big") + data


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--ensembles", nargs="+", default=["tabular", "images"])
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--profile", help="a file for cProfile's figures of the last load")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        asyncio.run(measure(given))


if __name__ == "__main__":
    main()
