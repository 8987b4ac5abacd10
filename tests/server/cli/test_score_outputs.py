"""Every column that can be asked for, from every format, against the formulas written out."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from model_store.store import Store
from server.cli.main import EXIT_DONE, application
from tests.ensemble.data.files import WRITERS, Arrays, write_csv, write_jsonl, write_tfrecord
from tests.support.flowers import CLASSES, NAME, SHARPNESS, publish_uniform

X = np.random.default_rng(11).normal(size=(30, 3)).astype(np.float32)
ROWS: Arrays = {"x": X, "id": np.arange(700, 730), "age": np.arange(30) % 7}


def packed(path: Path) -> Path:
    """The same file, packed with gzip."""
    file = path.with_name(f"{path.name}.gz")
    file.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return file


FORMATS = WRITERS | {
    f"{name} packed": lambda path, rows, write=write: packed(write(path, rows))
    for name, write in {"csv": write_csv, "jsonl": write_jsonl, "tfrecord": write_tfrecord}.items()
}


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    odds: NDArray[np.float64] = np.exp(logits.astype(np.float64))
    shares: NDArray[np.float64] = odds / odds.sum(axis=1, keepdims=True)
    return shares


def nats(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = -(scores * np.log(scores)).sum(axis=1)
    return result


def near(found: Any, expected: NDArray[np.float64]) -> None:
    np.testing.assert_allclose(np.array(found, np.float64), expected, atol=1e-6)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("published")
    opened = Store.open(str(folder / "store"))
    publish_uniform(opened, folder)
    return opened


@pytest.mark.parametrize("name", FORMATS)
def test_all_columns_are_what_their_formulas_give(name: str, store: Store, tmp_path: Path) -> None:
    path = FORMATS[name](tmp_path / "a", ROWS)
    code = application()(
        [
            "score", NAME, "--input", str(path), "--output", str(tmp_path / "out"), "--store", store.address,
            "--id-column", "id", "--keep", "age", "--member-outputs",
            "--outputs", "scores,label,entropy,disagreement",
        ],
        exit_on_error=False,
    )  # fmt: skip
    assert code == EXIT_DONE

    table = pq.read_table(tmp_path / "out")
    assert table.column_names == [
        "source", "row", "id", "age", "scores", "label", "entropy", "disagreement", "member_scores"
    ]  # fmt: skip
    found = table.to_pydict()
    assert found["source"] == [str(path)] * 30
    assert found["row"] == list(range(30))
    # Text has no types: what is kept from a CSV is text.
    assert [int(value) for value in found["id"]] == list(range(700, 730))
    assert [int(value) for value in found["age"]] == [number % 7 for number in range(30)]

    members = {member: softmax(sharpness * X) for member, sharpness in SHARPNESS.items()}
    pooled = np.mean(list(members.values()), axis=0)
    near(found["scores"], pooled)
    assert found["label"] == [CLASSES[index] for index in pooled.argmax(axis=1)]
    near(found["entropy"], nats(pooled))
    within = np.mean([nats(scores) for scores in members.values()], axis=0)
    near(found["disagreement"], nats(pooled) - within)
    for member, scores in members.items():
        near([row[member] for row in found["member_scores"]], scores)
