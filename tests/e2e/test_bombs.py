"""Requests of few bytes that call for many are refused before the server takes the memory."""

import gzip
import http.client
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from server.cli.demonstration.server_process import ServerProcess, serving
from server.wire.messages import message_class
from tests.support.secured import installed, linear_store

WHOLE = os.environ.get("UNISONO_PROOF") == "whole"

MIB = 2**20
MAX_MESSAGE = 2 * MIB
BOMB = 64 * MIB
# What refusing all of it may add to the server's peak since it was ready.
ALLOWED = 24 * MIB
GIB_OF_FLOATS = 2**28

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux")


def peak_of(pid: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


@dataclass
class Target:
    """A server, and its peak when it got ready."""

    server: ServerProcess
    at_first: int = 0

    def grown(self) -> int:
        """By how many bytes the most memory that it, and its workers, ever had has grown."""
        pid = self.server.process.pid
        workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return sum(peak_of(process) for process in (str(pid), *workers)) - self.at_first

    def refusal(self, path: str, data: bytes, **options: Any) -> tuple[str, str]:
        """How it refuses this request."""
        unlimited = [("grpc.max_send_message_length", -1)]
        with grpc.insecure_channel(self.server.address, unlimited) as channel:
            with pytest.raises(grpc.RpcError) as raised:
                channel.unary_unary(path)(data, timeout=60, **options)
            return raised.value.code().name, raised.value.details()

    def status(self, body: bytes, **headers: str) -> int:
        """How it answers this request over HTTP."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(http.client.HTTPConnection(self.server.http_address, timeout=60)) as connection:
            connection.request("POST", "/v2/models/m/infer", body, sent)
            return connection.getresponse().status


@pytest.fixture(scope="module", params=["grpcio", "http2", *(["envoy"] if WHOLE else [])], name="target")
def fixture_target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("bombs")
    options = ["--max-message-bytes", str(MAX_MESSAGE), "--transport", installed(request.param)]
    store = str(linear_store(folder))
    with serving(store, folder / "serve.log", [*options, "--http-port", "0"]) as process:
        target = Target(process)
        target.at_first = target.grown()
        yield target


def oip(datatype: str, shape: list[int], raw: bytes | None = None, **contents: Any) -> bytes:
    request = message_class("inference.ModelInferRequest")(model_name="m")
    tensor = request.inputs.add(name="x", datatype=datatype, shape=shape)
    if raw is not None:
        request.raw_input_contents.append(raw)
    for field, values in contents.items():
        getattr(tensor.contents, field).extend(values)
    data: bytes = request.SerializeToString()
    return data


def tfs(shape: list[int], **values: Any) -> bytes:
    request = message_class("tensorflow.serving.PredictRequest")()
    request.model_spec.name = "m"
    tensor = request.inputs["x"]
    tensor.dtype = 1  # DT_FLOAT
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    for field, value in values.items():
        if field == "tensor_content":
            tensor.tensor_content = value
        else:
            getattr(tensor, field).extend(value)
    data: bytes = request.SerializeToString()
    return data


INFER = "/inference.GRPCInferenceService/ModelInfer"
PREDICT = "/tensorflow.serving.PredictionService/Predict"
SHAPES = {
    "raw": (INFER, oip("FP32", [GIB_OF_FLOATS, 4], b"\0" * 16)),
    "raw and wide": (INFER, oip("FP32", [1, GIB_OF_FLOATS], b"\0" * 16)),
    "raw half floats": (INFER, oip("BF16", [GIB_OF_FLOATS, 4], b"\0" * 8)),
    "typed": (INFER, oip("FP32", [GIB_OF_FLOATS, 4], fp32_contents=[1.0] * 4)),
    "text": (INFER, oip("BYTES", [GIB_OF_FLOATS, 4], b"\0" * 16)),
    "more than numbers hold": (INFER, oip("FP32", [2**62, 2**62], b"\0" * 16)),
    "negative": (INFER, oip("FP32", [-1, 4], b"\0" * 16)),
    "one value for all": (PREDICT, tfs([GIB_OF_FLOATS, 4], float_val=[1.0])),
    "content": (PREDICT, tfs([GIB_OF_FLOATS, 4], tensor_content=b"\0" * 16)),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_declared_gibibyte_is_refused_without_it(target: Target, shape: str) -> None:
    code, _ = target.refusal(*SHAPES[shape])
    assert code == "INVALID_ARGUMENT"
    assert target.grown() < ALLOWED


@pytest.mark.parametrize("path", [INFER, PREDICT])
@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_decompression_bombs_are_refused_without_the_memory(
    target: Target, path: str, compression: grpc.Compression
) -> None:
    for _ in range(3):
        code, text = target.refusal(path, bytes(BOMB), compression=compression)
        assert code == "RESOURCE_EXHAUSTED"
        assert "Decompressed message larger than max" in text
    assert target.grown() < ALLOWED


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_decompression_bombs_over_http_are_refused_without_the_memory(target: Target, encoding: str) -> None:
    bomb = gzip.compress(bytes(BOMB)) if encoding == "gzip" else zlib.compress(bytes(BOMB))
    for _ in range(3):
        assert target.status(bomb, content_encoding=encoding) == 413
    assert target.grown() < ALLOWED


@pytest.mark.parametrize("shape", [[GIB_OF_FLOATS, 4], [1, GIB_OF_FLOATS], [2**62, 2**62], [-1, 4]])
@pytest.mark.parametrize("binary", [True, False])
def test_a_gibibyte_declared_over_http_is_refused_without_it(
    target: Target, shape: list[int], binary: bool
) -> None:
    tensor: dict[str, Any] = {"name": "x", "shape": shape, "datatype": "FP32"}
    tensor |= {"parameters": {"binary_data_size": 16}} if binary else {"data": [1.0] * 4}
    header = json.dumps({"inputs": [tensor]}).encode()
    if binary:
        length = str(len(header))
        assert target.status(header + bytes(16), inference_header_content_length=length) == 400
    else:
        assert target.status(header) == 400
    assert target.grown() < ALLOWED
