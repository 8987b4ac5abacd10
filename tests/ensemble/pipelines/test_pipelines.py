"""Scores in other people's pipelines are the ensemble's own; Beam and Spark are known by what they call."""

import pickle
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ensemble.errors import InvalidDataError
from ensemble.pipelines.beam import model_handler
from ensemble.pipelines.ray_data import ScoreBatch
from ensemble.pipelines.spark import PredictFn
from ensemble.pipelines.stored_ensemble import StoredEnsemble, score_columns
from model_store.store import Store
from tests.support.flowers import NAME, publish_uniform

X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


@pytest.fixture(name="ensemble", scope="module")
def fixture_ensemble(tmp_path_factory: pytest.TempPathFactory) -> StoredEnsemble:
    folder = tmp_path_factory.mktemp("store")
    store = Store.open(str(folder / "store"))
    return StoredEnsemble(store.address, NAME, publish_uniform(store, folder))


@pytest.fixture(name="expected", scope="module")
def fixture_expected(ensemble: StoredEnsemble) -> bytes:
    return ensemble.load().score({"x": X}).tobytes()


def test_what_is_sent_is_an_address(ensemble: StoredEnsemble) -> None:
    for sent in (ensemble, PredictFn(ensemble)):
        assert len(pickle.dumps(sent)) < 1000
        assert pickle.loads(pickle.dumps(sent)) == sent  # noqa: S301 - our own


@pytest.mark.parametrize(
    "column", [X, X.astype(np.float64), X.reshape(5, 3, 1), np.array([*X, None], dtype=object)[:5]]
)
def test_columns_of_any_kind_have_the_ensemble_s_scores(
    column: Any, ensemble: StoredEnsemble, expected: bytes
) -> None:
    assert score_columns(ensemble.load(), {"x": column, "id": list("abcde")}).tobytes() == expected


def test_columns_that_don_t_fit_are_refused(ensemble: StoredEnsemble) -> None:
    servable = ensemble.load()
    with pytest.raises(InvalidDataError, match=r"no column 'x'; there are \['y'\]"):
        score_columns(servable, {"y": X})
    with pytest.raises(
        InvalidDataError, match=r"a row of column 'x' has shape \[2\]; the ensemble takes \[3\]"
    ):
        score_columns(servable, {"x": X[:, :2]})


def test_ray_data_s_batches_gain_a_column(ensemble: StoredEnsemble, expected: bytes) -> None:
    found = ScoreBatch(ensemble, "said")({"x": X, "id": np.arange(5)})
    assert list(found) == ["x", "id", "said"]
    assert found["said"].tobytes() == expected


def test_spark_s_function_is_made_once_and_takes_an_array_an_input(
    ensemble: StoredEnsemble, expected: bytes
) -> None:
    predict = PredictFn(ensemble)()
    assert predict(X).tobytes() == expected
    with pytest.raises(InvalidDataError, match="takes 1 columns, x; got 2"):
        predict(X, X)


@dataclass(frozen=True)
class PredictionResult:
    """Beam's, as far as it is used."""

    example: Mapping[str, Any]
    inference: Any


def test_beam_s_handler_loads_and_scores_what_beam_put_together(
    ensemble: StoredEnsemble, expected: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("apache_beam", "apache_beam.ml", "apache_beam.ml.inference"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    beam = ModuleType("apache_beam.ml.inference.base")
    beam.ModelHandler, beam.PredictionResult = type("ModelHandler", (), {}), PredictionResult  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, beam.__name__, beam)
    handler = model_handler(ensemble, max_batch_size=7)
    batch = [{"x": row} for row in X]
    found = list(handler.run_inference(batch, handler.load_model()))
    assert [one.example for one in found] == batch
    assert np.stack([one.inference for one in found]).tobytes() == expected
    assert handler.batch_elements_kwargs() == {"max_batch_size": 7}
    assert handler.get_num_bytes(batch) == X.nbytes
    assert handler.get_metrics_namespace() == "unisono"


def test_without_beam_one_is_told(ensemble: StoredEnsemble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(InvalidDataError, match="Beam isn't installed"):
        model_handler(ensemble)
