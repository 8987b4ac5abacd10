"""`unisono diff`."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from ensemble.decimals import fixed
from model_store.manifest import Manifest
from model_store.store import Store

from . import tables
from .main import EXIT_DONE
from .options import DEFAULT_STORE, OutputOption, StoreOption

# The figures of a version's evidence that are set side by side, beside the loss: where they lie, and what
# they are called. Values have others than classes and labels.
OF_CLASSES = {"accuracy": "accuracy", "calibration_error": "calibration error"}
OF_VALUES = {"mean_absolute_error": "MAE", "r_squared": "R²"}


def diff(
    name: str,
    a: Annotated[int, Parameter(help="The version to start from.")],
    b: Annotated[int, Parameter(help="The version to compare with it.")],
    *,
    store: StoreOption = DEFAULT_STORE,
    output_format: OutputOption = "table",
) -> int:
    """Show what changed from version A to version B: members by digest, weights, pool, recorded losses."""
    opened = Store.open(store)
    shown = difference(opened, opened.manifest(name, a), opened.manifest(name, b))
    if output_format == "json":
        tables.print_json(shown)
    else:
        _print(tables.console(), shown)
    return EXIT_DONE


def difference(store: Store, before: Manifest, after: Manifest) -> dict[str, Any]:
    """Return the object that `-o json` prints. Of whatever only one version has, the other's is null."""
    weights = store.weights(before), store.weights(after)
    return {
        "name": before.ensemble,
        "versions": {"before": before.version, "after": after.version},
        "members": _members(before.digests, after.digests),
        "weights": {
            name: {
                **_pair(weights[0].get(name), weights[1].get(name)),
                "change": weights[1].get(name, 0.0) - weights[0].get(name, 0.0),
            }
            for name in sorted(weights[0] | weights[1])
        },
        "pool": _pair(before.pool, after.pool),
        "classes": _pair(list(before.classes), list(after.classes)),
        "data": {
            part: _pair(_data(before.evidence, part), _data(after.evidence, part))
            for part in _parts(before, after)
        },
        "loss": _pair(_loss(before.evidence), _loss(after.evidence)),
        "evidence": {
            part: {
                measure: _pair(
                    _figure(before.evidence, part, measure), _figure(after.evidence, part, measure)
                )
                for measure in ("losses", *_beside(before, after, part))
            }
            for part in _parts(before, after)
        },
    }


def _members(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, Any]:
    """Tell members apart: a name with other bytes is changed, bytes under another name are renamed."""
    added = {name: digest for name, digest in after.items() if name not in before}
    removed = {name: digest for name, digest in before.items() if name not in after}
    renamed: dict[str, str] = {}
    for name, digest in removed.items():
        new = next(
            (other for other, same in added.items() if same == digest and other not in renamed.values()), None
        )
        if new is not None:
            renamed[name] = new
    both = sorted(before.keys() & after.keys())
    return {
        "added": {name: digest for name, digest in added.items() if name not in renamed.values()},
        "removed": {name: digest for name, digest in removed.items() if name not in renamed},
        "changed": {name: _pair(before[name], after[name]) for name in both if before[name] != after[name]},
        "renamed": renamed,
        "same": [name for name in both if before[name] == after[name]],
    }


def _pair(before: Any, after: Any) -> dict[str, Any]:
    return {"before": before, "after": after}


def _parts(*manifests: Manifest) -> list[str]:
    """Return the datasets that either version's evidence was measured on."""
    return [part for part in ("validation", "test") if any(_data(each.evidence, part) for each in manifests)]


def _data(evidence: Mapping[str, Any], part: str) -> Any:
    measured = evidence.get(part)
    return measured.get("data") if isinstance(measured, Mapping) else None


def _loss(evidence: Mapping[str, Any]) -> str | None:
    """Return what the recorded losses are called; null if there are none."""
    measured = evidence.get("validation", evidence.get("test"))
    return measured.get("loss", "log-loss") if isinstance(measured, Mapping) else None


def _beside(before: Manifest, after: Manifest, part: str) -> Mapping[str, str]:
    """Return what is told beside the loss: of values if either version's evidence is of these."""
    of_values = any(OF_VALUES.keys() & each.evidence.get(part, {}).keys() for each in (before, after))
    return OF_VALUES if of_values else OF_CLASSES


