"""Members that give logits, one column, or classes in their own order become members of one ensemble."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from ensemble.errors import InvalidModelError
from ensemble.loading.load import load_servable, served_blob
from ensemble.loading.onnx_adapt import adapted, class_labels
from ensemble.publishing.publish import PublishOptions, publish
from ensemble.runtimes.onnx_merge import merge, output_name
from ensemble.servable import Servable
from model_store.output import Output
from model_store.store import Store
from tests.support.onnx_models import save_graph, write_linear

ROWS = {"x": np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)}


@pytest.fixture(name="store")
def fixture_store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "store"))


def write_net(path: Path, last: str, columns: int = 3, labels: tuple[str, ...] = ()) -> Path:
    """Write a net that ends in Identity, for logits, Softmax or Sigmoid; `labels` are in its metadata."""
    matrix = np.random.default_rng(0).normal(size=(4, columns)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "matrix"], ["logits"]),
        helper.make_node(last, ["logits"], ["scores"]),
    ]
    save_graph(
        path,
        nodes,
        inputs={"x": ("rows", 4)},
        outputs={"scores": ("rows", columns), "logits": ("rows", columns)},
        parameters={"matrix": matrix},
    )
    if labels:
        model = onnx.load(path)
        helper.set_model_props(model, {"author": "ann", "classes": json.dumps(labels)})
        onnx.save(model, path)
    return path


def logits(columns: int = 3) -> Any:
    matrix = np.random.default_rng(0).normal(size=(4, columns)).astype(np.float32)
    return ROWS["x"].astype(np.float64) @ matrix


def softmax(given: Any) -> Any:
    powers = np.exp(given)
    return powers / powers.sum(axis=1, keepdims=True)


def published(store: Store, files: Mapping[str, Path], **options: Any) -> Servable:
    outputs = dict.fromkeys(files, "scores")
    publish(store, "pets", files, PublishOptions(outputs=outputs, **options))
    return load_servable(store, "pets")


def by_member(servable: Servable) -> dict[str, Any]:
    return {member.name: member.predict(ROWS) for member in servable.members}


def test_members_with_other_label_orders_pool_by_class(store: Store, tmp_path: Path) -> None:
    files = {
        "plain": write_net(tmp_path / "plain.onnx", "Softmax"),
        "told": write_net(tmp_path / "told.onnx", "Softmax"),
        "says": write_net(tmp_path / "says.onnx", "Softmax", labels=("c", "a", "b")),
    }
    servable = published(store, files, classes=("a", "b", "c"), member_classes={"told": ("b", "c", "a")})

    expected = softmax(logits())
    found = by_member(servable)
    np.testing.assert_allclose(found["plain"], expected, atol=1e-6)
    np.testing.assert_allclose(found["told"], expected[:, [2, 0, 1]], atol=1e-6)
    np.testing.assert_allclose(found["says"], expected[:, [1, 2, 0]], atol=1e-6)
    np.testing.assert_allclose(
        servable.score(ROWS), (expected + expected[:, [2, 0, 1]] + expected[:, [1, 2, 0]]) / 3, atol=1e-6
    )
    outputs = {record.name: record.output for record in store.manifest("pets").members}
    assert outputs == {
        "plain": Output("softmax"),
        "told": Output("softmax", ("b", "c", "a"), (), (2, 0, 1)),
        "says": Output("softmax", ("c", "a", "b"), (), (1, 2, 0)),
    }


def test_the_first_member_that_knows_its_classes_gives_them_to_the_ensemble(
    store: Store, tmp_path: Path
) -> None:
    files = {
        "one": write_net(tmp_path / "one.onnx", "Softmax", labels=("dog", "cat", "eel")),
        "two": write_net(tmp_path / "two.onnx", "Softmax", labels=("cat", "dog", "eel")),
    }
    servable = published(store, files)

    assert servable.classes == ("dog", "cat", "eel")
    np.testing.assert_allclose(by_member(servable)["two"], softmax(logits())[:, [1, 0, 2]], atol=1e-6)


def test_declared_logits_become_probabilities(store: Store, tmp_path: Path) -> None:
    files = {
        "logits": write_net(tmp_path / "logits.onnx", "Identity"),
        "softmax": write_net(tmp_path / "softmax.onnx", "Softmax"),
    }
    servable = published(store, files, kinds={"logits": "logits"})

    found = by_member(servable)
    np.testing.assert_allclose(found["logits"], softmax(logits()), rtol=0, atol=1e-7)
    np.testing.assert_allclose(found["softmax"], softmax(logits()), rtol=0, atol=1e-6)
    record = store.manifest("pets").members[0]
    assert record.output == Output("logits", steps=("softmax",))
    assert record.derived["onnx"].parity["max_abs_error"] <= 1e-6
    assert record.digest != record.blob.digest


def test_logits_that_nobody_declared_are_refused(store: Store, tmp_path: Path) -> None:
    files = {"net": write_net(tmp_path / "net.onnx", "Identity")}

    with pytest.raises(InvalidModelError, match=r"--output-kind net=logits, or net=values"):
        published(store, files)
    servable = published(store, files, kinds={"net": "values"})
    np.testing.assert_allclose(by_member(servable)["net"], logits(), rtol=1e-6)


def test_one_column_of_a_sigmoid_becomes_two_classes(store: Store, tmp_path: Path) -> None:
    files = {
        "sigmoid": write_net(tmp_path / "sigmoid.onnx", "Sigmoid", columns=1),
        "logits": write_net(tmp_path / "logits.onnx", "Identity", columns=1),
        "turned": write_net(tmp_path / "turned.onnx", "Sigmoid", columns=1),
    }
    servable = published(
        store,
        files,
        classes=("no", "yes"),
        kinds={"logits": "logits"},
        member_classes={"turned": ("yes", "no")},
    )

    yes = 1 / (1 + np.exp(-logits(1)))
    expected = np.concatenate([1 - yes, yes], axis=1)
    found = by_member(servable)
    np.testing.assert_allclose(found["sigmoid"], expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found["logits"], expected, rtol=0, atol=1e-7)
    np.testing.assert_allclose(found["turned"], expected[:, ::-1], rtol=0, atol=1e-6)


def test_adapted_members_run_in_one_graph_too(store: Store, tmp_path: Path) -> None:
    write_linear(tmp_path / "linear.onnx", {"x": 4})
    files = {"net": write_net(tmp_path / "net.onnx", "Identity"), "linear": tmp_path / "linear.onnx"}
    servable = published(store, files, kinds={"net": "logits"}, member_classes={"net": ("2", "1", "0")})

    net, linear = store.manifest("pets").members
    data = {record.name: store.read_blob("pets", served_blob(record)) for record in (net, linear)}
    session = onnxruntime.InferenceSession(merge(data, dict.fromkeys(data, "scores")))

    names = [output_name(name) for name in data]
    for found, member in zip(session.run(names, ROWS), servable.members, strict=True):
        np.testing.assert_array_equal(found, member.predict(ROWS))
    np.testing.assert_allclose(by_member(servable)["net"], softmax(logits())[:, ::-1], atol=1e-7)


def test_the_same_file_in_another_order_is_another_member(store: Store, tmp_path: Path) -> None:
    files = {"net": write_net(tmp_path / "net.onnx", "Softmax")}
    before = published(store, files, member_classes={"net": ("b", "a", "c")}, classes=("a", "b", "c"))
    publish(store, "pets", files, PublishOptions(outputs={"net": "scores"}, classes=("a", "b", "c")))
    reuse = {member.digest: member for member in before.members}

    after = load_servable(store, "pets", reuse=reuse)

    assert after.members[0] is not before.members[0]
    np.testing.assert_allclose(by_member(after)["net"], softmax(logits()), atol=1e-6)
    assert load_servable(store, "pets", 1, reuse=reuse).members[0] is before.members[0]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"member_classes": {"nett": ("a", "b", "c")}}, r"--member-classes names \['nett'\]; the members"),
        ({"kinds": {"nett": "logits"}}, r"--output-kind names \['nett'\]"),
        ({"member_classes": {"net": ("a", "b", "d")}}, r"missing are \['c'\], unknown \['d'\]"),
        ({"member_classes": {"net": ("a", "b")}}, r"missing are \['c'\], unknown \[\]"),
    ],
)
def test_what_does_not_fit_is_refused(store: Store, tmp_path: Path, options: Any, what: str) -> None:
    files = {"net": write_net(tmp_path / "net.onnx", "Softmax")}

    with pytest.raises(InvalidModelError, match=what):
        published(store, files, classes=("a", "b", "c"), **options)
    assert not Path(store.address).exists()


@pytest.mark.parametrize("text", ["", "{", "5", '{"a": 1}', "[" * 100_000])
def test_metadata_that_are_no_list_name_no_classes(tmp_path: Path, text: str) -> None:
    path = write_net(tmp_path / "net.onnx", "Softmax")
    model = onnx.load(path)
    helper.set_model_props(model, {"classes": text})
    onnx.save(model, path)

    assert class_labels(path) == ()


def test_a_graph_that_computes_its_last_steps_otherwise_publishes_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ensemble.publishing.adapting.adapted", lambda scores, output: adapted(scores, output) + 0.01
    )
    file = write_net(tmp_path / "net.onnx", "Identity")

    with pytest.raises(
        InvalidModelError, match=r"scores that differ by 0\.01 once its graph does softmax too"
    ):
        publish(
            store,
            "flowers",
            {"net": file},
            PublishOptions(kinds={"net": "logits"}, outputs={"net": "scores"}),
        )
    assert not Path(store.address).exists()
