import fcntl
import hashlib
import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from model_store.blobs import Blobs
from model_store.cache import PART, Cache
from model_store.errors import StoreCorruptError, StoreUnavailableError
from model_store.manifest import BlobRef
from tests.model_store.disks import files_below
from tests.model_store.places import BucketPlace


class Source:
    """Where bytes come from; counts how often they were fetched."""

    def __init__(self, data: bytes, given: bytes | None = None) -> None:
        self.ref = BlobRef(hashlib.sha256(data).hexdigest(), len(data))
        self.given = data if given is None else given
        self.fetched = 0

    @contextmanager
    def fetch(self) -> Iterator[BinaryIO]:
        self.fetched += 1
        yield io.BytesIO(self.given)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", 10)


def read(cache: Cache, source: Source) -> bytes:
    with cache.opened(source.ref, source.fetch) as file:
        return file.read()


def test_bytes_are_fetched_once_and_then_read_from_here(cache: Cache) -> None:
    source = Source(b"abc")

    assert [read(cache, source), read(cache, source)] == [b"abc", b"abc"]
    assert source.fetched == 1
    assert cache.path(source.ref).read_bytes() == b"abc"
    assert cache.folder.stat().st_mode & 0o77 == 0


@pytest.mark.parametrize("bad", [b"abd", b"ab", b"abcd"])
def test_what_went_bad_here_is_fetched_again(cache: Cache, bad: bytes) -> None:
    source = Source(b"abc")
    read(cache, source)
    cache.path(source.ref).write_bytes(bad)

    assert read(cache, source) == b"abc"
    assert source.fetched == 2
    assert cache.path(source.ref).read_bytes() == b"abc"


def test_a_link_in_the_place_of_cached_bytes_is_not_followed(
    cache: Cache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = Source(b"abc")
    path = cache.path(source.ref)
    path.parent.mkdir(parents=True)
    (tmp_path / "elsewhere").write_bytes(b"abc")
    path.symlink_to(tmp_path / "elsewhere")

    assert read(cache, source) == b"abc"
    assert source.fetched == 1
    assert "can't be used, so the store is read itself" in caplog.text


@pytest.mark.parametrize("given", [b"abd", b"ab", b"abcdefgh"])
def test_what_comes_with_other_bytes_is_not_kept(cache: Cache, given: bytes) -> None:
    source = Source(b"abc", given)

    # It is the reader who says what is wrong with it, as without a cache.
    assert read(cache, source) == given
    assert files_below(cache.folder) == {".lock"}


def test_an_error_of_the_store_is_the_callers_and_leaves_nothing(cache: Cache) -> None:
    @contextmanager
    def fails() -> Iterator[BinaryIO]:
        raise StoreUnavailableError("no network")
        yield

    with (
        pytest.raises(StoreUnavailableError, match="no network"),
        cache.opened(BlobRef("0" * 64, 3), fails),
    ):
        pytest.fail("nothing was fetched")
    assert files_below(cache.folder) == {".lock"}


def test_what_was_not_used_for_longest_goes_first(cache: Cache) -> None:
    first, second, third = Source(b"aaaa"), Source(b"bbbb"), Source(b"cccc")
    for number, source in enumerate((first, second)):
        read(cache, source)
        os.utime(cache.path(source.ref), (number, number))
    read(cache, first)

    read(cache, third)

    kept = [cache.path(source.ref).exists() for source in (first, second, third)]
    assert kept == [True, False, True]


def test_what_is_open_is_never_taken_away(cache: Cache, caplog: pytest.LogCaptureFixture) -> None:
    first, second = Source(b"a" * 6), Source(b"b" * 6)

    with cache.opened(first.ref, first.fetch) as file:
        # There is room for one of them only, so the second is read without being kept.
        assert read(cache, second) == b"b" * 6
        assert file.read() == b"a" * 6
    assert cache.path(first.ref).exists()
    assert not cache.path(second.ref).exists()
    assert "bytes are in use" in caplog.text

    read(cache, second)
    assert [cache.path(source.ref).exists() for source in (first, second)] == [False, True]


def test_what_is_larger_than_the_cache_is_read_from_the_store(cache: Cache) -> None:
    source = Source(b"a" * 11)

    assert read(cache, source) == b"a" * 11
    assert not cache.folder.exists()


def test_a_part_of_a_process_that_died_is_written_anew(cache: Cache) -> None:
    source = Source(b"abc")
    path = cache.path(source.ref)
    path.parent.mkdir(parents=True)
    path.with_name(path.name + PART).write_bytes(b"half of something longer")

    assert read(cache, source) == b"abc"
    assert files_below(cache.folder) == {".lock", path.relative_to(cache.folder).as_posix()}


def test_a_part_that_nobody_writes_makes_room(cache: Cache) -> None:
    left = cache.folder / "sha256" / "00" / f"{'0' * 64}{PART}"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"a" * 9)

    read(cache, Source(b"abc"))

    assert not left.exists()


