"""MLServer with a custom runtime and adaptive batching: gRPC, the Open Inference Protocol.

    python -m peers.given.mlserver_server FOLDER PORT

Writes MLServer's own settings files into the current folder and becomes `mlserver start`. Inference runs in
the server's process, on a thread, which was faster here than its worker processes.
"""

import asyncio
import json
import os
import socket
import sys
from pathlib import Path

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from peers.given.engine import DESCRIPTION, MOST_ROWS, Engine


class Runtime(MLModel):  # type: ignore[misc]
    """One ensemble."""

    async def load(self) -> bool:
        """Open its graph."""
        folder = Path(os.environ["GIVEN_FOLDER"])
        facts = json.loads((folder / DESCRIPTION).read_text())
        self.engine = Engine(folder, self.name, facts[self.name])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Score a batch."""
        rows = NumpyCodec.decode_input(payload.inputs[0])
        scores = await asyncio.to_thread(self.engine.score, rows)
        output = NumpyCodec.encode_output("scores", scores)
        return InferenceResponse(model_name=self.name, outputs=[output])


def _write_settings(folder: Path, port: int) -> None:
    described = json.loads((folder / DESCRIPTION).read_text())
    settings = {
        "host": "127.0.0.1",
        "grpc_port": port,
        "http_port": _free_port(),
        "metrics_port": _free_port(),
        "parallel_workers": 0,
        "debug": False,
    }
    Path("settings.json").write_text(json.dumps(settings))
    for name, facts in described.items():
        model = {
            "name": name,
            "implementation": f"{__package__}.mlserver_server.Runtime",
            "max_batch_size": MOST_ROWS,
            "max_batch_time": 0.001,
            "inputs": [{"name": facts["input"], "datatype": "FP32", "shape": [-1, *facts["shape"]]}],
            "outputs": [{"name": "scores", "datatype": "FP32", "shape": [-1, facts["classes"]]}],
        }
        Path(name).mkdir()
        Path(name, "model-settings.json").write_text(json.dumps(model))


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


if __name__ == "__main__":
    _write_settings(Path(sys.argv[1]), int(sys.argv[2]))
    os.environ["GIVEN_FOLDER"] = sys.argv[1]
    os.execv(sys.executable, [sys.executable, "-m", "mlserver.cli.main", "start", "."])  # noqa: S606
