"""LitServe with batching: raw float32 over HTTP, one worker process an ensemble.

python -m peers.given.litserve_server FOLDER PORT
"""

import sys
from pathlib import Path
from typing import Annotated

import litserve
import numpy as np
from fastapi import Body, Response

from peers.given.engine import MOST_ROWS, Array, Engine, engines


class Ensemble(litserve.LitAPI):  # type: ignore[misc]
    """One ensemble, at /NAME."""

    def __init__(self, folder: str, name: str) -> None:
        super().__init__(max_batch_size=MOST_ROWS, batch_timeout=0.0, api_path=f"/{name}")
        self._folder, self._name = folder, name

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's signature
        """Open its graph."""
        self.engine: Engine = engines(self._folder)[self._name]

    def decode_request(self, request: Annotated[bytes, Body(media_type="application/octet-stream")]) -> Array:
        """Return one row."""
        return np.frombuffer(request, np.float32).reshape(self.engine.shape)

    def batch(self, inputs: list[Array]) -> Array:
        """Put rows together."""
        return np.stack(inputs)

    def predict(self, x: Array) -> Array:
        """Score a batch."""
        return self.engine.score(np.atleast_2d(x))

    def unbatch(self, output: Array) -> list[Array]:
        """Take scores apart."""
        return list(output)

    def encode_response(self, output: Array) -> Response:
        """Return one row's scores."""
        return Response(output.tobytes(), media_type="application/octet-stream")


def main(folder: str, port: int) -> None:
    """Serve every ensemble."""
    apis = [Ensemble(folder, file.stem) for file in sorted(Path(folder).glob("*.onnx"))]
    server = litserve.LitServer(apis, accelerator="cpu", fast_queue=True, timeout=60)
    server.run(host="127.0.0.1", port=port, log_level="warning", access_log=False, generate_client_file=False)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
