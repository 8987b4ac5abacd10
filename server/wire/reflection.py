"""Describes our services to whoever asks, from the private pool: off unless the operator wants it.

Bound as one more method whose requests come on a stream, so that it drains and is counted like any other.
"""

from collections.abc import Iterable
from typing import Any

from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from . import health
from .call import Call
from .messages import descriptor_files
from .method import Method

INTERNAL = 13  # gRPC's number for it


def reflection_method(methods: Iterable[Method]) -> Method:
    """Make the method that describes the services of `methods`, health, and itself."""
    names = {method.service for method in methods} | {health.SERVICE, reflection.SERVICE_NAME}
    servicer = reflection.ReflectionServicer(names, pool=_pool())

    async def describe(request: Any, _call: Call) -> Any:
        return next(servicer.ServerReflectionInfo(iter((request,)), None))

    return Method(
        *(reflection.SERVICE_NAME, "ServerReflectionInfo"),
        *(reflection_pb2.ServerReflectionRequest, reflection_pb2.ServerReflectionResponse),
        describe,
        refuse=_refusal,
    )


def _pool() -> Any:
    """Make a pool of everything that can be asked about: our files, and those of the two stock services."""
    pool = descriptor_pool.DescriptorPool()
    stock = (health_pb2.DESCRIPTOR.serialized_pb, reflection_pb2.DESCRIPTOR.serialized_pb)
    for file in (*descriptor_files(), *stock):
        pool.AddSerializedFile(file)
    return pool


def _refusal(request: Any, text: str) -> Any:
    response = reflection_pb2.ServerReflectionResponse(
        error_response={"error_code": INTERNAL, "error_message": text}
    )
    if request is not None:
        response.original_request.CopyFrom(request)
    return response
