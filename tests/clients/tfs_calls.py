"""Ask the stock TensorFlow Serving stubs for everything; print the answers, and each mistake's code and text.

The first argument is the server's address.
"""

import json
import struct
import sys
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict
from tensorflow.core.example import example_pb2
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

ROWS = ((1, 2, 3, 4), (5, 6, 7, 8))


def tensor(rows: Any = ROWS, *, content: bool = False, dtype: int = types_pb2.DT_FLOAT) -> Any:
    """Make a tensor of rows: typed, or as tf.make_tensor_proto does it with an array."""
    made = tensor_pb2.TensorProto(dtype=dtype)
    for size in (len(rows), len(rows[0]) if rows else 4):
        made.tensor_shape.dim.add(size=size)
    values = [float(value) for row in rows for value in row]
    if content:
        made.tensor_content = struct.pack(f"<{len(values)}f", *values)
    elif dtype == types_pb2.DT_FLOAT:
        made.float_val.extend(values)
    else:
        made.int64_val.extend(map(int, values))
    return made


def spec(name: str = "sums", *, version: int | None = None, label: str = "", signature: str = "") -> Any:
    """Make a ModelSpec."""
    made = model_pb2.ModelSpec(name=name, signature_name=signature)
    if version is not None:
        made.version.value = version
    if label:
        made.version_label = label
    return made


def request(model_spec: Any = None, *outputs: str, **inputs: Any) -> Any:
    """Make a PredictRequest."""
    return predict_pb2.PredictRequest(
        model_spec=spec() if model_spec is None else model_spec,
        inputs=inputs or {"x": tensor()},
        output_filter=outputs,
    )


def example(**features: list[float]) -> Any:
    """Make a tf.Example of floats."""
    made = example_pb2.Example()
    for name, values in features.items():
        made.features.feature[name].float_list.value.extend(values)
    return made


def whole_example(**features: list[int]) -> Any:
    """Make a tf.Example of whole numbers."""
    made = example_pb2.Example()
    for name, values in features.items():
        made.features.feature[name].int64_list.value.extend(values)
    return made


def classify(*made: Any) -> Any:
    """Ask for the classes of examples."""
    return examples(classification_pb2.ClassificationRequest(model_spec=spec()), *made)


def examples(message: Any, *made: Any) -> Any:
    """Put examples in a message's input."""
    message.input.example_list.examples.extend(made or [example(x=list(map(float, ROWS[0])))])
    return message


def tasks(method: str) -> Any:
    """Make a request of one task."""
    task = inference_pb2.InferenceTask(model_spec=spec(), method_name=f"tensorflow/serving/{method}")
    return examples(inference_pb2.MultiInferenceRequest(tasks=[task]))


def metadata(*fields: str) -> Any:
    """Ask for metadata."""
    return get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec("pair"), metadata_field=fields)


def status(model_spec: Any) -> Any:
    """Ask for a status."""
    return get_model_status_pb2.GetModelStatusRequest(model_spec=model_spec)


def config(*names: str, **more: Any) -> Any:
    """List the models to serve."""
    made = model_management_pb2.ReloadConfigRequest()
    for name in names:
        made.config.model_config_list.config.add(name=name, **more)
    return made


def answers(prediction: Any, models: Any) -> dict[str, Any]:
    """Ask for everything that has an answer."""

    def scores(message: Any) -> list[float]:
        return list(prediction.Predict(message, timeout=10).outputs["scores"].float_val)

    described = get_model_metadata_pb2.SignatureDefMap()
    prediction.GetModelMetadata(metadata("signature_def"), timeout=10).metadata["signature_def"].Unpack(
        described
    )
    versions = {
        name: prediction.Predict(request(wanted), timeout=10).model_spec.version.value
        for name, wanted in {
            "current": spec(),
            "version": spec(version=2),
            "label": spec(label="stable"),
            "number": spec(label="3"),
        }.items()
    }
    several = prediction.Predict(request(None, "label", "entropy"), timeout=10)
    multi = prediction.MultiInference(tasks("classify"), timeout=10)
    return {
        "typed": scores(request()),
        "content": scores(request(None, x=tensor(content=True))),
        "repeated": scores(request(None, x=tensor([(1, 1, 1, 1)]))),
        "pair": scores(request(spec("pair"), a=tensor([(1, 2)]), b=whole(4))),
        "member": scores(request(spec("sums.first"))),
        "versions": versions,
        "spec": MessageToDict(prediction.Predict(request(), timeout=10).model_spec),
        "outputs": [sorted(several.outputs), [text.decode() for text in several.outputs["label"].string_val]],
        "metadata": MessageToDict(described),
        "classified": MessageToDict(
            prediction.Classify(
                examples(classification_pb2.ClassificationRequest(model_spec=spec())), timeout=10
            ).result
        ),
        "multi": MessageToDict(multi.results[0].classification_result),
        "status": MessageToDict(models.GetModelStatus(status(spec("digits")), timeout=10)),
        "config": MessageToDict(models.HandleReloadConfigRequest(config("digits"), timeout=10)),
    }


