"""`grpc.health.v1`: whether the server, and each model, serves.

Born NOT_SERVING. A client that watches hears of every change that lasts, and its stream ends when the
server does: the reference servicer's never ends, and so would hold up every graceful stop.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from ensemble.errors import ModelNotFoundError

SERVICE = "grpc.health.v1.Health"
WHOLE_SERVER = ""
_Status = health_pb2.HealthCheckResponse


class Health:
    """What health checks are answered. Made and used on the event loop.

    The whole server is the empty name; each model has its own. Neither admission nor a drain ever
    refuses a health check.
    """

    def __init__(self) -> None:
        self._statuses: dict[str, int] = {WHOLE_SERVER: _Status.NOT_SERVING}
        self._changed = asyncio.Event()
        self._draining = False
        self._closed = False

    def show(self, *, ready: bool, models: Iterable[str]) -> None:
        """Say that the server is ready or not, and that exactly `models` serve; no effect in a drain."""
        if self._draining:
            return
        names = set(models)
        self._statuses[WHOLE_SERVER] = _Status.SERVING if ready else _Status.NOT_SERVING
        for name in names | set(self._statuses) - {WHOLE_SERVER}:
            self._statuses[name] = _Status.SERVING if name in names else _Status.NOT_SERVING
        self._wake()

    def drain(self) -> None:
        """Say NOT_SERVING of everything, for good."""
        self._draining = True
        self._statuses = dict.fromkeys(self._statuses, _Status.NOT_SERVING)
        self._wake()

    def close(self) -> None:
        """Drain, and end every watch once its client has been told."""
        self._closed = True
        self.drain()

    def check(self, request: Any) -> Any:
        """Answer a HealthCheckRequest; ModelNotFoundError for a name that nobody knows."""
        status = self._statuses.get(request.service)
        if status is None:
            raise ModelNotFoundError(f"unknown service '{request.service}'")
        return _Status(status=status)

    async def watch(self, request: Any) -> AsyncIterator[Any]:
        """Answer a HealthCheckRequest now, and at every change until `close`."""
        told = None
        while True:
            changed = self._changed
            status = self._statuses.get(request.service, _Status.SERVICE_UNKNOWN)
            if status != told:
                yield _Status(status=status)
                told = status
            elif self._closed:
                return
            else:
                await changed.wait()

    def handler(self) -> Any:
        """Return what grpc.aio binds."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Check": grpc.unary_unary_rpc_method_handler(
                    self._check, health_pb2.HealthCheckRequest.FromString, _Status.SerializeToString
                ),
                "Watch": grpc.unary_stream_rpc_method_handler(
                    self._watch, health_pb2.HealthCheckRequest.FromString, _Status.SerializeToString
                ),
            },
        )

    def _wake(self) -> None:
        # Whoever waits holds the old event, so none misses the change and none wakes twice.
        self._changed.set()
        self._changed = asyncio.Event()

    async def _check(self, request: Any, context: Any) -> Any:
        try:
            return self.check(request)
        except ModelNotFoundError as error:
            await context.abort(grpc.StatusCode.NOT_FOUND, str(error))

    async def _watch(self, request: Any, context: Any) -> None:
        async for response in self.watch(request):
            await context.write(response)
