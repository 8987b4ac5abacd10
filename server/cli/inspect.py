"""`unisono inspect`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from ensemble.truth import truth_of
from model_store.journal import Entry
from model_store.manifest import Manifest, MemberRecord
from model_store.store import Store

from . import evidence, tables
from .main import EXIT_DONE
from .options import DEFAULT_STORE, Measure, OutputOption, ReportOption, StoreOption

CLASSES_SHOWN = 12


def inspect(  # noqa: PLR0913 - one parameter an option
    name: str,
    *,
    version: Annotated[int | None, Parameter(help="Which version; the current one if left out.")] = None,
    runtimes: Annotated[
        bool,
        Parameter(negative="", help="Say how each member is run fastest here; measure it if need be."),
    ] = False,
    measure: Annotated[Measure, Parameter(name="*")] = Measure(),  # noqa: B008 - frozen
    report: ReportOption = None,
    store: StoreOption = DEFAULT_STORE,
    output_format: OutputOption = "table",
) -> int:
    """Show one version of an ensemble: its members, how much each counts, and what that rests on."""
    opened = Store.open(store)
    manifest = opened.manifest(name, version)
    weights = opened.weights(manifest)
    if report is not None:
        _report(opened, manifest, weights, report)
    if runtimes:
        return _inspect_runtimes(opened, manifest, measure, output_format)
    shown = _as_json(opened, manifest, weights)
    if output_format == "json":
        tables.print_json(shown)
    else:
        _print(tables.console(), manifest, weights, shown)
    return EXIT_DONE


def _inspect_runtimes(store: Store, manifest: Manifest, measure: Measure, output_format: str) -> int:
    from . import runtimes_report  # noqa: PLC0415 - heavy: it opens every member

    found = runtimes_report.measured(store, manifest, measure)
    if output_format == "json":
        tables.print_json(runtimes_report.as_json(found))
    else:
        runtimes_report.print_found(found)
    return EXIT_DONE


def _report(store: Store, manifest: Manifest, weights: Mapping[str, float], path: Path) -> None:
    from .reporting import content, write  # noqa: PLC0415 - heavy: only where a report is asked for

    published = _published(store.entries(manifest.ensemble), manifest.version)
    write.writer(path)(content.of_version(manifest, weights, published))


def _as_json(store: Store, manifest: Manifest, weights: Mapping[str, float]) -> dict[str, Any]:
    """Return the object that `-o json` prints."""
    name, version = manifest.ensemble, manifest.version
    published = _published(store.entries(name), version)
    return {
        "name": name,
        "version": version,
        "current": version == store.current(name),
        "labels": sorted(label for label, target in store.labels(name).items() if target == version),
        "parent": manifest.parent,
        "published": {"seq": published.seq, "at": published.at, "by": published.by, "why": published.why},
        "manifest_sha256": published.manifest_sha256,
        "classes": list(manifest.classes),
        "truth": str(truth_of(record.output for record in manifest.members)),
        "signature": manifest.signature,
        "members": {member.name: _member_json(member) for member in manifest.members},
        "weights": dict(weights),
        "pool": manifest.pool,
        "evidence": manifest.evidence,
    }


def _published(entries: list[Entry], version: int) -> Entry:
    """Return the entry that published `version`."""
    return next(entry for entry in entries if entry.op == "publish" and entry.version == version)


def _member_json(member: MemberRecord) -> dict[str, Any]:
    """Return what `-o json` says of one member."""
    return {
        "digest": member.digest,
        "size": member.blob.size,
        "format": member.format,
        "signature": member.signature,
        "output": member.output.to_json(),
        "inputs": dict(member.inputs),
        "derived": {
            name: {"digest": made.blob.digest, "size": made.blob.size, "parity": made.parity}
            for name, made in member.derived.items()
        },
    }


def _print(
    console: Console, manifest: Manifest, weights: Mapping[str, float], shown: Mapping[str, Any]
) -> None:
    """Print the version for people."""
    state = ", ".join((["current"] if shown["current"] else []) + shown["labels"])
    title = Text(f"{manifest.ensemble} ", style="bold").append(
        f"version {manifest.version}", style="bold cyan"
    )
    console.print(title.append(f"  {state}" if state else "", style="green"))
    facts = tables.table("", "")
    facts.show_header = False
    for fact, text in _facts(manifest, shown):
        facts.add_row(Text(fact, style="dim"), Text(text))
    console.print(facts)
    _print_members(console, manifest, weights)
    names = [member.name for member in _heaviest_first(manifest, weights)]
    for made in (evidence.measured(manifest.evidence, names), evidence.recorded(manifest.evidence, names)):
        if made is not None:
            console.print(made)


def _facts(manifest: Manifest, shown: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is said above the members."""
    published = shown["published"]
    yield "published", f"{tables.when(published['at'])} by {published['by']}, entry {published['seq']}"
    if published["why"]:
        yield "why", published["why"]
    yield "parent", "none" if manifest.parent is None else f"version {manifest.parent}"
    yield "pool", ", ".join(f"{key} {tables.number(value)}" for key, value in manifest.pool.items())
    if manifest.classes:
        more = ", ..." if len(manifest.classes) > CLASSES_SHOWN else ""
        truth = truth_of(record.output for record in manifest.members)
        yield f"{len(manifest.classes)} {truth}", ", ".join(manifest.classes[:CLASSES_SHOWN]) + more
    for kind in ("inputs", "outputs"):
        yield kind, tables.tensors(manifest.signature.get(kind, []))


def _print_members(console: Console, manifest: Manifest, weights: Mapping[str, float]) -> None:
    """Print the members, heaviest first."""
    rows = tables.table(
        "member", "weight", "", "format", "digest", "size", "agreement", numbers=("weight", "size")
    )
    for member in _heaviest_first(manifest, weights):
        weight = weights[member.name]
        rows.add_row(
            Text(member.name, style="bold" if weight > 0 else "dim"),
            Text(f"{weight:.4f}" if weight > 0 else "0"),
            tables.bar(weight),
            Text(" -> ".join((member.format, *member.derived))),
            Text(tables.short(member.digest), style="dim"),
            Text(tables.size(member.blob.size)),
            Text(_agreement(member), style="dim"),
        )
    console.print(rows)


def _heaviest_first(manifest: Manifest, weights: Mapping[str, float]) -> list[MemberRecord]:
    return sorted(manifest.members, key=lambda member: (-weights[member.name], member.name))


def _agreement(member: MemberRecord) -> str:
    """Say how well what runs agrees with what was published."""
    errors = [
        made.parity["max_abs_error"] for made in member.derived.values() if "max_abs_error" in made.parity
    ]
    return f"within {tables.number(max(errors))}" if errors else ""
