"""What the measurement is told as: JSON, Markdown, a picture, and the tables of docs/reference/scoring.md."""

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from measure import described
from peers.systems import ROOT
from results import fill, save, table

from batch_jobs.ways import BEST, ONE, ONE_NODE, OURS, TWO, TWO_NODES

PAGE = ROOT / "docs" / "reference" / "scoring.md"
PICTURE = ROOT / "docs" / "images" / "batch-scoring.png"
WANTED = 0.95
Found = Mapping[str, Any]


def write(facts: Mapping[str, Any], found: Found, held: Mapping[str, Any], *, whole: bool) -> None:
    """Write results/batch.json and .md; the page too, if everything was measured."""
    tables = {name: speeds(one) for name, one in found.items()}
    parts = {"how": how(facts), **tables, "targets": targets(found, held)}
    text = "\n\n".join(["# Batch scoring", *(f"## {name}\n\n{part}" for name, part in parts.items())])
    save("batch", {"machine": facts, "ensembles": found, "mebibytes": held}, text + "\n")
    if whole:
        draw(found, PICTURE)
        parts["picture"] = f"![rows a second of each way to score files](../images/{PICTURE.name})"
        fill(PAGE, {f"batch {name}": part for name, part in parts.items()})


def how(facts: Mapping[str, Any]) -> str:
    """Say what was measured on, and how."""
    return (
        f"{described(facts)} Rows a second once the job runs; in brackets least and most of the rounds. The"
        " start is what a job of few rows takes, less its rows. CPU: a row's user and system time."
    )


def speeds(one: Mapping[str, Any]) -> str:
    """Return one ensemble's figures, the fastest first; what could not be measured at the end."""
    ways = {way: [run["rows_per_sec"] for run in runs] for way, runs in one["ways"].items()}
    best, lines = median(ways[BEST]), []
    for way in sorted(ways, key=lambda way: -median(ways[way])):
        runs, rates = one["ways"][way], ways[way]
        spread = f" ({min(rates):,.0f}-{max(rates):,.0f})" if len(rates) > 1 else ""
        named = f"{way}: {runs[0]['way']}, batch {runs[0]['batch']}" if way == BEST else way
        lines.append(
            [
                named,
                f"{runs[0]['rows']:,}",
                f"{median(rates):,.0f}{spread}",
                f"{median(rates) / best:.2f}",
                _median(runs, "start_secs", "{:.1f}"),
                _median(runs, "cpu_a_row", "{:.3g}", 1000),
                _median(runs, "mib", "{:,.0f}"),
            ]
        )
    lines += [[way, "", f"not measured: {why}", "", "", "", ""] for way, why in one["failed"].items()]
    header = ["way", "rows", "rows/s (spread)", "of best in process", "start, s", "CPU ms a row", "MiB"]
    return table(header, lines)


def targets(found: Found, held: Mapping[str, Any]) -> str:
    """Return what was wanted and what came of it."""
    lines = []
    for name in ("images", "heavy"):
        if name in found and OURS in found[name]["ways"]:
            ratios = [
                ours["rows_per_sec"] / best["rows_per_sec"]
                for ours, best in zip(found[name]["ways"][OURS], found[name]["ways"][BEST], strict=False)
            ]
            told = f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
            met = "yes" if median(ratios) >= WANTED else "**no**"
            lines.append([f"{name}: of the best in process", f">= {WANTED}", told, met])
    for name, one in found.items():
        for few, many in ((ONE, TWO), (ONE_NODE, TWO_NODES)):
            if few in one["ways"] and many in one["ways"]:
                rates = [median(run["rows_per_sec"] for run in one["ways"][way]) for way in (few, many)]
                lines.append([f"{name}: {many} beside {few}", "2", f"{rates[1] / rates[0]:.2f}", "-"])
    for what, by_rows in held.items():
        told = ", ".join(f"{mib:,.0f} MiB for {rows}" for rows, mib in by_rows.items())
        lines.append([f"tabular: memory of {what}", "flat", told, "-"])
    return table(["target", "wanted", "measured", "met"], lines)


def draw(found: Found, file: Path) -> None:
    """Draw each way's part of the best in process, a panel an ensemble."""
    figure = Figure(figsize=(4.6 * len(found), 3.6), layout="constrained")
    figure.subplots(1, len(found))
    for axes, (name, one) in zip(figure.axes, found.items(), strict=True):
        rates = {way: median(run["rows_per_sec"] for run in runs) for way, runs in one["ways"].items()}
        ranked = sorted(rates, key=rates.__getitem__)
        colours = ["#8a8a8a" if way == BEST else "#c1543c" if _foreign(way) else "#1b6ca8" for way in ranked]
        axes.barh(ranked, [rates[way] for way in ranked], color=colours)
        axes.set_title(f"{name}: rows/s", fontsize=10)
        axes.tick_params(labelsize=7)
        if max(rates.values()) > 20 * median(rates.values()):
            axes.set_xscale("log")
    FigureCanvasAgg(figure).print_png(file, metadata={"Software": ""})


def _foreign(way: str) -> bool:
    """Whether a way is somebody else's."""
    return way.startswith(("Ray Data", "Keras", "mlserver"))


def _median(runs: list[dict[str, Any]], key: str, form: str, factor: float = 1.0) -> str:
    found = [run[key] * factor for run in runs if key in run]
    return form.format(median(found)) if found else ""
