"""gRPC's codes as HTTP's. The texts are the same on both."""

from collections.abc import Mapping

import grpc

from server.wire import admission

from .bodies import TooLargeError, UnknownEncodingError

Code = grpc.StatusCode

STATUSES: Mapping[grpc.StatusCode, int] = {
    Code.OK: 200,
    Code.INVALID_ARGUMENT: 400,
    Code.FAILED_PRECONDITION: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.ABORTED: 409,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.INTERNAL: 500,
    Code.DATA_LOSS: 500,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}
# What HTTP has a word of its own for.
BY_ERROR: Mapping[type[Exception], int] = {TooLargeError: 413, UnknownEncodingError: 415}


def http_status(error: Exception, code: grpc.StatusCode) -> int:
    """Say how an error, which gRPC calls `code`, looks over HTTP."""
    return BY_ERROR.get(type(error)) or STATUSES[code]


def error_headers(error: Exception, code: grpc.StatusCode) -> dict[str, str]:
    """Say what goes with it: when to come again, or how to be known."""
    if isinstance(error, admission.TooBusyError):
        # Whole seconds are all that HTTP has.
        return {"retry-after": str(max(1, round(error.retry_secs)))}
    return {"www-authenticate": "Bearer"} if code is Code.UNAUTHENTICATED else {}