def test_who_wants_bytes_that_another_fetches_waits_for_them(cache: Cache) -> None:
    source, got = Source(b"abc"), list[bytes]()
    fetching, go_on = threading.Event(), threading.Event()

    @contextmanager
    def slow() -> Iterator[BinaryIO]:
        fetching.set()
        go_on.wait(20)
        yield io.BytesIO(b"abc")

    def first() -> None:
        with cache.opened(source.ref, slow) as file:
            got.append(file.read())

    threads = [
        threading.Thread(target=first),
        threading.Thread(target=lambda: got.append(read(cache, source))),
    ]
    threads[0].start()
    fetching.wait(20)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join()

    assert got == [b"abc", b"abc"]
    assert source.fetched == 0


def test_a_part_that_moved_on_while_its_lock_was_waited_for_is_looked_for_again(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source(b"abc")
    part = cache.path(source.ref).with_name(source.ref.digest + PART)
    locks: list[int] = []

    def lock(_descriptor: int, kind: int) -> None:
        locks.append(kind)
        if len(locks) == 1:
            # Whoever held it gave up, and took the name away.
            part.unlink()

    monkeypatch.setattr(fcntl, "flock", lock)

    assert read(cache, source) == b"abc"
    # Twice for the part, once to make room and once to give it its name.
    assert locks.count(fcntl.LOCK_EX) == 4


def test_a_file_that_goes_while_room_is_made_is_no_error(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [cache.path(source.ref) for source in (Source(b"aaaa"), Source(b"bbbb")) if read(cache, source)]
    facts = {path: path.lstat() for path in kept}
    gone = cache.folder / "sha256" / "00" / "gone"
    monkeypatch.setattr(Path, "glob", lambda _path, _pattern: iter([gone, *kept]))
    really = Path.lstat
    # Listed and measured, then taken away by another process before it is opened.
    monkeypatch.setattr(Path, "lstat", lambda path: facts.get(path) or really(path))
    kept[0].unlink()

    assert read(cache, Source(b"cccc")) == b"cccc"


def test_a_file_that_goes_before_its_lock_is_had_has_made_room(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Source(b"a" * 6)
    read(cache, first)

    def lock(_descriptor: int, kind: int) -> None:
        if kind & fcntl.LOCK_NB:
            cache.path(first.ref).unlink()

    monkeypatch.setattr(fcntl, "flock", lock)

    assert read(cache, Source(b"b" * 6)) == b"b" * 6


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    source = Source(b"abc")

    assert read(Cache(tmp_path / "file", 10), source) == b"abc"
    assert "can't be used, so the store is read itself" in caplog.text


def test_a_member_of_a_bucket_is_read_once_and_never_trusted(tmp_path: Path) -> None:
    place = BucketPlace.in_memory()
    cache = Cache(tmp_path / "cache", 100)
    blobs = Blobs(place.objects(), "blobs", cache)
    ref = blobs.put(b"a model")

    blobs.copy(ref, tmp_path / "first")
    place.drop(blobs.key(ref.digest))
    blobs.copy(ref, tmp_path / "second")

    assert (tmp_path / "second").read_bytes() == b"a model"
    # What verifies the store looks at the store.
    with pytest.raises(StoreCorruptError, match="is missing"):
        blobs.check(ref)
    cache.path(ref).write_bytes(b"a MODEL")
    with pytest.raises(StoreCorruptError, match="is missing"):
        blobs.copy(ref, tmp_path / "third")
    assert not (tmp_path / "third").exists()
