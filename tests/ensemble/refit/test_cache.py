from pathlib import Path

import numpy as np
import pytest

from ensemble.errors import MemberError
from ensemble.member import Member, Rows, Scores
from ensemble.refit.cache import ScoresCache
from ensemble.refit.predictions import predict_all
from tests.support.members import Constant, servable

from .data import InMemory, World, Written

SCORES = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)


@pytest.fixture(name="cache")
def fixture_cache(tmp_path: Path) -> ScoresCache:
    return ScoresCache(tmp_path / "cache")


def keep(cache: ScoresCache, member: str = "m1", data: str = "d1") -> None:
    with cache.filling(member, data, (2, 2)) as scores:
        scores[:] = SCORES


class Counted:
    """A member that counts the rows it was asked for."""

    def __init__(self, inner: Member) -> None:
        self.inner = inner
        self.name, self.digest, self.signature = inner.name, inner.digest, inner.signature
        self.asked = 0

    def predict(self, rows: Rows) -> Scores:
        self.asked += len(rows["x"])
        return self.inner.predict(rows)


def test_what_was_written_is_found(cache: ScoresCache) -> None:
    keep(cache)
    found = cache.find("m1", "d1", (2, 2))
    assert isinstance(found, np.memmap)
    assert found.tolist() == SCORES.tolist()


def test_scores_are_kept_by_member_and_data(cache: ScoresCache) -> None:
    keep(cache)
    assert cache.find("m2", "d1", (2, 2)) is None
    assert cache.find("m1", "d2", (2, 2)) is None


def test_scores_of_another_shape_count_as_absent(cache: ScoresCache) -> None:
    keep(cache)
    assert cache.find("m1", "d1", (3, 2)) is None


@pytest.mark.parametrize("damage", [b"", b"not an array", None])
def test_a_damaged_file_counts_as_absent(cache: ScoresCache, damage: bytes | None) -> None:
    keep(cache)
    path = cache.folder / "d1" / "m1.npy"
    path.write_bytes(path.read_bytes()[:-4] if damage is None else damage)
    assert cache.find("m1", "d1", (2, 2)) is None


def test_scores_that_were_cut_short_leave_nothing_behind(cache: ScoresCache) -> None:
    def cut_short() -> None:
        with cache.filling("m1", "d1", (2, 2)) as scores:
            scores[0] = 1
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - any will do
        cut_short()
    assert cache.find("m1", "d1", (2, 2)) is None
    assert list((cache.folder / "d1").iterdir()) == []


def test_a_second_prediction_asks_no_member_and_says_the_same(cache: ScoresCache) -> None:
    world = World()
    members = [Counted(member) for member in world.members()]
    first = predict_all(servable(*members), world.data(), cache=cache)
    assert [member.asked for member in members] == [60, 60, 60]
    second = predict_all(servable(*members), world.data(), cache=cache)
    assert [member.asked for member in members] == [60, 60, 60]
    assert second.labels.tolist() == first.labels.tolist()
    np.testing.assert_array_equal(second.true_class_scores(), first.true_class_scores())


def test_an_added_member_is_the_only_one_asked(cache: ScoresCache) -> None:
    world = World()
    members = [Counted(member) for member in world.members()]
    predict_all(servable(*members), world.data(), cache=cache)
    added = Counted(Constant("added"))
    found = predict_all(servable(*members, added), world.data(), cache=cache)
    assert [member.asked for member in (*members, added)] == [60, 60, 60, 60]
    assert found.members == ("blunt", "fair", "sharp", "added")


def test_scores_of_a_member_that_fails_are_not_kept(cache: ScoresCache) -> None:
    broken = Written("broken", np.full((2, 3), np.nan))
    with pytest.raises(MemberError):
        predict_all(servable(broken), InMemory([0, 1]), cache=cache)
    assert cache.find(broken.digest, InMemory([0, 1]).digest, (2, 3)) is None
