"""The store goes, comes back, and is written slowly, in a folder and in a bucket: a real server serves on."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from time import monotonic
from urllib.request import urlopen

import numpy as np
import pytest

from ensemble.member import Rows
from model_store.bucket_client import connect
from model_store.durable import TEMP_PREFIX
from model_store.journal import Entry
from model_store.store import Store
from model_store.weights import weights_json
from server.cli.demonstration.scrape import samples_of
from server.cli.demonstration.server_process import ServerProcess, serving
from server.wire.client import Client
from tests.model_store.disks import files_below
from tests.model_store.places import BucketPlace, FolderPlace, Place
from tests.support.s3 import BUCKET, S3Server, s3_server
from tests.support.slow_publisher import Pauses, padded, pausing_within, slowly

pytestmark = pytest.mark.slow

NAME = "digits"


@dataclass
class Living:
    """A store in some place that a test takes away and brings back, and `files` to write there by hand."""

    address: str
    place: Place
    files: Path
    go: Callable[[], object]
    come: Callable[[], object]
    # Whether part of a blob lies there that isn't one yet.
    half_written: Callable[[], bool]

    def write(self, keys: set[str]) -> None:
        """Copy some of the files to the place."""
        for key in sorted(keys):
            self.place.write(key, (self.files / key).read_bytes())


@pytest.fixture
def files(published: Path, tmp_path: Path) -> Path:
    """A store with a second version, which nobody serves from here."""
    root = shutil.copytree(published, tmp_path / "files")
    store = Store.open(str(root))
    store.publish(NAME, store.manifest(NAME).draft, by="ann", why="the same again")
    return root


def in_folder(files: Path, tmp_path: Path) -> Living:
    root, away = tmp_path / "store", tmp_path / "away"

    def unmount() -> None:
        root.rename(away)
        # What is left of a disk that isn't mounted is the empty folder.
        root.mkdir()

    def mount() -> None:
        root.rmdir()
        away.rename(root)

    def half_written() -> bool:
        return any(path.stat().st_size for path in root.rglob(f"{TEMP_PREFIX}*"))

    return Living(str(root), FolderPlace(root), files, unmount, mount, half_written)


def in_bucket(server: S3Server, files: Path) -> Living:
    place = BucketPlace(connect("s3", BUCKET, "store"))
    held: dict[str, bytes] = {}

    def stop() -> None:
        held.update({key: place.bucket.read(key, "key", 2**30) for key in sorted(place.keys())})
        server.stop()

    def start() -> None:
        # It keeps nothing, so for a moment there is not even a bucket.
        server.start()
        server.make_bucket()
        for key, data in held.items():
            place.write(key, data)

    def half_written() -> bool:
        with urlopen(f"{server.url}/{BUCKET}?uploads", timeout=20) as answer:  # noqa: S310 - our own address
            return b"<Upload>" in answer.read()

    return Living(place.bucket.address, place, files, stop, start, half_written)


@pytest.fixture(params=["folder", "s3"])
def living(
    request: pytest.FixtureRequest, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Living]:
    """A store with version 1, in each kind of place."""
    if request.param == "folder":
        shutil.copytree(files, tmp_path / "store", ignore=shutil.ignore_patterns("*"))
        living = in_folder(files, tmp_path)
        living.write(first(files))
        yield living
        return
    with s3_server() as server:
        for name, value in {**server.environment, "UNISONO_CACHE_FOLDER": str(tmp_path / "cache")}.items():
            monkeypatch.setenv(name, value)
        living = in_bucket(server, files)
        living.write(first(files))
        yield living


def second(files: Path) -> list[set[str]]:
    """What version 2 adds, in the order it is written: the manifest, then the journal entry."""
    return [{key for key in files_below(files) if word in key} for word in ("versions/2/", "0000002.json")]


def first(files: Path) -> set[str]:
    """What version 1 needs."""
    return files_below(files).difference(*second(files))


@pytest.fixture
def server(living: Living, tmp_path: Path) -> Iterator[ServerProcess]:
    with serving(living.address, tmp_path / "serve.log", ["--poll-interval-secs", "0.1"]) as process:
        yield process


def figure(server: ServerProcess, name: str, model: str = "") -> float:
    """One figure of the scrape; of the whole server if no model is named."""
    if model:
        return samples_of(server.metrics(), model)[name][""]
    return next(float(line.split()[1]) for line in server.metrics().splitlines() if line.startswith(name))


def wait_until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    end = monotonic() + seconds
    while not holds():
        assert monotonic() < end, f"nothing came of it in {seconds} s"
        Event().wait(0.02)


def wait_for_looks(server: ServerProcess, count: int) -> None:
    """Wait until the server has seen all of the store so many times from now."""
    for _ in range(count):
        before = figure(server, "unisono_store_last_read_timestamp_seconds")
        wait_until(lambda seen=before: figure(server, "unisono_store_last_read_timestamp_seconds") > seen)  # type: ignore[misc]


@pytest.fixture
def rows(small_members: Path) -> Rows:
    with np.load(small_members / "test.npz", allow_pickle=False) as arrays:
        return {"image": arrays["image"][:5]}


def test_a_store_that_goes_leaves_the_server_serving_and_a_metric_tells(
    living: Living, server: ServerProcess, rows: Rows
) -> None:
    with Client(server.address) as client:
        before = client.infer(NAME, rows)
        wait_until(lambda: figure(server, "unisono_store_reachable") == 1)

        living.go()

        wait_until(lambda: figure(server, "unisono_store_reachable") == 0)
        seen = figure(server, "unisono_store_last_read_timestamp_seconds")
        failures = figure(server, "unisono_store_errors_total")
        wait_until(lambda: figure(server, "unisono_store_errors_total") > failures)
        assert figure(server, "unisono_store_last_read_timestamp_seconds") == seen
        assert client.infer(NAME, rows).scores.tobytes() == before.scores.tobytes()
        assert client.healthy()

        living.come()

        wait_until(lambda: figure(server, "unisono_store_reachable") == 1)
        for keys in second(living.files):
            living.write(keys)
        wait_until(lambda: client.infer(NAME, rows).version == 2)
        assert figure(server, "unisono_store_last_read_timestamp_seconds") > seen


def publish_with(forest: Path, store: Store) -> Entry:
    """Publish the version again with another forest."""
    manifest = store.manifest(NAME)
    blob = store.put_blob(NAME, forest)
    members = tuple(
        replace(record, blob=blob) if record.name == "forest" else record for record in manifest.members
    )
    digests = {record.name: record.digest for record in members}
    weights = store.put_blob(NAME, weights_json(store.weights(manifest), digests))
    draft = replace(manifest.draft, members=members, weights=weights)
    return store.publish(NAME, draft, by="ann", why="a slow line")


# At which of the pauses in one place the server is looked at: everywhere at first, and when nine mebibytes
# of twelve are under way; for a bucket a file is read once before, for its name.
LOOKED_AT = (1, 9, 21)


def test_a_slow_uploader_is_never_activated_early(
    living: Living, server: ServerProcess, rows: Rows, small_members: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    pauses, seen, halves = Pauses(), Counter[str](), []
    for name in ("folder", "bucket"):
        monkeypatch.setattr(f"model_store.{name}.Hashed", pausing_within(pauses))
    store = Store(slowly(living.place.objects(), pauses))
    forest = padded(small_members / "forest.onnx", tmp_path / "forest.onnx")
    with Client(server.address) as client, ThreadPoolExecutor(1) as threads:
        upload = threads.submit(publish_with, forest, store)
        upload.add_done_callback(lambda _: pauses.reached.put(""))
        try:
            while where := pauses.reached.get(timeout=120):
                seen[where] += 1
                if seen[where] in LOOKED_AT:
                    wait_for_looks(server, 2)
                    assert client.infer(NAME, rows).version == 1, where
                    assert Store.open(living.address).current(NAME) == 1, where
                    halves.append((where, living.half_written()))
                pauses.go_on()
        finally:
            pauses.end()

        assert upload.result().version == 2
        wait_until(lambda: client.infer(NAME, rows).version == 2)
    assert 'outcome="failed"' not in server.metrics()
    assert ("within a blob", True) in halves
    del seen["within a blob"]
    # The member and the weights.
    assert seen == {"before a blob": 2, "before the manifest": 1, "before the journal entry": 1}