def whole(*values: int) -> Any:
    """Make a tensor of one whole number a row."""
    made = tensor_pb2.TensorProto(dtype=types_pb2.DT_INT64, int64_val=values)
    made.tensor_shape.dim.add(size=len(values))
    return made


def mistakes(prediction: Any, models: Any) -> dict[str, tuple[Callable[..., Any], Any]]:
    """List the mistakes of the dialect's error table: what to call, and with what."""
    short = tensor(content=True)
    short.tensor_content = short.tensor_content[:-1]
    predict = {
        "no spec": predict_pb2.PredictRequest(inputs={"x": tensor()}),
        "no name": request(spec("")),
        "unknown model": request(spec("x")),
        "unknown version": request(spec(version=9)),
        "version loading": request(spec(version=4)),
        "unknown label": request(spec(label="x")),
        "unknown signature": request(spec(signature="foo")),
        "input count": request(spec("pair"), b=whole(4)),
        "input name": request(None, z=tensor()),
        "bad tensor": request(None, x=short),
        "wrong dtype": request(None, x=tensor(dtype=types_pb2.DT_INT64)),
        "wrong shape": request(None, x=tensor([(1, 2, 3)])),
        "no rows": request(None, x=tensor([])),
        "NaN": request(None, x=tensor([(1, 2, 3, float("nan"))])),
        "output name": request(None, "y"),
        "output twice": request(None, "scores", "scores"),
        "too many rows": request(None, x=tensor([ROWS[0]] * 9)),
        "batch sizes differ": request(spec("pair"), a=tensor([(1, 2)]), b=whole(4, 5)),
        "queue full": request(spec("full"), x=tensor()),
        "unexpected": request(spec("broken"), x=tensor()),
    }
    both = examples(inference_pb2.MultiInferenceRequest(tasks=[*tasks("classify").tasks] * 2))
    other = examples(inference_pb2.MultiInferenceRequest(tasks=tasks("classify").tasks))
    other.tasks.add(model_spec=spec("pair"), method_name="tensorflow/serving/classify")
    regression = examples(regression_pb2.RegressionRequest(model_spec=spec()))
    empty = classification_pb2.ClassificationRequest(model_spec=spec())
    return {
        **{name: (prediction.Predict, message) for name, message in predict.items()},
        "metadata without field": (prediction.GetModelMetadata, metadata()),
        "metadata of another field": (prediction.GetModelMetadata, metadata("x")),
        "status of a version": (models.GetModelStatus, status(spec("digits", version=9))),
        "status of a model": (models.GetModelStatus, status(spec("m"))),
        "no examples": (prediction.Classify, empty),
        "regress": (prediction.Regress, regression),
        "task of another method": (prediction.MultiInference, tasks("predict")),
        "tasks on different models": (prediction.MultiInference, other),
        "a task given twice": (prediction.MultiInference, both),
        "a feature is missing": (prediction.Classify, classify(example(y=[1.0]))),
        "a feature of another type": (prediction.Classify, classify(whole_example(x=[1, 2, 3, 4]))),
        "a feature of another size": (prediction.Classify, classify(example(x=[1.0]))),
        "a model listed twice": (models.HandleReloadConfigRequest, config("digits", "digits")),
        "reload without a list": (
            models.HandleReloadConfigRequest,
            model_management_pb2.ReloadConfigRequest(),
        ),
        "config with a path": (models.HandleReloadConfigRequest, config("digits", base_path="/etc")),
        "config of what isn't published": (models.HandleReloadConfigRequest, config("x")),
    }


def told(method: Callable[..., Any], message: Any) -> list[str]:
    """Make one mistake."""
    try:
        method(message, timeout=10)
    except grpc.RpcError as error:
        return [error.code().name, error.details()]
    return ["OK", ""]


def main() -> None:
    """Print all answers."""
    with grpc.insecure_channel(sys.argv[1]) as channel:
        prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        models = model_service_pb2_grpc.ModelServiceStub(channel)
        made = {name: told(*mistake) for name, mistake in mistakes(prediction, models).items()}
        sys.stdout.write(json.dumps({"answers": answers(prediction, models), "mistakes": made}))


if __name__ == "__main__":
    main()
