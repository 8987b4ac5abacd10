"""One worker: the server as it runs in a process of several, drained and ended by its parent."""

import asyncio
import logging
import socket
import sys
from collections.abc import Awaitable, Callable

from ensemble.errors import EnsembleError
from model_store.errors import StoreError
from model_store.store import Store
from server.app import running, settle
from server.offering import Role, Transport, runner_for
from server.telemetry import logs

from .link import Link
from .others import Others
from .place import Place, read_place

log = logging.getLogger("unisono.workers")


async def already() -> None:
    """Wait for nothing: what listens does so by itself."""


async def work(
    place: Place,
    transport: Callable[..., Transport] | None = None,
    listening: Callable[[], Awaitable[None]] = already,
) -> bool:
    """Serve until the parent says drain, or is gone; return whether the parent is still there.

    `listening` waits until calls can come.
    """
    link = await Link.over(socket.socket(fileno=place.link))
    others = Others(link, place.held, place.refit_lock)
    role = Role(transport, others, shares=True, first=place.index == 0)
    hearing = asyncio.create_task(others.listen())
    try:
        async with running(Store.open(place.store), place.settings, role):
            await listening()
            settle()
            link.send(now="serving")
            await others.drain.wait()
        link.send(now="drained")
    except (EnsembleError, StoreError) as error:
        link.send(now="failed", why=str(error))
        raise
    finally:
        hearing.cancel()
        await link.close()
    return not others.orphaned


def main() -> int:
    """Run a worker on a transport of ours: the program of its process."""
    place = read_place()
    logs.set_up(place.settings.log_level, place.settings.log_format)
    try:
        with runner_for(place.settings.transport) as runner:
            runner.run(work(place))
    except (EnsembleError, StoreError):
        return 1  # The parent was told why.
    return 0


if __name__ == "__main__":
    sys.exit(main())
