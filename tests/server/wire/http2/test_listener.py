"""Connections that say nothing, that fail before they are any, and more of them than there may be."""

import logging
import resource
import socket
import sys
from pathlib import Path

import pytest

from server.wire.gate import Gate
from server.wire.http2 import listener
from server.wire.http2.lifetime import ConnectionLimits
from server.wire.reloading import Reloaded
from server.wire.tls import TlsPaths, read_certificates
from server.wire.transport_options import TransportOptions
from tests.server.wire.http2.raw_client import PREFACE, SETTINGS, asked, frame, served
from tests.server.wire.http2.talk import Talk
from tests.support.certificates import authority, signed
from tests.support.observers import Recorder


async def test_a_client_that_says_nothing_is_closed_and_one_that_greeted_is_kept() -> None:
    for said, kept in (b"", False), (PREFACE, False), (PREFACE + frame(SETTINGS, 0, 0), True):
        talk = Talk(ConnectionLimits(greeting_secs=0.0), greeted=False)
        talk.send(said)
        talk.connection.look(sys.float_info.max)
        assert talk.socket.closed is not kept


def test_more_connections_than_there_may_be_are_closed_until_one_goes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with served(max_connections=2) as server, server.client() as first:
        with server.client() as second:
            first.until_pong()
            second.until_pong()
            with server.client() as third:
                assert third.until_end() is None
                assert third.kinds == []
            with caplog.at_level(logging.WARNING, "unisono.wire"):
                for _ in range(2):
                    server.asked(server.transport._host._warn)  # noqa: SLF001 - else once a second
            assert [record.getMessage() for record in caplog.records] == [
                "there are 2 connections, and more are closed: see docs/security.md"
            ]
            second.send(asked(1))
            assert second.until_told(1).headers["grpc-status"] == "0"
        server.until(lambda: len(server.transport._host._connections) == 1)  # noqa: SLF001
        with server.client() as fourth:
            fourth.until_pong()


def test_connections_leave_descriptors_to_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def most(files: int) -> int:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
        return listener.connection_limits(TransportOptions()).connections

    assert [most(files) for files in (1024, 10**6, resource.RLIM_INFINITY)] == [768, 2**14, 2**14]


def test_a_connection_that_fails_in_tls_is_forgotten(tmp_path: Path) -> None:
    made = authority(tmp_path, "authority")
    server_pair = signed(tmp_path, "server", made)
    paths = TlsPaths(server_pair.certificate, server_pair.key, None)
    gate = Gate(Reloaded("certificates", lambda: read_certificates(paths), Recorder()))
    with served(gate) as server:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", server.port), 30) as stranger:
                stranger.sendall(b"GET / HTTP/1.1\r\n\r\n" * 99)
                while stranger.recv(4096):
                    pass
        assert server.connections() == []
