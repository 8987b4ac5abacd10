"""The ASGI application that Envoy runs for tests: hands every event to the test's process, and back.

So a transport under test runs in the test, beside what it is tested with, and Envoy is real.
"""

import asyncio
import base64
import json
import os
from collections.abc import MutableMapping
from typing import Any

SOCKET_VARIABLE = "UNISONO_TEST_SOCKET"
LIMIT_BYTES = 2**28


def packed(value: Any) -> bytes:
    """Write an event, bytes and all, as one line."""
    return json.dumps(_plain(value)).encode() + b"\n"


def unpacked(line: bytes) -> Any:
    """Read what `packed` wrote."""
    return json.loads(line, object_hook=_bytes)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def _bytes(value: dict[str, Any]) -> Any:
    return base64.b64decode(value["bytes"]) if value.keys() == {"bytes"} else value


async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
    """Have the test's process answer a call."""
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["open"] = set()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    # Or the collector of garbage would end it: nothing else holds a task that waits for a stream.
    scope["state"]["open"].add(asyncio.current_task())
    reader, writer = await asyncio.open_unix_connection(os.environ[SOCKET_VARIABLE], limit=LIMIT_BYTES)
    writer.write(packed({key: scope[key] for key in ("type", "method", "path", "headers")}))

    async def do(number: int, event: Any) -> None:
        try:
            answer = await receive() if event is None else await send(event)
            writer.write(packed({"number": number, "answer": answer}))
        except Exception as error:  # noqa: BLE001 - it is raised in the test's process
            writer.write(packed({"number": number, "lost": repr(error)}))

    async with asyncio.TaskGroup() as doing:
        while line := await reader.readline():
            order = unpacked(line)
            doing.create_task(do(order["number"], order["event"]))
    writer.close()
    scope["state"]["open"].discard(asyncio.current_task())
