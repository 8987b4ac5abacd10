"""Ask a server everything over HTTP through the stock client, and print what it said as one JSON object.

With "mistakes" as second argument make every mistake instead.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from tests.clients.triton_sync import DTYPES, X, scores

OPTIONAL = ("label", "entropy", "disagreement", "member_scores")


def tensor(name: str, array: Any, datatype: str | None = None, *, binary: bool = True) -> Any:
    """Make an input of `array`, after the JSON or in it."""
    made = triton.InferInput(name, array.shape, datatype or np_to_triton_dtype(array.dtype))
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def output(name: str = "scores", *, binary: bool = True, top: int = 0) -> Any:
    """Ask for an output, after the JSON or in it."""
    return triton.InferRequestedOutput(name, binary_data=binary, class_count=top)


def outcome(call: Callable[[], Any]) -> list[str]:
    """Say how a call ended: its status and text."""
    try:
        call()
    except InferenceServerException as error:
        return [error.status(), error.message()]
    return ["200", ""]


def getters(client: Any) -> dict[str, Any]:
    """Call everything that isn't inference."""
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model ready": client.is_model_ready("sums"),
        "version ready": client.is_model_ready("sums", "3"),
        "loading ready": client.is_model_ready("sums", "4"),
        "unknown ready": client.is_model_ready("x"),
        "server": client.get_server_metadata(),
        "model": client.get_model_metadata("sums"),
        "model version": client.get_model_metadata("pair", "2"),
        "config": client.get_model_config("sums"),
        "config of a version": client.get_model_config("sums", "2"),
        "statistics": client.get_inference_statistics("sums"),
        "statistics of a version": client.get_inference_statistics("sums", "3"),
        "all statistics": sorted(each["name"] for each in client.get_inference_statistics()["model_stats"]),
        "index": client.get_model_repository_index(),
        "trace": client.get_trace_settings(),
        "model's trace": client.get_trace_settings("sums"),
        "log": client.get_log_settings(),
        "unload": client.unload_model("digits", unload_dependents=True),
        "load": client.load_model("digits"),
    }


def inference(client: Any) -> dict[str, Any]:
    """Score rows in every way the client knows."""
    asked = client.infer(
        "sums",
        [tensor("x", X)],
        model_version="2",
        request_id="a 7",
        outputs=[output()],
        timeout=5_000_000,
        priority=1,
    )
    pair = [tensor("b", np.array([10, 20]), binary=False), tensor("a", np.ones((2, 2), np.float32))]
    large = np.ones((1, 2 * 2**20), np.float32)
    top = client.infer("sums", [tensor("x", X)], outputs=[output(top=1, binary=False)])
    several = client.infer(
        "sums",
        [tensor("x", X)],
        outputs=[output(name, binary=name == "label") for name in ("scores", *OPTIONAL)],
    )
    return {
        "binary": scores(client.infer("sums", [tensor("x", X)])),
        "json": scores(client.infer("sums", [tensor("x", X, binary=False)], outputs=[output(binary=False)])),
        "json to binary": scores(client.infer("sums", [tensor("x", X, binary=False)])),
        "binary to json": scores(client.infer("sums", [tensor("x", X)], outputs=[output(binary=False)])),
        "asked": scores(asked),
        "asked response": [asked.get_response().get(key) for key in ("model_name", "model_version", "id")],
        "weights version": asked.get_response()["parameters"]["weights_version"],
        "member": scores(client.infer("sums.first", [tensor("x", X)])),
        "both": scores(client.infer("pair", pair)),
        "8 MB": scores(client.infer("wide", [tensor("x", large)])),
        **{
            f"{way} {name}": scores(client.infer("sums", [tensor("x", X)], **{way: name}))
            for way in ("request_compression_algorithm", "response_compression_algorithm")
            for name in ("gzip", "deflate")
        },
        "top": [
            text.decode() if isinstance(text, bytes) else text for text in top.as_numpy("scores").ravel()
        ],
        "labels": [label.decode() for label in several.as_numpy("label").ravel()],
        "shapes": {name: list(several.as_numpy(name).shape) for name in OPTIONAL},
        "async": scores(client.async_infer("sums", [tensor("x", X)]).get_result()),
    }


def dtypes(client: Any) -> dict[str, Any]:
    """Score one row of each dtype, 1 and 0 or 1 and 3, in both encodings where there are two."""
    answers: dict[str, Any] = {}
    for dtype in DTYPES:
        array = np.array([[1, 0 if dtype == "bool" else 3]], dtype)
        name = np_to_triton_dtype(array.dtype)
        ways = (True,) if name == "FP16" else (True, False)
        answers[name] = [
            scores(client.infer(f"takes_{name}", [tensor("x", array, binary=binary)]))["rows"]
            for binary in ways
        ]
    text = np.array([[b"a", "äa".encode()]], dtype=object)
    answers["BYTES"] = [
        scores(client.infer("takes_BYTES", [tensor("x", text, binary=binary)]))["rows"]
        for binary in (True, False)
    ]
    brain = np.array([[1, 3]], ml_dtypes.bfloat16)
    answers["BF16"] = [scores(client.infer("takes_FP32", [tensor("x", brain, "BF16")]))["rows"]]
    return answers


def refused(client: Any) -> dict[str, Any]:
    """Make mistakes, and ask for what isn't offered."""
    row = tensor("x", X)
    calls: dict[str, Callable[[], Any]] = {
        "unknown model": lambda: client.infer("x", [row]),
        "unknown metadata": lambda: client.get_model_metadata("x"),
        "unknown version": lambda: client.infer("sums", [row], model_version="9"),
        "version loading": lambda: client.infer("sums", [row], model_version="4"),
        "version not a number": lambda: client.infer("sums", [row], model_version="abc"),
        "wrong dtype": lambda: client.infer("sums", [tensor("x", X.astype(np.float64))]),
        "wrong shape": lambda: client.infer("sums", [tensor("x", X[:, :3])], request_id="7"),
        "unknown statistics": lambda: client.get_inference_statistics("x"),
        "queue full": lambda: client.infer("takes_INT8", [tensor("x", np.ones((1, 2), np.int8))]),
        "queue timeout": lambda: client.infer(
            "takes_INT16", [tensor("x", np.ones((1, 2), np.int16))], timeout=1000
        ),
        "member failed": lambda: client.infer("takes_INT32", [tensor("x", np.ones((1, 2), np.int32))]),
        "unexpected": lambda: client.infer("takes_INT64", [tensor("x", np.ones((1, 2), np.int64))]),
        "load from the wire": lambda: client.load_model("digits", config='{"backend": "python"}'),
        "trace change": lambda: client.update_trace_settings(settings={"trace_level": ["TIMESTAMPS"]}),
        "log change": lambda: client.update_log_settings({"log_info": False}),
        "shared memory": lambda: client.register_system_shared_memory("a", "/a", 8),
        "shared memory status": client.get_system_shared_memory_status,
        "cuda memory": client.get_cuda_shared_memory_status,
    }
    return {name: outcome(call) for name, call in calls.items()}


def main() -> None:
    """Print all answers."""
    with triton.InferenceServerClient(sys.argv[1]) as client:
        if sys.argv[2:] == ["mistakes"]:
            answers = refused(client)
        else:
            answers = {
                "getters": getters(client),
                "inference": inference(client),
                "dtypes": dtypes(client),
            }
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main()
