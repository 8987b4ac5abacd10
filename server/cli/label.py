"""`unisono label`."""

from typing import Annotated

from cyclopts import Parameter

from model_store.store import Store

from .main import EXIT_DONE
from .options import DEFAULT_STORE, StoreOption
from .user import user_name


def label(
    name: str,
    label: str,
    version: int,
    *,
    why: Annotated[str, Parameter(help="The reason, for the journal.")] = "",
    by: Annotated[
        str | None, Parameter(help="Who does it, for the journal; the login name if left out.")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
) -> int:
    """Point LABEL, such as `stable`, at a version, in one step, wherever it pointed before.

    What is current stays so. A version with a label is kept by `unisono gc --keep`.
    """
    entry = Store.open(store).label(name, label, version, by=by or user_name(), why=why)
    print(f"{name}: {label} is version {version} (journal entry {entry.seq})")
    return EXIT_DONE
