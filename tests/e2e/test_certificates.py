"""Certificates replaced while callers of every kind ask: no request is lost, over gRPC or HTTP, with mTLS."""

import http.client
import shutil
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import grpc
import pytest

from server.cli.demonstration.server_process import serving
from tests.e2e.test_serve import wait_until
from tests.support.secured import Keys, installed, linear_store

pytestmark = pytest.mark.slow

READY = "/inference.GRPCInferenceService/ServerReady"
OPTIONS = ("--http-port", "0", "--poll-interval-secs", "0.05")
# Of each kind of caller, between one replacement and the next.
ENOUGH = 5


def context_of(keys: Keys, *protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(keys.pairs["ours"].certificate))
    context.load_cert_chain(keys.pairs["client"].certificate, keys.pairs["client"].key)
    context.set_alpn_protocols(list(protocols))
    return context


def shown_at(address: str, context: ssl.SSLContext) -> str:
    """Whose certificate a new connection is shown: its common name."""
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), 10) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        told = connection.getpeercert()
    assert told is not None
    return str(dict(pair[0] for pair in told["subject"])["commonName"])  # type: ignore[misc]


class Callers:
    """Four who ask without pause: over gRPC and HTTP, on one connection and on a new one each time."""

    def __init__(self, keys: Keys, grpc_address: str, http_address: str) -> None:
        self._keys, self._grpc, self._http = keys, grpc_address, http_address
        self._context = context_of(keys, "http/1.1")
        self._kept, self._kept_http = keys.channel(grpc_address, "client"), self._connection()
        self.answered: Counter[str] = Counter()
        self.failures: list[str] = []
        self._enough = Event()
        kinds: dict[str, Callable[[], None]] = {
            "gRPC": lambda: self._call(self._kept),
            "gRPC, anew": self._call_anew,
            "HTTP": lambda: self._get(self._kept_http),
            "HTTP, anew": self._get_anew,
        }
        self._threads = [Thread(target=self._ask, args=kind) for kind in kinds.items()]
        for thread in self._threads:
            thread.start()

    def each_has_asked(self, times: int) -> bool:
        return len(self.answered) == len(self._threads) and min(self.answered.values()) >= times

    def end(self) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()
        self._kept.close()
        self._kept_http.close()

    def _ask(self, kind: str, once: Callable[[], None]) -> None:
        while not self._enough.is_set():
            try:
                once()
                self.answered[kind] += 1
            except (grpc.RpcError, OSError, http.client.HTTPException) as error:
                self.failures.append(f"{kind}: {error!r}")
                return

    def _connection(self) -> http.client.HTTPSConnection:
        host, _, port = self._http.rpartition(":")
        return http.client.HTTPSConnection(host, int(port), timeout=20, context=self._context)

    def _call(self, channel: grpc.Channel) -> None:
        channel.unary_unary(READY)(b"", timeout=20)

    def _call_anew(self) -> None:
        with self._keys.channel(self._grpc, "client") as channel:
            self._call(channel)

    def _get(self, connection: http.client.HTTPSConnection) -> None:
        connection.request("GET", "/v2/health/ready")
        response = connection.getresponse()
        response.read()
        if response.status != http.client.OK:
            raise OSError(f"HTTP answered {response.status}")

    def _get_anew(self) -> None:
        connection = self._connection()
        try:
            self._get(connection)
        finally:
            connection.close()


@pytest.mark.parametrize(("transport", "workers"), [("grpcio", 1), ("http2", 1), ("envoy", 2)])
def test_a_certificate_replaced_under_load_loses_no_request(
    tmp_path: Path, transport: str, workers: int
) -> None:
    keys, used = Keys.made(tmp_path), tmp_path / "used"
    used.mkdir()

    def put(name: str) -> None:
        shutil.copy(keys.pairs[name].certificate, used / "tls.crt")
        shutil.copy(keys.pairs[name].key, used / "tls.key")

    put("server")
    files = ("--tls-cert", str(used / "tls.crt"), "--tls-key", str(used / "tls.key"))
    trusted = ("--tls-client-ca", str(keys.pairs["ours"].certificate))
    flags = [*OPTIONS, "--workers", str(workers), "--transport", installed(transport), *files, *trusted]
    with serving(str(linear_store(tmp_path)), tmp_path / "serve.log", flags) as server:
        ports = {server.address: context_of(keys, "h2"), server.http_address: context_of(keys, "http/1.1")}
        callers = Callers(keys, server.address, server.http_address)
        try:
            for name in ("renewed", "server"):
                put(name)
                wait_until(lambda name=name: {shown_at(*port) for port in ports.items()} == {name})  # type: ignore[misc]
                callers.answered.clear()
                wait_until(lambda: callers.failures != [] or callers.each_has_asked(ENOUGH))
        finally:
            callers.end()
        assert callers.failures == []
        assert server.stop() == 0
