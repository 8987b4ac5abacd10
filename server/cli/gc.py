"""`unisono gc`."""

from datetime import timedelta
from typing import Annotated

from cyclopts import Parameter, validators

from model_store.errors import EnsembleNotFoundError
from model_store.garbage import Garbage, collect
from model_store.store import Store

from . import tables
from .main import EXIT_DONE
from .options import DEFAULT_STORE, OutputOption, StoreOption

DEFAULT_GRACE_HOURS = 24.0


def gc(
    name: Annotated[str | None, Parameter(help="Which ensemble; all of them if left out.")] = None,
    *,
    grace_hours: Annotated[
        float,
        Parameter(
            validator=validators.Number(gte=0),
            help="Leave what is younger: a publish under way has bytes that no version names yet.",
        ),
    ] = DEFAULT_GRACE_HOURS,
    dry_run: Annotated[bool, Parameter(negative=(), help="Only say what would go.")] = False,
    store: StoreOption = DEFAULT_STORE,
    output_format: OutputOption = "table",
) -> int:
    """Clear away what no version needs: bytes and temp files of publishes that came to nothing.

    Nothing that a published version names is touched; if that can't be known, nothing is.
    """
    opened = Store.open(store)
    grace = timedelta(hours=grace_hours)
    names = opened.begun()
    if name is not None and name not in names:
        raise EnsembleNotFoundError(
            f"nothing was ever put for {name!r} in {opened.address!r}; it holds {names}"
        )
    found = [
        (each, garbage)
        for each in (names if name is None else [name])
        for garbage in collect(opened.layout(each), opened.clock(), grace, dry_run=dry_run)
    ]
    if output_format == "json":
        _print_json(found, dry_run=dry_run)
    else:
        _print(found, dry_run=dry_run)
    return EXIT_DONE


def _print_json(found: list[tuple[str, Garbage]], *, dry_run: bool) -> None:
    """Print one object for programs."""
    files = [{"name": name, "path": str(garbage.path), "size": garbage.size} for name, garbage in found]
    tables.print_json({"dry_run": dry_run, "files": files, "bytes": sum(row.size for _, row in found)})


def _print(found: list[tuple[str, Garbage]], *, dry_run: bool) -> None:
    """Print what went, or would go."""
    for name, garbage in found:
        print(f"{name}: {garbage.path.name}, {tables.size(garbage.size)}")
    total = tables.size(sum(garbage.size for _, garbage in found))
    print(f"{'would remove' if dry_run else 'removed'} {len(found)} files, {total}")
