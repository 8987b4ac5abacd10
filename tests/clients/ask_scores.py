"""Ask one model for the scores of the rows in an NPZ file through the stock client; print them as JSON.

ADDRESS MODEL ROWS INPUT
"""

import json
import sys

import numpy as np
import tritonclient.grpc as triton


def main() -> None:
    """Print the scores, and what the model says of itself."""
    address, model, path, name = sys.argv[1:]
    with np.load(path, allow_pickle=False) as arrays:
        rows = arrays[name]
    tensor = triton.InferInput(name, rows.shape, "FP32")
    tensor.set_data_from_numpy(rows)
    with triton.InferenceServerClient(address) as client:
        scores = client.infer(model, [tensor]).as_numpy("scores")
        refused = ""
        try:
            client.infer(model, [tensor], outputs=[triton.InferRequestedOutput("entropy")])
        except triton.InferenceServerException as error:
            refused = error.message()
        told = {"scores": scores.tolist(), "refused": refused}
        sys.stdout.write(json.dumps(told | {"model": client.get_model_metadata(model, as_json=True)}))


if __name__ == "__main__":
    main()
