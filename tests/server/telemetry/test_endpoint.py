import socket
import ssl
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge

from server.telemetry.endpoint import MetricsEndpoint
from server.wire.tls import TlsPaths, read_certificates
from tests.support.certificates import authority, signed


@contextmanager
def listening(context: Callable[[], ssl.SSLContext | None] = lambda: None) -> Iterator[int]:
    registry = CollectorRegistry()
    Gauge("unisono_answer", "The answer.", registry=registry).set(42)
    endpoint = MetricsEndpoint(registry, ("127.0.0.1", 0), context)
    try:
        yield endpoint.port
    finally:
        endpoint.close()


def scraped(url: str, context: ssl.SSLContext | None = None) -> str:
    with urllib.request.urlopen(url, timeout=10, context=context) as answer:  # noqa: S310 - our own port
        return str(answer.read().decode())


def test_metrics_are_answered_in_plain_text() -> None:
    with listening() as port:
        assert "unisono_answer 42.0" in scraped(f"http://127.0.0.1:{port}/metrics")


def test_metrics_are_answered_over_mutual_tls_and_to_nobody_else(tmp_path: Path) -> None:
    first = authority(tmp_path, "first")
    server, client = signed(tmp_path, "server", first), signed(tmp_path, "client", first)
    context = read_certificates(TlsPaths(server.certificate, server.key, first.certificate)).context
    caller = ssl.create_default_context(cafile=str(first.certificate))
    with listening(lambda: context) as port:
        with pytest.raises(OSError, match=r"(?i)certificate required|reset|closed|EOF"):
            scraped(f"https://127.0.0.1:{port}/metrics", caller)
        caller.load_cert_chain(client.certificate, client.key)
        assert "unisono_answer 42.0" in scraped(f"https://127.0.0.1:{port}/metrics", caller)


def test_a_caller_that_never_ends_its_handshake_holds_up_nobody(tmp_path: Path) -> None:
    first = authority(tmp_path, "first")
    server = signed(tmp_path, "server", first)
    context = read_certificates(TlsPaths(server.certificate, server.key)).context
    caller = ssl.create_default_context(cafile=str(first.certificate))
    with listening(lambda: context) as port, socket.create_connection(("127.0.0.1", port)):
        assert "unisono_answer 42.0" in scraped(f"https://127.0.0.1:{port}/metrics", caller)
