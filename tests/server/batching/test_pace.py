from server.batching.pace import ENOUGH, Pace


def test_nothing_is_expected_before_a_batch_has_run() -> None:
    assert (Pace().seconds_for(1000), Pace().wait_for(1000)) == (0.0, 0.0)


def test_batches_count_by_their_rows() -> None:
    pace = Pace()
    pace.note(1, 0.02, most=64)
    pace.note(99, 0.18 + 0.002, most=99)
    # (0.9 * 0.02 + 0.182) s for 0.9 * 1 + 99 rows
    assert abs(pace.seconds_for(999) - 999 * 0.2 / 99.9) < 1e-12


def test_a_crowd_after_lone_rows_is_expected_to_fill_batches() -> None:
    pace = Pace()
    for _ in range(ENOUGH):
        pace.note(1, 0.005, most=64)
    assert abs(pace.seconds_for(64) - 0.32) < 1e-12
    assert pace.wait_for(640) == 0.05


def test_a_crowd_after_full_batches_is_expected_to_take_as_long_as_they_did() -> None:
    pace = Pace()
    for _ in range(10):
        pace.note(64, 0.1, most=64)
    assert abs(pace.wait_for(640) - 1.0) < 1e-12
    assert abs(pace.wait_for(640) - pace.seconds_for(640)) < 1e-12


def test_a_batch_that_holds_more_than_it_should_counts_by_what_it_holds() -> None:
    pace = Pace()
    for _ in range(ENOUGH):
        pace.note(10, 1.0, most=4)
    assert pace.wait_for(10) == 1.0


def test_no_wait_is_expected_from_too_few_batches() -> None:
    pace = Pace()
    for _ in range(ENOUGH - 1):
        pace.note(10, 60.0, most=10)
    assert pace.wait_for(4000) == 0.0


def test_batches_that_were_held_up_say_nothing_while_most_were_not() -> None:
    pace = Pace()
    for seconds in (60.0, 0.1, 0.1, 60.0, 0.1, 0.1, 60.0, 0.1, 60.0):
        pace.note(10, seconds, most=10)
    assert abs(pace.wait_for(100) - 1.0) < 1e-12


def test_a_pace_that_changed_is_told_once_most_batches_had_it() -> None:
    pace = Pace()
    for seconds in [0.1] * ENOUGH + [0.4] * 5:
        pace.note(10, seconds, most=10)
    assert abs(pace.wait_for(100) - 4.0) < 1e-12


def test_a_slow_moment_is_forgotten() -> None:
    pace = Pace()
    pace.note(10, 60.0, most=10)
    for _ in range(100):
        pace.note(10, 0.1, most=10)
    assert 1.0 < pace.seconds_for(100) < 1.1
