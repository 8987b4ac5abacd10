"""What the server offers: its methods, who may call them, and what brings calls to them."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Protocol

from ensemble.refit.job import RefitJob
from model_store.store import Store

from .batching.batcher import Batcher
from .config import ServeSettings
from .lifecycle.companions import Alone, Companions, SharedRepository
from .lifecycle.labels import Labels
from .lifecycle.refitter import Found, Refitter, run_in_process
from .telemetry.endpoint import exposition, listening
from .telemetry.gate import GateMetrics
from .telemetry.metrics import Metrics
from .telemetry.shared import registry_of_all
from .wire.access import read_tokens
from .wire.admission import Admission, AdmissionLimits
from .wire.control import Control, ControlOptions
from .wire.gate import Gate
from .wire.health import Health
from .wire.http2.listener import http2_transport
from .wire.method import Method
from .wire.oip import Oip
from .wire.oip_management import OipManagement
from .wire.reflection import reflection_methods
from .wire.reloading import Reloaded
from .wire.served_models import ServedModels
from .wire.tfs import Tfs
from .wire.tfs_models import TfsModels
from .wire.tls import Certificates, TlsPaths, read_certificates
from .wire.transport_grpcio import GrpcTransport, TransportOptions

log = logging.getLogger("unisono.app")


class Transport(Protocol):
    """What brings calls to the methods."""

    async def start(self) -> int:
        """Listen, and return the port. Raises UnavailableError if the address can't be had."""
        ...

    async def stop(self, grace_secs: float) -> None:
        """Drain, give running calls so long to end, then cut off the rest and stop listening."""
        ...


@dataclass(frozen=True, slots=True)
class Role:
    """What this process is to the server: all of it, or one of several that share a port and the metrics."""

    transport: Callable[..., Transport] | None = None  # what the settings name, if none
    companions: Companions = field(default_factory=Alone)
    shares: bool = False
    first: bool = True  # of those


ALL_OF_IT = Role()
# Those that need nobody else's process.
TRANSPORTS: Mapping[str, Callable[..., Transport]] = {"grpcio": GrpcTransport, "http2": http2_transport}


def runner_for(transport: str) -> asyncio.Runner:
    """Return what runs a process that serves on `transport`, on the event loop that suits it."""
    if transport != "http2":
        return asyncio.Runner()
    from .wire.http2.loop import Loop  # noqa: PLC0415 - who doesn't want it doesn't pay for it

    return asyncio.Runner(loop_factory=Loop)


def transports_of(
    methods: Sequence[Method],
    health: Health,
    metrics: Metrics,
    *,
    gate: Gate,
    settings: ServeSettings,
    role: Role,
) -> list[Transport]:
    """Bind the methods to gRPC and, where that is wanted, to HTTP."""
    options = _transport_options(settings, role)
    described = reflection_methods(methods) if settings.enable_reflection else []
    bind = role.transport or TRANSPORTS[settings.transport]
    grpc = bind([*methods, *described], health, observer=metrics, options=options, gate=gate)
    if settings.http_port is None:
        return [grpc]
    from .wire.rest.offer import http_transport  # noqa: PLC0415 - who doesn't want it doesn't pay for it

    registry = registry_of_all() if role.shares else metrics.registry
    http = http_transport(
        methods,
        lambda accept: exposition(registry, accept),
        observer=metrics,
        options=replace(options, address=f"{settings.host}:{settings.http_port}"),
        max_json_bytes=settings.max_json_bytes,
        gate=gate,
    )
    return [grpc, http]


def serve_metrics(stack: AsyncExitStack, metrics: Metrics, gate: Gate, settings: ServeSettings) -> int:
    """Serve Prometheus until `stack` ends; return the port. UnavailableError if it can't be had."""
    endpoint = listening(metrics.registry, (settings.host, settings.metrics_port), gate.tls_context)
    stack.callback(endpoint.close)
    return endpoint.port


def gate_of(settings: ServeSettings, metrics: GateMetrics, batcher: Batcher) -> Gate:
    """Return what lets callers in: certificates, tokens and room, as far as they are set."""
    certificates = None
    if settings.tls_cert and settings.tls_key:
        paths = TlsPaths(settings.tls_cert, settings.tls_key, settings.tls_client_ca)

        def read() -> Certificates:
            found = read_certificates(paths)
            metrics.certificate_ends(found.ends_at)
            return found

        certificates = Reloaded("certificates", read, metrics)
    tokens = None
    if settings.auth_token_file:
        file, salt = settings.auth_token_file, secrets.token_bytes(32)
        tokens = Reloaded("tokens", lambda: read_tokens(file, salt), metrics)
    for exposure in settings.exposures:
        log.warning("listening on %s, beyond this machine: %s", settings.host, exposure)
    wait_secs = settings.max_queue_wait_ms / 1000
    limits = AdmissionLimits(settings.max_in_flight, settings.max_in_flight_bytes, wait_secs)
    return Gate(certificates, tokens, Admission(limits, metrics, batcher.expected_wait))


def methods_of(
    models: ServedModels,
    metrics: Metrics,
    repository: SharedRepository,
    *,
    labels: Labels,
    settings: ServeSettings,
) -> list[Method]:
    """Return what every caller may ask, in both dialects."""
    may_control = settings.enable_model_control
    management = OipManagement(models, metrics.statistics, repository, model_control=may_control)
    tfs = Tfs(models, labels.of, tensor_content=settings.tensor_content)
    tfs_models = TfsModels(repository, labels.of, model_control=may_control)
    return [*Oip(models).methods(), *management.methods(), *tfs.methods(), *tfs_models.methods()]


def control_methods(
    store: Store,
    repository: SharedRepository,
    metrics: Metrics,
    settings: ServeSettings,
    companions: Companions,
) -> list[Method]:
    """Bind what callers may change, where they may."""
    if not settings.enable_control:
        return []

    def run(job: RefitJob) -> Found:
        with companions.refitting():
            return run_in_process(job)

    refitter = Refitter(metrics.refits, repository.look, run)
    options = ControlOptions(settings.refit_paths, settings.ensemble)
    return Control(store, refitter, repository.look, options).methods()


def _transport_options(settings: ServeSettings, role: Role) -> TransportOptions:
    return TransportOptions(
        address=f"{settings.host}:{settings.grpc_port}",
        max_message_bytes=settings.max_message_bytes,
        max_call_secs=settings.default_deadline_secs,
        keepalive_secs=settings.keepalive_secs,
        max_concurrent_streams=settings.max_streams,
        max_metadata_bytes=settings.max_metadata_bytes,
        max_connection_age_secs=settings.max_connection_age_secs,
        shares_port=role.shares,
    )
