"""Which runtime executes a member, and on how many threads: decided by measuring on this machine.

ONNX Runtime is the reference. Another one is taken only if its scores are the reference's but for rounding,
and if it takes clearly less time at the batch sizes that matter. `opening` keeps the decision.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import exp, log
from typing import Any, NamedTuple, Self

from ..errors import InvalidModelError, MemberError
from ..member import Rows, Scores
from .sample import random_rows
from .source import Found, OpenedMember
from .trial import TRIAL_ROWS, distance, least_seconds

REFERENCE = "onnxruntime"
TIMED_SIZES = (1, 16)
# How far another runtime's scores may be from the reference's; absolute for scores up to 1, relative above.
TOLERANCE = 1e-5
# Another runtime must take at most this much of the reference's time. Members of the reference can be merged,
# which is worth some of it.
WORTH = 0.8
# So much longer may fewer threads take, since they leave cores to the rest of the server.
THREAD_WORTH = 1.05


class Plan(NamedTuple):
    """A way to open a member: on which runtime, and how many threads may work on one batch."""

    runtime: str
    threads: int

    def __str__(self) -> str:
        """Say it in words."""
        return f"{self.runtime} on {self.threads} thread{'' if self.threads == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a plan came to: seconds by batch size; or why it is out of the question."""

    plan: Plan
    seconds: Mapping[int, float] = field(default_factory=dict)
    max_error: float = 0.0  # the most that a score is from the reference's
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """The plan that a member gets, what was found out about it, and what every plan did."""

    plan: Plan
    found: Found
    candidates: tuple[Candidate, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the form that is kept."""
        return {
            **self.plan._asdict(),
            "found": self.found,
            "candidates": [
                tried.plan._asdict()
                | {"seconds": dict(tried.seconds), "max_error": tried.max_error, "refused": tried.refused}
                for tried in self.candidates
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        candidates = (
            Candidate(
                _plan(tried),
                {int(size): float(seconds) for size, seconds in tried["seconds"].items()},
                float(tried["max_error"]),
                str(tried["refused"]),
            )
            for tried in data["candidates"]
        )
        return cls(_plan(data), dict(data["found"]), tuple(candidates))


def compare(opens: Mapping[Plan, Callable[[], OpenedMember]]) -> tuple[Choice, OpenedMember]:
    """Open a member by every plan and choose; raise what the first one, the reference, raises."""
    (first, open_first), *others = opens.items()
    reference = open_first()
    if not others:
        return Choice(first, reference.found), reference
    try:
        rows = random_rows(reference.signature, TRIAL_ROWS)
        expected = reference.predict(rows)
    except (InvalidModelError, MemberError) as error:
        # Without rows to try, nothing can be said for another plan.
        return Choice(
            first, reference.found, (Candidate(first, refused=f"not measured: {error}"),)
        ), reference
    members: dict[Plan, OpenedMember] = {first: reference}
    candidates: dict[Plan, Candidate] = {first: Candidate(first)}
    for plan, open_by in others:
        if plan.runtime == first.runtime and reference.found.get("pinned"):
            continue  # It runs on one thread whatever is asked for.
        candidates[plan], member = _tried(plan, open_by, rows, expected)
        if member is not None:
            members[plan] = member
    seconds = _seconds(members)
    for plan, by_size in seconds.items():
        candidates[plan] = replace(candidates[plan], seconds=by_size)
    chosen = fastest(seconds)
    return Choice(chosen, members[chosen].found, tuple(candidates.values())), members[chosen]


def _tried(
    plan: Plan, open_by: Callable[[], OpenedMember], rows: Rows, expected: Scores
) -> tuple[Candidate, OpenedMember | None]:
    """Open a member by `plan`; if it can't be, or its scores aren't `expected`, there is none."""
    try:
        member = open_by()
        apart = distance(member.predict(rows), expected)
    except (InvalidModelError, MemberError) as error:
        return Candidate(plan, refused=str(error)), None
    if apart > TOLERANCE:
        text = f"scores are {apart:.3g} from {REFERENCE}'s; {TOLERANCE:g} may be"
        return Candidate(plan, max_error=apart, refused=text), None
    return Candidate(plan, max_error=apart), member


def fastest(seconds: Mapping[Plan, Mapping[int, float]]) -> Plan:
    """Return the best plan of the first one's runtime, or that of another whose time is worth a change.

    Compared by the geometric mean over batch sizes: a size counts alike however long it takes.
    """
    first = next(iter(seconds))
    times = {
        plan: exp(sum(log(taken / seconds[first][size]) for size, taken in by_size.items()) / len(by_size))
        for plan, by_size in seconds.items()
    }
    best = {
        runtime: _leanest({plan: took for plan, took in times.items() if plan.runtime == runtime})
        for runtime in dict.fromkeys(plan.runtime for plan in times)
    }
    reference = best[first.runtime]
    quickest = min(best.values(), key=times.__getitem__)
    return quickest if times[quickest] <= WORTH * times[reference] else reference


def _leanest(times: Mapping[Plan, float]) -> Plan:
    """Return the plan of fewest threads that takes hardly longer than the quickest."""
    enough = min(times.values()) * THREAD_WORTH
    return min((plan for plan, took in times.items() if took <= enough), key=lambda plan: plan.threads)


def _seconds(members: Mapping[Plan, OpenedMember]) -> dict[Plan, dict[int, float]]:
    found: dict[Plan, dict[int, float]] = {plan: {} for plan in members}
    signature = next(iter(members.values())).signature
    for size in TIMED_SIZES:
        rows = random_rows(signature, size)
        works: Sequence[Callable[[], object]] = [
            lambda member=member: member.predict(rows)  # type: ignore[misc] # noqa: B023 - called at once
            for member in members.values()
        ]
        for plan, seconds in zip(members, least_seconds(*works), strict=True):
            found[plan][size] = seconds
    return found


def _plan(data: Mapping[str, Any]) -> Plan:
    return Plan(str(data["runtime"]), int(data["threads"]))
