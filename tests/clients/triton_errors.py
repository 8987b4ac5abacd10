"""Make every mistake a client can, and print the (code, text) that each brings as one JSON object.

With names as further arguments make those mistakes only; some are made only when they are named, since not
every server minds them.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

FP32_ROW = np.ones((1, 4), np.float32)


def tensor(name: str, array: Any, datatype: str = "FP32") -> Any:
    """Make an input of `array`."""
    made = triton.InferInput(name, array.shape, datatype)
    made.set_data_from_numpy(array)
    return made


def infer(client: Any, model: str, *tensors: Any, **options: Any) -> None:
    """Score `tensors`."""
    client.infer(model, list(tensors or [tensor("x", FP32_ROW)]), **options)


def bare(client: Any, change: Callable[[Any], object], model: str = "sums") -> None:
    """Send a message that the client's own classes wouldn't make."""
    request = service_pb2.ModelInferRequest(model_name=model)
    made = request.inputs.add(name="x", datatype="FP32", shape=[1, 4])
    made.contents.fp32_contents.extend([1, 2, 3, 4])
    change(request)
    try:
        client._client_stub.ModelInfer(request, timeout=10)  # noqa: SLF001 - the stock stub
    except Exception as error:
        triton._utils.raise_error_grpc(error)  # noqa: SLF001 - as the stock client does
        raise


def raw(data: bytes, *, typed: bool = False) -> Callable[[Any], object]:
    """Send `data` raw, instead of or beside the typed values."""

    def change(request: Any) -> None:
        request.raw_input_contents.append(data)
        if not typed:
            request.inputs[0].ClearField("contents")

    return change


def ints(request: Any) -> None:
    """Send the values in the field of another dtype."""
    request.inputs[0].contents.ClearField("fp32_contents")
    request.inputs[0].contents.int_contents.extend([1, 2, 3, 4])


def no_classes(request: Any) -> None:
    """Ask for the best none of the classes."""
    request.outputs.add(name="scores").parameters["classification"].int64_param = 0


def shared(request: Any) -> None:
    """Say that the values are in shared memory."""
    request.inputs[0].ClearField("contents")
    request.inputs[0].parameters["shared_memory_region"].string_param = "region"


def index(client: Any) -> None:
    """List another repository's models, which only a message of one's own can."""
    request = service_pb2.RepositoryIndexRequest(repository_name="other")
    try:
        client._client_stub.RepositoryIndex(request, timeout=10)  # noqa: SLF001 - the stock stub
    except Exception as error:
        triton._utils.raise_error_grpc(error)  # noqa: SLF001 - as the stock client does
        raise


def outputs(*names: str) -> list[Any]:
    """Ask for outputs by name."""
    return [triton.InferRequestedOutput(name) for name in names]


def mistakes(client: Any) -> dict[str, Callable[[], object]]:
    """List what to do wrong, by name."""
    nan = np.array([[1, 2, 3, 4], [1, np.nan, 3, 4]], np.float32)
    two, one = tensor("a", np.ones((2, 2), np.float32)), tensor("b", np.array([1]), "INT64")
    return {
        "unknown model": lambda: infer(client, "x"),
        "unknown model's metadata": lambda: client.get_model_metadata("x"),
        "unknown model's readiness": lambda: client.is_model_ready("x"),
        "unknown version": lambda: infer(client, "sums", model_version="9"),
        "version loading": lambda: infer(client, "sums", model_version="4"),
        "version not a number": lambda: infer(client, "sums", model_version="abc"),
        "wrong dtype": lambda: infer(client, "sums", tensor("x", FP32_ROW.astype(np.float64), "FP64")),
        "wrong shape": lambda: infer(client, "sums", tensor("x", np.ones((1, 5), np.float32))),
        "batch too large": lambda: infer(client, "sums", tensor("x", np.ones((9, 4), np.float32))),
        "empty batch": lambda: infer(client, "sums", tensor("x", FP32_ROW[:0])),
        "batch sizes differ": lambda: infer(client, "pair", two, one),
        "inputs missing": lambda: infer(client, "pair", one),
        "unknown input": lambda: infer(client, "sums", tensor("z", FP32_ROW), request_id="7"),
        "byte count": lambda: bare(client, raw(b"\0" * 15)),
        "raw and typed": lambda: bare(client, raw(b"\0" * 16, typed=True)),
        "no data": lambda: bare(client, lambda request: request.inputs[0].ClearField("contents")),
        "typed mismatch": lambda: bare(client, ints),
        "NaN": lambda: infer(client, "sums", tensor("x", nan)),
        "unknown output": lambda: infer(client, "sums", outputs=outputs("y")),
        "output twice": lambda: infer(client, "sums", outputs=outputs("scores", "scores")),
        "reserved parameter": lambda: bare(
            client, lambda request: request.parameters["triton_x"].__setattr__("bool_param", True)
        ),
        "queue full": lambda: infer(client, "takes_INT8", tensor("x", np.ones((1, 2), np.int8), "INT8")),
        "queue timeout": lambda: infer(
            client, "takes_INT16", tensor("x", np.ones((1, 2), np.int16), "INT16"), timeout=1000
        ),
        "member failed": lambda: infer(
            client, "takes_INT32", tensor("x", np.ones((1, 2), np.int32), "INT32")
        ),
        "unexpected": lambda: infer(client, "takes_INT64", tensor("x", np.ones((1, 2), np.int64), "INT64")),
        "not implemented": client.get_system_shared_memory_status,
        "no version loaded": lambda: infer(client, "empty"),
        "classification of none": lambda: bare(client, no_classes),
        "shared memory": lambda: bare(client, shared),
        "unknown statistics": lambda: client.get_inference_statistics("x"),
        "load of a member": lambda: client.load_model("digits.cnn"),
        "load from the wire": lambda: client.load_model("digits", config="{}"),
        "other repository": lambda: index(client),
        "trace change": lambda: client.update_trace_settings(settings={"trace_level": ["TIMESTAMPS"]}),
        "log change": lambda: client.update_log_settings({"log_info": False}),
        "deadline passed": lambda: infer(
            client, "takes_UINT8", tensor("x", np.ones((1, 2), np.uint8), "UINT8"), client_timeout=20
        ),
    }


def when_named(client: Any) -> dict[str, Callable[[], object]]:
    """List what is wrong only with some servers, by name; their tokens say what they open."""
    token = {
        scope: {"authorization": f"Bearer {scope}-{scope}-{scope}"}
        for scope in ("predict", "control", "nobody")
    }
    return {
        "no token": client.get_server_metadata,
        "unknown token": lambda: client.get_server_metadata(headers=token["nobody"]),
        "other scope": lambda: client.load_model("digits", headers=token["predict"]),
        "load not allowed": lambda: client.load_model("digits", headers=token["control"]),
        "unload not allowed": lambda: client.unload_model("digits", headers=token["control"]),
        "load of what isn't published": lambda: client.load_model("x"),
        "unload of what isn't published": lambda: client.unload_model("x"),
    }


def main() -> None:
    """Print what each mistake brings."""
    answers, named = {}, sys.argv[2:]
    with triton.InferenceServerClient(sys.argv[1]) as client:
        made = mistakes(client)
        for name, mistake in (made | when_named(client)).items():
            if name not in (named or made):
                continue
            try:
                mistake()
            except InferenceServerException as error:
                answers[name] = [error.status(), error.message()]
            else:
                answers[name] = ["no error", ""]
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main()
