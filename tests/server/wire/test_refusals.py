"""Refusals that many share."""

import itertools

from server.wire.admission import TooBusyError
from server.wire.refusals import DIFFERENT, FRESH_SECS, FULL, Refusals


def test_those_refused_together_share_texts_and_are_told_different_times() -> None:
    numbers = itertools.count(1)
    refusals = Refusals(lambda lacking: TooBusyError(f"no {lacking}", next(numbers) / 1000))

    outcomes = [refusals.of("calls", 10.0) for _ in range(3 * DIFFERENT)]

    assert {outcome.code for outcome in outcomes} == {FULL}
    assert {outcome.text for outcome in outcomes} == {"no calls"}
    hints = [int(outcome.trailing[0][1]) for outcome in outcomes]
    assert sorted(hints) == sorted(3 * list(range(1, DIFFERENT + 1)))
    assert {outcome.trailing[0][0] for outcome in outcomes} == {"grpc-retry-pushback-ms"}


def test_a_refusal_is_written_anew_for_another_reason_and_when_it_is_old() -> None:
    numbers, later = itertools.count(1), 2 * FRESH_SECS
    refusals = Refusals(lambda lacking: TooBusyError(f"no {lacking} {next(numbers)}", 1.0))

    texts = [refusals.of(*asked).text for asked in (("calls", 1.0), ("wait", 1.0), ("calls", 1.0 + later))]

    assert texts == ["no calls 1", "no wait 2", "no calls 3"]
    again = {refusals.of("calls", 1.0 + later).text for _ in range(2 * DIFFERENT)}
    assert again == {f"no calls {number}" for number in range(3, 3 + DIFFERENT)}
