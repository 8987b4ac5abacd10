"""Serves a store with several processes, or with one under Envoy: starts, watches, replaces, drains them."""

import asyncio
import logging
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter

from prometheus_client import CollectorRegistry

from model_store.store import Store
from server.config import ServeSettings
from server.telemetry.endpoint import MetricsEndpoint, listening
from server.telemetry.shared import registry_of
from server.telemetry.workers import WorkerMetrics
from server.wire.reloading import Reloaded
from server.wire.tls import Certificates, TlsPaths, read_certificates

from . import envoy
from .crew import Crew
from .place import Place, shared_out
from .port import reserved
from .secrets_file import write_secrets

log = logging.getLogger("unisono.workers")


async def supervise(store: str, settings: ServeSettings) -> None:
    """Serve the store at this address until SIGTERM or SIGINT, then drain; a second signal ends it now."""
    began = perf_counter()
    if settings.transport == "envoy":
        envoy.check_installed()
    # A store that isn't there at all is a mistake of whoever starts the server, who should hear of it now.
    await asyncio.to_thread(Store.open(store).ensembles)
    with ExitStack() as stack:
        host, port = stack.enter_context(reserved(settings.host, settings.grpc_port))
        http_port = None
        if settings.http_port is not None:
            _, http_port = stack.enter_context(reserved(settings.host, settings.http_port))
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="unisono-"))
        metrics = Path(folder) / "metrics"
        metrics.mkdir()
        registry, shared = registry_of(metrics)
        certificates = _certificates(settings)
        if certificates is not None:
            write_secrets(folder, certificates.value)
        endpoint = _endpoint(settings, registry, certificates)
        stack.callback(endpoint.close)
        told = shared_out(settings, host, port, http_port)
        place = Place(store, told, 0, link=-1, folder=folder, python=sys.executable)
        crew = Crew(place, shared, WorkerMetrics(registry))
        beside = [
            asyncio.create_task(_keep_certificates(certificates, folder, settings)),
            asyncio.create_task(_until_signalled(crew)),
        ]
        try:
            await crew.run(began, _addresses(settings, told, endpoint))
        finally:
            for task in beside:
                task.cancel()
    log.info("stopped")


async def _until_signalled(crew: Crew) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, crew.stop)
    try:
        await asyncio.Event().wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


class _Quiet:
    """Hears of reloads: the workers count their own."""

    def reloaded(self, what: str) -> None: ...

    def reload_failed(self, what: str) -> None: ...

    def reload_settled(self, what: str) -> None: ...


def _certificates(settings: ServeSettings) -> Reloaded[Certificates] | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    paths = TlsPaths(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
    return Reloaded("certificates", lambda: read_certificates(paths), _Quiet())


async def _keep_certificates(
    certificates: Reloaded[Certificates] | None, folder: str, settings: ServeSettings
) -> None:
    """Give Envoy each new certificate that can be used, until cancelled."""
    if certificates is None:
        return
    told = certificates.value
    while True:
        await asyncio.sleep(settings.poll_interval_secs)
        await asyncio.to_thread(certificates.look)
        if certificates.value is not told:
            told = certificates.value
            write_secrets(folder, told)


def _endpoint(
    settings: ServeSettings, registry: CollectorRegistry, certificates: Reloaded[Certificates] | None
) -> MetricsEndpoint:
    context = (lambda: None) if certificates is None else (lambda: certificates.value.context)
    return listening(registry, (settings.host, settings.metrics_port), context)


def _addresses(settings: ServeSettings, told: ServeSettings, endpoint: MetricsEndpoint) -> str:
    """Say where the server listens, once its workers do."""
    scheme = "https" if settings.tls_cert else "http"
    http = "" if told.http_port is None else f", HTTP on {settings.host}:{told.http_port}"
    return (
        f"gRPC on {settings.host}:{told.grpc_port}, "
        f"metrics on {scheme}://{settings.host}:{endpoint.port}/metrics{http}"
    )
