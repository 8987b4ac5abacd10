import errno
import fcntl
import threading
from pathlib import Path

import pytest

from model_store.errors import InvalidNameError, StoreUnavailableError
from model_store.layout import Layout
from tests.model_store.disks import QuickDisk


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "ensembles" / "digits").mkdir(parents=True)
    return Layout(tmp_path, "digits", QuickDisk())


def test_a_name_that_could_be_a_path_has_no_layout(tmp_path: Path) -> None:
    with pytest.raises(InvalidNameError):
        Layout(tmp_path, "../digits", QuickDisk())


def test_publishers_share_and_a_collector_waits_for_them(layout: Layout) -> None:
    order: list[str] = []
    collecting = threading.Event()

    def collect() -> None:
        collecting.set()
        with layout.collecting():
            order.append("collect")

    with layout.publishing(), layout.publishing():
        collector = threading.Thread(target=collect)
        collector.start()
        collecting.wait()
        order.append("publish")
    collector.join()

    assert order == ["publish", "collect"]


def test_the_lock_ends_when_its_holder_fails(layout: Layout) -> None:
    with pytest.raises(ZeroDivisionError), layout.collecting():
        raise ZeroDivisionError

    with layout.collecting():
        pass


def test_where_nothing_was_put_nothing_is_locked_or_made(tmp_path: Path) -> None:
    with Layout(tmp_path, "digits", QuickDisk()).collecting():
        pass

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.ENOTSUP])
def test_a_disk_without_locks_is_taken_as_it_is(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def refuse(_descriptor: int, _kind: int) -> None:
        raise OSError(error, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)

    with layout.publishing():
        pass


def test_a_lock_that_fails_otherwise_is_an_error(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int, _kind: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", refuse)

    with pytest.raises(StoreUnavailableError, match="can't lock the ensemble's folder"), layout.publishing():
        pytest.fail("the lock was not had")
