"""On a Ray cluster: one actor a worker, each loads the models once; only Ray's stable core is used.

Ray places the work and nothing else: what is done, and what is to be done again, the work itself knows. An
actor that dies, with its node or without, is replaced, and its item begun again.
"""

import os
import secrets
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_store.errors import StoreError

from ..errors import EnsembleError, InvalidDataError, MemberError
from .executor import Report, Result, Task, Work

ATTEMPTS = 3
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class RayExecutor:
    """`workers` actors that claim `threads` CPUs each, and `gpus` GPUs, which Ray then shows to them alone.

    `address` is that of a running cluster, as Ray takes it; without one, a cluster is started for the job, on
    this machine, that listens on 127.0.0.1 only. Paths must mean the same on every node.
    """

    workers: int
    threads: int = 1
    address: str | None = None
    gpus: int = 0

    def __post_init__(self) -> None:
        """Refuse a crew of nobody."""
        if self.workers < 1 or self.threads < 1:
            raise InvalidDataError(f"workers and threads must be >= 1; got {self.workers}, {self.threads}")

    def run(self, work: Work, items: Iterable[int], report: Report) -> Iterator[Result]:  # noqa: ARG002
        """Give each item's result as it comes; InvalidDataError without Ray, MemberError if actors die.

        Within an item no progress is told: that would be a message of Ray's for each batch.
        """
        waiting = deque(items)
        if not waiting:
            return
        with _cluster(self.address, self.workers * self.threads) as ray:
            crew = _Crew(ray, work, (self.threads, self.gpus), waiting)
            try:
                crew.start(min(self.workers, len(waiting)))
                while crew.asked:
                    yield from crew.results()
            finally:
                crew.end()


class Actor:
    """What runs on the cluster. Made of the work's description; loads when it is first asked."""

    def __init__(self, work: Work, threads: int, folder: str) -> None:
        self._work = work
        self._threads = threads
        self._task: Task | None = None
        # Relative paths mean what they mean where the job was started, if that folder is here too.
        with suppress(OSError):
            os.chdir(folder)

    def do(self, item: int) -> tuple[Result | None, Exception | None]:
        """Do one item; an error of the work comes back as a value, so that only lost actors raise."""
        try:
            self._task = self._task or self._work.start(self._threads)
            return self._task(item, lambda *_: None), None
        except (EnsembleError, StoreError) as error:
            return None, error


class _Crew:
    """The actors, which item each has, and the items that none of them has."""

    def __init__(self, ray: Any, work: Work, claims: tuple[int, int], waiting: deque[int]) -> None:
        threads, gpus = claims
        self._ray = ray
        self._make = ray.remote(Actor).options(num_cpus=threads, num_gpus=gpus)
        self._given = (work, threads, str(Path.cwd()))
        self._waiting = waiting
        self._deaths: Counter[int] = Counter()
        self.asked: dict[Any, tuple[Any, int]] = {}  # a promise -> whose it is, of which item

    def start(self, count: int) -> None:
        """Start `count` actors with an item each."""
        for _ in range(count):
            self._ask(self._make.remote(*self._given))

    def results(self) -> Iterator[Result]:
        """Wait until an actor is done or lost; give what it did."""
        ready, _ = self._ray.wait(list(self.asked), num_returns=1)
        for promise in ready:
            actor, item = self.asked.pop(promise)
            try:
                result, error = self._ray.get(promise)
            except self._ray.exceptions.RayActorError as lost:
                self._replace(item, lost)
                continue
            if error is not None:
                raise error
            self._ask(actor)
            yield result

    def end(self) -> None:
        """End the actors that still have something to do, or wait for a place."""
        for actor, _ in self.asked.values():
            self._ray.kill(actor)

    def _ask(self, actor: Any) -> None:
        """Give an idle actor the next item; without one it ends, when nothing refers to it any more."""
        if self._waiting:
            item = self._waiting.popleft()
            self.asked[actor.do.remote(item)] = (actor, item)

    def _replace(self, item: int, lost: Exception) -> None:
        """Start another actor in the place of a lost one, with the item it had."""
        self._deaths[item] += 1
        if self._deaths[item] >= ATTEMPTS:
            raise MemberError(f"{ATTEMPTS} actors were lost while working on part {item}: {lost}") from lost
        self._waiting.appendleft(item)
        self.start(1)


@contextmanager
def _cluster(address: str | None, cpus: int) -> Iterator[Any]:
    """Give Ray, connected; what was connected before stays so."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    if address is None:
        # A secret of this job's own: whoever else is on the machine can't reach its cluster.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        # Ray takes 127.0.0.1 for "whatever address this machine has", unless it is told that clusters of
        # several machines are not wanted; this is how, on Linux too, until it is imported.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray  # noqa: PLC0415 - an extra, and heavy
    except ImportError:
        raise InvalidDataError("Ray isn't installed: pip install 'unisono[ray]'") from None
    if ray.is_initialized():
        yield ray
        return
    if address is None:
        ray.init(
            address="local",  # not one that happens to run here
            num_cpus=cpus,
            include_dashboard=False,
            log_to_driver=False,
            _node_ip_address=LOOPBACK,
        )
    else:
        ray.init(address=address, log_to_driver=False)
    try:
        yield ray
    finally:
        ray.shutdown()
