"""A real server over HTTP: SIGTERM while callers ask without pause."""

import http.client
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event
from urllib.request import urlopen

import pytest

from server.cli.demonstration.scrape import samples_of
from server.cli.demonstration.server_process import serving
from tests.e2e.test_serve import wait_until
from tests.support.onnx_models import write_linear
from tests.support.secured import installed, linear_store

BODY = json.dumps({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]})
CALLERS = 16


def ask_until_refused(address: str, many: Event) -> list[int]:
    """The statuses of all answers: a call that has none is an error."""
    statuses: list[int] = []
    with closing(http.client.HTTPConnection(address, timeout=20)) as connection:
        while not statuses or statuses[-1] == 200:
            connection.request("POST", "/v2/models/sums/infer", BODY)
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)
            if len(statuses) > 20:
                many.set()
    return statuses


@pytest.mark.parametrize("transport", ["http2", "envoy"])
def test_no_call_that_was_taken_is_lost_on_a_sigterm(
    tmp_path: Path, unisono: Callable[..., object], transport: str
) -> None:
    write_linear(tmp_path / "a.onnx", seed=0)
    unisono("publish", "sums", f"--member=a={tmp_path / 'a.onnx'}", "--store", tmp_path / "store")
    many = Event()
    options = ("--http-port", "0", "--transport", installed(transport))
    with (
        serving(str(tmp_path / "store"), tmp_path / "serve.log", options) as server,
        ThreadPoolExecutor(CALLERS) as pool,
    ):
        callers = [pool.submit(ask_until_refused, server.http_address, many) for _ in range(CALLERS)]
        assert many.wait(60)
        code = server.stop()
        told = [caller.result(60) for caller in callers]

    assert code == 0
    # Each was told to go elsewhere, and had an answer to all that it had asked before.
    assert [set(statuses) for statuses in told] == [{200, 503}] * CALLERS


def test_workers_share_the_port_and_tell_the_metrics_of_all(tmp_path: Path) -> None:
    options = ("--http-port", "0", "--workers", "2")
    with serving(str(linear_store(tmp_path)), tmp_path / "serve.log", options) as server:
        for _ in range(24):  # Each connection is one worker's, and the port chooses which.
            with closing(http.client.HTTPConnection(server.http_address, timeout=20)) as connection:
                connection.request("POST", "/v2/models/m/infer", BODY)
                assert connection.getresponse().status == 200

        def counted() -> float:
            with urlopen(f"http://{server.http_address}/metrics", timeout=20) as page:
                return samples_of(page.read().decode(), "m")["unisono_requests_total"][""]

        # A worker's counts are there within half a second.
        wait_until(lambda: counted() == 24)
