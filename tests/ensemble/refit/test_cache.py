from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ensemble.data.dataset import Chunk
from ensemble.errors import InvalidDataError, MemberError
from ensemble.member import Member, Rows, Scores
from ensemble.refit.cache import ScoresCache, Shard, Sharder, Sheet
from ensemble.refit.predictions import predict_all
from tests.support.members import Constant, servable

from .data import InMemory, World, Written

SCORES = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)


@pytest.fixture(name="cache")
def fixture_cache(tmp_path: Path) -> ScoresCache:
    return ScoresCache(tmp_path / "cache")


def keep(cache: ScoresCache, member: str = "m1", shard: str = "s1") -> None:
    with cache.filling(member, shard, (2, 2)) as scores:
        scores[:] = SCORES


class Counted:
    """A member that counts the rows it was asked for."""

    def __init__(self, inner: Member) -> None:
        self.inner = inner
        self.name, self.digest, self.signature = inner.name, inner.digest, inner.signature
        self.runtime, self.asked = inner.runtime, 0

    def predict(self, rows: Rows) -> Scores:
        self.asked += len(rows["x"])
        return self.inner.predict(rows)


def test_what_was_written_is_found(cache: ScoresCache) -> None:
    keep(cache)
    assert cache.has("m1", "s1", (2, 2))
    assert cache.sheet("m1", [Shard(0, 2, "s1")], 2)[:].tolist() == SCORES.tolist()


def test_scores_are_kept_by_member_and_shard(cache: ScoresCache) -> None:
    keep(cache)
    assert not cache.has("m2", "s1", (2, 2))
    assert not cache.has("m1", "s2", (2, 2))


def test_scores_of_another_shape_count_as_absent(cache: ScoresCache) -> None:
    keep(cache)
    assert not cache.has("m1", "s1", (3, 2))


@pytest.mark.parametrize("damage", [b"", b"not an array", None])
def test_a_damaged_file_counts_as_absent(cache: ScoresCache, damage: bytes | None) -> None:
    keep(cache)
    path = cache.path("m1", "s1")
    path.write_bytes(path.read_bytes()[:-4] if damage is None else damage)
    assert not cache.has("m1", "s1", (2, 2))


def test_scores_that_were_cut_short_leave_nothing_behind(cache: ScoresCache) -> None:
    def cut_short() -> None:
        with cache.filling("m1", "s1", (2, 2)) as scores:
            scores[0] = 1
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - any will do
        cut_short()
    assert not cache.has("m1", "s1", (2, 2))
    assert list((cache.folder / "s1").iterdir()) == []


@pytest.mark.parametrize("in_memory", [24, 23])
def test_scores_of_several_shards_are_one_sheet(
    cache: ScoresCache, in_memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ensemble.refit.cache.VALUES_IN_MEMORY", in_memory)
    keep(cache)
    with cache.filling("m1", "s2", (2, 2)) as scores:
        scores[:] = SCORES + 1
    # Three members' scores of four rows and two classes are 24.
    sheet = cache.sheet("m1", [Shard(0, 2, "s1"), Shard(2, 4, "s2")], 2, 3)
    assert isinstance(sheet, Sheet) == (in_memory == 23)
    assert sheet[:].tolist() == [*SCORES.tolist(), *(SCORES + 1).tolist()]
    assert sheet[1:3].tolist() == [[0.5, 0.5], [1.25, 1.75]]
    assert sheet[np.array([3, 0, 3])].tolist() == [[1.5, 1.5], [0.25, 0.75], [1.5, 1.5]]


def chunk_of(x: object, start: int = 0, *, source: str = "a", text: object = None) -> Chunk:
    array = np.asarray(x, np.float32)
    rows = {"x": array} if text is None else {"x": array, "text": np.asarray(text, object)}
    return Chunk(rows, None, start, Path(source), start)


def shards_of(*chunks: Chunk, rows: int = 3) -> tuple[Shard, ...]:
    sharder = Sharder(rows)
    for chunk in chunks:
        sharder.add(chunk)
    return sharder.shards()


def test_shards_don_t_depend_on_how_rows_come_in_batches() -> None:
    text = [b"a", "bc", b"", b"d", b"e"]
    whole = shards_of(chunk_of(range(5), text=text))
    assert [(shard.start, shard.stop) for shard in whole] == [(0, 3), (3, 5)]
    assert shards_of(chunk_of([0, 1], text=text[:2]), chunk_of([2, 3, 4], 2, text=text[2:])) == whole
    assert shards_of(*(chunk_of([row], row, text=[text[row]]) for row in range(5))) == whole


def test_rows_that_are_appended_leave_the_shards_before_them_alone() -> None:
    before, after = shards_of(chunk_of(range(7))), shards_of(chunk_of(range(8)))
    assert after[:2] == before[:2]
    assert after[2].digest != before[2].digest


def test_a_shard_is_of_one_file_and_known_by_what_it_holds_not_by_where_it_is() -> None:
    one = Chunk({"x": np.zeros(2)}, None, 0, Path("a"), 0)
    two = Chunk({"x": np.zeros(2)}, None, 2, Path("b"), 0)
    first, second = shards_of(one, two)
    assert (first.stop, second.stop) == (2, 4)
    assert first.digest == second.digest


def test_texts_that_are_cut_elsewhere_are_other_rows() -> None:
    one, other = shards_of(chunk_of([0, 0], text=["ab", "c"])), shards_of(chunk_of([0, 0], text=["a", "bc"]))
    assert one[0].digest != other[0].digest


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_scores_of_some_shards_are_enough_to_ask_for_the_others_only(
    cache: ScoresCache, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ensemble.refit.predictions.Sharder", lambda: Sharder(8))
    world = World()
    members = [Counted(member) for member in world.members()]
    whole = predict_all(servable(*members), world.data())
    predict_all(servable(*members), world.data(), cache=cache, batch_size=batch_size)
    folders = sorted(cache.folder.iterdir())
    assert len(folders) == 8
    for folder in folders[2:5]:
        (folder / f"{members[0].digest}.npy").unlink()
    for member in members:
        member.asked = 0
    again = predict_all(servable(*members), world.data(), cache=cache, batch_size=batch_size)
    short = sum(len(np.load(folder / f"{members[0].digest}.npy")) for folder in folders[2:5])
    assert [member.asked for member in members] == [short, 0, 0]
    np.testing.assert_array_equal(again.true_class_scores(), whole.true_class_scores())
    assert set(again.seconds) == {members[0].name}


def test_rows_that_change_between_two_readings_leave_nothing_behind(cache: ScoresCache) -> None:
    class Changing(InMemory):
        def batches(self, rows: int, start: int = 0, stop: int | None = None) -> Iterator[Chunk]:
            for chunk in super().batches(rows, start, stop):
                yield chunk if stop is None else replace(chunk, rows={"x": chunk.rows["x"] + 1})

    with pytest.raises(InvalidDataError, match="changed while it was read: rows 0 to 1"):
        predict_all(servable(Constant("m")), Changing([0, 1]), cache=cache)
    assert list(cache.folder.rglob("*.npy")) == []


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
    assert list(cache.folder.rglob("*.npy")) == []