def _figure(evidence: Mapping[str, Any], part: str, measure: str) -> Any:
    """Return what the version's own weights measured; null if that wasn't recorded, or is infinite."""
    measured = evidence.get(part)
    values = measured.get(measure) if isinstance(measured, Mapping) else None
    return values.get("learned") if isinstance(values, Mapping) else None


def _print(console: Console, shown: Mapping[str, Any]) -> None:
    """Print the difference for people."""
    versions = shown["versions"]
    title = Text(f"{shown['name']} ", style="bold")
    console.print(title.append(f"version {versions['before']} -> {versions['after']}", style="bold cyan"))
    for line in _member_lines(shown["members"]):
        console.print(line)
    for what in ("pool", "classes"):
        before, after = shown[what]["before"], shown[what]["after"]
        if before != after:
            console.print(Text(f"{what}: {_said(before)} -> {_said(after)}", style="yellow"))
    _print_weights(console, shown)
    _print_evidence(console, shown)


def _member_lines(members: Mapping[str, Any]) -> Iterator[Text]:
    for name, digest in members["added"].items():
        yield Text(f"+ {name}  {tables.short(digest)}", style="green")
    for name, digest in members["removed"].items():
        yield Text(f"- {name}  {tables.short(digest)}", style="red")
    for name, pair in members["changed"].items():
        yield Text(
            f"~ {name}  {tables.short(pair['before'])} -> {tables.short(pair['after'])}", style="yellow"
        )
    for name, new in members["renamed"].items():
        yield Text(f"= {name} is called {new} now", style="yellow")
    if not any(members[kind] for kind in ("added", "removed", "changed", "renamed")):
        yield Text("the same members, byte for byte", style="dim")


def _print_weights(console: Console, shown: Mapping[str, Any]) -> None:
    """Print the weights side by side, the heaviest after first, and then what moved in all."""
    rows = tables.table(
        "member", "before", " ", "after", "  ", "change", numbers=("before", "after", "change")
    )
    weights = shown["weights"]
    for name in sorted(weights, key=lambda name: (-(weights[name]["after"] or 0.0), name)):
        before, after, change = (weights[name][key] for key in ("before", "after", "change"))
        rows.add_row(
            Text(name, style="bold" if after else "dim"),
            Text(_weight(before), style="dim"),
            tables.bar(before or 0.0),
            Text(_weight(after)),
            tables.bar(after or 0.0),
            Text(f"{change:+.4f}" if change else "", style="green" if change > 0 else "red"),
        )
    console.print(rows)
    moved = sum(abs(pair["change"]) for pair in weights.values())
    console.print(Text(f"The weights moved by {moved:.4f} in all." if moved else "The weights are the same."))


def _print_evidence(console: Console, shown: Mapping[str, Any]) -> None:
    rows = tables.table("measured", "before", "after", "change", numbers=("before", "after", "change"))
    losses = dict.fromkeys(name for name in shown["loss"].values() if name is not None)
    titles = {"losses": " -> ".join(losses), **OF_CLASSES, **OF_VALUES}
    for part, measures in shown["evidence"].items():
        for measure, pair in measures.items():
            before, after, title = pair["before"], pair["after"], titles[measure]
            # Losses of two kinds can't be compared.
            known = None not in (before, after) and not (measure == "losses" and len(losses) > 1)
            change = fixed(after - before, signed=True) if known else ""
            rows.add_row(Text(f"{part} {title}"), _measured(before), _measured(after), Text(change))
    if not rows.row_count:
        console.print(Text("Neither version records what its weights rest on.", style="dim"))
        return
    console.print(rows)
    versions = shown["versions"]
    for part, data in shown["data"].items():
        console.print(Text(_about_data(part, data, versions), style="dim"))


def _about_data(part: str, data: Mapping[str, Any], versions: Mapping[str, int]) -> str:
    before, after = data["before"], data["after"]
    if before is None or after is None:
        return (
            f"Only version {versions['after' if before is None else 'before']} was measured on {part} rows."
        )
    if before == after:
        return f"Both were measured on the same {after['rows']:,} {part} rows."
    rows = f"{before['rows']:,} and {after['rows']:,}"
    return (
        f"The {part} rows are different files ({rows} rows): these figures can't be compared with each other."
    )


def _weight(weight: float | None) -> str:
    if weight is None:
        return "-"
    return f"{weight:.4f}" if weight > 0 else "0"


def _measured(value: Any) -> Text:
    return Text(fixed(value) if isinstance(value, float | int) else "-")


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {tables.number(part)}" for key, part in value.items())
    return ", ".join(value)
