"""Puts the parts of the server together; starts and stops them in order."""

import asyncio
import gc
import logging
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from time import perf_counter

from prometheus_client import CollectorRegistry

from model_store.store import Store

from .batching.batcher import Batcher
from .config import ServeSettings
from .engine.engine import Engine
from .engine.priority import behind_the_loop
from .lifecycle.companions import SharedRepository
from .lifecycle.hints import hinting
from .lifecycle.labels import Labels
from .lifecycle.manager import Manager
from .lifecycle.repository import Repository
from .lifecycle.watcher import Watcher
from .offering import (
    ALL_OF_IT,
    Role,
    Transport,
    control_methods,
    gate_of,
    methods_of,
    serve_metrics,
    transports_of,
)
from .telemetry.metrics import Metrics
from .versions import loader, wanted_versions
from .wire import reloading
from .wire.health import Health
from .wire.served_models import ServedModels

log = logging.getLogger("unisono.app")


# So many objects more than before, then so many looks at the young, then at the middle-aged. Calls that run
# at once hold some thousands, none of which is garbage.
GARBAGE_THRESHOLDS = (20_000, 20, 20)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the server listens."""

    grpc: int
    metrics: int
    http: int | None = None


async def serve(store: Store, settings: ServeSettings) -> None:
    """Serve `store` until SIGTERM or SIGINT, then drain; a second signal ends it at once."""
    began = perf_counter()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, stop, number)
    async with running(store, settings) as ports:
        settle()
        log.info(
            "ready in %.2f s: gRPC on %s:%d, metrics on %s://%s:%d/metrics%s",
            *(perf_counter() - began, settings.host, ports.grpc),
            *("https" if settings.tls_cert else "http", settings.host, ports.metrics),
            "" if ports.http is None else f", HTTP on {settings.host}:{ports.http}",
        )
        await stop.wait()
        log.info("draining: calls in flight have %.0f s", settings.drain_timeout_secs)
    log.info("stopped")


def settle() -> None:
    """Have Python look for garbage in cycles less often: of what small calls cost that took 6 %.

    Nothing is frozen: a version that is served no more may hold cycles, as TensorFlow's models do.
    """
    gc.collect()
    gc.set_threshold(*GARBAGE_THRESHOLDS)


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
    batcher = Batcher(
        engine.run, settings.batch_limits, metrics, brief=engine.brief, run_here=engine.run_here
    )
    gate = gate_of(settings, metrics.gate, batcher)
    manager = Manager(loader(store, settings), metrics)
    models = ServedModels(manager, batcher, max_batch_size=settings.max_request_rows)

    def show() -> None:
        models.tell(health.show)

    manager.changed = show
    watcher = Watcher(
        wanted_versions(store, settings, labels), manager, metrics.store, settings.watch_options
    )
    repository = SharedRepository(Repository(manager, watcher), watcher, role.companions)
    transports = transports_of(
        [
            *methods_of(models, metrics, repository, labels=labels, settings=settings),
            *control_methods(store, repository, metrics, settings, role.companions),
        ],
        *(health, metrics),
        gate=gate,
        settings=settings,
        role=role,
    )

    async with AsyncExitStack() as stack:
        # Undone from the last to the first: calls drain while the batcher still runs.
        stack.callback(engine.close)
        metrics_port = 0 if role.shares else serve_metrics(stack, metrics, gate, settings)
        tasks = await stack.enter_async_context(_background_tasks())
        tasks(
            batcher.serve(),
            reloading.watch(gate.reloads, settings.poll_interval_secs),
            metrics.hot.pour_on(),
            metrics.statistics.write_on(),
        )
        # Where others answer on the port, calls are theirs until this process has what they ask for.
        published = await repository.begin() if role.shares else None
        stack.push_async_callback(_drain, models, health, transports, settings)
        ports = [await each.start() for each in transports]
        if published is None:
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


def _on_signal(stop: asyncio.Event, number: signal.Signals) -> None:
    """Ask for a drain; the same signal again then does what it does by default: end the process."""
    asyncio.get_running_loop().remove_signal_handler(number)
    stop.set()
