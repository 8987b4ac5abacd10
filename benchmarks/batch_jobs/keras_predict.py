"""The script that most people write: Keras' predict of each member over each file, and their average.

python -m batch_jobs.keras_predict STORE ENSEMBLE FEW MANY OUT BATCH ROWS
"""

import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from peers.worker import keras_members

from batch_jobs.executors import told
from batch_jobs.inputs import arrays
from model_store.store import Store


def main(arguments: list[str]) -> None:
    """Score both folders and tell."""
    store, name, few, many, output, batch, count = arguments
    models = keras_members(Store.open(store), name)
    seconds, first = [], None
    Path(output).mkdir()
    for folder in (few, few, many):
        began = time.perf_counter()
        for number, rows in enumerate(arrays(Path(folder), int(count))):
            members = [model.predict(rows, batch_size=int(batch), verbose=0) for model in models]
            scores = np.mean(members, axis=0)
            first = scores[0] if first is None else first
            column = pa.FixedSizeListArray.from_arrays(pa.array(scores.ravel()), scores.shape[1])
            file = Path(output, f"{Path(folder).name}-{number}.parquet")
            pq.write_table(pa.table({"scores": column}), file)
        seconds.append(time.perf_counter() - began)
    assert first is not None  # noqa: S101 - the folders aren't empty
    short, again, long = seconds
    # Graphs are traced in the first call alone: a job of many rows by itself would wait for that too.
    told(short, long + short - again, first.tolist())


if __name__ == "__main__":
    main(sys.argv[1:])
