import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.telemetry.statistics import Statistics
from server.wire.admission import MOMENT_SECS, Admission, AdmissionLimits, Coming, TooBusyError
from server.wire.oip import Oip
from server.wire.oip_management import OipManagement
from server.wire.tfs import Tfs
from tests.support.models import FakeModels, FakeRepository
from tests.support.observers import Recorder


def test_calls_beyond_the_limit_are_refused_until_one_leaves() -> None:
    told = Recorder()
    admission = Admission(AdmissionLimits(calls=2, size=100), told)
    with admission.enter():
        with admission.enter():
            with pytest.raises(TooBusyError, match="server is at its limit: 2 calls run, 2 may") as raised:
                admission.enter()
            assert 0.015 <= raised.value.retry_secs <= 0.03
        with admission.enter():
            pass
    assert told.of("refused") == [("calls",)]
    assert told.of("in_flight")[-1] == (0, 0)


def test_bytes_beyond_the_limit_are_refused_until_they_leave() -> None:
    told = Recorder()
    admission = Admission(AdmissionLimits(calls=9, size=100), told)
    with admission.enter() as first:
        first.hold(60)
        with admission.enter() as second, pytest.raises(TooBusyError, match="60 bytes are held"):
            second.hold(41)
        with admission.enter() as third:
            third.hold(40)
            with pytest.raises(TooBusyError, match="100 bytes are held, 100 may be"):
                admission.enter()
    with admission.enter() as again:
        again.hold(100)
    assert told.of("refused") == [("bytes",), ("bytes",)]
    assert told.of("in_flight")[-1] == (0, 0)


def test_one_message_alone_has_room_however_large() -> None:
    with Admission(AdmissionLimits(calls=1, size=10)).enter() as place:
        place.hold(1000)


def test_the_hint_follows_how_long_calls_take_within_bounds() -> None:
    admission = Admission(AdmissionLimits(calls=1, size=10))

    def hint() -> float:
        with admission.enter(), pytest.raises(TooBusyError) as raised:
            admission.enter()
        return raised.value.retry_secs

    assert hint() < 0.1
    for seconds, least, most in ((1.0, 0.7, 1.5), (1000.0, 3.75, 7.5)):
        for _ in range(100):
            admission.enter()
            admission.leave(0, seconds)
        assert least <= hint() <= most


def test_calls_that_wait_for_scores_are_refused_while_that_takes_too_long() -> None:
    told, wait = Recorder(), [0.0]
    admission = Admission(AdmissionLimits(wait_secs=1.0), told, lambda _: wait[0])
    with admission.enter(waits=True):
        wait[0] = 2.5
        with pytest.raises(
            TooBusyError, match=r"server is at its limit: scores would take 2.5 s, 1 s they may"
        ) as raised:
            admission.enter(waits=True)
        assert 2.5 * 0.75 <= raised.value.retry_secs <= 2.5 * 1.5
        # Whoever asks for no scores has nothing to wait for.
        with admission.enter():
            pass
        wait[0] = 1.0
        with admission.enter(waits=True):
            pass
    assert told.of("refused") == [("wait",)]


def test_those_who_come_count_before_they_wait_and_no_longer_when_they_do() -> None:
    seen = list[int]()

    def wait(coming: int) -> float:
        seen.append(coming)
        return float(coming)

    admission = Admission(AdmissionLimits(wait_secs=1.5), None, wait, lambda: 1000.0)
    first, second = admission.enter(waits=True), admission.enter(waits=True)
    assert admission.lacks(waits=True) == "wait"
    assert admission.lacks() == ""
    first.hold(10)
    first.hold(0)
    with second:
        assert admission.lacks(waits=True) == ""
    with admission.enter():
        assert admission.lacks(waits=True) == ""
    assert seen == [0, 1, 2, 1, 0]


def test_who_was_told_that_there_is_room_finds_it_and_takes_it_from_those_who_come_after() -> None:
    now = [1000.0]
    admission = Admission(AdmissionLimits(calls=3, wait_secs=1.5), None, float, lambda: now[0])
    for _ in range(2):
        assert admission.lacks(waits=True) == ""
        admission.announce()
    assert admission.lacks(waits=True) == "wait"
    first = admission.enter(waits=True)
    admission.enter(waits=True)
    # Nobody else was.
    with pytest.raises(TooBusyError, match="scores would take 2 s"):
        admission.enter(waits=True)
    first.hold(0)
    admission.announce()
    admission.enter()
    with pytest.raises(TooBusyError, match="3 calls run"):
        admission.enter(waits=True)


def test_those_who_never_enter_are_forgotten() -> None:
    now = [1000.0]
    admission = Admission(AdmissionLimits(wait_secs=1.5), None, float, lambda: now[0])
    for _ in range(100):
        admission.announce()
    assert admission.lacks(waits=True) == "wait"
    now[0] += 2 * MOMENT_SECS
    assert admission.lacks(waits=True) == ""
    admission.announce()
    admission.enter(waits=True)
    admission.enter(waits=True)
    with pytest.raises(TooBusyError, match="scores would take 2 s"):
        admission.enter(waits=True)


@given(st.lists(st.tuples(st.sampled_from(["add", "remove", "count"]), st.floats(0, 0.04)), max_size=60))
def test_who_came_a_moment_ago_counts_and_who_is_slow_does_not(steps: list[tuple[str, float]]) -> None:
    coming, there, now = Coming(), list[tuple[float, int]](), 100.0
    for step, later in steps:
        now += later
        if step == "add":
            there.append((now, coming.add(now)))
        elif step == "remove" and there:
            coming.remove(there.pop(0)[1])
        sure = sum(now - since < MOMENT_SECS for since, _ in there)
        possible = sum(now - since <= 2 * MOMENT_SECS for since, _ in there)
        assert sure <= coming.count(now) <= possible


def test_the_methods_that_ask_members_are_those_that_wait() -> None:
    models = FakeModels()
    management = OipManagement(models, Statistics(), FakeRepository(), model_control=True)
    methods = [*Oip(models).methods(), *management.methods(), *Tfs(models, lambda _: {}).methods()]

    assert {method.name for method in methods if method.scores} == {
        *("ModelInfer", "ModelStreamInfer", "Predict", "Classify", "Regress", "MultiInference"),
    }
