"""Ask a server over HTTP from many tasks through the stock asyncio client; print one JSON object."""

import asyncio
import json
import sys
from typing import Any

import numpy as np
import tritonclient.http.aio as triton

CALLERS = 50


async def ask(client: Any, caller: int) -> Any:
    """Score rows that only `caller` sends, every other time as JSON."""
    rows = np.full((caller % 8 + 1, 4), caller, np.float32)
    tensor = triton.InferInput("x", rows.shape, "FP32")
    tensor.set_data_from_numpy(rows, binary_data=bool(caller % 2))
    result = await client.infer("sums", [tensor], request_id=str(caller))
    return [result.get_response()["id"], result.as_numpy("scores").tolist()]


async def main() -> None:
    """Print all answers."""
    async with triton.InferenceServerClient(sys.argv[1]) as client:
        answers = {
            "live": await client.is_server_live(),
            "ready": await client.is_server_ready(),
            "model ready": await client.is_model_ready("sums"),
            "server": await client.get_server_metadata(),
            "model": await client.get_model_metadata("sums"),
            "infer": await asyncio.gather(*(ask(client, caller) for caller in range(CALLERS))),
        }
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    asyncio.run(main())
