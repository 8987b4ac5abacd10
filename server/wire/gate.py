"""What stands between a connection and the methods: TLS, tokens, admission."""

import ssl
from collections.abc import Sequence
from typing import Any

from .access import Tokens, scopes_for
from .admission import Admission, AdmissionLimits, Place
from .method import Method
from .reloading import Reloaded
from .tls import Certificates, grpc_credentials, listening_context


class Gate:
    """TLS and tokens where the operator has files of them; bounds always."""

    def __init__(
        self,
        certificates: Reloaded[Certificates] | None = None,
        tokens: Reloaded[Tokens] | None = None,
        admission: Admission | None = None,
    ) -> None:
        self._certificates = certificates
        self._tokens = tokens
        self.admission = admission or Admission(AdmissionLimits())

    @property
    def reloads(self) -> Sequence[Reloaded[Any]]:
        """The files to look at while the server runs."""
        return [each for each in (self._certificates, self._tokens) if each is not None]

    def check(self, method: Method, authorization: str) -> None:
        """Raise UnauthenticatedError or ForbiddenError unless this header opens `method`."""
        if self._tokens is not None:
            self._tokens.value.check(scopes_for(method.service, method.name), authorization)

    def enter(self, method: Method) -> Place:
        """Let one call of `method` in; TooBusyError if there is no place, or too long a wait."""
        return self.admission.enter(waits=method.scores)

    def lacks(self, method: Method, authorization: str) -> str:
        """Say what one call of `method` finds too little of; "" if there is room: then it is to `enter` now.

        Raises what `check` raises only where there is none.
        """
        lacking = self.admission.lacks(waits=method.scores)
        if lacking:
            self.check(method, authorization)
        elif method.scores:
            self.admission.announce()
        return lacking

    def grpc_credentials(self) -> Any:
        """Make what a port listens with; None for plain text."""
        certificates = self._certificates
        return None if certificates is None else grpc_credentials(lambda: certificates.value)

    def tls_context(self) -> ssl.SSLContext | None:
        """Return the context for a new connection of a plain socket; None for plain text."""
        return None if self._certificates is None else self._certificates.value.context

    def listening_context(self, *, http2: bool = False) -> ssl.SSLContext | None:
        """Return one context for all of a socket's connections, each with what is current; None for plain."""
        certificates = self._certificates
        return None if certificates is None else listening_context(lambda: certificates.value, http2=http2)
