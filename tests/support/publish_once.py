"""A publisher as small as it gets, to be killed: `publish_once STORE SHARE`.

Publishes `digits` with SHARE as the forest's weight. Prints nothing: each of its writes is the
store's.
"""

import sys

from model_store.errors import StoreUnavailableError
from model_store.store import Store
from tests.model_store.drafts import draft_in

EXIT_UNAVAILABLE = 3


def main() -> int:
    """Publish once; EXIT_UNAVAILABLE if the store says that it can't."""
    root, share = sys.argv[1], float(sys.argv[2])
    store = Store.open(root)
    try:
        draft = draft_in(store, weights={"forest": share, "sepconv": 1 - share})
        store.publish("digits", draft, by="ann", why="because")
    except StoreUnavailableError:
        return EXIT_UNAVAILABLE
    return 0


if __name__ == "__main__":
    sys.exit(main())
