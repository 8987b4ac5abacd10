"""The manifests' keys: one a version number, written before the journal names it.

A number below which anything lies is taken, whether or not the journal ever named it: that is
what keeps the number of a publish that died from being given again.
"""

import hashlib
from dataclasses import dataclass

from model_store import canonical
from model_store.errors import ConflictError, StoreCorruptError
from model_store.manifest import Draft, Manifest
from model_store.objects import Objects

ROLE = "manifest"
# Each lost try means that another publisher took a number in the same instant.
MAX_TRIES = 100
_WAY_OUT = "restore it from a backup, or roll back to another version"


@dataclass(frozen=True, slots=True)
class Versions:
    """The manifests of ensemble `name`, below `folder`."""

    name: str
    objects: Objects
    folder: str

    def taken(self) -> list[int]:
        """Return the numbers that were ever taken, sorted, published or not."""
        names = self.objects.names(self.folder, "the versions")
        return sorted(int(name) for name in names if name.isascii() and name.isdigit())

    def write(self, draft: Draft, above: int) -> tuple[int, str]:
        """Write the manifest of `draft` under a free number over `above`; return number and sha256."""
        for _ in range(MAX_TRIES):
            version = max([above, *self.taken()]) + 1
            data = Manifest(self.name, version, draft).to_bytes()
            if self.objects.create(self._key(version), data, ROLE):
                return version, hashlib.sha256(data).hexdigest()
        raise ConflictError(
            f"{MAX_TRIES} publishers of {self.name!r} took the number first; publish again later"
        )

    def read(self, version: int, digest: str) -> Manifest:
        """Read a manifest whose bytes have the sha256 `digest`; StoreCorruptError."""
        key = self._key(version)
        path = self.objects.where(key)
        try:
            data = self.objects.read(key, ROLE, canonical.MAX_BYTES)
        except FileNotFoundError:
            raise StoreCorruptError(f"the manifest {path!r} is missing; {_WAY_OUT}") from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise StoreCorruptError(
                f"the manifest {path!r} was changed after it was published: its sha256 isn't the "
                f"journal's; {_WAY_OUT}"
            )
        manifest = Manifest.from_bytes(data)
        if (manifest.ensemble, manifest.version) != (self.name, version):
            raise StoreCorruptError(
                f"the manifest {path!r} is of {manifest.ensemble!r}, version {manifest.version}; {_WAY_OUT}"
            )
        return manifest

    def _key(self, version: int) -> str:
        return f"{self.folder}/{version}/manifest.json"
