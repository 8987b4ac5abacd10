"""Many callers at once through the stock asyncio client, each with rows of its own.

ADDRESS EXPECTED.npz CALLERS: every caller sends 1 to 40 rows from its own place in the file, several
times, and compares the answer with the scores that the file says are those rows'. Prints one JSON object.
"""

import asyncio
import json
import sys
from typing import Any

import numpy as np
import tritonclient.grpc.aio as triton

ROUNDS = 3


async def call(client: Any, images: Any, expected: Any, caller: int) -> float:
    """Return how far, at most, this caller's answers were from the expected scores of its rows."""
    furthest = 0.0
    for turn in range(ROUNDS):
        at = (np.arange(1 + (caller * 7 + turn * 13) % 40) * 3 + caller * 11) % len(images)
        tensor = triton.InferInput("image", images[at].shape, "FP32")
        tensor.set_data_from_numpy(images[at])
        result = await client.infer("digits", [tensor])
        scores = result.as_numpy("scores")
        if scores.shape != expected[at].shape:
            return float("inf")
        furthest = max(furthest, float(np.abs(scores - expected[at]).max()))
    return furthest


async def main(address: str, path: str, callers: int) -> dict[str, Any]:
    """Run all callers and say how far the furthest answer was."""
    with np.load(path, allow_pickle=False) as arrays:
        images, expected = arrays["image"], arrays["expected"]
    async with triton.InferenceServerClient(address) as client:
        furthest = await asyncio.gather(*(call(client, images, expected, i) for i in range(callers)))
    return {"callers": len(furthest), "furthest": max(furthest)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))))
