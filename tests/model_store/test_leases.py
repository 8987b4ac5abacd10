from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from model_store.errors import ConflictError
from model_store.leases import Leases
from model_store.objects import Found, StillHeld

FOLDER = "ensembles/digits/leases"


@dataclass
class Shelf:
    """Keys with times, on a clock that only the test moves."""

    now: datetime = datetime(2026, 3, 1, tzinfo=UTC)
    keys: dict[str, datetime] = field(default_factory=dict)

    def create(self, key: str, _data: bytes, _role: str) -> bool:
        self.keys[key] = self.now
        return True

    def remove(self, key: str, _role: str) -> None:
        self.keys.pop(key, None)

    def listing(self, folder: str) -> Iterator[Found]:
        assert folder == FOLDER
        return iter([Found(key, 0, modified) for key, modified in self.keys.items()])


@dataclass
class Time:
    """Time that passes when somebody sleeps; `meanwhile` is what happens then."""

    seconds: float = 0.0
    meanwhile: Callable[[], object] = lambda: None

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.meanwhile()

    def leases(self) -> Leases:
        return Leases(term=600, patience=30, ticks=lambda: self.seconds, sleep=self.sleep)


Take = Callable[[Leases, Shelf], AbstractContextManager[StillHeld]]


def publish(leases: Leases, shelf: Shelf) -> AbstractContextManager[StillHeld]:
    return leases.shared(shelf, FOLDER)


def collect(leases: Leases, shelf: Shelf) -> AbstractContextManager[StillHeld]:
    return leases.alone(shelf, FOLDER)


def test_publishers_share_and_leave_nothing() -> None:
    shelf, leases = Shelf(), Time().leases()

    with publish(leases, shelf) as one, publish(leases, shelf) as two:
        one()
        two()
        assert len(shelf.keys) == 2
    assert shelf.keys == {}


@pytest.mark.parametrize(
    ("holds", "wants", "reason"),
    [
        (collect, publish, "garbage is being collected here"),
        (collect, collect, "garbage is being collected here"),
        (publish, collect, "somebody publishes here"),
    ],
)
def test_who_is_excluded_waits_and_then_says_so(holds: Take, wants: Take, reason: str) -> None:
    shelf, time = Shelf(), Time()
    leases = time.leases()

    with holds(leases, shelf):
        held = set(shelf.keys)
        with pytest.raises(ConflictError, match=reason), wants(leases, shelf):
            pytest.fail("both were in")
        assert set(shelf.keys) == held
    assert 30 <= time.seconds < 31
    with wants(leases, shelf):
        pass
    assert shelf.keys == {}


@pytest.mark.parametrize(("holds", "wants"), [(collect, publish), (collect, collect), (publish, collect)])
def test_who_is_excluded_goes_on_when_the_other_is_done(holds: Take, wants: Take) -> None:
    shelf, time = Shelf(), Time()
    leases = time.leases()
    other = holds(leases, shelf)
    other.__enter__()
    time.meanwhile = lambda: other.__exit__(None, None, None) if time.seconds > 5 and shelf.keys else None

    with wants(leases, shelf):
        pass
    assert 5 < time.seconds < 7


@pytest.mark.parametrize("left", ["publish-0", "collect-0"])
def test_the_lease_of_one_who_died_counts_for_its_term_and_is_cleared_away(left: str) -> None:
    shelf, leases = Shelf(), Time().leases()
    shelf.keys[f"{FOLDER}/{left}"] = shelf.now
    shelf.now += timedelta(seconds=599)
    with pytest.raises(ConflictError), collect(leases, shelf):
        pytest.fail("it still counts")

    shelf.now += timedelta(seconds=1)
    with collect(leases, shelf):
        assert f"{FOLDER}/{left}" not in shelf.keys


@pytest.mark.parametrize("take", [publish, collect])
def test_a_holder_that_took_half_the_term_is_sure_no_more(take: Take) -> None:
    shelf, time = Shelf(), Time()

    with take(time.leases(), shelf) as still_held:
        time.seconds = 300
        still_held()
        time.seconds = 300.1
        with pytest.raises(ConflictError, match="this took over 300 s between its check and its end"):
            still_held()


def test_one_who_comes_between_putting_and_looking_is_seen_by_at_least_one() -> None:
    shelf, leases = Shelf(), Time().leases()
    entered: list[str] = []

    class Interrupted(Shelf):
        """Lets a collector put its lease and look, just after the publisher put its own."""

        def listing(self, folder: str) -> Iterator[Found]:
            if not entered:
                entered.append("collector looks")
                with pytest.raises(ConflictError, match="somebody publishes"), collect(leases, self):
                    entered.append("collector is in")
            return super().listing(folder)

    with publish(leases, Interrupted(keys=shelf.keys)):
        entered.append("publisher is in")
    assert entered == ["collector looks", "publisher is in"]


def test_the_clock_goes_on() -> None:
    leases = replace(Leases(), sleep=lambda _: None)

    assert leases.ticks() <= leases.ticks()
