"""Publishing dies, or its disk fails, at every operation; readers and the next publisher don't mind."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from model_store.durable import TEMP_PREFIX
from model_store.errors import StoreUnavailableError
from model_store.store import Store
from tests.model_store.disks import CountingDisk, Died, QuickDisk, dying_disk, failing_disk, files_below
from tests.model_store.drafts import draft_in, noon
from tests.support.places import root_of, store_in

OLD, NEW, NEXT = ({"forest": share, "sepconv": 1 - share} for share in (0.5, 0.25, 0.125))


def publish(store: Store, weights: dict[str, float]) -> int:
    """Put all bytes and publish them: the whole way."""
    return store.publish("digits", draft_in(store, weights=weights), by="ann", why="because").version


def with_old(folder: Path, *, first: bool = False) -> Path:
    """A store with OLD, unless NEW is to be the first."""
    root = folder / "old"
    root.mkdir()
    if not first:
        publish(store_in(root, noon, QuickDisk()), OLD)
    return root


def copy(root: Path, name: str) -> Store:
    """The same store beside it. Its files are the same ones: nothing in a store is ever written to."""
    return store_in(shutil.copytree(root, root.with_name(name), copy_function=os.link), noon, QuickDisk())


def operations(root: Path) -> list[str]:
    """The operations of a publish into the store at `root` that nothing disturbs."""
    disk = CountingDisk()
    publish(store_in(root_of(copy(root, "probe")), noon, disk), NEW)
    return disk.record


def read(store: Store) -> dict[str, float] | None:
    """What a reader sees: the weights of the current version, all of whose bytes are right."""
    if store.head("digits") is None:
        return None
    manifest = store.manifest("digits")
    for ref in manifest.draft.blobs:
        store.layout("digits").blobs.check(ref)
    return store.weights(manifest)


def check_after(store: Store, old: dict[str, float] | None, what: str) -> bool:
    """Check what must hold after a publish was cut short; return whether it had been committed."""
    seen = read(store)
    assert seen in (old, NEW), what
    before = set(root_of(store).rglob("manifest.json"))
    version = publish(store, NEXT)
    assert read(store) == NEXT, what
    assert store.manifest("digits").version == version
    # The number was free: no manifest was written over, none shared.
    assert (
        root_of(store) / "ensembles" / "digits" / "versions" / str(version) / "manifest.json" not in before
    ), what
    numbers = [entry.version for entry in store.entries("digits")]
    assert numbers == sorted(set(numbers)), what
    return seen == NEW


@pytest.mark.parametrize("first", [True, False], ids=["first", "second"])
def test_dying_at_any_operation_leaves_the_old_version_or_the_new(tmp_path: Path, *, first: bool) -> None:
    root = with_old(tmp_path, first=first)
    steps = operations(root)
    # Six files, each with a temp file, its bytes, an fsync and a link: fewer would mean some go unseen.
    assert len(steps) > 40
    commit = max(number for number, step in enumerate(steps, 1) if step == "link")

    for number, step in enumerate(steps, 1):
        store = copy(root, str(number))
        with pytest.raises(Died):
            publish(store_in(root_of(store), noon, dying_disk(number)), NEW)

        committed = check_after(store, None if first else OLD, f"died at {number}, {step}")

        # The link of the journal entry is the commit point: nothing before it, everything after.
        assert committed == (number > commit)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_a_disk_that_fails_at_any_operation_is_told_and_leaves_the_old_version_or_the_new(
    tmp_path: Path, error: int
) -> None:
    root = with_old(tmp_path)
    steps = operations(root)

    for number, step in enumerate(steps, 1):
        store = copy(root, str(number))
        disk = failing_disk(number, error)
        if step == "remove":
            # A temp name that stays is no reason to fail: the file is published.
            publish(store_in(root_of(store), noon, disk), NEW)
        else:
            with pytest.raises(StoreUnavailableError):
                publish(store_in(root_of(store), noon, disk), NEW)
            assert not any(TEMP_PREFIX in name for name in files_below(root_of(store))), step

        check_after(store, OLD, f"failed at {number}, {step}")


def test_dying_in_a_rollback_leaves_one_version_or_the_other(tmp_path: Path) -> None:
    root = with_old(tmp_path)
    publish(store_in(root, noon, QuickDisk()), NEW)
    for number in range(1, 100):
        store = copy(root, str(number))
        try:
            store_in(root_of(store), noon, dying_disk(number)).rollback("digits", 1, by="ann", why="x")
        except Died:
            assert read(store) in (OLD, NEW)
        else:
            assert read(store) == OLD
            assert number > 5
            return
    pytest.fail("the rollback never came to an end")
