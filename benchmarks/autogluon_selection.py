"""Times AutoGluon's own `EnsembleSelection`; run by `benchmarks/refit.py` in an environment that has it.

    .venv-autogluon/bin/python benchmarks/autogluon_selection.py scores.npy ROUNDS REPEATS

`scores.npy` holds what each member gave each row's true class, `[row, member]`. The rows become a problem of
two classes: the log-loss of an average is the same. Printed is one object: "version", "seconds" of each
repeat, "weights".
"""

import json
import sys
import time
from importlib.metadata import version

import numpy as np
from autogluon.core.metrics import log_loss
from autogluon.core.models.greedy_ensemble.ensemble_selection import EnsembleSelection


def main() -> None:
    """Select, and print what came of it."""
    path, rounds, repeats = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    scores = np.load(path)
    labels = np.random.default_rng(0).integers(0, 2, len(scores))
    of_one = [np.where(labels == 1, column, 1 - column) for column in scores.T]
    seconds = []
    for _ in range(repeats):
        selection = EnsembleSelection(ensemble_size=rounds, problem_type="binary", metric=log_loss)
        begin = time.perf_counter()
        selection.fit(of_one, labels)
        seconds.append(time.perf_counter() - begin)
    told = {"version": version("autogluon.core"), "seconds": seconds, "weights": selection.weights_.tolist()}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
