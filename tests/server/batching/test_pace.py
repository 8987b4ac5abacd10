from server.batching.pace import Pace


def test_nothing_is_expected_before_a_batch_has_run() -> None:
    assert Pace().seconds_for(1000) == 0.0


def test_batches_count_by_their_rows() -> None:
    pace = Pace()
    pace.note(1, 0.02)
    pace.note(99, 0.18 + 0.002)
    # (0.9 * 0.02 + 0.182) s for 0.9 * 1 + 99 rows
    assert abs(pace.seconds_for(999) - 999 * 0.2 / 99.9) < 1e-12


def test_a_slow_moment_is_forgotten() -> None:
    pace = Pace()
    pace.note(10, 60.0)
    for _ in range(100):
        pace.note(10, 0.1)
    assert 1.0 < pace.seconds_for(100) < 1.1
