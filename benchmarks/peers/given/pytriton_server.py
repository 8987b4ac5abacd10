"""PyTriton: Triton's own C++ server and its dynamic batching, around the engine in Python: gRPC, OIP.

python -m peers.given.pytriton_server FOLDER PORT
"""

import socket
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

from peers.given.engine import MOST_ROWS, Engine, engines


def _bind(triton: Any, engine: Engine) -> None:
    @batch  # type: ignore[untyped-decorator]
    def score(**inputs: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        return {"scores": engine.score(inputs[engine.input])}

    triton.bind(
        model_name=engine.name,
        infer_func=score,
        inputs=[Tensor(name=engine.input, dtype=np.float32, shape=tuple(engine.shape))],
        outputs=[Tensor(name="scores", dtype=np.float32, shape=(engine.classes,))],
        config=ModelConfig(max_batch_size=MOST_ROWS, batcher=DynamicBatcher(max_queue_delay_microseconds=0)),
        strict=False,
    )


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def main(folder: str, port: int) -> None:
    """Serve every ensemble until told to stop."""
    config = TritonConfig(
        http_address="127.0.0.1",
        http_port=_free_port(),
        grpc_address="127.0.0.1",
        grpc_port=port,
        metrics_port=_free_port(),
        log_verbose=0,
    )
    with Triton(config=config) as triton:
        for engine in engines(folder).values():
            _bind(triton, engine)
        triton.serve()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
