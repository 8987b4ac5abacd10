import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from training.search.gaussian import Axis, GaussianProcessSampler, expected_improvement


@pytest.mark.parametrize(
    ("distribution", "value"),
    [
        (FloatDistribution(-1.0, 3.0), 0.5),
        (FloatDistribution(1e-4, 1.0, log=True), 0.01),
        (IntDistribution(2, 9), 4),
        (IntDistribution(8, 512, log=True), 100),
        (CategoricalDistribution(["a", "b", "c"]), "b"),
    ],
)
def test_a_value_is_found_again_at_its_place(
    distribution: optuna.distributions.BaseDistribution, value: object
) -> None:
    axis = Axis("x", distribution)
    assert 0 < axis.place(value) < 1
    assert axis.value(axis.place(value)) == pytest.approx(value)


def test_places_between_whole_numbers_are_none() -> None:
    axis = Axis("x", IntDistribution(0, 2))
    assert axis.snapped(np.array([0.0, 0.2, 0.3, 0.9])).tolist() == [0.0, 0.0, 0.5, 1.0]


def test_improvement_is_expected_between_good_points_and_not_at_bad_ones() -> None:
    seen = np.array([[0.0], [0.2], [0.35], [0.65], [0.8], [1.0]])
    losses = 4 * (seen[:, 0] - 0.5) ** 2
    gain = expected_improvement(seen, losses, np.array([[0.1], [0.5], [0.9]]), np.random.default_rng(0))
    assert gain.argmax() == 1
    assert (gain >= 0).all()


def test_it_comes_closer_to_the_least_than_chance_does() -> None:
    def loss(trial: optuna.Trial) -> float:
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        return (
            (x - 0.3) ** 2 + (y - 0.8) ** 2 + (0.3 if trial.suggest_categorical("kind", "ab") == "a" else 0)
        )

    def least(sampler: optuna.samplers.BaseSampler) -> float:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(sampler=sampler)
        study.optimize(loss, n_trials=18)
        return study.best_value

    learned = [least(GaussianProcessSampler(seed)) for seed in range(1)]
    chance = [least(optuna.samplers.RandomSampler(seed)) for seed in range(3)]
    assert max(learned) < 0.002
    assert max(learned) < min(chance) / 3
