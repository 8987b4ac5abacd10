"""The stock TensorFlow Serving client, in its own environment, against a real server over known models."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ensemble.errors import OverloadedError
from ensemble.signature import TensorSpec
from server.wire.health import Health
from server.wire.tfs import Tfs
from server.wire.tfs_models import TfsModels
from tests.support.bindings import Binding
from tests.support.clients import borrow_tensorflow, run_tfs
from tests.support.models import FakeModels, FakeRepository, info_of, infos
from tests.support.observers import Recorder

X = TensorSpec("x", "float32", (4,))
LABELS = {"stable": 2}
NOT_FOUND, INVALID = "NOT_FOUND", "INVALID_ARGUMENT"
FULL = "The batch scheduling queue to which this task was submitted is full"
INPUT_COUNT = (
    "input size does not match signature: 1!=2 len({b}) != len({a,b}). Sent extra: {}. "
    "Missing but required: {a}."
)
MISTAKES = {
    "no spec": (INVALID, "Missing ModelSpec"),
    "no name": (INVALID, "ModelSpec has no name specified."),
    "unknown model": (NOT_FOUND, "Servable not found for request: Latest(x)"),
    "unknown version": (NOT_FOUND, "Servable not found for request: Specific(sums, 9)"),
    "version loading": (NOT_FOUND, "Servable not found for request: Specific(sums, 4)"),
    "unknown label": (INVALID, "Unrecognized servable version label: x"),
    "unknown signature": ("FAILED_PRECONDITION", 'Serving signature key "foo" not found.'),
    "input count": (INVALID, INPUT_COUNT),
    "input name": (
        INVALID,
        "input tensor alias not found in signature: z. Inputs expected to be in the set {x}.",
    ),
    "bad tensor": (INVALID, "tensor parsing error: x"),
    "wrong dtype": (INVALID, "input 'x' is DT_INT64, but model 'sums' expects DT_FLOAT"),
    "wrong shape": (INVALID, "input 'x' for model 'sums' must have the shape [-1,4], but got [1,3]"),
    "no rows": (INVALID, "a request to model 'sums' has no rows"),
    "NaN": (INVALID, "input 'x' for model 'sums' has NaN in row 0"),
    "output name": (
        INVALID,
        "output tensor alias not found in signature: y Outputs expected to be in the set {scores,",
    ),
    "output twice": (INVALID, "duplicate output tensor alias: scores"),
    "too many rows": (INVALID, "Task size 9 is larger than maximum input batch size 8"),
    "queue full": ("UNAVAILABLE", FULL),
    "unexpected": ("INTERNAL", "internal error; see the server's log"),
    "metadata without field": (
        INVALID,
        "GetModelMetadataRequest must specify at least one metadata_field",
    ),
    "metadata of another field": (INVALID, "Metadata field x is not supported"),
    "status of a version": (NOT_FOUND, "Could not find version 9 of model digits"),
    "status of a model": (NOT_FOUND, "Could not find any versions of model m"),
    "no examples": (INVALID, "Input is empty."),
    "regress": ("UNIMPLEMENTED", "model 'sums' scores 2 classes, so Regress has no one value"),
    "task of another method": (
        "UNIMPLEMENTED",
        "Unsupported signature method_name: tensorflow/serving/predict",
    ),
    "tasks on different models": (
        INVALID,
        "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
    ),
    "a task given twice": (INVALID, "Duplicate evaluation of signature: serving_default"),
    "a feature is missing": (
        INVALID,
        "Name: <unknown>, Feature: x (data type: float) is required but could not be found.",
    ),
    "a feature of another type": (
        INVALID,
        "Name: <unknown>, Feature: x.  Data types don't match. Expected type: float",
    ),
    "a feature of another size": (
        INVALID,
        "Name: <unknown>, Key: x, Index: 0.  Number of float values != expected.",
    ),
    "batch sizes differ": (
        INVALID,
        "Batching session Run() input tensors must have equal 0th-dimension size",
    ),
    "a model listed twice": (INVALID, "Illegal to list model digits multiple times in config list"),
    "reload without a list": (
        INVALID,
        "ServerModelConfig type not supported by HandleReloadConfigRequest.",
    ),
    "config with a path": (INVALID, "model 'digits' has base_path in its config"),
    "config of what isn't published": (NOT_FOUND, "model 'x' isn't published"),
}


@pytest.fixture(scope="module")
def borrowed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("borrowed")
    borrow_tensorflow(folder)
    return folder


@asynccontextmanager
async def served(binding: Binding) -> AsyncIterator[tuple[str, Recorder, FakeRepository]]:
    """A real server on a free port: its address, what its observer was told, and its repository."""
    failures = {"full": OverloadedError("8 rows wait"), "broken": KeyError("/etc/secret")}
    models = FakeModels({**infos(), **{name: info_of(name, X) for name in failures}}, failures=failures)
    repository, observer = FakeRepository(), Recorder()
    methods = [
        *Tfs(models, lambda _: LABELS).methods(),
        *TfsModels(repository, lambda _: LABELS, model_control=True).methods(),
    ]
    async with binding.serve(methods, Health(), observer=observer) as (_, address):
        yield address, observer, repository


async def test_the_stock_stubs_get_every_answer_and_every_mistake_its_code_and_text(
    binding: Binding, borrowed: Path
) -> None:
    async with served(binding) as (address, observer, repository):
        told = await run_tfs("tfs_calls.py", address, borrowed=borrowed)

    assert {name: code for name, (code, _) in told["mistakes"].items()} == {
        name: code for name, (code, _) in MISTAKES.items()
    }
    for name, (_, text) in told["mistakes"].items():
        assert text.startswith(MISTAKES[name][1]), name
    answers = told["answers"]
    assert answers["typed"] == answers["content"] == answers["member"] == [10.0, 20.0, 26.0, 52.0]
    assert answers["repeated"] == [4.0, 8.0]
    assert answers["pair"] == [7.0, 14.0]
    assert answers["versions"] == {"current": 3, "version": 2, "label": 2, "number": 3}
    assert answers["spec"] == {"name": "sums", "version": "3", "signatureName": "serving_default"}
    assert answers["outputs"] == [["entropy", "label"], ["yes", "yes"]]
    assert answers["metadata"] == {"signatureDef": {"serving_default": SIGNATURE}}
    assert answers["classified"] == answers["multi"] == CLASSIFIED
    assert answers["status"] == {
        "model_version_status": [{"version": "3", "state": "AVAILABLE", "status": {}}]
    }
    assert answers["config"] == {"status": {}}
    assert repository.done == ["load digits"]
    assert {call["method"] for _, _, call in observer.calls} == {
        *("Predict", "Classify", "Regress", "MultiInference", "GetModelMetadata"),
        *("GetModelStatus", "HandleReloadConfigRequest"),
    }


SIGNATURE = {
    "inputs": {
        "a": {"name": "a:0", "dtype": "DT_FLOAT", "tensorShape": {"dim": [{"size": "-1"}, {"size": "2"}]}},
        "b": {"name": "b:0", "dtype": "DT_INT64", "tensorShape": {"dim": [{"size": "-1"}]}},
    },
    "outputs": {
        "scores": {
            "name": "scores:0",
            "dtype": "DT_FLOAT",
            "tensorShape": {"dim": [{"size": "-1"}, {"size": "2"}]},
        }
    },
    "methodName": "tensorflow/serving/predict",
}
CLASSIFIED = {
    "classifications": [{"classes": [{"label": "no", "score": 10.0}, {"label": "yes", "score": 20.0}]}]
}


@pytest.mark.parametrize("first", ["ours", "theirs"])
async def test_our_messages_are_the_stock_ones_and_both_live_in_one_interpreter(
    first: str, borrowed: Path
) -> None:
    answers = await run_tfs("tfs_one_interpreter.py", first, borrowed=borrowed)

    assert answers == {"messages": 55, "enums": 3, "differences": {}, "tensorflow": False}
