"""The trials that are behind a search: a SQLite file that a kill leaves whole.

A trial is drawn and run in memory and written when it is over, in one transaction: a file never holds a trial
that nobody works on, and the next run draws the killed one again, as it was.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from training.config import TrainConfigError

from .config import SearchConfig
from .samplers import pruner, sampler

FILE = "study.db"
NAME = "tune"
_MADE_BY = "made_by"


class TrialLog:
    """Draws trials, and keeps those that are over in `folder`/study.db, which optuna-dashboard reads.

    TrainConfigError if the folder holds another search: `made_by` is all that decides what this one finds.
    """

    def __init__(self, folder: Path, search: SearchConfig, made_by: Mapping[str, Any]) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._search = search
        self._kept = optuna.create_study(
            study_name=NAME, storage=f"sqlite:///{folder / FILE}", load_if_exists=True
        )
        told = json.dumps(made_by, sort_keys=True, default=str)
        if self._kept.user_attrs.setdefault(_MADE_BY, told) != told:
            raise TrainConfigError(
                f"{folder} holds another search: of other rows, another space, sampler or seed; name another"
                " folder"
            )
        self._kept.set_user_attr(_MADE_BY, told)
        self.over = self._kept.get_trials(deepcopy=False)  # all trials, in their order
        self._running = self._again()

    def draw(self) -> Trial:
        """Begin the next trial."""
        # A study remembers more than its trials (NSGA-II the order of parents), which a kill takes away.
        self._running = self._again()
        return self._running.ask()

    def end(self, trial: Trial, loss: float | None) -> FrozenTrial:
        """Write down the loss that a trial came to; None for one that failed."""
        return self._keep(trial, loss, TrialState.COMPLETE if loss is not None else TrialState.FAIL)

    def end_early(self, trial: Trial) -> FrozenTrial:
        """Write down that a trial was no good."""
        return self._keep(trial, None, TrialState.PRUNED)

    def _again(self) -> optuna.Study:
        """Return the trials so far as a study in memory, which knows nothing else."""
        draws = sampler(self._search, len(self.over))
        study = optuna.create_study(sampler=draws, pruner=pruner(self._search))
        study.add_trials(self.over)
        return study

    def _keep(self, trial: Trial, loss: float | None, state: TrialState) -> FrozenTrial:
        done = self._running.tell(trial, loss, state)
        self._kept.add_trial(done)
        self.over.append(done)
        return done
