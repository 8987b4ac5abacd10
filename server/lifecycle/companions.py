"""What one server process tells the others that serve the same store on the same port."""

from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from .repository import IndexEntry, Repository
from .watcher import Watcher

LOAD, UNLOAD, LOOK = "load", "unload", "look"
# Does one of these with an ensemble's name.
Perform = Callable[[str, str], Awaitable[None]]


class Companions(Protocol):
    """The other processes. Used on the event loop."""

    @property
    def held(self) -> Collection[str]:
        """The ensembles that callers had unloaded before this process began."""
        ...

    def joined(self, perform: Perform) -> None:
        """Let the others have this process do what they tell."""
        ...

    async def tell(self, what: str, name: str) -> None:
        """Have each of the others do `what`, and wait until it has; what fails there is theirs to log."""
        ...

    def refitting(self) -> AbstractContextManager[None]:
        """Hold the one place there is for a refit; UnavailableError if another process has it."""
        ...


class Alone:
    """No others."""

    held: Collection[str] = ()

    def joined(self, perform: Perform) -> None:
        """Nobody tells anything."""

    async def tell(self, what: str, name: str) -> None:
        """Nobody hears it."""

    def refitting(self) -> AbstractContextManager[None]:
        """Nobody else refits: the refitter itself takes one at a time."""
        return nullcontext()


class SharedRepository:
    """A repository whose loads and unloads are done by every process before the caller hears of it."""

    def __init__(self, own: Repository, watcher: Watcher, companions: Companions) -> None:
        self._own = own
        self._watcher = watcher
        self._companions = companions
        companions.joined(self.perform)

    async def begin(self) -> frozenset[str]:
        """Serve what is published, but for what callers had unloaded; return the names of all of it."""
        for name in self._companions.held:
            await self._own.unload(name)
        return await self._watcher.look()

    async def perform(self, what: str, name: str) -> None:
        """Do what another process tells."""
        if what == LOAD:
            await self._own.load(name)
        elif what == UNLOAD:
            await self._own.unload(name)
        else:
            await self._watcher.look()

    async def index(self) -> list[IndexEntry]:
        """List what is published and what of it is served: the same by every process."""
        return await self._own.index()

    async def load(self, name: str) -> None:
        """Serve the current version of `name` from now on; raise what this process's load raises."""
        await self._own.load(name)
        await self._companions.tell(LOAD, name)

    async def unload(self, name: str) -> None:
        """Serve `name` no more, until it is loaded again; raise what this process's unload raises."""
        await self._own.unload(name)
        await self._companions.tell(UNLOAD, name)

    async def look(self) -> None:
        """See what was published just now."""
        await self._watcher.look()
        await self._companions.tell(LOOK, "")
