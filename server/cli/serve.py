"""`unisono serve`."""

from typing import Annotated

from cyclopts import Parameter

from server.config import ServeSettings

from .options import DEFAULT_STORE, StoreOption


def serve(
    *,
    store: StoreOption = DEFAULT_STORE,
    settings: Annotated[ServeSettings, Parameter(name="*")] = ServeSettings(),  # noqa: B008 - frozen
) -> int:
    """Serve every ensemble of the store over gRPC; take up new versions as they come; drain on SIGTERM.

    Answers the Open Inference Protocol v2, TensorFlow Serving's clients and grpc.health.v1; each member is
    also served by itself, as NAME.member. Prometheus finds the metrics at http://HOST:METRICS_PORT/metrics.
    """
    import asyncio  # noqa: PLC0415 - heavy: only when the command runs

    from model_store.store import Store  # noqa: PLC0415 - heavy: only when the command runs
    from server.telemetry import logs  # noqa: PLC0415 - heavy: only when the command runs

    logs.set_up(settings.log_level, settings.log_format)
    opened = Store.open(store)
    if settings.supervised:
        from server.workers.supervisor import supervise  # noqa: PLC0415 - only where there are workers

        asyncio.run(supervise(opened.address, settings))
    else:
        from server.app import serve as run  # noqa: PLC0415 - heavy: only when the command runs
        from server.offering import runner_for  # noqa: PLC0415 - heavy: only when the command runs

        with runner_for(settings.transport) as runner:
            runner.run(run(opened, settings))
    return 0
