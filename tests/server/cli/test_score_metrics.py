from pathlib import Path

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
    now = 100.5
    metrics.advance(10)
    assert kept("rows_done") == "0.0"
    now = 101.0
    metrics.advance(20, 3)
    assert (kept("rows_done"), kept("rows_failed"), kept("seconds")) == ("20.0", "3.0", "1.0")
    now = 101.1
    metrics.finish(4)
    assert (kept("rows_done"), kept("rows_failed"), kept("finished")) == ("100.0", "4.0", "1.0")
    assert shown == [(10, 0), (20, 3)]
