import hashlib
import os
from pathlib import Path

import pytest

from model_store.blobs import Blobs
from model_store.errors import StoreCorruptError, StoreUnavailableError
from model_store.folder import Folder
from model_store.hashing import CHUNK_BYTES
from model_store.manifest import BlobRef
from tests.model_store.disks import files_below

ABC = BlobRef("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 3)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(Folder(tmp_path), "blobs")


def file_of(blobs: Blobs, ref: BlobRef) -> Path:
    """Where the bytes lie."""
    return Path(blobs.objects.where(blobs.key(ref.digest)))


def break_blob(blobs: Blobs, ref: BlobRef, data: bytes) -> None:
    """Change a blob behind the store's back."""
    path = file_of(blobs, ref)
    path.chmod(0o644)
    path.write_bytes(data)


def test_bytes_are_filed_under_their_sha256_and_read_back(blobs: Blobs, tmp_path: Path) -> None:
    assert blobs.put(b"abc") == ABC

    assert files_below(tmp_path) == {f"blobs/sha256/ba/{ABC.digest}"}
    assert blobs.read(ABC) == b"abc"
    blobs.check(ABC)


def test_a_file_of_several_chunks_is_copied_whole(blobs: Blobs, tmp_path: Path) -> None:
    data = os.urandom(2 * CHUNK_BYTES + 17)
    (tmp_path / "model").write_bytes(data)

    ref = blobs.put(tmp_path / "model")

    assert ref == BlobRef(hashlib.sha256(data).hexdigest(), len(data))
    assert blobs.read(ref) == data


def test_no_bytes_are_a_blob_too(blobs: Blobs) -> None:
    assert blobs.read(blobs.put(b"")) == b""


def test_the_same_bytes_again_change_nothing_but_the_time(blobs: Blobs, tmp_path: Path) -> None:
    blobs.put(b"abc")
    os.utime(file_of(blobs, ABC), (0, 0))
    inode = file_of(blobs, ABC).stat().st_ino

    assert blobs.put(b"abc") == ABC

    assert file_of(blobs, ABC).stat().st_ino == inode
    # So that bytes about to be used again don't look like garbage.
    assert file_of(blobs, ABC).stat().st_mtime > 0
    assert len(files_below(tmp_path)) == 1


@pytest.mark.parametrize("bad", [b"abd", b"ab", b"abcd", b""])
def test_a_blob_that_went_bad_is_refused_and_mended_by_putting_it_again(blobs: Blobs, bad: bytes) -> None:
    blobs.put(b"abc")
    break_blob(blobs, ABC, bad)

    with pytest.raises(StoreCorruptError, match=f"blob {ABC.digest} h.*publish the same file again"):
        blobs.check(ABC)
    with pytest.raises(StoreCorruptError, match=ABC.digest):
        blobs.read(ABC)

    assert blobs.put(b"abc") == ABC
    assert blobs.read(ABC) == b"abc"


def test_a_blob_that_is_missing_says_so(blobs: Blobs) -> None:
    with pytest.raises(StoreCorruptError, match=f"blob {ABC.digest} is missing; publish the same file again"):
        blobs.check(ABC)


def test_a_link_in_the_place_of_a_blob_is_refused_and_mended(blobs: Blobs, tmp_path: Path) -> None:
    blobs.put(b"abc")
    file_of(blobs, ABC).unlink()
    (tmp_path / "elsewhere").write_bytes(b"abc")
    file_of(blobs, ABC).symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StoreCorruptError, match="is a link or no plain file"):
        blobs.check(ABC)

    blobs.put(b"abc")
    assert not file_of(blobs, ABC).is_symlink()


def test_a_look_at_the_size_doesn_t_read_the_bytes(blobs: Blobs) -> None:
    blobs.put(b"abc")
    break_blob(blobs, ABC, b"abd")

    blobs.check_there(ABC)

    break_blob(blobs, ABC, b"ab")
    with pytest.raises(StoreCorruptError, match="has 2 bytes, not 3"):
        blobs.check_there(ABC)


def test_a_source_that_cannot_be_read_is_named_and_leaves_nothing(blobs: Blobs, tmp_path: Path) -> None:
    with pytest.raises(
        StoreUnavailableError, match=r"can't read the file to store '.*model.keras': No such file"
    ):
        blobs.put(tmp_path / "model.keras")
    with pytest.raises(StoreUnavailableError, match="can't read the file to store"):
        blobs.put(tmp_path)

    assert files_below(tmp_path) == set()


def test_a_copy_is_private_and_what_was_checked(blobs: Blobs, tmp_path: Path) -> None:
    ref = blobs.put(b"a model")
    target = tmp_path / "copy"

    blobs.copy(ref, target)

    assert target.read_bytes() == b"a model"
    assert target.stat().st_mode & 0o777 == 0o400
    with pytest.raises(StoreUnavailableError, match=r"can't copy a blob to .*File exists"):
        blobs.copy(ref, target)


def test_no_copy_stays_of_bytes_that_are_others(blobs: Blobs, tmp_path: Path) -> None:
    ref = blobs.put(b"a model")
    file_of(blobs, ref).chmod(0o644)
    file_of(blobs, ref).write_bytes(b"a MODEL")

    with pytest.raises(StoreCorruptError, match="holds bytes with sha256"):
        blobs.copy(ref, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
