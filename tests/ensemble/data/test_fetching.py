"""Small files of a bucket: how many are fetched ahead, how many at once, and none of them twice."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from threading import Barrier, Lock
from typing import IO

import pytest

from ensemble.data import fetching
from ensemble.data.fetching import Fetcher
from model_store.errors import StoreUnavailableError


@dataclass
class Service:
    """Files of these sizes; counts who reads what. `meeting`: the first so many wait for each other."""

    sizes: Sequence[int]
    meeting: Barrier | None = None
    broken: int | None = None
    asked: list[int] = field(default_factory=list)
    under_way: int = 0
    most: int = 0
    _lock: Lock = field(default_factory=Lock)

    def read(self, number: int) -> bytes:
        with self._lock:
            self.asked.append(number)
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        if self.meeting is not None and number < self.meeting.parties:
            self.meeting.wait(timeout=60)
        with self._lock:
            self.under_way -= 1
        if number == self.broken:
            raise StoreUnavailableError("nobody answers")
        return bytes([number % 256]) * self.sizes[number]


@dataclass
class Object:
    """One file of a service."""

    service: Service
    number: int
    etag: str = ""
    suffix: str = ".png"

    @property
    def name(self) -> str:
        return f"{self.number}.png"

    @property
    def stem(self) -> str:
        return str(self.number)

    @property
    def size(self) -> int:
        return self.service.sizes[self.number]

    def open(self) -> IO[bytes]:
        return BytesIO(self.service.read(self.number))


@contextmanager
def fetcher_of(service: Service) -> Iterator[Fetcher]:
    fetcher = Fetcher([Object(service, number) for number in range(len(service.sizes))])
    try:
        yield fetcher
    finally:
        fetcher.close()


def read(fetcher: Fetcher, row: int) -> bytes:
    with fetcher.open(row) as file:
        return file.read()


def test_files_are_read_in_order_each_asked_for_once() -> None:
    service = Service(range(200))
    with fetcher_of(service) as fetcher:
        assert [read(fetcher, row) for row in range(200)] == [bytes([row]) * row for row in range(200)]
        # A block with a bad row in it is read in parts again.
        assert read(fetcher, 190) == bytes([190]) * 190
    assert sorted(service.asked) == list(range(200))


def test_as_many_are_asked_for_at_once_as_may_be_and_few_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "AT_ONCE", 4)
    monkeypatch.setattr(fetching, "AHEAD", 8)
    # Four wait for each other: with fewer at once none would ever come.
    service = Service([1] * 16, meeting=Barrier(4))
    with fetcher_of(service) as fetcher:
        read(fetcher, 0)
    assert service.most == 4
    assert max(service.asked) < 8


def test_bytes_that_are_held_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "BYTES_AT_MOST", 100)
    service = Service([30] * 20)
    with fetcher_of(service) as fetcher:
        read(fetcher, 0)
        fetcher.close()
        assert set(service.asked) <= {0, 1, 2}
    service = Service([30] * 20)
    with fetcher_of(service) as fetcher:
        assert [len(read(fetcher, row)) for row in range(20)] == [30] * 20
    assert sorted(service.asked) == list(range(20))


def test_a_large_file_is_not_fetched_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "WHOLE_AT_MOST", 10)
    service = Service([5, 5, 11, 5])
    with fetcher_of(service) as fetcher:
        read(fetcher, 0)
        fetcher.close()
        assert 2 not in service.asked
        assert len(read(fetcher, 2)) == 11


def test_what_goes_wrong_is_told_when_its_file_is_opened() -> None:
    with fetcher_of(Service([1, 1, 1], broken=1)) as fetcher:
        read(fetcher, 0)
        with pytest.raises(StoreUnavailableError, match="nobody answers"):
            fetcher.open(1)
        read(fetcher, 2)


def test_once_closed_files_are_still_opened_one_by_one() -> None:
    service = Service([1, 1, 1])
    with fetcher_of(service) as fetcher:
        fetcher.close()
        assert read(fetcher, 1) == b"\1"
    assert service.asked == [1]


def test_what_was_dropped_may_be_closed_in_a_thread_that_fetches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "AHEAD", 1)

    class Collected(Service):
        def read(self, number: int) -> bytes:
            fetcher.close()
            return super().read(number)

    with fetcher_of(Collected([3, 3])) as fetcher:
        assert read(fetcher, 0) == b"\0\0\0"


def test_of_a_single_file_nothing_is_ahead() -> None:
    service = Service([3])
    with fetcher_of(service) as fetcher:
        assert read(fetcher, 0) == b"\0\0\0"
    assert service.asked == [0]
