"""How a row goes to a system and its scores come back: the same floats, each in its fastest form."""

import http.client
import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
import numpy as np
from numpy.typing import NDArray

from peers.offered import Offer
from server.wire import tensors
from server.wire.messages import message_class

METHOD = "/inference.GRPCInferenceService/ModelInfer"
FRAME_BYTES = 5  # a flag and a length, before each gRPC message
TIMEOUT_SECS = 60.0
Floats = NDArray[np.float32]


class Wire(Protocol):
    """One way to ask."""

    @property
    def told(self) -> str:
        """Say it in words."""
        ...

    @property
    def flags(self) -> Sequence[str]:
        """What h2load must be told."""
        ...

    def url(self, address: str, offer: Offer) -> str:
        """Return where h2load sends its requests."""
        ...

    def body(self, offer: Offer, rows: Floats) -> bytes:
        """Return a request as h2load sends it."""
        ...

    def ask(self, address: str, offer: Offer, rows: Floats) -> tuple[NDArray[Any], int]:
        """Ask once; return the scores, and of how many bytes the answer's body was."""
        ...


def open_inference_body(name: str, rows: dict[str, NDArray[Any]]) -> bytes:
    """Write a ModelInferRequest as gRPC sends it: a zero byte, its length, the message."""
    request = message_class("inference.ModelInferRequest")(model_name=name)
    for key, array in rows.items():
        wire = tensors.BY_DTYPE[str(array.dtype)]
        request.inputs.add(name=key, datatype=wire.datatype, shape=array.shape)
        request.raw_input_contents.append(tensors.to_raw(array, wire))
    message = bytes(request.SerializeToString())
    return b"\0" + len(message).to_bytes(4, "big") + message


@dataclass(frozen=True)
class OpenInference:
    """gRPC, the Open Inference Protocol: raw float32 in a protobuf message."""

    told: str = "gRPC (OIP), raw tensors"
    flags: Sequence[str] = ("-H", "content-type: application/grpc", "-H", "te: trailers")

    def url(self, address: str, offer: Offer) -> str:  # noqa: ARG002 - the model's name is in the message
        """Return where h2load sends its requests."""
        return f"http://{address}{METHOD}"

    def body(self, offer: Offer, rows: Floats) -> bytes:
        """Return the message with its frame."""
        return open_inference_body(offer.name, {offer.input: rows})

    def ask(self, address: str, offer: Offer, rows: Floats) -> tuple[NDArray[Any], int]:
        """Ask with the stock gRPC client."""
        message = self.body(offer, rows)[FRAME_BYTES:]
        own = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(address, own) as channel:
            answer = channel.unary_unary(METHOD)(message, timeout=TIMEOUT_SECS, wait_for_ready=False)
        response = message_class("inference.ModelInferResponse").FromString(answer)
        output = response.outputs[0]
        if response.raw_output_contents:
            scores = np.frombuffer(response.raw_output_contents[0], np.float32)
        else:
            scores = np.array(output.contents.fp32_contents, np.float32)
        return scores.reshape(tuple(output.shape)), len(answer) + FRAME_BYTES


@dataclass(frozen=True)
class Raw:
    """HTTP/1.1 with a body of raw float32, both ways: `POST PREFIX/ENSEMBLE`."""

    told: str = "HTTP/1.1, raw float32"
    prefix: str = ""
    flags: Sequence[str] = ("--h1", "-H", "content-type: application/octet-stream")

    def url(self, address: str, offer: Offer) -> str:
        """Return where h2load sends its requests."""
        return f"http://{address}{self.prefix}/{offer.name}"

    def body(self, offer: Offer, rows: Floats) -> bytes:  # noqa: ARG002 - the same for all
        """Return the floats."""
        return rows.tobytes()

    def ask(self, address: str, offer: Offer, rows: Floats) -> tuple[NDArray[Any], int]:
        """Ask with the standard library's client."""
        answer = post(address, f"{self.prefix}/{offer.name}", rows.tobytes(), "application/octet-stream")
        return np.frombuffer(answer, np.float32).reshape(len(rows), -1), len(answer)


@dataclass(frozen=True)
class Base64:
    """HTTP/1.1 with JSON that holds each row's floats in base64; the answer is a list of scores a row."""

    told: str = "HTTP/1.1, JSON with the floats in base64"
    flags: Sequence[str] = ("--h1", "-H", "content-type: application/json")

    def url(self, address: str, offer: Offer) -> str:
        """Return where h2load sends its requests."""
        return f"http://{address}/{offer.name}"

    def body(self, offer: Offer, rows: Floats) -> bytes:  # noqa: ARG002 - the same for all
        """Return `{"rows": [base64, ...]}`."""
        return json.dumps({"rows": [b64encode(row.tobytes()).decode() for row in rows]}).encode()

    def ask(self, address: str, offer: Offer, rows: Floats) -> tuple[NDArray[Any], int]:
        """Ask with the standard library's client."""
        answer = post(address, f"/{offer.name}", self.body(offer, rows), "application/json")
        return np.array(json.loads(answer), np.float32).reshape(len(rows), -1), len(answer)


def post(address: str, path: str, body: bytes, media_type: str) -> bytes:
    """Send one request; OSError if the answer isn't 200."""
    host, _, port = address.partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=TIMEOUT_SECS)
    try:
        connection.request("POST", path, body, {"content-type": media_type})
        response = connection.getresponse()
        answer = response.read()
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise OSError(f"{path} answered {response.status}: {answer[:300]!r}")
    return answer
