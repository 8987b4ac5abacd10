"""The power goes at any moment of a publish: what was told stays, and what wasn't does no harm.

`UNISONO_PROOF=whole` tries each moment more often.
"""

import os
import random
from pathlib import Path

import pytest

from model_store.store import Store
from model_store.verify import verify
from tests.model_store.disks import QuickDisk
from tests.model_store.drafts import draft_in, noon
from tests.model_store.power import RecordingDisk, after_power_loss
from tests.support.figures import report
from tests.support.places import store_in

OLD, NEW, NEXT = 0.5, 0.25, 0.125
# How often each moment is tried: what is left is drawn anew.
WHOLE = os.environ.get("UNISONO_PROOF") == "whole"
DRAWS = 16 if WHOLE else 2
# `make proof` runs what is slow.
pytestmark = [pytest.mark.slow] if WHOLE else []


def publish(store: Store, share: float) -> int:
    draft = draft_in(store, weights={"forest": share, "sepconv": 1 - share})
    return store.publish("digits", draft, by="ann", why="x").version


def share(store: Store) -> float | None:
    """What a reader sees; None if nothing was published."""
    if store.head("digits") is None:
        return None
    manifest = store.manifest("digits")
    for ref in manifest.draft.blobs:
        store.layout("digits").blobs.check(ref)
    return store.weights(manifest)["forest"]


def record(tmp_path: Path, disk: RecordingDisk, *, first: bool) -> Path:
    """Publish NEW on `disk`, over OLD unless it is the first; return the store as it was before."""
    base, root = tmp_path / "base", tmp_path / "root"
    for folder in (base, root):
        folder.mkdir()
        if not first:
            publish(store_in(folder, noon, QuickDisk()), OLD)
    publish(store_in(root, noon, disk), NEW)
    return base


@pytest.mark.parametrize("first", [True, False], ids=["first", "second"])
def test_power_lost_at_any_moment_leaves_the_old_version_or_the_new(
    tmp_path: Path, pytestconfig: pytest.Config, *, first: bool
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    chance, disk = random.Random(seed), RecordingDisk()  # noqa: S311 - a seed that a failing test prints
    base, old, seen = record(tmp_path, disk, first=first), None if first else OLD, []
    assert len(disk.moments) > 60

    for number, moment in enumerate(disk.moments):
        for draw in range(DRAWS):
            left = tmp_path / f"left-{number}-{draw}"
            after_power_loss(moment, base, tmp_path / "root", left, chance)
            store = store_in(left, noon, QuickDisk())
            seen.append(share(store))
            assert seen[-1] in (old, NEW), (seed, number)
            assert verify(store.layout("digits")).findings == [], (seed, number)
            publish(store, NEXT)
            assert share(store) == NEXT, (seed, number)

    # All that publish did is synced when it returns, whatever else is lost.
    assert seen[-DRAWS:] == [NEW] * DRAWS
    counts = f"the old version {seen.count(old)} times, the new one {seen.count(NEW)}"
    report(pytestconfig, f"power lost at {len(disk.moments)} moments of a publish x {DRAWS} draws: {counts}")


@pytest.mark.parametrize("lazy", ["sync", "sync_folder"])
def test_a_store_that_does_not_wait_for_the_disk_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lazy: str
) -> None:
    disk = RecordingDisk()
    monkeypatch.setattr(disk, lazy, getattr(QuickDisk(), lazy))
    base = record(tmp_path, disk, first=True)
    chance, failed = random.Random(1), 0  # noqa: S311 - no secret

    for draw in range(20):
        left = tmp_path / f"left-{draw}"
        after_power_loss(disk.moments[-1], base, tmp_path / "root", left, chance)
        store = store_in(left, noon, QuickDisk())
        try:
            failed += share(store) != NEW
        except Exception:  # noqa: BLE001 - any failure counts
            failed += 1

    assert failed > 0
