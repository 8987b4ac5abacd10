"""Puts the parts of the server together; starts and stops them in order. Only this file sees them all."""

import asyncio
import logging
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from math import inf
from time import perf_counter
from typing import Protocol

from prometheus_client import CollectorRegistry

from ensemble.loading.load import Batches, Runtimes, load_servable
from ensemble.member import Member
from ensemble.refit.job import RefitJob
from ensemble.runtimes.measurements import Measurements, cache_folder
from ensemble.runtimes.merged import Merger
from ensemble.runtimes.opening import opener
from model_store.errors import StoreError
from model_store.store import Store

from .batching.batcher import Batcher
from .config import ServeSettings
from .engine.engine import Engine
from .engine.priority import behind_the_loop
from .lifecycle.companions import Alone, Companions, SharedRepository
from .lifecycle.hints import hinting
from .lifecycle.labels import Labels
from .lifecycle.manager import Loaded, Manager
from .lifecycle.refitter import Found, Refitter, run_in_process
from .lifecycle.repository import Repository
from .lifecycle.wanted import wanted
from .lifecycle.watcher import Wanted, Watcher
from .telemetry.endpoint import exposition, listening
from .telemetry.gate import GateMetrics
from .telemetry.metrics import Metrics
from .telemetry.refits import RefitFigures
from .wire import reloading
from .wire.access import read_tokens
from .wire.admission import Admission, AdmissionLimits
from .wire.control import Control, ControlOptions
from .wire.gate import Gate
from .wire.health import Health
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


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the server listens."""

    grpc: int
    metrics: int
    http: int | None = None


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

    transport: Callable[..., Transport] = GrpcTransport
    companions: Companions = field(default_factory=Alone)
    shares: bool = False
    first: bool = True  # of those


ALL_OF_IT = Role()


async def serve(store: Store, settings: ServeSettings) -> None:
    """Serve `store` until SIGTERM or SIGINT, then drain; a second signal ends it at once."""
    began = perf_counter()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, stop, number)
    async with running(store, settings) as ports:
        log.info(
            "ready in %.2f s: gRPC on %s:%d, metrics on %s://%s:%d/metrics%s",
            *(perf_counter() - began, settings.host, ports.grpc),
            *("https" if settings.tls_cert else "http", settings.host, ports.metrics),
            "" if ports.http is None else f", HTTP on {settings.host}:{ports.http}",
        )
        await stop.wait()
        log.info("draining: calls in flight have %.0f s", settings.drain_timeout_secs)
    log.info("stopped")


@asynccontextmanager
async def running(store: Store, settings: ServeSettings, role: Role = ALL_OF_IT) -> AsyncIterator[Ports]:
    """Run the whole server while the block runs; drain when it ends. StoreError if there is no store.

    A process that shares its port and metrics serves no metrics itself: its port for them is 0.
    """
    # Loading a version, looking at files: none of it may hold up calls.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(initializer=behind_the_loop))
    # A store that isn't there at all is a mistake of whoever starts the server, who should hear of it now.
    await asyncio.to_thread(store.ensembles)
    metrics, health, labels = (
        Metrics(CollectorRegistry(), shared=role.shares, first=role.first),
        Health(),
        Labels(store.labels),
    )
    engine = Engine(metrics, quorum=settings.quorum)
    batcher = Batcher(engine.run, settings.batch_limits, metrics)
    gate = _gate(settings, metrics.gate, batcher)
    manager = Manager(_loader(store, settings), metrics)
    models = ServedModels(manager, batcher, max_batch_size=settings.max_request_rows)

    def show() -> None:
        health.show(ready=models.ready(), models=models.names())

    manager.changed = show
    watcher = Watcher(_wanted(store, settings, labels), manager, metrics, settings.watch_options)
    repository = SharedRepository(Repository(manager, watcher), watcher, role.companions)
    methods = [
        *_methods(models, metrics, repository, labels=labels, settings=settings),
        *_control(store, repository, metrics, settings, role.companions),
    ]
    transports = _transports(methods, health, metrics, gate=gate, settings=settings, role=role)

    async with AsyncExitStack() as stack:
        # Undone from the last to the first: calls drain while the batcher still runs.
        stack.callback(engine.close)
        metrics_port = 0 if role.shares else _serve_metrics(stack, metrics, gate, settings)
        tasks = await stack.enter_async_context(_background_tasks())
        tasks(batcher.serve(), reloading.watch(gate.reloads, settings.poll_interval_secs))
        stack.push_async_callback(_drain, models, health, transports, settings)
        ports = [await each.start() for each in transports]
        published = await repository.begin()
        models.want((frozenset(settings.ensemble) or published) | settings.version_policy.named)
        show()
        stack.enter_context(hinting(store.address, watcher.nudge))
        tasks(watcher.watch())
        yield Ports(ports[0], metrics_port, *ports[1:])


@asynccontextmanager
async def _background_tasks() -> AsyncIterator[Callable[..., None]]:
    """Give a function that starts tasks; cancel them all at the end. One that crashes ends the block."""
    started: list[asyncio.Task[None]] = []
    try:
        async with asyncio.TaskGroup() as group:
            try:
                yield lambda *works: started.extend(map(group.create_task, works))
            finally:
                for task in started:
                    task.cancel()
    except ExceptionGroup as errors:
        # The first one ended the rest; whoever waits for the server wants it, not its wrapping.
        raise errors.exceptions[0] from None


async def _drain(
    models: ServedModels, health: Health, transports: Sequence[Transport], settings: ServeSettings
) -> None:
    models.drain()
    health.drain()
    # Whoever balances load by our health needs this long to hear of it.
    await asyncio.sleep(settings.drain_delay_secs)
    await asyncio.gather(*(each.stop(settings.drain_timeout_secs) for each in transports))


def _transports(
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
    grpc = role.transport([*methods, *described], health, observer=metrics, options=options, gate=gate)
    if settings.http_port is None:
        return [grpc]
    from .wire.rest.offer import http_transport  # noqa: PLC0415 - who doesn't want it doesn't pay for it

    http = http_transport(
        methods,
        lambda accept: exposition(metrics.registry, accept),
        observer=metrics,
        options=replace(options, address=f"{settings.host}:{settings.http_port}"),
        max_json_bytes=settings.max_json_bytes,
        gate=gate,
    )
    return [grpc, http]


def _serve_metrics(stack: AsyncExitStack, metrics: Metrics, gate: Gate, settings: ServeSettings) -> int:
    endpoint = listening(metrics.registry, (settings.host, settings.metrics_port), gate.tls_context)
    stack.callback(endpoint.close)
    return endpoint.port


def _gate(settings: ServeSettings, metrics: GateMetrics, batcher: Batcher) -> Gate:
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


def _methods(
    models: ServedModels,
    metrics: Metrics,
    repository: SharedRepository,
    *,
    labels: Labels,
    settings: ServeSettings,
) -> list[Method]:
    may_control = settings.enable_model_control
    management = OipManagement(models, metrics.statistics, repository, model_control=may_control)
    tfs = Tfs(models, labels.of, tensor_content=settings.tensor_content)
    tfs_models = TfsModels(repository, labels.of, model_control=may_control)
    return [*Oip(models).methods(), *management.methods(), *tfs.methods(), *tfs_models.methods()]


def _control(
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


def _on_signal(stop: asyncio.Event, number: signal.Signals) -> None:
    """Ask for a drain; the same signal again then does what it does by default: end the process."""
    asyncio.get_running_loop().remove_signal_handler(number)
    stop.set()


def _loader(store: Store, settings: ServeSettings) -> Callable[[str, int, Mapping[str, Member]], Loaded]:
    measurements = Measurements(settings.cache_dir or cache_folder())
    runtimes = Runtimes(
        opener(settings.runtime, measurements, settings.devices, try_tensorflow=settings.try_tensorflow),
        Merger(measurements, settings.threads),
        Batches(measurements, settings.max_batch_size, settings.batch_sizes or ()),
        settings.quorum,
    )
    threads = settings.threads

    def load(name: str, version: int, reuse: Mapping[str, Member]) -> Loaded:
        servable = load_servable(store, name, version, reuse=reuse, threads=threads, runtimes=runtimes)
        evidence = store.manifest(name, version).evidence
        losses = evidence.get("validation", {}).get("losses", {})
        # JSON has no infinity: null says that the member gave some true class no score at all.
        members = {
            member: inf if loss is None else loss for member, loss in losses.get("members", {}).items()
        }
        return Loaded(servable, members, losses.get("learned"), RefitFigures.of(evidence))

    return load


def _wanted(store: Store, settings: ServeSettings, labels: Labels) -> Callable[[], Wanted]:
    """Return what reads which versions of each ensemble are to be served."""
    policy, only = settings.version_policy, settings.ensemble

    def wanted_of(name: str) -> Sequence[int] | Exception:
        try:
            labels.refresh(name)
            current = store.current(name)
            live = store.versions(name) if policy.looks_back(name) else [current]
            return wanted(policy, name, current=current, labels=labels.of(name), live=live)
        except StoreError as error:
            return error

    def read() -> Wanted:
        return {name: wanted_of(name) for name in store.ensembles() if not only or name in only}

    return read
