import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.errors import InvalidRequestError, OverloadedError
from server.batching.batch_queue import BatchLimits, BatchQueue, Ticket

LIMITS = BatchLimits(max_batch_size=8, max_queue_delay=0.5, max_queue_size=20)


def ticket(
    name: str, rows: int, arrived: float = 0.0, deadline: float = 100.0, key: str = "digits 1"
) -> Ticket[str]:
    return Ticket(key, name, rows, arrived, deadline)


def names(tickets: list[Ticket[str]]) -> list[str]:
    return [ticket.item for ticket in tickets]


def test_a_key_may_have_batches_of_its_own_size() -> None:
    queue = BatchQueue[str](LIMITS)
    small = [Ticket("small", name, 2, arrived, 100.0, most=3) for name, arrived in (("a", 0.0), ("b", 0.1))]
    queue.offer(*small)
    queue.offer(ticket("c", rows=4, arrived=0.2), ticket("d", rows=4, arrived=0.3))

    assert queue.parts(7, most=3) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert names(queue.take(0.0)[0]) == ["a"]
    assert names(queue.take(0.2)[0]) == ["c", "d"]
    assert names(queue.take(0.6)[0]) == ["b"]


def test_a_lone_request_is_due_after_the_max_queue_delay() -> None:
    queue = BatchQueue[str](LIMITS)
    assert queue.due_at() is None
    queue.offer(ticket("a", rows=1, arrived=10.0))
    assert queue.due_at() == 10.5


def test_a_full_batch_is_due_at_once() -> None:
    queue = BatchQueue[str](LIMITS)
    queue.offer(ticket("a", rows=5, arrived=10.0))
    queue.offer(ticket("b", rows=5, arrived=10.1))
    assert queue.due_at() == 10.0
    run, late = queue.take(now=10.1)
    assert (names(run), late) == (["a"], [])


def test_nothing_waits_when_no_delay_is_set() -> None:
    queue = BatchQueue[str](BatchLimits())
    queue.offer(ticket("a", rows=1, arrived=10.0))
    assert queue.due_at() == 10.0


def test_taking_from_an_empty_queue_takes_nothing() -> None:
    assert BatchQueue[str](LIMITS).take(now=1.0) == ([], [])


def test_a_request_past_its_deadline_is_not_run() -> None:
    queue = BatchQueue[str](LIMITS)
    queue.offer(ticket("late", rows=4, deadline=1.0))
    queue.offer(ticket("b", rows=8))
    run, late = queue.take(now=1.0)
    assert (names(run), names(late)) == (["b"], ["late"])


def test_too_much_is_refused_and_changes_nothing() -> None:
    queue = BatchQueue[str](LIMITS)
    with pytest.raises(
        InvalidRequestError, match=r"request has 21 rows; the queue holds 20: send fewer rows"
    ):
        queue.offer(ticket("wide", rows=21))
    for name in "ab":
        queue.offer(ticket(name, rows=8))
    with pytest.raises(OverloadedError, match=r"Exceeds maximum queue size: 16 rows wait, 20 may"):
        queue.offer(ticket("c", rows=5))
    queue.offer(ticket("d", rows=4))
    assert queue.rows == 20


def test_a_request_larger_than_a_batch_is_cut_into_as_few_parts_as_can_be() -> None:
    queue = BatchQueue[str](LIMITS)
    assert queue.parts(8) == [slice(0, 8)]
    assert queue.parts(17) == [slice(0, 8), slice(8, 16), slice(16, 17)]
    assert queue.parts(0) == [slice(0, 0)]


def test_all_parts_of_a_request_wait_or_none() -> None:
    queue = BatchQueue[str](LIMITS)
    queue.offer(ticket("a", rows=8))
    with pytest.raises(OverloadedError, match="8 rows wait, 20 may"):
        queue.offer(ticket("b1", rows=8), ticket("b2", rows=5))
    assert queue.rows == 8
    queue.offer(ticket("c1", rows=8), ticket("c2", rows=4))
    assert [names(queue.take(now=1.0)[0]) for _ in range(3)] == [["a"], ["c1"], ["c2"]]


def test_a_ticket_larger_than_a_batch_runs_alone_and_blocks_nobody() -> None:
    queue = BatchQueue[str](LIMITS)
    queue.offer(ticket("wide", rows=9), ticket("b", rows=1))
    assert names(queue.take(now=1.0)[0]) == ["wide"]
    assert names(queue.take(now=1.0)[0]) == ["b"]


def test_two_versions_never_share_a_batch_and_the_longest_wait_goes_first() -> None:
    queue = BatchQueue[str](LIMITS)
    queue.offer(ticket("old", rows=1, arrived=1.0, key="digits 1"))
    queue.offer(ticket("new", rows=1, arrived=2.0, key="digits 2"))
    queue.offer(ticket("old too", rows=1, arrived=3.0, key="digits 1"))
    assert names(queue.take(now=4.0)[0]) == ["old", "old too"]
    assert names(queue.take(now=4.0)[0]) == ["new"]
    assert queue.due_at() is None


def test_a_request_that_is_withdrawn_leaves_room_for_others() -> None:
    queue = BatchQueue[str](LIMITS)
    gone, stays = ticket("gone", rows=8), ticket("stays", rows=8)
    queue.offer(gone)
    queue.offer(stays)
    queue.withdraw(gone)
    queue.withdraw(gone)
    assert queue.rows == 8
    assert names(queue.take(now=0.0)[0]) == ["stays"]
    queue.withdraw(stays)
    assert queue.rows == 0


def test_draining_empties_the_queue() -> None:
    queue = BatchQueue[str](LIMITS)
    queue.offer(ticket("a", rows=8))
    queue.offer(ticket("b", rows=8, key="digits 2"))
    assert names(queue.drain()) == ["a", "b"]
    assert (queue.rows, queue.due_at()) == (0, None)


@given(st.lists(st.tuples(st.integers(1, 8), st.sampled_from("xyz")), min_size=1, max_size=20))
def test_every_request_runs_once_in_order_within_its_key_and_batches_fit(sent: list[tuple[int, str]]) -> None:
    queue = BatchQueue[str](BatchLimits(max_batch_size=8, max_queue_size=1000))
    for index, (rows, key) in enumerate(sent):
        queue.offer(ticket(f"{key}{index}", rows, arrived=float(index), key=key))
    seen: list[str] = []
    while queue.due_at() is not None:
        run, _ = queue.take(now=0.0)
        assert 0 < sum(t.rows for t in run) <= 8
        assert len({t.key for t in run}) == 1
        seen += names(run)
    assert queue.rows == 0
    for key in "xyz":
        expected = [f"{key}{index}" for index, (_, sent_key) in enumerate(sent) if sent_key == key]
        assert [name for name in seen if name[0] == key] == expected
