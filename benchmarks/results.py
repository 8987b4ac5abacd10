"""Where figures are written: one JSON and one Markdown file a benchmark, in benchmarks/results/."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results")


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *lines))


def save(name: str, figures: Mapping[str, Any], markdown: str, folder: Path = RESULTS) -> None:
    """Write `figures` and `markdown`, and print the second."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n")
    (folder / f"{name}.md").write_text(markdown)
    print(markdown)


def fill(page: Path, parts: Mapping[str, str]) -> None:
    """Put each text between the marks of its name in `page`; ValueError if there are none."""
    text = page.read_text()
    for name, part in parts.items():
        begin, end = f"<!-- begin {name}: written by benchmarks/ -->", f"<!-- end {name} -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"{page} has no {begin} ... {end}")
        text = f"{before}{begin}\n\n{part.strip()}\n\n{end}{after}"
    page.write_text(text)
