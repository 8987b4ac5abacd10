"""Describes our services to whoever asks, from the private pool: off unless the operator wants it.

Bound as methods whose requests come on a stream, so that they drain and are counted like any other. There are
two, v1 and v1alpha: the same but for the name, and some tools know only one of them.
"""

from collections.abc import Iterable
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from . import health
from .call import Call
from .messages import descriptor_files
from .method import Method

INTERNAL = 13  # gRPC's number for it
V1ALPHA = reflection.SERVICE_NAME
V1 = V1ALPHA.replace("v1alpha", "v1")


def reflection_methods(methods: Iterable[Method]) -> list[Method]:
    """Make the methods that describe the services of `methods`, health, and themselves."""
    names = {method.service for method in methods} | {health.SERVICE, V1, V1ALPHA}
    servicer = reflection.ReflectionServicer(names, pool=_pool())

    async def describe(request: Any, _call: Call) -> Any:
        return next(servicer.ServerReflectionInfo(iter((request,)), None))

    return [
        Method(
            *(service, "ServerReflectionInfo"),
            *(reflection_pb2.ServerReflectionRequest, reflection_pb2.ServerReflectionResponse),
            describe,
            refuse=_refusal,
        )
        for service in (V1, V1ALPHA)
    ]


def _pool() -> Any:
    """Make a pool of everything that can be asked about: our files, and those of the stock services."""
    pool = descriptor_pool.DescriptorPool()
    stock = (health_pb2.DESCRIPTOR.serialized_pb, reflection_pb2.DESCRIPTOR.serialized_pb)
    for file in (*descriptor_files(), *stock, _v1_file()):
        pool.AddSerializedFile(file)
    return pool


def _v1_file() -> bytes:
    """Describe v1: the stock package has v1alpha only, whose messages are the same."""
    alpha = descriptor_pb2.FileDescriptorProto.FromString(reflection_pb2.DESCRIPTOR.serialized_pb)
    alpha.ClearField("options")
    text = text_format.MessageToString(alpha).replace("v1alpha", "v1")
    file: bytes = text_format.Parse(text, descriptor_pb2.FileDescriptorProto()).SerializeToString()
    return file


def _refusal(request: Any, text: str) -> Any:
    response = reflection_pb2.ServerReflectionResponse(
        error_response={"error_code": INTERNAL, "error_message": text}
    )
    if request is not None:
        response.original_request.CopyFrom(request)
    return response
