"""What members give to golden rows, though they aren't opened again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ensemble.errors import InvalidModelError
from ensemble.loading.golden import Golden
from ensemble.publishing.golden_scores import golden_scores
from ensemble.publishing.prepare import Prepared
from ensemble.publishing.publish import PublishOptions, publish
from ensemble.runtimes.onnx_runtime import OnnxMember
from ensemble.signature import Signature, TensorSpec
from model_store.manifest import Derived
from model_store.store import Store
from model_store.weights import weights_json
from tests.support.onnx_models import write_linear


def test_a_member_that_was_converted_before_is_asked_the_new_rows(tmp_path: Path) -> None:
    write_linear(tmp_path / "linear.onnx")
    # Told to be LightGBM's by its first line; nobody reads on, since it was converted before.
    (tmp_path / "model.txt").write_text("tree\nversion=v4\n")
    store = Store.open(str(tmp_path / "store"))
    publish(store, "digits", {"trees": tmp_path / "linear.onnx"}, PublishOptions())
    draft = store.manifest("digits").draft
    [record] = draft.members
    made = replace(
        record,
        format="lightgbm",
        blob=store.put_blob("digits", tmp_path / "model.txt"),
        derived={"onnx": Derived(record.blob, {"max_abs_error": 0.0})},
    )
    weights = store.put_blob("digits", weights_json({"trees": 1.0}, {"trees": made.digest}))
    store.publish("digits", replace(draft, members=(made,), weights=weights), by="", why="")
    sample = {"x": np.full((3, 4), 2.0, np.float32)}

    publish(store, "digits", {"trees": tmp_path / "model.txt"}, PublishOptions(sample=sample))

    manifest = store.manifest("digits")
    assert manifest.members[0].derived == made.derived
    golden = Golden.read(store, manifest)
    assert golden is not None
    signature = Signature.from_json(record.signature)
    linear = OnnxMember.open(tmp_path / "linear.onnx", name="trees", digest="", signature=signature)
    np.testing.assert_array_equal(golden.rows["x"], sample["x"])
    np.testing.assert_array_equal(golden.members["trees"], linear.predict(sample))


def test_a_member_that_nobody_opened_has_none(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    signature = Signature((TensorSpec("x", "float32", (4,)),), (TensorSpec("y", "float32", (2,)),))
    member = Prepared("one", "onnx", tmp_path / "one.onnx", "0" * 64, signature, 2)

    with pytest.raises(InvalidModelError, match="member 'one' was neither opened now nor published before"):
        golden_scores(store, [], {"one": member}, {})
