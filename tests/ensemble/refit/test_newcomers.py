from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from ensemble.errors import InvalidModelError, InvalidRequestError
from ensemble.refit.crossfit import splits_of
from ensemble.refit.learn import LearnOptions, learn
from ensemble.refit.newcomers import as_ensemble, held_out_gain, worth_of_each
from ensemble.refit.objective import LogLoss
from ensemble.refit.predictions import Predictions
from ensemble.refit.solver import solve
from ensemble.signature import TensorSpec
from tests.support.members import Constant, signature_of

from .data import World, Written
from .problems import class_sample, seeds


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_the_first_order_gain_bounds_the_gain_and_tells_whether_there_is_one(seed: int) -> None:
    everyone = class_sample(seed, evidence=(0.5, 0.8, 1.0, 0.9))
    inside, outside = everyone.only([0, 1]), everyone.only([2, 3])
    found = worth_of_each(inside, outside.predictions, np.full(2, 0.5))
    assert list(found) == ["m2", "m3"]
    for name, told in found.items():
        growth, gain, weight = told["first_order_gain"], told["gain"], told["weight"]
        assert growth is not None
        assert gain is not None
        assert weight is not None
        assert gain <= max(growth, 0) + 1e-9
        assert (weight > 0) == (growth > 1e-8)
        joined = everyone.only([0, 1, int(name[1])])
        least = solve(LogLoss.of(joined.true_class), np.full(3, 1 / 3)).loss
        assert gain == pytest.approx(
            solve(LogLoss.of(inside.true_class), np.full(2, 0.5)).loss - least, abs=1e-8
        )


def test_a_copy_of_what_is_there_adds_nothing() -> None:
    sample = class_sample(0)
    (told,) = worth_of_each(sample.only([0, 1]), sample.only([1]).predictions, np.full(2, 0.5)).values()
    assert told["gain"] == pytest.approx(0, abs=1e-9)


def test_a_refit_says_what_a_model_outside_would_add_and_leaves_it_outside() -> None:
    world = World(rows=300)
    members = world.members()
    sharp = members.pop()
    assert isinstance(sharp, Written)
    newcomer = Written("newcomer", sharp.scores)
    less = World(rows=300, sharpness={"blunt": 0.5, "fair": 1.5})
    learned = learn(less.servable(), less.data(), LearnOptions(newcomers=[newcomer]))
    assert set(learned.after) == {"blunt", "fair"}
    told = learned.to_json()["newcomers"]["newcomer"]
    assert 0 < told["gain"] <= told["first_order_gain"]
    assert 0 < told["weight"] <= 1


def test_a_model_that_could_not_be_taken_in_is_refused() -> None:
    ensemble = World().servable()
    with pytest.raises(InvalidRequestError, match="candidate 'fair' has the name of a member"):
        as_ensemble([Constant("fair")], ensemble)
    with pytest.raises(InvalidModelError, match=r"candidate 'a' takes \['z'\]; the ensemble has \['x'\]"):
        as_ensemble([Constant("a", signature=signature_of(TensorSpec("z", "float32", (2,))))], ensemble)
    with pytest.raises(InvalidModelError, match=r"scores of shape \[5\] a row; the ensemble has 3 classes"):
        as_ensemble([Constant("a", signature=signature_of(classes=5))], ensemble)


def test_a_different_model_gains_more_on_rows_not_fitted_on_than_a_copy_of_the_best() -> None:
    everyone = class_sample(3, evidence=(1.2, 1.1, 1.0), rows=2000)
    inside = everyone.only([0, 1])
    splits = splits_of(inside, 5)
    losses = {name: float(-np.log(everyone.true_class[:, place]).mean()) for name, place in PLACES.items()}
    assert losses["best"] < losses["worse"]
    copy, copy_error = held_out_gain(inside, renamed(everyone.only([0]).predictions), splits, np.full(2, 0.5))
    different, error = held_out_gain(inside, everyone.only([2]).predictions, splits, np.full(2, 0.5))
    assert copy == pytest.approx(0, abs=1e-9)
    assert copy_error == pytest.approx(0, abs=1e-9)
    assert different > 2 * error > 0


PLACES = {"best": 0, "worse": 2}


def renamed(found: Predictions) -> Predictions:
    return replace(found, members=("copy",))
