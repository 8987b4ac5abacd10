"""What a search says as its trials end: to people, to logs, to programs, or nothing."""

import io
import json
from collections.abc import Sequence

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial
from rich.console import Console

from server.cli.progress import ProgressMode
from server.cli.tuning_progress import tuning_progress


def trials(*losses: float | None) -> list[FrozenTrial]:
    """One trial for each loss; None is one that failed."""
    made = [
        create_trial(state=TrialState.FAIL if loss is None else TrialState.COMPLETE, value=loss)
        for loss in losses
    ]
    for number, trial in enumerate(made):
        trial.number = number
    return made


def shown(ended: Sequence[FrozenTrial], mode: ProgressMode, *, terminal: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100)
    with tuning_progress(console, mode, 4) as show:
        for number, trial in enumerate(ended, 1):
            show(trial, ended[:number])
    return out.getvalue()


def test_a_log_gets_a_line_a_trial_with_the_best_so_far() -> None:
    assert shown(trials(None, 0.5, 0.75, 0.25), "plain").splitlines() == [
        "trial 1 of 4: fail",
        "trial 2 of 4: loss 0.5000, best 0.5000",
        "trial 3 of 4: loss 0.7500, best 0.5000",
        "trial 4 of 4: loss 0.2500, best 0.2500",
    ]


def test_a_program_gets_an_object_a_trial() -> None:
    lines = [json.loads(line) for line in shown(trials(None, 0.5), "json").splitlines()]

    assert lines == [
        {"event": "trial", "trial": 0, "trials": 1, "of": 4, "state": "fail", "loss": None, "best": None},
        {"event": "trial", "trial": 1, "trials": 2, "of": 4, "state": "complete", "loss": 0.5, "best": 0.5},
    ]


@pytest.mark.parametrize("mode", ["auto", "bar"])
def test_a_terminal_gets_a_bar_that_is_gone_afterwards(mode: ProgressMode) -> None:
    text = shown(trials(0.5, None, 0.125), mode, terminal=True)

    assert "searching" in text
    assert "3/4" in text
    assert "loss 0.1250, best 0.1250" in text
    assert text.endswith("\x1b[2K")  # the line is cleared


def test_what_is_no_terminal_gets_lines_unless_a_bar_is_asked_for() -> None:
    assert shown(trials(0.5), "auto") == "trial 1 of 4: loss 0.5000, best 0.5000\n"
    assert "trial 1 of 4" not in shown(trials(0.5), "bar")


def test_nothing_at_all_can_be_asked_for() -> None:
    assert not shown(trials(0.5, None), "none", terminal=True)


def test_a_study_calls_it_as_it_is() -> None:
    out = io.StringIO()
    study = optuna.create_study()
    with tuning_progress(Console(file=out, width=100), "plain", 2) as show:
        study.optimize(
            lambda trial: trial.number / 2, 2, callbacks=[lambda study, done: show(done, study.trials)]
        )

    assert out.getvalue().splitlines() == [
        "trial 1 of 2: loss 0.0000, best 0.0000",
        "trial 2 of 2: loss 0.5000, best 0.0000",
    ]
