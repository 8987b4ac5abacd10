from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from ensemble.refit import aftercare
from ensemble.refit.aftercare import intervals, without_each
from ensemble.refit.blend import Blend
from ensemble.refit.candidates import POOLS, Choice, ChoiceOptions, fit
from ensemble.refit.objective import LogLoss
from ensemble.refit.sample import Sample
from ensemble.refit.solver import SolverOptions, solve

from .problems import class_sample, sample_of, seeds

OPTIONS = ChoiceOptions(taus=(), pools=POOLS, ridges=(1.0,))
LINEAR = Choice("linear", {})


def learned(sample: Sample, choice: Choice = LINEAR) -> Blend:
    return fit(choice, sample, Blend.uniform(sample.members), SolverOptions(), OPTIONS).blend


def drawn(sample: Sample, choice: Choice = LINEAR) -> dict[str, dict[str, float]]:
    return intervals(choice, learned(sample, choice), sample, Blend.uniform(sample.members), OPTIONS)


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_intervals_are_ordered_hold_most_draws_and_come_out_the_same_again(seed: int) -> None:
    sample = class_sample(seed)
    found = drawn(sample)
    for name, weight in zip(sample.predictions.members, learned(sample).weights, strict=True):
        told = found[name]
        assert 0 <= told["low"] <= told["high"] <= 1
        assert 0 <= told["used"] <= 1
        # Nearly always; never far outside.
        assert told["low"] - 0.15 <= weight <= told["high"] + 0.15
    assert drawn(sample) == found


def test_more_rows_make_weights_surer() -> None:
    few, many = (drawn(class_sample(1, rows=rows))["m1"] for rows in (100, 4000))
    assert many["high"] - many["low"] < 0.4 * (few["high"] - few["low"])


def test_copies_of_rows_that_are_known_to_be_copies_make_nothing_surer() -> None:
    sample = class_sample(2, rows=100)
    places = np.repeat(np.arange(100), 9)
    copied = sample.take(places)
    known = drawn(replace(copied, groups=places))["m1"]
    once, unknown = drawn(sample)["m1"], drawn(copied)["m1"]
    width = once["high"] - once["low"]
    assert known["high"] - known["low"] == pytest.approx(width, rel=0.5)
    assert unknown["high"] - unknown["low"] < 0.6 * width


def test_drawing_from_every_nth_row_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = class_sample(3, rows=4000)
    whole = drawn(sample)["m2"]
    monkeypatch.setattr(aftercare, "DRAWN_ROWS", 1000)
    part = drawn(sample)["m2"]
    assert part["high"] - part["low"] == pytest.approx(whole["high"] - whole["low"], rel=0.5)
    assert part["mean"] == pytest.approx(whole["mean"], abs=0.02)


def test_weights_that_were_not_fitted_have_no_interval() -> None:
    sample = class_sample(4)
    assert intervals(Choice("uniform", {}), Blend.uniform(3), sample, Blend.uniform(3), OPTIONS) == {}


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_without_a_member_the_others_are_weighed_as_well_as_can_be(seed: int) -> None:
    sample = class_sample(seed)
    blend = learned(sample)
    found = without_each(LINEAR, blend, sample, OPTIONS)
    assert set(found) == {sample.predictions.members[index] for index in blend.voters}
    for name, told in found.items():
        index = sample.predictions.members.index(name)
        others = np.delete(sample.true_class, index, axis=1)
        best = solve(LogLoss.of(others), np.full(2, 0.5))
        assert told is not None
        assert told["weights"][name] == 0
        assert sum(told["weights"].values()) == pytest.approx(1)
        assert told["log_loss"] == pytest.approx(best.loss, abs=2e-6)
        assert told["pool"] == {"form": "linear"}


@pytest.mark.parametrize("name", ["log_1", "linear_temperature", "uniform"])
def test_what_is_served_without_a_member_is_of_the_same_form(name: str) -> None:
    sample, choice = class_sample(5), Choice(name, {})
    blend = learned(sample, choice)
    for told in without_each(choice, blend, sample, OPTIONS).values():
        assert told is not None
        assert told["pool"]["form"] == blend.form
        assert ("temperature" in told["pool"]) == (not blend.plain)


def test_a_member_that_alone_allows_for_a_row_cannot_be_done_without() -> None:
    sample = sample_of(np.array([[0.5, 0.0], [0.5, 0.9], [0.5, 0.6]]))
    found = without_each(LINEAR, Blend(np.array([0.5, 0.5])), sample, OPTIONS)
    assert found["m0"] is None
    assert found["m1"] is not None
    assert found["m1"]["weights"] == {"m0": 1.0, "m1": 0.0}


def test_a_member_alone_cannot_be_done_without() -> None:
    assert without_each(LINEAR, Blend.alone(0, 1), sample_of(np.full((3, 1), 0.5)), OPTIONS) == {"m0": None}


def test_where_the_incumbent_stays_the_others_are_weighed_anew() -> None:
    sample = class_sample(6)
    kept = without_each(Choice("incumbent", {}), Blend.uniform(3), sample, OPTIONS)
    assert kept == without_each(LINEAR, Blend.uniform(3), sample, OPTIONS)
