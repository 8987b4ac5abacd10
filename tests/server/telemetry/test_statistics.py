from server.telemetry.statistics import BatchTimes, Duration, Figures, Stages, Statistics


def batch(rows: int, *waited: float, **by_member: float) -> BatchTimes:
    return BatchTimes(rows, waited, 0.001, 0.01, 0.002, by_member)


def test_a_request_counts_its_batchs_whole_time_and_a_batch_counts_once_for_its_size() -> None:
    told = Statistics()
    told.scored("digits", 3, batch(5, 0.5, 0.25))
    told.scored("digits", 3, batch(5, 0.25))

    figures = told.of("digits", 3)
    stages = (figures.compute.input, figures.compute.infer, figures.compute.output)
    assert stages == (Duration(3, 3_000_000), Duration(3, 30_000_000), Duration(3, 6_000_000))
    assert figures.queue == Duration(3, 1_000_000_000)
    assert (figures.rows, figures.batches) == (10, 2)
    assert figures.last_ms > 0
    assert figures.by_batch_size == {
        5: Stages(Duration(2, 2_000_000), Duration(2, 20_000_000), Duration(2, 4_000_000))
    }


def test_members_are_asked_in_turn_so_only_the_first_has_its_rows_wait() -> None:
    told = Statistics()
    told.scored("digits", 3, batch(4, 0.5, 0.25, cnn=0.25, forest=0.125))

    cnn = told.of("digits.cnn", 3)
    assert cnn.queue == Duration(2, 750_000_000)
    assert cnn.compute == Stages(Duration(2, 0), Duration(2, 500_000_000), Duration(2, 0))
    assert cnn.success == Duration(2, 1_250_000_000)
    assert (cnn.rows, cnn.batches) == (4, 1)
    forest = told.of("digits.forest", 3)
    assert forest.queue == Duration(2, 0)
    assert forest.compute.infer == forest.success == Duration(2, 250_000_000)


def test_a_member_asked_by_itself_has_no_members() -> None:
    told = Statistics()
    told.scored("digits.cnn", 3, batch(1, 0.0, cnn=0.25))

    assert told.of("digits.cnn", 3).batches == 1
    assert told.of("digits.cnn.cnn", 3) == Figures()


def test_calls_that_score_succeed_or_fail_and_others_count_nothing() -> None:
    told = Statistics()
    told.handled("ModelInfer", "digits", "3", "OK", 0.5)
    told.handled("ModelStreamInfer", "digits", "3", "UNAVAILABLE", 0.25)
    told.handled("ModelReady", "digits", "3", "OK", 0.5)
    told.handled("ModelInfer", "", "", "NOT_FOUND", 0.5)

    figures = told.of("digits", 3)
    assert figures.success == Duration(1, 500_000_000)
    assert figures.fail == Duration(1, 250_000_000)
    assert told.of("", 0) == Figures()


def test_a_member_that_fails_in_an_ensemble_has_a_failure_of_the_version_served() -> None:
    told = Statistics()
    told.member_failed("digits", "cnn")
    told.swapped("digits", 3)
    told.member_failed("digits", "cnn")
    told.member_failed("digits.cnn", "cnn")

    assert told.of("digits.cnn", 3).fail == Duration(1, 0)


def test_a_swap_forgets_the_versions_before_of_that_ensemble_only() -> None:
    told = Statistics()
    for model in ("digits", "letters"):
        told.scored(model, 3, batch(1, 0.0, cnn=0.25))
        told.scored(model, 2, batch(1, 0.0, cnn=0.25))
    told.serving("digits", {2, 4})

    assert told.of("digits", 2).batches == told.of("digits.cnn", 2).batches == 1
    assert told.of("digits", 3) == told.of("digits.cnn", 3) == Figures()
    assert told.of("letters.cnn", 3).batches == 1
