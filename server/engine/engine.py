"""Runs one batch on the members of one servable, off the event loop, and pools their scores."""

import asyncio
import logging
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from time import perf_counter
from typing import Protocol
from weakref import WeakKeyDictionary

import numpy as np

from ensemble.errors import MemberError
from ensemble.member import Member, Room, Rows, Scores, Together, row_count
from ensemble.padding import cut, padded_size
from ensemble.servable import Scored, Servable

from .agreement import Agreement, agreement
from .brevity import Brevity
from .priority import behind_the_loop

log = logging.getLogger("unisono.engine")

# Members that weigh nothing answer nobody, but whether they would agree is worth knowing:
# they are asked for one compared batch in this many, after its callers have their answers.
SILENT_MEMBERS_EVERY = 16
# Members that run together can't be timed: for one batch in this many they run one after another.
APART_EVERY = 64
# Comparing a lone row costs more than a small member: once in so many seconds says enough about drift.
COMPARE_EVERY_SECS = 0.01


class Observer(Protocol):
    """Who is told of what the engine did. Times are in seconds."""

    def computed(self, model: str, seconds: float, by_member: Mapping[str, float]) -> None:
        """A batch took `seconds` in all, and so long in each member."""
        ...

    def member_failed(self, model: str, member: str) -> None:
        """`member` could not score a batch."""
        ...

    def degraded(self, model: str, missing: Collection[str]) -> None:
        """A batch was answered without these members."""
        ...

    def agreed(self, model: str, by_member: Mapping[str, Agreement]) -> None:
        """How far each member's scores for a batch were from the ensemble's."""
        ...


