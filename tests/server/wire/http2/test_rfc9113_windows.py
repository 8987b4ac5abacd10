"""RFC 9113, sections 3.4, 5.4, 6.5.3, 6.7 and 6.9: what comes back in which order, and how much of it."""

from collections.abc import Iterator

import pytest

from tests.server.wire.http2.raw_client import (
    ASK,
    DATA,
    HOLD,
    PREFACE,
    SETTINGS,
    WINDOW_UPDATE,
    Served,
    asked,
    data,
    frame,
    message,
    opened,
    ping,
    reset,
    served,
    settings,
    window,
)

# A name of 1000 bytes is a message of 1003, and DATA of 1008.
NAME_BYTES, DATA_BYTES = 1000, 1008


@pytest.fixture(scope="module", name="server")
def fixture_server() -> Iterator[Served]:
    with served() as server:
        yield server


# And one whose DATA is nearly a whole frame: four and a part of a fifth go into a connection's first window.
LARGE_BYTES, LARGE_LEFT = 16_008, 65_535 - 4 * 16_008


def large_call(stream: int) -> bytes:
    return opened(stream) + data(stream, message(LARGE_BYTES - 8))


def long_call(stream: int) -> bytes:
    return opened(stream) + data(stream, message(NAME_BYTES))


def test_the_first_frame_of_a_server_is_settings_and_ours_are_acknowledged(server: Served) -> None:
    with server.client() as client:
        client.until_pong()
        assert (client.kinds[0], client.acknowledged) == (SETTINGS, 1)


def test_a_greeting_may_come_byte_by_byte(server: Served) -> None:
    with server.client(b"") as client:
        for byte in PREFACE + frame(SETTINGS, 0, 0) + asked(1):
            client.send(bytes([byte]))
        assert client.until_told(1).headers["grpc-status"] == "0"


def test_an_end_says_which_call_was_the_last(server: Served) -> None:
    with server.client() as client:
        client.send(asked(7), frame(DATA, 0, 0))
        assert (client.until_end(), client.last) == (1, 7)


def test_pings_are_answered_with_what_they_brought_and_in_order(server: Served) -> None:
    with server.client() as client:
        client.send(ping(b"12345678"), ping(b"answered", flags=1), ping(b"abcdefgh"))
        client.until_pong()
        assert client.pongs == [b"12345678", b"abcdefgh", b"the last"]


def test_settings_are_taken_in_the_order_in_which_they_come(server: Served) -> None:
    with server.client() as client:
        client.send(settings((4, 100), (4, 1)), long_call(1))
        client.until_sizes(1, [1])
        client.until_pong()
        assert (client.stream(1).sizes, client.acknowledged) == ([1], 2)


def test_an_answer_fills_its_window_byte_by_byte(server: Served) -> None:
    with server.client() as client:
        client.send(settings((4, 0)), long_call(1))
        for number in range(1, 4):
            client.send(window(1, 1))
            client.until_sizes(1, [1] * number)
        client.send(window(1, 2**16))
        assert client.until_told(1).sizes == [1, 1, 1, DATA_BYTES - 3]


def test_a_window_that_shrinks_below_nothing_must_grow_above_it_again(server: Served) -> None:
    with server.client() as client:
        client.send(settings((4, 500)), long_call(1))
        client.until_sizes(1, [500])
        client.send(settings((4, 100)))  # it is -400 now
        client.send(window(1, 400))
        client.until_pong()
        assert client.stream(1).sizes == [500]
        client.send(window(1, 1))
        client.until_sizes(1, [500, 1])
        client.send(settings((4, 1000)))
        assert client.until_told(1).sizes == [500, 1, DATA_BYTES - 501]


def test_a_first_window_that_grows_lets_answers_go_that_wait(server: Served) -> None:
    with server.client() as client:
        client.send(settings((4, 1)), long_call(1), long_call(3))
        for stream in (1, 3):
            client.until_sizes(stream, [1])
        client.send(settings((4, 2000)))
        assert [client.until_told(stream).sizes for stream in (1, 3)] == [[1, DATA_BYTES - 1]] * 2


