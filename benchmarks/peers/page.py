"""What a measurement is told as: JSON, Markdown, plots, and the tables of docs/performance.md."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from measure import described
from results import RESULTS, fill, save, table

from peers.campaign import CROWD_TIMES
from peers.plots import bars, latency
from peers.summary import fastest, targets
from peers.systems import ALONE, OURS, PEER, ROOT

PAGE = ROOT / "docs" / "performance.md"
IMAGES = ROOT / "docs" / "images"
PAGED = "beside_peers"  # the measurement that the page tells of


def write(name: str, facts: Mapping[str, Any], found: dict[str, Any], folder: Path) -> None:
    """Write NAME.json and NAME.md in `folder`; the page too, if it is the one that the page tells of."""
    found = {"machine": dict(facts), **found}
    found["targets"] = targets(found)
    save(name, found, markdown(found), folder)
    if folder == RESULTS and name == PAGED:
        write_page(found)


def read(file: Path) -> dict[str, Any]:
    """Read what `write` wrote as JSON, numbers as keys again."""
    found: dict[str, Any] = json.loads(file.read_text())
    for name, columns in found["cells"].items():
        found["cells"][name] = {int(size): cells for size, cells in columns.items()}
    return found


def write_page(found: Mapping[str, Any]) -> None:
    """Write a measurement's tables and plots into docs/performance.md."""
    latency(found, IMAGES / "performance-latency.png")
    bars(found, IMAGES / "performance-throughput.png")
    machine = f"{described(found['machine'])} {_how(found['plan'])}"
    tables = {name: short_table(found, name) for name in found["cells"]}
    told = {"targets": target_table(found), "roofline": roofline_table(found), "systems": system_table(found)}
    fill(PAGE, {"machine": machine, **tables, **told, "perf_analyzer": witness_table(found)})


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
        "## What of the machine is reached",
        roofline_table(found),
        "## perf_analyzer",
        witness_table(found),
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


def short_table(found: Mapping[str, Any], name: str) -> str:
    """Return what a reader compares: throughput, latency and cost, a line a system, the fastest first."""
    columns, described = found["cells"][name], found["systems"]
    few, many = min(columns), max(columns)
    ranked = sorted(columns[many], key=lambda system: -columns[many][system]["rows_per_sec"])
    header = ["system", f"rows/s, {many} at once (spread)", "of in process"]
    header += [f"p50 ms, {few}", f"p50 / p99 ms, {many}", f"CPU ms a row, {few}", f"CPU ms a row, {many}"]
    lines = []
    for system in ranked:
        one, all_ = columns[few].get(system), columns[many][system]
        lines.append(
            [
                described[system]["title"],
                f"{_number(all_['rows_per_sec'])} ({_number(all_['slowest'])}-{_number(all_['fastest'])})",
                "" if all_["ratio"] is None else f"{all_['ratio']:.2g}",
                "" if one is None else f"{one['p50']:.3g}",
                f"{all_['p50']:.3g} / {all_['p99']:.3g}",
                "" if one is None else f"{one['cpu_ms']:.3g}",
                f"{all_['cpu_ms']:.3g}",
            ]
        )
    return table(header, lines)


def roofline_table(found: Mapping[str, Any]) -> str:
    """Return how much of the machine's matrix product the fastest of each kind reaches."""
    peak, lines = found["machine"]["sgemm_gflops"], []
    for name, columns in found["cells"].items():
        cell, mflop = columns[max(columns)], found["mflop"][name]
        for kind in (ALONE, OURS, PEER):
            system = fastest(cell, found["systems"], kind)
            if system and mflop:
                reached = cell[system]["rows_per_sec"] * mflop / 1e3
                title = found["systems"][system]["title"]
                lines.append([name, f"{mflop:.3g}", title, f"{reached:.3g}", f"{reached / peak:.1%}"])
    header = ["ensemble", "MFLOP a row", "fastest of its kind", "GFLOP/s", f"of sgemm's {peak:.0f}"]
    return table(header, lines)


def witness_table(found: Mapping[str, Any]) -> str:
    """Return what perf_analyzer measured, beside h2load's figure for the same."""
    lines = []
    for one in found["perf_analyzer"]:
        title = found["systems"][one["system"]]["title"]
        line = [one["ensemble"], title, str(one["concurrency"])]
        own = found["cells"][one["ensemble"]].get(one["concurrency"], {}).get(one["system"])
        if "failed" in one:
            lines.append([*line, f"not measured: {one['failed']}", "", ""])
            continue
        beside = _number(own["rows_per_sec"]) if own else ""
        lines.append([*line, _number(one["rows_per_sec"]), beside, _three(one)])
    return table(
        ["ensemble", "system", "at once", "perf_analyzer: rows/s", "h2load", "p50 / p95 / p99 ms"], lines
    )


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
        f"{plan['rounds']} round{'s' * (plan['rounds'] > 1)} of {plan['seconds']:g} s a load, "
        f"{plan['seconds'] * CROWD_TIMES:g} s for the largest crowd; systems in turn; medians, least to "
        "most, and in brackets the median of each round's ratio to the best in process in batches of as many "
        "rows. A request holds one row. The load generator shares the cores. CPU: user and system time of "
        "all the system's processes."
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
