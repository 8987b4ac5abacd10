"""A published version becomes a servable, its bytes checked on the way."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble.errors import InvalidModelError
from ensemble.loading.load import Batches, Runtimes, load_servable
from ensemble.publishing.publish import PublishOptions, publish
from ensemble.runtimes.measurements import Measurements
from ensemble.runtimes.merged import Merger
from ensemble.runtimes.onnx_runtime import OnnxMember
from ensemble.runtimes.source import Source
from ensemble.signature import Signature, TensorSpec
from model_store.errors import StoreCorruptError, StoreUnavailableError
from model_store.manifest import Derived, Draft, MemberRecord
from model_store.store import Store
from model_store.weights import weights_json
from tests.support.members import Constant
from tests.support.onnx_models import write_constant, write_linear
from tests.support.places import blob_file

ROWS = {"x": np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)}


@pytest.fixture(name="store")
def fixture_store(tmp_path: Path) -> Store:
    """Ensemble "digits": version 1 of a constant and a linear member, 0.25 and 0.75."""
    write_constant(tmp_path / "constant.onnx", [0.5, 0.25, 0.25])
    write_linear(tmp_path / "linear.onnx")
    store = Store.open(str(tmp_path / "store"))
    files = {"constant": tmp_path / "constant.onnx", "linear": tmp_path / "linear.onnx"}
    publish(store, "digits", files, PublishOptions(weights={"constant": 0.25, "linear": 0.75}))
    return store


def republish(store: Store, **changes: Any) -> None:
    """Publish the current version again with some of its parts exchanged, and without golden outputs."""
    draft: Draft = store.manifest("digits").draft
    store.publish("digits", replace(draft, **{"golden": None, **changes}), by="", why="")


def test_the_servable_scores_the_weighted_average(store: Store, tmp_path: Path) -> None:
    reference = write_linear(tmp_path / "again.onnx")
    servable = load_servable(store, "digits")

    expected = 0.25 * np.array([0.5, 0.25, 0.25]) + 0.75 * reference(ROWS)

    assert (servable.name, servable.version, servable.classes) == ("digits", 1, ("0", "1", "2"))
    assert servable.weights.by_member == {"constant": 0.25, "linear": 0.75}
    assert servable.signature == Signature(
        (TensorSpec("x", "float32", (4,)),), (TensorSpec("scores", "float32", (3,)),)
    )
    np.testing.assert_allclose(servable.score(ROWS), expected, atol=1e-6)


def test_an_older_version_can_be_named(store: Store) -> None:
    republish(store, classes=("a", "b", "c"))

    assert load_servable(store, "digits").classes == ("a", "b", "c")
    assert load_servable(store, "digits", 1).classes == ("0", "1", "2")


def test_members_in_memory_are_not_loaded_again(store: Store) -> None:
    first = load_servable(store, "digits")
    loaded = {member.digest: member for member in first.members}

    second = load_servable(store, "digits", reuse=loaded)

    assert [member is other for member, other in zip(first.members, second.members, strict=True)] == [
        True,
        True,
    ]


def test_a_member_in_memory_under_another_name_is_not_taken(store: Store) -> None:
    digest = store.manifest("digits").digests["constant"]

    servable = load_servable(store, "digits", reuse={digest: Constant("another")})

    assert [member.name for member in servable.members] == ["constant", "linear"]


def test_threads_are_passed_to_the_members(store: Store) -> None:
    members = load_servable(store, "digits", threads=1).members

    assert [member.way.threads for member in members if isinstance(member, OnnxMember)] == [1, 1]


def test_a_log_pool_is_served(store: Store, tmp_path: Path) -> None:
    reference = write_linear(tmp_path / "again.onnx")
    republish(store, pool={"form": "log", "temperature": 0.5})

    odds = np.array([0.5, 0.25, 0.25]) ** (0.25 / 0.5) * reference(ROWS) ** (0.75 / 0.5)

    expected = odds / odds.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(load_servable(store, "digits").score(ROWS), expected, atol=1e-6)


def test_another_pool_is_refused(store: Store) -> None:
    republish(store, pool={"form": "median"})

    with pytest.raises(
        InvalidModelError,
        match="version 2 of 'digits': the pool is of form 'median'; this release serves linear, log",
    ):
        load_servable(store, "digits")


def test_bytes_that_changed_in_the_store_are_refused(store: Store) -> None:
    manifest = store.manifest("digits")
    blob = blob_file(store, "digits", manifest.members[0].blob)
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes()[:-1] + b"!")

    with pytest.raises(StoreCorruptError):
        load_servable(store, "digits")


def test_bytes_that_change_after_they_were_checked_are_not_loaded(store: Store, tmp_path: Path) -> None:
    manifest = store.manifest("digits")
    blobs = {record.name: blob_file(store, "digits", record.blob) for record in manifest.members}
    write_constant(tmp_path / "other.onnx", [0.25, 0.25, 0.5])
    seen = []

    def exchange(source: Source, threads: int) -> OnnxMember:
        """Exchange the store's file at the last moment, then open what was checked."""

        @contextmanager
        def copied(wanted: str) -> Iterator[Path]:
            with source.copied(wanted) as path:
                blobs[source.name].chmod(0o644)
                blobs[source.name].write_bytes((tmp_path / "other.onnx").read_bytes())
                seen.append((path, path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777))
                yield path

        return OnnxMember.opened(replace(source, copied=copied), threads=threads)

    servable = load_servable(store, "digits", runtimes=Runtimes(open=exchange))

    assert servable.members[0].predict(ROWS)[0].tolist() == [0.5, 0.25, 0.25]
    assert [(file.name, mode, folder) for file, mode, folder in seen] == [
        (manifest.digests[name], 0o400, 0o700) for name in ("constant", "linear")
    ]
    assert not any(file.exists() for file, _, _ in seen)


