"""Seeds of one network against different kinds of models: the same number of members, the same rows.

    python benchmarks/diversity.py [--folder FOLDER]

On scikit-learn's digits, in one run: five seeds of `bndense`, and of each seed a random forest, a logistic
regression and nearest neighbours. An ensemble of *seeds* is four of the five networks; an ensemble of *kinds*
is one network and the three others of its seed. Weights are learned on the 359 validation rows and judged on
the 360 test rows; ± is the standard deviation over five ensembles of each, which share members and rows.
Writes results/diversity.json and .md.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from results import save, table

from ensemble.refit.aims import log_loss_of
from ensemble.refit.blend import Blend
from ensemble.refit.comparison import losses_of
from ensemble.refit.diversity import pairs, squared_decomposition
from ensemble.refit.predictions import Predictions
from ensemble.refit.sample import Sample
from ensemble.refit.solver import solve
from training.config import TrainConfig
from training.data.parts import Part
from training.train import TrainOptions, load, train

SEEDS = 5
MEMBERS = 4
NETWORK = "network"
CONFIG = {
    "data": {"source": "digits"},
    "members": {
        NETWORK: {
            "architecture": "bndense",
            "options": {"units": [128, 64, 32], "dropout": 0.2},
            "fit": {"epochs": 25, "batch-rows": 32, "learning-rate": 2e-3, "schedule": "cosine"},
        },
        "forest": {"architecture": "random-forest"},
        "line": {"architecture": "logistic"},
        "neighbours": {"architecture": "knn"},
    },
}
TITLES = {
    "best": "best member's log-loss",
    "uniform": "uniform weights",
    "learned": "learned weights",
    "gain": "learned below the best member",
    "error_correlation": "correlation of errors, mean of pairs",
    "disagreement": "disagreement, mean of pairs",
    "double_fault": "both wrong, mean of pairs",
    "ambiguity": "Brier score averaged away",
}


def scores_of(folder: Path, name: str, rows: Part) -> Any:
    """Return what a trained member gives for rows, float32 [row, class]."""
    if (folder / f"{name}.keras").exists():
        import keras  # noqa: PLC0415 - imported, quietly, when the networks were trained

        from training.predict import predict  # noqa: PLC0415 - as above

        return predict(keras.models.load_model(folder / f"{name}.keras"), rows.inputs)["scores"]
    import onnxruntime  # noqa: PLC0415 - beside its only use

    session = onnxruntime.InferenceSession(folder / f"{name}.onnx")
    return session.run(["scores"], dict(rows.inputs))[0]


def judged(members: Mapping[str, Mapping[str, Any]], truth: Mapping[str, Any]) -> dict[str, float]:
    """Learn weights on validation rows; return the figures of the test rows."""
    samples = {
        part: Sample.of(
            Predictions(
                tuple(members),
                tuple(str(digit) for digit in range(10)),
                truth[part].astype(np.int64),
                tuple(found[part] for found in members.values()),
            )
        )
        for part in ("validation", "test")
    }
    uniform = np.full(len(members), 1 / len(members))
    learned = solve(log_loss_of(samples["validation"]), uniform).checked().weights
    test = samples["test"]
    alone = [losses_of(test, Blend.alone(place, len(members))).loss for place in range(len(members))]
    found, upper = pairs(test), np.triu_indices(len(members), 1)
    taken = squared_decomposition(test, learned)
    loss = losses_of(test, Blend(learned)).loss
    return {
        "best": min(alone),
        "uniform": losses_of(test, Blend(uniform)).loss,
        "learned": loss,
        "gain": min(alone) - loss,
        "error_correlation": float(found.error_correlation[upper].mean()),
        "disagreement": float(found.disagreement[upper].mean()),
        "double_fault": float(found.double_fault[upper].mean()),
        "ambiguity": taken.ambiguity / taken.members,
    }


def run(folder: Path) -> dict[str, list[dict[str, float]]]:
    """Train all members; return the figures of five ensembles of each sort."""
    config = TrainConfig.from_toml(CONFIG, folder)
    data = load(config.data)
    parts = {"validation": data.validation, "test": data.test}
    truth = {part: rows.label for part, rows in parts.items()}
    made = []
    for seed in range(SEEDS):
        place = folder / str(seed)
        names = [member.name for member in train(place, config, options=TrainOptions(seed=seed))]
        made.append(
            {name: {part: scores_of(place, name, rows) for part, rows in parts.items()} for name in names}
        )
    networks = {f"seed {seed}": found[NETWORK] for seed, found in enumerate(made)}
    seeds = [{name: found for name, found in networks.items() if name != left_out} for left_out in networks]
    return {
        "seeds": [judged(members, truth) for members in seeds],
        "kinds": [judged(members, truth) for members in made],
    }


def markdown(found: Mapping[str, Sequence[Mapping[str, float]]], seconds: float) -> str:
    """Render the table."""

    def told(sort: str, figure: str) -> str:
        values = [one[figure] for one in found[sort]]
        return f"{np.mean(values):.4f} ± {np.std(values):.4f}"

    lines = [[title, told("seeds", figure), told("kinds", figure)] for figure, title in TITLES.items()]
    header = (
        "on 360 test rows of digits, nats a row",
        f"{MEMBERS} seeds of one network",
        f"{MEMBERS} kinds of models",
    )
    return f"{table(header, lines)}\n\n{seconds:.0f} seconds in all, training included.\n"


def main() -> None:
    """Train, judge, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="Where members are kept; goes away if left out.")
    asked = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as made:
        found = run(asked.folder or Path(made))
    seconds = time.monotonic() - began
    save("diversity", found | {"seconds": seconds}, markdown(found, seconds))


if __name__ == "__main__":
    main()
