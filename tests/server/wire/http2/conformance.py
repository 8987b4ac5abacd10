"""One case of a conformance table: a section, what a client does, its bytes, and what must come back."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from tests.server.wire.http2.raw_client import PREFACE, SETTINGS, Client, Served, asked, frame

# RFC 9113, section 7.
PROTOCOL, FLOW, CLOSED, SIZE, REFUSED, COMPRESSION, CALM = 1, 3, 5, 6, 7, 9, 11
HELLO = PREFACE + frame(SETTINGS, 0, 0)


@dataclass(frozen=True)
class Gone:
    """The connection ends, with a GOAWAY of this code."""

    code: int

    def check(self, client: Client) -> None:
        assert client.until_end() == self.code


@dataclass(frozen=True)
class Reset:
    """This stream is reset; the connection goes on."""

    stream: int
    code: int

    def check(self, client: Client) -> None:
        assert client.until_told(self.stream).reset == self.code
        client.until_pong()


@dataclass(frozen=True)
class Answered:
    """These calls are answered; the connection goes on."""

    streams: tuple[int, ...] = (1,)
    status: str = "0"

    def check(self, client: Client) -> None:
        for stream in self.streams:
            told = client.until_told(stream)
            assert (told.reset, told.headers[":status"], told.headers["grpc-status"]) == (
                None,
                "200",
                self.status,
            )
        client.until_pong()
        assert client.goaway is None


@dataclass(frozen=True)
class Ignored:
    """Nothing is said of it, and the connection goes on."""

    def check(self, client: Client) -> None:
        client.until_pong()
        assert client.goaway is None
        assert [told.reset for told in client.streams.values() if told.reset is not None] == []


@dataclass(frozen=True)
class Case:
    """What is sent behind the greeting, or instead of `hello`; `section` of the RFC that says so."""

    section: str
    does: str
    sent: bytes
    back: Gone | Reset | Answered | Ignored
    hello: bytes = HELLO

    def check(self, served: Served, *, answered: int | None = None) -> None:
        """Do it, once call `answered` has been asked and answered."""
        with served.client(self.hello) as client:
            if answered is not None:
                client.send(asked(answered))
                client.until_told(answered)
            client.send(self.sent)
            self.back.check(client)


def each(cases: Sequence[Case]) -> pytest.MarkDecorator:
    """Run a test for each case, named after its section."""
    return pytest.mark.parametrize("case", cases, ids=[f"{case.section} {case.does}" for case in cases])
