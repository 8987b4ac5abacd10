"""Which key each part of an ensemble has."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

from model_store.blobs import Blobs
from model_store.cache import Cache
from model_store.entries import Entries
from model_store.names import check_name
from model_store.objects import Objects, StillHeld
from model_store.versions import Versions

ENSEMBLES = "ensembles"


@dataclass(frozen=True, slots=True)
class Layout:
    """The keys of ensemble `name`; InvalidNameError for what is no name."""

    objects: Objects
    name: str
    cache: Cache | None = None

    def __post_init__(self) -> None:
        """Refuse a name that could leave the store."""
        check_name(self.name, "ensemble")

    @property
    def folder(self) -> str:
        """What all of them begin with."""
        return f"{ENSEMBLES}/{self.name}"

    @property
    def entries(self) -> Entries:
        """Its journal."""
        return Entries(self.objects, f"{self.folder}/journal")

    @property
    def versions(self) -> Versions:
        """Its manifests."""
        return Versions(self.name, self.objects, f"{self.folder}/versions")

    @property
    def blobs(self) -> Blobs:
        """Its bytes."""
        return Blobs(self.objects, f"{self.folder}/blobs", self.cache)

    def publishing(self) -> AbstractContextManager[StillHeld]:
        """Keep garbage collection out between the check that all bytes are there and the journal entry."""
        return self.objects.publishing(self.folder)

    def collecting(self) -> AbstractContextManager[StillHeld]:
        """Wait for publishers between check and journal entry, and keep new ones waiting."""
        return self.objects.collecting(self.folder)
