"""Asks a server with the stock `tritonclient`, from an environment that has it and nothing of ours.

Run as a script: ADDRESS MODEL ROWS.npz COUNT. Prints one JSON object.
"""

import json
import sys
from typing import Any

import numpy as np


def main(address: str, model: str, path: str, count: int) -> dict[str, Any]:
    """Ask for the server's and the model's metadata and for the scores of the first `count` rows."""
    import tritonclient.grpc as triton  # noqa: PLC0415 - only in the environment that has it

    client = triton.InferenceServerClient(address)
    server, metadata = client.get_server_metadata(), client.get_model_metadata(model)
    with np.load(path, allow_pickle=False) as arrays:
        inputs = []
        for tensor in metadata.inputs:
            array = arrays[tensor.name][:count]
            sent = triton.InferInput(tensor.name, list(array.shape), tensor.datatype)
            sent.set_data_from_numpy(array)
            inputs.append(sent)
    result = client.infer(model, inputs)
    return {
        "server": f"{server.name} {server.version}",
        "model": metadata.name,
        "versions": list(metadata.versions),
        "platform": metadata.platform,
        "inputs": [f"{tensor.name} {tensor.datatype} {list(tensor.shape)}" for tensor in metadata.inputs],
        "version": result.get_response().model_version,
        "scores": result.as_numpy("scores").tolist(),
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))))
