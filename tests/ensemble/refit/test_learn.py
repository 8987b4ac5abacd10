import json

import numpy as np
import pytest
from hypothesis import given, settings

from ensemble.errors import InvalidDataError, MemberError
from ensemble.refit.candidates import ChoiceOptions
from ensemble.refit.learn import LearnOptions, learn
from ensemble.refit.solver import SolverOptions
from tests.support.members import Constant, servable

from .data import InMemory, World, Written
from .problems import seeds


def test_learned_weights_beat_uniform_on_the_validation_rows_and_are_to_be_published() -> None:
    world = World()
    learned = learn(world.servable(), world.data())
    assert learned.before == {"blunt": 1 / 3, "fair": 1 / 3, "sharp": 1 / 3}
    assert learned.after["sharp"] > 0.5
    assert learned.validation.learned.loss < learned.validation.uniform.loss
    assert learned.verdict.publish
    assert learned.solution.loss == pytest.approx(learned.validation.learned.loss, abs=1e-12)


@settings(max_examples=10)
@given(seeds)
def test_the_weights_of_the_least_loss_are_better_than_any_other_contender_on_the_validation_rows(
    seed: int,
) -> None:
    world = World(seed=seed)
    # With no rows to choose by there is one candidate.
    judged = learn(world.servable(), world.data(), LearnOptions(choice=ChoiceOptions(rows=1))).validation
    others = [judged.uniform, judged.incumbent, *judged.members.values()]
    assert all(judged.learned.loss <= other.loss + 1e-9 for other in others)


def test_a_second_refit_on_the_same_rows_is_held() -> None:
    world = World()
    first = learn(world.servable(), world.data())
    evidence = first.to_json()
    second = learn(world.servable(weights=first.after), world.data(), evidence=evidence)
    assert second.choice.name == "incumbent"
    assert second.after == first.after
    assert second.verdict.reasons == ("no other weights are clearly better than the ones being served",)
    assert second.findings.notes == ("these are the rows that the weights being served were learned on",)


def test_weights_are_shrunk_only_towards_weights_that_were_learned() -> None:
    world = World()
    first = learn(world.servable(), world.data())
    assert list(first.choice.held_out) == ["incumbent", "uniform", "linear", "best_single"]
    second = learn(world.servable(weights=first.after), world.data(), evidence=first.to_json())
    assert {"shrunk_10", "shrunk_300"} < set(second.choice.held_out)


def test_labels_gone_wrong_raise_an_alarm_where_members_did_not_change() -> None:
    world = World(rows=600)
    first = learn(world.servable(), world.data())
    flipped = [(label + 1) % 3 if row % 5 == 0 else label for row, label in enumerate(world.labels())]
    again = learn(world.servable(weights=first.after), InMemory(flipped), evidence=first.to_json())
    assert not again.verdict.publish
    assert again.verdict.reasons[0].startswith("the losses of 2 of 3 members rose together")


def test_a_member_that_broke_is_named_and_its_weight_is_taken() -> None:
    world = World(rows=600)
    first = learn(world.servable(), world.data())
    broken = world.members()
    sharp = broken[2]
    assert isinstance(sharp, Written)
    broken[2] = Written("sharp", np.roll(sharp.scores, 1, axis=1))
    again = learn(servable(*broken, weights=first.after), world.data(), evidence=first.to_json())
    assert again.findings.broken == ("sharp",)
    assert "the loss of 1 of 3 members rose alone (sharp " in again.findings.notes[-1]
    assert again.after["sharp"] < 0.1 < first.after["sharp"]
    assert again.verdict.publish


def test_the_best_single_member_is_chosen_on_validation_and_judged_on_test() -> None:
    good_then_bad = Written("a", [[0.9, 0.1], [0.1, 0.9], [0.9, 0.1]])
    bad_then_good = Written("b", [[0.6, 0.4], [0.4, 0.6], [0.6, 0.4]])
    ensemble = servable(good_then_bad, bad_then_good)
    test = InMemory([1, 0, 1], name="test")
    learned = learn(ensemble, InMemory([0, 1, 0]), LearnOptions(test=test))
    assert learned.test is not None
    assert learned.test.best_single == "a"
    assert learned.test.members["a"].loss == pytest.approx(-np.log(0.1), rel=1e-6)
    assert learned.test.digest == test.digest


def test_a_test_file_that_is_the_validation_file_is_refused() -> None:
    world = World()
    with pytest.raises(InvalidDataError, match="the test file is the validation file"):
        learn(world.servable(), world.data(), LearnOptions(test=world.data()))


def test_progress_counts_validation_rows_then_test_rows() -> None:
    world, seen = World(rows=10), list[int]()
    test = InMemory(world.labels(), name="test")
    learn(world.servable(), world.data(), LearnOptions(test=test, batch_size=6, progress=seen.append))
    assert seen == [0, 6, 10, 10, 16, 20]


