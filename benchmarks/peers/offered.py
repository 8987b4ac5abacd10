"""What every system is given: the members as one ONNX graph an ensemble, rows, and their right scores.

    python -m peers.offered STORE FILE      (with benchmarks/ on the path; starts TensorFlow)

writes the reference: the scores that Keras works out in float64 from the members' parameters.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.loading.load import served_blob
from ensemble.runtimes.onnx_merge import merge
from ensemble.runtimes.sample import random_rows
from ensemble.signature import Signature
from model_store.store import Store
from peers.given.engine import DESCRIPTION

BENCHMARKS = Path(__file__).parents[1]
CHECKED_ROWS = 32
MFLOP = " MFLOP"  # after an ensemble's name: what a row of it costs


@dataclass(frozen=True)
class Offer:
    """One ensemble: what its input is called, rows to ask about, and the right scores of them in float64.

    `mflop` is what a row costs at least, in millions of multiplications and additions; 0: nobody counted.
    """

    name: str
    input: str
    rows: NDArray[np.float32]
    scores: NDArray[np.float64]
    mflop: float = 0.0


def offers(store: Store, reference: Path) -> dict[str, Offer]:
    """Return what to ask of each ensemble in `reference`, a file that `write_reference` wrote."""
    with np.load(reference) as file:
        held = {name: file[name] for name in file.files}
    made = {}
    for name, scores in held.items():
        if not name.endswith(MFLOP):
            key, rows = _rows(store, name, len(scores))
            made[name] = Offer(name, key, rows, scores, float(held.get(name + MFLOP, 0.0)))
    return made


def write_graphs(store: Store, names: Mapping[str, Offer], folder: Path) -> None:
    """Write NAME.onnx for each ensemble, with one output a member, and a description of them all."""
    facts: dict[str, Any] = {}
    for name, offer in names.items():
        records = store.manifest(name).members
        models = {record.name: store.read_blob(name, served_blob(record)) for record in records}
        outputs = {record.name: str(record.signature["outputs"][0]["name"]) for record in records}
        (folder / f"{name}.onnx").write_bytes(merge(models, outputs))
        facts[name] = {
            "input": offer.input,
            "shape": offer.rows.shape[1:],
            "classes": offer.scores.shape[1],
        }
    (folder / DESCRIPTION).write_text(json.dumps(facts))


def reference_of(store: Path) -> Path:
    """Return the reference's file for the benchmark ensembles; write it, in a child, if there is none."""
    file = store.with_name(f"{store.name}-reference.npz")
    if not file.exists():
        print("working out the right scores in float64: half a minute, once", file=sys.stderr)
        path = os.pathsep.join([str(BENCHMARKS), str(BENCHMARKS.parent)])
        subprocess.run(
            [sys.executable, "-m", "peers.offered", str(store), str(file)],
            check=True,
            env=os.environ | {"PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
    return file


def _rows(store: Store, name: str, count: int) -> tuple[str, NDArray[np.float32]]:
    signature = Signature.from_json(store.manifest(name).signature)
    ((key, rows),) = random_rows(signature, count, seed=1).items()
    return key, np.ascontiguousarray(rows, np.float32)


def write_reference(store: Store, file: Path) -> None:
    """Score rows with each member rebuilt in float64, and average: an NPZ of [row, class] by ensemble."""
    import keras  # noqa: PLC0415 - heavy, and in a child only
    from ensembles import ENSEMBLES  # noqa: PLC0415 - what is made and what it is made by belong together
    from networks import NETWORKS  # noqa: PLC0415

    scores: dict[str, Any] = {}
    for name, members in ENSEMBLES.items():
        _, rows = _rows(store, name, CHECKED_ROWS)
        own, flop = [], 0.0
        for record in store.manifest(name).members:
            source = file.with_suffix(".keras")
            source.write_bytes(store.read_blob(name, record.blob))
            keras.config.set_dtype_policy("float32")
            parameters = keras.saving.load_model(source, compile=False).get_weights()
            source.unlink()
            keras.config.set_dtype_policy("float64")
            exact = NETWORKS[record.name]()
            exact.set_weights(parameters)
            flop += sum(map(_flop, exact.layers))
            own.append(np.asarray(exact(rows.astype(np.float64), training=False), np.float64))
        if len(own) != len(members):
            raise SystemExit(f"{name} holds {len(own)} members; want {members}")
        scores[name], scores[name + MFLOP] = np.mean(own, axis=0), flop / 1e6
    partial = file.with_suffix(".part.npz")
    np.savez(partial, **scores)
    partial.rename(file)


def _flop(layer: Any) -> float:
    """Count a layer's multiplications and additions for one row: two for each use of each kernel element."""
    kernels = [part for part in layer.weights if "kernel" in part.name]
    places = 1.0
    if len(layer.output.shape) == 4:  # noqa: PLR2004 - [row, height, width, channel]
        places = float(np.prod(layer.output.shape[1:3]))
    return sum(2 * places * float(np.prod(kernel.shape)) for kernel in kernels)


if __name__ == "__main__":
    write_reference(Store.open(sys.argv[1]), Path(sys.argv[2]))
