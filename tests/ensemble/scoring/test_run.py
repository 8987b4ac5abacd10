import errno
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.data.dataset import Dataset, open_dataset
from ensemble.errors import InvalidDataError
from ensemble.scoring import run
from ensemble.scoring.run import ScoreOptions, ScoreResult, score
from ensemble.servable import Servable
from model_store.errors import StoreUnavailableError
from tests.support.members import Constant, Failing, SoftmaxLinear, servable

ENSEMBLE = servable(
    SoftmaxLinear("line"), Constant("constant", (0.5, 0.25, 0.25)), weights={"line": 0.75, "constant": 0.25}
)


def features(rows: int) -> np.ndarray:
    return np.random.default_rng(7).normal(size=(rows, 2)).astype(np.float32)


def written(folder: Path, rows: int, names: tuple[str, ...] = ("a",)) -> Path:
    folder.mkdir()
    for name in names:
        ids = np.array([f"{name}{index}" for index in range(rows)])
        np.savez(folder / f"{name}.npz", x=features(rows), id=ids, y=np.zeros(rows, np.int64))
    return folder


def dataset_of(folder: Path, ensemble: Servable = ENSEMBLE, **options: Any) -> Dataset:
    return open_dataset([folder], ensemble.signature, **options)


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "GROUP_ROWS", 4)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., ScoreResult]:
    """Score `rows` rows of two files into `output`."""

    def make(rows: int, output: str = "out", ensemble: Servable = ENSEMBLE, **options: Any) -> ScoreResult:
        folder = tmp_path / f"in{rows}"
        dataset = dataset_of(folder if folder.exists() else written(folder, rows, ("a", "b")))
        return score(ensemble, dataset, tmp_path / output, ScoreOptions(**options))

    return make


