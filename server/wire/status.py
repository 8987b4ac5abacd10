"""The one place where errors become gRPC status codes and texts."""

import logging

import grpc

from ensemble import errors
from model_store import errors as store_errors

from . import access, admission
from .outcome import MessageTooLargeError
from .serving import UnknownSignatureError

Code = grpc.StatusCode

CODES: dict[type[Exception], grpc.StatusCode] = {
    errors.InvalidRequestError: Code.INVALID_ARGUMENT,
    errors.ModelNotFoundError: Code.NOT_FOUND,
    errors.NotOfferedError: Code.UNIMPLEMENTED,
    errors.OverloadedError: Code.UNAVAILABLE,
    errors.DeadlineError: Code.DEADLINE_EXCEEDED,
    errors.UnavailableError: Code.UNAVAILABLE,
    UnknownSignatureError: Code.FAILED_PRECONDITION,
    errors.InvalidWeightsError: Code.FAILED_PRECONDITION,
    errors.InvalidModelError: Code.FAILED_PRECONDITION,
    errors.GoldenMismatchError: Code.FAILED_PRECONDITION,
    errors.InvalidDataError: Code.INVALID_ARGUMENT,
    errors.TooManyErrorRowsError: Code.INVALID_ARGUMENT,
    errors.SolverError: Code.FAILED_PRECONDITION,
    errors.MemberError: Code.INTERNAL,
    access.UnauthenticatedError: Code.UNAUTHENTICATED,
    access.ForbiddenError: Code.PERMISSION_DENIED,
    admission.TooBusyError: Code.RESOURCE_EXHAUSTED,
    MessageTooLargeError: Code.RESOURCE_EXHAUSTED,
    store_errors.EnsembleNotFoundError: Code.NOT_FOUND,
    store_errors.VersionNotFoundError: Code.NOT_FOUND,
    store_errors.InvalidNameError: Code.INVALID_ARGUMENT,
    store_errors.InvalidDraftError: Code.FAILED_PRECONDITION,
    store_errors.StoreCorruptError: Code.DATA_LOSS,
    store_errors.ConflictError: Code.ABORTED,
    store_errors.StoreUnavailableError: Code.UNAVAILABLE,
}

# What these say names files of the server: that is for the log.
TEXTS: dict[type[Exception], str] = {
    store_errors.StoreCorruptError: "the model store is damaged; see the server's log",
    store_errors.StoreUnavailableError: "the model store can't be reached; see the server's log",
}
UNEXPECTED = "internal error; see the server's log"
# Stock clients know a full queue by these: Triton's, and TensorFlow Serving's.
QUEUE_FULL = "Exceeds maximum queue size"
TFS_QUEUE_FULL = "The batch scheduling queue to which this task was submitted is full"

RETRY_AFTER = "grpc-retry-pushback-ms"

# A status travels in a header, whose size is bounded; a text may quote what the client sent.
MAX_TEXT_BYTES = 1500

log = logging.getLogger("unisono.wire")


def status_of(error: Exception) -> tuple[grpc.StatusCode, str]:
    """Say how `error` looks to a client. What we didn't raise on purpose keeps its text to itself.

    What a client can't know enough about, and the operator must, goes to the log with its traceback.
    """
    code = CODES.get(type(error))
    if code is None:
        log.error("unexpected error in a call", exc_info=error)
        return Code.INTERNAL, UNEXPECTED
    if code in {Code.INTERNAL, Code.DATA_LOSS} or type(error) in TEXTS:
        log.error("a call failed: %s", error, exc_info=error)
    text = TEXTS.get(type(error)) or str(error)
    if isinstance(error, errors.OverloadedError) and not text.startswith((QUEUE_FULL, TFS_QUEUE_FULL)):
        text = f"{QUEUE_FULL}; {text}"
    return code, _bounded(text)


def retry_hint(error: Exception) -> tuple[tuple[str, str], ...]:
    """Return the metadata that tells gRPC's own retries when to come again; empty where nothing is known."""
    if not isinstance(error, admission.TooBusyError):
        return ()
    return ((RETRY_AFTER, str(round(error.retry_secs * 1000))),)


def _bounded(text: str) -> str:
    """Cut `text` to what fits a header, at a whole character."""
    data = text.encode(errors="replace")
    if len(data) <= MAX_TEXT_BYTES:
        return text
    return data[:MAX_TEXT_BYTES].decode(errors="ignore") + "...TRUNCATED"
