"""Making members: from names to files, each made once.

`train` is the only way in. Beside every member it writes a receipt, `NAME.json`, with the sha256 of the
member's file and what made it; a member whose file matches its receipt is not made again.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .digits import SHAPE, Digits, load_digits, write_rows
from .files import replace_file, sha256
from .fit_network import fit_network, predict
from .forest import fit_forest, flatten, node_count, save_forest
from .progress import OnProgress, Progress
from .quiet_keras import import_keras
from .receipts import Trained, read_receipt, sources_digest, write_receipt
from .recipes import NAMES, ForestRecipe, NetworkRecipe, Recipe, choose

# What a wrong class scored 0 costs: -log of about the smallest step that float32 can take below 1.
_LEAST_SCORE = 1e-7


@dataclass(frozen=True, slots=True)
class _Made:
    """What came of making one member."""

    parameters: int
    epochs: int | None
    scores: NDArray[Any]  # of the validation rows


def train(
    folder: Path,
    names: Sequence[str] = NAMES,
    on_progress: OnProgress = lambda _: None,
    *,
    seed: int = 0,
    most_epochs: int | None = None,
) -> list[Trained]:
    """Make the members called `names` in `folder`, with the rows of `write_rows` beside them.

    The same seed makes the same members on the same machine and libraries. `most_epochs` caps every
    network's epochs. Every file appears whole or not at all. Networks are trained in the calling process,
    which has TensorFlow in it from then on.
    """
    recipes = choose(names)
    folder.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    write_rows(folder, digits)
    made_by = {"seed": seed, "most_epochs": most_epochs, "sources": sources_digest()}
    done = []
    for recipe in recipes:
        trained = read_receipt(folder, recipe.name, made_by)
        if trained is None:
            trained = _make(folder, recipe.capped(most_epochs), digits, seed, on_progress)
            write_receipt(folder, trained, made_by)
        done.append(trained)
    return done


def figures(scores: NDArray[Any], labels: NDArray[np.int64]) -> tuple[float, float]:
    """Return the accuracy and the mean log-loss of `scores` [row, class]."""
    accuracy = (scores.argmax(axis=1) == labels).mean()
    given = scores[np.arange(len(labels)), labels].astype(np.float64)
    return float(accuracy), float(-np.log(np.maximum(given, _LEAST_SCORE)).mean())


def _make(folder: Path, recipe: Recipe, digits: Digits, seed: int, on_progress: OnProgress) -> Trained:
    """Train one member and put its file in `folder`."""
    started = time.monotonic()
    how = recipe.how
    epochs = how.epochs if isinstance(how, NetworkRecipe) else 1

    def report(epoch: int, loss: float | None) -> None:
        on_progress(Progress(recipe.name, epoch, epochs, loss))

    report(0, None)
    with replace_file(folder / recipe.file) as path:
        if isinstance(how, NetworkRecipe):
            made = _make_network(how, path, digits, seed=seed, report=report)
        else:
            made = _make_forest(how, path, digits, seed=seed)
    accuracy, log_loss = figures(made.scores, digits.validation.label)
    return Trained(
        name=recipe.name,
        kind=recipe.kind,
        file=recipe.file,
        sha256=sha256(folder / recipe.file) or "",
        parameters=made.parameters,
        epochs=made.epochs,
        seconds=round(time.monotonic() - started, 2),
        accuracy=accuracy,
        log_loss=log_loss,
    )


def _make_network(
    how: NetworkRecipe, path: Path, digits: Digits, *, seed: int, report: Callable[[int, float | None], None]
) -> _Made:
    import_keras(seed)
    network, epochs = fit_network(how, digits.train, seed=seed, on_epoch=report)
    network.save(path)
    return _Made(network.count_params(), epochs, predict(network, digits.validation.image))


def _make_forest(how: ForestRecipe, path: Path, digits: Digits, *, seed: int) -> _Made:
    forest = fit_forest(digits.train, seed=seed, trees=how.trees)
    save_forest(forest, path, shape=SHAPE)
    return _Made(node_count(forest), None, forest.predict_proba(flatten(digits.validation.image)))
