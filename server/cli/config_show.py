"""`unisono config show`."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, ArgumentCollection, Parameter
from rich.text import Text

from server.config import ServeSettings, flag

from . import tables
from .main import EXIT_DONE, application
from .options import DEFAULT_STORE, OutputOption

# Where cyclopts says that a value came from, in our words; of a file it says the path.
_SOURCES = {"cli": "flag", "env": "environment"}


def show(
    *flags: Annotated[str, Parameter(allow_leading_hyphen=True, help="Flags, as `serve` would be given.")],
    output_format: OutputOption = "table",
) -> int:
    """Show every setting of `unisono serve`: its value, and where it came from.

    A flag beats the environment, which beats the file, which beats the default. Settings that `serve`
    would refuse are refused here with the same words: exit code 1.
    """
    sources: dict[str, str] = {}

    def note(_app: App, _commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        sources.update((argument.name, _source(argument.tokens)) for argument in arguments if argument.tokens)

    app = application()
    # Asked after all that can give a value, it sees what each argument ended up with.
    app.config = (*app.config, note)
    _, bound, _ = app.parse_args(["serve", *flags], exit_on_error=False)
    values = {
        "--store": bound.arguments.get("store", DEFAULT_STORE),
        **_values(bound.arguments.get("settings", ServeSettings())),
    }
    rows = [{"setting": name, "value": values[name], "from": sources.get(name, "default")} for name in values]
    if output_format == "json":
        tables.print_json({"settings": rows})
    else:
        _print_table(rows)
    return EXIT_DONE


def _values(settings: ServeSettings) -> dict[str, Any]:
    """Return the settings as flags and values that JSON has."""
    values = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    return {flag(name): str(value) if isinstance(value, Path) else value for name, value in values.items()}


def _source(tokens: Iterable[Any]) -> str:
    """Say where an argument's tokens came from; a variable is named, since several can set one setting."""
    token = next(iter(tokens))
    where = _SOURCES.get(token.source, token.source)
    return f"{where} {token.keyword}" if token.source == "env" else where


def _print_table(rows: list[dict[str, Any]]) -> None:
    made = tables.table("setting", "value", "from")
    for row in rows:
        value, where = row["value"], row["from"]
        shown = ", ".join(value) if isinstance(value, tuple) else "" if value is None else str(value)
        made.add_row(row["setting"], shown, Text(where, style="dim" if where == "default" else "bold"))
    tables.console().print(made)
