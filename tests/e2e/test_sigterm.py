"""SIGTERM under load: two servers, 64 callers of the stock client, and one of the servers goes."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from server.cli.demonstration.server_process import ServerProcess, serving
from tests.support.clients import clients_python
from tests.support.secured import PREDICT, Keys, installed, linear_store

CALLERS = 64
WHOLE = os.environ.get("UNISONO_PROOF") == "whole"
ROUNDS = 8 if WHOLE else 1
GRACE_SECS = 20
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SCRIPT = Path(__file__).parents[1] / "clients/retrying_callers.py"

pytestmark = pytest.mark.slow


class Watch:
    """A stream of one server's health; `flipped` is when it said that it serves no more."""

    def __init__(self, channel: Any) -> None:
        self.flipped: float | None = None
        self._stream = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        self.first = next(self._stream).status
        self._thread = Thread(target=self._follow)
        self._thread.start()

    def _follow(self) -> None:
        try:
            for answer in self._stream:
                if answer.status == NOT_SERVING and self.flipped is None:
                    self.flipped = monotonic()
        except grpc.RpcError:
            return

    def ended(self) -> None:
        """Wait until the server has ended the stream."""
        self._thread.join(GRACE_SECS)
        assert not self._thread.is_alive()


class Callers:
    """The callers' process."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._process = subprocess.Popen(
            [str(clients_python()), str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "going\n"

    def stop(self) -> Any:
        """Have them stop, and tell what they met."""
        out, _ = self._process.communicate(timeout=60)
        assert self._process.returncode == 0
        return json.loads(out)


@contextmanager
def two_servers(folder: Path, flags: list[str]) -> Iterator[list[ServerProcess]]:
    store = str(linear_store(folder))
    with ExitStack() as stack:
        yield [
            stack.enter_context(serving(store, folder / f"serve-{number}.log", flags)) for number in range(2)
        ]


@pytest.mark.parametrize(
    ("transport", "secure"),
    [
        *(("grpcio", False), ("http2", True)),
        *([("grpcio", True), ("http2", False), ("envoy", False), ("envoy", True)] if WHOLE else []),
    ],
)
def test_no_request_is_lost_when_a_server_goes(tmp_path: Path, transport: str, secure: bool) -> None:
    keys = Keys.made(tmp_path)
    security = keys.flags if secure else []
    flags = [*security, "--drain-delay-secs", "0.3", "--transport", installed(transport)]
    for number in range(ROUNDS):
        folder = tmp_path / str(number)
        folder.mkdir()
        with two_servers(folder, flags) as servers:
            one_goes(servers, keys if secure else None)


def one_goes(servers: list[ServerProcess], keys: Keys | None) -> None:
    """Have the first of `servers` end under load, and look at all that is promised of it."""
    first = servers[0]
    files = None
    if keys is not None:
        client = keys.pairs["client"]
        files = [str(path) for path in (keys.pairs["ours"].certificate, client.key, client.certificate)]
    channel = keys.channel(first.address, "client") if keys else grpc.insecure_channel(first.address)
    with channel:
        watch = Watch(channel)
        assert watch.first == health_pb2.HealthCheckResponse.SERVING
        callers = Callers(
            {
                "addresses": [server.address for server in servers],
                "model": "m",
                "callers": CALLERS,
                "certificates": files,
                "token": PREDICT if keys else None,
            }
        )
        began = monotonic()
        first.process.send_signal(signal.SIGTERM)
        assert first.process.wait(GRACE_SECS) == 0
        assert monotonic() - began < GRACE_SECS
        watch.ended()
        met = callers.stop()

    # Every request was answered, by one server or, after it was turned away, by the other.
    assert met["others"] == {}
    assert met["unlike"] == 0
    assert min(met["answers"]) >= CALLERS
    assert sum(met["turned_away"].values()) >= CALLERS
    # Who watches health knew first.
    assert watch.flipped is not None
    assert watch.flipped < met["first_refusal"]
