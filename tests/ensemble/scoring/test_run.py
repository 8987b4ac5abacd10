import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble.data.dataset import open_dataset
from ensemble.errors import InvalidDataError
from ensemble.scoring import shard
from ensemble.scoring.run import ErrorLimit, ScoreOptions, score
from ensemble.signature import Signature, TensorSpec
from tests.support.members import Constant, Failing, servable, signature_of

from .jobs import ENSEMBLE, Jobs, dataset_of, features, tree, written


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(tmp_path)


@settings(max_examples=25)
@given(rows=st.integers(1, 60), batch_size=st.integers(1, 70), part_rows=st.integers(1, 130))
def test_scores_are_bit_for_bit_those_of_the_servable_in_order_whatever_the_batch_size(
    rows: int, batch_size: int, part_rows: int
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        dataset = dataset_of(written(folder / "in", rows))
        result = score(ENSEMBLE, dataset, folder / "out", ScoreOptions(batch_size, part_rows))
        table = pq.read_table(folder / "out")
    expected = ENSEMBLE.score({"x": features(rows)})
    assert (result.rows, result.failed) == (2 * rows, 0)
    assert table.column("scores").type == pa.list_(pa.float32(), 3)
    scores = np.array(table.column("scores").to_pylist(), dtype=np.float32)
    assert scores.tobytes() == np.concatenate([expected, expected]).tobytes()
    assert table.column("row").to_pylist() == [*range(rows), *range(rows)]
    assert [Path(source).name for source in table.column("source").to_pylist()] == (
        ["a.npz"] * rows + ["b.npz"] * rows
    )


def test_all_files_are_the_same_bytes_for_every_batch_size(jobs: Jobs) -> None:
    one = jobs(10, "one", batch_size=1, part_rows=8)
    three = jobs(10, "three", batch_size=3, part_rows=8)
    assert [path.name for path in one.parts] == [f"part-0000{index}.parquet" for index in range(3)]
    assert [pq.read_metadata(path).num_rows for path in three.parts] == [8, 8, 4]
    assert tree(jobs.folder / "one") == tree(jobs.folder / "three")


def test_the_result_says_which_version_and_weights_made_it(jobs: Jobs) -> None:
    jobs(3, ensemble=replace(ENSEMBLE, version=7))
    metadata = pq.read_schema(jobs.output / "part-00000.parquet").metadata
    assert metadata[b"unisono.ensemble"] == b"digits"
    assert metadata[b"unisono.version"] == b"7"
    assert json.loads(metadata[b"unisono.classes"]) == ["class0", "class1", "class2"]
    success = json.loads((jobs.output / "_SUCCESS.json").read_text())
    assert (success["version"], success["rows"], success["scored"], success["failed"]) == (7, 6, 6, 0)
    assert success["parts"][0]["file"] == "part-00000.parquet"
    assert success["weights_sha256"] == metadata[b"unisono.weights_sha256"].decode()


def test_kept_columns_stand_beside_the_scores(tmp_path: Path) -> None:
    dataset = dataset_of(written(tmp_path / "in", 3, ("a",)), keep=["id"])
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
        dataset_of(folder, keep=["id"])


def test_progress_counts_the_rows_done(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    dataset = dataset_of(written(tmp_path / "in", 5))
    score(
        ENSEMBLE,
        dataset,
        tmp_path / "out",
        ScoreOptions(batch_size=2),
        on_progress=lambda *told: seen.append(told),
    )
    assert seen == [(0, 0), (2, 0), (4, 0), (5, 0), (7, 0), (9, 0), (10, 0)]


def test_a_failing_member_leaves_no_part_and_no_success(tmp_path: Path) -> None:
    ensemble = servable(Failing("broken"))
    with pytest.raises(RuntimeError, match="the device is gone"):
        score(ensemble, dataset_of(written(tmp_path / "in", 3), ensemble), tmp_path / "out")
    assert list(tree(tmp_path / "out")) == ["_job/plan.json"]


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"part_rows": 0}])
def test_sizes_below_one_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(InvalidDataError, match="must be >= 1"):
        ScoreOptions(**options)  # type: ignore[arg-type]


def test_reading_is_only_some_blocks_ahead_of_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard, "GROUP_ROWS", 100)
    ahead: list[int] = []
    read = 0
    blocks = shard.ShardScorer._read  # noqa: SLF001 - the seam between reading and asking

    def counted(*args: Any) -> Iterator[Any]:
        nonlocal read
        for block in blocks(*args):
            read += sum(len(chunk.row_numbers) for chunk in block.chunks)
            yield block

    class Counting(pq.ParquetWriter):  # type: ignore[misc]
        rows = 0

        def write_batch(self, batch: Any) -> None:
            ahead.append(read - Counting.rows)
            super().write_batch(batch)
            Counting.rows += batch.num_rows

    monkeypatch.setattr(shard.ShardScorer, "_read", counted)
    monkeypatch.setattr(pq, "ParquetWriter", Counting)
    dataset = dataset_of(written(tmp_path / "in", 2000, ("a",)))
    score(ENSEMBLE, dataset, tmp_path / "out", ScoreOptions(batch_size=30))
    assert Counting.rows == 2000
    # One row group, what waits before the members and behind them, and the blocks that they have in hand.
    assert max(ahead) <= 100 + 30 * (shard.BLOCKS_AHEAD + shard.SCORED_AHEAD + 3)


