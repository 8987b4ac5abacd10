"""Processes race to publish and are killed at random; what each was told is held against the journal.

The history is checked against the simplest model there is, a list to which one appends: each publish took
effect once, at one moment between its first question and its answer.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from model_store.store import Store
from model_store.verify import verify
from tests.model_store.drafts import draft_in
from tests.model_store.places import BucketPlace
from tests.support import publish_often
from tests.support.figures import report
from tests.support.publish_often import lines

# How long a publisher lives at most, at first; it starts in about half of that. Lives grow
# with each death, so that all come to an end on a slow machine too.
LONGEST_LIFE_SECS = 0.15
GROWTH = 1.02


@dataclass
class Race:
    """Publishers, each killed at random and run again until all its publishes are through."""

    folder: Path
    publishers: int
    times: int
    seed: int
    # Where to publish. Processes that reach a bucket start more slowly, and so live longer.
    address: str = ""
    longest_life: float = LONGEST_LIFE_SECS
    kills: int = 0
    running: dict[int, subprocess.Popen[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.address = self.address or str(self.root)

    @property
    def root(self) -> Path:
        return self.folder / "store"

    def history(self, who: int) -> Path:
        return self.folder / f"history-{who}"

    def run(self) -> None:
        """Run to the end."""
        chance = random.Random(self.seed)  # noqa: S311 - a seed that a failing test prints
        try:
            for who in range(self.publishers):
                self.start(who)
            while self.running:
                self.step(chance)
        finally:
            for process in self.running.values():
                process.kill()
                process.communicate()

    def step(self, chance: random.Random) -> None:
        """Let one publisher run a while; if it hasn't ended by then, kill it and start it again."""
        who = chance.choice(sorted(self.running))
        process, longest = self.running[who], self.longest_life * GROWTH**self.kills
        try:
            _, errors = process.communicate(timeout=chance.uniform(0, longest))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            self.kills += 1
            self.start(who)
        else:
            assert process.returncode == 0, errors
            del self.running[who]

    def start(self, who: int) -> None:
        """Start or restart a publisher."""
        words = [self.address, str(who), str(self.times), str(self.history(who))]
        # Without site-packages it starts in no time; a bucket's library is in there.
        flags = ["-B"] if "://" in self.address else ["-S", "-E", "-B"]
        self.running[who] = subprocess.Popen(
            [sys.executable, *flags, "-m", publish_often.__name__, *words],
            stderr=subprocess.PIPE,
            text=True,
        )


@dataclass
class Told:
    """One publish as its publisher saw it: first asked, told, and which entry it was told of."""

    publish_id: str
    asked: int
    told: int
    seq: int
    head: int


def read_history(race: Race) -> list[Told]:
    """Return every publish that its publisher was told of."""
    found = []
    for who in range(race.publishers):
        asked: dict[str, int] = {}
        for line in lines(race.history(who)):
            if "seq" in line:
                publish_id = str(line["id"])
                found.append(Told(publish_id, asked[publish_id], line["at"], line["seq"], line["head"]))
            elif "id" in line:
                asked.setdefault(str(line["id"]), line["at"])
    return found


def check(race: Race) -> int:
    """Check the journal and the history; return how many publishes were told."""
    store = Store.open(race.address)
    entries, history = store.entries("digits"), read_history(race)

    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    # Each publish has one entry, and each entry is one publish: none was lost, none happened twice.
    assert sorted(str(entry.publish_id) for entry in entries) == sorted(
        f"p{who}-{number}" for who in range(race.publishers) for number in range(race.times)
    )
    ids = {entry.publish_id: entry for entry in entries}
    for told in history:
        assert ids[told.publish_id].seq == told.seq <= told.head
    for entry in entries:
        manifest = store.manifest("digits", entry.version)
        assert store.weights(manifest)["forest"] == (1 + int(entry.by)) / 16
    check_order(history)
    assert verify(store.layout("digits")).findings == []
    return len(history)


