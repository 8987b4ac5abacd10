"""What several processes counted, as whoever asks one of them sees it."""

import asyncio
import multiprocessing
from pathlib import Path

import pytest

from server.telemetry.shared_statistics import SharedStatistics, from_json, to_json
from server.telemetry.statistics import BatchTimes, Duration, Figures, Stages

TIMES = BatchTimes(4, [0.001, 0.003], 0.1, 0.2, 0.3, {"a": 0.05})


def count(statistics: SharedStatistics) -> None:
    statistics.handled("ModelInfer", "m", "1", "OK", 0.5)
    statistics.handled("ModelInfer", "m", "1", "NOT_FOUND", 0.25)
    statistics.scored("m", 1, TIMES)


def count_elsewhere(folder: str) -> None:
    statistics = SharedStatistics(Path(folder))
    count(statistics)
    statistics.write()


def counted(statistics: SharedStatistics, model: str = "m") -> tuple[int, ...]:
    of = statistics.of(model, 1)
    sizes = of.by_batch_size.get(4, Stages())
    return (of.rows, of.batches, of.success.count, of.fail.count, of.queue.count, sizes.infer.ns)


def test_what_another_process_counted_counts_also_when_it_has_ended(tmp_path: Path) -> None:
    statistics = SharedStatistics(tmp_path)
    count(statistics)
    other = multiprocessing.get_context("spawn").Process(target=count_elsewhere, args=(str(tmp_path),))
    other.start()
    other.join(60)

    assert counted(statistics) == (8, 2, 2, 2, 4, 400_000_000)
    assert counted(statistics, "m.a") == (8, 2, 4, 0, 4, 100_000_000)
    assert counted(statistics, "unheard") == (0, 0, 0, 0, 0, 0)
    # Reading adds nothing to what this process tells the others.
    assert counted(statistics) == (8, 2, 2, 2, 4, 400_000_000)


def test_figures_are_read_as_they_were_written() -> None:
    stages = Stages(Duration(1, 2), Duration(1, 3), Duration(1, 4))
    figures = Figures(Duration(5, 6), Duration(7, 8), Duration(9, 10), stages, {4: stages}, 11, 12, 13)

    assert from_json(to_json(figures)) == figures


def test_nothing_is_written_while_nothing_is_new(tmp_path: Path) -> None:
    statistics = SharedStatistics(tmp_path)
    statistics.write()
    assert list(tmp_path.iterdir()) == []
    count(statistics)
    statistics.write()
    [file] = tmp_path.iterdir()
    file.unlink()
    statistics.write()
    assert list(tmp_path.iterdir()) == []


def written(folder: Path) -> list[str]:
    return [file.read_text() for file in folder.glob("*.json")]


async def test_the_last_word_is_written_when_the_process_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.telemetry.shared_statistics.WRITE_EVERY_SECS", 0.001)
    statistics = SharedStatistics(tmp_path)
    writing = asyncio.create_task(statistics.write_on())
    count(statistics)
    async with asyncio.timeout(10):
        while not written(tmp_path):
            await asyncio.sleep(0.001)
    count(statistics)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    [text] = written(tmp_path)
    assert '"rows": 8' in text
