"""Answers Prometheus over HTTP, or HTTPS where there is a certificate, in threads of its own."""

import logging
import socket
import ssl
from collections.abc import Callable
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import choose_encoder

from ensemble.errors import UnavailableError

# A caller that says nothing for so long is cut off.
IDLE_SECS = 10.0

log = logging.getLogger("unisono.telemetry")


def exposition(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """Write all metrics for a scraper whose Accept header this is; give the text and its media type."""
    encode, media_type = choose_encoder(accept)
    text: bytes = encode(registry)
    return text, media_type


class MetricsEndpoint:
    """Listens from the moment it is made until `close`. Raises OSError if the address can't be had.

    `context` is asked at each connection: the TLS context to use now, or None for plain HTTP.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        address: tuple[str, int],
        context: Callable[[], ssl.SSLContext | None] = lambda: None,
    ) -> None:
        family, *_ = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0]
        server_class = type("_FamilyServer", (_Server,), {"address_family": family})
        self._server: _Server = server_class(address, _Handler)
        self._server.context = context
        self._server.set_app(make_wsgi_app(registry))
        self.port: int = self._server.server_port
        self._thread = Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def listening(
    registry: CollectorRegistry, address: tuple[str, int], context: Callable[[], ssl.SSLContext | None]
) -> MetricsEndpoint:
    """Serve `registry` at `address`; UnavailableError if it can't be had."""
    try:
        return MetricsEndpoint(registry, address, context)
    except OSError as error:
        raise UnavailableError(
            f"can't serve metrics on {address[0]}:{address[1]}: {error.strerror}; choose"
            " another --metrics-port, or end the process that has it"
        ) from error


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    context: Callable[[], ssl.SSLContext | None]

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept one connection. Its handshake is left to its own thread: a slow caller holds up nobody."""
        connection, address = super().get_request()
        connection.settimeout(IDLE_SECS)
        context = self.context()
        if context is None:
            return connection, address
        secured = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return secured, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Note a caller that broke off, or whose handshake failed."""
        log.debug("a caller of the metrics, %s, was lost", client_address)
        del request


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Say nothing of each scrape."""
