from pathlib import Path

import pytest

from model_store.entries import Entries
from model_store.errors import StoreCorruptError
from model_store.folder import Folder
from tests.model_store.test_journal import entry


@pytest.fixture
def entries(tmp_path: Path) -> Entries:
    return Entries(Folder(tmp_path), "journal")


def test_an_empty_journal_has_no_head(entries: Entries) -> None:
    assert entries.head() is None
    assert entries.seqs() == []
    assert entries.history().entries == []


def test_an_entry_is_written_once(entries: Entries) -> None:
    assert entries.append(entry(1, 1, None, why="first"))
    assert not entries.append(entry(1, 2, None, why="second"))

    head = entries.head()
    assert head is not None
    assert head.why == "first"


def test_a_gap_is_corrupt(entries: Entries, tmp_path: Path) -> None:
    for step in (entry(1, 1, None), entry(2, 2, 1), entry(3, 3, 2)):
        entries.append(step)
    (tmp_path / "journal" / "00000000000000000002.json").unlink()

    with pytest.raises(StoreCorruptError, match="journal entry 3 follows 1 entries"):
        entries.history()


def test_an_entry_that_goes_while_it_is_read_is_corrupt(entries: Entries) -> None:
    entries.append(entry(1, 1, None))

    class Vanishing(Entries):
        def seqs(self) -> list[int]:
            return [*super().seqs(), 2]

    with pytest.raises(StoreCorruptError, match=r"journal entry 2 in .* vanished while it was read"):
        Vanishing(entries.objects, entries.folder).head()


def test_a_link_for_an_entry_is_refused(entries: Entries, tmp_path: Path) -> None:
    entries.append(entry(1, 1, None))
    path = tmp_path / "journal" / "00000000000000000001.json"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StoreCorruptError, match="is a link or no plain file"):
        entries.head()
