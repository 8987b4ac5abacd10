"""What workers are told, and when they are replaced."""

import socket
from pathlib import Path

import pytest

from ensemble.errors import UnavailableError
from server.config import ServeSettings
from server.workers.place import VARIABLE, Place, read_place, shared_out
from server.workers.port import reserved
from server.workers.restarts import next_pause


def test_pauses_double_to_a_bound_and_begin_again_after_a_long_life() -> None:
    pauses = [0.0]
    for _ in range(11):
        pauses.append(next_pause(1.0, pauses[-1]))

    assert pauses[1:6] == [0.1, 0.2, 0.4, 0.8, 1.6]
    assert pauses[-1] == 30.0
    assert next_pause(60.0, 30.0) == 0.1


def test_a_worker_is_told_its_place_and_reads_it_as_it_was() -> None:
    settings = ServeSettings(
        ensemble=("a", "b"), transport="envoy", workers=2, tls_cert=Path("c.pem"), tls_key=Path("k.pem")
    )
    place = Place("file:///store", settings, 1, link=7, folder="/run/x", python="python", held=("b",))

    assert read_place({VARIABLE: place.to_json()}) == place


def test_the_cores_are_shared_out_unless_threads_are_given() -> None:
    settings = ServeSettings(workers=2)
    told = shared_out(settings, "127.0.0.1", 4000)

    assert told.threads == max(settings.member_threads // 2, 1)
    assert (told.grpc_port, told.metrics_port) == (4000, 0)
    assert shared_out(ServeSettings(workers=2, threads=3), "127.0.0.1", 4000).threads == 3


def test_a_reserved_port_can_be_shared_by_those_who_share_and_nobody_else() -> None:
    with reserved("127.0.0.1", 0) as (host, port):
        with socket.socket() as worker:
            worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            worker.bind((host, port))
            worker.listen()
            with socket.create_connection((host, port), 5):
                pass
        with pytest.raises(UnavailableError, match=rf"^can't listen on 127\.0\.0\.1:{port}: in use"):
            reserved("127.0.0.1", port).__enter__()
