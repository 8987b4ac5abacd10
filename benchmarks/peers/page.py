"""What a measurement is told as: JSON, Markdown, plots, and the tables of docs/performance.md."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from measure import described
from results import save, table

from peers.summary import targets


def write(name: str, facts: Mapping[str, Any], found: dict[str, Any], folder: Path) -> None:
    """Write NAME.json and NAME.md in `folder`."""
    found = {"machine": dict(facts), **found}
    found["targets"] = targets(found)
    save(name, found, markdown(found), folder)


def markdown(found: Mapping[str, Any]) -> str:
    """Write everything as one page."""
    parts = [
        "# unisono beside its peers",
        described(found["machine"]),
        _how(found["plan"]),
        *(
            part
            for name in found["plan"]["ensembles"]
            for part in (f"## {name}", ensemble_table(found, name))
        ),
        "## Targets",
        target_table(found),
        "## The systems",
        system_table(found),
    ]
    return "\n\n".join(parts) + "\n"


def ensemble_table(found: Mapping[str, Any], name: str) -> str:
    """Return one ensemble's figures, a line a system, the fastest first; those left out at the end."""
    columns, described = found["cells"][name], found["systems"]
    most = columns[max(columns, key=int)]
    ranked = sorted(most, key=lambda system: -most[system]["rows_per_sec"])
    header = ["system", *(f"{size} at once: rows/s (ratio)" for size in columns)]
    header += [f"p50 / p95 / p99 ms, {size}" for size in columns] + [
        f"CPU ms a row, {size}" for size in columns
    ]
    lines = []
    for system in ranked:
        own = [cells.get(system) for cells in columns.values()]
        line = [described[system]["title"], *(_speed(cell) for cell in own)]
        line += [_three(cell) for cell in own] + [f"{cell['cpu_ms']:.3g}" if cell else "" for cell in own]
        lines.append(line)
    return table(header, lines)


def system_table(found: Mapping[str, Any]) -> str:
    """Return what each system is, how far its scores are from the right ones, and which could not be run."""
    lines = []
    for system in found["systems"].values():
        versions = ", ".join(f"{name} {number}" for name, number in system["versions"].items())
        error = "" if system["largest_error"] is None else f"{system['largest_error']:.0e}"
        state = f"not measured: {system['left_out']}" if system["left_out"] else error
        lines.append([system["title"], versions, system["setup"], system["asked_by"], state])
    return table(["system", "version", "set up as", "asked over", "largest error"], lines)


def target_table(found: Mapping[str, Any]) -> str:
    """Return what was wanted and what came of it."""
    words = {True: "yes", False: "**no**", None: "-"}
    lines = [[one["target"], one["wanted"], one["got"], words[one["met"]]] for one in found["targets"]]
    return table(["target", "wanted", "measured: median of the rounds (least-most)", "met"], lines)


def _how(plan: Mapping[str, Any]) -> str:
    return (
        f"{plan['rounds']} rounds of {plan['seconds']:g} s a load, systems in turn; medians, least to most, "
        "and in brackets the median of each round's ratio to the best in process in batches of as many rows. "
        "A request holds one row. The load generator shares the cores. CPU: user and system time of all the "
        "system's processes."
    )


def _speed(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return ""
    part = "" if cell["ratio"] is None else f" ({cell['ratio']:.2f})"
    return f"{_number(cell['rows_per_sec'])}, {_number(cell['slowest'])}-{_number(cell['fastest'])}{part}"


def _three(cell: Mapping[str, Any] | None) -> str:
    return "" if cell is None else " / ".join(f"{cell[key]:.3g}" for key in ("p50", "p95", "p99"))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"  # noqa: PLR2004 - a decimal where it says something
