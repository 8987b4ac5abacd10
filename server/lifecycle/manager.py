"""Which version of each ensemble is served: loads, warms and swaps.

A swap replaces one reference, on the event loop. Whoever holds the old servable (a request in the
queue, a batch that runs) goes on with it to the end; when the last of them is done, it is gone.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

import numpy as np

from ensemble.member import Member, Rows
from ensemble.servable import Servable
from ensemble.signature import ANY_SIZE, Signature
from server.telemetry.refits import RefitFigures

log = logging.getLogger("unisono.lifecycle")


class Observer(Protocol):
    """Who is told of versions coming and going. Times are in seconds."""

    def loaded(self, model: str, seconds: float) -> None:
        """A version was read, checked and warmed."""
        ...

    def load_failed(self, model: str) -> None:
        """A version could not be taken up."""
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
        """`version` is served now."""
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
class Served:
    """The version of one ensemble that is served, and its members as models of their own."""

    servable: Servable
    members: Mapping[str, Servable]


class Manager:
    """Holds what is served. Reads and swaps happen on the event loop, loads on a thread."""

    def __init__(self, load: Load, observer: Observer, *, warm_up_sizes: tuple[int, ...] = (1,)) -> None:
        self._load = load
        self._observer = observer
        self._warm_up_sizes = warm_up_sizes
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

    def drop(self, name: str) -> None:
        """Serve `name` no more; requests that hold it go on with it to the end."""
        self._dropped.add(name)
        if self._served.pop(name, None) is not None:
            self._observer.dropped(name)

    async def take_up(self, name: str, version: int) -> None:
        """Serve `version` of `name` from now on; on any error the one before stays."""
        began = perf_counter()
        before = self._served.get(name)
        reuse = {member.digest: member for member in before.servable.members} if before else {}
        self._loading[name] = version
        try:
            loaded = await asyncio.to_thread(self._load_and_warm, name, version, reuse)
        except Exception:
            self._observer.load_failed(name)
            raise
        finally:
            del self._loading[name]
        servable = loaded.servable
        alone = {member.name: servable.alone(member) for member in servable.members}
        self._served[name] = Served(servable, alone)
        self._dropped.discard(name)
        self._observer.loaded(name, perf_counter() - began)
        self._observer.swapped(
            name,
            version,
            weights=servable.weights.by_member,
            losses=loaded.member_losses,
            loss=loaded.loss,
            refit=loaded.refit,
        )
        log.info("serving %s version %d: %s", name, version, _weights_in_words(servable))

    def _load_and_warm(self, name: str, version: int, reuse: Mapping[str, Member]) -> Loaded:
        loaded = self._load(name, version, reuse)
        # The first batches of a size allocate and so are slow: they shouldn't be a caller's.
        fresh = [member for member in loaded.servable.members if member.digest not in reuse]
        for size in self._warm_up_sizes:
            rows = rows_of_zeros(loaded.servable.signature, size)
            for member in fresh:
                member.predict(rows)
            if loaded.servable.together is not None:
                loaded.servable.together.predict(rows)
        return loaded


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
