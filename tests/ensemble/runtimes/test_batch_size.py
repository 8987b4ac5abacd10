"""How many rows a batch should hold, by measuring."""

from pathlib import Path

import pytest

from ensemble.errors import MemberError
from ensemble.member import Rows, row_count
from ensemble.runtimes import batch_size as batch_size_module
from ensemble.runtimes.batch_size import SIZES, BatchSize, batch_size, enough
from ensemble.runtimes.measurements import Measurements

from .timed import CLOCK, SIGNATURE

pytestmark = pytest.mark.usefixtures("turned_clock")


class Engine:
    """Takes `start` seconds for a batch and `row` for each of its rows; remembers the batches."""

    def __init__(self, start: float, row: float) -> None:
        self.start, self.row = start, row
        self.asked: list[int] = []

    def __call__(self, rows: Rows) -> None:
        self.asked.append(row_count(rows))
        CLOCK[0] += self.start + self.row * row_count(rows)


def found(run: Engine) -> BatchSize:
    return batch_size(Measurements(None), ["a"], SIGNATURE, run)


def test_a_batch_is_as_large_as_still_makes_rows_quicker() -> None:
    # 1 ms a batch and 1 ms a row: a row of 32 costs 1.0375 ms, of all that is tried 1.0047 ms at best.
    made = found(Engine(0.001, 0.001))

    assert made.rows == 32
    assert made.seconds[16] == pytest.approx(0.017)


def test_what_costs_the_same_a_row_is_batched_for_the_overhead_alone() -> None:
    # 0.2 ms a batch and 0.1 ms a row.
    assert found(Engine(0, 0.0001)).rows == 32
    assert found(Engine(0, 0.02)).rows == 1


def test_what_costs_nothing_a_row_gets_the_largest() -> None:
    assert found(Engine(0.0001, 0)).rows == SIZES[-1]


def test_no_batch_is_tried_that_would_keep_callers_waiting() -> None:
    engine = Engine(0.05, 0.01)

    assert max(found(engine).seconds) == 8
    assert max(engine.asked) == 8


def test_no_larger_batch_is_tried_once_rows_come_no_quicker() -> None:
    assert max(found(Engine(0, 0.0005)).seconds) == 64


def test_a_batch_that_fails_where_smaller_ones_pass_is_too_large() -> None:
    class Short(Engine):
        def __call__(self, rows: Rows) -> None:
            super().__call__(rows)
            if row_count(rows) > 16:
                raise MemberError("no memory")

    engine = Short(0.001, 0.0001)

    assert found(engine).rows == 16
    assert max(engine.asked) == 32


def test_what_cannot_be_measured_gets_a_usual_size() -> None:
    def fail(_: Rows) -> None:
        raise MemberError("the device is gone")

    assert batch_size(Measurements(None), ["a"], SIGNATURE, fail) == BatchSize(64)


def test_it_is_measured_once(tmp_path: Path) -> None:
    engine = Engine(0.001, 0.001)
    first = batch_size(Measurements(tmp_path), ["a"], SIGNATURE, engine)
    engine.asked.clear()

    assert batch_size(Measurements(tmp_path), ["a"], SIGNATURE, engine) == first
    assert engine.asked == []


def test_of_sizes_that_are_nearly_as_good_the_smallest_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_size_module, "OVERHEAD_SECS", 0.0)

    assert enough({1: 1.0, 2: 1.2, 4: 2.08, 8: 4.0}) == 4
    assert enough({1: 1.0, 2: 1.05, 4: 2.08, 8: 4.0}) == 2
    assert enough({1: 1.0, 2: 2.5}) == 1