@given(rows=st.integers(1, 60), batch_size=st.integers(1, 70))
def test_scores_are_bit_for_bit_those_of_the_servable_in_order_whatever_the_batch_size(
    rows: int, batch_size: int
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        dataset = dataset_of(written(folder / "in", rows, ("a", "b")))
        result = score(ENSEMBLE, dataset, folder / "out", ScoreOptions(batch_size=batch_size))
        table = pq.read_table(folder / "out")
    expected = ENSEMBLE.score({"x": features(rows)})
    assert result.rows == 2 * rows
    assert table.column("scores").type == pa.list_(pa.float32(), 3)
    scores = np.array(table.column("scores").to_pylist(), dtype=np.float32)
    assert scores.tobytes() == np.concatenate([expected, expected]).tobytes()
    assert table.column("row").to_pylist() == [*range(rows), *range(rows)]
    assert [Path(source).name for source in table.column("source").to_pylist()] == (
        ["a.npz"] * rows + ["b.npz"] * rows
    )


@pytest.mark.usefixtures("small_groups")
def test_parts_are_the_same_bytes_for_every_batch_size(
    make: Callable[..., ScoreResult], tmp_path: Path
) -> None:
    one = make(10, "one", batch_size=1, groups_per_part=2)
    three = make(10, "three", batch_size=3, groups_per_part=2)
    assert [path.name for path in one.parts] == [f"part-0000{index}.parquet" for index in range(3)]
    assert [pq.read_metadata(path).num_rows for path in one.parts] == [8, 8, 4]
    assert [path.read_bytes() for path in one.parts] == [path.read_bytes() for path in three.parts]
    assert (tmp_path / "one/_SUCCESS.json").read_bytes() == (tmp_path / "three/_SUCCESS.json").read_bytes()


def test_the_result_says_which_version_and_weights_made_it(
    make: Callable[..., ScoreResult], tmp_path: Path
) -> None:
    make(3, ensemble=replace(ENSEMBLE, version=7))
    metadata = pq.read_schema(tmp_path / "out/part-00000.parquet").metadata
    assert metadata[b"unisono.ensemble"] == b"digits"
    assert metadata[b"unisono.version"] == b"7"
    assert json.loads(metadata[b"unisono.classes"]) == ["class0", "class1", "class2"]
    success = json.loads((tmp_path / "out/_SUCCESS.json").read_text())
    assert success["rows"] == 6
    assert success["parts"][0]["file"] == "part-00000.parquet"
    assert success["job"]["weights_sha256"] == metadata[b"unisono.weights_sha256"].decode()


def test_kept_columns_stand_beside_the_scores(tmp_path: Path) -> None:
    dataset = dataset_of(written(tmp_path / "in", 3), keep=["id"])
    score(ENSEMBLE, dataset, tmp_path / "out")
    table = pq.read_table(tmp_path / "out")
    assert table.column_names == ["source", "row", "id", "scores"]
    assert table.column("id").to_pylist() == ["a0", "a1", "a2"]


def test_a_kept_column_may_not_hide_the_scores(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=features(2), scores=np.zeros(2))
    dataset = dataset_of(tmp_path / "a.npz", keep=["scores"])
    with pytest.raises(InvalidDataError, match=r"can't keep \['scores'\]"):
        score(ENSEMBLE, dataset, tmp_path / "out")


def test_kept_columns_that_differ_between_files_are_refused_with_both_types(tmp_path: Path) -> None:
    folder = written(tmp_path / "in", 2)
    np.savez(folder / "b.npz", x=features(1), id=np.array([[1, 2]]))
    with pytest.raises(InvalidDataError, match=r"b.npz: column 'id' is .*int64.*, in the first file string"):
        score(ENSEMBLE, dataset_of(folder, keep=["id"]), tmp_path / "out")


def test_progress_counts_the_rows_done(tmp_path: Path) -> None:
    seen: list[int] = []
    dataset = dataset_of(written(tmp_path / "in", 5, ("a", "b")))
    score(ENSEMBLE, dataset, tmp_path / "out", ScoreOptions(batch_size=2), on_progress=seen.append)
    assert seen == [2, 4, 5, 7, 9, 10]


def test_a_finished_job_is_left_alone(make: Callable[..., ScoreResult]) -> None:
    first = make(3)
    stamp = first.parts[0].stat().st_mtime_ns
    again = make(3, batch_size=1)
    assert (first.already_done, again.already_done) == (False, True)
    assert (again.rows, again.parts) == (first.rows, first.parts)
    assert again.parts[0].stat().st_mtime_ns == stamp


def test_a_finished_job_that_lost_a_part_is_refused_until_told(
    make: Callable[..., ScoreResult], tmp_path: Path
) -> None:
    first = make(3)
    whole = first.parts[0].read_bytes()
    first.parts[0].unlink()
    with pytest.raises(InvalidDataError, match=r"\['part-00000.parquet'\] are gone since: remove _SUCCESS"):
        make(3)
    (tmp_path / "out/_SUCCESS.json").unlink()
    assert make(3).parts[0].read_bytes() == whole


@pytest.mark.parametrize("text", ["{}", '{"rows": 6, "parts": [7]}', '{"rows": null, "parts": []}'])
def test_a_success_that_no_job_wrote_is_refused(
    text: str, make: Callable[..., ScoreResult], tmp_path: Path
) -> None:
    make(3)
    success = tmp_path / "out/_SUCCESS.json"
    success.unlink()
    success.write_text(text)
    with pytest.raises(InvalidDataError, match=r"_SUCCESS.json: isn't what a job writes"):
        make(3)


def test_a_full_disk_is_told_as_such_and_leaves_no_part(
    make: Callable[..., ScoreResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq, "ParquetWriter", full)
    with pytest.raises(StoreUnavailableError, match="No space left on device; free some space"):
        make(3)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["_job.json"]


def test_results_of_another_version_are_not_mixed_in(make: Callable[..., ScoreResult]) -> None:
    make(3)
    with pytest.raises(InvalidDataError, match=r"another job \(version differ\): name an empty folder"):
        make(3, ensemble=replace(ENSEMBLE, version=2))


def test_a_folder_with_something_else_in_it_is_refused(
    make: Callable[..., ScoreResult], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("precious")
    with pytest.raises(InvalidDataError, match="isn't empty and holds no scoring job"):
        make(3)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_a_file_is_no_output_folder(make: Callable[..., ScoreResult], tmp_path: Path) -> None:
    (tmp_path / "out").write_text("precious")
    with pytest.raises(InvalidDataError, match="is a file; name a folder"):
        make(3)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_folder_whose_job_cannot_be_read_is_refused(
    text: str, make: Callable[..., ScoreResult], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/_job.json").write_text(text)
    with pytest.raises(InvalidDataError, match=r"_job.json: .*JSON.*: name an empty folder"):
        make(3)


@pytest.mark.usefixtures("small_groups")
def test_a_job_cut_off_leaves_whole_parts_only_and_starts_again(
    make: Callable[..., ScoreResult], tmp_path: Path
) -> None:
    whole = make(10, "whole", groups_per_part=1)
    output = tmp_path / "out"

    def cut_off(rows: int) -> None:
        if rows == 18:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(
            ENSEMBLE,
            dataset_of(tmp_path / "in10"),
            output,
            ScoreOptions(batch_size=2, groups_per_part=1),
            on_progress=cut_off,
        )
    left = sorted(path.name for path in output.iterdir())
    assert left == ["_job.json", *(f"part-0000{index}.parquet" for index in range(4))]
    (output / ".part-00004-1.partial").write_text("what a killed process leaves")

    again = make(10, groups_per_part=1)
    assert [path.read_bytes() for path in again.parts] == [path.read_bytes() for path in whole.parts]
    assert sorted(path.name for path in output.iterdir()) == sorted(
        ["_SUCCESS.json", "_job.json", *(path.name for path in whole.parts)]
    )


def test_a_failing_member_leaves_no_part_and_no_success(tmp_path: Path) -> None:
    ensemble = servable(Failing("broken"))
    with pytest.raises(RuntimeError, match="the device is gone"):
        score(ensemble, dataset_of(written(tmp_path / "in", 3), ensemble), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["_job.json"]


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"groups_per_part": 0}])
def test_sizes_below_one_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(InvalidDataError, match="must be >= 1"):
        ScoreOptions(**options)


def test_no_more_than_a_row_group_waits_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Chunks asked for and row groups written take turns: reading never runs further ahead than one group.
    monkeypatch.setattr(run, "GROUP_ROWS", 100)
    behind: list[int] = []
    handed = 0
    scored = run._scored  # noqa: SLF001 - the seam between reading and writing

    def counted(*args: Any) -> Iterator[Any]:
        nonlocal handed
        for batch in scored(*args):
            handed += batch.num_rows
            yield batch

    class Counting(pq.ParquetWriter):  # type: ignore[misc]
        rows = 0

        def write_batch(self, batch: Any) -> None:
            super().write_batch(batch)
            Counting.rows += batch.num_rows
            behind.append(handed - Counting.rows)

    monkeypatch.setattr(run, "_scored", counted)
    monkeypatch.setattr(pq, "ParquetWriter", Counting)
    dataset = dataset_of(written(tmp_path / "in", 1000))
    score(ENSEMBLE, dataset, tmp_path / "out", ScoreOptions(batch_size=30))
    assert Counting.rows == 1000
    assert max(behind) < 30
