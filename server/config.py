"""The settings of `unisono serve`: read once, checked together, frozen.

Each may be given as a flag, as an environment variable (UNISONO_SERVE_...) or under [serve] in a TOML
file; a flag beats the environment, which beats the file, which beats the default.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ensemble.errors import EnsembleError
from model_store.names import is_name

from .batching.batch_queue import BatchLimits
from .computing import ComputeSettings
from .exposure import exposures, is_loopback
from .lifecycle.wanted import OTHERS, VersionPolicy
from .lifecycle.watcher import WatchOptions
from .telemetry.logs import LogFormat

LOG_LEVELS = ("debug", "info", "warning", "error")
MAX_PORT = 65535
MAX_WORKERS = 256


class ConfigError(EnsembleError):
    """A setting, or two together, can't be served with."""


@dataclass(frozen=True, slots=True)
class ServeSettings(ComputeSettings):
    """What the server is told.

    Attributes:
        ensemble: Serve only these ensembles of the store; all of them if none is named.
        model_version: What to serve, as NAME=WHAT or WHAT: a number, a label, latest; the first answers.
        keep_latest: How many versions of each ensemble to serve: the newest ones fill up.
        host: Address to listen on. Only this machine can reach the default.
        transport: What speaks gRPC: http2, our own; grpcio, slower for small requests; or envoy (an extra).
        workers: Server processes that share the port and the metrics; each has its own queue and bounds.
        grpc_port: Port for gRPC; 0 picks a free one.
        metrics_port: Port for Prometheus, at /metrics; 0 picks a free one.
        http_port: Port for HTTP: the same methods over REST; 0 picks a free one. Off unless given.
        max_batch_size: Most rows in one batch; 0 means as many as still make rows quicker, by measuring.
        allowed_batch_sizes: Fill batches up to one of these sizes, such as 1,4,16,64; the last is the most.
        max_request_rows: Most rows in one request; what is larger than a batch is run in several.
        max_queue_delay_ms: How long a batch waits for more rows; 0 takes what waits when the engine is free.
        max_queue_size: Most rows that may wait; what comes beyond is refused.
        runtime: What executes members: onnxruntime, openvino, tensorflow, or auto, the fastest by measuring.
        try_tensorflow: Let auto measure TensorFlow too, which takes seconds and half a gigabyte to import.
        quorum: The least members that must answer; 0 means all. Weights learned without the others stand in.
        threads: Threads that one member computes with; 0 means one or one a core, whichever is faster.
        cache_dir: Where measurements are kept; ~/.cache/unisono/runtimes if it isn't given.
        device: What ONNX Runtime and TensorFlow compute on; what isn't there is said and done without.
        device_memory_fraction: Most of a GPU's memory that is taken; 0 takes what is needed.
        logical_devices: Parts that TensorFlow divides a device into, to put members on.
        max_message_bytes: Largest request taken and answer given, decompressed.
        max_json_bytes: Largest JSON of one HTTP request; tensors that follow it don't count.
        max_in_flight: Most calls in the server at once; what comes beyond is refused unread.
        max_in_flight_bytes: Most bytes of requests in the server at once.
        max_queue_wait_ms: Calls are refused unread while, at the pace of late, scores take longer than this.
        max_streams: Most calls at once on one connection; beyond them gRPC may refuse some as UNAVAILABLE.
        max_metadata_bytes: Most bytes of metadata in one call.
        max_connection_age_secs: When clients are told to connect anew, and so find new servers.
        keepalive_secs: How often a silent connection is asked whether anybody is there.
        default_deadline_secs: Deadline of a call that brings none, and the longest that is granted.
        poll_interval_secs: How often to look for a new version in the store.
        drain_delay_secs: After SIGTERM, how long health says no before calls are turned away.
        drain_timeout_secs: How long calls in flight may take to finish after that.
        enable_model_control: Let callers have published ensembles loaded and unloaded over gRPC.
        enable_control: Let callers refit, read weights and roll back over gRPC.
        refit_data: Data that callers may have refitted on, as NAME=PATH; once for each name.
        tensor_content: Answer TensorFlow Serving's clients with tensor_content, not typed: faster to read.
        enable_reflection: Describe the services to whoever asks over gRPC.
        tls_cert: PEM certificate for gRPC and the metrics; read anew when it changes. Needs --tls-key.
        tls_key: Its key, without a password.
        auth_token_file: One token a line, then its scopes: predict, control. Read anew when it changes.
        tls_client_ca: Let in only callers whose certificate one of this PEM file signed (mTLS).
        log_level: One of debug, info, warning, error.
        log_format: text for people, json for machines.
    """

    ensemble: tuple[str, ...] = ()
    model_version: tuple[str, ...] = ()
    keep_latest: int = 1
    host: str = "127.0.0.1"
    transport: Literal["grpcio", "http2", "envoy"] = "http2"
    workers: int = 1
    grpc_port: int = 8001
    metrics_port: int = 8002
    http_port: int | None = None
    max_request_rows: int = 1024
    max_queue_delay_ms: float = 0.0
    max_queue_size: int = 8192
    quorum: int = 0
    max_message_bytes: int = 64 * 2**20
    max_json_bytes: int = 8 * 2**20
    max_in_flight: int = 1024
    max_in_flight_bytes: int = 256 * 2**20
    max_queue_wait_ms: float = 5000.0
    max_streams: int = 1024
    max_metadata_bytes: int = 16 * 2**10
    max_connection_age_secs: float = 600.0
    keepalive_secs: float = 60.0
    default_deadline_secs: float = 10.0
    poll_interval_secs: float = 1.0
    drain_delay_secs: float = 0.0
    drain_timeout_secs: float = 30.0
    enable_model_control: bool = False
    enable_control: bool = False
    refit_data: tuple[str, ...] = ()
    tensor_content: bool = False
    enable_reflection: bool = False
    auth_token_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    log_level: str = "info"
    log_format: LogFormat = "text"

    def __post_init__(self) -> None:
        """Refuse settings that can't be served with, all of them in one message."""
        problems = [
            f"{flag(name)} is {_shown(getattr(self, name))}; {rule}"
            for name, holds, rule in self._rules()
            if not holds
        ]
        if problems:
            raise ConfigError("; ".join(problems))

    def _rules(self) -> list[tuple[str, bool, str]]:
        positive = "it must be above 0"
        not_negative = "it must be 0 or more"
        return [
            ("grpc_port", 0 <= self.grpc_port <= MAX_PORT, f"a port is 0 to {MAX_PORT}"),
            ("metrics_port", 0 <= self.metrics_port <= MAX_PORT, f"a port is 0 to {MAX_PORT}"),
            (
                "metrics_port",
                self.metrics_port != self.grpc_port or self.grpc_port == 0,
                "it must differ from --grpc-port",
            ),
            ("http_port", 0 <= (self.http_port or 0) <= MAX_PORT, f"a port is 0 to {MAX_PORT}"),
            (
                "http_port",
                not self.http_port or self.http_port not in (self.grpc_port, self.metrics_port),
                "it must differ from --grpc-port and --metrics-port",
            ),
            ("max_json_bytes", self.max_json_bytes >= 2**10, "it must be 1024 or more"),
            ("max_request_rows", self.max_request_rows > 0, positive),
            ("max_queue_delay_ms", self.max_queue_delay_ms >= 0, not_negative),
            (
                "max_queue_size",
                self.max_queue_size >= max(self.max_request_rows, self.max_batch_size),
                f"it must hold a request, --max-request-rows is {self.max_request_rows}, and a batch",
            ),
            ("quorum", self.quorum >= 0, not_negative),
            ("max_message_bytes", self.max_message_bytes >= 2**10, "it must be 1024 or more"),
            ("default_deadline_secs", self.default_deadline_secs > 0, positive),
            ("poll_interval_secs", self.poll_interval_secs > 0, positive),
            ("drain_delay_secs", self.drain_delay_secs >= 0, not_negative),
            ("drain_timeout_secs", self.drain_timeout_secs >= 0, not_negative),
            (
                "enable_control",
                not self.enable_control or self.auth_token_file is not None or is_loopback(self.host),
                f"without --auth-token-file --host must be of this machine, not {self.host}",
            ),
            (
                "refit_data",
                len({_name_of(data) for data in self.refit_data} - {""}) == len(self.refit_data),
                "each is NAME=PATH, with a name of its own",
            ),
            (
                "refit_data",
                self.enable_control or not self.refit_data,
                "nobody can name it without --enable-control",
            ),
            (
                "model_version",
                all(_is_version(what) for text in self.model_version for _, what in [_choice(text)]),
                "each is NAME=WHAT or WHAT: a number from 1, a label, or latest",
            ),
            ("keep_latest", self.keep_latest > 0, positive),
            ("log_level", self.log_level in LOG_LEVELS, f"it must be one of {', '.join(LOG_LEVELS)}"),
            *self.compute_rules(),
            *self._limit_rules(),
            *self._tls_rules(),
        ]

    def _limit_rules(self) -> list[tuple[str, bool, str]]:
        one_message = f"it must hold one message, --max-message-bytes is {self.max_message_bytes}"
        return [
            (
                "runtime",
                self.runtime == "onnxruntime" or self.transport != "envoy",
                "--transport envoy runs onnxruntime alone: its memory allocator doesn't suit the others",
            ),
            ("workers", 1 <= self.workers <= MAX_WORKERS, f"it must be 1 to {MAX_WORKERS}"),
            ("max_in_flight", self.max_in_flight > 0, "it must be above 0"),
            ("max_in_flight_bytes", self.max_in_flight_bytes >= self.max_message_bytes, one_message),
            ("max_queue_wait_ms", self.max_queue_wait_ms > 0, "it must be above 0"),
            ("max_streams", self.max_streams > 0, "it must be above 0"),
            ("max_metadata_bytes", self.max_metadata_bytes >= 2**10, "it must be 1024 or more"),
            ("max_connection_age_secs", self.max_connection_age_secs >= 1, "it must be 1 or more"),
            ("keepalive_secs", self.keepalive_secs >= 1, "it must be 1 or more"),
        ]

    def _tls_rules(self) -> list[tuple[str, bool, str]]:
        needs_cert = "it needs --tls-cert and --tls-key"
        return [
            ("tls_cert", not self.tls_cert or self.tls_key is not None, "it needs --tls-key"),
            ("tls_key", not self.tls_key or self.tls_cert is not None, "it needs --tls-cert"),
            ("tls_client_ca", not self.tls_client_ca or bool(self.tls_cert and self.tls_key), needs_cert),
        ]

    @property
    def exposures(self) -> list[str]:
        """Say what an operator should know who lets other machines reach the server."""
        guarded = self.auth_token_file is not None or self.tls_client_ca is not None
        return exposures(self.host, encrypted=self.tls_cert is not None, guarded=guarded)

    @property
    def refit_paths(self) -> Mapping[str, Path]:
        """Where the data lies that callers may name."""
        pairs = (data.partition("=") for data in self.refit_data)
        return {name: Path(path).absolute() for name, _, path in pairs}

    @property
    def batch_limits(self) -> BatchLimits:
        """What the batcher is told."""
        return BatchLimits(max_queue_delay=self.max_queue_delay_ms / 1000, max_queue_size=self.max_queue_size)

    @property
    def version_policy(self) -> VersionPolicy:
        """Which versions of each ensemble are to be served."""
        choices: dict[str, tuple[str, ...]] = {}
        for name, what in map(_choice, self.model_version):
            choices[name] = (*choices.get(name, ()), what)
        return VersionPolicy(choices, self.keep_latest)

    @property
    def watch_options(self) -> WatchOptions:
        """What the watcher is told."""
        return WatchOptions(poll_interval=self.poll_interval_secs)

    @property
    def supervised(self) -> bool:
        """Whether the server is processes of a parent, and not this process itself."""
        return self.transport == "envoy" or self.workers > 1


def _name_of(data: str) -> str:
    """Return the name in NAME=PATH; empty if it isn't so."""
    name, _, path = data.partition("=")
    return name if path else ""


def _choice(text: str) -> tuple[str, str]:
    """Read NAME=WHAT, or WHAT for all the ensembles that no other choice names."""
    name, sign, what = text.partition("=")
    return (name, what) if sign else (OTHERS, text)


def _is_version(what: str) -> bool:
    """Whether `what` may be a version's number, a label, or the word for the current version."""
    return int(what) > 0 if what.isascii() and what.isdecimal() else is_name(what)


def _shown(value: object) -> str:
    return str(value) if isinstance(value, Path) else repr(value)


def flag(name: str) -> str:
    """Spell a setting as it is typed."""
    return "--" + name.replace("_", "-")
