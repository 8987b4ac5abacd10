from pathlib import Path

import pytest

from model_store import versions as versions_module
from model_store.durable import Disk
from model_store.errors import ConflictError, StoreCorruptError
from model_store.folder import Folder
from model_store.manifest import Manifest
from model_store.versions import Versions
from tests.model_store.test_manifest import small_draft


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions("digits", Folder(tmp_path), "versions")


def test_the_first_version_is_1_and_reads_back(versions: Versions) -> None:
    number, digest = versions.write(small_draft(), above=0)

    assert number == 1
    assert versions.read(1, digest) == Manifest("digits", 1, small_draft())


def test_a_number_is_given_once_even_if_only_its_folder_was_made(versions: Versions, tmp_path: Path) -> None:
    versions.write(small_draft(), above=0)
    (tmp_path / "versions" / "2").mkdir()

    assert versions.write(small_draft(), above=1)[0] == 3


def test_a_number_that_the_journal_knows_is_not_given_again_though_its_folder_is_gone(
    versions: Versions,
) -> None:
    assert versions.write(small_draft(), above=7)[0] == 8


def test_whatever_else_lies_among_the_versions_is_left_alone(versions: Versions, tmp_path: Path) -> None:
    versions.write(small_draft(), above=0)
    for name in ("notes.txt", "\u0663", "-5", "1e3"):
        (tmp_path / "versions" / name).mkdir()

    assert versions.taken() == [1]


def test_losing_the_number_means_taking_the_next(tmp_path: Path) -> None:
    class Beaten(Disk):
        lost = False

        def link(self, temp: Path, final: Path) -> None:
            if not self.lost:
                self.lost = True
                final.write_bytes(b"the winner's manifest")
            super().link(temp, final)

    beaten = Versions("digits", Folder(tmp_path, Beaten()), "versions")

    assert beaten.write(small_draft(), above=0)[0] == 2


def test_losing_for_ever_is_a_conflict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions_module, "MAX_TRIES", 3)

    class AlwaysBeaten(Disk):
        def link(self, temp: Path, final: Path) -> None:
            final.write_bytes(b"the winner's manifest")
            super().link(temp, final)

    beaten = Versions("digits", Folder(tmp_path, AlwaysBeaten()), "versions")
    with pytest.raises(ConflictError, match="3 publishers of 'digits' took the number first"):
        beaten.write(small_draft(), above=0)


def test_a_manifest_that_is_missing_changed_or_of_another_version_is_corrupt(
    versions: Versions, tmp_path: Path
) -> None:
    _, digest = versions.write(small_draft(), above=0)

    with pytest.raises(StoreCorruptError, match=r"versions/2/manifest\.json' is missing; restore it"):
        versions.read(2, digest)
    with pytest.raises(StoreCorruptError, match="was changed after it was published"):
        versions.read(1, "0" * 64)

    elsewhere = tmp_path / "versions" / "2"
    elsewhere.mkdir()
    (elsewhere / "manifest.json").write_bytes((tmp_path / "versions" / "1" / "manifest.json").read_bytes())
    with pytest.raises(StoreCorruptError, match="is of 'digits', version 1; restore it"):
        versions.read(2, digest)
