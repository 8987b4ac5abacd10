"""Clients that aren't grpcio: nghttp2's own, which checks what it is sent as strictly as any."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.wire.http2.raw_client import Served, message, served
from tests.support.tools import needs

HEADERS = "-Hcontent-type: application/grpc", "-Hte: trailers"
PATH = "/test.Service/Ask"


@pytest.fixture(scope="module", name="server")
def fixture_server() -> Iterator[Served]:
    with served() as server:
        yield server


def ran(*command: str) -> str:
    needs(command[0])
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--padding=100",),
        # An answer of 10 KB by windows of 15 bytes and of 1 KiB, and tables that may hold nothing.
        ("--window-bits=4",),
        ("--window-bits=10", "--connection-window-bits=10"),
        ("--header-table-size=0", "--encoder-header-table-size=0"),
        ("--header-table-size=4096", "--header-table-size=100", "--trailer=a: b"),
        ("--no-dep", "--weight=1", "--max-concurrent-streams=1"),
    ],
    ids=" ".join,
)
def test_nghttp_is_answered(server: Served, tmp_path: Path, options: tuple[str, ...]) -> None:
    body = tmp_path / "body"
    body.write_bytes(message(10_000))
    url = f"http://127.0.0.1:{server.port}{PATH}"
    told = ran("nghttp", "-v", "-n", f"-d{body}", *HEADERS, *options, "-H:method: POST", url)
    assert "grpc-status: 0" in told
    codes = [line for line in told.splitlines() if "error_code=" in line]
    assert all("NO_ERROR" in line for line in codes), codes
    assert told.count("recv DATA") >= 1


def test_nghttps_headers_in_parts_are_more_than_is_taken(server: Served, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(message(10))
    url = f"http://127.0.0.1:{server.port}{PATH}"
    told = ran("nghttp", "-v", "-n", f"-d{body}", *HEADERS, "--continuation", "-H:method: POST", url)
    assert "grpc-status: 8" in told


def test_h2load_is_answered_on_many_connections(server: Served, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(message(300))
    url = f"http://127.0.0.1:{server.port}{PATH}"
    told = ran("h2load", "-n1000", "-c20", "-m10", "-t1", f"-d{body}", *HEADERS, url)
    assert "1000 succeeded, 0 failed, 0 errored, 0 timeout" in told
