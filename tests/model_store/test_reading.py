import os
import socket
from pathlib import Path

import pytest

from model_store import reading
from model_store.errors import StoreCorruptError, StoreUnavailableError


def test_a_plain_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")

    assert reading.read(tmp_path / "file", "entry", limit=3) == b"abc"


def test_a_missing_file_is_the_caller_s_to_explain(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        reading.read(tmp_path / "file", "entry", limit=3)


def test_a_file_beyond_the_limit_is_not_held_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abcd")

    with pytest.raises(StoreCorruptError, match=r"entry .*file' is over 3 bytes"):
        reading.read(tmp_path / "file", "entry", limit=3)


def test_links_folders_pipes_and_sockets_are_refused(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"abc")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))

    for name in ("link", "dangling", "folder", "pipe", "socket"):
        with pytest.raises(
            StoreCorruptError, match=rf"entry .*{name}' is a link or no plain file; remove it"
        ):
            reading.read(tmp_path / name, "entry", limit=3)


def test_a_path_through_a_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")

    with pytest.raises(StoreUnavailableError, match=r"can't read entry .*a file is where a folder should be"):
        reading.read(tmp_path / "file" / "deeper", "entry", limit=3)


def test_a_disk_that_fails_while_reading_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")

    with (
        pytest.raises(StoreUnavailableError, match="can't read entry"),
        reading.opened(tmp_path / "file", "entry"),
    ):
        raise OSError(5, "Input/output error")


def test_names_are_sorted_and_none_where_there_is_no_folder(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).touch()

    assert reading.names(tmp_path, "the journal") == ["a", "b"]
    assert reading.names(tmp_path / "nothing", "the journal") == []
    with pytest.raises(StoreUnavailableError, match="can't list the journal"):
        reading.names(tmp_path / "a", "the journal")
