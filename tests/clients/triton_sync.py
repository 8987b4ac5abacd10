"""Ask a server everything through the stock client, and print what it said as one JSON object."""

import json
import sys
from collections.abc import Sequence
from typing import Any

import grpc
import ml_dtypes
import numpy as np
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import np_to_triton_dtype

X = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32)
DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64",
)  # fmt: skip


def tensor(name: str, array: Any, datatype: str | None = None) -> Any:
    """Make an input of `array`."""
    made = triton.InferInput(name, array.shape, datatype or np_to_triton_dtype(array.dtype))
    made.set_data_from_numpy(array)
    return made


def scores(result: Any) -> Any:
    """Read the scores as the stock client does."""
    array = result.as_numpy("scores")
    return {"dtype": str(array.dtype), "rows": array.tolist()}


def getters(client: Any) -> dict[str, Any]:
    """Call everything that isn't inference."""
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model ready": client.is_model_ready("sums"),
        "version ready": client.is_model_ready("sums", "3"),
        "loading ready": client.is_model_ready("sums", "4"),
        "server": client.get_server_metadata(as_json=True),
        "model": client.get_model_metadata("sums", as_json=True),
        "model version": client.get_model_metadata("pair", "2", as_json=True),
    }


def inference(client: Any) -> dict[str, Any]:
    """Score rows in every way the client knows."""
    plain = client.infer("sums", [tensor("x", X)])
    asked = client.infer(
        "sums",
        [tensor("x", X)],
        model_version="2",
        request_id="a 7",
        outputs=[triton.InferRequestedOutput("scores")],
        timeout=5_000_000,
        priority=1,
        client_timeout=5,
    )
    pair = [tensor("b", np.array([10, 20])), tensor("a", np.ones((2, 2), np.float32))]
    large = np.ones((1, 2 * 2**20), np.float32)
    return {
        "raw": scores(plain),
        "raw response": head(plain.get_response()),
        "asked": scores(asked),
        "asked response": head(asked.get_response()),
        "gzip": scores(client.infer("sums", [tensor("x", X)], compression_algorithm="gzip")),
        "member": scores(client.infer("sums.first", [tensor("x", X)])),
        "pair": scores(client.infer("pair", pair)),
        "8 MB": scores(client.infer("wide", [tensor("x", large)])),
    }


def head(response: Any) -> Sequence[str]:
    """Say what a response tells beside its tensors."""
    return [response.model_name, response.model_version, response.id]


def dtypes(client: Any) -> dict[str, Any]:
    """Score one row of each dtype: 1 and 0, or 1 and 3."""
    answers = {}
    for dtype in DTYPES:
        array = np.array([[1, 0 if dtype == "bool" else 3]], dtype)
        name = np_to_triton_dtype(array.dtype)
        answers[name] = scores(client.infer(f"takes_{name}", [tensor("x", array)]))["rows"]
    text = np.array([[b"a", "äa".encode()]], dtype=object)
    answers["BYTES"] = scores(client.infer("takes_BYTES", [tensor("x", text)]))["rows"]
    brain = np.array([[1, 3]], ml_dtypes.bfloat16)
    answers["BF16"] = scores(client.infer("takes_FP32", [tensor("x", brain, "BF16")]))["rows"]
    return answers


def typed(url: str) -> dict[str, Any]:
    """Send typed contents, which only the bare stub can; read the answer as the client does."""
    answers = {}
    with grpc.insecure_channel(url) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        for field, datatype, values in (
            ("bool_contents", "BOOL", [True, False]),
            ("int_contents", "INT8", [1, 3]),
            ("int_contents", "INT32", [1, 3]),
            ("int64_contents", "INT64", [1, 3]),
            ("uint_contents", "UINT16", [1, 3]),
            ("uint64_contents", "UINT64", [1, 3]),
            ("fp32_contents", "FP32", [1, 3]),
            ("fp64_contents", "FP64", [1, 3]),
            ("bytes_contents", "BYTES", [b"a", b"abc"]),
        ):
            request = service_pb2.ModelInferRequest(model_name=f"takes_{datatype}", id=datatype)
            made = request.inputs.add(name="x", datatype=datatype, shape=[1, 2])
            getattr(made.contents, field).extend(values)
            response = stub.ModelInfer(request, timeout=10)
            answers[response.id] = scores(triton.InferResult(response))["rows"]
    return answers


def main() -> None:
    """Print all answers."""
    url = sys.argv[1]
    with triton.InferenceServerClient(url) as client:
        answers = {
            "getters": getters(client),
            "inference": inference(client),
            "dtypes": dtypes(client),
        }
    answers["typed"] = typed(url)
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main()
