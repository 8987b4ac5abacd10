"""Members that want an image flat, its channels first, or under another name, in one ensemble."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from ensemble.errors import InvalidModelError
from ensemble.loading.load import load_servable, served_blob
from ensemble.publishing import inputs
from ensemble.publishing.publish import PublishOptions, publish
from ensemble.runtimes.onnx_merge import merge, output_name
from ensemble.signature import Signature, TensorSpec
from model_store.manifest import MemberRecord
from model_store.store import Store
from tests.support import pytorch
from tests.support.onnx_models import save_graph, write_linear

IMAGE = TensorSpec("image", "float32", (8, 8, 1))
ROWS = np.random.default_rng(3).random((6, 8, 8, 1), np.float32)
TAKEN = {"flat": {"x": "image"}, "torch": {"image": "image"}}


@pytest.fixture(name="store")
def fixture_store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "store"))


@pytest.fixture(name="files")
def fixture_files(tmp_path: Path) -> dict[str, Path]:
    """One that takes the image as it is, one that wants it flat, one with its channels first."""
    write_linear(tmp_path / "flat.onnx", {"x": 64}, classes=10)
    mean = onnx.helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=0)
    shape = onnx.helper.make_node("Unsqueeze", ["mean", "axis"], ["column"])
    scores = onnx.helper.make_node("MatMul", ["column", "matrix"], ["logits"])
    last = onnx.helper.make_node("Softmax", ["logits"], ["scores"], axis=1)
    save_graph(
        tmp_path / "whole.onnx",
        [mean, shape, scores, last],
        inputs={"image": ("rows", 8, 8, 1)},
        outputs={"scores": ("rows", 10)},
        parameters={"axis": np.array([1]), "matrix": np.arange(10, dtype=np.float32)[None]},
    )
    return {
        "whole": tmp_path / "whole.onnx",
        "flat": tmp_path / "flat.onnx",
        "torch": pytorch.model("conv"),
    }


def scored(path: Path, name: str, rows: NDArray[Any]) -> Any:
    """What ONNX Runtime gives for the file itself."""
    return onnxruntime.InferenceSession(path).run(["scores"], {name: rows})[0]


def test_members_that_want_the_image_flat_or_channels_first_share_its_input(
    store: Store, files: dict[str, Path]
) -> None:
    publish(store, "digits", files, PublishOptions(inputs=TAKEN))

    manifest = store.manifest("digits")
    assert Signature.from_json(manifest.signature).inputs == (IMAGE,)
    expected = {
        "whole": scored(files["whole"], "image", ROWS),
        "flat": scored(files["flat"], "x", ROWS.reshape(6, 64)),
        "torch": scored(files["torch"], "image", np.moveaxis(ROWS, 3, 1)),
    }
    servable = load_servable(store, "digits")
    for member in servable.members:
        np.testing.assert_allclose(member.predict({"image": ROWS}), expected[member.name], rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        servable.score({"image": ROWS}), np.mean(list(expected.values()), axis=0), rtol=0, atol=1e-6
    )
    flat = manifest.members[1]
    assert (flat.inputs, flat.format, flat.adapted) == ({"x": "image"}, "onnx", True)
    assert flat.derived["onnx"].parity["max_abs_error"] <= 1e-6
    assert flat.derived["onnx"].parity["against"] == "the file's own scores"


def test_they_run_in_one_graph_too(store: Store, files: dict[str, Path]) -> None:
    alike = {name: files[name] for name in ("whole", "flat")}  # One graph has one version of operators.
    publish(store, "digits", alike, PublishOptions(inputs={"flat": {"x": "image"}}))

    records = store.manifest("digits").members
    data = {record.name: store.read_blob("digits", served_blob(record)) for record in records}
    session = onnxruntime.InferenceSession(merge(data, dict.fromkeys(data, "scores")))
    found = session.run([output_name(name) for name in data], {"image": ROWS})
    for scores, member in zip(found, load_servable(store, "digits").members, strict=True):
        np.testing.assert_allclose(scores, member.predict({"image": ROWS}), rtol=0, atol=1e-6)


def test_scores_are_adapted_and_columns_reordered_behind_it(store: Store, files: dict[str, Path]) -> None:
    classes = tuple("abcdefghij")
    options = PublishOptions(
        inputs={"flat": {"x": "image"}}, classes=classes, member_classes={"flat": classes[::-1]}
    )
    publish(store, "digits", {name: files[name] for name in ("whole", "flat")}, options)

    flat = load_servable(store, "digits").members[1].predict({"image": ROWS})
    np.testing.assert_allclose(
        flat[:, ::-1], scored(files["flat"], "x", ROWS.reshape(6, 64)), rtol=0, atol=1e-6
    )


def test_a_member_alone_gives_its_shape_under_the_new_name(store: Store, files: dict[str, Path]) -> None:
    publish(store, "digits", {"flat": files["flat"]}, PublishOptions(inputs={"flat": {"x": "pixels"}}))

    assert Signature.from_json(store.manifest("digits").signature).inputs == (
        TensorSpec("pixels", "float32", (64,)),
    )


def test_the_same_file_with_another_input_is_another_member_and_published_anew(
    store: Store, files: dict[str, Path]
) -> None:
    only = {"flat": files["flat"]}
    publish(store, "digits", only, PublishOptions(inputs={"flat": {"x": "pixels"}}))
    publish(store, "digits", only, PublishOptions())
    publish(store, "digits", only, PublishOptions(inputs={"flat": {"x": "pixels"}}))

    first, second, third = (store.manifest("digits", version).members[0] for version in (1, 2, 3))
    assert first == third
    assert second == MemberRecord("flat", "onnx", first.blob, second.signature, {}, first.output)
    assert second.digest == first.blob.digest != first.digest


@pytest.mark.parametrize(
    ("named", "what"),
    [
        ({"flatt": {"x": "image"}}, r"inputs are named for \['flatt'\]; the members are"),
        ({"flat": {"y": "image"}}, r"member 'flat' has no input 'y' to take from 'image'; it has \['x'\]"),
        (
            {"flat": {"x": "image"}, "torch": {"image": "channels"}, "whole": {"image": "channels"}},
            r"member 'whole': input 'image' takes float32 \[8, 8, 1\], .* of 'channels', float32 \[1, 8, 8\]",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    store: Store, files: dict[str, Path], named: dict[str, dict[str, str]], what: str
) -> None:
    with pytest.raises(InvalidModelError, match=what):
        publish(store, "digits", files, PublishOptions(inputs=named))
    assert not Path(store.address).exists()


def test_a_graph_that_gives_other_scores_then_is_refused(
    store: Store, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # No graph that `take` writes does: as if it had mixed up the axes.
    monkeypatch.setattr(inputs, "own_rows", lambda *_: {"x": np.zeros((8, 64), np.float32)})

    with pytest.raises(InvalidModelError, match=r"by [\d.]+ once its graph takes \['image'\]"):
        publish(store, "digits", files, PublishOptions(inputs=TAKEN))
