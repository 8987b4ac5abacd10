import pytest

from ensemble.scoring.pace import Pace, row_bytes, rows_at_once
from ensemble.signature import TensorSpec
from tests.support.members import signature_of


def tried(pace: Pace, seconds_a_row: dict[int, float], batches: int = 21) -> list[int]:
    sizes = []
    for _ in range(batches):
        sizes.append(pace.size)
        pace.took(pace.size, pace.size * seconds_a_row.get(pace.size, 1.0))
    return sizes


def test_every_size_is_tried_three_times_and_the_quickest_kept() -> None:
    pace = Pace(8)
    assert tried(pace, {4: 0.5}, 12) == [1, 2, 4, 8] * 3
    assert pace.size == 4


def test_one_slow_batch_says_nothing() -> None:
    pace = Pace(2)
    for rows, seconds in ((1, 1.0), (2, 90.0), (1, 1.0), (2, 1.5), (1, 1.0), (2, 1.6)):
        pace.took(rows, seconds)
    assert pace.size == 2


def test_very_small_batches_are_not_tried_for_light_rows() -> None:
    assert tried(Pace(8192), {}, 8) == [128, 256, 512, 1024, 2048, 4096, 8192, 128]


def test_a_batch_of_another_size_says_nothing() -> None:
    pace = Pace(4)
    pace.took(3, 0.0)
    assert pace.size == 1


def test_a_size_that_was_wished_for_is_kept() -> None:
    pace = Pace(48, fixed=True)
    assert tried(pace, {}, 3) == [48, 48, 48]


@pytest.mark.parametrize("batches", [0, 4, 21])
def test_no_batch_is_larger_than_the_limit(batches: int) -> None:
    pace = Pace(8)
    tried(pace, {8: 0.1, 2: 0.5}, batches)
    pace.limit(3)
    assert max(tried(pace, {2: 0.5})) == 2
    assert pace.size == 2


def test_a_limit_below_all_that_was_tried_is_what_is_left() -> None:
    pace = Pace(64)
    for rows in (1, 2, 4, 8, 16, 32, 64) * 3:
        pace.took(rows, 1.0)
    pace.limit(1)
    assert pace.size == 1
    fixed = Pace(48, fixed=True)
    fixed.limit(5)
    assert fixed.size == 5


@pytest.mark.parametrize(
    ("shape", "rows"),
    [((2,), 8192), ((28, 28), 1024), ((64, 64, 3), 64), ((1024, 1024), 8), ((2**22,), 2), ((2**26,), 1)],
)
def test_few_large_rows_are_read_at_once(shape: tuple[int, ...], rows: int) -> None:
    assert rows_at_once(signature_of(TensorSpec("x", "float32", shape))) == rows


def test_the_bytes_of_a_row_count_all_inputs() -> None:
    specs = (
        TensorSpec("image", "float32", (28, 28, 1)),
        TensorSpec("flag", "bool", ()),
        TensorSpec("text", "bytes", (2,)),
        TensorSpec("any", "int16", (-1,)),
    )
    assert row_bytes(signature_of(*specs)) == 28 * 28 * 4 + 1 + 128 + 2
