"""A real publisher is killed, or its disk fails, at every system call that changes a disk.

The tests of crash points put a disk of ours in the store's place; here it is
the kernel's own.
"""

import os
import shutil
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from model_store.durable import TEMP_PREFIX
from model_store.garbage import collect
from model_store.names import is_digest
from model_store.store import Store, utc_now
from model_store.verify import verify
from tests.model_store.disks import QuickDisk
from tests.model_store.drafts import draft_in
from tests.support import publish_once
from tests.support.figures import report
from tests.support.places import root_of, store_in
from tests.support.syscalls import Point, count, disturb, need_strace

SIGKILL, ENOSPC, EIO = "SIGKILL", "ENOSPC", "EIO"
OLD, NEW, NEXT = 0.5, 0.25, 0.125
# Of each call, the sample takes every so many-th, and its last one.
SAMPLED = 12


class Scene:
    """A store with one version, its copies to publish into, and the points at which that can go wrong."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "strace.log"
        self.base = folder / "base"
        store = Store.open(str(self.base))
        store.publish("digits", draft_in(store), by="ann", why="old")
        self.calls = count(self.publisher(self.copy()), self.log)

    def copy(self) -> Path:
        """A fresh copy of the store."""
        target = self.folder / "store"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.base, target)
        return target

    def publisher(self, root: Path) -> list[str]:
        """The command that publishes NEW; without site-packages it starts in no time.

        -B: each of its writes must be the store's, and none a compiled file's.
        """
        return [sys.executable, "-S", "-E", "-B", "-m", publish_once.__name__, str(root), str(NEW)]

    def points(self, what: str) -> list[Point]:
        """Every call of a whole publish."""
        return [
            Point(call, number, what)
            for call, times in sorted(self.calls.items())
            for number in range(1, times + 1)
        ]

    def sample(self, what: str) -> list[Point]:
        """Some of the points, the last of each call among them: there the publish is all but done."""
        return [
            point
            for point in self.points(what)
            if point.number % SAMPLED == 1 or point.number == self.calls[point.call]
        ]

    def check(self, point: Point) -> str:
        """Disturb one publish; check all that must hold then; return which version a reader saw."""
        root = self.copy()
        code = disturb(self.publisher(root), self.log, point)
        # Who comes after needn't wait for the disk: its way of publishing is the same.
        store = store_in(root, utc_now, QuickDisk())
        seen = share(store)

        assert seen in (OLD, NEW), point
        if point.what == SIGKILL:
            assert code == -9, point
        elif point.call not in ("unlink", "unlinkat"):
            # A temp name that stays is no reason to fail; all else is told.
            assert code == publish_once.EXIT_UNAVAILABLE, point
        else:
            assert (code, seen) == (0, NEW), point
        assert verify(store.layout("digits")).findings == [], point

        draft = draft_in(store, weights={"forest": NEXT, "sepconv": 1 - NEXT})
        version = store.publish("digits", draft, by="ann", why="next").version
        assert (share(store), store.current("digits")) == (NEXT, version), point
        assert verify(store.layout("digits")).findings == [], point

        collect(store.layout("digits"), store.clock(), timedelta(0))
        assert garbage(store) == [], point
        assert verify(store.layout("digits")).findings == [], point
        return "new" if seen == NEW else "old"


def share(store: Store) -> float:
    """What a reader sees: the forest's weight in the current version, all of whose bytes are right."""
    manifest = store.manifest("digits")
    for ref in manifest.draft.blobs:
        store.layout("digits").blobs.check(ref)
    return store.weights(manifest)["forest"]


def garbage(store: Store) -> list[str]:
    """The temp files, and the blobs that no version names."""
    needed = {
        ref.digest
        for version in store.versions("digits")
        for ref in store.manifest("digits", version).draft.blobs
    }
    names = [path.name for path in root_of(store).rglob("*") if path.is_file()]
    return [
        name for name in names if name.startswith(TEMP_PREFIX) or (is_digest(name) and name not in needed)
    ]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    need_strace()
    return Scene(tmp_path)


def run(scene: Scene, points: list[Point]) -> str:
    """Check all points; return the figure to report."""
    seen = Counter(scene.check(point) for point in points)
    calls = Counter(point.call for point in points)
    kinds = ", ".join(f"{times} {call}" for call, times in sorted(calls.items()))
    after = f"a reader saw the old version after {seen['old']}, the new one after {seen['new']}"
    return f"{len(points)} points ({kinds}): {after}"


@pytest.mark.parametrize("what", [SIGKILL, ENOSPC, EIO])
def test_a_publisher_disturbed_at_some_calls_harms_nothing(
    scene: Scene, pytestconfig: pytest.Config, what: str
) -> None:
    assert scene.calls["fsync"] > 40, "each file and each folder above it is synced"
    assert scene.calls["write"] == scene.calls["linkat"] + scene.calls["link"] == 6

    figure = run(scene, scene.sample(what))

    report(pytestconfig, f"publish, {what} at a sample of calls: {figure}")


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("UNISONO_PROOF") != "whole", reason="a minute of it; `make proof` runs it")
@pytest.mark.parametrize("what", [SIGKILL, ENOSPC, EIO])
def test_a_publisher_disturbed_at_every_call_harms_nothing(
    scene: Scene, pytestconfig: pytest.Config, what: str
) -> None:
    figure = run(scene, scene.points(what))

    report(pytestconfig, f"publish, {what} at every call: {figure}")
