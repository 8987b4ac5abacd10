"""Systems that need no server: the members in one process, asked by itself in batches.

    python -m peers.worker WAY STORE      (with benchmarks/ on the path)

It reads one JSON object a line, answers with one: `{"do": "check"}` scores the rows of a file, `{"do":
"load"}` scores a batch of `rows` rows for `seconds`. WAY is `best` (the fastest of engine.py's ways, found
anew for each batch size), `tensorflow` (one tf.function over all members) or `predict` (Keras' predict of
each member, then their average).
"""

import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_store.store import Store

Floats = NDArray[np.float32]
Score = Callable[[Floats], NDArray[Any]]


class Best:
    """The ways of engine.py; `prepare` finds the fastest for batches of a size."""

    def __init__(self, store: Store, name: str, key: str) -> None:
        from engine import ways  # noqa: PLC0415 - what TensorFlow's ways don't need

        self._key, self._fastest = key, dict[int, str]()
        self._ways = ways(store, name)

    def __call__(self, rows: Floats) -> NDArray[Any]:
        """Score rows the way that was found for so many."""
        return self._score(self._fastest[len(rows)], rows)

    def prepare(self, rows: Floats) -> None:
        """Time every way on as many rows, once."""
        from measure import interleaved  # noqa: PLC0415

        if len(rows) not in self._fastest:
            works = {way: partial(run, {self._key: rows}) for way, run in self._ways.items()}
            timings = interleaved(works, repeats=3)
            self._fastest[len(rows)] = min(timings, key=lambda way: timings[way].median)

    def every(self, rows: Floats) -> list[NDArray[Any]]:
        """Score rows in all ways."""
        return [self._score(way, rows) for way in self._ways]

    def _score(self, way: str, rows: Floats) -> NDArray[Any]:
        members = self._ways[way]({self._key: rows})
        return np.asarray(sum(members.values()) / len(members))


def tensorflow(store: Store, name: str, key: str) -> Score:  # noqa: ARG001 - one input
    """Return one tf.function over all members: the graph that TensorFlow Serving would run."""
    import tensorflow as tf  # noqa: PLC0415 - heavy

    models = keras_members(store, name)

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def average(rows: Any) -> Any:
        return tf.add_n([model(rows, training=False) for model in models]) / len(models)

    return lambda rows: np.asarray(average(tf.constant(rows)).numpy())


def predict(store: Store, name: str, key: str) -> Score:  # noqa: ARG001 - one input
    """Return what most people write."""
    models = keras_members(store, name)
    return lambda rows: np.mean(
        [model.predict(rows, batch_size=len(rows), verbose=0) for model in models], axis=0
    )


WAYS: dict[str, Callable[[Store, str, str], Score]] = {
    "best": Best,
    "tensorflow": tensorflow,
    "predict": predict,
}


def keras_members(store: Store, name: str) -> list[Any]:
    """Return the members as Keras loads them, from copies in the current folder."""
    import keras  # noqa: PLC0415 - heavy

    folder = Path.cwd()
    models = []
    for record in store.manifest(name).members:
        file = folder / f"{record.name}.keras"
        file.write_bytes(store.read_blob(name, record.blob))
        models.append(keras.saving.load_model(file, compile=False))
    return models


def answer(score: Score, asked: dict[str, Any]) -> dict[str, Any]:
    """Do what one line asks."""
    rows = np.load(asked["file"])
    if asked["do"] == "check":
        found = score.every(rows) if isinstance(score, Best) else [score(rows)]
        return {"scores": [one.tolist() for one in found]}
    batch = np.concatenate([rows] * (asked["rows"] // len(rows) + 1))[: asked["rows"]]
    if isinstance(score, Best):
        score.prepare(batch)
    score(batch)  # traces the graph
    answers, cpu, end = [], time.process_time(), time.monotonic() + asked["seconds"]
    while (began := time.monotonic()) < end:
        score(batch)
        now = time.monotonic()
        answers.append([now, now - began])
    return {"answers": answers, "cpu": time.process_time() - cpu}


def main(way: str, store: Store) -> None:
    """Answer line by line until there are no more."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no reply
    scores: dict[str, Score] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        name = asked["ensemble"]
        if name not in scores:
            scores[name] = WAYS[way](store, name, asked["input"])
        replies.write(json.dumps(answer(scores[name], asked)) + "\n")
        replies.flush()


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main(sys.argv[1], Store.open(sys.argv[2]))
