"""A publisher to race others and to be killed: `publish_often STORE WHO TIMES HISTORY`.

Publishes `digits` until TIMES publishes came through, each with an id of its own. To HISTORY it
adds a line when it asks and a line when it is told; started again, it reads there what it was told, and
asks again for what it wasn't.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from model_store.errors import ConflictError
from model_store.store import Store
from tests.model_store.drafts import draft_in


def main() -> None:
    """Publish; killed at any time, it goes on where it was."""
    root, who, times, history = sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
    told = {line["id"] for line in lines(history) if "seq" in line}
    descriptor = os.open(history, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    store = Store.open(root)
    # Each publisher's weights are its own, so that a version tells whose it is.
    share = (1 + int(who)) / 16
    draft = draft_in(store, weights={"forest": share, "sepconv": 1 - share})
    for number in range(times):
        publish_id = f"p{who}-{number}"
        while publish_id not in told:
            note(descriptor, id=publish_id, at=time.monotonic_ns())
            try:
                entry = store.publish("digits", draft, by=who, why="race", publish_id=publish_id)
            except ConflictError:
                note(descriptor, lost=publish_id)
                continue
            head = store.head("digits")
            assert head is not None
            note(descriptor, id=publish_id, seq=entry.seq, head=head.seq, at=time.monotonic_ns())
            told.add(publish_id)


def note(descriptor: int, **said: object) -> None:
    """Add one line to the history, in one write: a kill can't split it."""
    os.write(descriptor, json.dumps(said).encode() + b"\n")


def lines(history: Path) -> list[dict[str, Any]]:
    """Read a history."""
    return [json.loads(line) for line in history.read_text().splitlines()] if history.exists() else []


if __name__ == "__main__":
    main()
