"""What is true of rows: labels and values of several columns, however they are laid out, and what is none."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from ensemble.data.labelled import LabelledFiles, open_labelled
from ensemble.errors import InvalidDataError
from ensemble.signature import Signature, TensorSpec
from ensemble.truth import Truth

X = np.arange(8, dtype=np.float32).reshape(4, 2)
YES = np.array([[0, 1], [1, 1], [0, 0], [1, 0]])


def signature(columns: int) -> Signature:
    return Signature((TensorSpec("x", "float32", (2,)),), (TensorSpec("scores", "float32", (columns,)),))


def told(data: LabelledFiles) -> NDArray[np.generic]:
    """All labels, in batches of three rows."""
    found = [chunk.labels for chunk in data.batches(3)]
    return np.concatenate([labels for labels in found if labels is not None])


def test_labels_are_yes_or_no_and_no_input(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=X, y=YES, day=np.arange(4))

    data = open_labelled([tmp_path], signature(2), "y", truth=Truth.LABELS, keep=["day"])

    assert (data.rows, data.counts, data.files) == (4, (4,), (tmp_path / "a.npz",))
    assert told(data).dtype == np.bool_
    assert told(data).tolist() == YES.astype(bool).tolist()
    [chunk] = data.batches(4)
    assert set(chunk.rows) == {"x"}
    assert chunk.kept["day"].tolist() == [0, 1, 2, 3]
    [some] = data.batches(4, 1, 3)
    assert (some.start, some.labels.tolist() if some.labels is not None else None) == (1, YES[1:3].tolist())


def test_values_are_read_from_arrays_lists_and_columns_alike(tmp_path: Path) -> None:
    values = np.array([[0.5, -3], [1e6, 0], [2, 2], [-1, 7]])
    np.savez(tmp_path / "array.npz", x=X, y=values)
    inputs = {"x": pa.array(X.tolist(), pa.list_(pa.float32()))}
    pq.write_table(pa.table(inputs | {"y": values.tolist()}), tmp_path / "lists.parquet")
    columns = {"y_0": values[:, 0], "y_1": values[:, 1]}
    pq.write_table(pa.table(inputs | columns), tmp_path / "columns.parquet")

    for file in ("array.npz", "lists.parquet", "columns.parquet"):
        data = open_labelled([tmp_path / file], signature(2), "y", truth=Truth.VALUES)
        assert told(data).tolist() == values.tolist()
        assert len(data.digest) == 64


def test_one_value_a_row_needs_no_second_axis(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=X, y=np.array([1.5, 2, 3, 4]))

    data = open_labelled([tmp_path], signature(1), "y", truth=Truth.VALUES)

    assert told(data).tolist() == [[1.5], [2], [3], [4]]


def test_classes_are_read_by_their_own_rule(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=X, y=np.array(["b", "a", "b", "b"]))

    assert told(open_labelled([tmp_path], signature(2), "y", classes=("a", "b"))).tolist() == [1, 0, 1, 1]


@pytest.mark.parametrize(
    ("truth", "wrong", "said"),
    [
        (Truth.LABELS, 0.5, "a.npz: row 2: 'y' is 0.5; allowed are 1 where a row has the label, else 0"),
        (Truth.LABELS, np.nan, "a.npz: row 2: 'y' is NaN: fill or drop such rows"),
        (Truth.VALUES, np.nan, "a.npz: row 2: 'y' is NaN: fill or drop such rows"),
        (Truth.VALUES, -np.inf, "a.npz: row 2: 'y' is -inf; allowed are finite numbers"),
    ],
)
def test_what_is_neither_is_named_by_file_and_row_before_any_row_is_used(
    truth: Truth, wrong: float, said: str, tmp_path: Path
) -> None:
    values = YES.astype(np.float64)
    values[2, 1] = wrong
    np.savez(tmp_path / "a.npz", x=X, y=values)

    with pytest.raises(InvalidDataError, match=said):
        open_labelled([tmp_path], signature(2), "y", truth=truth)


def test_an_input_says_nothing_of_what_is_true(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=X)

    with pytest.raises(InvalidDataError, match="'x' is an input of the ensemble: name the column of what is"):
        open_labelled([tmp_path], signature(2), "x", truth=Truth.VALUES)


def test_more_columns_than_the_members_give_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=X, y=YES)

    with pytest.raises(InvalidDataError, match="'y'"):
        open_labelled([tmp_path], signature(3), "y", truth=Truth.LABELS)
