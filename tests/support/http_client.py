"""A plain HTTP client that does as it is told."""

import asyncio
import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Told:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    port: int,
    path: str,
    body: Any = None,
    *,
    verb: str = "",
    headers: Mapping[str, str] | None = None,
    context: ssl.SSLContext | None = None,
) -> Told:
    """Ask once over a connection of its own: POST where there is a body, bytes or what becomes JSON."""
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()

    def run() -> Told:
        if context is None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        else:
            connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=context)
        try:
            connection.request(verb or ("GET" if data is None else "POST"), path, data, dict(headers or {}))
            response = connection.getresponse()
            lower = {name.lower(): value for name, value in response.getheaders()}
            return Told(response.status, lower, response.read())
        finally:
            connection.close()

    return await asyncio.to_thread(run)
