"""Ray Serve: one replica an ensemble, `@serve.batch`, raw float32 over HTTP.

python -m peers.given.ray_serve_server FOLDER PORT
"""

import signal
import sys
import threading
from pathlib import Path

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from peers.given.engine import MOST_ROWS, engines

# Requests that one replica may have at once: more than are ever sent here.
MOST_ONGOING = 256


@serve.deployment(max_ongoing_requests=MOST_ONGOING, ray_actor_options={"num_cpus": 0.5})
class Ensemble:
    """One ensemble."""

    def __init__(self, folder: str, name: str) -> None:
        self._engine = engines(folder)[name]

    @serve.batch(max_batch_size=MOST_ROWS, batch_wait_timeout_s=0)  # type: ignore[untyped-decorator]
    async def score(self, bodies: list[bytes]) -> list[bytes]:
        """Score a batch."""
        return self._engine.score_bytes(bodies)

    async def __call__(self, request: Request) -> Response:
        """Answer one request."""
        return Response(await self.score(await request.body()), media_type="application/octet-stream")


def main(folder: str, port: int) -> None:
    """Serve every ensemble until told to stop."""
    ended = threading.Event()
    ray.init(num_cpus=2, include_dashboard=False, configure_logging=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": port}, logging_config={"enable_access_log": False})
    for file in Path(folder).glob("*.onnx"):
        bound = Ensemble.bind(folder, file.stem)  # type: ignore[attr-defined]
        serve.run(bound, name=file.stem, route_prefix=f"/{file.stem}")
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    ended.wait()
    ray.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
