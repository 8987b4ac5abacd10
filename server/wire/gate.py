"""What stands between a connection and the methods."""

import ssl
from collections.abc import Sequence
from typing import Any

from .reloading import Reloaded
from .tls import Certificates, grpc_credentials


class Gate:
    """TLS, or none, as the operator wants it."""

    def __init__(self, certificates: Reloaded[Certificates] | None = None) -> None:
        self._certificates = certificates

    @property
    def reloads(self) -> Sequence[Reloaded[Any]]:
        """The files to look at while the server runs."""
        return [each for each in (self._certificates,) if each is not None]

    def grpc_credentials(self) -> Any:
        """Make what a port listens with; None for plain text."""
        certificates = self._certificates
        return None if certificates is None else grpc_credentials(lambda: certificates.value)

    def tls_context(self) -> ssl.SSLContext | None:
        """Return the context for a new connection of a plain socket; None for plain text."""
        return None if self._certificates is None else self._certificates.value.context
