"""Which version each label of an ensemble means, as of the last look at the store."""

from collections.abc import Callable, Mapping


class Labels:
    """Remembers what `read` gave, so that a request never waits for the store.

    Refreshed on the watcher's thread and asked on the event loop: each refresh replaces one reference.
    """

    def __init__(self, read: Callable[[str], Mapping[str, int]]) -> None:
        self._read = read
        self._by_name: dict[str, Mapping[str, int]] = {}

    def refresh(self, name: str) -> None:
        """Read the labels of the ensemble `name` anew; raises what reading raises, and keeps the old ones."""
        self._by_name[name] = dict(self._read(name))

    def of(self, model: str) -> Mapping[str, int]:
        """Return label -> version of an ensemble or of its member NAME.member; empty for what is unknown."""
        return self._by_name.get(model.partition(".")[0], {})
