"""Refusals that many share."""

import asyncio
import itertools
from pathlib import Path

import pytest

from server.wire import refusals
from server.wire.access import read_tokens
from server.wire.admission import Admission, AdmissionLimits, TooBusyError
from server.wire.gate import Gate
from server.wire.messages import message_class
from server.wire.method import Method
from server.wire.outcome import Outcome
from server.wire.refusals import COUNT_SECS, DIFFERENT, FRESH_SECS, FULL, Door, Refusals
from server.wire.reloading import Reloaded
from tests.support.observers import Recorder

MESSAGE = message_class("inference.ModelReadyRequest")


async def nothing(_message: object, _call: object) -> None:
    """No call comes so far."""


SCORE = Method("inference.GRPCInferenceService", "ModelInfer", MESSAGE, MESSAGE, nothing, scores=True)
OTHER = Method("inference.GRPCInferenceService", "ModelReady", MESSAGE, MESSAGE, nothing)


def told_of(told: Recorder) -> list[tuple[str, str, int]]:
    """The method, the code and the number of those who were counted together."""
    handled = [arguments for name, _, arguments in told.calls if name == "handled"]
    return [(each["method"], each["code"], each["calls"]) for each in handled]


async def test_the_first_refusal_is_counted_at_once_and_those_that_follow_together() -> None:
    told = Recorder()
    admission = Admission(AdmissionLimits(), told, lambda _: 9.0)
    door = Door(Gate(admission=admission), told)

    assert all(door.ask(SCORE, "") for _ in range(5))
    assert door.ask(OTHER, "") is None
    assert told_of(told) == [("ModelInfer", "RESOURCE_EXHAUSTED", 1)]
    await asyncio.sleep(2 * COUNT_SECS)
    while len(told_of(told)) < 2:
        await asyncio.sleep(COUNT_SECS)

    assert told_of(told)[1:] == [("ModelInfer", "RESOURCE_EXHAUSTED", 4)]
    assert (admission.asked, admission.turned_away) == (5, 5)
    assert [arguments["calls"] for name, _, arguments in told.calls if name == "refused"] == [1, 4]
    assert door.ask(SCORE, "")
    assert told_of(told)[2:] == [("ModelInfer", "RESOURCE_EXHAUSTED", 1)]


async def test_refusals_of_another_method_are_counted_by_themselves() -> None:
    told = Recorder()
    admission = Admission(AdmissionLimits(calls=0), told)
    door = Door(Gate(admission=admission), told)
    for method in (SCORE, OTHER, OTHER, SCORE):
        assert door.ask(method, "")
    assert [name for name, *_ in told_of(told)] == ["ModelInfer", "ModelReady", "ModelReady"]
    assert (admission.asked, admission.turned_away) == (1, 1)
    while len(told_of(told)) < 4:
        await asyncio.sleep(COUNT_SECS)
    assert (admission.asked, admission.turned_away) == (2, 2)


async def test_who_asks_again_at_once_is_refused_unasked_and_a_moment_later_is_let_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits = [9.0]
    admission = Admission(AdmissionLimits(), Recorder(), lambda _: waits[0])
    door = Door(Gate(admission=admission), Recorder())
    monkeypatch.setattr(refusals, "SURE_SECS", 3600)
    assert door.ask(SCORE, "")
    waits[0] = 0.0
    assert door.ask(SCORE, "")
    assert door.ask(SCORE, "Bearer another") is None
    await asyncio.sleep(2 * COUNT_SECS)
    while admission.turned_away < 2:
        await asyncio.sleep(COUNT_SECS)
    # Nothing is known once it was counted.
    assert door.ask(SCORE, "") is None


async def test_who_was_refused_for_one_method_is_asked_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tokens").write_text("predict-predict-predict predict\n")
    monkeypatch.setattr(refusals, "SURE_SECS", 3600)
    tokens = Reloaded("tokens", lambda: read_tokens(tmp_path / "tokens", b"s" * 32), Recorder())
    door = Door(Gate(tokens=tokens, admission=Admission(AdmissionLimits(calls=0))), Recorder())
    control = Method("unisono.v1.Control", "Refit", MESSAGE, MESSAGE, nothing)
    header = "Bearer predict-predict-predict"
    outcomes = [door.ask(method, header) for method in (SCORE, control, SCORE, control)]
    assert [outcome and outcome.code for outcome in outcomes] == [FULL, None, FULL, None]


async def test_who_may_not_ask_is_not_told_that_there_is_no_room(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("predict-predict-predict predict\n")
    told = Recorder()
    tokens = Reloaded("tokens", lambda: read_tokens(tmp_path / "tokens", b"s" * 32), told)
    door = Door(Gate(tokens=tokens, admission=Admission(AdmissionLimits(calls=0), told)), told)
    outcomes = [door.ask(SCORE, header) for header in ("", "Bearer predict-predict-predict", "Bearer x")]
    assert [outcome and outcome.code for outcome in outcomes] == [None, FULL, None]


def test_a_refusal_is_told_apart_by_what_it_is() -> None:
    [one, other] = [Refusals(lambda _: TooBusyError("full", 1.0)).of("calls", 1.0) for _ in range(2)]
    assert one == one  # noqa: PLR0124 - what is tested
    assert one != other
    assert len({one, other}) == 2
    assert isinstance(one, Outcome)
    with pytest.raises(AttributeError):
        one.text = "other"  # type: ignore[misc]


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
