"""What `unisono inspect --runtimes` shows: how the members are run on this machine, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from ensemble.runtimes.batch_size import BatchSize
from ensemble.runtimes.choice import Choice
from ensemble.runtimes.measurements import Measurements, cache_folder
from ensemble.runtimes.merged import Merger, Merging, mergeable
from ensemble.runtimes.opening import opener
from model_store.manifest import Manifest
from model_store.store import Store

from . import tables
from .options import Measure

MILLISECONDS = 1e3


@dataclass(frozen=True, slots=True)
class Found:
    """The plan of each member; of all together, if some can be merged; and how large a batch should be."""

    choices: Mapping[str, Choice]
    merging: Merging | None
    batch: BatchSize


def measured(store: Store, manifest: Manifest, measure: Measure) -> Found:
    """Return what `serve` with the same settings goes by: what is kept, or what is measured now."""
    from ensemble.loading.load import (  # noqa: PLC0415 - heavy
        Batches,
        Runtimes,
        load_servable,
        source_of,
    )

    measurements = Measurements(measure.cache_dir or cache_folder())
    open_member = opener(measure.runtime, measurements, try_tensorflow=measure.try_tensorflow)
    name, threads, merger = manifest.ensemble, measure.threads, Merger(measurements, measure.threads)
    batches, runtimes = Batches(measurements), Runtimes(open_member, merger)
    servable = load_servable(store, name, manifest.version, threads=threads, runtimes=runtimes)
    sources = {record.name: source_of(store, name, record) for record in manifest.members}
    fit = mergeable(servable.voters)
    return Found(
        {member: open_member.choice(source, threads) for member, source in sources.items()},
        merger.merging(fit, sources) if len(fit) > 1 else None,
        batches.of(servable, sources, threads),
    )


def as_json(found: Found) -> dict[str, Any]:
    """Return what `-o json` says."""
    return {
        "members": {member: choice.to_json() for member, choice in found.choices.items()},
        "merging": None if found.merging is None else found.merging.to_json(),
        "max_batch_size": found.batch.to_json(),
    }


def print_found(found: Found) -> None:
    """Print a line for each member and plan, the chosen one marked, and what merging came to."""
    sizes = sorted(
        {size for choice in found.choices.values() for c in choice.candidates for size in c.seconds}
    )
    timed = [f"{size} rows, ms" if size > 1 else "1 row, ms" for size in sizes]
    shown = tables.table("member", "runtime", "threads", *timed, "error", "", numbers=(*timed, "error"))
    for member, choice in found.choices.items():
        for tried in sorted(choice.candidates, key=lambda tried: tried.plan):
            chosen = tried.plan == choice.plan
            seconds = [tried.seconds.get(size) for size in sizes]
            shown.add_row(
                Text(member),
                Text(tried.plan.runtime, style="bold" if chosen else "dim"),
                Text(str(tried.plan.threads)),
                *(Text("" if value is None else f"{value * MILLISECONDS:.3f}") for value in seconds),
                Text(tables.number(tried.max_error)),
                Text(tried.refused or ("chosen" if chosen else "")),
            )
    tables.console().print(shown)
    if found.merging is not None:
        _print_merging(found.merging)
    _print_batches(found.batch)


def _print_batches(batch: BatchSize) -> None:
    shown = tables.table("rows in a batch", "ms", "rows/s", "", numbers=("rows in a batch", "ms", "rows/s"))
    for size, seconds in batch.seconds.items():
        chosen = Text("chosen" if size == batch.rows else "")
        shown.add_row(
            Text(str(size)), Text(f"{seconds * MILLISECONDS:.3f}"), Text(f"{size / seconds:,.0f}"), chosen
        )
    tables.console().print(shown)


def _print_merging(merging: Merging) -> None:
    sizes = sorted(next(iter(merging.seconds.values()), {}))
    timed = [f"{size} rows, ms" if size > 1 else "1 row, ms" for size in sizes]
    shown = tables.table("members of onnxruntime", *timed, "", numbers=tuple(timed))
    for threads, by_size in merging.seconds.items():
        plan = f"one graph, threads: {threads}" if threads else "one after another"
        chosen = "chosen: " + ", ".join(merging.names) if threads else "chosen"
        shown.add_row(
            Text(plan),
            *(Text(f"{by_size[size] * MILLISECONDS:.3f}") for size in sizes),
            Text(chosen if threads == merging.threads else ""),
        )
    tables.console().print(shown)
