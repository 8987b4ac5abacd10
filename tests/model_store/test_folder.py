import errno
import fcntl
import threading
from pathlib import Path

import pytest

from model_store.errors import StoreUnavailableError
from model_store.folder import Folder

KEY = "ensembles/digits"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / KEY).mkdir(parents=True)
    return Folder(tmp_path)


def test_publishers_share_and_a_collector_waits_for_them(folder: Folder) -> None:
    order: list[str] = []
    collecting = threading.Event()

    def collect() -> None:
        collecting.set()
        with folder.collecting(KEY):
            order.append("collect")

    with folder.publishing(KEY), folder.publishing(KEY):
        collector = threading.Thread(target=collect)
        collector.start()
        collecting.wait()
        order.append("publish")
    collector.join()

    assert order == ["publish", "collect"]


def test_the_lock_ends_when_its_holder_fails(folder: Folder) -> None:
    with pytest.raises(ZeroDivisionError), folder.collecting(KEY):
        raise ZeroDivisionError

    with folder.collecting(KEY):
        pass


def test_where_nothing_was_put_nothing_is_locked_or_made(tmp_path: Path) -> None:
    with Folder(tmp_path).collecting(KEY):
        pass

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.ENOTSUP])
def test_a_disk_without_locks_is_taken_as_it_is(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def refuse(_descriptor: int, _kind: int) -> None:
        raise OSError(error, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)

    with folder.publishing(KEY):
        pass


def test_a_lock_that_fails_otherwise_is_an_error(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int, _kind: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", refuse)

    with (
        pytest.raises(StoreUnavailableError, match="can't lock the ensemble's folder"),
        folder.publishing(KEY),
    ):
        pytest.fail("the lock was not had")


def test_removing_what_is_gone_is_no_error(folder: Folder) -> None:
    folder.remove(f"{KEY}/nothing", "garbage")
