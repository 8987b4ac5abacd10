"""The metrics, on the port of everything else: for who has a token and no way to the other port."""

import asyncio
from collections.abc import Callable
from typing import Any

from server.wire.call import Call
from server.wire.method import Method

from .resource import Asked, Door, Reply, Resource, Write

# Tells a scraper's Accept header the text of all metrics, and its media type.
Exposition = Callable[[str], tuple[bytes, str]]


def metrics_resource(exposition: Exposition) -> Resource:
    """Make the resource that Prometheus asks for."""

    async def scrape(accept: str, _call: Call) -> tuple[bytes, str]:
        return await asyncio.to_thread(exposition, accept)

    def read(asked: Asked) -> tuple[Any, Write]:
        return asked.headers.get("accept", ""), lambda told: Reply(told[0], media_type=told[1])

    return Resource(
        "GET", "/metrics", Method("unisono.http", "Metrics", str, tuple, scrape), read, Door.SCRAPE
    )
