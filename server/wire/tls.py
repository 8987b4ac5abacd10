"""TLS for gRPC and for the metrics: certificates read, checked as pairs, and handed to whoever listens."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from .expiry import earliest_end
from .reloading import UnusableFileError


@dataclass(frozen=True, slots=True)
class TlsPaths:
    """Where the PEM files are. With `client_ca`, only callers with a certificate of it are let in."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Certificates:
    """What was read of `TlsPaths`, checked: the key is the certificate's. `context` serves plain sockets."""

    certificate: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None
    ends_at: float  # of those shown to callers the first to end, in seconds since 1970
    context: ssl.SSLContext = field(compare=False, repr=False)
    http2: ssl.SSLContext = field(compare=False, repr=False)  # the same, where HTTP/2 is all that is spoken


def read_certificates(paths: TlsPaths) -> Certificates:
    """Read and check the files. Raises UnusableFileError, also if they change while they are read."""
    before = _contents(paths)
    context, http2 = _context(paths), _context(paths)
    http2.set_alpn_protocols(["h2"])
    if _contents(paths) != before:
        raise UnusableFileError(f"{paths.certificate} and its key are being replaced; try again")
    try:
        return Certificates(*before, earliest_end(before[0]), context, http2)
    except ValueError as error:
        raise UnusableFileError(f"{paths.certificate}: can't tell when it ends: {error}") from error


def grpc_credentials(current: Callable[[], Certificates]) -> Any:
    """Make server credentials of what is `current` at each connection's beginning.

    Whether callers need a certificate is decided once, by what is current now.
    """
    used = current()

    def fetch() -> Any:
        nonlocal used
        newest = current()
        if newest is used:
            return None
        used = newest
        return _configuration(newest)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(used), fetch, require_client_authentication=used.client_ca is not None
    )


def listening_context(current: Callable[[], Certificates], *, http2: bool = False) -> ssl.SSLContext:
    """Make a context for a port of plain sockets; each connection has what is `current` at its beginning.

    Whether callers need a certificate is decided once, by what is current now.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = current().context.verify_mode

    def choose(connection: ssl.SSLObject, _name: str, _context: ssl.SSLContext) -> None:
        connection.context = current().http2 if http2 else current().context

    if http2:
        context.set_alpn_protocols(["h2"])
    # Called for every connection, also of clients that name no server.
    context.sni_callback = choose
    return context


def _configuration(certificates: Certificates) -> Any:
    pair = (certificates.key, certificates.certificate)
    return grpc.ssl_server_certificate_configuration([pair], root_certificates=certificates.client_ca)


def _contents(paths: TlsPaths) -> tuple[bytes, bytes, bytes | None]:
    try:
        return (
            paths.certificate.read_bytes(),
            paths.key.read_bytes(),
            paths.client_ca.read_bytes() if paths.client_ca else None,
        )
    except OSError as error:
        raise UnusableFileError(f"can't read {error.filename}: {error.strerror}") from error


def _context(paths: TlsPaths) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without the empty password OpenSSL would ask for one on the terminal.
        context.load_cert_chain(paths.certificate, paths.key, password="")
    except (ssl.SSLError, OSError) as error:
        raise UnusableFileError(
            f"{paths.certificate} and {paths.key} are not a PEM certificate and its key, without a password: "
            f"{error.strerror or error}"
        ) from error
    if paths.client_ca is not None:
        try:
            context.load_verify_locations(paths.client_ca)
        except (ssl.SSLError, OSError) as error:
            raise UnusableFileError(
                f"{paths.client_ca} holds no PEM certificates: {error.strerror or error}"
            ) from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context
