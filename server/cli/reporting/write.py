"""Writes a report where it was asked for, in the form that the file's name asks for."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ensemble.errors import InvalidRequestError

Report = Mapping[str, Any]
# A report as the text of a page.
Render = Callable[[Report], str]


def of_refit() -> Render:
    """Return what makes the page of a refit."""
    from .charts import Charts  # noqa: PLC0415 - heavy: only for pages
    from .page import page  # noqa: PLC0415 - heavy: only for pages

    charts = Charts()
    return lambda report: page(report, charts)


def writer(path: Path | None, pages: Callable[[], Render] = of_refit) -> Callable[[Report], None]:
    """Return what writes a report to `path`: .html, as `pages` makes it, or .json; nothing for None.

    Called before the work whose report it is, so that what can't be written is said at once:
    InvalidRequestError for another kind of file or a folder that isn't there, UnavailableError without
    matplotlib.
    """
    if path is None:
        return lambda _report: None
    if path.suffix not in (".html", ".json"):
        raise InvalidRequestError(f"--report is {path}; name a file that ends in .html or .json")
    if not path.absolute().parent.is_dir():
        raise InvalidRequestError(f"--report is {path}; there is no folder {path.parent}: make it first")
    if path.suffix == ".json":
        return lambda report: _write(
            path, json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        )

    render = pages()
    return lambda report: _write(path, render(report))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
