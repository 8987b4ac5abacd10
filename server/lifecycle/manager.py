"""Which versions of each ensemble are served: loads, warms and swaps.

A swap replaces one reference, on the event loop. Whoever holds the old servable (a request in the
queue, a batch that runs) goes on with it to the end; when the last of them is done, it is gone.
"""

import asyncio
import logging
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

import numpy as np

from ensemble.errors import MemberError
from ensemble.member import Member, Rows
from ensemble.servable import Servable
from ensemble.signature import ANY_SIZE, Signature
from server.telemetry.refits import RefitFigures

from .memory import trimmer
from .retrying import ABSENT, reason_of

log = logging.getLogger("unisono.lifecycle")

# After a version's last request, its members and what they hold are let go one after another, on whichever
# thread held them: only what is free by then is given back. Twice: batches that run the first time hold some
# between what is free.
GONE_SECS = 1.0, 5.0


class Observer(Protocol):
    """Who is told of versions coming and going. Times are in seconds."""

    def loaded(self, model: str, seconds: float) -> None:
        """A version was read, checked and warmed."""
        ...

    def load_failed(self, model: str, reason: str) -> None:
        """A version could not be taken up; `reason` says in one word why."""
        ...

    def swapped(
        self,
        model: str,
        version: int,
        *,
        weights: Mapping[str, float],
        losses: Mapping[str, float],
        loss: float | None,
        refit: RefitFigures | None,
    ) -> None:
        """`version` answers now who names none."""
        ...

    def serving(self, model: str, versions: Collection[int]) -> None:
        """Exactly these versions of `model` are served now."""
        ...

    def dropped(self, model: str) -> None:
        """No version of `model` is served any more."""
        ...


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load brings: the servable, and the losses that its weights were learned with, nats."""

    servable: Servable
    member_losses: Mapping[str, float]
    loss: float | None
    refit: RefitFigures | None = None  # that made the version, if one did


# Reads one version of one ensemble, using again the members given by digest. Runs on a thread.
Load = Callable[[str, int, Mapping[str, Member]], Loaded]


@dataclass(frozen=True, slots=True)
class ServedVersion:
    """One version that is served, its members as models of their own, and what its load told."""

    servable: Servable
    members: Mapping[str, Servable]
    loaded: Loaded


@dataclass(frozen=True, slots=True)
class Served:
    """The versions of one ensemble that are served; `answers` is the one for who names none."""

    answers: int
    versions: Mapping[int, ServedVersion]

    @property
    def servable(self) -> Servable:
        """The version that answers who names none."""
        return self.versions[self.answers].servable

    @property
    def members(self) -> Mapping[str, Servable]:
        """Its members as models of their own."""
        return self.versions[self.answers].members


class Manager:
    """Holds what is served. Reads and swaps happen on the event loop, loads on a thread."""

    def __init__(self, load: Load, observer: Observer) -> None:
        self._load = load
        self._observer = observer
        self._give_back = trimmer()
        # Called after every change to what is served.
        self.changed: Callable[[], None] = lambda: None
        self._served: dict[str, Served] = {}
        self._loading: dict[str, int] = {}
        self._dropped: set[str] = set()

    @property
    def loading(self) -> Mapping[str, int]:
        """The version of each ensemble that is being loaded now."""
        return self._loading

    @property
    def served(self) -> Mapping[str, Served]:
        """What is served now, by ensemble name."""
        return self._served

    @property
    def dropped(self) -> Collection[str]:
        """The ensembles that are served no more because somebody said so."""
        return self._dropped

    def versions(self, name: str) -> Sequence[int]:
        """Return the versions of `name` that are served, the one that answers first."""
        served = self._served.get(name)
        return () if served is None else (served.answers, *(served.versions.keys() - {served.answers}))

    def absent(self, name: str, version: int) -> Collection[str]:
        """Return the members that a version which is served could not load."""
        served = self._served.get(name)
        found = None if served is None else served.versions.get(version)
        return frozenset() if found is None else found.servable.absent

    def drop(self, name: str) -> None:
        """Serve `name` no more; requests that hold it go on with it to the end."""
        self._dropped.add(name)
        if self._served.pop(name, None) is not None:
            self._observer.dropped(name)
            self.changed()

    async def take_up(self, name: str, version: int, wanted: Sequence[int] = ()) -> None:
        """Load `version` of `name`, then serve it and what else is `wanted`, as `settle` does.

        On any error what was served stays so. Without `wanted` it is served alone. A version that is served
        without some of its members is loaded anew, and taken up if it lacks others now.
        """
        began = perf_counter()
        self._loading[name] = version
        try:
            loaded = await asyncio.to_thread(self._load_and_warm, name, version, self._reusable(name))
        except Exception as error:
            self._observer.load_failed(name, reason_of(error))
            raise
        finally:
            del self._loading[name]
        servable = loaded.servable
        if servable.absent and servable.absent == self.absent(name, version):
            # As before: those in flight, and what is told of the version, needn't change.
            self._observer.load_failed(name, ABSENT)
            return
        loop = asyncio.get_running_loop()
        # Called when the last request that holds the version is done, and so before its memory is free.
        gone = weakref.finalize(servable, _later, loop, self._give_back)
        gone.atexit = False
        alone = {member.name: servable.alone(member) for member in servable.members}
        before = self._served.get(name, Served(version, {}))
        versions = {**before.versions, version: ServedVersion(servable, alone, loaded)}
        self._dropped.discard(name)
        self._observer.loaded(name, perf_counter() - began)
        self._swap(name, Served(before.answers, versions), wanted or (version,))

    def settle(self, name: str, wanted: Sequence[int]) -> None:
        """Serve of `name` what is loaded of `wanted`, and no more; the first answers who names no version.

        While that one isn't loaded, the one that answered before goes on.
        """
        served = self._served.get(name)
        if served is not None:
            self._swap(name, served, wanted)

    def _swap(self, name: str, loaded: Served, wanted: Sequence[int]) -> None:
        """Choose among what is loaded, in one step; tell of what is new."""
        answers = wanted[0] if wanted[0] in loaded.versions else loaded.answers
        versions = {
            number: version
            for number, version in loaded.versions.items()
            if number == answers or number in wanted
        }
        before, after = self._served.get(name), Served(answers, versions)
        if after == before:
            return
        self._served[name] = after
        if before is None or before.servable is not versions[answers].servable:
            self._tell(name, versions[answers].loaded)
        if before is None or before.versions.keys() != versions.keys():
            self._observer.serving(name, frozenset(versions))
        self.changed()

    def _tell(self, name: str, loaded: Loaded) -> None:
        """Tell who observes, and the log, that this version answers now."""
        servable = loaded.servable
        self._observer.swapped(
            name,
            servable.version,
            weights=servable.weights.by_member,
            losses=loaded.member_losses,
            loss=loaded.loss,
            refit=loaded.refit,
        )
        words, rows = _weights_in_words(servable), servable.max_batch_size
        log.info("serving %s version %d: %s; %d rows a batch", name, servable.version, words, rows)

    def _reusable(self, name: str) -> Mapping[str, Member]:
        """Return the members in memory, by digest: of all versions, those of the one that answers first."""
        served = self._served.get(name)
        if served is None:
            return {}
        versions = [*served.versions.values(), served.versions[served.answers]]
        return {
            member.digest: member
            for version in versions
            for member in version.servable.members
            # One that could not be loaded is tried again.
            if member.name not in version.servable.absent
        }

    def _load_and_warm(self, name: str, version: int, reuse: Mapping[str, Member]) -> Loaded:
        loaded = self._load(name, version, reuse)
        # The first batches of a size allocate and so are slow: they shouldn't be a caller's.
        servable = loaded.servable
        known = reuse.keys()
        fresh = [
            each for each in servable.members if each.digest not in known and each.name not in servable.absent
        ]
        for size in warm_up_sizes(servable):
            rows = rows_of_zeros(servable.signature, size)
            for member in fresh:
                member.predict(rows)
            if servable.together is not None:
                # What they can't do together, for want of memory, they do one after another.
                with suppress(MemberError):
                    servable.together.predict(rows)
        self._give_back()
        return loaded


def warm_up_sizes(servable: Servable) -> tuple[int, ...]:
    """Return which batches are run before a version takes traffic: of each allowed size, or of the ends."""
    return servable.batch_sizes or tuple(dict.fromkeys((1, servable.max_batch_size or 1)))


def _later(loop: asyncio.AbstractEventLoop, work: Callable[[], None]) -> None:
    """Have `work` done on a thread of `loop`, each of `GONE_SECS` from now, if the loop still runs then."""

    def begin() -> None:
        with suppress(RuntimeError):
            loop.run_in_executor(None, work)

    with suppress(RuntimeError):
        for secs in GONE_SECS:
            loop.call_soon_threadsafe(loop.call_later, secs, begin)


def rows_of_zeros(signature: Signature, count: int) -> Rows:
    """Make `count` rows that `signature` takes; an axis of any size gets size one."""
    return {
        spec.name: np.zeros(
            (count, *(1 if size == ANY_SIZE else size for size in spec.shape)),
            dtype=object if spec.dtype == "bytes" else spec.dtype,
        )
        for spec in signature.inputs
    }


def _weights_in_words(servable: Servable) -> str:
    by_weight = sorted(servable.weights.by_member.items(), key=lambda item: -item[1])
    return ", ".join(f"{member} {weight:.3f}" for member, weight in by_weight)
