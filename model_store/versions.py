"""The manifests' files: one a version number, written before the journal names it.

A number whose folder exists is taken, whether or not the journal ever named it: that is
what keeps the number of a publish that died from being given again.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from model_store import canonical, reading
from model_store.durable import Writer
from model_store.errors import ConflictError, StoreCorruptError
from model_store.manifest import Draft, Manifest

ROLE = "manifest"
# Each lost try means that another publisher took a number in the same instant.
MAX_TRIES = 100
_WAY_OUT = "restore it from a backup, or roll back to another version"


@dataclass(frozen=True, slots=True)
class Versions:
    """The manifests of ensemble `name`, below `folder`."""

    name: str
    folder: Path
    writer: Writer

    def taken(self) -> list[int]:
        """Return the numbers that were ever taken, sorted, published or not."""
        names = reading.names(self.folder, "the versions")
        return sorted(int(name) for name in names if name.isascii() and name.isdigit())

    def write(self, draft: Draft, above: int) -> tuple[int, str]:
        """Write the manifest of `draft` under a free number over `above`; return number and sha256."""
        for _ in range(MAX_TRIES):
            version = max([above, *self.taken()]) + 1
            data = Manifest(self.name, version, draft).to_bytes()
            if self.writer.create(self._path(version), data, ROLE):
                return version, hashlib.sha256(data).hexdigest()
        raise ConflictError(
            f"{MAX_TRIES} publishers of {self.name!r} took the number first; publish again later"
        )

    def read(self, version: int, digest: str) -> Manifest:
        """Read a manifest whose bytes have the sha256 `digest`; StoreCorruptError."""
        path = self._path(version)
        try:
            data = reading.read(path, ROLE, canonical.MAX_BYTES)
        except FileNotFoundError:
            raise StoreCorruptError(f"the manifest {str(path)!r} is missing; {_WAY_OUT}") from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise StoreCorruptError(
                f"the manifest {str(path)!r} was changed after it was published: its sha256 isn't the "
                f"journal's; {_WAY_OUT}"
            )
        manifest = Manifest.from_bytes(data)
        if (manifest.ensemble, manifest.version) != (self.name, version):
            raise StoreCorruptError(
                f"the manifest {str(path)!r} is of {manifest.ensemble!r}, version {manifest.version}; "
                f"{_WAY_OUT}"
            )
        return manifest

    def _path(self, version: int) -> Path:
        return self.folder / str(version) / "manifest.json"
