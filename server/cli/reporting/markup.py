"""Small pieces of HTML, and how figures are written in them. Everything that comes in as text is escaped."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from ensemble.decimals import fixed

STYLE = Path(__file__).with_name("page.css")

MINUS = "\N{MINUS SIGN}"
UNKNOWN = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table: its cells as text, and which class of row it is."""

    cells: Sequence[str]
    kind: str = ""


def document(title: str, body: str) -> str:
    """Return a whole page around HTML."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n"
        f"<style>\n{STYLE.read_text()}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )


def section(title: str, lead: str, *parts: str) -> str:
    """Return a section with a heading, a line under it, and parts that are HTML already."""
    under = f'<p class="lead">{escape(lead)}</p>' if lead else ""
    return f"<section><h2>{escape(title)}</h2>{under}{''.join(parts)}</section>\n"


def figure(svg: str) -> str:
    """Return a chart as a block of its own."""
    return f"<figure>{svg}</figure>"


def html_table(headings: Sequence[str], rows: Sequence[Row], *, less_is_better: Collection[int] = ()) -> str:
    """Return a table: the first column is text, the others are figures, flush right.

    Changes in the columns `less_is_better` are coloured by their sign.
    """
    head = "".join(f"<th{_right(place)}>{escape(text)}</th>" for place, text in enumerate(headings))
    body = "".join(_row(row, less_is_better) for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>'


def number(value: float | None, *, none: str = UNKNOWN) -> str:
    """Write a figure, zero as such."""
    if value is None:
        return none
    return "0" if value == 0 else fixed(value)


def percent(value: float | None) -> str:
    """Write a share as a percentage."""
    return UNKNOWN if value is None else f"{100 * value:.2f}%"


def shown(value: float | None, kind: str) -> str:
    """Write a "share" or a "number"."""
    return percent(value) if kind == "share" else number(value)


def change(value: float | None) -> str:
    """Write a difference with its sign."""
    if value is None:
        return UNKNOWN
    return fixed(value, signed=True).replace("-", MINUS) if value else "0"


def interval(ends: Sequence[float | None] | None) -> str:
    """Write the two ends of an interval; nothing where there is none, or nothing between them."""
    if ends is None or ends[0] is None or ends[1] is None or ends[0] == ends[1]:
        return ""
    return f"[{fixed(ends[0])}, {fixed(ends[1])}]".replace("-", MINUS)


def _row(row: Row, less_is_better: Collection[int]) -> str:
    cells = (_cell(place, text, place in less_is_better) for place, text in enumerate(row.cells))
    return f"<tr{_class(row.kind)}>{''.join(cells)}</tr>\n"


def _cell(place: int, text: str, judged: bool) -> str:
    shown = escape(text)
    if judged and text[:1] in ("+", MINUS):
        shown = f'<span class="{"worse" if text[0] == "+" else "better"}">{shown}</span>'
    return f"<td{_right(place)}>{shown}</td>"


def _right(place: int) -> str:
    return _class("n") if place else ""


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""
