"""How a client of ours shows itself, and whom it believes."""

from dataclasses import dataclass
from pathlib import Path

from ensemble.errors import InvalidRequestError


@dataclass(frozen=True, slots=True)
class ClientSecurity:
    """Files for a server that wants more than plain text.

    Attributes:
        tls_ca: Speak TLS, and believe servers that one of this PEM file's certificates signed.
        tls_cert: PEM certificate to show, to a server that has --tls-client-ca.
        tls_key: Its key.
        token_file: Holds a token, to a server that has --auth-token-file; its first word is sent.
    """

    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    token_file: Path | None = None

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return what goes with every call. Raises InvalidRequestError."""
        words = (_read(self.token_file) or b"").split()
        if self.token_file is not None and not words:
            raise InvalidRequestError(f"{self.token_file} holds no token")
        return (("authorization", f"Bearer {words[0].decode('ascii', 'replace')}"),) if words else ()

    def pem(self) -> tuple[bytes | None, bytes | None, bytes | None] | None:
        """Read authority, key and certificate; None for plain text. Raises InvalidRequestError."""
        if self.tls_ca is None:
            if self.tls_cert or self.tls_key:
                raise InvalidRequestError("--tls-cert and --tls-key need --tls-ca: whom to believe")
            return None
        if (self.tls_cert is None) != (self.tls_key is None):
            raise InvalidRequestError("--tls-cert and --tls-key go together; give both or neither")
        return _read(self.tls_ca), _read(self.tls_key), _read(self.tls_cert)


def _read(path: Path | None) -> bytes | None:
    try:
        return None if path is None else path.read_bytes()
    except OSError as error:
        raise InvalidRequestError(f"can't read {path}: {error.strerror}") from error
