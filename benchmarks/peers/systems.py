"""The systems that are measured: how each is started and asked, and how it was set up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from sys import executable

from peers.wires import Base64, OpenInference, Raw, Wire

BENCHMARKS = Path(__file__).parents[1]
ROOT = BENCHMARKS.parent
ENVIRONMENTS = ROOT / ".venv-peers"
OURS, PEER, ALONE = "unisono", "peer", "in process"


@dataclass(frozen=True)
class Place:
    """What a server is started with."""

    store: Path
    given: Path  # graphs, for those who know no store
    ensembles: Sequence[str]
    port: int


@dataclass(frozen=True)
class System:
    """One system. `python` runs it; `command` says with what arguments; without `wire` it asks itself."""

    name: str
    title: str
    kind: str
    setup: str
    python: Path
    command: Callable[[Place], list[str]]
    wire: Wire | None = None
    perf_analyzer: bool = False
    distributions: Sequence[str] = ()  # whose versions are told
    sleeps: bool = True  # survives being stopped while others are measured
    needs: str = ""  # an option of `unisono serve`
    ready: str = ""  # what it prints when it is ready; without it, it is when it answers


def _ours(name: str, title: str, setup: str, flags: Sequence[str], needs: str = "") -> System:
    def command(place: Place) -> list[str]:
        ensembles = [part for one in place.ensembles for part in ("--ensemble", one)]
        ports = ["--grpc-port", str(place.port), "--metrics-port", "0"]
        return ["-m", "unisono", "serve", "--store", str(place.store), *ensembles, *ports, *flags]

    return System(
        name,
        title,
        OURS,
        setup,
        Path(executable),
        command,
        OpenInference(),
        perf_analyzer=True,
        needs=needs,
        ready="ready in",
    )


def _alone(name: str, title: str, setup: str, distributions: Sequence[str] = ()) -> System:
    return System(
        name,
        title,
        ALONE,
        setup,
        Path(executable),
        lambda place: ["-m", "peers.worker", name, str(place.store)],
        distributions=distributions,
    )


def _peer(name: str, title: str, setup: str, wire: Wire, distributions: Sequence[str]) -> System:
    module = f"peers.given.{name.replace('-', '_')}_server"
    return System(
        name,
        title,
        PEER,
        setup,
        ENVIRONMENTS / name / "bin" / "python",
        lambda place: ["-m", module, str(place.given), str(place.port)],
        wire,
        sleeps=name != "pytriton",  # Triton's server took itself for dead when it woke
        perf_analyzer=isinstance(wire, OpenInference),
        distributions=distributions,
    )


# To be stopped between turns looks like a slow engine, for which calls would be refused.
PATIENT = ("--max-queue-wait-ms", "600000")
AUTO = ("--runtime", "auto", *PATIENT)
SYSTEMS = (
    _alone(
        "best", "in process, best of runtimes", "the fastest of benchmarks/engine.py's ways for each batch"
    ),
    _ours(
        "unisono",
        "unisono, grpc.aio",
        "`--transport grpcio --runtime auto`",
        (*AUTO, "--transport", "grpcio"),
        "--transport",
    ),
    _ours(
        "unisono-2",
        "unisono, grpc.aio, 2 workers",
        "`--transport grpcio --workers 2`, one thread each",
        (*AUTO, "--transport", "grpcio", "--workers", "2", "--threads", "1"),
        "--workers",
    ),
    _ours(
        "unisono-http2",
        "unisono, http2",
        "`--transport http2 --runtime auto`",
        (*AUTO, "--transport", "http2"),
        "--transport",
    ),
    _ours(
        "unisono-http2-2",
        "unisono, http2, 2 workers",
        "`--transport http2 --runtime auto --workers 2`, one thread each",
        (*AUTO, "--transport", "http2", "--workers", "2", "--threads", "1"),
        "--workers",
    ),
    _ours(
        "unisono-envoy",
        "unisono, Envoy",
        "`--transport envoy`, ONNX Runtime",
        (*PATIENT, "--transport", "envoy"),
        "--transport",
    ),
    _ours(
        "unisono-envoy-2",
        "unisono, Envoy, 2 workers",
        "`--transport envoy --workers 2`, ONNX Runtime, one thread each",
        (*PATIENT, "--transport", "envoy", "--workers", "2", "--threads", "1"),
        "--workers",
    ),
    _alone("tensorflow", "TensorFlow, in process", "one tf.function over all members", ("tensorflow",)),
    _alone("predict", "Keras predict, then average", "model.predict of each member", ("keras", "tensorflow")),
    _peer("mlserver", "MLServer", "custom runtime, adaptive batching", OpenInference(), ("mlserver",)),
    _peer("pytriton", "PyTriton", "Triton's server, dynamic batching", OpenInference(), ("nvidia-pytriton",)),
    _peer("ray-serve", "Ray Serve", "one replica, @serve.batch", Raw(), ("ray",)),
    _peer("bentoml", "BentoML", "batchable API, one worker", Base64(), ("bentoml",)),
    _peer("litserve", "LitServe", "batching, fast queue, one worker", Raw(), ("litserve",)),
    _peer(
        "fastapi",
        "FastAPI by hand",
        "uvicorn on uvloop, batches of what waits",
        Raw(),
        ("fastapi", "uvicorn"),
    ),
)
BY_NAME = {system.name: system for system in SYSTEMS}
