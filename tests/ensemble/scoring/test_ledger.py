import errno
import json
import os
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ensemble.errors import InvalidDataError
from ensemble.scoring.run import ScoreOptions, score
from model_store.errors import StoreUnavailableError

from .jobs import ENSEMBLE, Jobs, dataset_of, features, tree


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(tmp_path)


def test_a_finished_job_is_left_alone(jobs: Jobs) -> None:
    first = jobs(3)
    stamp = first.parts[0].stat().st_mtime_ns
    again = jobs(3, batch_size=1)
    assert (first.already_done, again.already_done) == (False, True)
    assert (again.rows, again.parts) == (first.rows, first.parts)
    assert again.parts[0].stat().st_mtime_ns == stamp


def test_a_finished_job_that_lost_a_part_is_refused_until_told(jobs: Jobs) -> None:
    first = jobs(3)
    whole = first.parts[0].read_bytes()
    first.parts[0].unlink()
    with pytest.raises(InvalidDataError, match=r"part-00000.parquet: is gone or .*remove it and _SUCCESS"):
        jobs(3)
    (jobs.output / "_SUCCESS.json").unlink()
    assert jobs(3).parts[0].read_bytes() == whole


def test_a_part_that_somebody_changed_is_not_taken_for_ours(jobs: Jobs) -> None:
    first = jobs(3)
    first.parts[0].chmod(0o644)
    first.parts[0].write_bytes(b"other scores")
    (jobs.output / "_SUCCESS.json").unlink()
    with pytest.raises(InvalidDataError, match=r"part-00000.parquet: is gone or has changed"):
        jobs(3)
    (jobs.output / "_job/done/0.json").unlink()
    with pytest.raises(InvalidDataError, match=r"part-00000.parquet: isn't what its rows score to now"):
        jobs(3)
    assert first.parts[0].read_bytes() == b"other scores"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "isn't what a job writes"),
        ('{"part": 7}', "isn't what a job writes"),
        ("{", "isn't JSON"),
        (
            (
                '{"shard": 0, "errors": null, "seconds": 1,'
                ' "part": {"file": "part-00000.parquet", "rows": 5, "size": 1, "sha256": ""}}'
            ),
            "its rows don't add up",
        ),
    ],
)
def test_a_marker_that_no_job_wrote_is_refused(text: str, message: str, jobs: Jobs) -> None:
    jobs(3)
    marker = jobs.output / "_job/done/0.json"
    marker.unlink()
    marker.write_text(text)
    with pytest.raises(InvalidDataError, match=rf"0.json: {message}"):
        jobs(3)


def test_a_full_disk_is_told_as_such_and_leaves_no_part(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq, "ParquetWriter", full)
    with pytest.raises(StoreUnavailableError, match="No space left on device; free some space"):
        jobs(3)
    assert list(tree(jobs.output)) == ["_job/plan.json"]


def test_results_of_another_version_are_not_mixed_in(jobs: Jobs) -> None:
    jobs(3)
    with pytest.raises(InvalidDataError, match=r"another job \(version differ\): name an empty folder"):
        jobs(3, ensemble=replace(ENSEMBLE, version=2))


def test_results_of_other_data_are_not_mixed_in(jobs: Jobs) -> None:
    jobs(3)
    file = jobs.inputs(3) / "b.npz"
    os.utime(file, ns=(0, 12345))
    with pytest.raises(InvalidDataError, match=r"another job \(files differ\)"):
        jobs(3)


def test_a_file_that_changes_while_it_is_scored_is_not_said_to_be_done(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=features(6))

    def change(rows: int, _: int) -> None:
        if rows == 4:
            np.savez(path, x=features(6))

    with pytest.raises(InvalidDataError, match=r"a.npz: changed since the job was planned"):
        score(
            ENSEMBLE,
            dataset_of(path),
            tmp_path / "out",
            ScoreOptions(batch_size=2, part_rows=3),
            on_progress=change,
        )
    assert list((tmp_path / "out").glob("part-*")) == [tmp_path / "out/part-00000.parquet"]