def test_all_answers_share_the_connections_window_first_come_first_served(server: Served) -> None:
    calls = range(1, 140, 2)
    with server.client() as client:
        client.send(*(long_call(stream) for stream in calls))
        client.until_bytes(65_535)
        done = [stream for stream in calls if sum(client.stream(stream).sizes) == DATA_BYTES]
        assert len(done) == 65535 // DATA_BYTES
        client.send(window(0, 2**20))
        for stream in calls:
            assert sum(client.until_told(stream).sizes) == DATA_BYTES


def test_one_whose_window_is_shut_does_not_keep_others_from_the_connections(server: Served) -> None:
    calls = range(1, 14, 2)
    with server.client() as client:
        client.send(settings((4, 40_000)), *(large_call(stream) for stream in calls))
        client.until_bytes(65_535)
        [first] = [stream for stream, told in client.streams.items() if told.sizes == [LARGE_LEFT]]
        others = {*calls} - {first}
        # All windows go down, and those of the others up again: whoever waits longest has none.
        client.send(*(window(stream, 2**16) for stream in others), settings((4, 0)), window(0, 2**20))
        for stream in others:
            assert sum(client.until_told(stream).sizes) == LARGE_BYTES
        client.send(window(first, 2**16))
        assert sum(client.until_told(first).sizes) == LARGE_BYTES


@pytest.mark.parametrize("given_up_first", [True, False])
def test_a_call_given_up_while_its_answer_waits_leaves_room_to_others(
    server: Served, *, given_up_first: bool
) -> None:
    with server.client() as client:
        client.send(settings((4, 2**20)), *(large_call(stream) for stream in range(1, 14, 2)))
        client.until_bytes(65_535)
        # Both in one read: who waits longest is woken for the room, or isn't there any more.
        [first] = [stream for stream, told in client.streams.items() if told.sizes == [LARGE_LEFT]]
        both = [reset(first), window(0, 2**20)]
        client.send(*(both if given_up_first else both[::-1]))
        for stream in {1, 3, 5, 7, 9, 11, 13} - {first}:
            assert sum(client.until_told(stream).sizes) == LARGE_BYTES


def test_what_was_read_of_a_request_is_room_again(server: Served) -> None:
    with server.client() as client:
        client.send(opened(1))
        client.send(data(1, b"\0" + (3 * 2**20).to_bytes(4) + bytes(16_379), flags=0))
        for _ in range(63):
            client.send(data(1, bytes(16_384), flags=0))
        while WINDOW_UPDATE not in client.kinds[2:]:
            assert client.read()
        client.until_pong()


def test_a_smaller_table_is_acknowledged_in_the_first_block_alone(server: Served) -> None:
    with server.client() as client:
        client.decoder.max_allowed_table_size = 0  # and what doesn't say so is refused
        client.send(settings((1, 0)), asked(1), asked(3))
        blocks = [client.until_told(stream).blocks[0][:1] for stream in (1, 3)]
    assert sorted(blocks) == [b" ", b"\x88"]


def test_a_call_that_ends_before_its_request_does_is_told_to_stop(server: Served) -> None:
    with server.client() as client:
        client.send(opened(1, ASK.replace(b"Ask", b"Non")))
        told = client.until_told(1)
        assert (told.headers["grpc-status"], told.ended) == ("12", True)
        client.send(data(1, bytes(100)), asked(3))
        assert client.until_told(3).headers["grpc-status"] == "0"
        assert told.reset in {None, 0}


def test_a_call_that_is_reset_is_cancelled(server: Served) -> None:
    with server.client() as client:
        client.send(opened(1, HOLD), data(1), opened(3, HOLD), data(3))
        server.until_running(2)
        client.send(reset(1))
        server.until_running(1)
        client.until_pong()
        assert client.streams == {}
