"""What `unisono inspect --runtimes` shows: which runtime each member gets on this machine, and why."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.text import Text

from ensemble.runtimes.choice import Choice, Chooser, cache_folder, installed
from model_store.manifest import Manifest, MemberRecord
from model_store.store import Store

from . import tables

MILLISECONDS = 1e3


def choices(store: Store, manifest: Manifest, threads: int) -> dict[str, Choice]:
    """Return the decision for each member: the one that is kept, or a new one."""
    from ensemble.loading.load import served_blob, signature_of  # noqa: PLC0415 - heavy: only when asked for

    chooser = Chooser(installed(), cache_folder())

    def choice(record: MemberRecord, path: Path) -> Choice:
        store.copy_blob(manifest.ensemble, served_blob(record), path)
        return chooser.choice(
            path,
            name=record.name,
            digest=record.digest,
            signature=signature_of(record.signature, f"member {record.name!r}"),
            threads=threads,
        )

    with tempfile.TemporaryDirectory(prefix="unisono-runtimes-") as work:
        return {record.name: choice(record, Path(work) / record.name) for record in manifest.members}


def as_json(found: Mapping[str, Choice]) -> dict[str, Any]:
    """Return what `-o json` says."""
    return {member: choice.to_json() for member, choice in found.items()}


def print_choices(found: Mapping[str, Choice]) -> None:
    """Print a line for each member and runtime, the chosen one marked."""
    sizes = sorted(
        {size for choice in found.values() for c in choice.candidates.values() for size in c.seconds}
    )
    timed = [f"{size} rows, ms" if size > 1 else "1 row, ms" for size in sizes]
    shown = tables.table("member", "runtime", *timed, "error", "", numbers=(*timed, "error"))
    for member, choice in found.items():
        for runtime, tried in sorted(choice.candidates.items()):
            chosen = runtime == choice.runtime
            seconds = [tried.seconds.get(size) for size in sizes]
            shown.add_row(
                Text(member),
                Text(runtime, style="bold" if chosen else "dim"),
                *(Text("" if value is None else f"{value * MILLISECONDS:.3f}") for value in seconds),
                Text(tables.number(tried.max_error)),
                Text(tried.refused or ("chosen" if chosen else "")),
            )
    tables.console().print(shown)