def test_where_no_temporary_folder_can_be_made_it_says_so(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))

    with pytest.raises(StoreUnavailableError, match=r"No such file or directory; set TMPDIR to one that"):
        load_servable(store, "digits")


def test_a_signature_that_is_none_is_refused(store: Store) -> None:
    republish(store, signature={"inputs": []})

    with pytest.raises(StoreCorruptError, match="the signature of version 2 of 'digits' can't be read"):
        load_servable(store, "digits")


def test_a_keras_member_is_served_from_the_onnx_file_made_of_it(store: Store) -> None:
    constant, linear = store.manifest("digits").members
    keras = store.put_blob("digits", b"a keras file")
    made = MemberRecord(
        "constant", "keras", keras, constant.signature, {"onnx": Derived(constant.blob, {"rows": 64})}
    )
    weights = _weights_for(store, made, linear)
    republish(store, members=(made, linear), weights=weights)

    assert load_servable(store, "digits").members[0].predict(ROWS)[0].tolist() == [0.5, 0.25, 0.25]


def test_a_keras_member_without_an_onnx_file_is_refused(store: Store) -> None:
    constant, linear = store.manifest("digits").members
    bare = MemberRecord("constant", "keras", constant.blob, constant.signature)
    republish(store, members=(bare, linear))

    with pytest.raises(InvalidModelError, match="member 'constant' has the format 'keras' and no ONNX file"):
        load_servable(store, "digits")


def _weights_for(store: Store, *records: MemberRecord) -> Any:
    digests = {record.name: record.digest for record in records}
    return store.put_blob("digits", weights_json(dict.fromkeys(digests, 0.5), digests))


def test_a_merger_is_shown_the_voters_and_their_files_and_changes_no_score(store: Store) -> None:
    merger = Merger(Measurements(None))
    alone = load_servable(store, "digits")

    servable = load_servable(store, "digits", runtimes=Runtimes(merger=merger))

    # Whether one graph is worth it was measured, and so may be either.
    assert servable.together is None or servable.together.names == {"constant", "linear"}
    assert servable.score(ROWS).tobytes() == alone.score(ROWS).tobytes()
    assert servable.alone(servable.members[0]).together is None


def test_how_large_a_batch_should_be_is_measured_once_for_each_number_of_threads(
    store: Store, tmp_path: Path
) -> None:
    runtimes = Runtimes(batches=Batches(Measurements(tmp_path / "kept")))
    kept = []
    for threads in (1, 2, 2):
        load_servable(store, "digits", threads=threads, runtimes=runtimes)
        kept.append(len(list((tmp_path / "kept").glob("*.json"))))
    assert kept == [1, 2, 2]
