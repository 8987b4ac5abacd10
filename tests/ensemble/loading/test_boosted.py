"""LightGBM's and XGBoost's own files become ONNX that answers as they do, on thresholds too."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from ensemble.errors import InvalidModelError
from ensemble.loading.boosted import convert_lightgbm, convert_xgboost
from ensemble.loading.convert import Conversion, convert, parity
from ensemble.loading.load import load_servable
from ensemble.publishing.examine import examine
from ensemble.publishing.publish import PublishOptions, publish
from ensemble.runtimes.onnx_runtime import OnnxMember
from model_store.store import Store
from tests.support.native_models import TASKS, Answer, rows_of, write_lightgbm, write_xgboost


@pytest.fixture(name="answers", scope="module")
def fixture_answers(folder: Path) -> Mapping[str, Answer]:
    """Write each library's model of each task, and say what it answers."""
    found = {}
    for task in TASKS:
        found[f"{task}.txt"] = write_lightgbm(folder / f"{task}.txt", task)
        found[f"{task}.json"] = write_xgboost(folder / f"{task}.json", task)
        found[f"{task}.ubj"] = write_xgboost(folder / f"{task}.ubj", task)
    found["softmax.json"] = write_xgboost(folder / "softmax.json", "classes", "multi:softmax")
    return found


@pytest.fixture(name="folder", scope="module")
def fixture_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("boosted")


@pytest.fixture(name="conversions", scope="module")
def fixture_conversions(answers: Mapping[str, Answer], folder: Path) -> Mapping[str, Conversion]:
    return convert({name: folder / name for name in answers}, folder / "work")


@pytest.mark.parametrize("ending", ["txt", "json", "ubj"])
@pytest.mark.parametrize("task", TASKS)
def test_the_conversion_answers_as_the_library_does(
    task: str,
    ending: str,
    answers: Mapping[str, Answer],
    conversions: Mapping[str, Conversion],
    record_property: Callable[[str, object], None],
) -> None:
    made, name = conversions[f"{task}.{ending}"], f"{task}.{ending}"
    member = OnnxMember.open(made.onnx, name="gbm", digest="", signature=made.signature)
    features, _ = rows_of(task)
    expected = answers[name](features)

    found = member.predict({"features": features})

    error = np.abs(found - expected) / np.maximum(1, np.abs(expected))
    record_property("max_error", f"{error.max():.2g}")
    assert error.max() <= 1e-5
    report = parity(made, member)
    assert report["rows"] == 256
    assert report["max_abs_error"] <= 1e-5
    assert report["against"].startswith("lightgbm 4." if ending == "txt" else "xgboost 3.")


def test_a_model_that_answers_classes_gives_their_probabilities(
    answers: Mapping[str, Answer], conversions: Mapping[str, Conversion]
) -> None:
    made = conversions["softmax.json"]
    member = OnnxMember.open(made.onnx, name="gbm", digest="", signature=made.signature)
    features, _ = rows_of("classes")

    np.testing.assert_allclose(
        member.predict({"features": features}), answers["softmax.json"](features), atol=1e-6
    )


def test_rows_on_a_threshold_that_is_no_32_bit_float_go_lightgbms_way(tmp_path: Path) -> None:
    # 0.1 as a 32-bit float is above 0.1: rounded to the nearest, x <= 0.1 would hold for it.
    write_lightgbm(tmp_path / "model.txt", "value")
    text = (tmp_path / "model.txt").read_text()
    first = next(line for line in text.splitlines() if line.startswith("threshold="))
    changed = "threshold=" + " ".join(["0.1"] * len(first.split()))
    lines = [changed if line == first else line for line in text.split("\n")]
    (tmp_path / "model.txt").write_text(
        "\n".join(line for line in lines if not line.startswith("tree_sizes"))
    )

    made = convert_lightgbm(tmp_path / "model.txt", tmp_path / "model.onnx")

    rows = np.full((1, 10), np.float32(0.1))
    assert float(rows[0, 0]) > 0.1
    import lightgbm  # noqa: PLC0415 - slow to import

    expected = lightgbm.Booster(model_file=tmp_path / "model.txt").predict(rows)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    [found] = session.run(None, {"features": rows})
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-6)
    [found] = session.run(None, {"features": made.rows})
    np.testing.assert_allclose(found, made.answers, rtol=1e-6)


def test_they_are_published_and_pooled_with_each_other(
    answers: Mapping[str, Answer], folder: Path, tmp_path: Path
) -> None:
    store = Store.open(str(tmp_path / "store"))
    features, _ = rows_of("classes")
    files = {"light": folder / "classes.txt", "extreme": folder / "classes.ubj"}

    publish(store, "iris", files, PublishOptions(sample={"features": features}))

    records = {record.name: record for record in store.manifest("iris").members}
    assert (records["light"].format, records["extreme"].format) == ("lightgbm", "xgboost-ubj")
    assert records["light"].derived["onnx"].parity["rows"] == 256 + 150
    expected = (answers["classes.txt"](features) + answers["classes.ubj"](features)) / 2
    scores = load_servable(store, "iris").score({"features": features})
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-6)


def test_a_file_is_examined_step_by_step(answers: Mapping[str, Answer], folder: Path, tmp_path: Path) -> None:
    assert answers
    checks = {passed.check: passed.found for passed in examine(folder / "value.txt", tmp_path)}

    assert checks["format"] == "lightgbm, told by its bytes"
    assert checks["signature"] == "features float32 [rows, 10] -> scores float32 [rows, 1]"
    assert checks["agreement"].startswith("off from lightgbm 4.")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("cut.txt", b"tree\nversion=v4\nnum_class=3\n"),
        ("cut.json", b'{"learner":{"attributes"'),
        ("deep.json", b'{"learner":' + b"[" * 200_000),
        ("cut.ubj", b"{L\0\0\0\0\0\0\0\x07learner{L\0\0\0"),
    ],
)
def test_a_damaged_file_is_refused_and_ends_nothing_but_its_own_process(
    tmp_path: Path, name: str, data: bytes
) -> None:
    (tmp_path / name).write_bytes(data)

    with pytest.raises(InvalidModelError, match="member 'gbm' can't be converted to ONNX"):
        convert({"gbm": tmp_path / name}, tmp_path)


def test_a_model_of_too_many_features_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ensemble.loading.boosted.MAX_FEATURES", 3)
    write_xgboost(tmp_path / "model.json", "classes")

    with pytest.raises(InvalidModelError, match="it takes 4 features; 1 to 3 may be"):
        convert_xgboost(tmp_path / "model.json", tmp_path / "model.onnx")
