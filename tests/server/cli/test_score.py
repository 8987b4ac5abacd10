import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ensemble.errors import InvalidDataError
from ensemble.loading.load import Runtimes, load_servable
from ensemble.runtimes.measurements import Measurements, cache_folder
from ensemble.runtimes.opening import opener
from ensemble.scoring import run as scoring
from model_store.errors import VersionNotFoundError
from model_store.store import Store
from server.cli.main import EXIT_DONE, EXIT_ERROR_ROWS, application
from tests.support.flowers import NAME, publish_uniform, write_rows


@pytest.fixture
def store(tmp_path: Path) -> Store:
    opened = Store.open(str(tmp_path / "store"))
    publish_uniform(opened, tmp_path)
    return opened


def run(store: Store, folder: Path, *options: str) -> object:
    output = ["--output", str(folder / "out"), "--store", store.address]
    return application()(["score", NAME, *options, *output], exit_on_error=False)


def test_files_are_scored_with_the_current_version(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (write_rows(tmp_path / f"{name}.npz", 50, seed=len(name)) for name in ("a", "bb"))
    code = run(store, tmp_path, "--input", str(first), str(second), "--keep", "y, x", "--batch-size", "7")
    assert code == EXIT_DONE
    out, err = capsys.readouterr()
    assert out.startswith(f"scored 100 rows with {NAME} version 1 in ")
    assert out.endswith(f" rows/s): 1 part in {tmp_path / 'out'}\n")
    assert not err
    table = pq.read_table(tmp_path / "out")
    assert table.column_names == ["source", "row", "y", "x", "scores"]
    x = np.concatenate([np.load(path)["x"] for path in (first, second)])
    expected = load_servable(store, NAME).score({"x": x})
    assert np.array(table.column("scores").to_pylist(), np.float32).tobytes() == expected.tobytes()


def test_a_job_that_is_done_is_only_reported(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = str(write_rows(tmp_path / "a.npz", 9))
    run(store, tmp_path, "--input", rows)
    capsys.readouterr()
    assert run(store, tmp_path, "--input", rows) == EXIT_DONE
    out = capsys.readouterr().out
    assert out == f"already done: 9 rows scored with {NAME} version 1, 1 part in {tmp_path / 'out'}\n"


def test_a_version_that_is_not_there_scores_nothing(store: Store, tmp_path: Path) -> None:
    with pytest.raises(VersionNotFoundError, match="9"):
        run(store, tmp_path, "--input", str(write_rows(tmp_path / "a.npz", 9)), "--version", "9")
    assert not (tmp_path / "out").exists()


def test_a_column_to_keep_that_is_not_there_scores_nothing(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match=r"has no array \['id'\]; it has \['x', 'y'\]"):
        run(store, tmp_path, "--input", str(write_rows(tmp_path / "a.npz", 9)), "--keep", "id")
    assert not (tmp_path / "out").exists()


def test_rows_that_cannot_be_scored_are_told_and_change_the_exit_code(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = np.zeros((9, 3), np.float32)
    x[4] = np.nan
    np.savez(tmp_path / "a.npz", x=x)
    with pytest.raises(InvalidDataError, match="1 of 9 rows can't be scored, and 0 are allowed"):
        run(store, tmp_path, "--input", str(tmp_path / "a.npz"))
    code = run(store, tmp_path, "--input", str(tmp_path / "a.npz"), "--max-error-rows", "20%")
    assert code == EXIT_ERROR_ROWS
    assert f"; 1 rows could not be scored, see {tmp_path / 'out/_errors'}" in capsys.readouterr().out
    assert pq.read_table(tmp_path / "out").column("row").to_pylist() == [0, 1, 2, 3, 5, 6, 7, 8]


def test_more_can_be_told_of_each_row(store: Store, tmp_path: Path) -> None:
    rows = str(write_rows(tmp_path / "a.npz", 9))
    run(store, tmp_path, "--input", rows, "--outputs", "label, entropy", "--member-outputs")
    table = pq.read_table(tmp_path / "out")
    assert table.column_names == ["source", "row", "label", "entropy", "member_scores"]
    assert sorted(table.column("member_scores").to_pylist()[0]) == ["blunt", "fair", "over"]


def test_progress_can_be_events_for_a_program(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = str(write_rows(tmp_path / "a.npz", 9))
    run(store, tmp_path, "--input", rows, "--progress", "json")
    event = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert (event["event"], event["rows"], event["total"]) == ("scored", 9, 9)
    assert event["rows_per_sec"] > 0
    assert event["eta_secs"] == 0


def test_a_file_for_prometheus_tells_how_far_the_job_is(store: Store, tmp_path: Path) -> None:
    x = np.zeros((9, 3), np.float32)
    x[4] = np.nan
    np.savez(tmp_path / "a.npz", x=x)
    metrics = tmp_path / "score.prom"
    options = ("--max-error-rows", "1", "--metrics-file", str(metrics), "--id-column", "x")
    assert run(store, tmp_path, "--input", str(tmp_path / "a.npz"), *options) == EXIT_ERROR_ROWS
    told = dict(line.split() for line in metrics.read_text().splitlines() if not line.startswith("#"))
    assert float(told.pop("unisono_score_seconds")) > 0
    assert float(told.pop("unisono_score_rows_per_second")) > 0
    assert told == {
        "unisono_score_rows": "9.0",
        "unisono_score_rows_done": "9.0",
        "unisono_score_rows_failed": "1.0",
        "unisono_score_eta_seconds": "0.0",
        "unisono_score_finished": "1.0",
    }
    assert len(pq.read_table(tmp_path / "out/_errors").column("x")[0]) == 3


def test_other_results_are_overwritten_when_told_to(store: Store, tmp_path: Path) -> None:
    run(store, tmp_path, "--input", str(write_rows(tmp_path / "a.npz", 9)))
    other = str(write_rows(tmp_path / "b.npz", 5))
    with pytest.raises(InvalidDataError, match=r"or overwrite them \(--overwrite\)"):
        run(store, tmp_path, "--input", other)
    assert run(store, tmp_path, "--input", other, "--overwrite") == EXIT_DONE
    assert pq.read_table(tmp_path / "out").num_rows == 5


def test_every_executor_runs_the_members_on_the_runtime_that_the_server_would(
    store: Store, tmp_path: Path
) -> None:
    rows = write_rows(tmp_path / "a.npz", 20_000)
    measurements = Measurements(cache_folder())
    served = load_servable(store, NAME, runtimes=Runtimes(opener("openvino", measurements)))
    expected = served.score({"x": np.load(rows)["x"]})
    for executor in ("inline", "process"):
        folder = tmp_path / executor
        options = ["--runtime", "openvino", "--executor", executor, "--workers", "2"]
        run(store, folder, "--input", str(rows), *options)
        table = pq.read_table(folder / "out")
        assert np.stack(table.column("scores").to_numpy()).tobytes() == expected.tobytes()
        plan = json.loads((folder / "out/_job/plan.json").read_text())
        assert {way["runtime"] for way in plan["runtimes"].values()} == {"openvino"}
        assert "openvino" in plan["made_with"]


def test_a_job_goes_on_with_the_runtimes_it_began_with(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = str(write_rows(tmp_path / "a.npz", 9))
    run(store, tmp_path, "--input", rows, "--runtime", "openvino")
    monkeypatch.setattr(scoring, "settle", lambda *_: {})
    assert run(store, tmp_path, "--input", rows, "--runtime", "auto") == EXIT_DONE
    with pytest.raises(InvalidDataError, match=r"another job \(made_with, runtimes differ\)"):
        run(store, tmp_path, "--input", rows)
    with pytest.raises(InvalidDataError, match="another job"):
        run(store, tmp_path, "--input", rows, "--runtime", "auto", "--outputs", "label")
