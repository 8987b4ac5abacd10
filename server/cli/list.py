"""`unisono list`."""

from .options import DEFAULT_STORE, OutputOption, StoreOption


def list_ensembles(*, store: StoreOption = DEFAULT_STORE, output_format: OutputOption = "table") -> int:
    """List the ensembles in the store."""
    print(store, output_format)
    return 0
