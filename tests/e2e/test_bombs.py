"""Requests of few bytes that call for many are refused before the server takes the memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from ensemble.publishing.publish import PublishOptions, publish
from model_store.store import Store
from server.cli.demonstration.server_process import ServerProcess, serving
from server.wire.messages import message_class
from tests.support.onnx_models import write_linear

MIB = 2**20
MAX_MESSAGE = 2 * MIB
BOMB = 64 * MIB
# What refusing all of it may add to the server's peak since it was ready.
ALLOWED = 24 * MIB
GIB_OF_FLOATS = 2**28

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux")


@dataclass
class Target:
    """A server, and its peak when it got ready."""

    server: ServerProcess
    at_first: int = 0

    def grown(self) -> int:
        """By how many bytes the most memory that it ever had has grown."""
        status = Path(f"/proc/{self.server.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 - self.at_first

    def refusal(self, path: str, data: bytes, **options: Any) -> tuple[str, str]:
        """How it refuses this request."""
        unlimited = [("grpc.max_send_message_length", -1)]
        with grpc.insecure_channel(self.server.address, unlimited) as channel:
            with pytest.raises(grpc.RpcError) as raised:
                channel.unary_unary(path)(data, timeout=60, **options)
            return raised.value.code().name, raised.value.details()


@pytest.fixture(scope="module", name="target")
def fixture_target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("bombs")
    write_linear(folder / "a.onnx", seed=0)
    publish(Store.open(str(folder / "store")), "m", {"a": folder / "a.onnx"}, PublishOptions())
    with serving(
        str(folder / "store"), folder / "serve.log", ["--max-message-bytes", str(MAX_MESSAGE)]
    ) as process:
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
        assert (code, text) == ("RESOURCE_EXHAUSTED", "Decompressed message larger than max")
    assert target.grown() < ALLOWED
