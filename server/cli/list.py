"""`unisono list`."""

from typing import Any

from rich.text import Text

from model_store.errors import StoreError
from model_store.journal import MOVES
from model_store.store import Store

from . import tables
from .main import EXIT_DONE, EXIT_VERIFY_FAILED
from .options import DEFAULT_STORE, OutputOption, StoreOption


def list_ensembles(*, store: StoreOption = DEFAULT_STORE, output_format: OutputOption = "table") -> int:
    """List the ensembles in the store: the version served, its members, since when and why.

    Exit code 4 if one of them can't be read; the others are listed all the same.
    """
    opened = Store.open(store)
    rows = [_row(opened, name) for name in opened.ensembles()]
    if output_format == "json":
        tables.print_json({"store": opened.address, "ensembles": rows})
    else:
        _print_table(opened, rows)
    return EXIT_VERIFY_FAILED if any("error" in row for row in rows) else EXIT_DONE


def _row(store: Store, name: str) -> dict[str, Any]:
    """Gather what is said about one ensemble; a broken one says so and hides nothing of its neighbours."""
    try:
        manifest = store.manifest(name)
        labels = store.labels(name)
        moved = [entry for entry in store.entries(name) if entry.op in MOVES][-1]
        return {
            "name": name,
            "version": manifest.version,
            "versions": store.versions(name),
            "labels": labels,
            "members": [member.name for member in manifest.members],
            "op": moved.op,
            "at": moved.at,
            "by": moved.by,
            "why": moved.why,
        }
    except StoreError as error:
        return {"name": name, "error": str(error)}


def _print_table(store: Store, rows: list[dict[str, Any]]) -> None:
    """Print the rows for people."""
    console = tables.console()
    if not rows:
        console.print(f"no ensembles in {store.address}; publish one with `unisono publish`")
        return
    made = tables.table(
        "ensemble", "version", "of", "labels", "members", "since", "by", "why", numbers=("version", "of")
    )
    for row in rows:
        made.add_row(*_cells(row))
    console.print(made)


def _cells(row: dict[str, Any]) -> list[Text]:
    """Return one line of the table."""
    name = Text(row["name"], style="bold")
    if "error" in row:
        return [name, *[Text("?")] * 6, Text(row["error"], style="red")]
    labels = ", ".join(f"{label} {version}" for label, version in sorted(row["labels"].items()))
    texts = [row["version"], len(row["versions"]), labels, ", ".join(row["members"])]
    since = tables.when(row["at"]) + (" (rolled back)" if row["op"] == "rollback" else "")
    return [name, *(Text(str(text)) for text in (*texts, since, row["by"], row["why"]))]
