"""A small gRPC client of our own server: for `unisono predict`, `unisono health` and the demo."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import grpc
import numpy as np
from grpc_health.v1 import health_pb2

from ensemble.errors import InvalidRequestError, UnavailableError
from ensemble.member import Rows, Scores
from ensemble.signature import Signature, TensorSpec

from . import tensors
from .client_security import ClientSecurity
from .messages import message_class
from .oip import SERVICE

ANY_BYTES = -1
PLAIN_TEXT = ClientSecurity()
# Asking again would change nothing.
REFUSALS = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
)
BY_DATATYPE: Mapping[str, tensors.WireType] = {wire.datatype: wire for wire in tensors.WIRE_TYPES}


@dataclass(frozen=True, slots=True)
class Answer:
    """Scores, [row, class], and the version that gave them."""

    version: int
    scores: Scores


class Client:
    """A connection to one server. A context manager; errors are InvalidRequestError or UnavailableError."""

    def __init__(self, address: str, *, timeout: float = 10.0, security: ClientSecurity = PLAIN_TEXT) -> None:
        self._address = address
        self._timeout = timeout
        options = [
            ("grpc.max_receive_message_length", ANY_BYTES),
            ("grpc.max_send_message_length", ANY_BYTES),
        ]
        self._metadata, pem = security.metadata(), security.pem()
        if pem is None:
            self._channel = grpc.insecure_channel(address, options=options)
        else:
            credentials = grpc.ssl_channel_credentials(*pem)
            self._channel = grpc.secure_channel(address, credentials, options=options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def healthy(self, service: str = "") -> bool:
        """Whether the server, or one model of it, says that it serves."""
        request = health_pb2.HealthCheckRequest(service=service)
        response = self._call(
            "/grpc.health.v1.Health/Check",
            request,
            health_pb2.HealthCheckResponse,
        )
        return bool(response.status == health_pb2.HealthCheckResponse.SERVING)

    def signature(self, model: str) -> Signature:
        """What `model` takes and gives."""
        request = message_class("inference.ModelMetadataRequest")(name=model)
        response = self._oip("ModelMetadata", request)
        return Signature(
            tuple(_spec(tensor) for tensor in response.inputs),
            tuple(_spec(tensor) for tensor in response.outputs),
        )

    def infer(self, model: str, rows: Rows, *, version: str = "") -> Answer:
        """Score `rows` on `model`: an ensemble, or NAME.member."""
        request = message_class("inference.ModelInferRequest")(model_name=model, model_version=version)
        for name, array in rows.items():
            wire = tensors.BY_DTYPE["bytes" if array.dtype == object else array.dtype.name]
            request.inputs.add(name=name, datatype=wire.datatype, shape=array.shape)
            request.raw_input_contents.append(tensors.to_raw(array, wire))
        response = self._oip("ModelInfer", request)
        scores = tensors.from_raw(
            response.raw_output_contents[0], tensors.BY_DTYPE["float32"], tuple(response.outputs[0].shape)
        )
        return Answer(int(response.model_version), scores.astype(np.float32, copy=False))

    def _oip(self, method: str, request: Any) -> Any:
        return self._call(f"/{SERVICE}/{method}", request, message_class(f"inference.{method}Response"))

    def _call(self, path: str, request: Any, response: Any) -> Any:
        call = self._channel.unary_unary(
            path,
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        try:
            return call(request, timeout=self._timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            code, text = error.code(), error.details()
            if code in REFUSALS:
                raise InvalidRequestError(f"{self._address} refused: {text}") from None
            raise UnavailableError(
                f"{self._address} did not answer ({code.name}): {text}; is `unisono serve` running there?"
            ) from None


def _spec(tensor: Any) -> TensorSpec:
    return TensorSpec(tensor.name, BY_DATATYPE[tensor.datatype].dtype, tuple(tensor.shape)[1:])
