"""Model files become a version, or nothing happens."""

import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ensemble.errors import InvalidModelError, InvalidWeightsError
from ensemble.loading.load import load_servable
from ensemble.publishing import prepare
from ensemble.publishing.publish import PublishOptions, publish
from ensemble.signature import Signature, TensorSpec
from model_store.errors import InvalidNameError
from model_store.store import Store
from tests.conformance import awkward_models
from tests.support.onnx_models import save_graph, write_constant, write_forest, write_linear


@pytest.fixture(name="store")
def fixture_store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "store"))


@pytest.fixture(name="files")
def fixture_files(tmp_path: Path) -> dict[str, Path]:
    """A forest over "x" and a net over "x" and "z", of three classes each."""
    write_forest(tmp_path / "forest.onnx")
    write_linear(tmp_path / "net.onnx", {"x": 4, "z": 2})
    return {"forest": tmp_path / "forest.onnx", "net": tmp_path / "net.onnx"}


def refused(store: Store, files: Mapping[str, Path], what: str, **options: Any) -> None:
    """Publishing raises, and leaves no trace."""
    with pytest.raises(InvalidModelError, match=what):
        publish(store, "digits", files, PublishOptions(**options))
    assert not Path(store.address).exists()


def test_the_first_publish_is_version_one_with_uniform_weights(store: Store, files: dict[str, Path]) -> None:
    entry = publish(store, "digits", files, PublishOptions(by="ann", why="first"))

    manifest = store.manifest("digits")
    assert (entry.op, entry.version, entry.by, entry.why) == ("publish", 1, "ann", "first")
    assert store.weights(manifest) == {"forest": 0.5, "net": 0.5}
    assert [(member.name, member.format, member.derived) for member in manifest.members] == [
        ("forest", "onnx", {}),
        ("net", "onnx", {}),
    ]
    assert manifest.classes == ("0", "1", "2")
    assert manifest.pool == {"form": "linear"}
    assert manifest.parent is None


def test_the_ensemble_takes_all_inputs_and_gives_scores(store: Store, files: dict[str, Path]) -> None:
    publish(store, "digits", files, PublishOptions())

    assert Signature.from_json(store.manifest("digits").signature) == Signature(
        (TensorSpec("x", "float32", (4,)), TensorSpec("z", "float32", (2,))),
        (TensorSpec("scores", "float32", (3,)),),
    )


def test_a_members_one_output_is_its_scores(store: Store, files: dict[str, Path]) -> None:
    publish(store, "digits", files, PublishOptions())

    forest = Signature.from_json(store.manifest("digits").members[0].signature)
    assert forest.outputs == (TensorSpec("probabilities", "float32", (3,)),)


def test_what_was_published_can_be_served(store: Store, files: dict[str, Path]) -> None:
    publish(store, "digits", files, PublishOptions())

    scores = load_servable(store, "digits").score(
        {"x": np.zeros((2, 4), np.float32), "z": np.zeros((2, 2), np.float32)}
    )
    assert scores.sum(axis=1).tolist() == pytest.approx([1, 1])


def test_weights_and_classes_can_be_given(store: Store, files: dict[str, Path]) -> None:
    options = PublishOptions(classes=("a", "b", "c"), weights={"forest": 0.25, "net": 0.75})

    publish(store, "digits", files, options)

    manifest = store.manifest("digits")
    assert store.weights(manifest) == {"forest": 0.25, "net": 0.75}
    assert manifest.classes == ("a", "b", "c")


def test_publishing_again_makes_the_next_version_of_the_same_bytes(
    store: Store, files: dict[str, Path]
) -> None:
    publish(store, "digits", files, PublishOptions())
    publish(store, "digits", files, PublishOptions())

    assert store.versions("digits") == [1, 2]
    assert store.manifest("digits", 1).digests == store.manifest("digits", 2).digests


def test_a_number_of_classes_that_the_graph_leaves_open_is_measured(store: Store, tmp_path: Path) -> None:
    nodes = [helper.make_node("Softmax", ["x"], ["scores"], axis=-1)]
    shapes = {"x": ("rows", 4)}, {"scores": ("rows", "classes")}
    save_graph(tmp_path / "open.onnx", nodes, inputs=shapes[0], outputs=shapes[1], parameters={})

    publish(store, "digits", {"open": tmp_path / "open.onnx"}, PublishOptions())

    assert store.manifest("digits").classes == ("0", "1", "2", "3")
    assert store.manifest("digits").members[0].signature["outputs"][0]["shape"] == [4]


def test_one_bad_file_of_several_publishes_nothing(
    store: Store, files: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "bad.keras").write_bytes(b"\x89HDF\r\n\x1a\n")

    refused(store, {**files, "bad": tmp_path / "bad.keras"}, r"member 'bad': '.*bad\.keras' is an HDF5 file")


def test_an_onnx_file_that_is_none_is_named_as_it_was_given(store: Store, tmp_path: Path) -> None:
    nodes = [helper.make_node("Steal", ["x"], ["y"], domain="evil")]
    shape = ("rows", 3)
    path = tmp_path / "evil.onnx"
    save_graph(path, nodes, inputs={"x": shape}, outputs={"y": shape}, parameters={}, domains={"evil": 1})

    refused(store, {"evil": path}, rf"member 'evil': '{path}' uses operators of \['evil'\]")


