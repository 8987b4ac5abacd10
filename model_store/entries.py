"""The journal's keys: one an entry, created once, never changed."""

from dataclasses import dataclass

from model_store import journal
from model_store.errors import StoreCorruptError
from model_store.journal import Entry, History
from model_store.objects import Objects

ROLE = "journal entry"


@dataclass(frozen=True, slots=True)
class Entries:
    """The journal of one ensemble, below `folder`."""

    objects: Objects
    folder: str

    def seqs(self) -> list[int]:
        """Return the numbers of the entries that are there, sorted; nothing is read."""
        return journal.seqs(self.objects.names(self.folder, "the journal"))

    def head(self) -> Entry | None:
        """Return the newest entry, reading only that one; None if there is none."""
        seqs = self.seqs()
        return self._read(seqs[-1:])[0] if seqs else None

    def history(self) -> History:
        """Read the whole journal and check its rules; StoreCorruptError."""
        # A missing number shows as an entry that doesn't follow the one before.
        return journal.replay(self._read(self.seqs()))

    def append(self, entry: Entry) -> bool:
        """Write `entry`, durably: the commit point. False if somebody else wrote that number first."""
        return self.objects.create(self._key(entry.seq), entry.to_bytes(), ROLE)

    def _read(self, seqs: list[int]) -> list[Entry]:
        """Read these entries."""
        keys, found = [self._key(seq) for seq in seqs], list[Entry]()
        try:
            for data in self.objects.read_all(keys, ROLE, journal.MAX_ENTRY_BYTES):
                found.append(Entry.from_bytes(data, seqs[len(found)]))
        except FileNotFoundError:
            raise StoreCorruptError(
                f"journal entry {seqs[len(found)]} in {self.objects.where(self.folder)!r} vanished while it "
                "was read; restore it"
            ) from None
        return found

    def _key(self, seq: int) -> str:
        return f"{self.folder}/{journal.file_name(seq)}"
