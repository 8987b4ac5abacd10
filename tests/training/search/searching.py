"""Searches with real networks, and prints what was found, as one JSON object.

usage: python -m tests.training.search.searching FOLDER [KILLED_IN_TRIAL]
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.training.callbacks.runs import parameters
from training.make import make
from training.receipts import Trained
from training.search import tune
from training.search.config import TuneConfig

CONFIG: dict[str, Any] = {
    "data": {"source": "breast_cancer"},
    "fit": {"epochs": 2},
    "options": {"units": [4]},
    "search": {
        "sampler": "random",
        "trials": 4,
        "seed": 5,
        "keep": 2,
        "space": {
            "architecture": {"choice": ["bndense", "sepconv"]},
            "options": {"dropout": {"float": [0.0, 0.5]}},
            "fit.learning-rate": {"log": [1e-3, 1e-1]},
        },
    },
}


def run(folder: Path, killed_in: int) -> dict[str, Any]:

    def dies(*given: Any) -> Trained:
        made = make(*given)
        if made.name == tune.member_name(killed_in):
            # Trained and written, but in no study.
            os.kill(os.getpid(), signal.SIGKILL)
        return made

    with patch.object(tune, "make", dies):
        return search(folder)


def search(folder: Path) -> dict[str, Any]:
    begun: list[int] = []
    config = TuneConfig.from_toml(CONFIG, folder)
    found = tune.tune(folder, config, lambda done, _: begun.append(done.number))
    again = tune.tune(folder, config, lambda done, _: begun.append(done.number))
    assert again.looks == found.looks
    kept = [tune.member_name(trial.number) for trial in found.best]
    return {
        "begun": begun,
        "trials": found.trials,
        "best": [[trial.number, trial.params, trial.values] for trial in found.best],
        "test": found.test,
        "looks": found.looks,
        "files": sorted(path.name for path in folder.iterdir()),
        "captured": sorted(path.name for path in (folder / "predictions").iterdir()),
        "parameters": [parameters(folder / f"{name}.keras") for name in kept],
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(Path(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else -1)) + "\n")
