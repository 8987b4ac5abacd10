from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ensemble.errors import InvalidRequestError, NotOfferedError
from ensemble.signature import TensorSpec
from tests.support.models import FakeModels, info_of
from tests.support.tfs import call, example, examples, message, spec, tfs


async def classify(given: Any, model: str = "sums") -> list[list[tuple[str, float]]]:
    request = message("ClassificationRequest", model_spec=spec(model), input=given)
    answer = await tfs().classify(request, call())
    return [[(c.label, c.score) for c in row.classes] for row in answer.result.classifications]


async def test_examples_are_classified_in_the_classes_order() -> None:
    given = examples(example(x=[1.0, 2.0, 3.0, 4.0], other=[b"ignored"]), example(x=[0.5, 0.5, 0.5, 0.5]))

    assert await classify(given) == [[("no", 10.0), ("yes", 20.0)], [("no", 2.0), ("yes", 4.0)]]


async def test_the_context_fills_in_what_an_example_lacks() -> None:
    given = message(
        "Input",
        example_list_with_context={
            "examples": [example(a=[1.0, 2.0]), example(a=[1.0, 2.0], b=[7])],
            "context": example(b=[4]),
        },
    )

    assert await classify(given, "pair") == [[("no", 7.0), ("yes", 14.0)], [("no", 10.0), ("yes", 20.0)]]


@pytest.mark.parametrize(
    ("wire", "values"), [("INT8", [1, 3]), ("FP64", [1.0, 3.0]), ("BOOL", [1, 0]), ("BYTES", [b"a", b"abc"])]
)
async def test_features_hold_every_kind_of_value(wire: str, values: list[Any]) -> None:
    [[_, (_, score)]] = await classify(examples(example(x=values)), f"takes_{wire}")

    assert score == (2.0 if wire == "BOOL" else 8.0)


async def test_an_axis_of_any_size_takes_what_there_is() -> None:
    given = examples(example(x=[1.0, 2.0, 3.0]))

    assert await classify(given, "wide") == [[("no", 6.0), ("yes", 12.0)]]


@pytest.mark.parametrize(
    ("given", "model", "text"),
    [
        (message("Input"), "sums", "Input is empty."),
        (examples(), "sums", "Input is empty."),
        (
            examples(example(y=[1.0])),
            "sums",
            "Name: <unknown>, Feature: x (data type: float) is required but could not be found.",
        ),
        (
            examples(example(x=[1, 2, 3, 4])),
            "sums",
            "Name: <unknown>, Feature: x.  Data types don't match. Expected type: float",
        ),
        (
            examples(example(x=[1.0] * 4), example(x=[1.0] * 3)),
            "sums",
            "Name: <unknown>, Key: x, Index: 1.  Number of float values != expected.  Values size: 3 but",
        ),
        (
            examples(example(x=[1.0] * 4), example(x=[1.0] * 3)),
            "wide",
            "feature x of row 1 has the shape [3], but that of row 0 has [4]",
        ),
        (
            examples(*[example(x=[1.0] * 4)] * 9),
            "sums",
            "Task size 9 is larger than maximum input batch size 8",
        ),
        (examples(example(x=[float("nan")] * 4)), "sums", "input 'x' for model 'sums' has NaN in row 0"),
        (examples(example(x=[300, 1])), "takes_INT8", "feature x of row 0: INT8 values must be -128 to 127"),
        (examples(example(x=[2, 1])), "takes_BOOL", "feature x of row 0: a bool is 0 or 1"),
        (
            examples(example(x=[1.0, 1.0])),
            "takes_FP16",
            "input 'x' of model 'takes_FP16', float16 [2], can't be told by tf.Example; send tensors",
        ),
    ],
)
async def test_wrong_examples_are_told_in_the_words_that_clients_know(
    given: Any, model: str, text: str
) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        await classify(given, model)

    assert str(raised.value).startswith(text)


def single() -> FakeModels:
    """A model of one class, so of one score."""
    info = info_of("one", TensorSpec("x", "float32", (2,)))
    one = replace(info, classes=("value",))
    return FakeModels(
        by_name={"one": one}, run=lambda rows: rows["x"].sum(axis=1, keepdims=True).astype(np.float32)
    )


async def test_a_model_of_one_score_regresses() -> None:
    request = message(
        "RegressionRequest",
        model_spec=spec("one"),
        input=examples(example(x=[1.0, 2.5]), example(x=[1.0, 0.0])),
    )

    answer = await tfs(single()).regress(request, call())

    assert [each.value for each in answer.result.regressions] == [3.5, 1.0]


async def test_a_classifier_does_not_regress() -> None:
    request = message("RegressionRequest", model_spec=spec(), input=examples(example(x=[1.0] * 4)))

    with pytest.raises(NotOfferedError, match=r"^model 'sums' scores 2 classes, .* use Classify or Predict$"):
        await tfs().regress(request, call())


async def test_several_tasks_are_answered_from_one_scoring() -> None:
    models = single()
    request = message(
        "MultiInferenceRequest",
        tasks=[
            {"model_spec": spec("one"), "method_name": f"tensorflow/serving/{kind}"}
            for kind in ("classify", "regress")
        ],
        input=examples(example(x=[1.0, 2.5])),
    )

    answer = await tfs(models).multi_inference(request, call())

    classified, regressed = answer.results
    [row] = classified.classification_result.classifications
    assert [(each.label, each.score) for each in row.classes] == [("value", 3.5)]
    assert [each.value for each in regressed.regression_result.regressions] == [3.5]
    assert regressed.model_spec.version.value == 3
    assert len(models.deadlines) == 1


CLASSIFY = "tensorflow/serving/classify"


@pytest.mark.parametrize(
    ("tasks", "error", "text"),
    [
        ([], InvalidRequestError, "Missing ModelSpec"),
        (
            [{"model_spec": spec(), "method_name": CLASSIFY}, {"model_spec": spec("pair")}],
            InvalidRequestError,
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
        ),
        (
            [{"model_spec": spec(), "method_name": CLASSIFY}] * 2,
            InvalidRequestError,
            "Duplicate evaluation of signature: serving_default",
        ),
        (
            [{"model_spec": spec(), "method_name": "tensorflow/serving/predict"}],
            NotOfferedError,
            "Unsupported signature method_name: tensorflow/serving/predict",
        ),
        (
            [{"model_spec": spec(), "method_name": "tensorflow/serving/regress"}],
            NotOfferedError,
            "model 'sums' scores 2 classes",
        ),
    ],
)
async def test_tasks_that_do_not_go_together_are_refused(
    tasks: list[dict[str, Any]], error: type[Exception], text: str
) -> None:
    request = message("MultiInferenceRequest", tasks=tasks, input=examples(example(x=[1.0] * 4)))

    with pytest.raises(error) as raised:
        await tfs().multi_inference(request, call())

    assert str(raised.value).startswith(text)
