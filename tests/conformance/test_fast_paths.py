"""Every fast way to run members gives what the plain float64 computation gives, but for rounding.

TensorFlow's own test is beside its runtime: it must not be imported here.
"""

import os
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from ensemble.loading.load import Batches, Runtimes, load_servable
from ensemble.member import Rows, row_count
from ensemble.padding import cut, joined
from ensemble.pooling.linear import LinearPool
from ensemble.publishing.publish import PublishOptions, publish
from ensemble.runtimes import merged as merged_module
from ensemble.runtimes.measurements import Measurements
from ensemble.runtimes.merged import Merger
from ensemble.runtimes.opening import installed, opener
from ensemble.servable import Servable
from model_store.store import Store
from tests.support.onnx_models import write_forest, write_linear

WHOLE = os.environ.get("UNISONO_PROOF") == "whole"
SIZES = range(1, 258) if WHOLE else (1, 2, 3, 15, 16, 17, 63, 64, 65, 200, 257)
WEIGHTS = {"narrow": 0.5, "other": 0.3, "forest": 0.2}
TOLERANCE = 1e-5
FEATURES = 30

Reference = Callable[[Rows], NDArray[np.float64]]


@pytest.fixture(name="ensemble", scope="module")
def fixture_ensemble(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Reference]:
    """Two linear members and a forest, published; and their average in float64, known without any runtime."""
    folder = tmp_path_factory.mktemp("fast_paths")
    references = {
        "narrow": write_linear(folder / "narrow.onnx", {"x": FEATURES}, seed=1),
        "other": write_linear(folder / "other.onnx", {"x": FEATURES}, seed=2),
        "forest": write_forest(folder / "forest.onnx", features=FEATURES),
    }
    store = Store.open(str(folder / "store"))
    options = PublishOptions(weights=WEIGHTS, outputs={"forest": "probabilities"})
    publish(store, "tabular", {name: folder / f"{name}.onnx" for name in WEIGHTS}, options)

    def reference(rows: Rows) -> NDArray[np.float64]:
        parts = [weight * references[name](rows) for name, weight in WEIGHTS.items()]
        return np.asarray(np.sum(parts, axis=0), np.float64)

    return store, reference


def random_batches() -> Mapping[int, Rows]:
    random = np.random.default_rng(7)
    return {size: {"x": random.normal(size=(size, FEATURES)).astype(np.float32)} for size in SIZES}


def furthest(servable: Servable, reference: Reference, sizes: tuple[int, ...]) -> float:
    """How far the ensemble's scores are from `reference` at most, over batches of all sizes."""
    assert isinstance(servable.pool, LinearPool)
    apart = 0.0
    for size, rows in random_batches().items():
        most = sizes[-1] if sizes else size
        for start in range(0, size, most):
            part = cut(rows, slice(start, start + most))
            scores = servable.pool(servable.run(joined([part], sizes)))[: row_count(part)]
            apart = max(apart, float(np.abs(scores - reference(part)).max()))
    return apart


@pytest.mark.parametrize("sizes", [(), (1, 4, 16, 64)], ids=["as they come", "filled up"])
@pytest.mark.parametrize("merged", [True, False], ids=["one graph", "apart"])
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino", "auto"])
def test_no_fast_path_is_further_from_float64_than_rounding(
    ensemble: tuple[Store, Reference],
    monkeypatch: pytest.MonkeyPatch,
    runtime: str,
    *,
    merged: bool,
    sizes: tuple[int, ...],
) -> None:
    if runtime == "openvino" and "openvino" not in installed():
        pytest.skip("OpenVINO is an extra")
    store, reference = ensemble
    # Worth it or not: both ways must be right.
    monkeypatch.setattr(merged_module, "WORTH", 1e9)
    measurements = Measurements(None)
    wished = opener("auto" if runtime == "openvino" else runtime, measurements)
    if runtime == "openvino":
        monkeypatch.setattr("ensemble.runtimes.choice.WORTH", 1e9)
    runtimes = Runtimes(wished, Merger(measurements) if merged else None, Batches(measurements, 64, sizes))

    servable = load_servable(store, "tabular", runtimes=runtimes)

    if runtime == "onnxruntime":
        assert (servable.together is not None) == merged
    assert servable.batch_sizes == sizes
    assert furthest(servable, reference, sizes) <= TOLERANCE
