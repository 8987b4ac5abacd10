"""`unisono gc`."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

from cyclopts import Parameter, validators

from model_store.errors import EnsembleNotFoundError
from model_store.garbage import Garbage, collect, surplus
from model_store.store import Store

from . import tables
from .main import EXIT_DONE
from .options import DEFAULT_STORE, OutputOption, StoreOption
from .user import user_name

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
    keep: Annotated[
        int | None,
        Parameter(
            validator=validators.Number(gte=1),
            help="Retire all versions but so many of the newest, the current one and those with a label; "
            "their bytes go with a gc that runs when the grace is over.",
        ),
    ] = None,
    dry_run: Annotated[bool, Parameter(negative=(), help="Only say what would go.")] = False,
    store: StoreOption = DEFAULT_STORE,
    output_format: OutputOption = "table",
) -> int:
    """Clear away what no version needs: bytes and temp files of publishes that came to nothing.

    Nothing that a published version names is touched, unless that was retired; if it can't be known,
    nothing is.
    """
    opened = Store.open(store)
    grace = timedelta(hours=grace_hours)
    names = opened.begun()
    if name is not None and name not in names:
        raise EnsembleNotFoundError(
            f"nothing was ever put for {name!r} in {opened.address!r}; it holds {names}"
        )
    chosen = names if name is None else [name]
    retired = (
        [] if keep is None else [pair for each in chosen for pair in _retire(opened, each, keep, dry_run)]
    )
    found = [
        (each, garbage)
        for each in chosen
        for garbage in collect(opened.layout(each), opened.clock(), grace, dry_run=dry_run)
    ]
    if output_format == "json":
        _print_json(found, retired, dry_run=dry_run)
    else:
        _print(found, retired, dry_run=dry_run)
    return EXIT_DONE


def _retire(store: Store, name: str, keep: int, dry_run: bool) -> list[tuple[str, int]]:
    """Retire what is too many; return the versions, each with the ensemble's name."""
    versions = surplus(store.layout(name).entries.history(), keep)
    for version in [] if dry_run else versions:
        store.retire(name, version, by=user_name(), why=f"gc --keep {keep}")
    return [(name, version) for version in versions]


def _print_json(
    found: Sequence[tuple[str, Garbage]], retired: Sequence[tuple[str, int]], *, dry_run: bool
) -> None:
    """Print one object for programs."""
    files = [{"name": name, "path": garbage.where, "size": garbage.size} for name, garbage in found]
    total = sum(garbage.size for _, garbage in found)
    versions = [{"name": name, "version": version} for name, version in retired]
    tables.print_json({"dry_run": dry_run, "retired": versions, "files": files, "bytes": total})


def _print(
    found: Sequence[tuple[str, Garbage]], retired: Sequence[tuple[str, int]], *, dry_run: bool
) -> None:
    """Print what went, or would go."""
    for name, version in retired:
        print(f"{name}: {'would retire' if dry_run else 'retired'} version {version}")
    for name, garbage in found:
        print(f"{name}: {garbage.name}, {tables.size(garbage.size)}")
    total = tables.size(sum(garbage.size for _, garbage in found))
    print(f"{'would remove' if dry_run else 'removed'} {len(found)} files, {total}")
