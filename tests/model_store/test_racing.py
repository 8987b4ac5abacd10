"""Many publish at once: the journal stays dense, each entry has one winner, and each success is in it."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_store.errors import ConflictError
from model_store.journal import Entry
from model_store.store import Store
from tests.model_store.disks import QuickDisk
from tests.model_store.drafts import draft_in, noon
from tests.support.places import store_in


@dataclass
class Publisher:
    """One that publishes a few times, losing some races, and remembers its successes."""

    store: Store
    name: str
    won: list[Entry] = field(default_factory=list)
    lost: int = 0

    def publish(self, times: int) -> None:
        draft = draft_in(self.store)
        for _ in range(times):
            try:
                self.won.append(self.store.publish("digits", draft, by=self.name, why="race"))
            except ConflictError:
                self.lost += 1


def check(store: Store, publishers: list[Publisher]) -> None:
    """Check the journal against what the publishers were told."""
    entries = store.entries("digits")
    told = sorted((entry for publisher in publishers for entry in publisher.won), key=lambda entry: entry.seq)

    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    assert told == entries
    for entry in entries:
        assert store.manifest("digits", entry.version).version == entry.version


def test_racing_threads_share_out_the_entries(tmp_path: Path) -> None:
    publishers = [Publisher(store_in(tmp_path, noon, QuickDisk()), f"p{number}") for number in range(6)]
    threads = [threading.Thread(target=publisher.publish, args=(8,)) for publisher in publishers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    check(store_in(tmp_path, noon), publishers)
    assert sum(len(publisher.won) + publisher.lost for publisher in publishers) == 48
    assert sum(len(publisher.won) for publisher in publishers) >= 8


class TurnDisk(QuickDisk):
    """A disk whose every link waits until it is its publisher's turn."""

    def __init__(self, wait: Callable[[], None]) -> None:
        self._wait = wait

    def link(self, temp: Path, final: Path) -> None:
        self._wait()
        super().link(temp, final)


class Turns:
    """Lets publishers go on one at a time, in the order that a test draws."""

    def __init__(self, count: int) -> None:
        self._ready = [threading.Event() for _ in range(count)]
        self._paused = [threading.Semaphore(0) for _ in range(count)]
        self.done = [False] * count

    def pause(self, who: int) -> None:
        """Called by publisher `who` before each link: say so, and wait for the next turn."""
        self._paused[who].release()
        self._ready[who].wait()
        self._ready[who].clear()

    def finish(self, who: int) -> None:
        """Called by publisher `who` at its end."""
        self.done[who] = True
        self._paused[who].release()

    def first_stop(self, who: int) -> None:
        self._paused[who].acquire()

    def step(self, who: int) -> None:
        """Let publisher `who` go on to its next link, or its end."""
        self._ready[who].set()
        self._paused[who].acquire()


def interleaved(root: Path, order: Iterator[int]) -> list[Publisher]:
    """Run two publishers of two versions each, switching between them before links as `order` says."""
    turns = Turns(2)
    publishers = [
        Publisher(store_in(root, noon, TurnDisk(lambda who=who: turns.pause(who))), f"p{who}")  # type: ignore[misc]
        for who in range(2)
    ]

    def work(who: int) -> None:
        publishers[who].publish(2)
        turns.finish(who)

    threads = [threading.Thread(target=work, args=(who,), daemon=True) for who in range(2)]
    for who, thread in enumerate(threads):
        thread.start()
        turns.first_stop(who)
    while not all(turns.done):
        who = next(order, 0)
        turns.step(who if not turns.done[who] else 1 - who)
    for thread in threads:
        thread.join()
    return publishers


@settings(max_examples=40, deadline=None)
@given(order=st.lists(st.integers(0, 1), max_size=24))
def test_any_interleaving_of_two_publishers_keeps_the_journal(
    tmp_path_factory: pytest.TempPathFactory, order: list[int]
) -> None:
    root = tmp_path_factory.mktemp("store")

    publishers = interleaved(root, iter(order))

    check(store_in(root, noon), publishers)
    # Whoever runs last runs alone at the end, so not everybody can have lost.
    assert sum(len(publisher.won) for publisher in publishers) >= 1
