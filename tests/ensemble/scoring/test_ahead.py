from collections.abc import Generator
from threading import Event, current_thread, main_thread
from typing import Any

import pytest

from ensemble.scoring.ahead import ahead


def test_items_come_in_order_from_a_thread_of_their_own() -> None:
    threads: list[Any] = []

    def items() -> Generator[int]:
        for item in range(100):
            threads.append(current_thread())
            yield item

    assert list(ahead(items(), 3)) == list(range(100))
    assert len(set(threads)) == 1
    assert main_thread() not in threads


def test_what_comes_next_is_made_before_it_is_asked_for_and_no_more_than_that() -> None:
    made = [Event() for _ in range(10)]

    def items() -> Generator[int]:
        for item, event in enumerate(made):
            event.set()
            yield item

    running = ahead(items(), 2)
    assert next(running) == 0
    assert made[2].wait(30)
    running.close()
    assert [event.is_set() for event in made] == [True] * 3 + [False] * 7


def test_an_error_comes_where_the_item_would_have() -> None:
    def items() -> Generator[int]:
        yield 1
        raise ZeroDivisionError("the third")

    running = ahead(items(), 5)
    assert next(running) == 1
    with pytest.raises(ZeroDivisionError, match="the third"):
        next(running)
    assert list(running) == []


def test_whoever_stops_early_has_the_items_closed_once_none_is_being_made() -> None:
    closed: list[bool] = []

    def items() -> Generator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.append(True)

    inner = ahead(items(), 1)
    running = ahead(inner, 1)
    next(running)
    running.close()
    assert closed == [True]


def test_one_that_is_never_asked_starts_nothing() -> None:
    made: list[int] = []

    def items() -> Generator[int]:
        made.append(1)
        yield 1

    ahead(items(), 2).close()
    assert made == []
