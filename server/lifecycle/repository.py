"""What is published and what of it is served, for callers that list, load and unload by name."""

import logging
from collections.abc import Callable
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
    """The store as the server sees it. Used on the event loop; `changed` hears of every change it makes."""

    def __init__(self, manager: Manager, watcher: Watcher, changed: Callable[[], None]) -> None:
        self._manager = manager
        self._watcher = watcher
        self._changed = changed

    async def index(self) -> list[IndexEntry]:
        """List what is current of every published ensemble, what else is served, and the members of that."""
        published = await self._watcher.published()
        entries = []
        for name, served in sorted(self._manager.served.items()):
            version = served.servable.version
            models = (name, *(alone.name for alone in served.members.values()))
            entries += [IndexEntry(model, version, READY) for model in models]
        ready = {(entry.name, entry.version) for entry in entries}
        missing = sorted(item for item in published.items() if item not in ready)
        return entries + [self._missing(name, version) for name, version in missing]

    async def load(self, name: str) -> None:
        """Serve the current version of `name` from now on.

        Raises ModelNotFoundError for what isn't published, and what loading raises.
        """
        await self._watcher.load(name)
        self._changed()

    async def unload(self, name: str) -> None:
        """Serve `name` no more, until it is loaded again; ModelNotFoundError for what isn't published."""
        if name not in self._manager.served and name not in await self._watcher.published():
            raise ModelNotFoundError(f"failed to unload '{name}', it is not in the model repository")
        await self._watcher.hold(name)
        self._manager.drop(name)
        self._changed()
        log.info("unloaded %s: asked to over the wire", name)

    def _missing(self, name: str, version: int) -> IndexEntry:
        if self._manager.loading.get(name) == version:
            return IndexEntry(name, version, LOADING, "being loaded")
        if name in self._manager.dropped:
            return IndexEntry(name, version, UNAVAILABLE, "unloaded")
        return IndexEntry(name, version, UNAVAILABLE, "not loaded; the server's log says why")
