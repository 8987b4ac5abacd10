"""Bearer tokens: who may call what, by the token that a call brings.

A token has scopes, `predict` and `control`, and neither includes the other. Health is asked without any;
every other method is open to all where there is no file of tokens.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ensemble.errors import EnsembleError

from .reloading import UnusableFileError

PREDICT, CONTROL = frozenset({"predict"}), frozenset({"control"})
EITHER = PREDICT | CONTROL
# Which scopes open a method: any of them does. By full name or, with nothing after the slash, by service.
# What isn't listed needs `predict`.
REQUIRED: Mapping[str, frozenset[str]] = {
    "inference.GRPCInferenceService/RepositoryModelLoad": CONTROL,
    "inference.GRPCInferenceService/RepositoryModelUnload": CONTROL,
    "tensorflow.serving.ModelService/HandleReloadConfigRequest": CONTROL,
    "unisono.v1.Control/": CONTROL,
    "grpc.reflection.v1.ServerReflection/": EITHER,
    "grpc.reflection.v1alpha.ServerReflection/": EITHER,
    "unisono.http/": EITHER,
}
SCHEME = "bearer"
# Short ones can be guessed.
MIN_TOKEN_CHARACTERS = 16
# Each call is compared with every token.
MAX_TOKENS = 1000


class UnauthenticatedError(EnsembleError):
    """The call brings no token, or one that nobody was given."""


class ForbiddenError(EnsembleError):
    """The call's token is known, and not enough for this method."""


def scopes_for(service: str, name: str) -> frozenset[str]:
    """Say which scopes open a method; any one of them does."""
    return REQUIRED.get(f"{service}/{name}") or REQUIRED.get(f"{service}/") or PREDICT


@dataclass(frozen=True, slots=True)
class Tokens:
    """The digests of the tokens and their scopes; the tokens themselves aren't kept.

    Digests are keyed by `salt`, so that those of one process are worth nothing elsewhere.
    """

    salt: bytes
    scopes: tuple[tuple[bytes, frozenset[str]], ...]

    def scopes_of(self, authorization: str) -> frozenset[str] | None:
        """Return the scopes of the token in an `authorization` header, or None if it is nobody's.

        Takes as long whichever token it is, and for none.
        """
        scheme, _, token = authorization.strip().partition(" ")
        digest = _digest(token.strip(), self.salt)
        found: frozenset[str] | None = None
        for known, scopes in self.scopes:
            if hmac.compare_digest(known, digest):
                found = scopes
        return found if scheme.lower() == SCHEME else None

    def check(self, required: frozenset[str], authorization: str) -> None:
        """Raise UnauthenticatedError or ForbiddenError unless the header's token has one of `required`."""
        scopes = self.scopes_of(authorization)
        if scopes is None:
            raise UnauthenticatedError(
                "this server wants a token it knows: send the metadata 'authorization: Bearer TOKEN'"
            )
        if not scopes & required:
            raise ForbiddenError(
                f"this method needs a token with the scope {' or '.join(sorted(required))}; "
                f"this token has {', '.join(sorted(scopes))}"
            )


def read_tokens(path: Path, salt: bytes) -> Tokens:
    """Read one token a line, with its scopes after it. Raises UnusableFileError, which quotes no token."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UnusableFileError(f"can't read {path}: {reason}") from error
    scopes: dict[bytes, frozenset[str]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        token, granted = _parsed(line, f"{path} line {number}")
        if scopes.setdefault(_digest(token, salt), granted) != granted:
            raise UnusableFileError(f"{path} line {number}: the token is given twice, with other scopes")
    if not 0 < len(scopes) <= MAX_TOKENS:
        raise UnusableFileError(f"{path} has {len(scopes)} tokens; it must have 1 to {MAX_TOKENS}")
    return Tokens(salt, tuple(scopes.items()))


def _parsed(line: str, place: str) -> tuple[str, frozenset[str]]:
    # Of a line of commas alone nothing is left.
    token, *scopes = line.replace(",", " ").split() or [""]
    if len(token) < MIN_TOKEN_CHARACTERS:
        raise UnusableFileError(
            f"{place}: the token has {len(token)} characters; it must have {MIN_TOKEN_CHARACTERS}: make one "
            "with `openssl rand -hex 32`"
        )
    if not scopes or not set(scopes) <= EITHER:
        raise UnusableFileError(f"{place}: after the token come its scopes, predict or control or both")
    return token, frozenset(scopes)


def _digest(token: str, salt: bytes) -> bytes:
    return hashlib.blake2b(token.encode(errors="surrogateescape"), key=salt, digest_size=32).digest()
