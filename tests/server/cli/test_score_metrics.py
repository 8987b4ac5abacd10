from io import StringIO
from pathlib import Path

from rich.console import Console

from server.cli.progress import rows_progress
from server.cli.score_metrics import ScoreMetrics


def test_the_file_is_written_at_most_once_a_second_and_at_the_end(tmp_path: Path) -> None:
    path, now, shown = tmp_path / "score.prom", 100.0, []

    def show(done: int, failed: int = 0) -> None:
        shown.append((done, failed))

    def kept(name: str) -> str:
        lines = path.read_text().splitlines()
        return next(line.split()[1] for line in lines if line.startswith(f"unisono_score_{name} "))

    metrics = ScoreMetrics(path, 100, show, clock=lambda: now)
    assert (kept("rows"), kept("rows_done"), kept("finished")) == ("100.0", "0.0", "0.0")
    assert (kept("rows_per_second"), kept("eta_seconds")) == ("0.0", "NaN")
    metrics.advance(5)
    now = 100.5
    metrics.advance(10)
    assert kept("rows_done") == "0.0"
    now = 101.0
    metrics.advance(20, 3)
    assert (kept("rows_done"), kept("rows_failed"), kept("seconds")) == ("20.0", "3.0", "1.0")
    # Five of the rows were done before this run.
    assert (kept("rows_per_second"), kept("eta_seconds")) == ("15.0", str(80 / 15))
    now = 102.0
    metrics.finish(4)
    assert (kept("rows_done"), kept("rows_failed"), kept("finished")) == ("100.0", "4.0", "1.0")
    assert (kept("rows_per_second"), kept("eta_seconds")) == ("47.5", "0.0")
    assert shown == [(5, 0), (10, 0), (20, 3)]


def test_of_a_job_that_was_done_before_nothing_is_fast(tmp_path: Path) -> None:
    path = tmp_path / "score.prom"
    with rows_progress(100, "scored", Console(file=StringIO()), "none") as shown:
        ScoreMetrics(path, 100, shown).finish(0)
    told = path.read_text().splitlines()
    assert "unisono_score_rows_per_second 0.0" in told
    assert "unisono_score_eta_seconds 0.0" in told
    assert "unisono_score_finished 1.0" in told
