"""Files of PyTorch's two exporters are members, and give what PyTorch gives."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from ensemble.errors import InvalidModelError
from ensemble.loading.load import load_servable
from ensemble.publishing.examine import examine
from ensemble.publishing.publish import PublishOptions, publish
from model_store.store import Store
from tests.support import pytorch


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("conv", "image float32 [rows, 1, 8, 8] -> scores float32 [rows, 10]"),
        ("dense", "features float32 [rows, 30] -> scores float32 [rows, 2]"),
    ],
)
def test_a_file_passes_every_check(name: str, signature: str, tmp_path: Path) -> None:
    checks = {passed.check: passed.found for passed in examine(pytorch.model(name), tmp_path)}

    assert checks["signature"] == signature
    assert checks["trial"].startswith(("10 finite scores", "2 finite scores"))


@pytest.mark.parametrize("rows", [1, 7, 48])
def test_a_convnet_gives_what_pytorch_gives_in_any_batch(tmp_path: Path, rows: int) -> None:
    store = Store.open(str(tmp_path))
    publish(store, "digits", {"net": pytorch.model("conv")}, PublishOptions())

    given, expected = pytorch.answers("conv")
    found = load_servable(store, "digits").score({"image": given["image"][:rows]})
    np.testing.assert_allclose(found, expected[:rows], rtol=0, atol=1e-6)


def test_logits_of_a_dense_net_become_the_softmax_of_what_pytorch_gives(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    publish(store, "cancer", {"net": pytorch.model("dense")}, PublishOptions(kinds={"net": "logits"}))

    given, logits = pytorch.answers("dense")
    powers = np.exp(logits.astype(np.float64))
    found = load_servable(store, "cancer").score(given)
    np.testing.assert_allclose(found, powers / powers.sum(axis=1, keepdims=True), rtol=0, atol=1e-6)


def test_parameters_in_a_second_file_as_pytorch_writes_unless_told_otherwise_are_refused(
    tmp_path: Path,
) -> None:
    split = tmp_path / "net.onnx"
    onnx.save(
        onnx.load(pytorch.model("dense")), split, save_as_external_data=True, size_threshold=0, location="d"
    )

    with pytest.raises(InvalidModelError, match=r"in another file; save it as one: onnx.save\(onnx.load"):
        publish(Store.open(str(tmp_path / "store")), "cancer", {"net": split}, PublishOptions())
    onnx.save(onnx.load(split), tmp_path / "whole.onnx")
    publish(
        Store.open(str(tmp_path / "store")),
        "cancer",
        {"net": tmp_path / "whole.onnx"},
        PublishOptions(kinds={"net": "logits"}),
    )
