import io
import json

import pytest
from rich.console import Console

from server.cli.progress import JsonEvents, PlainLines, Speed, plain_line, rows_progress


def test_a_line_says_how_far_how_fast_and_how_much_longer() -> None:
    line = plain_line("scored", 2500, 10_000, Speed(500.0, 15.0))
    assert line == "scored 2,500 of 10,000 rows (25%), 500 rows/s, 15 s left"
    unknown = plain_line("scored", 0, 10, Speed(0.0, None))
    assert unknown == "scored 0 of 10 rows (0%), 0 rows/s, no end in sight"


@pytest.mark.parametrize(
    ("before", "done", "total", "seconds", "speed", "eta"),
    [
        (0, 2500, 10_000, 5.0, 500.0, 15.0),
        (8000, 9000, 10_000, 5.0, 200.0, 5.0),  # what was done before says nothing of the speed
        (8000, 8000, 10_000, 5.0, 0.0, None),
        (0, 5, 10, 0.0, 0.0, None),
        (0, 10, 10, 4.0, 2.5, 0.0),
        (10, 10, 10, 4.0, 0.0, 0.0),  # all of it was done before
        (10, 8, 10, 4.0, 0.0, None),  # a part that was lost is done again
    ],
)
def test_the_speed_is_that_of_the_rows_of_this_run(
    before: int, done: int, total: int, seconds: float, speed: float, eta: float | None
) -> None:
    assert Speed.of(before, done, total, seconds) == Speed(speed, eta)


def test_a_resumed_job_tells_its_own_speed() -> None:
    out, now = io.StringIO(), 100.0
    console = Console(file=out, width=200)
    lines = PlainLines(1000, "scored", console, clock=lambda: now)
    events = JsonEvents(1000, "scored", console, clock=lambda: now)
    for rows, seconds in ((800, 20.0), (900, 0.0)):
        for told in (lines, events):
            told.advance(rows)
        now += seconds
    plain, event = out.getvalue().splitlines()
    assert plain == "scored 900 of 1,000 rows (90%), 5 rows/s, 20 s left"
    assert (json.loads(event)["rows_per_sec"], json.loads(event)["eta_secs"]) == (5.0, 20.0)


def test_a_log_gets_a_line_every_ten_seconds() -> None:
    out, now = io.StringIO(), 100.0
    lines = PlainLines(1000, "scored", Console(file=out, width=200), clock=lambda: now)
    for second in range(26):
        now = 100.0 + second
        lines.advance(second * 10)
    assert out.getvalue().splitlines() == [
        "scored 100 of 1,000 rows (10%), 10 rows/s, 90 s left",
        "scored 200 of 1,000 rows (20%), 10 rows/s, 80 s left",
    ]


def test_a_short_job_prints_nothing_to_a_log() -> None:
    out = io.StringIO()
    with rows_progress(10, "scored", Console(file=out)) as advance:
        advance(10)
    assert not out.getvalue()


def test_a_program_gets_an_event_a_second_and_one_for_the_last_row() -> None:
    out, now = io.StringIO(), 100.0
    events = JsonEvents(30, "scored", Console(file=out), clock=lambda: now)
    for rows in range(1, 31):
        events.advance(rows - 1)
        now = 100.0 + rows / 20
        events.advance(rows)
    assert out.getvalue().splitlines() == [
        (
            '{"event": "scored", "rows": 20, "total": 30, "errors": 0, "seconds": 1.0, "rows_per_sec": 20.0,'
            ' "eta_secs": 0.5}'
        ),
        (
            '{"event": "scored", "rows": 30, "total": 30, "errors": 0, "seconds": 1.5, "rows_per_sec": 20.0,'
            ' "eta_secs": 0.0}'
        ),
    ]


def test_nothing_at_all_can_be_asked_for() -> None:
    out = io.StringIO()
    with rows_progress(10, "scored", Console(file=out, force_terminal=True), "none") as advance:
        advance(10)
    assert not out.getvalue()


@pytest.mark.parametrize("done", [0, 10])
def test_a_terminal_gets_a_bar_that_is_gone_afterwards(done: int) -> None:
    out = io.StringIO()
    with rows_progress(10, "scored", Console(file=out, force_terminal=True, width=120)) as advance:
        advance(done)
    assert f"{done} of 10 rows" in out.getvalue()
    assert out.getvalue().endswith("\x1b[2K")  # the line is cleared
