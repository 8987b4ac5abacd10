"""Several worker processes behind one port, and Envoy: real processes, killed and drained under load."""

import os
import signal
from pathlib import Path
from threading import Event
from time import monotonic

import grpc
import pytest

from ensemble.errors import EnsembleError
from ensemble.member import Rows
from server.cli.demonstration.callers import calling
from server.cli.demonstration.scrape import samples_of
from server.cli.demonstration.server_process import ServerProcess, serving
from server.wire.client import Client
from server.wire.messages import message_class
from tests.conftest import Unisono
from tests.e2e.test_serve import rows_of, wait_until
from tests.support.bindings import check_envoy

pytestmark = pytest.mark.slow

TWO = ("--workers", "2")
UNDER_ENVOY = ("--transport", "envoy")
QUICKLY = ("--poll-interval-secs", "0.1")
REFUSALS = ("GRPC server is shutting down", "failed to connect", "Connection refused")


def workers_of(server: ServerProcess) -> set[int]:
    pid = server.process.pid
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def calls_counted(server: ServerProcess) -> float:
    told = samples_of(server.metrics(), "digits").get("unisono_requests_total", {})
    return told.get("", 0.0)


def metric(server: ServerProcess, name: str) -> float:
    lines = [line for line in server.metrics().splitlines() if line.split("{")[0].split(" ")[0] == name]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def ask_until_answered(address: str, name: str, rows: Rows) -> int:
    """Ask over new connections until one is answered; return how often that took more than one try."""
    end, failed = monotonic() + 20, 0
    while monotonic() < end:
        try:
            with Client(address) as client:
                client.infer(name, rows)
        except EnsembleError:
            failed += 1
            Event().wait(0.05)
        else:
            return failed
    raise AssertionError("nobody answers any more")


@pytest.fixture(params=["http2", "envoy"])
def options(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Two workers of each transport; skips where there is no Envoy."""
    if request.param == "http2":
        return TWO
    check_envoy()
    return (*UNDER_ENVOY, *TWO)


def test_a_worker_that_is_killed_under_load_is_replaced_and_the_others_go_on(
    store: Path, small_members: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    rows = rows_of(small_members / "test.npz")["image"][:4]
    with serving(str(store), tmp_path / "serve.log", [*options, *QUICKLY]) as server:
        before = workers_of(server)
        assert len(before) == 2
        with calling(server.address, "digits", {"image": rows}, callers=8) as tally:
            wait_until(lambda: tally.by_version.total() > 50)
            # Of one that is killed, what it counted in its last half second is lost; what was shown stays.
            wait_until(lambda: calls_counted(server) > 50)
            shown = calls_counted(server)
            os.kill(min(before), signal.SIGKILL)
            wait_until(lambda: metric(server, "unisono_workers") == 2 and len(workers_of(server)) == 2)
            for _ in range(10):
                ask_until_answered(server.address, "digits", {"image": rows})
        assert max(before) in workers_of(server)
        assert metric(server, "unisono_worker_restarts_total") == 1
        # What the dead one counted counts still.
        assert calls_counted(server) >= shown
        assert server.stop() == 0


def test_sigterm_drains_every_worker_and_ends_with_code_zero(
    store: Path, small_members: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    rows = {"image": rows_of(small_members / "test.npz")["image"][:16]}
    with (
        serving(str(store), tmp_path / "serve.log", options) as server,
        calling(server.address, "digits", rows, callers=16) as tally,
    ):
        wait_until(lambda: tally.by_version.total() > 50)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
    others = [text for text in tally.failures if not any(known in text for known in REFUSALS)]
    assert others == []


def test_every_worker_takes_up_a_refit_and_an_unload(
    store: Path, small_members: Path, tmp_path: Path, unisono: Unisono
) -> None:
    rows = {"image": rows_of(small_members / "test.npz")["image"][:4]}
    options = (*TWO, *QUICKLY, "--enable-model-control")
    with serving(str(store), tmp_path / "serve.log", options) as server:
        unisono(
            *("refit", "digits", "--data", small_members / "validation.npz", "--label", "label"),
            *("--store", store),
        )
        # Each connection is one worker's, and the port chooses which: both are met among so many.
        wait_until(lambda: metric(server, "unisono_version_loads_total") == 4)
        assert {answered(server.address, rows) for _ in range(12)} == {2}
        wait_until(lambda: counted(server.address, "digits", "2") == 12)
        unload(server.address, "digits")
        for _ in range(12):
            with Client(server.address) as client, pytest.raises(EnsembleError, match="is not found"):
                client.infer("digits", rows)
        assert metric(server, "unisono_workers") == 2


def answered(address: str, rows: Rows) -> int:
    with Client(address) as client:
        return client.infer("digits", rows).version


def counted(address: str, name: str, version: str) -> int:
    """How many calls of a version ModelStatistics tells, whichever worker answers."""
    request = message_class("inference.ModelStatisticsRequest")(name=name, version=version)
    with grpc.insecure_channel(address) as channel:
        method = channel.unary_unary("/inference.GRPCInferenceService/ModelStatistics")
        answer = method(request.SerializeToString(), timeout=10)
    [told] = message_class("inference.ModelStatisticsResponse").FromString(answer).model_stats
    return int(told.inference_stats.success.count)


def unload(address: str, name: str) -> None:
    request = message_class("inference.RepositoryModelUnloadRequest")(model_name=name)
    with grpc.insecure_channel(address) as channel:
        method = channel.unary_unary("/inference.GRPCInferenceService/RepositoryModelUnload")
        method(request.SerializeToString(), timeout=10)
