from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble.data.dataset import Dataset, open_dataset, reopen_dataset
from ensemble.errors import InvalidDataError
from ensemble.signature import Signature, TensorSpec

from .files import WRITERS, write_npz

SIGNATURE = Signature(
    (TensorSpec("image", "float32", (2,)), TensorSpec("age", "int64", ())),
    (TensorSpec("scores", "float32", (3,)),),
)
ROWS = (23, 9)


def opened(folder: str, name: str) -> Dataset:
    """Two files; `age` counts the rows of both."""
    files = []
    for index, rows in enumerate(ROWS):
        ages = np.arange(rows, dtype=np.int64) + sum(ROWS[:index])
        image = np.stack([ages, -ages], axis=1).astype(np.float32)
        files.append(WRITERS[name](Path(folder) / f"file{index}", {"image": image, "age": ages}))
    return open_dataset(files, SIGNATURE)


def ages(dataset: Dataset, size: int, ranges: Sequence[tuple[int, int]]) -> list[list[int]]:
    cursor = dataset.cursor(size)
    found = []
    for start, stop in ranges:
        chunks = [chunk for good, _ in dataset.sifted(cursor, start, stop) for chunk in good]
        assert [chunk.start for chunk in chunks] == [chunk.rows["age"][0] for chunk in chunks]
        found.append([age for chunk in chunks for age in chunk.rows["age"].tolist()])
    return found


@settings(max_examples=60)
@given(
    name=st.sampled_from(sorted(WRITERS)),
    size=st.integers(1, 40),
    cuts=st.lists(st.tuples(st.integers(0, 32), st.integers(0, 32)), min_size=1, max_size=5),
)
def test_any_ranges_in_any_order_give_just_their_rows(
    name: str, size: int, cuts: list[tuple[int, int]]
) -> None:
    ranges = [(min(cut), max(cut)) for cut in cuts]
    with TemporaryDirectory() as folder:
        found = ages(opened(folder, name), size, ranges)
    assert found == [list(range(start, stop)) for start, stop in ranges]


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_what_is_asked_for_in_order_is_read_once(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = opened(str(tmp_path), name)
    opening = type(dataset._files[0].source)  # noqa: SLF001 - counts the openings
    read, opened_at = opening.read, []

    def counted(self: object, wanted: object, rows: int, start: int = 0) -> object:
        opened_at.append(start)
        return read(self, wanted, rows, start)  # type: ignore[arg-type]

    monkeypatch.setattr(opening, "read", counted)
    ages(dataset, 4, [(0, 8), (8, 16), (16, 24), (24, 32)])
    assert opened_at == [0, 0]


def test_a_file_that_shrank_since_it_was_opened_is_refused(tmp_path: Path) -> None:
    write_npz(tmp_path / "a", {"image": np.zeros((3, 2), np.float32), "age": np.arange(3)})
    dataset = reopen_dataset([(tmp_path / "a.npz", 5)], SIGNATURE, {})
    with pytest.raises(InvalidDataError, match=r"ends at row 3, and had 5 rows when it was opened"):
        ages(dataset, 2, [(0, 5)])
