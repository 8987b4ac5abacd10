"""Two stages of a pipeline side by side: one makes what comes next while the other is at what it has."""

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Generator[T], most: int) -> Generator[T]:
    """Give `items` in order, made by a thread of their own, up to `most` of them before they are asked for.

    What they raise is raised here, in its place. Whoever stops early waits for the item that is being made;
    then `items` is closed.
    """
    end = object()
    with closing(items), ThreadPoolExecutor(1) as thread:
        made: deque[Future[object]] = deque(thread.submit(next, items, end) for _ in range(most))
        try:
            while (item := made.popleft().result()) is not end:
                made.append(thread.submit(next, items, end))
                yield item  # type: ignore[misc]
        finally:
            thread.shutdown(cancel_futures=True)
