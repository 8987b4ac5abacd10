"""A peer that speaks as little HTTP/2 as can be: it opens a connection, and answers pings or doesn't."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
EMPTY_SETTINGS = b"\0\0\0\4\0\0\0\0\0"
SETTINGS_TAKEN = b"\0\0\0\4\1\0\0\0\0"
SETTINGS, PING, GOAWAY = 4, 6, 7
ACKNOWLEDGED = 1


@dataclass(frozen=True)
class Peer:
    """One connection without calls."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def frame(self, *, answers: bool) -> int | None:
        """The kind of the next frame that isn't an acknowledgement, answered or not; None at the end."""
        while True:
            try:
                head = await self.reader.readexactly(9)
                payload = await self.reader.readexactly(int.from_bytes(head[:3]))
            except (asyncio.IncompleteReadError, ConnectionResetError):
                return None
            kind, flags = head[3], head[4]
            if flags & ACKNOWLEDGED and kind in (SETTINGS, PING):
                continue
            if kind == SETTINGS:
                self.writer.write(SETTINGS_TAKEN)
            elif kind == PING and answers:
                self.writer.write(head[:4] + bytes([ACKNOWLEDGED]) + head[5:] + payload)
            return kind

    async def until(self, kind: int | None, *, answers: bool) -> list[int]:
        """The kinds of the frames that come before the first of this kind."""
        kinds: list[int] = []
        while (came := await self.frame(answers=answers)) != kind:
            assert came is not None, f"the connection ended after {kinds}"
            kinds.append(came)
        return kinds


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[Peer]:
    """Open a connection, and close it at the end of the block."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(PREFACE + EMPTY_SETTINGS)
    try:
        yield Peer(reader, writer)
    finally:
        writer.close()


@dataclass
class Relay:
    """Where clients connect, and how often they did."""

    address: str = ""
    connections: int = 0


@asynccontextmanager
async def relaying(address: str) -> AsyncIterator[Relay]:
    """Hand bytes on, both ways, between clients and `address`, connection by connection."""
    relay, host, port = Relay(), *address.rsplit(":", 1)

    async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(2**16):
                writer.write(data)
        finally:
            writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relay.connections += 1
        there = await asyncio.open_connection(host, int(port))
        await asyncio.gather(hand_on(reader, there[1]), hand_on(there[0], writer), return_exceptions=True)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    relay.address = "{}:{}".format(*server.sockets[0].getsockname())
    try:
        yield relay
    finally:
        server.close()
