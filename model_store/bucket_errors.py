"""What went wrong with object storage, in the words of whoever has to mend it."""

from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError

from model_store.errors import StoreUnavailableError

_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist")
# What obstore's words, those of its debug part too, mean and what to do then; the first that fits counts.
_NO_CREDENTIALS = (
    "no credentials were found; set them in the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
    "GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_ACCOUNT_NAME and _KEY)"
)
_WAYS_OUT: tuple[tuple[tuple[str, ...], str], ...] = (
    (_NO_BUCKET, "there is no such bucket; make it, or check the store's address and its region"),
    (
        # Without credentials, a cloud's machine is asked for some, at its own address.
        ("latest/api/token", "169.254.", "computeMetadata", "TokenRequest", "MissingAccount"),
        _NO_CREDENTIALS,
    ),
    (
        ("PermissionDenied", "Unauthenticated", "InvalidAccessKeyId", "SignatureDoesNotMatch", "403 "),
        "access was refused; check the credentials and what they may do in this bucket",
    ),
    (("BadScheme", "scheme is not allowed"), "it has no TLS; use https, or set AWS_ALLOW_HTTP=true if meant"),
    (("kind: Timeout", "timed out"), "it took too long to answer; check the network, then try again"),
    (("kind: Connect",), "nobody answers there; check the network and the endpoint (AWS_ENDPOINT_URL)"),
)
_MAX_REASON = 300


@contextmanager
def explained(doing: str, where: str) -> Iterator[None]:
    """Turn an error of obstore in the body into a StoreUnavailableError: what failed, where, the way out.

    FileNotFoundError, for a key that isn't there, goes through.
    """
    try:
        yield
    except FileNotFoundError as error:
        if any(word in str(error) for word in _NO_BUCKET):
            raise _unavailable(doing, where, error) from error
        raise
    except (BaseError, OSError, ValueError) as error:
        raise _unavailable(doing, where, error) from error


def _unavailable(doing: str, where: str, error: Exception) -> StoreUnavailableError:
    reason = " ".join(str(error).partition("\n\nDebug source:")[0].split())[:_MAX_REASON]
    return StoreUnavailableError(f"can't {doing} {where!r}: {_way_out(str(error))} ({reason})")


def _way_out(text: str) -> str:
    """Say what is wrong, as far as it can be known, and what to do."""
    return next(
        (advice for words, advice in _WAYS_OUT if any(word in text for word in words)),
        "try again, or check the bucket",
    )
