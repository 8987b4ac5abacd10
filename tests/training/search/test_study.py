from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import optuna
import pytest

from training.config import TrainConfigError
from training.search.config import Sampler, SearchConfig
from training.search.study import TrialLog

TRIALS = 14
MADE_BY = {"space": "this one"}


def draw(trial: optuna.Trial) -> tuple[Mapping[str, Any], float]:
    """Draw from a space whose least loss, 0, is at rate 0.01, 5 units, kind b."""
    rate = trial.suggest_float("rate", 1e-4, 1.0, log=True)
    share = trial.suggest_float("share", 0.0, 1.0)
    units = trial.suggest_int("units", 1, 9)
    kind = trial.suggest_categorical("kind", ["a", "b"])
    if kind == "a":
        trial.suggest_int("only-a", 1, 3)
    off = (rate - 0.01) ** 2 + (share - 0.5) ** 2 + ((units - 5) / 9) ** 2
    return dict(trial.params), off + (0.1 if kind == "a" else 0.0)


def go_on(folder: Path, search: SearchConfig, until: int) -> list[Mapping[str, Any]]:
    log = TrialLog(folder, search, MADE_BY)
    while len(log.over) < until:
        trial = log.draw()
        _, loss = draw(trial)
        for epoch in (1, 2, 3):
            trial.report(loss / epoch, epoch)
        log.end_early(trial) if trial.number % 5 == 4 else log.end(trial, loss)
    return [{**trial.params, "state": trial.state.name} for trial in log.over]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("sampler", get_args(Sampler))
def test_a_search_that_was_killed_draws_what_it_would_have_drawn(sampler: Any, tmp_path: Path) -> None:
    search = SearchConfig(sampler=sampler, trials=TRIALS, seed=7)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    expected = go_on(whole, search, TRIALS)
    for until in (3, 11):
        go_on(killed, search, until)
        # Drawn, never over: what a kill leaves.
        draw(TrialLog(killed, search, MADE_BY).draw())
    assert go_on(killed, search, TRIALS) == expected
    # NSGA-II may leave a child as its parent was.
    assert len({str(sorted(found.items())) for found in expected}) >= TRIALS - 3


def test_another_seed_draws_others(tmp_path: Path) -> None:
    drawn = []
    for seed in (1, 2):
        folder = tmp_path / str(seed)
        folder.mkdir()
        drawn.append(go_on(folder, SearchConfig(sampler="random", seed=seed), 1))
    assert drawn[0] != drawn[1]


def test_a_folder_with_another_search_is_refused(tmp_path: Path) -> None:
    go_on(tmp_path, SearchConfig(), 1)
    with pytest.raises(TrainConfigError, match="holds another search: of other rows, another space"):
        TrialLog(tmp_path, SearchConfig(), {"space": "that one"})


def test_a_trial_without_a_network_is_no_end(tmp_path: Path) -> None:
    log = TrialLog(tmp_path, SearchConfig(), MADE_BY)
    assert log.end(log.draw(), None).state == optuna.trial.TrialState.FAIL
    assert [trial.number for trial in TrialLog(tmp_path, SearchConfig(), MADE_BY).over] == [0]