def test_a_folder_with_something_else_in_it_is_refused(jobs: Jobs) -> None:
    jobs.output.mkdir()
    (jobs.output / "thesis.txt").write_text("precious")
    with pytest.raises(InvalidDataError, match="isn't empty and holds no scoring job"):
        jobs(3)
    assert [path.name for path in jobs.output.iterdir()] == ["thesis.txt"]


def test_a_file_is_no_output_folder(jobs: Jobs) -> None:
    jobs.output.write_text("precious")
    with pytest.raises(InvalidDataError, match="is a file; name a folder"):
        jobs(3)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_folder_whose_plan_cannot_be_read_is_refused(text: str, jobs: Jobs) -> None:
    (jobs.output / "_job").mkdir(parents=True)
    (jobs.output / "_job/plan.json").write_text(text)
    with pytest.raises(InvalidDataError, match=r"plan.json: .*JSON.*: name an empty folder"):
        jobs(3)


def test_a_run_that_died_while_it_wrote_the_plan_is_gone_on_with(jobs: Jobs) -> None:
    (jobs.output / "_job").mkdir(parents=True)
    (jobs.output / "_job/.tmp-1-abc").write_text("{")
    assert jobs(3).rows == 6


def test_a_job_cut_off_goes_on_where_it_was(jobs: Jobs, tmp_path: Path) -> None:
    whole = jobs(10, "whole", part_rows=4)

    def cut_off(rows: int, _: int) -> None:
        if rows == 18:
            raise KeyboardInterrupt

    dataset, options = dataset_of(tmp_path / "in10"), ScoreOptions(batch_size=2, part_rows=4)
    with pytest.raises(KeyboardInterrupt):
        score(ENSEMBLE, dataset, jobs.output, options, on_progress=cut_off)
    done = [f"part-0000{index}.parquet" for index in range(4)]
    assert sorted(tree(jobs.output)) == ["_job/plan.json", *done]
    stamp = (jobs.output / done[0]).stat().st_mtime_ns

    told: list[tuple[int, int]] = []
    again = score(ENSEMBLE, dataset, jobs.output, options, on_progress=lambda *rows: told.append(rows))
    assert told == [(16, 0), (18, 0), (20, 0)]
    assert (again.done_before, again.rows, again.already_done) == (16, 20, False)
    assert (jobs.output / done[0]).stat().st_mtime_ns == stamp
    assert tree(jobs.output) == tree(whole.parts[0].parent)


def test_what_the_dead_left_half_written_is_cleared_away_and_what_the_living_write_is_not(jobs: Jobs) -> None:
    jobs(3)
    dead, living = (
        jobs.output / f".part-00000.{socket.gethostname()}-{process}-ab12.partial"
        for process in (2**22 + 1, os.getpid())  # no process has a number that high
    )
    elsewhere = jobs.output / ".part-00000.some-other.host-17-ab12.partial"
    for path in (dead, living, elsewhere):
        path.write_text("half a part")
    jobs(3)
    assert [path.exists() for path in (dead, living, elsewhere)] == [False, True, True]


@pytest.mark.parametrize("lost", ["_job/done/1.json", "part-00001.parquet", "_SUCCESS.json"])
def test_whatever_a_crash_keeps_back_the_next_run_ends_with_the_same_bytes(lost: str, jobs: Jobs) -> None:
    # A part without its marker, a marker whose part never reached the disk, all parts and no success.
    jobs(10, part_rows=8)
    whole = tree(jobs.output)
    (jobs.output / "_SUCCESS.json").unlink()
    (jobs.output / lost).unlink(missing_ok=True)
    jobs(10, part_rows=8)
    assert tree(jobs.output) == whole


def test_markers_say_how_many_rows_and_how_long(jobs: Jobs) -> None:
    jobs(10, part_rows=8)
    marker = json.loads((jobs.output / "_job/done/2.json").read_text())
    assert (marker["shard"], marker["part"]["rows"], marker["errors"]) == (2, 4, None)
    assert marker["seconds"] >= 0
