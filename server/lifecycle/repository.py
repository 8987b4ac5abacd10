"""What is published and what of it is served, for callers that list, load and unload by name."""

import logging
from dataclasses import dataclass

from ensemble.errors import ModelNotFoundError

from .manager import Manager
from .watcher import Watcher

log = logging.getLogger("unisono.lifecycle")

READY, LOADING, UNAVAILABLE = "READY", "LOADING", "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One published version. `state` is READY, LOADING or UNAVAILABLE; `reason` says why it isn't READY."""

    name: str
    version: int
    state: str
    reason: str = ""


class Repository:
    """The store as the server sees it. Used on the event loop."""

    def __init__(self, manager: Manager, watcher: Watcher) -> None:
        self._manager = manager
        self._watcher = watcher

    async def index(self) -> list[IndexEntry]:
        """List what is served, each version with its members, and what of every ensemble should be."""
        wanted = await self._watcher.wanted()
        entries = []
        for name, served in sorted(self._manager.served.items()):
            for number, version in sorted(served.versions.items()):
                models = (name, *(alone.name for alone in version.members.values()))
                entries += [IndexEntry(model, number, READY) for model in models]
        ready = {(entry.name, entry.version) for entry in entries}
        published = {(name, version) for name, versions in wanted.items() for version in versions}
        return entries + [self._missing(name, version) for name, version in sorted(published - ready)]

    async def load(self, name: str) -> None:
        """Serve what is wanted of `name` from now on.

        Raises ModelNotFoundError for what isn't published, and what loading raises.
        """
        await self._watcher.load(name)

    async def unload(self, name: str) -> None:
        """Serve `name` no more, until it is loaded again; ModelNotFoundError for what isn't published."""
        if name not in self._manager.served and name not in await self._watcher.wanted():
            raise ModelNotFoundError(f"failed to unload '{name}', it is not in the model repository")
        await self._watcher.hold(name)
        self._manager.drop(name)
        log.info("unloaded %s: asked to over the wire", name)

    def _missing(self, name: str, version: int) -> IndexEntry:
        if self._manager.loading.get(name) == version:
            return IndexEntry(name, version, LOADING, "being loaded")
        if name in self._manager.dropped:
            return IndexEntry(name, version, UNAVAILABLE, "unloaded")
        return IndexEntry(name, version, UNAVAILABLE, "not loaded; the server's log says why")
