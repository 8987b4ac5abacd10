from math import log
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ensemble.errors import InvalidDataError
from ensemble.scoring.columns import OUTPUTS, Columns
from ensemble.scoring.run import ScoreOptions, score
from tests.support.members import Constant, servable

from .jobs import ENSEMBLE, dataset_of, features, written


def table(folder: Path, columns: Columns, *members: Constant) -> pa.Table:
    ensemble = servable(*members) if members else ENSEMBLE
    dataset = dataset_of(written(folder / "in", 3, ("a",)), ensemble)
    score(ensemble, dataset, folder / "out", ScoreOptions(columns=columns))
    return pq.read_table(folder / "out")


def test_all_outputs_in_the_order_asked_for(tmp_path: Path) -> None:
    sure, other = Constant("sure", (1.0, 0.0, 0.0)), Constant("other", (0.0, 1.0, 0.0))
    found = table(tmp_path, Columns(("label", "disagreement", "entropy", "scores")), sure, other)
    assert found.column_names == ["source", "row", "label", "disagreement", "entropy", "scores"]
    row = found.to_pylist()[0]
    assert row["label"] == "class0"
    assert row["scores"] == [0.5, 0.5, 0.0]
    assert row["entropy"] == pytest.approx(log(2))
    assert row["disagreement"] == pytest.approx(log(2))


def test_members_that_say_the_same_do_not_disagree(tmp_path: Path) -> None:
    found = table(tmp_path, Columns(("disagreement",)), Constant("one"), Constant("two"))
    assert found.column("disagreement").to_pylist() == [0.0, 0.0, 0.0]


def test_each_members_own_scores_by_its_name(tmp_path: Path) -> None:
    found = table(tmp_path, Columns(members=True))
    own = found.column("member_scores").to_pylist()
    assert [row["constant"] for row in own] == [[0.5, 0.25, 0.25]] * 3
    line = np.array([row["line"] for row in own], np.float32)
    assert line.tobytes() == ENSEMBLE.members[0].predict({"x": features(3)}).tobytes()


@pytest.mark.parametrize("size", [1, 7])
def test_outputs_do_not_depend_on_the_batch_size(size: int, tmp_path: Path) -> None:
    dataset = dataset_of(written(tmp_path / "in", 50))
    parts = []
    for name, batch_size in (("one", 256), ("two", size)):
        options = ScoreOptions(batch_size, columns=Columns(OUTPUTS, members=True))
        score(ENSEMBLE, dataset, tmp_path / name, options)
        parts.append((tmp_path / name / "part-00000.parquet").read_bytes())
    assert parts[0] == parts[1]


@pytest.mark.parametrize("outputs", [("score",), (), ("scores", "scores")])
def test_outputs_that_there_are_not_are_refused(outputs: tuple[str, ...]) -> None:
    with pytest.raises(
        InvalidDataError, match="outputs must be some of scores, label, entropy, disagreement"
    ):
        Columns(outputs)
