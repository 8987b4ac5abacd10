"""Constant load on a server, to see that a new version is taken up without losing a request."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock, Thread

from ensemble.errors import EnsembleError
from ensemble.member import Rows
from server.wire.client import Client

PAUSE_SECONDS = 0.05


@dataclass(slots=True)
class Tally:
    """What the callers met: how often each answer (version, bytes of the scores), and texts of failures."""

    answers: Counter[tuple[int, bytes]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    @property
    def by_version(self) -> Counter[int]:
        """How many answers each version gave."""
        counted: Counter[int] = Counter()
        with self.lock:
            for (version, _), count in self.answers.items():
                counted[version] += count
        return counted


@contextmanager
def calling(address: str, model: str, rows: Rows, callers: int) -> Iterator[Tally]:
    """Have `callers` threads ask for `rows` over and over while the block runs."""
    tally, stop = Tally(), Event()
    threads = [Thread(target=_call, args=(address, model, rows, tally, stop)) for _ in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield tally
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _call(address: str, model: str, rows: Rows, tally: Tally, stop: Event) -> None:
    with Client(address) as client:
        while not stop.is_set():
            try:
                answer = client.infer(model, rows)
            except EnsembleError as error:
                with tally.lock:
                    tally.failures.append(str(error))
                # A caller that was refused gives the server a moment, as every client should.
                stop.wait(PAUSE_SECONDS)
            else:
                with tally.lock:
                    tally.answers[answer.version, answer.scores.tobytes()] += 1
