"""How the evidence of a version looks: what was measured, as a table; whatever else was recorded, as lines.

Evidence is free JSON, so nothing here is sure to be there. A *measure* is any object with a figure for each
member under "members", beside figures for whole weightings: that is how a refit records losses and accuracy.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from rich.table import Table
from rich.text import Text

from ensemble.decimals import fixed
from model_store.names import is_digest

from . import tables

# What the table shows, in this order; the other measures are in `-o json`.
SHOWN = (
    ("losses", "log-loss"),
    ("accuracy", "accuracy"),
    ("mean_absolute_error", "MAE"),
    ("r_squared", "R²"),
)
# Tables of their own, too long for a terminal: `--report` draws them, `-o json` has them.
DRAWN = frozenset({"figures", "parts", "slices", "without"})
WEIGHTINGS = (
    ("uniform", "uniform"),
    ("best_single", "best single"),
    ("incumbent", "served before"),
    ("learned", "learned"),
)


def measured(evidence: Mapping[str, Any], members: list[str]) -> Table | None:
    """Return the table of what was measured, members above weightings; None if nothing was."""
    columns = list(_columns(evidence, members))
    if not columns:
        return None
    titles = tuple(title for title, _ in columns)
    made = tables.table("measured", *titles, numbers=titles)
    for name in members:
        made.add_row(Text(name), *(_figure(values["members"][name]) for _, values in columns))
    made.add_section()
    for key, title in WEIGHTINGS:
        style = "bold" if key == "learned" else ""
        if any(key in values for _, values in columns):
            made.add_row(
                Text(title, style=style), *(_figure(values.get(key), style) for _, values in columns)
            )
    return made


def recorded(evidence: Mapping[str, Any], members: list[str]) -> Table | None:
    """Return the table of all that is no measure, a line for each innermost object; None if there is none."""
    told = {key: value for key, value in evidence.items() if key not in DRAWN}
    lines = [(key, text) for key, value in _lines(told, "", members) if (text := _text(value))]
    made = tables.table("recorded", "")
    for key, text in lines:
        made.add_row(Text(key, style="dim"), Text(text))
    return made if lines else None


def _columns(evidence: Mapping[str, Any], members: list[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield title and figures of each measure that is shown, those of validation first."""
    for part, inner in sorted(evidence.items(), key=lambda item: item[0] != "validation"):
        for key, title in SHOWN:
            values = inner.get(key) if isinstance(inner, Mapping) else None
            if _is_measure(values, members):
                # Losses of values say of which kind they are.
                named = inner.get("loss", title) if key == "losses" else title
                yield f"{part} {named}", values


def _is_measure(value: object, members: list[str]) -> TypeGuard[Mapping[str, Any]]:
    """Whether `value` has a figure for each of the members."""
    figures = value.get("members") if isinstance(value, Mapping) else None
    return isinstance(figures, Mapping) and set(members) <= set(figures)


def _figure(value: Any, style: str = "") -> Text:
    """Write one figure of a measure; that of the best single member comes with its name."""
    if isinstance(value, Mapping):
        return _figure(value.get("loss"), style)
    return Text(fixed(value) if isinstance(value, float | int) else "-", style=style)


def _lines(value: Mapping[str, Any], above: str, members: list[str]) -> Iterator[tuple[str, Any]]:
    """Yield what is not a measure: single values, and whole objects that hold nothing but single values."""
    for key, inner in value.items():
        if not isinstance(inner, Mapping) or not any(isinstance(part, Mapping) for part in inner.values()):
            yield f"{above}{key}", inner
        elif not _is_measure(inner, members):
            yield from _lines(inner, f"{above}{key}.", members)


def _text(value: Any) -> str:
    """Write a value in one line; nothing for nothing."""
    if isinstance(value, Mapping):
        parts = ((key, _text(part)) for key, part in value.items())
        return ", ".join(f"{key} {text}" for key, text in parts if text)
    if isinstance(value, list):
        return "; ".join(_text(part) for part in value)
    if isinstance(value, str):
        return tables.short(value) if is_digest(value) else value
    return "" if value is None else tables.number(value)