def check_order(history: list[Told]) -> None:
    """Check that no publish that was told before another was asked for comes after it in the journal."""
    newest, told_by_time = 0, sorted(history, key=lambda one: one.told)
    waiting = iter(told_by_time)
    done = next(waiting, None)
    for one in sorted(history, key=lambda one: one.asked):
        while done is not None and done.told < one.asked:
            newest, done = max(newest, done.head), next(waiting, None)
        assert one.seq > newest, f"{one} was asked for when the journal was at {newest}"


def run(race: Race) -> str:
    """Run and check a race; return the figure to report."""
    race.run()
    told = check(race)
    lost = sum("lost" in line for who in range(race.publishers) for line in lines(race.history(who)))
    return (
        f"{race.publishers} processes x {race.times} publishes, {race.kills} killed, {lost} races lost: "
        f"{told} told and all in a dense journal, each once (seed {race.seed})"
    )


def test_racing_and_dying_processes_share_out_the_entries(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    race = Race(tmp_path, publishers=4, times=5, seed=random.SystemRandom().randrange(10**6))

    report(pytestconfig, "sample: " + run(race))


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("UNISONO_PROOF") != "whole", reason="a minute of it; `make proof` runs it")
def test_eight_racing_and_dying_processes_share_out_the_entries(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    race = Race(tmp_path, publishers=8, times=25, seed=random.SystemRandom().randrange(10**6))

    report(pytestconfig, "proof: " + run(race))


def in_bucket(place: BucketPlace, folder: Path, *, publishers: int, times: int) -> Race:
    """A race in a bucket behind a real S3 API; the environment says where that is."""
    seed = random.SystemRandom().randrange(10**6)
    return Race(folder, publishers, times, seed, place.bucket.address, longest_life=1.2)


def test_racing_and_dying_processes_share_out_the_entries_of_a_bucket(
    in_s3: BucketPlace, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    race = in_bucket(in_s3, tmp_path, publishers=3, times=4)

    report(pytestconfig, "sample, S3: " + run(race))


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("UNISONO_PROOF") != "whole", reason="some minutes; `make proof` runs it")
def test_eight_racing_and_dying_processes_share_out_the_entries_of_a_bucket(
    in_s3: BucketPlace, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    race = in_bucket(in_s3, tmp_path, publishers=8, times=25)

    report(pytestconfig, "proof, S3: " + run(race))


def in_order(*seqs: tuple[int, int, int]) -> list[Told]:
    return [Told(f"p-{asked}", asked, told, seq, seq) for asked, told, seq in seqs]


@pytest.mark.parametrize("lie", [in_order((1, 2, 2), (3, 4, 1)), in_order((1, 5, 3), (2, 3, 2), (4, 6, 1))])
def test_the_check_of_the_order_can_fail(lie: list[Told]) -> None:
    check_order(in_order((1, 4, 2), (2, 3, 1), (5, 6, 3)))

    with pytest.raises(AssertionError, match="was asked for when the journal was at 2"):
        check_order(lie)


def lose_an_entry(race: Race) -> None:
    (race.root / "ensembles" / "digits" / "journal" / f"{2:020d}.json").unlink()


def tell_of_another_entry(race: Race) -> None:
    told = [{"id": "p0-0", "at": 1}, {"id": "p0-0", "seq": 2, "head": 2, "at": 2}]
    race.history(0).write_text("".join(json.dumps(line) + "\n" for line in told))


@pytest.mark.parametrize("spoil", [lose_an_entry, tell_of_another_entry])
def test_the_check_of_the_journal_can_fail(tmp_path: Path, spoil: Callable[[Race], None]) -> None:
    race = Race(tmp_path, publishers=1, times=2, seed=0)
    store = Store.open(str(race.root))
    draft = draft_in(store, weights={"forest": 1 / 16, "sepconv": 15 / 16})
    for number in range(2):
        store.publish("digits", draft, by="0", why="race", publish_id=f"p0-{number}")
    assert check(race) == 0

    spoil(race)
    with pytest.raises(AssertionError):
        check(race)
