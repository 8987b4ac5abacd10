import errno
import os
import stat
from pathlib import Path

import pytest

from model_store.durable import TEMP_PREFIX, Disk, Writer, explained
from model_store.errors import StoreUnavailableError
from tests.model_store.disks import CountingDisk, Died, ShortDisk, dying_disk, failing_disk, files_below


def test_a_file_is_created_with_its_folders_and_is_read_only(tmp_path: Path) -> None:
    root = tmp_path / "a" / "store"
    path = root / "x" / "y" / "file"

    assert Writer(root, Disk()).create(path, b"whole", "entry")

    assert path.read_bytes() == b"whole"
    assert stat.S_IMODE(path.stat().st_mode) & 0o222 == 0
    assert files_below(tmp_path) == {"a/store/x/y/file"}


def test_the_second_to_create_a_file_is_told_so_and_changes_nothing(tmp_path: Path) -> None:
    writer = Writer(tmp_path, Disk())
    writer.create(tmp_path / "file", b"first", "entry")

    assert not writer.create(tmp_path / "file", b"second", "entry")

    assert (tmp_path / "file").read_bytes() == b"first"
    assert files_below(tmp_path) == {"file"}


def test_the_bytes_are_on_disk_before_the_name_and_the_name_before_the_return(tmp_path: Path) -> None:
    disk = CountingDisk()

    Writer(tmp_path, disk).create(tmp_path / "x" / "file", b"data", "entry")

    steps = [step for step in disk.record if step != "touch"]
    link = steps.index("link")
    assert steps[:5] == ["make_folder", "sync_folder", "create", "write", "sync"]
    assert "sync_folder" in steps[link:]
    assert steps.index("sync") < link


def test_every_folder_up_to_the_root_is_synced_each_time(tmp_path: Path) -> None:
    # Who made the folders may have died before they were on disk.
    (tmp_path / "x" / "y").mkdir(parents=True)
    synced: list[Path] = []

    class Watching(Disk):
        def sync_folder(self, path: Path) -> None:
            synced.append(path)
            super().sync_folder(path)

    Writer(tmp_path, Watching()).create(tmp_path / "x" / "y" / "file", b"data", "entry")

    assert {tmp_path, tmp_path / "x", tmp_path / "x" / "y"} <= set(synced)
    assert synced[-1] == tmp_path / "x" / "y"


def test_a_disk_that_takes_a_byte_a_time_gets_them_all(tmp_path: Path) -> None:
    Writer(tmp_path, ShortDisk()).create(tmp_path / "file", b"all of it", "entry")

    assert (tmp_path / "file").read_bytes() == b"all of it"


@pytest.mark.parametrize(
    ("operation", "error", "way_out"),
    [
        ("create", errno.EACCES, "check who owns the store"),
        ("write", errno.ENOSPC, "free some space on that disk"),
        ("sync", errno.EIO, "the disk failed"),
        ("link", errno.EPERM, "check who owns the store"),
        ("link", errno.ENOTSUP, "put the store on a local disk"),
        ("make_folder", errno.EROFS, "mount it writable"),
        ("sync_folder", errno.ESTALE, "check the store's disk, then try again"),
    ],
)
def test_a_failed_operation_says_what_failed_where_and_the_way_out(
    tmp_path: Path, operation: str, error: int, way_out: str
) -> None:
    probe = CountingDisk()
    Writer(tmp_path / "probe", probe).create(tmp_path / "probe" / "x" / "file", b"data", "entry")
    disk = failing_disk(probe.record.index(operation) + 1, error)

    with pytest.raises(StoreUnavailableError, match=way_out) as failed:
        Writer(tmp_path / "store", disk).create(tmp_path / "store" / "x" / "file", b"data", "entry")

    assert "entry" in str(failed.value)
    assert str(tmp_path / "store") in str(failed.value)
    assert os.strerror(error) in str(failed.value)
    assert files_below(tmp_path / "store") == set()


def test_a_failed_fsync_throws_the_temp_file_away_and_the_next_try_starts_afresh(tmp_path: Path) -> None:
    probe = CountingDisk()
    Writer(tmp_path, probe).create(tmp_path / "probe", b"", "entry")
    disk = failing_disk(probe.record.index("sync") + 1, errno.EIO)
    writer = Writer(tmp_path, disk)

    with pytest.raises(StoreUnavailableError):
        writer.create(tmp_path / "file", b"data", "entry")
    assert files_below(tmp_path) == {"probe"}

    assert writer.create(tmp_path / "file", b"data", "entry")
    assert disk.record.count("create") == 2


def test_a_process_that_dies_leaves_a_temp_file_that_can_be_told(tmp_path: Path) -> None:
    probe = CountingDisk()
    Writer(tmp_path, probe).create(tmp_path / "probe", b"", "entry")

    with pytest.raises(Died):
        Writer(tmp_path, dying_disk(probe.record.index("link") + 1)).create(
            tmp_path / "file", b"data", "entry"
        )

    (left,) = files_below(tmp_path) - {"probe"}
    assert left.startswith(TEMP_PREFIX)


def test_a_link_that_worked_though_the_disk_says_exists_counts_as_ours(tmp_path: Path) -> None:
    class Forgetful(Disk):
        def link(self, temp: Path, final: Path) -> None:
            super().link(temp, final)
            raise FileExistsError(errno.EEXIST, "exists", str(final))

    assert Writer(tmp_path, Forgetful()).create(tmp_path / "file", b"data", "entry")


def test_a_temp_file_that_cannot_be_removed_does_not_undo_the_commit(tmp_path: Path) -> None:
    class Stubborn(Disk):
        def remove(self, path: Path) -> None:
            raise PermissionError(errno.EACCES, "denied", str(path))

    assert Writer(tmp_path, Stubborn()).create(tmp_path / "file", b"data", "entry")
    assert (tmp_path / "file").read_bytes() == b"data"


def test_a_bad_file_is_mended_only_on_request(tmp_path: Path) -> None:
    writer = Writer(tmp_path, Disk())
    (tmp_path / "file").write_bytes(b"bad")

    kept = writer.commit(writer.stage(tmp_path, [b"good"], "blob"), tmp_path / "file", "blob")
    assert not kept
    assert (tmp_path / "file").read_bytes() == b"bad"

    mended = writer.commit(
        writer.stage(tmp_path, [b"good"], "blob"), tmp_path / "file", "blob", mend=lambda: True
    )
    assert mended
    assert (tmp_path / "file").read_bytes() == b"good"
    assert files_below(tmp_path) == {"file"}


def test_a_file_system_without_folder_fsync_is_taken_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(errno.EINVAL, "invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)

    Disk().sync_folder(tmp_path)


def test_a_folder_that_fails_its_fsync_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(os, "fsync", refuse)

    with pytest.raises(OSError, match="input/output error"):
        Disk().sync_folder(tmp_path)


def test_a_file_where_a_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "ensembles").write_bytes(b"")

    with pytest.raises(StoreUnavailableError, match="a file is where a folder should be"):
        Writer(tmp_path, Disk()).create(tmp_path / "ensembles" / "digits" / "file", b"", "entry")


def test_an_error_without_a_number_is_told_as_it_is(tmp_path: Path) -> None:
    with (
        pytest.raises(StoreUnavailableError, match="strange; check the store's disk"),
        explained("x", tmp_path),
    ):
        raise OSError("strange")