def test_a_file_that_breaks_off_leaves_the_parts_before_it(tmp_path: Path) -> None:
    folder = written(tmp_path / "in", 8, ("a",))
    (folder / "b.jsonl").write_text('{"x": [1, 2]}\n' * 8)
    dataset = dataset_of(folder)
    (folder / "b.jsonl").write_text('{"x": [1, 2]}\n' * 2)
    with pytest.raises(InvalidDataError, match=r"b.jsonl: ends at row 2, and had 8 rows"):
        score(ENSEMBLE, dataset, tmp_path / "out", ScoreOptions(batch_size=1, part_rows=4))
    assert sorted(path.name for path in (tmp_path / "out").glob("*part-*")) == [
        "part-00000.parquet",
        "part-00001.parquet",
    ]


def test_bad_rows_are_listed_and_their_neighbours_scored(tmp_path: Path) -> None:
    x = features(10)
    x[[2, 7], 1] = np.nan
    np.savez(tmp_path / "a.npz", x=x)
    options = ScoreOptions(batch_size=4, part_rows=5, errors_allowed=ErrorLimit(2))
    result = score(ENSEMBLE, dataset_of(tmp_path / "a.npz"), tmp_path / "out", options)
    assert (result.rows, result.failed) == (8, 2)
    table = pq.read_table(tmp_path / "out")
    good = [0, 1, 3, 4, 5, 6, 8, 9]
    assert table.column("row").to_pylist() == good
    scores = np.array(table.column("scores").to_pylist(), dtype=np.float32)
    assert scores.tobytes() == ENSEMBLE.score({"x": x[good]}).tobytes()
    errors = pq.read_table(tmp_path / "out/_errors").to_pylist()
    assert [(row["row"], row["code"]) for row in errors] == [(2, "nan"), (7, "nan")]
    assert errors[0]["message"] == "'x' is NaN: fill or drop such rows; got nan"
    assert errors[0]["source"] == str(tmp_path / "a.npz")


def test_more_bad_rows_than_allowed_fail_the_job_at_its_end_and_more_leave_finishes_it(
    tmp_path: Path,
) -> None:
    x = features(10)
    x[[2, 7], 1] = np.nan
    np.savez(tmp_path / "a.npz", x=x)
    dataset, output = dataset_of(tmp_path / "a.npz"), tmp_path / "out"
    with pytest.raises(InvalidDataError, match=r"2 of 10 rows can.t be scored, and 1 are allowed; .*_errors"):
        score(ENSEMBLE, dataset, output, ScoreOptions(errors_allowed=ErrorLimit(1)))
    assert "_SUCCESS.json" not in tree(output)
    stamp = (output / "part-00000.parquet").stat().st_mtime_ns
    result = score(ENSEMBLE, dataset, output, ScoreOptions(errors_allowed=ErrorLimit(share=0.2)))
    assert (result.rows, result.failed, result.done_before) == (8, 2, 10)
    assert "_SUCCESS.json" in tree(output)
    assert (output / "part-00000.parquet").stat().st_mtime_ns == stamp
    again = score(ENSEMBLE, dataset, output)
    assert (again.already_done, again.failed) == (True, 2)


def test_a_shard_of_bad_rows_only_is_an_empty_part(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.full((4, 2), np.nan, np.float32))
    options = ScoreOptions(part_rows=2, errors_allowed=ErrorLimit(share=1.0))
    result = score(ENSEMBLE, dataset_of(tmp_path / "a.npz"), tmp_path / "out", options)
    assert (result.rows, result.failed, len(result.parts)) == (0, 4, 2)
    assert pq.read_table(tmp_path / "out").num_rows == 0


@pytest.mark.parametrize(("text", "allowed"), [("0", 0), ("7", 7), ("0.5%", 5), ("100%", 1000), ("0.05%", 0)])
def test_a_limit_of_error_rows_is_a_number_or_a_percentage(text: str, allowed: int) -> None:
    assert ErrorLimit.parse(text).of(1000) == allowed


@pytest.mark.parametrize("text", ["", "-1", "many", "101%", "-1%", "nan%"])
def test_other_limits_are_refused(text: str) -> None:
    with pytest.raises(InvalidDataError, match="a number or a percentage; got"):
        ErrorLimit.parse(text)


def test_where_the_size_of_a_row_is_free_the_rows_say_how_many_are_read_at_once(tmp_path: Path) -> None:
    signature = Signature((TensorSpec("x", "float32", (-1,)),), (TensorSpec("scores", "float32", (3,)),))
    ensemble = servable(Constant("constant", signature=signature))
    np.savez(tmp_path / "a.npz", x=np.zeros((40, 2**16), np.float32))
    dataset = dataset_of(tmp_path / "a.npz", ensemble)
    assert dataset.row_bytes() == 2**18
    seen: list[int] = []
    score(ensemble, dataset, tmp_path / "out", on_progress=lambda done, _: seen.append(done))
    assert seen == [0, 16, 32, 40]


def test_texts_are_as_large_as_they_are(tmp_path: Path) -> None:
    signature = signature_of(TensorSpec("text", "bytes", ()))
    (tmp_path / "a.csv").write_text("text\n" + "long" * 500 + "\nshort\n")
    assert open_dataset([tmp_path / "a.csv"], signature).row_bytes() == 2000