def test_the_evidence_is_plain_json() -> None:
    world = World()
    learned = learn(world.servable(Constant("never", (1.0, 0.0, 0.0))), world.data(), LearnOptions(test=None))
    evidence = json.loads(json.dumps(learned.to_json(), allow_nan=False))
    assert evidence["objective"] == "log_loss"
    assert evidence["solver"]["gap"] <= 1e-9
    assert evidence["validation"]["losses"]["members"]["never"] is None
    assert evidence["verdict"]["publish"] is True
    assert evidence["libraries"]["scipy"]
    assert "test" not in evidence


# The data nobody wants: what happens, and that none of it is published.


def test_an_empty_file_teaches_nothing() -> None:
    with pytest.raises(InvalidDataError, match="holds no rows"):
        learn(World().servable(), InMemory([]))


def test_labels_outside_the_classes_teach_nothing() -> None:
    with pytest.raises(InvalidDataError, match="row 1 has label 7"):
        learn(World().servable(), InMemory([0, 7]))


def test_fewer_rows_than_members_are_held() -> None:
    verdict = learn(World(rows=60).servable(), InMemory([0, 1])).verdict
    assert not verdict.publish
    assert "2 rows can't tell 3 members apart" in verdict.reasons[0]


def test_a_file_without_one_class_is_held() -> None:
    labels = [0, 1] * 30
    truth = np.eye(3)[labels] * 0.4 + 0.2
    ensemble = servable(Written("good", truth), Constant("constant", (0.25, 0.25, 0.5)))
    learned = learn(ensemble, InMemory(labels))
    assert learned.validation.learned.loss < learned.validation.incumbent.loss
    assert not learned.verdict.publish
    assert "no row is of class 'class2'" in learned.verdict.reasons[0]


def test_copies_of_a_member_share_what_it_alone_would_get() -> None:
    world = World()
    sharp = world.members()[2]
    assert isinstance(sharp, Written)
    alone = learn(world.servable(), world.data())
    shared = learn(world.servable(Written("copy", sharp.scores)), world.data())
    assert shared.solution.converged
    assert shared.after["sharp"] + shared.after["copy"] == pytest.approx(alone.after["sharp"], abs=1e-6)
    assert shared.solution.loss == pytest.approx(alone.solution.loss, abs=2e-9)


def test_a_member_that_answers_the_same_to_everything_gets_no_more_than_it_is_worth() -> None:
    world = World()
    with_constant = learn(world.servable(Constant("constant", (1 / 3, 1 / 3, 1 / 3))), world.data())
    assert with_constant.solution.converged
    assert with_constant.solution.loss <= learn(world.servable(), world.data()).solution.loss + 1e-9


def test_a_member_that_rules_out_a_true_class_gets_no_veto() -> None:
    world = World()
    learned = learn(world.servable(Constant("sure", (1.0, 0.0, 0.0))), world.data())
    assert learned.validation.members["sure"].loss == float("inf")
    assert np.isfinite(learned.validation.learned.loss)
    assert learned.verdict.publish


def test_an_incumbent_that_rules_out_a_true_class_is_replaced() -> None:
    world = World()
    weights = {"blunt": 0.0, "fair": 0.0, "sharp": 0.0, "sure": 1.0}
    learned = learn(world.servable(Constant("sure", (1.0, 0.0, 0.0)), weights=weights), world.data())
    assert learned.validation.incumbent.loss == float("inf")
    assert learned.verdict.publish


def test_a_row_whose_true_class_every_member_rules_out_stops_the_refit() -> None:
    ensemble = servable(Constant("a", (1.0, 0.0, 0.0)), Constant("b", (0.5, 0.5, 0.0)))
    with pytest.raises(InvalidDataError, match="1 of 4 rows a score of zero, the first in row 2"):
        learn(ensemble, InMemory([0, 1, 2, 1]))


def test_a_member_that_gives_nan_stops_the_refit_by_name() -> None:
    world = World()
    scores = np.full((60, 3), np.nan)
    with pytest.raises(MemberError, match="member 'broken'"):
        learn(world.servable(Written("broken", scores)), world.data())


def test_one_member_keeps_its_weight_of_one_and_nothing_is_published() -> None:
    world = World(sharpness={"only": 2.0})
    learned = learn(world.servable(), world.data())
    assert learned.after == {"only": 1.0}
    assert not learned.verdict.publish


def test_a_solver_that_stopped_short_is_held() -> None:
    world = World()
    options = LearnOptions(solver=SolverOptions(max_newton_steps=0, max_slsqp_steps=1, max_em_steps=1))
    learned = learn(world.servable(), world.data(), options)
    assert not learned.verdict.publish
    assert "the solver did not converge" in learned.verdict.reasons[0]


def test_one_row_is_too_few_to_be_sure_of_anything() -> None:
    learned = learn(World().servable(), InMemory([0]))
    assert not learned.verdict.publish
    assert learned.to_json()["held_out_gain"] == {"mean": None, "standard_error": None}


def test_libraries_that_are_not_there_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ensemble.refit.learned.LIBRARIES", ("numpy", "no-such-library"))
    world = World()
    assert list(learn(world.servable(), world.data()).to_json()["libraries"]) == ["numpy"]