class Engine:
    """The threads that compute. `threads` is how many batches may run at once.

    At least `quorum` voters have to answer, 0: all; the weights that were learned without the others make up
    for these. Of the batches that follow each other closer than `compare_every_secs`, only some are compared.
    """

    def __init__(
        self,
        observer: Observer,
        *,
        threads: int = 1,
        quorum: int = 0,
        compare_every_secs: float = COMPARE_EVERY_SECS,
    ) -> None:
        self._quorum = quorum
        self._observer = observer
        self._compare_every_secs = compare_every_secs
        self._compared_at = float("-inf")
        self._compared = 0
        # By servable's name: how members that run together share the time, when they last ran apart.
        self._shares: dict[str, Mapping[str, float]] = {}
        # How many rows there is memory for, where members run together.
        self._rooms: WeakKeyDictionary[Servable, Room] = WeakKeyDictionary()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="engine", initializer=behind_the_loop)
        self._batches = 0
        self._brevity = Brevity()

    def brief(self, servable: Servable, rows: int, alone: bool) -> bool:
        """Whether a batch of so many rows, perhaps of the only caller, is one to `run_here`."""
        return self._brevity.brief(servable, padded_size(rows, servable.batch_sizes), alone=alone)

    async def run(self, servable: Servable, rows: Rows, count: int) -> Scored:
        """Score `rows` with the voters of `servable` and pool; raise `MemberError` if too many fail.

        Rows behind the first `count` only fill the batch up: nobody hears of their scores.
        """
        loop = asyncio.get_running_loop()
        scored = await loop.run_in_executor(self._threads, self._score, servable, rows)
        return self._told(servable, rows, count, scored)

    async def run_here(self, servable: Servable, rows: Rows, count: int) -> Scored:
        """Do as `run` without giving up the event loop."""
        return self._told(servable, rows, count, self._score(servable, rows))

    def _told(self, servable: Servable, rows: Rows, count: int, scored: Scored) -> Scored:
        """Return the scores of the first rows; those of some batches are compared, by and by."""
        now = asyncio.get_running_loop().time()
        if count < row_count(rows):
            rows, scored = cut(rows, slice(count)), _first(scored, count)
        if now - self._compared_at >= self._compare_every_secs:
            self._compared_at = now
            # The callers don't wait for this: it runs behind the batch, on the same threads.
            self._threads.submit(self._compare, servable, rows, scored)
        return scored

    def close(self) -> None:
        """End the threads, once what they run is done."""
        self._threads.shutdown()

    def _score(self, servable: Servable, rows: Rows) -> Scored:
        began = perf_counter()
        self._batches += 1
        by_member: dict[str, Scores] = {}
        shared: dict[str, float] = {}
        shares = self._shares_together(servable, row_count(rows))
        if servable.together is not None and shares:
            by_member, shared = self._run_together(servable, servable.together, rows, shares)
        seconds: dict[str, float] = {}
        missing = self._ask(servable, rows, by_member, seconds)
        if shares and not shared and not missing:
            self._note_short(servable, row_count(rows))
        if servable.together is not None and not shared and servable.together.names <= seconds.keys():
            self._shares[servable.name] = {name: seconds[name] for name in servable.together.names}
        pool = servable.pool
        if missing:
            pool = servable.pool_without(missing)
            self._observer.degraded(servable.name, missing)
        # In the members' own order, however they ran; others may weigh something now.
        used = [member for member in servable.members if pool.weights.by_member[member.name] > 0]
        for member in used:
            if member.name not in by_member:
                by_member[member.name] = self._timed(servable, member, rows, seconds)
        by_member = {member.name: by_member[member.name] for member in used}
        scores = pool(by_member)
        spent = perf_counter() - began
        self._brevity.note(servable, row_count(rows), spent)
        self._observer.computed(servable.name, spent, seconds)
        took = seconds | shared
        return Scored(scores, by_member, {name: took[name] for name in by_member}, missing)

    def _shares_together(self, servable: Servable, count: int) -> Mapping[str, float]:
        """Return how members share the time of a batch of so many rows; none: they run one after another."""
        if servable.together is None or not self._batches % APART_EVERY:
            return {}
        # Until they have been timed, nothing is known.
        shares, room = self._shares.get(servable.name, {}), self._rooms.get(servable)
        fits = room is None or room.has(count)
        return shares if fits and shares.keys() == servable.together.names else {}

    def _note_short(self, servable: Servable, count: int) -> None:
        """Remember that members failed together on a batch that each of them took."""
        room = self._rooms.setdefault(servable, Room())
        room.was_short(count)
        log.warning(
            "members of %s version %s failed together on %d rows, and not one after another: larger batches"
            " than %d are no longer asked of them together",
            servable.name,
            servable.version,
            count,
            room.most,
        )

    def _ask(
        self, servable: Servable, rows: Rows, by_member: dict[str, Scores], seconds: dict[str, float]
    ) -> frozenset[str]:
        """Ask the voters that aren't in `by_member` yet; return those that failed, if enough are left."""
        missing: set[str] = set()
        voters = servable.voters
        least = min(self._quorum or len(voters), len(voters))
        for member in voters:
            if member.name in servable.absent:
                missing.add(member.name)
            elif member.name not in by_member:
                try:
                    by_member[member.name] = self._timed(servable, member, rows, seconds)
                except MemberError:
                    if len(voters) - len(missing) - 1 < max(least, 1):
                        raise
                    missing.add(member.name)
        if len(missing) == len(voters):
            raise MemberError(
                f"in ensemble '{servable.name}', no member is there to answer: {sorted(missing)}"
            )
        return frozenset(missing)

    def _timed(self, servable: Servable, member: Member, rows: Rows, seconds: dict[str, float]) -> Scores:
        start = perf_counter()
        scores = self._predict(servable, member, rows)
        seconds[member.name] = perf_counter() - start
        return scores

    def _run_together(
        self, servable: Servable, together: Together, rows: Rows, shares: Mapping[str, float]
    ) -> tuple[dict[str, Scores], dict[str, float]]:
        """Return the scores and share of the time of members that run together; of none, if they fail."""
        start, total = perf_counter(), sum(shares.values())
        try:
            by_member = dict(together.predict(rows))
            for scores in by_member.values():
                check_scores(scores, (row_count(rows), len(servable.classes)))
        except Exception:  # noqa: BLE001 - asked one after another, the one whose fault it is says so itself
            return {}, {}
        spent = perf_counter() - start
        return by_member, {name: spent * share / total for name, share in shares.items()}

    def _predict(self, servable: Servable, member: Member, rows: Rows) -> Scores:
        try:
            scores = member.predict(rows)
            check_scores(scores, (row_count(rows), len(servable.classes)))
        except Exception as error:
            self._observer.member_failed(servable.name, member.name)
            log.exception("member %s of %s version %s failed", member.name, servable.name, servable.version)
            # The caller hears which member it was; what went wrong inside stays in the log.
            raise MemberError(f"in ensemble '{servable.name}', member '{member.name}' failed") from error
        return scores

    def _compare(self, servable: Servable, rows: Rows, scored: Scored) -> None:
        """Tell how each member agrees with the ensemble; an error here harms no caller, so it is logged."""
        by_member = dict(scored.by_member)
        try:
            if self._compared % SILENT_MEMBERS_EVERY == 0:
                for member in servable.silent:
                    if member.name in servable.absent:
                        continue
                    by_member[member.name] = self._predict(servable, member, rows)
            self._compared += 1
            if len(servable.members) > 1:
                self._observer.agreed(servable.name, agreement(by_member, scored.scores, servable.truth))
        except Exception:
            log.exception("could not compare the members of %s version %s", servable.name, servable.version)


def _first(scored: Scored, count: int) -> Scored:
    """Return the scores of the first rows alone, uncopied."""
    by_member = {name: scores[:count] for name, scores in scored.by_member.items()}
    return replace(scored, scores=scored.scores[:count], by_member=by_member)


def check_scores(scores: Scores, expected: tuple[int, int]) -> None:
    """Refuse scores that would spoil the average of every row: wrong shape, or not finite."""
    if scores.shape != expected:
        raise MemberError(f"scores have shape {scores.shape}; expected {expected}")
    if not np.isfinite(scores).all():
        raise MemberError(
            f"{int((~np.isfinite(scores)).any(axis=1).sum())} rows have scores that are not finite"
        )
