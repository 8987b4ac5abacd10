"""gRPC's codes as HTTP's. The texts are the same on both."""

from collections.abc import Mapping

import grpc

from server.wire.outcome import Outcome
from server.wire.status import RETRY_AFTER

Code = grpc.StatusCode

STATUSES: Mapping[grpc.StatusCode, int] = {
    Code.OK: 200,
    Code.INVALID_ARGUMENT: 400,
    Code.FAILED_PRECONDITION: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.ABORTED: 409,
    Code.RESOURCE_EXHAUSTED: 413,
    Code.INTERNAL: 500,
    Code.DATA_LOSS: 500,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}
TOO_MANY = 429
UNKNOWN_ENCODING = 415


def status_and_headers(outcome: Outcome) -> tuple[int, dict[str, str]]:
    """Say how a call's end looks over HTTP: its status, and when to come again or how to be known."""
    trailing = dict(outcome.trailing)
    status, headers = STATUSES[outcome.code], dict[str, str]()
    if outcome.code is Code.UNAUTHENTICATED:
        headers["www-authenticate"] = "Bearer"
    if RETRY_AFTER in trailing:
        # HTTP has whole seconds only.
        headers["retry-after"] = str(max(1, round(int(trailing[RETRY_AFTER]) / 1000)))
        # Room comes and goes: unlike a body that is too large, the same request may succeed.
        status = TOO_MANY if outcome.code is Code.RESOURCE_EXHAUSTED else status
    return status, headers
