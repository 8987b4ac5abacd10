import errno
from pathlib import Path

import pytest

from model_store.journal import Entry
from model_store.store import Store
from model_store.verify import Finding, verify
from model_store.weights import weights_json
from tests.model_store.disks import QuickDisk
from tests.model_store.drafts import draft_in, noon
from tests.support.places import blob_file, root_of, store_in


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = store_in(tmp_path, noon, QuickDisk())
    publish(store, 0.5)
    publish(store, 0.25)
    return store


def publish(store: Store, forest: float) -> Entry:
    draft = draft_in(store, weights={"forest": forest, "sepconv": 1 - forest})
    return store.publish("digits", draft, by="ann", why="x")


def rewrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def test_a_whole_store_has_no_findings_and_counts_what_was_checked(store: Store) -> None:
    report = verify(store.layout("digits"))

    assert report.findings == []
    assert (report.entries, report.versions) == (2, 2)
    # Three blobs of members, shared; two of weights.
    assert report.blobs == 5
    assert report.bytes == sum(path.stat().st_size for path in root_of(store).rglob("blobs/*/*/*"))


def test_an_ensemble_without_a_journal_has_nothing_to_check(store: Store) -> None:
    assert verify(store.layout("other")).versions == 0


def test_a_flipped_byte_anywhere_is_found(store: Store) -> None:
    published = [path for path in root_of(store).rglob("*") if path.is_file()]
    assert len(published) == 9
    for path in published:
        whole = path.read_bytes()
        for at in (0, len(whole) // 2, len(whole) - 2):
            rewrite(path, whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            found = verify(store.layout("digits")).findings
            # In a journal, text that means nothing to the store (who, why) may change unseen.
            assert found or path.parent.name == "journal", path
        rewrite(path, whole)
    assert verify(store.layout("digits")).findings == []


def test_a_bad_blob_is_a_finding_of_each_version_that_needs_it(store: Store) -> None:
    ref = store.manifest("digits").members[0].blob
    blob_file(store, "digits", ref).unlink()

    said = (
        f"blob {ref.digest} is missing; "
        "publish the same file again to mend it, or roll back to another version"
    )
    assert verify(store.layout("digits")).findings == [Finding(1, said), Finding(2, said)]


def test_a_bad_manifest_hides_nothing_of_the_other_version(store: Store) -> None:
    rewrite(root_of(store) / "ensembles" / "digits" / "versions" / "1" / "manifest.json", b"{}")

    (finding,) = verify(store.layout("digits")).findings

    assert finding.version == 1
    assert "was changed after it was published" in finding.text


def test_a_journal_with_a_gap_is_the_only_finding(store: Store) -> None:
    (root_of(store) / "ensembles" / "digits" / "journal" / "00000000000000000001.json").unlink()

    (finding,) = verify(store.layout("digits")).findings

    assert finding.version is None
    assert "restore what is missing" in finding.text


def test_weights_of_other_members_are_found_though_their_digest_is_right(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A publisher of another make may not check this.
    monkeypatch.setattr(Store, "_check_draft", lambda *_: None)
    draft = draft_in(store)
    foreign = store.put_blob("digits", weights_json({"x": 1.0}, {"x": "0" * 64}))
    store.publish(
        "digits",
        type(draft)(
            draft.members, draft.classes, draft.signature, draft.pool, foreign, draft.evidence, draft.parent
        ),
        by="ann",
        why="x",
    )

    (finding,) = verify(store.layout("digits")).findings

    assert finding.version == 3
    assert "the weights are for the members ['x']" in finding.text


def test_a_disk_that_fails_is_a_finding(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("model_store.blobs.digest_of", fail)

    findings = verify(store.layout("digits")).findings

    assert len(findings) == 8
    assert all("can't read blob" in finding.text for finding in findings)
