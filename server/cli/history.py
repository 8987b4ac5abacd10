"""`unisono history`."""

from dataclasses import asdict

from rich.text import Text

from model_store.journal import Entry
from model_store.store import Store

from . import tables
from .main import EXIT_DONE
from .options import DEFAULT_STORE, OutputOption, StoreOption


def history(name: str, *, store: StoreOption = DEFAULT_STORE, output_format: OutputOption = "table") -> int:
    """Show the journal of an ensemble, newest entry first: what was done, when, by whom and why."""
    opened = Store.open(store)
    current = opened.current(name)
    entries = opened.entries(name)
    if output_format == "json":
        shown = [asdict(entry) for entry in reversed(entries)]
        tables.print_json({"name": name, "current": current, "entries": shown})
        return EXIT_DONE
    rows = tables.table("entry", "when", "what", "current", "by", "why", numbers=("entry", "current"))
    for entry in reversed(entries):
        newest = entry is entries[-1]
        rows.add_row(
            Text(str(entry.seq)),
            Text(tables.when(entry.at)),
            Text(_what(entry)),
            Text(str(entry.current), style="bold green" if newest else "dim"),
            Text(entry.by),
            Text(entry.why),
        )
    tables.console().print(rows)
    return EXIT_DONE


def _what(entry: Entry) -> str:
    """Say what an entry did."""
    if entry.op == "label":
        return f"label {entry.label} on version {entry.version}"
    return f"{entry.op} {'to ' if entry.op == 'rollback' else ''}version {entry.version}"
