"""Use what Triton adds to the protocol through the stock client; print what it said as one JSON object."""

import json
import queue
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

X = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32)


def tensor(array: Any = X) -> Any:
    """Make the input of `sums`."""
    made = triton.InferInput("x", array.shape, "FP32")
    made.set_data_from_numpy(array)
    return made


def outcome(call: Callable[[], Any]) -> Any:
    """Say what a call gave, or its error as code and text."""
    try:
        return call()
    except InferenceServerException as error:
        return [error.status(), error.message()]


def about_models(client: Any) -> dict[str, Any]:
    """Call everything that tells of models and settings."""
    return {
        "config": client.get_model_config("sums", as_json=True)["config"],
        "member's config": client.get_model_config("sums.first", as_json=True)["config"],
        "statistics": client.get_inference_statistics("sums", as_json=True)["model_stats"],
        "all statistics": sorted(
            each["name"] for each in client.get_inference_statistics(as_json=True)["model_stats"]
        ),
        "index": client.get_model_repository_index(as_json=True)["models"],
        "trace": client.get_trace_settings("sums", as_json=True)["settings"],
        "log": client.get_log_settings(as_json=True)["settings"],
        "unload": client.unload_model("digits", unload_dependents=True),
        "load": client.load_model("digits"),
    }


def refused(client: Any) -> dict[str, Any]:
    """Ask for what isn't offered."""
    other = {"files": {"file:1/model.onnx": b"bytes"}, "config": '{"backend": "python"}'}
    calls: dict[str, Callable[[], Any]] = {
        "unknown config": lambda: client.get_model_config("x"),
        "unknown statistics": lambda: client.get_inference_statistics("x"),
        "load from the wire": lambda: client.load_model("digits", **other),
        "trace change": lambda: client.update_trace_settings(settings={"trace_level": ["TIMESTAMPS"]}),
        "log change": lambda: client.update_log_settings({"log_info": False}),
        "shared memory": lambda: client.register_system_shared_memory("a", "/a", 8),
        "shared memory status": client.get_system_shared_memory_status,
        "cuda memory": client.get_cuda_shared_memory_status,
    }
    return {name: outcome(call) for name, call in calls.items()}


def outputs(client: Any) -> dict[str, Any]:
    """Ask for the optional outputs and for a classification."""
    names = ("scores", "label", "entropy", "disagreement", "member_scores")
    asked = client.infer("sums", [tensor()], outputs=[triton.InferRequestedOutput(name) for name in names])
    top = client.infer("sums", [tensor()], outputs=[triton.InferRequestedOutput("scores", class_count=1)])
    response = asked.get_response()
    return {
        "shapes": {name: list(asked.as_numpy(name).shape) for name in names},
        "labels": [label.decode() for label in asked.as_numpy("label").ravel()],
        "members": asked.as_numpy("member_scores").tolist(),
        "weights version": response.parameters["weights_version"].int64_param,
        "top": [text.decode() for text in top.as_numpy("scores").ravel()],
    }


def stream(client: Any) -> list[Any]:
    """Send good and bad requests on one stream."""
    answers: queue.Queue[Any] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for number, model in enumerate(("sums", "x", "sums", "sums")):
        client.async_stream_infer(
            model, [tensor(X + number)], request_id=str(number), enable_empty_final_response=True
        )
    told = [answers.get(timeout=10) for _ in range(4)]
    client.stop_stream()
    return [
        error.message()
        if error
        else [
            result.get_response().id,
            result.as_numpy("scores").tolist(),
            result.get_response().parameters["triton_final_response"].bool_param,
        ]
        for result, error in told
    ]


def main() -> None:
    """Print all answers."""
    with triton.InferenceServerClient(sys.argv[1]) as client:
        answers = {
            "models": about_models(client),
            "refused": refused(client),
            "outputs": outputs(client),
            "stream": stream(client),
        }
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main()
