"""`unisono rollback`."""

from typing import Annotated

from cyclopts import Parameter

from model_store.store import Store

from .main import EXIT_DONE
from .options import DEFAULT_STORE, ExpectOption, StoreOption
from .user import user_name


def rollback(
    name: str,
    version: int,
    *,
    why: Annotated[str, Parameter(help="The reason, for the journal.")] = "",
    by: Annotated[
        str | None, Parameter(help="Who does it, for the journal; the login name if left out.")
    ] = None,
    expect_seq: ExpectOption = None,
    store: StoreOption = DEFAULT_STORE,
) -> int:
    """Make an older version the current one again. Running servers take it up; nothing is deleted."""
    entry = Store.open(store).rollback(name, version, by=by or user_name(), why=why, expect_seq=expect_seq)
    print(f"{name}: version {version} is current again, version {entry.prev} was (journal entry {entry.seq})")
    return EXIT_DONE
