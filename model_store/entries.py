"""The journal's files: one an entry, created once, never changed."""

from dataclasses import dataclass
from pathlib import Path

from model_store import journal, reading
from model_store.durable import Writer
from model_store.errors import StoreCorruptError
from model_store.journal import Entry, History

ROLE = "journal entry"


@dataclass(frozen=True, slots=True)
class Entries:
    """The journal of one ensemble, in `folder`."""

    folder: Path
    writer: Writer

    def seqs(self) -> list[int]:
        """Return the numbers of the entries that are there, sorted; nothing is read."""
        return journal.seqs(reading.names(self.folder, "the journal"))

    def head(self) -> Entry | None:
        """Return the newest entry, reading only that one; None if there is none."""
        seqs = self.seqs()
        return self._read(seqs[-1]) if seqs else None

    def history(self) -> History:
        """Read the whole journal and check its rules; StoreCorruptError."""
        # A missing number shows as an entry that doesn't follow the one before.
        return journal.replay(self._read(seq) for seq in self.seqs())

    def append(self, entry: Entry) -> bool:
        """Write `entry`, durably: the commit point. False if somebody else wrote that number first."""
        return self.writer.create(self.folder / journal.file_name(entry.seq), entry.to_bytes(), ROLE)

    def _read(self, seq: int) -> Entry:
        """Read one entry."""
        try:
            data = reading.read(self.folder / journal.file_name(seq), ROLE, journal.MAX_ENTRY_BYTES)
        except FileNotFoundError:
            raise StoreCorruptError(
                f"journal entry {seq} in {str(self.folder)!r} vanished while it was read; restore it"
            ) from None
        return Entry.from_bytes(data, seq)