def test_a_keras_file_that_is_none_is_named_as_it_was_given(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "bad.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("metadata.json", "{}")

    refused(store, {"bad": path}, rf"member 'bad': '{path}' is not a \.keras file")


def test_members_that_differ_in_classes_publish_nothing(
    store: Store, files: dict[str, Path], tmp_path: Path
) -> None:
    write_constant(tmp_path / "two.onnx", [0.5, 0.5])

    refused(store, {**files, "two": tmp_path / "two.onnx"}, "forest has 3, net has 3, two has 2")


def test_inputs_that_clash_publish_nothing(store: Store, files: dict[str, Path], tmp_path: Path) -> None:
    write_linear(tmp_path / "wide.onnx", {"x": 5})

    refused(
        store, {**files, "wide": tmp_path / "wide.onnx"}, r"input 'x' is float32 \[4\] for member 'forest'"
    )


def test_classes_that_do_not_fit_publish_nothing(store: Store, files: dict[str, Path]) -> None:
    refused(store, files, "the members score 3 classes; 2 distinct names are given", classes=("no", "yes"))


def test_a_model_that_mixes_rows_publishes_nothing(store: Store, tmp_path: Path) -> None:
    awkward_models.batch_mean(tmp_path / "mixing.onnx")

    refused(store, {"mixing": tmp_path / "mixing.onnx"}, "member 'mixing' mixes rows")


def test_scores_that_are_not_finite_publish_nothing(store: Store, tmp_path: Path) -> None:
    write_constant(tmp_path / "nan.onnx", [float("nan"), 0.5])

    refused(store, {"nan": tmp_path / "nan.onnx"}, "member 'nan' gives scores that are not finite")


def test_a_model_that_takes_no_made_up_rows_publishes_nothing(store: Store, tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["x", "matrix"], ["scores"])]
    save_graph(
        tmp_path / "odd.onnx",
        nodes,
        inputs={"x": ("rows", "any")},
        outputs={"scores": ("rows", 3)},
        parameters={"matrix": np.zeros((4, 3), np.float32)},
    )

    refused(store, {"odd": tmp_path / "odd.onnx"}, "member 'odd' can't score made-up rows")


def test_a_model_that_takes_text_publishes_nothing(store: Store, tmp_path: Path) -> None:
    path, shape = tmp_path / "text.onnx", ("rows", 3)
    cast = helper.make_node("Cast", ["x"], ["scores"], to=TensorProto.FLOAT)
    save_graph(path, [cast], inputs={"x": shape}, outputs={"scores": shape}, parameters={})
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING
    onnx.save(model, path)

    refused(store, {"text": path}, "member 'text' can't score made-up rows: input 'x' takes text")


def test_a_graph_that_says_another_number_of_classes_publishes_nothing(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "wrong.onnx"
    gather = helper.make_node("Gather", ["x", "which"], ["scores"], axis=1)
    save_graph(
        path,
        [gather],
        inputs={"x": ("rows", "any")},
        outputs={"scores": ("rows", 3)},
        parameters={"which": np.array([0, 1])},
    )

    refused(store, {"wrong": path}, "member 'wrong' gives 2 scores a row; its graph says 3: correct")


def test_scores_outputs_of_members_that_are_not_there_are_refused(
    store: Store, files: dict[str, Path]
) -> None:
    refused(store, files, r"scores outputs are named for \['tree'\]", outputs={"tree": "probabilities"})


def test_no_members_are_refused(store: Store) -> None:
    refused(store, {}, "ensemble 'digits' needs a member; name one: --member NAME=FILE")


@pytest.mark.parametrize(
    "weights", [{"forest": 1.0}, {"forest": 0.5, "net": 0.6}, {"forest": 1.5, "net": -0.5}]
)
def test_weights_that_are_not_the_members_publish_nothing(
    store: Store, files: dict[str, Path], weights: dict[str, float]
) -> None:
    with pytest.raises(InvalidWeightsError):
        publish(store, "digits", files, PublishOptions(weights=weights))
    assert not Path(store.address).exists()


@pytest.mark.parametrize(("name", "member"), [("a/b", "one"), ("digits", "a.b")])
def test_names_that_cannot_be_are_refused_before_anything_is_read(
    store: Store, name: str, member: str
) -> None:
    with pytest.raises(InvalidNameError):
        publish(store, name, {member: Path("nothing")}, PublishOptions())


@pytest.mark.slow
def test_real_keras_members_are_published_once_and_converted_once(
    published: Path, tmp_path: Path, small_members: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("sepconv.keras", "bndense.keras", "bnconv.keras", "forest.onnx")
    files = {name.split(".")[0]: small_members / name for name in names}
    store = Store.open(str(shutil.copytree(published, tmp_path / "store")))

    first = store.manifest("digits")
    assert [member.format for member in first.members] == ["keras", "keras", "keras", "onnx"]
    for member in first.members[:3]:
        assert member.derived["onnx"].parity["max_abs_error"] <= 1e-5
    assert [spec["name"] for spec in first.signature["inputs"]] == ["image"]

    # Nothing is left to convert, so nothing comes of it.
    asked: list[Mapping[str, Path]] = []

    def convert(given: Mapping[str, Path], *_: Any, **__: Any) -> dict[str, Any]:
        asked.append(given)
        return {}

    monkeypatch.setattr(prepare, "convert", convert)
    publish(store, "digits", files, PublishOptions(why="again"))

    assert asked == [{}]
    assert store.manifest("digits").members == first.members
