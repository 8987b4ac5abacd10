"""How results look in a terminal: tables, bars, shortened digests; and the JSON form of each."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

DIGEST_CHARS = 12
BAR_CHARS = 16
# Block characters by eighths of a column, so that a bar of 16 columns shows weights to half a percent.
_EIGHTHS = " ▏▎▍▌▋▊▉"
_KILO = 1024


def console() -> Console:
    """Return a console on stdout that prints what it is given: no markup, nothing coloured by guess."""
    # Piped output has no width of its own; 80 columns would fold every table.
    width = None if sys.stdout.isatty() else 140
    return Console(markup=False, highlight=False, width=width)


def table(*columns: str, numbers: tuple[str, ...] = ()) -> Table:
    """Return an empty table with these column headings; those in `numbers` are set flush right."""
    made = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return made


def bar(share: float) -> Text:
    """Draw a share between 0 and 1 as a bar of BAR_CHARS columns; anything above 0 shows."""
    eighths = round(min(max(share, 0.0), 1.0) * BAR_CHARS * 8)
    if share > 0:
        eighths = max(eighths, 1)
    full, rest = divmod(eighths, 8)
    drawn = "█" * full + (_EIGHTHS[rest] if rest else "")
    return Text(drawn.ljust(BAR_CHARS), style="cyan")


def short(digest: str) -> str:
    """Return the start of a digest: enough to tell blobs apart by eye."""
    return digest[:DIGEST_CHARS]


def size(count: int) -> str:
    """Write a number of bytes as people read it."""
    value, unit = float(count), "B"
    for bigger in ("KiB", "MiB", "GiB", "TiB"):
        if value < _KILO:
            break
        value, unit = value / _KILO, bigger
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def number(value: object) -> str:
    """Write one value of evidence: floats to six digits, the rest as it is."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def when(at: str) -> str:
    """Write a journal's time, ISO UTC, with a blank where the eye wants one."""
    return at.replace("T", " ").replace("Z", " UTC")


def tensors(specs: list[Mapping[str, Any]]) -> str:
    """Write the tensors of a signature: name, dtype and the shape of one row."""
    return ", ".join(
        f"{spec.get('name')} {spec.get('dtype')} {_shape(spec.get('shape', ()))}".rstrip() for spec in specs
    )


def print_json(value: Any) -> None:
    """Print one JSON object to stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def _shape(shape: Any) -> str:
    return "[" + ", ".join("any" if part == -1 else str(part) for part in shape) + "]"


def duration(seconds: float) -> str:
    """Write a time with three digits, in seconds or milliseconds."""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"
