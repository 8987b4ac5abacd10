"""Asks a server for the scores of many models, with the stock client.

ADDRESS FOLDER: for each MODEL.npz in FOLDER, whose arrays are the model's inputs and the `expected`
scores, asks for all rows. Prints, by model, how far the furthest score is from what is expected, absolute
up to 1 and relative above, and what the server says of the model: its inputs, then its outputs.
"""

import json
import sys
from pathlib import Path

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import np_to_triton_dtype


def furthest(client: triton.InferenceServerClient, model: str, path: Path) -> float:
    """Ask for one model's scores, and compare."""
    with np.load(path, allow_pickle=False) as arrays:
        rows = dict(arrays)
    expected = rows.pop("expected").astype(np.float64)
    inputs = []
    for name, array in rows.items():
        inputs.append(triton.InferInput(name, array.shape, np_to_triton_dtype(array.dtype)))
        inputs[-1].set_data_from_numpy(array)
    scores = client.infer(model, inputs).as_numpy("scores")
    if scores.shape != expected.shape:
        return float("inf")
    return float((np.abs(scores - expected) / np.maximum(1, np.abs(expected))).max())


def described(client: triton.InferenceServerClient, model: str) -> list[str]:
    """Return the model's inputs and outputs as the server has them, each in a few words."""
    told = client.get_model_metadata(model)
    return [f"{put.name} {put.datatype} {list(put.shape)}" for put in (*told.inputs, *told.outputs)]


def main(address: str, folder: Path) -> dict[str, tuple[float, list[str]]]:
    """Ask for every model of the folder."""
    with triton.InferenceServerClient(address) as client:
        return {
            path.stem: (furthest(client, path.stem, path), described(client, path.stem))
            for path in sorted(folder.glob("*.npz"))
        }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], Path(sys.argv[2]))))
